"""What all data sets that are drawn share: where they are drawn, and where they go.

They are drawn on the host, so that a seed gives the same bits whatever backend they are for.
"""

from __future__ import annotations

import secrets
from numbers import Integral
from typing import Any

import numpy as np

from portml.backends import Array, get_backend
from portml.errors import ArgumentError
from portml.random import Generator

__all__ = ["HostArray", "checked_count", "delivered", "host_generator", "shuffled_rows"]

HostArray = np.ndarray[Any, Any]


def host_generator(random_state: Any) -> Generator:
    """A generator on the host.

    Parameters
    ----------
    random_state : None, int or Generator
        None draws a seed from the system.

    Raises
    ------
    ArgumentError
        If it is none of these, or a generator that draws elsewhere.
    """
    if isinstance(random_state, Generator):
        if not random_state.backend.host:
            raise ArgumentError(
                f"random_state: data sets are drawn on the host, got a generator on {random_state.backend.name}; "
                "pass its seed"
            )
        return random_state
    if random_state is None:
        return Generator(secrets.randbits(63), backend="numpy")
    if not isinstance(random_state, Integral) or isinstance(random_state, bool) or random_state < 0:
        raise ArgumentError(
            f"random_state: expected None, an integer of at least 0 or a Generator, got {random_state!r}"
        )
    return Generator(int(random_state), backend="numpy")


def delivered(backend: Any, dtype: str, X: HostArray, *others: HostArray) -> tuple[Array, ...]:
    """Bring arrays to a backend, those of floating-point numbers in `dtype`."""
    opened = get_backend(backend)
    return tuple(opened.asarray(array, dtype=dtype if array.dtype.kind == "f" else None) for array in (X, *others))


def shuffled_rows(generator: Generator, X: HostArray, y: HostArray) -> tuple[HostArray, HostArray]:
    """The samples in random order."""
    order = generator.permutation(len(X))
    return X[order], y[order]


def checked_count(name: str, value: Any, least: int = 1) -> int:
    """An integer of at least `least`.

    Raises
    ------
    ArgumentError
        If it is none.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ArgumentError(f"{name}: expected an integer of at least {least}, got {value!r}")
    return int(value)
