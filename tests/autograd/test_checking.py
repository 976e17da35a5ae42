"""The check of gradients against central differences: what it accepts, what it refuses, what it says."""

from __future__ import annotations

import numpy as np
import pytest

from portml.autograd import Tensor, check_gradients, stop_gradient
from portml.backends import Backend, get_backend, namespace
from portml.backends import operations as xp
from portml.errors import ArgumentError, DtypeError, GradientError


def cubes(x):
    return x * x * x


def half_forgotten(x):
    """x^3 whose gradient is only that of one factor."""
    return x * stop_gradient(x * x)


@pytest.mark.parametrize("directional", [False, True])
@pytest.mark.parametrize("order", [1, 2])
def test_right_gradients_pass(backend: Backend, order: int, directional: bool) -> None:
    assert check_gradients(cubes, backend.asarray([1.0, -2.0]), order=order, directional=directional) is True


@pytest.mark.parametrize("directional", [False, True])
def test_wrong_gradients_are_refused(backend: Backend, directional: bool) -> None:
    with pytest.raises(GradientError, match="differs from central differences"):
        check_gradients(half_forgotten, backend.asarray([1.0, -2.0]), directional=directional)


def test_the_message_shows_both_values_and_where_they_differ() -> None:
    with pytest.raises(GradientError) as caught:
        check_gradients(lambda a, b: half_forgotten(b) + 0 * a, (np.ones(2), np.asarray([[2.0, 1.0]])))
    message = str(caught.value)
    assert "element 0 of input 1, of shape (1, 2)" in message
    assert "+1.2000" in message
    assert "+4.0000" in message


def test_second_order_finds_what_first_order_does_not() -> None:
    def loses_its_history(x):
        return xp.multiply(x, x)

    kernel = xp.operation("multiply")
    rules = kernel.rules
    kernel.rules = tuple(lambda g, y, a, b, rule=rule: stop_gradient(rule(g, y, a, b)) for rule in rules)
    try:
        assert check_gradients(loses_its_history, np.asarray([1.0, 2.0]))
        with pytest.raises(GradientError, match="the second derivative with respect to"):
            check_gradients(loses_its_history, np.asarray([1.0, 2.0]), order=2)
    finally:
        kernel.rules = rules


@pytest.mark.parametrize("directional", [False, True])
def test_complex_functions_are_checked_in_both_parts(backend: Backend, directional: bool) -> None:
    z = backend.asarray([1.0 + 0.5j, -0.7 + 2.0j])
    assert check_gradients(lambda z: xp.exp(z) * xp.conj(z), z, order=2, directional=directional)
    with pytest.raises(GradientError):
        check_gradients(lambda z: z * stop_gradient(xp.conj(z)), z, directional=directional)


def test_real_functions_of_complex_numbers_and_the_other_way_round() -> None:
    assert check_gradients(xp.abs, np.asarray([1 + 1j]), order=2)
    assert check_gradients(lambda x: xp.multiply(x, 1j * np.ones(2)), np.asarray([1.0, 2.0]), order=2)


def test_several_inputs_and_results_of_any_shape() -> None:
    def f(a, b, n):
        return a * b, (xp.sum(b), xp.astype(xp.round(a), namespace(a).int64))[0], n * a

    assert check_gradients(f, (np.ones((2, 1)) * 1.2, np.asarray(3.0), 3), order=2)


def test_results_that_hold_no_fractions_are_passed_over() -> None:
    assert check_gradients(lambda x: (x * x, xp.argmax(x)), np.asarray([1.0, 2.0]))
    with pytest.raises(GradientError, match="returns nothing that holds fractions"):
        check_gradients(xp.argmax, np.asarray([1.0, 2.0]))


def test_integers_and_tensors_without_gradient_stay_constant() -> None:
    constant = Tensor(np.asarray([1.0, 2.0]))
    assert check_gradients(lambda x, c, i: xp.take(x * c, i), (np.asarray([3.0, 4.0]), constant, np.asarray([1, 1])))
    # The gradient with respect to the constant is wrong, and nobody asks for it.
    assert check_gradients(lambda x, c: x * stop_gradient(c), (np.asarray([3.0, 4.0]), constant))


def test_a_result_that_does_not_depend_on_an_input_has_gradient_zero() -> None:
    assert check_gradients(lambda a, b: a * a, (np.ones(2), np.ones(3)), order=2)
    assert check_gradients(lambda a: Tensor(np.ones(2)), np.ones(2))


def test_an_input_given_back_unchanged_passes() -> None:
    assert check_gradients(lambda a: a, np.ones(2), order=2)


def test_single_precision_is_refused() -> None:
    with pytest.raises(DtypeError, match=r"inputs\[0\].*float64.*got float32"):
        check_gradients(cubes, np.ones(2, dtype=np.float32))


def test_single_precision_is_refused_on_a_device() -> None:
    with pytest.raises(DtypeError, match="float32"):
        check_gradients(cubes, get_backend("strict").asarray([1.0], dtype="float32"))


def test_nothing_to_differentiate_is_refused() -> None:
    with pytest.raises(ArgumentError, match="nothing to differentiate"):
        check_gradients(cubes, np.ones(2, dtype=np.int64))


def test_an_order_that_is_not_known_is_refused() -> None:
    with pytest.raises(ArgumentError, match="order: expected 1 or 2, got 3"):
        check_gradients(cubes, np.ones(2), order=3)


def test_tolerances_decide() -> None:
    def slightly_wrong(x):
        return x * stop_gradient(x) * 1.0 + stop_gradient(x) * x * 1.01 - stop_gradient(x * x) * 1.01

    with pytest.raises(GradientError):
        check_gradients(slightly_wrong, np.asarray([2.0]), rtol=1e-6, atol=1e-8)


def test_no_gradient_is_left_behind() -> None:
    x = Tensor(np.ones(2), requires_grad=True)
    check_gradients(cubes, x, order=2)
    assert x.grad is None
