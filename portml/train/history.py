"""What happened in each epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from portml.train.files import write_text

__all__ = ["History"]


class History:
    """One row of numbers an epoch.

    Attributes
    ----------
    rows : list of dict
        Such as ``{"epoch": 1, "lr": 0.001, "loss": 0.3, "accuracy": 0.9, "validation_loss": ...}``.
    """

    def __init__(self, rows: list[dict[str, float]] | None = None) -> None:
        self.rows: list[dict[str, float]] = list(rows or [])

    def append(self, row: dict[str, float]) -> None:
        """Add an epoch."""
        self.rows.append(row)

    def __getitem__(self, name: str) -> list[float]:
        """The numbers of one column, in the order of the epochs."""
        return [row[name] for row in self.rows if name in row]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.rows)

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order of their first occurrence."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def to_csv(self, path: str | Path) -> Path:
        """Write the rows as a CSV file, atomically."""
        text = io.StringIO()
        writer: Any = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return write_text(path, text.getvalue())
