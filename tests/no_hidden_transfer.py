"""A guard: on the strict backend, reading an array's values on the host is an error unless a transfer is meant.

array-api-strict refuses most of what a GPU array cannot do, but it lets a few things through that would copy to the
host and wait for the device: ``float(x)``, ``if x:``, iteration, DLPack, shapes that depend on data.  `install` closes
these holes for the tests that run inside `guarded`.  `portml.backends.to_numpy` and `Backend.asarray` set
`portml.backends._strict.explicit_transfer` and pass.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import array_api_strict

from portml.backends._strict import explicit_transfer

ARRAY = type(array_api_strict.asarray(0))

READS_VALUES = (
    "__array__",
    "__bool__",
    "__buffer__",
    "__complex__",
    "__dlpack__",
    "__float__",
    "__index__",
    "__int__",
    "__iter__",
    "to_device",
)
"""Methods of an array that bring its values to the host, or to another device."""

DATA_DEPENDENT_SHAPES = (
    "nonzero",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
)
"""Functions whose result's shape is known only once the device has answered."""

_guarding = False
_permitted: ContextVar[bool] = ContextVar("tests_transfer_permitted", default=False)


class HiddenTransferError(AssertionError):
    """Something read a device array's values on the host without saying so."""


def install() -> None:
    """Put the guard's checks into array-api-strict, once in a process, before anything keeps its functions."""
    if hasattr(ARRAY.__float__, "__wrapped__"):
        return
    for name in READS_VALUES:
        if hasattr(ARRAY, name):
            setattr(ARRAY, name, _refusing(getattr(ARRAY, name), f"Array.{name}"))
    for name in DATA_DEPENDENT_SHAPES:
        setattr(array_api_strict, name, _refusing(getattr(array_api_strict, name), name))
    array_api_strict.repeat = _refusing(array_api_strict.repeat, "repeat by an array", _repeats_by_array)
    for name in ("__getitem__", "__setitem__"):
        setattr(ARRAY, name, _refusing(getattr(ARRAY, name), f"a boolean mask in {name}", _has_mask))


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Refuse hidden transfers in every thread while this lasts."""
    global _guarding
    before, _guarding = _guarding, True
    try:
        yield
    finally:
        _guarding = before


@contextlib.contextmanager
def permitted() -> Iterator[None]:
    """Let this thread read values, where the test itself needs to."""
    token = _permitted.set(True)
    try:
        yield
    finally:
        _permitted.reset(token)


def _refusing(
    function: Callable[..., Any], what: str, applies: Callable[..., bool] = lambda *_, **__: True
) -> Callable[..., Any]:
    """`function`, but an error while the guard is on, for the calls to which it applies."""

    @functools.wraps(function)
    def checked(*arguments: Any, **options: Any) -> Any:
        if _guarding and not explicit_transfer.get() and not _permitted.get() and applies(*arguments, **options):
            raise HiddenTransferError(
                f"{what} copies a device array to the host and waits for it; stay on the device, "
                "or say so with portml.backends.to_numpy"
            )
        return function(*arguments, **options)

    return checked


def _has_mask(_: Any, key: Any, *value: Any) -> bool:
    return isinstance(key, ARRAY) and key.dtype == array_api_strict.bool


def _repeats_by_array(_: Any, repeats: Any, **options: Any) -> bool:
    return isinstance(repeats, ARRAY)
