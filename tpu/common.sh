# shellcheck shell=bash
# What create, setup, launch, tail and delete share: their settings, errors and gcloud. Sourced.
set -euo pipefail
if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < ${TPU_OLDEST_BASH:-404})); then
  echo "error: bash $BASH_VERSION is too old, 4.4 is needed; on macOS: brew install bash" >&2
  exit 2
fi
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

# gcloud_tpu VERB ARGUMENTS..., gcloud_queue VERB ARGUMENTS...: run gcloud on TPUs, and on requests
# for one that wait; or print the command with --dry_run.
gcloud_tpu() { run_gcloud tpu-vm "$@"; }
gcloud_queue() { run_gcloud queued-resources "$@"; }

run_gcloud() {
  local command=(gcloud compute tpus "$@" --project="$PROJECT" --zone="$ZONE" --quiet)
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
  ask gcloud_tpu nodes "value(state,acceleratorType)" "${1:+$1 $ACCELERATOR_TYPE}"
  read -r state kind <<<"$answer" || true
  kind=${kind##*/}
}

# Sets queue to the state of the request of this name (WAITING_FOR_RESOURCES, ACTIVE, FAILED, ...);
# empty if there is none. A dry run takes what its first argument says.
look_up_queue() {
  ask gcloud_queue queuedResources "value(state.state)" "$1"
  queue=$answer
}

# ask COMMAND COLLECTION FORMAT PRETENDED: sets answer, empty if there is nothing of this name.
ask() {
  local errors problem
  answer=
  if $dry_run; then
    "$1" describe "$TPU_NAME" --format="$3"
    answer=$4
    return
  fi
  errors=$(mktemp)
  if answer=$("$1" describe "$TPU_NAME" --format="$3" 2>"$errors"); then
    rm -f "$errors"
    return
  fi
  problem=$(grep -m 1 -E 'ERROR|NOT_FOUND' "$errors" || grep -m 1 . "$errors" || echo no reason given)
  rm -f "$errors"
  # That another thing is not found, such as the zone, says nothing of this one.
  [[ $problem == *NOT_FOUND*"$2/$TPU_NAME"* ]] || die "gcloud cannot describe $TPU_NAME: $problem"
}

require_ready() {
  look_up READY
  case $state in
    READY) ;;
    '')
      look_up_queue ''
      [[ -z $queue ]] || die "$TPU_NAME waits in the queue: $queue; run tpu/create --queued to look again"
      die "there is no TPU $TPU_NAME in $ZONE; run tpu/create"
      ;;
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
