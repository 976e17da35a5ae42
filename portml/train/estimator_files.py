"""Fitted estimators of `portml.classical` in files: arrays in safetensors, their structure as JSON beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from portml.backends import Backend
from portml.classical.state import estimator_of, state_of
from portml.errors import CheckpointError
from portml.train.files import read_arrays, write_arrays

__all__ = ["read_estimator", "write_estimator"]

_FORMAT = "estimator 1"


def write_estimator(path: str | Path, estimator: Any) -> Path:
    """Write a fitted estimator as one safetensors file, atomically.

    Raises
    ------
    DtypeError
        If a parameter of it is code, such as a function.
    WriteError
        If the file cannot be written.
    """
    structure, arrays = state_of(estimator)
    return write_arrays(path, arrays, {"format": _FORMAT, "state": structure})


def read_estimator(path: str | Path, backend: Backend | str = "numpy") -> Any:
    """Read a fitted estimator; nothing in the file is run as code.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or holds no estimator.
    """
    arrays, metadata = read_arrays(path)
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path}: expected a file with an estimator of portml")
    try:
        return estimator_of(metadata["state"], arrays, backend)
    except (CheckpointError, KeyError) as error:
        raise CheckpointError(f"{path}: {error}") from error
