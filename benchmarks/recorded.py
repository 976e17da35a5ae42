"""What was measured, and files that keep it beside earlier rows: JSON, and a table of ratios made from it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "Measurement", "machine", "record"]

RESULTS = Path(__file__).parent / "results"
NAMES = {"fused": "Numba", "pure": "NumPy"}
PACKAGES = ("numpy", "numba", "scikit-learn", "torch")


@dataclass(frozen=True)
class Measurement:
    """What was seen: seconds a call, or how the results differ."""

    name: str
    ours: float
    peer: float
    bar: float | None
    difference: str | None = None

    @property
    def ratio(self) -> float | None:
        """Peer time / our time; None where the results differ."""
        return None if self.difference else self.peer / self.ours

    def __str__(self) -> str:
        if self.difference:
            return f"{self.name:44} differs: {self.difference}"
        ratio = self.peer / self.ours
        wanted = "" if self.bar is None else f"  bar {self.bar:g}{'' if ratio >= self.bar else '  MISSED'}"
        return f"{self.name:44} {self.ours * 1e3:10.3f} ms  peer {self.peer * 1e3:10.3f} ms  {ratio:6.2f}×{wanted}"


def record(name: str, measurements: Sequence[Measurement], kernels: str, threads: int, folder: Path = RESULTS) -> None:
    """Write rows into ``<name>.json``, over earlier ones of the same name, kernels and threads, and the table anew.

    Parameters
    ----------
    name : str
        Of the files, without their endings.
    measurements : sequence of Measurement
    kernels : str
        "fused" or "pure".
    threads : int
    folder : Path
    """
    path = folder / f"{name}.json"
    rows: dict[str, Any] = json.loads(path.read_text())["rows"] if path.exists() else {}
    way = f"{NAMES.get(kernels, kernels)}, {threads} thread{'s' if threads > 1 else ''}"
    for each in measurements:
        found = {"difference": each.difference} if each.difference else _numbers(each)
        rows.setdefault(each.name, {})[way] = found
    path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    (folder / f"{name}.md").write_text(_table(rows))


def _numbers(measured: Measurement) -> dict[str, Any]:
    ours, peer = round(measured.ours * 1e3, 4), round(measured.peer * 1e3, 4)
    return {"ours_ms": ours, "peer_ms": peer, "ratio": round(peer / ours, 3), "bar": measured.bar}


def machine() -> str:
    """What was measured on, in words."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {', '.join(map(_installed, PACKAGES))}"


def _installed(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def _table(rows: dict[str, Any]) -> str:
    """Ratios, with their bars in brackets and what misses one in bold."""
    ways = sorted({way for row in rows.values() for way in row})
    lines = [
        f"The peer's time / ours: above 1 is ahead; in brackets the ratio that is wanted. {machine()}.",
        "",
        f"| | {' | '.join(ways)} |",
        f"|---|{'---|' * len(ways)}",
    ]
    lines += [f"| {name} | {' | '.join(_cell(row.get(way)) for way in ways)} |" for name, row in rows.items()]
    return "\n".join(lines) + "\n"


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "–"
    if "difference" in found:
        return found["difference"]  # type: ignore[no-any-return]
    ratio, bar = f"{found['ratio']:.2f}", found["bar"]
    if bar is None:
        return ratio
    return f"{ratio} ({bar:g})" if found["ratio"] >= bar else f"**{ratio}** ({bar:g})"
