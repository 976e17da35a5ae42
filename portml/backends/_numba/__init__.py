"""Kernels compiled by Numba for NumPy's arrays, where the extra `jit` is installed.

A topic's file here is imported when the first kernel of ``portml/backends/kernels/<topic>.py`` is called with NumPy
arrays, and not before: whoever uses no such kernel never pays for importing Numba.  What is compiled is cached beside
the source, or in the user's cache folder where that cannot be written.
"""

from __future__ import annotations

import importlib
import warnings
from functools import cache
from importlib.util import find_spec
from typing import Any

__all__ = ["COMPILED", "FLOATS", "installed", "load"]

COMPILED: dict[str, Any] = {"error_model": "numpy", "cache": True, "nogil": True}
"""Options of every compiled function: NumPy's rules for division, kept on disk, and other threads may run."""

FLOATS = "fd"
"""The data types, by their characters, that kernels of fractions are compiled for; halves are left to NumPy."""


@cache
def load(topic: str) -> None:
    """Register the compiled kernels of a topic, once; without Numba, or without such a topic, nothing happens."""
    if find_spec(f"{__name__}.{topic}") is None or not installed():
        return
    importlib.import_module(f"{__name__}.{topic}")


@cache
def installed() -> bool:
    """Whether Numba is here and works with the other packages of this environment."""
    if find_spec("numba") is None:
        return False
    try:
        importlib.import_module("numba")
    except ImportError as error:  # Numba refuses versions of NumPy that it does not know.
        warnings.warn(
            f"Numba is installed but cannot be used ({error}); the kernels of NumPy alone are used. "
            "Install versions that fit with: pip install -U 'portml[jit]'",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True
