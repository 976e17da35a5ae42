"""The overrides for CuPy, glue and CUDA source, executed on the host and compared with their twins."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from portml.backends import get_backend, kernel_table
from portml.backends.cuda import all_cuda_kernels
from tests.backends.kernel_cases import DTYPES, Case, all_kernel_cases, mapped
from tests.backends.test_kernel_parity import noting, replaced, twin_results
from tests.cuda_on_host.library import HostLibrary
from tests.tolerances import assert_close

CASES = all_kernel_cases()
KERNELS = kernel_table()
GLUED = sorted(name for name, kernel in KERNELS.items() if "cupy" in kernel.table and name in CASES)
IN_PLACE = [name for name in GLUED if CASES[name].in_place]

each_kernel = pytest.mark.parametrize("name", GLUED)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


@each_dtype
@each_kernel
def test_glue_and_source_agree_with_the_twin(cuda_on_host: HostLibrary, name: str, dtype: str) -> None:
    for case, expected in twin_results(name, dtype):
        with noting(case):
            given, untouched = _host(case), _host(case)
            actual = _glue(name)(*given.arguments, **given.statics)
            assert_close(actual, expected, CASES[name].tolerance)
            if KERNELS[name].kind != "write":
                assert_close(given.arguments, untouched.arguments, "exact")


@each_dtype
@each_kernel
def test_glue_takes_arrays_that_are_not_contiguous(cuda_on_host: HostLibrary, name: str, dtype: str) -> None:
    for case, expected in twin_results(name, dtype):
        with noting(case):
            strided = Case(mapped(_strided, _host(case).arguments), case.statics)
            actual = _glue(name)(*strided.arguments, **strided.statics)
            assert_close(actual, expected, CASES[name].tolerance)


@each_dtype
@pytest.mark.parametrize("name", [name for name in GLUED if KERNELS[name].writes_out(KERNELS[name].table["cupy"])])
def test_glue_writes_into_out_contiguous_or_not(cuda_on_host: HostLibrary, name: str, dtype: str) -> None:
    for case, expected in twin_results(name, dtype):
        for form in (_same_layout, _strided):
            with noting(case):
                given = _host(case)
                out = mapped(lambda array, form=form: form(np.full_like(np.asarray(array), 7)), expected)
                _glue(name)(*given.arguments, **given.statics, out=out)
                assert_close(out, expected, CASES[name].tolerance)


@each_dtype
@pytest.mark.parametrize("name", IN_PLACE)
def test_glue_writes_over_the_arguments_it_replaces(cuda_on_host: HostLibrary, name: str, dtype: str) -> None:
    for case, expected in twin_results(name, dtype):
        with noting(case):
            given = _host(case)
            out = replaced(CASES[name].in_place, given)
            _glue(name)(*given.arguments, **given.statics, out=out)
            assert_close(out, expected, CASES[name].tolerance)


def test_every_cuda_kernel_is_executed_by_some_case(cuda_on_host: HostLibrary) -> None:
    entries = {kernel.entry(T) for kernel, T in all_cuda_kernels()}
    for name, dtype in itertools.product(GLUED, DTYPES):
        if entries <= cuda_on_host.executed:
            break  # by the tests above, where they ran in this process
        for case in CASES[name].drawn(dtype):
            with noting(case):
                given = _host(case)
                _glue(name)(*given.arguments, **given.statics)
    assert sorted(entries - cuda_on_host.executed) == []


def _glue(name: str) -> Callable[..., Any]:
    return KERNELS[name].table["cupy"]


def _host(case: Case) -> Case:
    return case.on(get_backend("numpy"))


def _same_layout(array: Any) -> Any:
    return array


def _strided(array: Any) -> Any:
    """The same values, two elements apart in memory; a single number has only one layout."""
    if array.ndim == 0:
        return array
    spread = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), dtype=array.dtype)
    spread[..., ::2] = array
    return spread[..., ::2]
