from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from portml.backends.cuda import CudaKernel, contiguous, deliver, destination, launch, launcher_registered
from portml.backends.cuda.launch import MOST_BLOCKS, blocks_for
from portml.errors import (
    ArgumentError,
    BackendUnavailableError,
    DtypeError,
    MixedBackendsError,
    PortmlError,
    ShapeError,
)

SCALE = CudaKernel("scale", "const T* x, T* y, T factor, int64 shift", "y[i] = factor * x[i];")
ROWS = CudaKernel("rows_of", "T* y", "y[row] = T(0);", style="block")


class Recorder:
    """A launcher that remembers."""

    def __init__(self) -> None:
        self.calls: list[tuple[CudaKernel, str | None, list[Any], int]] = []

    def __call__(self, kernel: CudaKernel, T: str | None, arguments: list[Any], count: int) -> None:
        self.calls.append((kernel, T, arguments, count))


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    found = Recorder()
    with launcher_registered("numpy", found):
        yield found


@pytest.mark.parametrize(("dtype", "T"), [("float32", "float"), ("float64", "double")])
def test_the_dtype_chooses_the_variant_and_the_scalars(recorder: Recorder, dtype: str, T: str) -> None:
    x, y = np.ones((3, 5), dtype=dtype), np.ones((3, 5), dtype=dtype)
    launch(SCALE, x, y, 0.1, 7, size=15)
    ((kernel, found, arguments, count),) = recorder.calls
    assert (kernel, found, count) == (SCALE, T, 15)
    assert arguments[0] is x
    assert [each.dtype.name for each in arguments[2:]] == [dtype, "int64"]


def test_nothing_is_launched_for_nothing(recorder: Recorder) -> None:
    launch(SCALE, np.ones((0,)), np.ones((0,)), 1.0, 0, size=0)
    assert recorder.calls == []


def test_a_scalar_of_numpy_takes_the_type_of_its_parameter(recorder: Recorder) -> None:
    x = np.ones((4,), dtype="float32")
    launch(SCALE, x, x, np.float64(0.5), np.int32(3), size=4)
    assert [each.dtype.name for each in recorder.calls[0][2][2:]] == ["float32", "int64"]


def test_none_is_a_null_pointer(recorder: Recorder) -> None:
    launch(SCALE, None, np.ones((5,)), 1.0, 0, size=5)
    assert recorder.calls[0][2][0] is None


@pytest.mark.parametrize(
    ("arguments", "extent", "error", "message"),
    [
        ((np.ones((4, 4)).T[:2].T, np.ones((8,)), 1.0, 0), {"size": 8}, ArgumentError, "not C-contiguous"),
        ((np.ones((4,)), np.ones((4,), dtype="float32"), 1.0, 0), {"size": 4}, DtypeError, "y has dtype float32"),
        (
            (np.ones((4,), dtype="int64"), np.ones((4,)), 1.0, 0),
            {"size": 4},
            DtypeError,
            "int64, expected float32, float64",
        ),
        ((np.ones((4,)), np.ones((4,)), np.ones((4,)), 0), {"size": 4}, DtypeError, "factor is a scalar"),
        ((np.ones((4,)), 3.0, 1.0, 0), {"size": 4}, DtypeError, "y expected an array"),
        ((np.ones((4,)), np.ones((4,)), 1.0), {"size": 4}, ArgumentError, "takes 4 arguments"),
        ((None, None, 1.0, 0), {"size": 4}, ArgumentError, "type is unknown"),
        ((np.ones((4,)), np.ones((4,)), 1.0, 0), {"size": -1}, ArgumentError, "at least 0"),
        ((np.ones((4,)), np.ones((4,)), 1.0, 0), {"blocks": 4}, ArgumentError, "size= alone"),
        ((np.ones((4,)), np.ones((4,)), 1.0, 0), {}, ArgumentError, "size= alone"),
    ],
)
def test_what_a_kernel_cannot_take_is_refused(
    recorder: Recorder, arguments: tuple[Any, ...], extent: dict[str, int], error: type[PortmlError], message: str
) -> None:
    with pytest.raises(error, match=message):
        launch(SCALE, *arguments, **extent)
    assert recorder.calls == []


def test_a_block_kernel_wants_blocks(recorder: Recorder) -> None:
    with pytest.raises(ArgumentError, match="blocks= alone"):
        launch(ROWS, np.ones((4,)), size=4)


def test_arrays_of_two_libraries_are_refused(recorder: Recorder) -> None:
    class Flags:
        c_contiguous = True

    class Foreign:
        dtype, shape, flags, device = np.dtype("float64"), (4,), Flags(), "elsewhere"

        def __array_namespace__(self) -> Any:
            return np

    with pytest.raises(MixedBackendsError):
        launch(SCALE, np.ones((4,)), Foreign(), 1.0, 0, size=4)


def test_without_a_launcher_the_error_says_where_kernels_run() -> None:
    with pytest.raises(BackendUnavailableError, match="cupy"):
        launch(SCALE, np.ones((4,)), np.ones((4,)), 1.0, 0, size=4)


def test_indices_beyond_32_bits_are_stepped_over_by_a_bounded_number_of_blocks() -> None:
    assert blocks_for(SCALE, 1) == 1
    assert blocks_for(SCALE, 257) == 2
    assert blocks_for(SCALE, 2**45) == MOST_BLOCKS
    assert blocks_for(ROWS, 3) == 3
    assert blocks_for(ROWS, 2**45) == MOST_BLOCKS


def test_contiguous_copies_only_what_is_not() -> None:
    x = np.arange(12.0).reshape(3, 4)
    assert contiguous(x) is x
    assert contiguous(None) is None
    assert contiguous(x.T).flags.c_contiguous
    assert contiguous(x, np.dtype("float32")).dtype == np.float32
    assert contiguous(x[1, 2:3][0]).shape == ()


def test_a_result_goes_into_out_directly_or_by_a_copy() -> None:
    like, direct, apart = np.ones((3,)), np.zeros((3,)), np.zeros((6,))[::2]
    assert destination(direct, (3,), like.dtype, like) is direct
    made = destination(apart, (3,), like.dtype, like)
    assert made is not apart
    made[...] = 5
    assert deliver(made, apart) is apart
    np.testing.assert_array_equal(apart, 5)


def test_an_out_that_does_not_fit_is_refused() -> None:
    like = np.ones((3,))
    with pytest.raises(ShapeError):
        destination(np.ones((4,)), (3,), like.dtype, like)
    with pytest.raises(DtypeError):
        destination(np.ones((3,), dtype="float32"), (3,), like.dtype, like)
