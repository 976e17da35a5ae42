from __future__ import annotations

import re

import pytest

from portml.backends.cuda import CudaKernel, Parameter, all_cuda_kernels, load_overrides
from portml.errors import ArgumentError

DOUBLE = CudaKernel("double_it", "const T* x, T* y, int64 shift, T factor", "y[i] = factor * x[i + shift];")


def test_declarations_are_parsed() -> None:
    assert DOUBLE.parsed == (
        Parameter("T", "x", is_pointer=True, is_constant=True),
        Parameter("T", "y", is_pointer=True, is_constant=False),
        Parameter("int64", "shift"),
        Parameter("T", "factor"),
    )


def test_a_source_holds_the_kernel_under_its_entry_with_the_count_last() -> None:
    source = DOUBLE.source("float")
    assert "typedef float T;" in source
    assert "void portml_double_it_float(const T* x, T* y, const int64 shift, const T factor, const int64 n)" in source
    assert DOUBLE.entry("double") == "portml_double_it_double"


def test_a_kernel_without_types_has_one_variant() -> None:
    kernel = CudaKernel("count_up", "int64* y", "y[i] = i;", types=())
    assert kernel.variants == (None,)
    assert kernel.entry() == "portml_count_up"
    assert "typedef float" not in kernel.source()


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "no name"},
        {"parameters": "const T& x"},
        {"parameters": "const half* x"},
        {"parameters": "T* y, int64 n"},
        {"style": "warp"},
        {"types": ("half",)},
        {"types": ()},
        {"threads": 100},
    ],
)
def test_what_cannot_be_compiled_is_refused(arguments: dict[str, object]) -> None:
    whole = {"name": "some", "parameters": "T* y", "body": "y[i] = T(0);"} | arguments
    with pytest.raises(ArgumentError):
        CudaKernel(**whole)  # type: ignore[arg-type]  # one of them is wrong on purpose


def test_a_type_that_a_kernel_is_not_written_for_is_refused() -> None:
    with pytest.raises(ArgumentError, match="half"):
        DOUBLE.source("half")


def test_every_kernel_of_every_topic_is_enumerated_once() -> None:
    topics = {module.__name__.rpartition(".")[2] for module in load_overrides()}
    assert {"activation", "loss", "normalisation", "optimizer", "random"} <= topics
    entries = [kernel.entry(T) for kernel, T in all_cuda_kernels()]
    assert len(entries) == len(set(entries))
    assert {"portml_adam_step_float", "portml_softmax_by_block_double", "portml_philox_words"} <= set(entries)


def test_no_kernel_uses_what_makes_sums_depend_on_chance_or_needs_a_warp() -> None:
    for kernel, _ in all_cuda_kernels():
        text = kernel.preamble + kernel.body
        assert "__shfl" not in text, kernel.name
        # Integers add up to the same in any order; fractions do not.
        assert set(re.findall(r"atomic\w+\(([^,]*)", text)) <= {"(uint64*)sum"}, kernel.name
        assert "fast_math" not in text, kernel.name
