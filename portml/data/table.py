"""Tables of numbers and text: CSV files with a header, each column read as what it holds."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from portml.errors import ArgumentError, DataError

__all__ = ["MISSING", "Table", "read_table"]

HostArray = np.ndarray[Any, Any]

MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"})
"""What stands for a missing value."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?[iI]nf(inity)?")
_PADDED = re.compile(r"0\d+")
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Table(Mapping[str, HostArray]):
    """Columns by name, all of as many rows.

    Attributes
    ----------
    columns : dict of arrays (n_rows,)
        Numbers as float64 with NaN for missing values, text as objects with None.

    Examples
    --------
    >>> import numpy as np
    >>> table = Table({"city": np.asarray(["Oslo", None], dtype=object), "people": np.asarray([7e5, np.nan])})
    >>> table.numeric, table.text, len(table["city"])
    (['people'], ['city'], 2)
    """

    columns: dict[str, HostArray]

    def __getitem__(self, name: str) -> HostArray:
        if name not in self.columns:
            raise ArgumentError(f"column: there is none named {name!r}; there are {', '.join(map(repr, self.columns))}")
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.columns.values()), ()))

    @property
    def numeric(self) -> list[str]:
        """The names of the columns of numbers."""
        return [name for name, column in self.columns.items() if column.dtype.kind == "f"]

    @property
    def text(self) -> list[str]:
        """The names of the columns of text."""
        return [name for name, column in self.columns.items() if column.dtype.kind == "O"]

    def select(self, names: Sequence[str]) -> Table:
        """The table of some columns."""
        return Table({name: self[name] for name in names})

    def without(self, *names: str) -> Table:
        """The table of all columns but some."""
        for name in names:
            self[name]
        return Table({name: column for name, column in self.columns.items() if name not in names})

    def rows(self, places: HostArray) -> Table:
        """The rows at `places` (n,), in that order."""
        return Table({name: column[places] for name, column in self.columns.items()})

    def matrix(self) -> HostArray:
        """The rows (n_rows, n_columns): float64 if all columns are numbers, else objects."""
        if not self.columns:
            raise ArgumentError("the table has no columns")
        kind = object if self.text else np.float64
        return np.stack([column.astype(kind) for column in self.columns.values()], axis=1)


def read_table(
    path: str | Path, *, delimiter: str | None = None, text: Collection[str] = (), keep_leading_zeros: bool = False
) -> Table:
    """Read a CSV file.

    The first line names the columns.  A column all of whose values are numbers or missing is numeric, any other is
    text.  Missing is what is listed in `MISSING`.

    Parameters
    ----------
    path : path
        In UTF-8; one that ends in ``.gz`` is decompressed.
    delimiter : str, optional
        None takes the comma, semicolon, tab or bar that the header has most of.
    text : collection of str
        Columns that are text though all their values may look like numbers, such as postal codes: "01234" keeps its
        zero.  Names that the file lacks are passed over.
    keep_leading_zeros : bool
        Whether a column of digits is text too if one of them begins with a zero that a number would lose.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If the file is missing, empty, no text, has rows of another length than the header, or columns without a name or
        with the same one; the message names the file and the line.
    """
    path = Path(path)
    content = _text(path)
    if delimiter is None:
        header = content.lstrip("\r\n").partition("\n")[0]
        delimiter = max(_DELIMITERS, key=header.count)  # of none the comma, which comes first
    lines = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    names: list[str] = []
    try:
        for row in lines:
            if not row:
                continue
            if not names:
                names = _column_names(path, row)
            elif len(row) != len(names):
                raise DataError(
                    f"{path}, line {lines.line_num}: expected {len(names)} values as in the header, got {len(row)}"
                )
            else:
                rows.append(row)
    except csv.Error as error:
        raise DataError(f"{path}, line {lines.line_num}: {error}") from error
    if not names:
        raise DataError(f"{path}: the file is empty; expected a line with the names of the columns and rows under it")
    if not rows:
        raise DataError(f"{path}: there are no rows under the names of the columns")
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return Table({name: _column(values, name in text, keep_leading_zeros) for name, values in columns})


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: expected text in UTF-8, got other bytes") from error


def _column_names(path: Path, row: list[str]) -> list[str]:
    names = [name.strip() for name in row]
    for position, name in enumerate(names, start=1):
        if not name:
            raise DataError(f"{path}, line 1: column {position} of {len(names)} has no name")
        if names.index(name) + 1 < position:
            raise DataError(f"{path}, line 1: columns {names.index(name) + 1} and {position} are both named {name!r}")
    return names


def _column(values: Sequence[str], is_text: bool, keep_leading_zeros: bool) -> HostArray:
    """Values as numbers if all that are there are, and the column is not said to be text."""
    found = [None if value.strip() in MISSING else value.strip() for value in values]
    if keep_leading_zeros:
        there = [value for value in found if value is not None]
        is_text |= all(map(str.isdigit, there)) and any(map(_PADDED.fullmatch, there))
    if not is_text and all(value is None or _NUMBER.fullmatch(value) for value in found):
        return np.asarray([np.nan if value is None else float(value) for value in found], dtype=np.float64)
    column = np.empty(len(found), dtype=object)
    column[:] = found
    return column
