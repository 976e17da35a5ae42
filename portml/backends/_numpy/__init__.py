"""NumPy on the host: the embedded backend, and the overrides of kernels for its arrays."""

from __future__ import annotations

import importlib
import os
import pkgutil
from functools import cache
from typing import Any, ClassVar

import numpy as np

from portml.backends._numpy.writing import WRITING
from portml.backends.backend import Backend, Memory
from portml.errors import BackendUnavailableError

__all__ = ["NumpyBackend", "load", "open_backend"]

_TOPICS = frozenset(found.name for found in pkgutil.iter_modules(__path__))
# Topics whose overrides are written in the files of others.
_ELSEWHERE = {
    "distribution_loss": ("pair_loss",),
    "error_function": ("smooth_activation",),
    "imbalance_loss": ("pair_loss",),
    "loss": ("loss", "pair_loss"),
    "margin_loss": ("pair_loss",),
    "rows": ("indexing",),
}


class NumpyBackend(Backend):
    """Arrays of NumPy in the host's memory."""

    name = "numpy"
    xp = np
    device = "cpu"
    host = True
    _writers: ClassVar = WRITING

    def to_numpy(self, x: Any) -> np.ndarray[Any, Any]:
        """The array itself: it is on the host already."""
        return np.asarray(x)

    def synchronize(self) -> None:
        """Nothing to wait for: the host works in order."""

    def memory(self) -> Memory:
        """Memory of this machine in bytes, where the system tells."""
        try:
            page = os.sysconf("SC_PAGE_SIZE")
            total, free = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
        except (AttributeError, ValueError, OSError):  # systems without these names
            return Memory(0, 0)
        return Memory(total - free, total)

    def view(self, flat: Any, offset: int, shape: tuple[int, ...]) -> Any:
        """A view of ``flat[offset:offset + prod(shape)]`` in that shape."""
        return flat[offset : offset + int(np.prod(shape, dtype=np.int64))].reshape(shape)

    def _owns(self, data: Any) -> bool:
        # Of others a copy is made, or they are refused.
        return type(data) in (np.ndarray, np.memmap) and data.dtype.kind in "biufc" and data.dtype.isnative

    def _from_host(self, data: np.ndarray[Any, Any], dtype: Any) -> Any:
        return np.asarray(data, dtype=dtype)


def open_backend(device: Any = None) -> Backend:
    """The NumPy backend; it has one device, "cpu"."""
    if device not in (None, "cpu"):
        raise BackendUnavailableError(f"device: NumPy has only 'cpu', got {device!r}")
    return NumpyBackend()


@cache
def load(topic: str) -> None:
    """Register the overrides of the kernels of a topic, once; where there are none, nothing happens."""
    for name in _ELSEWHERE.get(topic, (topic,)):
        if name in _TOPICS:
            importlib.import_module(f"{__name__}.{name}")
