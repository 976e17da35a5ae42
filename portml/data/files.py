"""What reading any kind of file has in common: how it fails."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portml.errors import ArgumentError, DataError, MissingDependencyError, PortmlError

__all__ = ["UNREADABLE", "naming"]

UNREADABLE = (OSError, EOFError, SyntaxError, ValueError, struct.error, zlib.error)
"""What NumPy and Pillow raise for truncated and foreign files."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn what is wrong with the contents of a file into an error that names the file."""
    try:
        yield
    except (ArgumentError, MissingDependencyError):
        raise
    except (PortmlError, UnicodeError) as error:
        raise DataError(f"{path}: {error}") from error
