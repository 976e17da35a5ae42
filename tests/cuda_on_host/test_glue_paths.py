"""Ways through the glue that the cases of kernels do not take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portml.backends import kernel_table
from portml.backends.cuda import convolution, rows
from portml.backends.cuda.class_loss import LABEL_WEIGHTS, NLL_LOSS
from portml.backends.cuda.launch import launch
from portml.errors import DtypeError, RangeError, ShapeError
from tests.cuda_on_host.library import HostLibrary
from tests.tolerances import assert_close

KERNELS = kernel_table()
GENERATOR = np.random.default_rng(0)
FLAT = {"stride": (1, 2), "padding": ((1, 0), (1, 1)), "dilation": (1, 1), "groups": 2}


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return np.asarray(GENERATOR.standard_normal(shape))


def both(name: str, *arguments: Any, **statics: Any) -> tuple[Any, Any]:
    """What the glue and the twin give."""
    kernel = KERNELS[name]
    assert kernel.body is not None
    return kernel.table["cupy"](*arguments, **statics), kernel.body(*arguments, **statics)


@pytest.mark.parametrize("portion", [1, 2, 4])
def test_convolution_in_portions_of_samples_is_the_whole(
    cuda_on_host: HostLibrary, monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    x, weight, bias = normal(5, 4, 6, 7), normal(6, 2, 3, 2), normal(6)
    y = KERNELS["convolution"].function(x, weight, bias, **FLAT)
    of_one_sample = 4 * 6 * y[0, 0].size * 8
    monkeypatch.setattr(convolution, "COLUMN_BYTES", portion * of_one_sample)
    assert_close(*both("convolution", x, weight, bias, **FLAT), "reduction")
    g, needs = normal(*y.shape), (True, True, True)
    assert_close(*both("convolution_backward", g, (), x, weight, bias, needs=needs, **FLAT), "gradient")


def test_more_than_three_spatial_axes_are_left_to_the_twin(cuda_on_host: HostLibrary) -> None:
    x, weight = normal(2, 2, 3, 4, 3, 4), normal(3, 2, 2, 2, 2, 2)
    settings = {"stride": (1,) * 4, "padding": ((0, 0),) * 4, "dilation": (1,) * 4, "groups": 1}
    y = KERNELS["convolution"].function(x, weight, None, **settings)
    assert_close(*both("convolution", x, weight, None, **settings), "reduction")
    needs = (True, True, False)
    assert_close(*both("convolution_backward", y, (), x, weight, None, needs=needs, **settings), "gradient")
    sizes = {"kernel_size": (2,) * 4, "stride": (1,) * 4, "padding": (0,) * 4, "ceil_mode": False}
    dilated = sizes | {"dilation": (1,) * 4}
    y, chosen = KERNELS["max_pool_saving"].function(x, **dilated)
    assert_close(*both("max_pool", x, **dilated), "exact")
    assert_close(*both("max_pool_saving", x, **dilated), "exact")
    assert_close(*both("max_pool_backward", y, chosen, x, needs=(True,), **dilated), "gradient")
    counting = sizes | {"count_include_pad": True}
    assert_close(*both("avg_pool", x, **counting), "reduction")
    assert_close(*both("avg_pool_saving", x, **counting), "reduction")
    assert_close(*both("avg_pool_backward", y, (), x, needs=(True,), **counting), "gradient")
    size = {"output_size": (2, 3, 2, 3)}
    y, chosen = KERNELS["adaptive_max_pool"].function(x, **size)
    assert_close(*both("adaptive_max_pool", x, **size), "exact")
    g = ((y, chosen), (y, chosen))
    assert_close(*both("adaptive_max_pool_backward", *g, x, needs=(True,), **size), "gradient")


@pytest.mark.parametrize("dtype", ["int64", "float16"])
def test_dtypes_without_a_cuda_kernel_are_left_to_the_twin(cuda_on_host: HostLibrary, dtype: str) -> None:
    x = np.asarray([[-2, 0, 3]], dtype=dtype)
    assert_close(*both("relu", x))
    out = np.zeros_like(x)
    assert KERNELS["relu"].table["cupy"](x, out=out) is out
    assert_close(out, np.maximum(x, 0))
    with pytest.raises(ShapeError):
        KERNELS["relu"].table["cupy"](x, out=np.zeros((2,), dtype=dtype))
    with pytest.raises(DtypeError):
        KERNELS["relu"].table["cupy"](x, out=np.zeros(x.shape, dtype="float32"))


def test_an_index_out_of_range_reads_nan(cuda_on_host: HostLibrary) -> None:
    weight, y = np.arange(6.0).reshape(3, 2), np.zeros((5, 2))
    launch(rows.EMBEDDING, weight, np.asarray([0, -1, 2, 3, 10**12]), 3, 2, y, size=10)
    np.testing.assert_array_equal(y[[0, 2]], weight[[0, 2]])
    assert np.isnan(y[[1, 3, 4]]).all()


def test_an_index_out_of_range_adds_nan_to_the_nearest_row(cuda_on_host: HostLibrary) -> None:
    indices = np.asarray([1, 5, 1, 0])
    y = KERNELS["index_add"].table["cupy"](np.ones((4, 3)), indices, n=3)
    np.testing.assert_array_equal(y[:, 0], [1, 2, np.nan])


def test_a_label_out_of_range_makes_the_loss_of_its_row_nan(cuda_on_host: HostLibrary) -> None:
    log_probabilities, labels = -np.ones((4, 3)), np.asarray([2, 3, -1, -100])
    losses, weights = np.zeros((4,)), np.zeros((4,))
    launch(NLL_LOSS, log_probabilities, labels, None, -100, 3, 1, losses, weights, size=4)
    np.testing.assert_array_equal(losses, [1, np.nan, np.nan, 0])
    launch(LABEL_WEIGHTS, labels, None, -100, 3, weights, size=4)
    np.testing.assert_array_equal(weights, [1, np.nan, np.nan, 0])


def test_a_label_out_of_range_is_never_wrapped_by_cross_entropy(
    cuda_on_host: HostLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, labels = normal(4, 3), np.asarray([2, 3, -1, -100])
    settings = {"reduction": "none", "label_smoothing": 0.1, "ignore_index": -100}
    with pytest.raises(RangeError):
        KERNELS["cross_entropy"].table["cupy"](logits, labels, None, **settings)
    # As on a device, where nobody looks at the labels.
    monkeypatch.setattr("portml.backends.kernels.labels.readable", lambda array: False)
    y, probabilities = KERNELS["cross_entropy_saving"].table["cupy"](logits, labels, None, **settings)
    np.testing.assert_array_equal(np.isnan(y), [False, True, True, False])
    assert_close(*both("cross_entropy", logits, labels, None, **settings), "reduction")
    given = (np.ones((4,)), probabilities, logits, labels, None)
    assert_close(*both("cross_entropy_backward", *given, needs=(True, False, False), **settings), "gradient")


def test_layer_norm_over_other_axes_is_left_to_the_twin(cuda_on_host: HostLibrary) -> None:
    x, out = normal(3, 4, 5), np.zeros((3, 4, 5))
    statics = {"axes": (0, 1), "eps": 1e-5}
    KERNELS["layer_norm"].table["cupy"](x, None, None, **statics, out=out)
    assert_close(out, KERNELS["layer_norm"].function(x, None, None, **statics), "reduction")
