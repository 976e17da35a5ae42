"""array-api-strict on its second device: a stand-in for a GPU that any machine has.

It refuses whatever the standard does not promise, and mixing with the host.  What it lets through by itself
(``float()``, iteration, DLPack, …) the tests guard; `explicit_transfer` tells that guard when a transfer is meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from portml.backends.backend import Backend, Memory
from portml.backends.namespaces import Library, register_library
from portml.errors import MissingDependencyError

try:
    import array_api_strict as strict
except ImportError as error:
    raise MissingDependencyError(
        'the strict backend needs array-api-strict, which is not installed: pip install "portml[dev]"'
    ) from error

__all__ = ["StrictBackend", "explicit_transfer", "open_backend"]

explicit_transfer: ContextVar[bool] = ContextVar("portml_explicit_transfer", default=False)

HOST = strict.Device("CPU_DEVICE")
DEVICE = strict.Device("device1")
ARRAY = type(strict.asarray(0.0))

register_library(ARRAY, Library("strict", strict, has_devices=True))


class StrictBackend(Backend):
    """Arrays of array-api-strict on one of its pretended devices."""

    name = "strict"
    xp = strict

    def __init__(self, device: Any) -> None:
        self.device = device

    def asarray(self, data: Any, dtype: Any = None, copy: bool | None = None) -> Any:
        """Bring `data` to this device; see `Backend.asarray`."""
        if isinstance(data, ARRAY) and data.device != self.device:
            with _transfer():
                data = data.to_device(self.device)
        return super().asarray(data, dtype, copy)

    def to_numpy(self, x: Any) -> np.ndarray[Any, Any]:
        """Copy to the host."""
        with _transfer():
            return np.array(x.to_device(HOST))

    def synchronize(self) -> None:
        """Nothing to wait for: the device is only pretended."""

    def memory(self) -> Memory:
        """Nothing is known of a pretended device."""
        return Memory(0, 0)

    def _owns(self, data: Any) -> bool:
        return isinstance(data, ARRAY)

    def _from_host(self, data: np.ndarray[Any, Any], dtype: Any) -> Any:
        with _transfer():
            return strict.asarray(data, dtype=dtype, device=self.device, copy=True)


def open_backend(device: Any = None) -> Backend:
    """The strict backend, on "device1" unless told otherwise."""
    return StrictBackend(DEVICE if device is None else device)


@contextmanager
def _transfer() -> Iterator[None]:
    token = explicit_transfer.set(True)
    try:
        yield
    finally:
        explicit_transfer.reset(token)
