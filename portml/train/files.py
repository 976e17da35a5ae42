"""Files that are whole or not there: written beside their place, forced to the disk, then moved."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from portml.backends import Array, to_numpy
from portml.errors import CheckpointError, WriteError

__all__ = [
    "read_arrays",
    "read_json",
    "remove_partial_files",
    "write_arrays",
    "write_bytes",
    "write_json",
    "write_text",
]

_METADATA = "portml"
_PARTIAL = ".partial"


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write a file atomically: a temporary one in the same folder, fsync, rename, fsync of the folder.

    Raises
    ------
    WriteError
        If the disk is full, or the place cannot be written; what stood there before is untouched.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PARTIAL}")
        try:
            _write_through(temporary, content)
            os.replace(temporary, path)
        except BaseException:  # Ctrl-C too: nothing half-written is left
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise WriteError(
            f"{path} could not be written: {error.strerror or error}; what stood there before is untouched. "
            "Free some room, or choose another folder"
        ) from error
    return path


def remove_partial_files(folder: str | Path) -> None:
    """Remove what processes left that were killed while they wrote into this folder."""
    with contextlib.suppress(OSError):
        for partial in Path(folder).glob(f".*{_PARTIAL}"):
            partial.unlink(missing_ok=True)


def write_text(path: str | Path, content: str) -> Path:
    """Write a text file atomically, in UTF-8; see `write_bytes`."""
    return write_bytes(path, content.encode())


def write_json(path: str | Path, content: Any) -> Path:
    """Write a JSON file atomically; see `write_bytes`."""
    return write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    CheckpointError
        If it is missing or no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: expected a JSON file written by portml, {_reason(error)}") from error


def write_arrays(path: str | Path, arrays: Mapping[str, Array], metadata: Any) -> Path:
    """Write arrays of any backend as one safetensors file, atomically.

    Parameters
    ----------
    path : path
    arrays : mapping of str to array
    metadata : object
        Anything that JSON can hold; one string in the file, so that equal content gives equal bytes.

    Raises
    ------
    WriteError
        As `write_bytes`.
    """
    from safetensors.numpy import save

    # safetensors writes the memory of an array that is not contiguous as it lies (safetensors#825).
    host = {name: _contiguous(array) for name, array in arrays.items()}
    return write_bytes(path, save(host, {_METADATA: json.dumps(metadata, default=_number)}))


def read_arrays(path: str | Path) -> tuple[dict[str, Any], Any]:
    """Read a safetensors file.

    Returns
    -------
    arrays : dict of str to NumPy array
    metadata : object
        What `write_arrays` was given; None if the file comes from elsewhere.

    Raises
    ------
    CheckpointError
        If the file is missing, truncated, or no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
            metadata = (file.metadata() or {}).get(_METADATA)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: expected a whole safetensors file, {_reason(error)}") from error
    try:
        return arrays, None if metadata is None else json.loads(metadata)
    except ValueError as error:
        raise CheckpointError(f"{path}: its metadata is no JSON; the file is damaged") from error


def _write_through(path: Path, content: bytes) -> None:
    """Write a new file with the rights that the process gives its files, and wait for the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _number(value: Any) -> Any:
    """What JSON does not know, such as a NumPy number given as a learning rate, as a number of Python."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _contiguous(array: Array) -> Any:
    host = to_numpy(array)
    return host if host.flags.c_contiguous else host.copy(order="C")


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is none"
    return f"got one that cannot be read ({error})"


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last; systems that cannot open a folder do without."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
