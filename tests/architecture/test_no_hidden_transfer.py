"""The guard against hidden transfers catches every leak, and lets what is meant pass."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest

from portml.backends import get_backend, to_numpy
from tests.no_hidden_transfer import HiddenTransferError, guarded, permitted

DEVICE = get_backend("strict").device

# The leaks that array-api-strict has by itself on its second device; each is one line that a kernel could contain.
LEAKS: dict[str, Callable[[], Any]] = {
    "float": lambda: float(scalar(1.5)),
    "bool": lambda: bool(scalar(True)),
    "int": lambda: int(scalar(1)),
    "complex": lambda: complex(scalar(1j)),
    "index": lambda: operator.index(scalar(1)),
    "range": lambda: range(scalar(1)),
    "if": lambda: "positive" if scalar(1.5) > 0 else "negative",
    "in": lambda: 2.0 in vector(),
    "max": lambda: max(vector()),
    "iteration": lambda: list(vector()),
    "unpacking": lambda: [*vector()],
    "numpy.asarray": lambda: np.asarray(vector()),
    "numpy.from_dlpack": lambda: np.from_dlpack(vector()),
    "dlpack": lambda: vector().__dlpack__(),
    "to_device": lambda: vector().to_device(strict.Device("CPU_DEVICE")),
    "mask in getitem": lambda: vector()[vector() > 1],
    "mask in setitem": lambda: vector().__setitem__(vector() > 1, 0.0),
    "nonzero": lambda: strict.nonzero(vector()),
    "unique_all": lambda: strict.unique_all(vector()),
    "unique_counts": lambda: strict.unique_counts(vector()),
    "unique_inverse": lambda: strict.unique_inverse(vector()),
    "unique_values": lambda: strict.unique_values(vector()),
    "repeat by an array": lambda: strict.repeat(vector(), strict.asarray([1, 2, 3], device=DEVICE)),
}
IS_NO_LEAK: dict[str, Callable[[], Any]] = {
    "slices": lambda: vector()[1:],
    "integer index": lambda: vector()[0],
    "take": lambda: strict.take(vector(), strict.asarray([0, 2], device=DEVICE)),
    "where": lambda: strict.where(vector() > 1, vector(), 0.0),
    "assignment": lambda: vector().__setitem__(slice(0, 2), 7.0),
    "repeat by a number": lambda: strict.repeat(vector(), 2),
    "shape": lambda: float(vector().shape[0]),
    "printing": lambda: repr(vector()),
    "count_nonzero": lambda: strict.count_nonzero(vector()),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_is_an_error(leak: str) -> None:
    with pytest.raises(HiddenTransferError, match="copies a device array to the host"):
        LEAKS[leak]()


@pytest.mark.transfers("shows what array-api-strict lets through when nobody watches")
@pytest.mark.parametrize("leak", sorted(LEAKS.keys() - {"numpy.asarray"}))  # which it refuses by itself
def test_the_same_leak_passes_unguarded(leak: str) -> None:
    LEAKS[leak]()


@pytest.mark.parametrize("name", IS_NO_LEAK)
def test_what_stays_on_the_device_passes(name: str) -> None:
    IS_NO_LEAK[name]()


def test_an_explicit_transfer_passes() -> None:
    backend = get_backend("strict")
    there = backend.asarray(np.arange(3.0))
    assert to_numpy(there).tolist() == [0.0, 1.0, 2.0]
    assert backend.to_numpy(there).tolist() == [0.0, 1.0, 2.0]


def test_the_guard_is_on_again_after_an_explicit_transfer() -> None:
    to_numpy(vector())
    with pytest.raises(HiddenTransferError):
        float(scalar(1.0))


def test_a_test_may_permit_itself_a_transfer() -> None:
    with permitted():
        assert float(scalar(1.5)) == 1.5
    with pytest.raises(HiddenTransferError):
        float(scalar(1.5))


def test_the_guard_holds_in_other_threads() -> None:
    caught: list[BaseException] = []

    def leak() -> None:
        try:
            float(scalar(1.0))
        except HiddenTransferError as error:
            caught.append(error)

    thread = threading.Thread(target=leak)
    thread.start()
    thread.join()
    assert len(caught) == 1


def test_guards_nest() -> None:
    with guarded(), guarded():
        pass
    with pytest.raises(HiddenTransferError):
        float(scalar(1.0))


def scalar(value: complex) -> Any:
    return strict.asarray(value, device=DEVICE)


def vector() -> Any:
    return strict.asarray([1.0, 2.0, 3.0], device=DEVICE)
