"""What the comparison of bodies cannot see: that it is the transpose of convolution; derivatives; errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from portml.autograd import check_gradients
from portml.backends import Backend, to_numpy
from portml.backends.kernels.convolution import convolution
from portml.backends.kernels.convolution_transpose import convolution_transpose
from portml.errors import ArgumentError, ShapeError

PLAIN: dict[str, Any] = {
    "stride": (1, 1),
    "padding": ((0, 0), (0, 0)),
    "output_padding": (0, 0),
    "dilation": (1, 1),
    "groups": 1,
}


def drawn(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def test_a_single_element_is_spread_over_its_window(backend: Backend) -> None:
    x, weight = backend.asarray(np.asarray([[[[0.0, 2.0]]]])), backend.asarray(np.asarray([[[[1.0, 10.0]]]]))
    y = convolution_transpose(x, weight, backend.asarray(np.asarray([0.5])), **PLAIN | {"stride": (1, 2)})
    assert to_numpy(y).tolist() == [[[[0.5, 0.5, 2.5, 20.5]]]]


sizes = st.integers(1, 3)


@given(data=st.data())
def test_it_is_the_transpose_of_convolution(data: st.DataObject) -> None:
    """⟨convolution(y, w), x⟩ = ⟨y, transpose(x, w)⟩ for the y of every length that convolution makes an x of."""
    groups, n_in, n_out = data.draw(sizes), data.draw(sizes), data.draw(sizes)
    statics: dict[str, Any] = {
        "stride": (data.draw(sizes), data.draw(sizes)),
        "padding": tuple((data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))) for _ in range(2)),
        "dilation": (data.draw(sizes), data.draw(sizes)),
        "groups": groups,
    }
    weight = drawn(groups * n_in, n_out, data.draw(sizes), data.draw(sizes))
    image = (data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9)))
    y = drawn(2, groups * n_out, *image, seed=1)
    try:
        x = convolution(y, weight, None, **statics)
    except ShapeError:
        assume(False)
    reach = [d * (k - 1) + 1 for d, k in zip(statics["dilation"], weight.shape[2:], strict=True)]
    full = zip(image, statics["padding"], reach, statics["stride"], strict=True)
    more = tuple((length + sum(pair) - extent) % stride for length, pair, extent, stride in full)
    back = convolution_transpose(x, weight, None, **statics, output_padding=more)
    assert back.shape == y.shape
    np.testing.assert_allclose(np.sum(x * x), np.sum(y * back), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    ("x", "weight", "statics"),
    [
        ((2, 2, 3, 2), (2, 2, 2, 3), PLAIN | {"stride": (2, 1), "padding": ((1, 0), (0, 1)), "output_padding": (1, 0)}),
        ((1, 4, 2, 3), (4, 2, 2, 2), PLAIN | {"groups": 2, "dilation": (3, 2), "output_padding": (2, 1)}),
    ],
)
def test_gradients_of_both_orders_are_right(
    backend: Backend, x: tuple[int, ...], weight: tuple[int, ...], statics: dict[str, Any], order: int
) -> None:
    bias = (weight[1] * statics["groups"],)
    inputs = [backend.asarray(drawn(*shape, seed=seed)) for seed, shape in enumerate((x, weight, bias))]
    check_gradients(lambda *given: convolution_transpose(*given, **statics), inputs, order=order, directional=True)


@pytest.mark.parametrize(
    ("x", "weight", "changes", "error", "says"),
    [
        ((1, 2, 3, 3), (3, 2, 2, 2), {}, ShapeError, r"x \(1, 2, 3, 3\) has 2 channels, so that weight must be \(2"),
        ((1, 2, 3, 3), (2, 2, 2), {}, ShapeError, "the same number of spatial axes"),
        ((1, 2, 3, 3), (2, 2, 2, 2), {"groups": 3}, ArgumentError, "groups=3 must be positive and divide the 2"),
        ((1, 2, 3, 3), (2, 2, 2, 2), {"stride": (1,)}, ArgumentError, r"stride=\(1,\)"),
        (
            (1, 2, 3, 3),
            (2, 2, 2, 2),
            {"output_padding": (1, 0)},
            ArgumentError,
            r"output_padding=\(1, 0\) must be less",
        ),
        ((1, 2, 3, 3), (2, 2, 2, 2), {"output_padding": (-1, 0)}, ArgumentError, r"output_padding=\(-1, 0\)"),
        ((1, 2, 3, 3), (2, 2, 2, 2), {"padding": ((-1, 0), (0, 0))}, ArgumentError, r"padding=\(\(-1, 0\)"),
        ((1, 2, 1, 1), (2, 2, 2, 2), {"padding": ((1, 1), (0, 0))}, ShapeError, r"a result of \(0, 2\)"),
        ((1, 2, 0, 1), (2, 2, 2, 2), {}, ShapeError, "take a larger input"),
        ((1, 2, 3, 3), (2, 0, 2, 2), {}, ShapeError, "an axis without elements"),
    ],
)
def test_what_does_not_fit_is_refused(
    backend: Backend,
    x: tuple[int, ...],
    weight: tuple[int, ...],
    changes: dict[str, Any],
    error: type[Exception],
    says: str,
) -> None:
    arrays = (backend.asarray(np.zeros(x)), backend.asarray(np.zeros(weight)))
    with pytest.raises(error, match=says):
        convolution_transpose(*arrays, None, **PLAIN | changes)


def test_a_bias_of_another_length_is_refused(backend: Backend) -> None:
    x, weight, bias = (backend.asarray(np.zeros(shape)) for shape in ((1, 2, 3, 3), (2, 2, 2, 2), (2,)))
    with pytest.raises(ShapeError, match=r"expected a bias of \(4,\)"):
        convolution_transpose(x, weight, bias, **PLAIN | {"groups": 2})
