"""Views per second of SimCLR's input pipeline: this project beside its peers, in one run.

    python benchmarks/input_pipeline.py --reference_checkout=DIR --lightly_python=PYTHON

Contenders alternate, each in a process of its own, for several rounds; medians are compared. A peer
that is not there is left out, and said so: the reference release (a checkout of
google-research/simclr) and lightly (any Python that has it, since it brings PyTorch). Blur is on at
224 pixels and off at 32, as in the paper. Files are parts of scikit-image's photographs, which are
looked for where it is installed, or in `--photographs`: the folder `skimage/data` of its wheel.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers, photographs  # noqa: E402

SCRIPT = Path(__file__).with_name("contenders.py")
OURS, PEERS = ("simclr_tf",), ("simclr_tf", "reference", "lightly")
ALL = (*PEERS, "keras_cv")
# case: views to time, who is timed, and what it is
CASES = {
    "32": (40_000, ALL, "32 px from uint8"),
    "224": (2_500, ALL, "224 px with blur, from 375 x 500 uint8"),
    "folder": (2_500, ALL, "224 px with blur, from a folder of 375 x 500 JPEG"),
    "tfds": (2_500, OURS, "the same from TFDS"),
    "crops": (5_000, OURS, "the host's part of it with --augment_on=device: bytes"),
    "phone": (500, PEERS, "224 px with blur, from a folder of JPEG of 12 megapixels"),
    "turned": (500, PEERS, "the same, to be turned (the reference and lightly do not)"),
}
IN_MEMORY = ("32", "224")


def main() -> None:
    """Times what there is and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    peers.add_arguments(parser)
    parser.add_argument("--batch", type=int, default=128, help="images a batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--photographs", help="the folder skimage/data of scikit-image's wheel")
    args = parser.parse_args()

    found, environment = peers.find(args)
    pythons = {"simclr_tf": sys.executable, "keras_cv": sys.executable, **found}

    print(f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    originals = photographs.find(args.photographs)
    with tempfile.TemporaryDirectory() as folder:
        if originals is None:
            print("files: left out, no scikit-image and no --photographs")
            args.cases = [case for case in args.cases if case in IN_MEMORY]
        elif set(args.cases) - set(IN_MEMORY):
            photographs.make(originals, Path(folder))
            if "tfds" in args.cases:
                photographs.prepare_tfds(Path(folder))
        for case in args.cases:
            time_case(case, pythons, environment, args, folder)


def time_case(
    case: str,
    pythons: dict[str, str],
    environment: dict[str, str],
    args: argparse.Namespace,
    folder: str,
) -> None:
    """Times who is timed for a case, in turns, and prints its lines."""
    count, names, title = CASES[case]
    results: dict[str, list[dict]] = {name: [] for name in names if name in pythons}
    for _ in range(args.rounds):
        for name in list(results):
            command = [pythons[name], str(SCRIPT), name, case, str(args.batch), str(count), folder]
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                print(f"{name}: left out, it does not run here: {reason}")
                del results[name]
                continue
            results[name].append(json.loads(done.stdout.splitlines()[-1]))
    print(f"\n{title}, batches of {args.batch}, median of {args.rounds}")
    medians = {name: statistics.median(r["views_per_s"] for r in results[name]) for name in results}
    for name, runs in results.items():
        rates = [run["views_per_s"] for run in runs]
        core = [run["core_ms"] for run in runs if run["core_ms"]]
        core_ms = f"{statistics.median(core):.2f} ms of a core" if core else ""
        ratio = medians.get("simclr_tf", float("nan")) / medians[name]
        print(
            f"  {name:<10} {medians[name]:>8,.0f} views/s ({min(rates):,.0f} to {max(rates):,.0f})"
            f"   simclr_tf is {ratio:.2f} x   {core_ms:<17}   peak {runs[0]['peak_gib']:.2f} GiB"
            f"   {runs[0]['version']}",
            flush=True,
        )


def processor() -> str:
    """Returns the name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))


if __name__ == "__main__":
    main()
