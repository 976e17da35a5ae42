"""What importing portml costs beyond importing NumPy.

``python -m benchmarks.import_time`` starts fresh processes, in turn so that a busy machine disturbs all alike, and
prints the median of each import and of its difference to NumPy's in the same round.  The target is 0.15 s beyond NumPy
for everything that a training script imports.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

TARGET_SECONDS = 0.15
IMPORTS = {
    "numpy": "import numpy",
    "portml": "import numpy, portml",
    "a training script": "import numpy, portml.autograd, portml.nn, portml.optim, portml.data, portml.train",
}
TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


def main() -> None:
    """Measure, print, and fail where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="fresh processes for each import")
    rounds = [measure() for _ in range(parser.parse_args().rounds)]
    print(f"{'import':<20}{'seconds':>10}{'beyond NumPy':>15}")
    worst = 0.0
    for name in IMPORTS:
        beyond = statistics.median(seconds[name] - seconds["numpy"] for seconds in rounds)
        print(f"{name:<20}{statistics.median(seconds[name] for seconds in rounds):>10.3f}{beyond:>15.3f}")
        worst = max(worst, beyond)
    if worst > TARGET_SECONDS:
        sys.exit(f"importing costs {worst:.3f} s beyond NumPy; at most {TARGET_SECONDS} s is wanted")


def measure() -> dict[str, float]:
    """Seconds that each import takes in a fresh process."""
    return {name: float(run(TIMED.format(statement))) for name, statement in IMPORTS.items()}


def run(code: str) -> str:
    """What a fresh process prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
