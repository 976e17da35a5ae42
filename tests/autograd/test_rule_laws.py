"""Laws that hold for the pull-back of any function: linear, additive, of the inputs' shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from portml.autograd import Tensor, grad, vjp
from portml.backends import operations as xp
from tests.autograd.rule_cases import CASES

BINARY = ["add", "subtract", "multiply", "divide", "atan2", "hypot", "maximum", "minimum", "logaddexp", "pow", "where"]
SMOOTH = [xp.sin, xp.exp, xp.tanh, xp.square, lambda x: xp.cumulative_prod(x, axis=-1), lambda x: xp.sort(x, axis=-1)]
numbers = st.floats(-2.0, 2.0, width=32)


def call(name: str, a: object, b: object) -> object:
    return xp.where(xp.less(a, b), a, b) if name == "where" else xp.operation(name).function(a, b)


@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0), data=st.data())
def test_gradients_have_the_shapes_of_broadcast_inputs(shapes: hnp.BroadcastableShapes, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(BINARY))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    inputs = [rng.uniform(0.5, 2.0, shape) for shape in shapes.input_shapes]
    y, pull_back = vjp(lambda a, b: call(name, a, b), *inputs)
    assert y.shape == shapes.result_shape
    gradients = pull_back(np.ones(y.shape))
    assert [gradient.shape for gradient in gradients] == [a.shape for a in inputs]
    assert [gradient.dtype for gradient in gradients] == [a.dtype for a in inputs]


@given(shape=hnp.array_shapes(max_dims=3, max_side=4), data=st.data())
def test_broadcasting_an_input_sums_its_gradient(shape: tuple[int, ...], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(BINARY))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    small, big = rng.uniform(0.5, 2.0, shape[-1:]), rng.uniform(0.5, 2.0, shape)
    g = rng.normal(size=shape)
    by_engine = vjp(lambda a: call(name, a, big), small)[1](g)[0]
    spread = vjp(lambda a: call(name, a, big), np.broadcast_to(small, shape).copy())[1](g)[0]
    np.testing.assert_allclose(by_engine, spread.reshape(-1, shape[-1]).sum(axis=0), rtol=1e-12, atol=1e-12)


@given(data=st.data(), one=numbers, two=numbers)
def test_pulling_back_is_linear_in_the_cotangent(data: st.DataObject, one: float, two: float) -> None:
    case = data.draw(st.sampled_from([case for case in CASES if case.wrapped is None]))
    inputs = [Tensor(a, requires_grad=a.dtype.kind in "fc") if hasattr(a, "dtype") else a for a in case.inputs()]
    leaves = [a for a in inputs if isinstance(a, Tensor) and a.requires_grad]
    results = case(*inputs)
    results = results if isinstance(results, tuple) else (results,)

    def pulled(cotangents: list[np.ndarray]) -> list[np.ndarray]:
        for leaf in leaves:
            leaf.grad = None
        for result, cotangent in zip(results, cotangents, strict=True):
            result.backward(cotangent, retain_graph=True)
        return [leaf.grad.numpy() for leaf in leaves]

    rng = np.random.default_rng(7)
    g, h = ([rng.normal(size=r.shape).astype(str(r.dtype)) for r in results] for _ in range(2))
    together = pulled([one * a + two * b for a, b in zip(g, h, strict=True)])
    apart = zip(pulled(g), pulled(h), strict=True)
    for found, (first, second) in zip(together, apart, strict=True):
        scale = max(1.0, float(np.abs(first).max(initial=0)), float(np.abs(second).max(initial=0)))
        np.testing.assert_allclose(found, one * first + two * second, rtol=1e-9, atol=1e-11 * scale)


@given(
    x=hnp.arrays(np.float64, hnp.array_shapes(max_dims=2, max_side=4), elements=numbers),
    first=st.sampled_from(SMOOTH),
    second=st.sampled_from(SMOOTH),
)
def test_the_gradient_of_a_sum_is_the_sum_of_the_gradients(x: np.ndarray, first: object, second: object) -> None:
    together = grad(lambda x: xp.sum(xp.add(first(x), second(x))))(x)
    apart = grad(lambda x: xp.sum(first(x)))(x) + grad(lambda x: xp.sum(second(x)))(x)
    np.testing.assert_allclose(together, apart, rtol=1e-12, atol=1e-12)


@given(x=hnp.arrays(np.float64, 4, elements=numbers), zeros=st.lists(st.integers(0, 3), max_size=4))
def test_products_with_zeros_are_differentiated_as_polynomials(x: np.ndarray, zeros: list[int]) -> None:
    x[zeros] = 0.0
    expected = [np.prod(np.delete(x, i)) for i in range(4)]
    np.testing.assert_allclose(grad(xp.prod)(x), expected, rtol=1e-12, atol=1e-300)
    last = grad(lambda x: xp.cumulative_prod(x)[-1])(x)
    np.testing.assert_allclose(last, expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13, 64])
def test_running_products_of_any_length_are_differentiated_in_full(n: int) -> None:
    rng = np.random.default_rng(n)
    x, g = rng.normal(size=n), rng.normal(size=n)
    x[n // 2] = 0.0
    jacobian = np.asarray([[np.prod(np.delete(x[: k + 1], i)) if i <= k else 0.0 for i in range(n)] for k in range(n)])
    np.testing.assert_allclose(vjp(xp.cumulative_prod, x)[1](g)[0], g @ jacobian, rtol=1e-10, atol=1e-12)


@given(x=hnp.arrays(np.float64, (2, 5), elements=st.integers(-2, 2).map(float)), data=st.data())
def test_equal_extrema_share_and_the_shares_add_up(x: np.ndarray, data: st.DataObject) -> None:
    function = data.draw(st.sampled_from([xp.max, xp.min]))
    gradient = grad(lambda x: xp.sum(function(x, axis=1)))(x)
    np.testing.assert_allclose(gradient.sum(axis=1), [1.0, 1.0])
    for row, shares in zip(x, gradient, strict=True):
        assert len(set(shares[row == row[np.argmax(shares)]])) == 1
