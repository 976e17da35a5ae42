"""What the comparison of bodies cannot see: the papers' numbers, writing in place, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from portml.backends import Backend, to_numpy
from portml.backends.kernels.optimizer import (
    adagrad_step,
    adam_step,
    lion_step,
    nadam_step,
    radam_step,
    rmsprop_step,
    sgd_step,
)
from portml.errors import DtypeError, ShapeError

RNG = np.random.default_rng(0)


def slot(backend: Backend, *values: float) -> Any:
    return backend.asarray(np.asarray(values))


def arrays(backend: Backend, n: int, count: int) -> list[Any]:
    return [backend.asarray(RNG.normal(size=n)) for _ in range(count)]


def test_the_first_step_of_adam_is_the_learning_rate_against_the_sign(backend: Backend) -> None:
    p, g = arrays(backend, 7, 2)
    zero = backend.zeros((7,), "float64")
    h = slot(backend, 0.1 / (1 - 0.9), 1 / math.sqrt(1 - 0.999), 1.0)
    new, m, v, _ = adam_step(p, g, zero, zero, None, h, eps=0.0)
    np.testing.assert_allclose(to_numpy(new), to_numpy(p) - 0.1 * np.sign(to_numpy(g)), rtol=1e-12)
    np.testing.assert_allclose(to_numpy(m), 0.1 * to_numpy(g), rtol=1e-12)
    np.testing.assert_allclose(to_numpy(v), 0.001 * to_numpy(g) ** 2, rtol=1e-12)


def test_epsilon_stands_outside_the_root_and_after_the_correction(backend: Backend) -> None:
    one, zero = backend.asarray([1.0]), backend.asarray([0.0])
    correction = 1 / math.sqrt(1 - 0.999)
    new, *_ = adam_step(zero, one, zero, zero, None, slot(backend, 1 / (1 - 0.9), correction, 1.0), eps=1.0)
    np.testing.assert_allclose(to_numpy(new), [-1 / (1 + 1.0)], rtol=1e-12)
    new, _ = adagrad_step(zero, one, zero, slot(backend, 1.0), eps=1.0)
    np.testing.assert_allclose(to_numpy(new), [-1 / (1 + 1.0)], rtol=1e-12)
    new, *_ = rmsprop_step(zero, one, zero, None, None, slot(backend, 1.0), alpha=0.75, eps=1.0)
    np.testing.assert_allclose(to_numpy(new), [-1 / (0.5 + 1.0)], rtol=1e-12)


def test_decoupled_decay_shrinks_the_parameters_and_leaves_the_moments(backend: Backend) -> None:
    p, g, m = arrays(backend, 5, 3)
    v = backend.asarray(RNG.uniform(0.5, 2, 5))
    plain, decayed = (
        adam_step(p, g, m, v, None, slot(backend, 0.0, 1.0, keep), decoupled=True) for keep in (1.0, 0.75)
    )
    np.testing.assert_allclose(to_numpy(decayed[0]), 0.75 * to_numpy(p), rtol=1e-14)
    for one, other in zip(plain[1:3], decayed[1:3], strict=True):
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other))


def test_amsgrad_divides_by_the_largest_mean_square_so_far(backend: Backend) -> None:
    one, zero = backend.asarray([1.0]), backend.asarray([0.0])
    h = slot(backend, 1.0, 1.0, 1.0)
    new, _, v, peak = adam_step(zero, one, zero, zero, backend.asarray([4.0]), h, beta2=0.5, eps=0.0)
    np.testing.assert_allclose(to_numpy(new), [-0.1 / 2], rtol=1e-12)
    np.testing.assert_allclose([to_numpy(v)[0], to_numpy(peak)[0]], [0.5, 4.0], rtol=1e-12)


def test_lion_steps_by_the_sign_of_what_its_mean_would_become(backend: Backend) -> None:
    p, m, g = (backend.asarray(values) for values in ([1.0, 1.0, 1.0], [-1.0, 1.0, 0.0], [1.0, 1.0, 0.0]))
    new, mean = lion_step(p, g, m, slot(backend, 0.25, 0.5))
    np.testing.assert_array_equal(to_numpy(new), [0.75, 0.25, 0.5])
    np.testing.assert_allclose(to_numpy(mean), [-0.98, 1.0, 0.0], rtol=1e-12)


def test_the_slot_lets_the_first_gradient_in_undamped(backend: Backend) -> None:
    p, g = arrays(backend, 5, 2)
    zero = backend.zeros((5,), "float64")
    _, velocity = sgd_step(p, g, zero, slot(backend, 0.1, 1.0), momentum=0.9)
    np.testing.assert_array_equal(to_numpy(velocity), to_numpy(g))
    _, velocity = sgd_step(p, g, velocity, slot(backend, 0.1, 0.3), momentum=0.9)
    np.testing.assert_allclose(to_numpy(velocity), 1.2 * to_numpy(g), rtol=1e-12)


def test_nesterov_looks_one_step_ahead(backend: Backend) -> None:
    p, g, velocity = arrays(backend, 5, 3)
    new, after = sgd_step(p, g, velocity, slot(backend, 0.1, 1.0), momentum=0.9, nesterov=True)
    expected = to_numpy(p) - 0.1 * (to_numpy(g) + 0.9 * to_numpy(after))
    np.testing.assert_allclose(to_numpy(new), expected, rtol=1e-12)


def test_maximize_is_descent_on_the_opposite(backend: Backend) -> None:
    p, g, velocity = arrays(backend, 5, 3)
    statics: dict[str, Any] = {"momentum": 0.9, "weight_decay": 0.1}
    h = slot(backend, 0.1, 1.0)
    climbed = sgd_step(p, g, velocity, h, maximize=True, **statics)
    descended = sgd_step(p, -g, velocity, h, **statics)
    for one, other in zip(climbed, descended, strict=True):
        np.testing.assert_allclose(to_numpy(one), to_numpy(other), rtol=1e-14)


def test_a_learning_rate_of_zero_moves_nothing(backend: Backend) -> None:
    p, g, m = arrays(backend, 5, 3)
    v = backend.asarray(RNG.uniform(0.5, 2, 5))
    for new, *_ in (
        sgd_step(p, g, m, slot(backend, 0.0, 1.0), momentum=0.9),
        adagrad_step(p, g, v, slot(backend, 0.0)),
        rmsprop_step(p, g, v, None, m, slot(backend, 0.0), momentum=0.9),
        adam_step(p, g, m, v, None, slot(backend, 0.0, 1.5, 1.0)),
        nadam_step(p, g, m, v, slot(backend, 0.0, 0.0, 1.5, 1.0)),
        radam_step(p, g, m, v, slot(backend, 0.0, 1.5, 0.0, 1.0)),
        lion_step(p, g, m, slot(backend, 0.0, 1.0)),
    ):
        np.testing.assert_array_equal(to_numpy(new), to_numpy(p))


def test_a_centred_variance_below_zero_counts_as_zero(backend: Backend) -> None:
    p, g = backend.asarray([0.0]), backend.asarray([1.0])
    new, *_ = rmsprop_step(p, g, backend.asarray([0.0]), backend.asarray([5.0]), None, slot(backend, 1.0), eps=0.5)
    np.testing.assert_allclose(to_numpy(new), [-2.0], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_long_arrays_are_stepped_in_place_as_they_are_apart(dtype: str) -> None:
    n = 2 * 65_536 + 3
    p, g, m, v = (np.asarray(RNG.uniform(0.5, 2, n), dtype) for _ in range(4))
    h = np.asarray([0.1, 1.5, 0.9], dtype)
    expected = adam_step(p, g, m, v, None, h, decoupled=True)
    gradient = g.copy()
    adam_step(p, g, m, v, None, h, decoupled=True, out=(p, m, v, None))
    for one, other in zip((p, m, v), expected[:3], strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(g, gradient)


def test_steps_without_a_state_have_none(backend: Backend) -> None:
    p, g = arrays(backend, 5, 2)
    new, velocity = sgd_step(p, g, None, slot(backend, 0.5, 1.0), out=(backend.zeros((5,), "float64"), None))
    assert velocity is None
    np.testing.assert_allclose(to_numpy(new), to_numpy(p) - 0.5 * to_numpy(g), rtol=1e-14)


def test_states_that_do_not_fit_are_refused(backend: Backend) -> None:
    p, h = backend.zeros((5,)), backend.zeros((3,))
    with pytest.raises(ShapeError, match=r"v has shape \(4,\)"):
        adam_step(p, p, p, backend.zeros((4,)), None, h)
    with pytest.raises(DtypeError, match="m has dtype"):
        adam_step(p, p, backend.zeros((5,), "float64"), p, None, h)
    with pytest.raises(ShapeError, match="slot"):
        adam_step(p, p, p, p, None, backend.zeros((2,)))
    with pytest.raises(DtypeError, match="slot"):
        adam_step(p, p, p, p, None, backend.zeros((3,), "float64"))


def test_results_of_another_length_are_refused() -> None:
    p, h = np.zeros(5, "float32"), np.zeros(3, "float32")
    with pytest.raises(ShapeError, match=r"out= has"):
        adam_step(p, p, p, p, None, h, out=(p, np.zeros(6, "float32"), p, None))
