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
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.side_by_side import Measurement, measure

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
HEADINGS = {"fused": "with Numba", "pure": "NumPy alone"}
PACKAGES = ("numpy", "numba", "torch", "scikit-learn")
RESULTS = Path(__file__).parent / "results"
NOISE = 0.1
"""How much of a bar a ratio may miss and still be taken for noise."""


def main() -> None:
    """Measure, write, and judge."""
    arguments = _arguments()
    if arguments.mode is not None:
        print(json.dumps(rows(arguments.names, arguments.rounds, arguments.threads)), file=sys.__stdout__)
        return
    found = {mode: _in_a_process(mode, arguments) for mode in MODES}
    arguments.out.mkdir(parents=True, exist_ok=True)
    record = {"machine": machine(), "threads": arguments.threads, **found}
    (arguments.out / "speed.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "speed.md").write_text(table(record), encoding="utf-8")
    draw(record, arguments.out / "speed.png")
    print(table(record))
    missed = [f"{row['name']} ({HEADINGS[mode]})" for mode in MODES for row in found[mode] if misses(row)]
    if arguments.check and missed:
        sys.exit("under the bar: " + "; ".join(missed))


def rows(names: list[str], rounds: int, threads: int) -> list[dict[str, Any]]:
    """The rows whose name contains one of `names`, measured in this process."""
    from threadpoolctl import threadpool_limits

    measured = []
    for module in MODULES:
        try:
            cases = importlib.import_module(f"benchmarks.{module}").cases()
        except ImportError as error:
            measured.append({"name": module, "difference": f"{error.name} is not installed"})
            continue
        for case in cases:
            if names and not any(name in case.name for name in names):
                continue
            with threadpool_limits(threads):
                measured.append(_row(measure(case, rounds, threads=threads)))
            print(measured[-1], file=sys.stderr, flush=True)
    return measured


def misses(row: dict[str, Any]) -> bool:
    """Whether a row is under its bar by more than noise."""
    ratio, bar = row.get("ratio"), row.get("bar")
    return bar is not None and ratio is not None and ratio < bar * (1 - NOISE)


def machine() -> str:
    """What was measured on, in words."""
    installed = []
    for package in PACKAGES:
        try:
            installed.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            installed.append(f"no {package}")
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {', '.join(installed)}"


def table(record: dict[str, Any]) -> str:
    """The ratios of both modes as Markdown."""
    lines = [
        f"The peer's time / ours: above 1 is ahead; in brackets the ratio that is wanted. {record['machine']}; "
        f"{record['threads']} thread{'s' if record['threads'] > 1 else ''}.",
        "",
        f"| | {' | '.join(HEADINGS[mode] for mode in MODES)} | ours | peer |",
        "|---|---|---|---|---|",
    ]
    by_name = {mode: {row["name"]: row for row in record[mode]} for mode in MODES}
    for name in dict.fromkeys(name for mode in MODES for name in by_name[mode]):
        cells = [_cell(by_name[mode].get(name)) for mode in MODES]
        row = by_name["fused"].get(name) or by_name["pure"][name]
        times = [f"{row[side] * 1e3:.3f} ms" if side in row else "" for side in ("ours", "peer")]
        lines.append(f"| {name} | {' | '.join([*cells, *times])} |")
    return "\n".join(lines) + "\n"


def draw(record: dict[str, Any], path: Path) -> None:
    """Both modes' ratios as bars on a logarithmic axis, with the bars that are wanted as strokes."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    names = [row["name"] for row in record["fused"] if "ratio" in row]
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.32 * max(1, len(names))), layout="constrained")
    for shift, mode in ((-0.2, "fused"), (0.2, "pure")):
        found = {row["name"]: row for row in record[mode] if "ratio" in row}
        places = [place + shift for place, name in enumerate(names) if name in found]
        axes.barh(places, [found[name]["ratio"] for name in names if name in found], 0.36, label=HEADINGS[mode])
        for place, name in enumerate(names):
            if name in found and found[name].get("bar"):
                wanted = found[name]["bar"]
                axes.plot([wanted, wanted], [place + shift - 0.2, place + shift + 0.2], color="black", linewidth=1.2)
    axes.axvline(1.0, color="0.5", linewidth=0.8)
    axes.set(xscale="log", xlabel="peer's time / ours", yticks=range(len(names)), yticklabels=names)
    axes.invert_yaxis()
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


def _in_a_process(mode: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks", "--mode", mode, *arguments.names]
    command += ["--threads", str(arguments.threads), "--rounds", str(arguments.rounds)]
    done = subprocess.run(command, env={**os.environ, "PORTML_KERNELS": mode}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def _row(measured: Measurement) -> dict[str, Any]:
    if measured.difference:
        return {"name": measured.name, "difference": measured.difference}
    return {
        "name": measured.name,
        "ours": measured.ours,
        "peer": measured.peer,
        "ratio": round(measured.peer / measured.ours, 3),
        "bar": measured.bar,
    }


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    if "difference" in row:
        return row["difference"]  # type: ignore[no-any-return]
    ratio, bar = row["ratio"], row["bar"]
    shown = f"{ratio:.2f}" if bar is None or ratio >= bar else f"**{ratio:.2f}**"
    return shown if bar is None else f"{shown} ({bar:g})"


if __name__ == "__main__":
    main()
