from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.backends import Backend, kernels_switched, to_numpy
from portml.backends.kernels.support_vectors import radial_basis
from portml.classical import SVC
from portml.classical.kernel_functions import TrainingKernel, linear_kernel
from portml.classical.sequential_minimal_optimisation import DualSolution, solve_dual

MEGABYTE = 1 << 20


def problem(seed: int, n: int, C: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    X, y = draws.standard_normal((n, 3)), np.where(draws.random(n) < 0.5, 1.0, -1.0)
    y[:2] = 1.0, -1.0
    return X, y, np.minimum(y, 0) * C, np.maximum(y, 0) * C


def assert_optimal(solution: DualSolution, X: np.ndarray, linear: np.ndarray, C: float, tolerance: float) -> None:
    """The conditions of Karush, Kuhn and Tucker, by a kernel matrix in float64."""
    beta = to_numpy(solution.variables)
    gradient = linear - np.exp(-0.5 * ((X[:, None] - X[None]) ** 2).sum(axis=2)) @ beta
    assert abs(beta.sum()) < 1e-9 * C
    assert (np.abs(beta) <= C).all()
    assert (beta * linear >= 0).all()
    may_rise, may_fall = np.where(linear > 0, beta < C, beta < 0), np.where(linear > 0, beta > 0, beta > -C)
    assert gradient[may_rise].max() - gradient[may_fall].min() < tolerance + 2e-6 * max(C, 1)


@given(st.integers(0, 10**6), st.integers(2, 60), st.sampled_from([1e-3, 1.0, 1e3]), st.sampled_from([1e-3, 1e-7]))
def test_the_solution_fulfils_the_conditions_of_an_optimum(seed: int, n: int, C: float, tolerance: float) -> None:
    X, y, lower, upper = problem(seed, n, C)
    kernel = TrainingKernel(X, partial(radial_basis, gamma=0.5), 1e9)
    assert_optimal(solve_dual(kernel, y, lower, upper, tolerance=tolerance), X, y, C, tolerance)


@pytest.mark.parametrize("rows", [5, 40])
def test_parts_lead_to_the_optimum_of_the_whole(backend: Backend, rows: int) -> None:
    n = 20 if backend.name == "strict" else 200
    X, y, lower, upper = problem(1, n, 2.0)
    X_there, linear, low, high = map(backend.asarray, (X, y, lower, upper))
    function = partial(radial_basis, gamma=0.5)
    parts = TrainingKernel(X_there, function, rows * 4 * n)
    assert parts.fits == (rows >= n)
    solution = solve_dual(parts, linear, low, high, tolerance=1e-4)
    assert solution.converged
    assert_optimal(solution, X, y, 2.0, 1e-4)
    whole = solve_dual(TrainingKernel(X_there, function, 1e9), linear, low, high, tolerance=1e-4)
    assert float(to_numpy(solution.objective)) == pytest.approx(float(to_numpy(whole.objective)), rel=1e-5)


def test_a_limit_on_steps_is_kept() -> None:
    X, y, lower, upper = problem(0, 50, 1.0)
    solution = solve_dual(TrainingKernel(X, linear_kernel, 1e9), y, lower, upper, tolerance=1e-9, max_iter=3)
    assert solution.n_iter == 3
    assert not solution.converged


def test_the_matrix_is_symmetric_and_its_rows_are_its_rows(backend: Backend) -> None:
    X = backend.asarray(np.random.default_rng(0).standard_normal((37, 4)))
    kernel = TrainingKernel(X, partial(radial_basis, gamma=0.3), 37 * 37 * 4)
    matrix = to_numpy(kernel.matrix())
    assert matrix.dtype == np.float32
    assert (matrix == matrix.T).all()
    np.testing.assert_allclose(to_numpy(kernel.rows(backend.asarray([5, 0, 36]))), matrix[[5, 0, 36]], rtol=1e-6)


@pytest.mark.parametrize(("n", "megabytes"), [(1500, 10), (3000, 6)])
def test_memory_for_kernel_values_is_bounded_by_the_caller(n: int, megabytes: float) -> None:
    draws = np.random.default_rng(0)
    X, y = draws.standard_normal((n, 4)), draws.integers(0, 2, n)
    model = SVC(cache_size=megabytes, max_iter=500)
    tracemalloc.start()
    try:
        # The bodies of kernels make new arrays at every operation; what bounds the memory are NumPy's versions.
        with kernels_switched("pure", "numpy"):
            with pytest.warns(match="Solver terminated early"):
                model.fit(X, y)
            peak_of_fit = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            model.predict(X)
            peak_of_predict = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    beside_the_kernel = 3 * MEGABYTE  # samples and vectors of n
    assert peak_of_fit < 1.25 * megabytes * MEGABYTE + beside_the_kernel
    assert peak_of_predict < megabytes * MEGABYTE + beside_the_kernel
