"""Slots: the small device arrays that hold what changes at every step.

A learning rate, Adam's bias corrections, the counter of a random stream: each is worked out on the host in float64 and
refilled before a step, so that a recorded step can be replayed with new values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from portml.backends.backend import Backend
from portml.backends.kernel import kernel
from portml.backends.namespaces import Array, namespace

__all__ = ["Slot", "fill_slot"]


@kernel(kind="write", differentiable=False)
def fill_slot(array: Array, *, values: Callable[[], Any]) -> Array:
    """Write ``values()`` into `array`; at the doorway, so that a recording calls it again at every replay."""
    array[...] = namespace(array).asarray(values(), dtype=array.dtype, device=array.device)
    return array


@fill_slot.on("numpy")
def _(array: Array, *, values: Callable[[], Any]) -> Array:
    array[...] = values()
    return array


class Slot:
    """A small array on the device, refilled from the host before each step.

    Parameters
    ----------
    backend : Backend
    compute : callable
        Gives the values of the next step as a sequence of Python numbers; called at each `refill`.
    size : int
    dtype : str or dtype

    Attributes
    ----------
    array : array (size,)
        Always the same array, so that kernels and recordings can hold on to it.
    """

    def __init__(self, backend: Backend, compute: Callable[[], Sequence[Any]], size: int, dtype: Any) -> None:
        self.array = backend.zeros((size,), dtype)
        self._backend = backend
        self._compute = compute
        self._host = np.zeros((size,), dtype=np.uint64 if "uint" in str(dtype) else np.float64)

    def refill(self) -> Array:
        """Compute the next values and write them to the device."""
        return fill_slot(self.array, values=self._values)

    def _values(self) -> Any:
        self._host[:] = self._compute()
        return self._host if self._backend.host else self._backend.asarray(self._host, dtype=self.array.dtype)
