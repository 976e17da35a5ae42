"""L-BFGS, Newton's method, conjugate gradients and the line search on functions whose minimum is known."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from portml.backends import Backend, to_numpy
from portml.optim.minimise import (
    CurvaturePair,
    Point,
    conjugate_gradient,
    curvature_pair,
    minimise_lbfgs,
    minimise_newton,
    strong_wolfe,
    two_loop_direction,
)
from tests.tolerances import assert_close


def rosenbrock(xp: Any) -> Any:
    """Σ 100 (x_{i+1} - x_i²)² + (1 - x_i)², lowest where all are 1, and its gradient."""

    def value_and_gradient(x: Any) -> tuple[Any, Any]:
        head, tail = x[:-1], x[1:]
        bend = tail - head * head
        zero = xp.zeros_like(x[:1])
        gradient = xp.concat([-400.0 * head * bend - 2.0 * (1.0 - head), zero])
        return xp.sum(100.0 * bend * bend + (1.0 - head) ** 2), gradient + xp.concat([zero, 200.0 * bend])

    return value_and_gradient


def quadratic(backend: Backend, dtype: str, n: int = 7) -> tuple[Any, Any, Any]:
    """½ xᵀAx - bᵀx as (A, b, value_and_gradient)."""
    draw = np.random.default_rng(3)
    root = draw.standard_normal((n, n))
    a, b = backend.asarray(root @ root.T + np.eye(n), dtype), backend.asarray(draw.standard_normal(n), dtype)
    return a, b, lambda x: (backend.xp.vecdot(x, 0.5 * (a @ x) - b), a @ x - b)


@pytest.mark.parametrize("n", [2, 12])
def test_lbfgs_finds_the_bottom_of_rosenbrocks_valley(backend: Backend, dtype: Any, n: int) -> None:
    found = minimise_lbfgs(
        rosenbrock(backend.xp), backend.xp.full((n,), -1.2, dtype=dtype, device=backend.device), tolerance=1e-4
    )
    assert found.converged
    assert found.n_evaluations < 2 * found.n_iter + 10
    assert found.x.dtype == dtype
    np.testing.assert_allclose(to_numpy(found.x), 1.0, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lbfgs_solves_a_quadratic_in_matrix_form(backend: Backend, dtype: str) -> None:
    a, b, _ = quadratic(backend, dtype)
    b = backend.xp.stack([b, -b], axis=1)
    start = backend.zeros((7, 2), dtype)
    found = minimise_lbfgs(lambda x: (backend.xp.sum(x * (0.5 * (a @ x) - b)), a @ x - b), start, tolerance=1e-4)
    assert found.converged
    assert found.x.shape == (7, 2)
    np.testing.assert_allclose(to_numpy(a @ found.x), to_numpy(b), atol=1e-3)


def test_newton_needs_one_step_for_a_quadratic(backend: Backend) -> None:
    a, b, function = quadratic(backend, "float64")
    start = backend.zeros(7, "float64")
    found = minimise_newton(function, lambda x, gradient: -backend.xp.linalg.solve(a, gradient), start, tolerance=1e-9)
    assert (found.converged, found.n_iter, found.n_evaluations) == (True, 1, 2)
    assert_close(found.x, backend.xp.linalg.solve(a, b), "reduction")


def test_newton_by_conjugate_gradients_agrees_with_newton(backend: Backend) -> None:
    a, b, function = quadratic(backend, "float64")

    def direction(x: Any, gradient: Any) -> Any:
        return conjugate_gradient(lambda v: a @ v, -gradient, tolerance=1e-12)

    found = minimise_newton(function, direction, backend.zeros(7, "float64"), tolerance=1e-8)
    assert found.converged
    assert_close(found.x, backend.xp.linalg.solve(a, b), "gradient")


def test_newton_goes_down_even_where_the_hessian_points_up() -> None:
    # x⁴ - x² curves downwards at 0.1, where Newton's step leads to the maximum at 0.
    found = minimise_newton(
        lambda x: (np.sum(x**4 - x**2), 4 * x**3 - 2 * x),
        lambda x, gradient: -gradient / (12 * x**2 - 2),
        np.asarray([0.1]),
        tolerance=1e-9,
    )
    assert found.converged
    np.testing.assert_allclose(np.abs(found.x), math.sqrt(0.5))


def test_conjugate_gradients_give_up_where_the_matrix_is_not_positive() -> None:
    b = np.asarray([1.0, 2.0])
    np.testing.assert_array_equal(conjugate_gradient(lambda v: -v, b), b)


def test_the_two_loops_apply_the_inverse_of_the_matrix_that_bfgs_builds() -> None:
    draw = np.random.default_rng(0)
    n, pairs, inverse = 5, [], np.eye(5)
    a = (lambda root: root @ root.T + np.eye(n))(draw.standard_normal((n, n)))
    steps = draw.standard_normal((3, n))
    for step in steps:
        pair = curvature_pair(step, a @ step)
        assert pair is not None
        pairs.append(pair)
    last = pairs[-1]
    inverse *= (last.step @ last.change) / (last.change @ last.change)
    for step, change, rho in pairs:  # Nocedal & Wright, eq. 7.16
        v = np.eye(n) - rho * np.outer(change, step)
        inverse = v.T @ inverse @ v + rho * np.outer(step, step)
    gradient = draw.standard_normal(n)
    np.testing.assert_allclose(two_loop_direction(gradient, pairs), -inverse @ gradient, rtol=1e-12)


def test_without_pairs_the_direction_is_the_steepest_descent() -> None:
    np.testing.assert_array_equal(two_loop_direction(np.asarray([1.0, -2.0]), []), [-1.0, 2.0])


def test_a_pair_without_curvature_is_not_remembered() -> None:
    step = np.asarray([1.0, 0.0])
    assert curvature_pair(step, np.asarray([-1.0, 0.0])) is None
    assert curvature_pair(step, np.asarray([0.0, 1.0])) is None
    assert isinstance(curvature_pair(step, step), CurvaturePair)


@given(st.floats(-6, 6), st.floats(0.05, 20), st.floats(-3, 3), st.floats(1e-3, 1e3))
def test_a_step_that_the_line_search_gives_satisfies_the_strong_wolfe_conditions(
    tilt: float, frequency: float, depth: float, first: float
) -> None:
    def at(t: float) -> Point:
        # A parabola with waves on it: many minima, bounded below.
        value = 0.5 * t * t - (1 + abs(tilt)) * t + depth * math.sin(frequency * t) / frequency
        return Point(t, value, t - (1 + abs(tilt)) + depth * math.cos(frequency * t))

    start = at(0.0)
    if start.slope >= -1e-3:
        return
    point, used = strong_wolfe(at, start, first, max_evaluations=60)
    assert point is not None
    assert used <= 60
    assert point.value <= start.value + 1e-4 * point.step * start.slope
    assert abs(point.slope) <= 0.9 * abs(start.slope)


def test_the_line_search_comes_back_from_where_there_are_no_numbers() -> None:
    def at(t: float) -> Point:  # -log(1 - t) - 2 t, lowest at ½
        return Point(t, -math.log(1 - t) - 2 * t, 1 / (1 - t) - 2) if t < 1 else Point(t, math.inf, math.nan)

    point, _ = strong_wolfe(at, at(0.0), 50.0)
    assert point is not None
    assert 0 < point.step < 1
    assert abs(point.slope) <= 0.9


def test_the_line_search_gives_nothing_where_nothing_is_lower() -> None:
    point, used = strong_wolfe(lambda t: Point(t, 1.0 + t, 1.0), Point(0.0, 1.0, -1.0), max_evaluations=12)
    assert point is None
    assert used == 12


def test_an_end_says_why() -> None:
    function = rosenbrock(np)
    start = np.full(5, -1.2)
    few = minimise_lbfgs(function, start, max_iter=3)
    assert (few.converged, few.n_iter, few.reason) == (False, 3, "3 iterations were not enough")
    flat = minimise_lbfgs(function, start, value_tolerance=10.0)
    assert (flat.converged, flat.n_iter) == (True, 1)
    there = minimise_lbfgs(function, np.ones(5))
    assert (there.converged, there.n_iter, there.n_evaluations) == (True, 0, 1)
    wrong = minimise_lbfgs(lambda x: (np.sum(x * x), -2 * x), np.ones(2))
    assert not wrong.converged
    assert "wrong gradient" in wrong.reason


def test_a_function_may_give_plain_numbers() -> None:
    assert minimise_lbfgs(lambda x: (float(np.sum(x * x)), 2 * x), np.ones(2)).converged
