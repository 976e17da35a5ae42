"""What the comparison of bodies cannot see: the formula, the gradient and the errors of the affine map."""

from __future__ import annotations

import numpy as np
import pytest

from portml.autograd import check_gradients
from portml.backends import Backend, to_numpy
from portml.backends.kernels.linear import linear, linear_backward
from portml.errors import ShapeError

RNG = np.random.default_rng(0)


def test_the_weight_has_outputs_first(backend: Backend) -> None:
    y = linear(backend.asarray([[1.0, 2.0]]), backend.asarray([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), None)
    assert to_numpy(y).tolist() == [[1.0, 2.0, 3.0]]


def test_leading_axes_are_one_product(backend: Backend) -> None:
    x, weight, bias = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(5, 4)), RNG.normal(size=5)
    y = linear(backend.asarray(x), backend.asarray(weight), backend.asarray(bias))
    np.testing.assert_allclose(to_numpy(y), x @ weight.T + bias, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (0, 4)])
def test_gradients_are_right_to_the_second_order(backend: Backend, shape: tuple[int, ...], order: int) -> None:
    x, weight, bias = RNG.normal(size=shape), RNG.normal(size=(2, 4)), RNG.normal(size=2)
    check_gradients(linear, [backend.asarray(array) for array in (x, weight, bias)], order=order)
    check_gradients(lambda x, w: linear(x, w, None), [backend.asarray(x), backend.asarray(weight)], order=order)


def test_only_wanted_gradients_are_computed(backend: Backend) -> None:
    g, x, weight, bias = (backend.asarray(np.ones(shape)) for shape in ((3, 2), (3, 4), (2, 4), (2,)))
    dx, dweight, dbias = linear_backward(g, (), x, weight, bias, needs=(False, True, False))
    assert dx is None
    assert dbias is None
    assert dweight.shape == (2, 4)


@pytest.mark.parametrize(
    ("shapes", "named"),
    [
        (((3, 5), (2, 4), (2,)), ["(3, 5)", "(2, 4)"]),
        (((), (2, 4), (2,)), ["()", "(2, 4)"]),
        (((3, 4), (4,), (2,)), ["(3, 4)", "(4,)"]),
        (((3, 4), (2, 4), (4,)), ["(4,)", "(2, 4)"]),
        (((3, 4), (2, 4), (1, 2)), ["(1, 2)", "(2, 4)"]),
    ],
)
def test_shapes_that_do_not_fit_are_named(
    backend: Backend, shapes: tuple[tuple[int, ...], ...], named: list[str]
) -> None:
    with pytest.raises(ShapeError) as caught:
        linear(*(backend.zeros(shape) for shape in shapes))
    assert all(shape in str(caught.value) for shape in named)
