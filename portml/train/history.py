"""What happened in each epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from portml.errors import CheckpointError
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

    @classmethod
    def from_csv(cls, path: str | Path) -> History:
        """Read what `to_csv` wrote.

        Raises
        ------
        CheckpointError
            If the file is missing, or holds something else than a table of numbers.
        """
        try:
            with open(path, newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file, strict=True)
                if "epoch" not in (reader.fieldnames or ()):
                    raise ValueError("it has no column 'epoch'")
                return cls([_numbers(row) for row in reader])
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise CheckpointError(
                f"{path}: expected a history written by portml, it cannot be read: {error}"
            ) from error

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order of their first occurrence."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def to_csv(self, path: str | Path) -> Path:
        """Write the rows as a CSV file, atomically."""
        text = io.StringIO()
        writer: Any = csv.DictWriter(text, self.columns or ["epoch"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return write_text(path, text.getvalue())


def _numbers(row: dict[str, str]) -> dict[str, float]:
    """A row of a file as numbers, the epoch a whole one; what an epoch does not have is left out."""
    return {name: int(text) if name == "epoch" else float(text) for name, text in row.items() if text != ""}
