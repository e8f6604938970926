"""Views per second of SimCLR's input pipeline: this project beside its peers, in one run.

    python benchmarks/input_pipeline.py --reference_checkout=DIR --lightly_python=PYTHON

Contenders alternate, each in a process of its own, for several rounds; medians are compared. A peer
that is not there is left out, and said so: the reference release (a checkout of
google-research/simclr) and lightly (any Python that has it, since it brings PyTorch). The pictures
are synthetic and in memory; blur is on at 224 pixels and off at 32, as in the paper.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers  # noqa: E402

SCRIPT = Path(__file__).with_name("contenders.py")
# case: views to time, and what it is
CASES = {
    "32": (40_000, "32 px from uint8"),
    "224": (2_500, "224 px with blur, from 375 x 500 uint8"),
    "224-jpeg": (2_500, "224 px with blur, from 375 x 500 JPEG"),
}


def main() -> None:
    """Times what there is and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    peers.add_arguments(parser)
    parser.add_argument("--batch", type=int, default=128, help="images a batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    args = parser.parse_args()

    found, environment = peers.find(args)
    pythons = {"simclr_tf": sys.executable, "keras_cv": sys.executable, **found}

    print(f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for case in args.cases:
        count, title = CASES[case]
        results: dict[str, list[dict]] = {name: [] for name in pythons}
        for _ in range(args.rounds):
            for name, python in list(pythons.items()):
                command = [python, str(SCRIPT), name, case, str(args.batch), str(count)]
                done = subprocess.run(command, capture_output=True, text=True, env=environment)
                if done.returncode:
                    reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                    print(f"{name}: left out, it does not run here: {reason}")
                    del pythons[name], results[name]
                    continue
                results[name].append(json.loads(done.stdout.splitlines()[-1]))
        print(f"\n{title}, batches of {args.batch}, median of {args.rounds}")
        ours = statistics.median(r["views_per_s"] for r in results["simclr_tf"])
        for name, runs in results.items():
            rates = [run["views_per_s"] for run in runs]
            rate = statistics.median(rates)
            print(
                f"  {name:<10} {rate:>8,.0f} views/s ({min(rates):,.0f} to {max(rates):,.0f})"
                f"   simclr_tf is {ours / rate:.1f} x   peak {runs[0]['peak_gib']:.2f} GiB"
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
