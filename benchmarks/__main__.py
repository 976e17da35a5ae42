"""Every speed beside its peer's: ``python -m benchmarks``.

Runs the rows of all modules here that have some, with compiled kernels and with NumPy alone, one mode after the other
in a process of its own, and writes ``speed.json``, ``speed.md`` and ``speed.png``.  ``--check`` fails where a ratio
falls under its bar by more than the noise between rounds.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.recorded import RESULTS, Measurement, record
from benchmarks.side_by_side import measure

MODULES = (
    "training_steps",
    "convolution",
    "recurrent",
    "transformer",
    "classical_linear",
    "classical_neighbors",
    "classical_preprocessing",
    "classical_support_vectors",
    "classical_trees",
)
MODES = ("fused", "pure")
NAME = "speed"
NOISE = 0.1
"""How much of a bar a ratio may miss and still be taken for noise."""


def main() -> None:
    """Measure, write, and judge."""
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.mode is not None:
        for measured in measurements(arguments.names, arguments.rounds, arguments.threads):
            print(measured, flush=True)
            record(NAME, [measured], arguments.mode, arguments.threads, arguments.out)
        return
    for mode in MODES:
        command = [sys.executable, "-m", "benchmarks", *sys.argv[1:], "--mode", mode]
        subprocess.run(command, env={**os.environ, "PORTML_KERNELS": mode}, check=True)
    rows = json.loads((arguments.out / f"{NAME}.json").read_text(encoding="utf-8"))["rows"]
    draw(rows, arguments.out / f"{NAME}.png")
    print((arguments.out / f"{NAME}.md").read_text(encoding="utf-8"))
    missed = [f"{name} ({way})" for name, row in rows.items() for way, found in row.items() if misses(found)]
    if arguments.check and missed:
        sys.exit("under the bar: " + "; ".join(missed))


def measurements(names: list[str], rounds: int, threads: int) -> Iterator[Measurement]:
    """The rows whose name contains one of `names`, measured in this process; a peer that is missing is said."""
    from threadpoolctl import threadpool_limits

    for module in MODULES:
        try:
            cases = importlib.import_module(f"benchmarks.{module}").cases()
        except ImportError as error:
            yield Measurement(module, 0.0, 0.0, None, f"{error.name} is not installed")
            continue
        for case in cases:
            if not names or any(name in case.name for name in names):
                with threadpool_limits(threads):
                    yield measure(case, rounds, threads=threads)


def misses(found: dict[str, Any]) -> bool:
    """Whether a ratio is under its bar by more than noise."""
    bar = found.get("bar")
    return bar is not None and found["ratio"] < bar * (1 - NOISE)


def draw(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """The ratios as bars on a logarithmic axis, with those that are wanted as strokes."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    shown = {name: row for name, row in rows.items() if any("ratio" in found for found in row.values())}
    ways = sorted({way for row in shown.values() for way in row})
    thickness = 0.8 / max(1, len(ways))
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.32 * max(1, len(shown))), layout="constrained")
    for number, way in enumerate(ways):
        found = {place: row[way] for place, row in enumerate(shown.values()) if "ratio" in row.get(way, {})}
        shift = (number - (len(ways) - 1) / 2) * thickness
        axes.barh([place + shift for place in found], [each["ratio"] for each in found.values()], thickness, label=way)
        for place, each in found.items():
            if each["bar"] is not None:
                ends = place + shift - thickness / 2, place + shift + thickness / 2
                axes.plot([each["bar"]] * 2, ends, color="black", linewidth=1.2)
    axes.axvline(1.0, color="0.5", linewidth=0.8)
    axes.set(xscale="log", xlabel="peer's time / ours", yticks=range(len(shown)), yticklabels=list(shown))
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.legend()
    figure.savefig(path, dpi=110)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="measure only rows whose name contains one of these")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="fail where a ratio is under its bar")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder to write to")
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
