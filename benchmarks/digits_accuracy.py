"""What ``portml train digits`` reaches with its default settings, and how long it takes.

    python -m benchmarks.digits_accuracy [--backend numpy] [SEED ...]

Every seed is trained by the command itself, in a process of its own.  The settings were chosen by
`benchmarks.choose_digits_recipe`, without the test set that is measured here.  Exit status 1 if a seed stays below the
accuracy or above the time that is promised.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROMISED_ACCURACY = 0.985
PROMISED_SECONDS = 60.0


def main() -> int:
    """Train, print a table, and compare with what is promised."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("seeds", nargs="*", type=int, default=[0, 1, 2, 3, 4], metavar="SEED", help="default: 0 to 4")
    parser.add_argument("--backend", default="numpy")
    arguments = parser.parse_args()
    print(f"{'seed':>4}{'test':>10}{'errors':>8}{'validation':>12}{'seconds':>9}{'CPU s':>8}")
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            accuracy, seconds = train(seed, arguments.backend, Path(folder) / str(seed))
            kept = kept and accuracy >= PROMISED_ACCURACY and seconds <= PROMISED_SECONDS
    return 0 if kept else 1


def train(seed: int, backend: str, folder: Path) -> tuple[float, float]:
    """Run the command; its test accuracy, and the seconds from its start to its end."""
    began, processor = time.perf_counter(), processor_seconds()
    command = [sys.executable, "-m", "portml", "train", "digits", "--seed", str(seed), "--backend", backend]
    subprocess.run([*command, "--out", str(folder), "--quiet"], check=True)
    seconds, processor = time.perf_counter() - began, processor_seconds() - processor
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    errors = round((1 - record["test_accuracy"]) * record["data"]["samples"]["test"])
    print(
        f"{seed:4}{record['test_accuracy']:10.4f}{errors:8}{record['validation_accuracy']:12.4f}"
        f"{seconds:9.1f}{processor:8.1f}",
        flush=True,
    )
    return record["test_accuracy"], seconds


def processor_seconds() -> float:
    """Of the processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
