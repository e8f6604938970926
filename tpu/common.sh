# shellcheck shell=bash
# What create, setup, launch, tail and delete share: their settings, errors and gcloud. Sourced.
set -euo pipefail
shopt -s inherit_errexit

tpu_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
env_file=${TPU_ENV_FILE:-$tpu_folder/env}
dry_run=false

die() {
  echo "error: $*" >&2
  exit 2
}

# Sets dry_run, and arguments to what is left; --help prints the script's opening comment.
parse() {
  arguments=()
  local argument
  for argument in "$@"; do
    case $argument in
      --dry_run) dry_run=true ;;
      --help | -h)
        sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
        exit 0
        ;;
      *) arguments+=("$argument") ;;
    esac
  done
}

no_arguments() {
  ((${#arguments[@]} == 0)) || die "${0##*/} takes no argument ${arguments[0]}; see ${0##*/} --help"
}

read_settings() {
  [[ -r $env_file ]] || die "$env_file is missing; cp $tpu_folder/env.example $env_file, then fill it in"
  # shellcheck source=env.example
  source "$env_file"
  local name
  for name in PROJECT ZONE TPU_NAME ACCELERATOR_TYPE RUNTIME_VERSION BUCKET SPOT; do
    [[ -n ${!name:-} ]] || die "$name is not set in $env_file"
  done
  [[ $BUCKET == gs://?* ]] || die "BUCKET=$BUCKET in $env_file must begin with gs://"
  [[ $SPOT == true || $SPOT == false ]] || die "SPOT=$SPOT in $env_file must be true or false"
  BUCKET=${BUCKET%/}
  $dry_run || command -v gcloud >/dev/null ||
    die "gcloud is not on PATH; install the Google Cloud CLI: https://cloud.google.com/sdk/docs/install"
}

# gcloud_tpu VERB ARGUMENTS...: runs gcloud, or prints the command with --dry_run.
gcloud_tpu() {
  local command=(gcloud compute tpus tpu-vm "$@" --project="$PROJECT" --zone="$ZONE" --quiet)
  if $dry_run; then
    printf '%q ' "${command[@]}"
    echo
  else
    "${command[@]}"
  fi
}

# Sets state (READY, CREATING, PREEMPTED, ...) and kind (the accelerator type); both empty if there
# is no such TPU. A dry run cannot know: it takes what its first argument says.
look_up() {
  local answer
  if $dry_run; then
    gcloud_tpu describe "$TPU_NAME" "--format=value(state,acceleratorType)"
    state=$1 kind=$ACCELERATOR_TYPE
  elif answer=$(gcloud_tpu describe "$TPU_NAME" "--format=value(state,acceleratorType)" 2>&1); then
    read -r state kind <<<"$(tail -n 1 <<<"$answer")"
    kind=${kind##*/}
  elif [[ $answer == *NOT_FOUND* ]]; then
    state='' kind=''
  else
    die "gcloud cannot describe $TPU_NAME: $(grep -m 1 . <<<"$answer" || echo no reason given)"
  fi
}

require_ready() {
  look_up READY
  case $state in
    READY) ;;
    '') die "there is no TPU $TPU_NAME in $ZONE; run tpu/create" ;;
    PREEMPTED | TERMINATED) die "$TPU_NAME is $state; run tpu/delete, tpu/create and tpu/setup" ;;
    *) die "$TPU_NAME is $state; wait until it is READY" ;;
  esac
}

# on_workers WHICH COMMAND ARGUMENTS...: runs tpu/on_vm of the copy there.
on_workers() {
  local which=$1
  shift
  gcloud_tpu ssh "$TPU_NAME" --worker="$which" --command="bash simclr_tf/tpu/on_vm$(printf ' %q' "$@")"
}
