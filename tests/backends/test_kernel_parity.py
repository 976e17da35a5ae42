"""Every kernel gives the same on every backend, whichever body runs; the cases stand in `tests.backends.cases`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest

from portml.backends import Backend, device_of, get_backend, kernel_table, library_of
from tests.backends.kernel_cases import DTYPES, Case, all_kernel_cases, mapped
from tests.tolerances import assert_close

CASES = all_kernel_cases()
KERNELS = kernel_table()
TESTED = sorted(KERNELS.keys() & CASES.keys())
IN_PLACE = [name for name in TESTED if CASES[name].in_place]

# A view is not written anywhere.
WRITTEN = [name for name in TESTED if KERNELS[name].kind != "view"]

each_kernel = pytest.mark.parametrize("name", TESTED)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def test_every_kernel_has_cases() -> None:
    assert not KERNELS.keys() - CASES.keys(), "write cases for these in tests/backends/cases"


@each_dtype
@each_kernel
def test_a_kernel_agrees_with_its_twin_on_numpy(backend: Backend, name: str, dtype: str) -> None:
    for case, expected in twin_results(name, dtype):
        with noting(case):
            given, untouched = case.on(backend), case.on(backend)
            actual = KERNELS[name].function(*given.arguments, **given.statics)
            assert_close(actual, expected, CASES[name].tolerance, same_backend=False)
            check_home(actual, backend)
            if KERNELS[name].kind != "write":
                assert_close(given.arguments, untouched.arguments, "exact")


@each_dtype
@pytest.mark.parametrize("name", WRITTEN)
def test_out_receives_what_the_pure_call_returns(backend: Backend, name: str, dtype: str) -> None:
    for case in CASES[name].drawn(dtype):
        with noting(case):
            given = case.on(backend)
            expected = KERNELS[name].function(*given.arguments, **given.statics)
            out = mapped(lambda array: backend.full(array.shape, 7, array.dtype), expected)
            given = case.on(backend)
            returned = KERNELS[name].function(*given.arguments, **given.statics, out=out)
            assert_close(out, expected, CASES[name].tolerance)
            assert returned is out


@each_dtype
@pytest.mark.parametrize("name", IN_PLACE)
def test_results_may_be_written_over_the_arguments_they_replace(backend: Backend, name: str, dtype: str) -> None:
    for case in CASES[name].drawn(dtype):
        with noting(case):
            given = case.on(backend)
            expected = KERNELS[name].function(*given.arguments, **given.statics)
            out = replaced(CASES[name].in_place, given)
            KERNELS[name].function(*given.arguments, **given.statics, out=out)
            assert_close(out, expected, CASES[name].tolerance)


@pytest.mark.parity
@each_dtype
@each_kernel
def test_two_backends_agree(parity: tuple[Backend, Backend], name: str, dtype: str) -> None:
    for case in CASES[name].drawn(dtype):
        with noting(case):
            calls = [case.on(backend) for backend in parity]
            one, other = (KERNELS[name].function(*call.arguments, **call.statics) for call in calls)
            assert_close(one, other, CASES[name].tolerance, same_backend=False)


def agnostic(name: str, case: Case) -> Any:
    """What the twin gives."""
    body = KERNELS[name].body
    assert body is not None
    with np.errstate(all="ignore"):
        return body(*case.arguments, **case.statics)


@cache
def twin_results(name: str, dtype: str) -> list[tuple[Case, Any]]:
    """The cases of a kernel, and what its twin gives for each on NumPy; not to be written to."""
    numpy = get_backend("numpy")
    results = []
    for case in CASES[name].drawn(dtype):
        with noting(case):
            results.append((case, agnostic(name, case.on(numpy))))
    return results


def check_home(result: Any, backend: Backend) -> None:
    """Check that every array of a result is the backend's."""

    def check(array: Any) -> Any:
        assert library_of(array).name == backend.name, f"{type(array).__name__} is no array of {backend.name}"
        assert device_of(array) == backend.device, f"on {device_of(array)}, expected {backend.device}"

    mapped(check, result)


def replaced(in_place: tuple[int, ...], case: Case) -> Any:
    """The arguments that the results replace, in the form of the result."""
    arrays = tuple(case.arguments[position] for position in in_place)
    return arrays if len(arrays) > 1 else arrays[0]


@contextmanager
def noting(case: Case) -> Iterator[None]:
    """Say in which case something failed; infinities and NaN are meant, so NumPy need not warn of them."""
    try:
        with np.errstate(all="ignore"):
            yield
    except Exception as error:
        error.add_note(f"in the case {case}")
        raise
