"""NumPy's bodies cut long arrays into blocks and write where they are told; both on every case of every kernel."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from portml.backends import get_backend, kernel_table
from portml.backends._numpy import _ELSEWHERE, blocks
from tests.backends.kernel_cases import DTYPES, Case, all_kernel_cases, mapped
from tests.tolerances import assert_close

TOPICS = (
    "activation",
    "class_loss",
    "dropout",
    "feature_normalisation",
    "gated_activation",
    "group_normalisation",
    "linear",
    "loss",
    "normalisation",
    "optimizer",
    "pair_loss",
    "piecewise_activation",
    "smooth_activation",
)
CASES = all_kernel_cases()
KERNELS = kernel_table()


def topic(name: str) -> str | None:
    """The module of NumPy's body of a kernel."""
    override = KERNELS[name].table.get("numpy")
    return None if override is None else override.__module__.rpartition(".")[2]


OVERRIDDEN = sorted(name for name in KERNELS if topic(name) in TOPICS)


@pytest.fixture
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks of four elements, and no array so small that it is done by a plain call."""
    for name, module in list(sys.modules.items()):
        if name.startswith("portml.backends._numpy."):
            for constant, value in (("BLOCK", 4), ("SMALL", 0)):
                if constant in vars(module):
                    monkeypatch.setattr(module, constant, value)
    forget()
    yield
    forget()


def forget() -> None:
    """Let go of memory that has the size of a block."""
    blocks._scratch.blocks.clear()
    blocks.block_of.cache_clear()


def test_there_are_overrides_of_every_topic() -> None:
    assert {topic(name) for name in OVERRIDDEN} == set(TOPICS)


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OVERRIDDEN)
def test_the_size_of_the_blocks_does_not_matter(name: str, dtype: str) -> None:
    kernel, cases, numpy = KERNELS[name], CASES[name], get_backend("numpy")
    assert kernel.body is not None
    for case in cases.drawn(dtype):
        with noting(case):
            given, again = case.on(numpy), case.on(numpy)
            expected = kernel.body(*given.arguments, **given.statics)
            assert_close(kernel.function(*again.arguments, **again.statics), expected, cases.tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OVERRIDDEN)
def test_results_are_written_into_scattered_arrays(name: str, dtype: str) -> None:
    kernel, cases, numpy = KERNELS[name], CASES[name], get_backend("numpy")
    for case in cases.drawn(dtype):
        with noting(case):
            given = case.on(numpy)
            expected = kernel.function(*given.arguments, **given.statics)
            out = mapped(scattered, expected)
            kernel.function(*given.arguments, **given.statics, out=out)
            assert_close(out, expected, cases.tolerance)


@contextmanager
def noting(case: Case) -> Iterator[None]:
    """Say in which case something failed; infinities and NaN are meant, so NumPy need not warn of them."""
    try:
        with np.errstate(all="ignore"):
            yield
    except Exception as error:
        error.add_note(f"in the case {case}")
        raise


def scattered(array: Any) -> np.ndarray:
    """An array of this shape with axes in reverse order and gaps between elements: it has no flat view."""
    if array.ndim == 0:
        return np.full((), 7, array.dtype)
    return np.full((2 * array.shape[-1], *array.shape[-2::-1]), 7, array.dtype)[::2].T


@pytest.mark.parametrize("name", sorted(kernel_table()))
def test_an_override_is_in_a_file_that_is_loaded_with_its_topic(name: str) -> None:
    kernel = kernel_table()[name]
    if "numpy" in kernel.table and kernel.topic:
        home = kernel.table["numpy"].__module__.rpartition(".")[2]
        places = _ELSEWHERE.get(kernel.topic, (kernel.topic,))
        assert home in (*places, kernel.body.__module__.rpartition(".")[2])
