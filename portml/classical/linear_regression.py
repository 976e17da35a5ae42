r"""Linear regression by least squares.

.. math:: \min_{w, b} \sum_i s_i (y_i - x_i^T w - b)^2
"""

from __future__ import annotations

from typing import Any, Self

from portml.backends import Array, namespace, to_numpy
from portml.backends.operations import count_nonzero
from portml.classical.coordinate_descent import Penalty, descend_gram
from portml.classical.linear_model import Centred, LinearRegressor, intercept_of, solve_positive_definite
from portml.classical.validation import check_parameter, read_training_data

__all__ = ["LinearRegression", "least_squares"]

SOLVERS = ("auto", "cholesky", "qr", "svd", "gd")


class LinearRegression(LinearRegressor):
    """Ordinary least squares.

    Parameters
    ----------
    fit_intercept : bool
    tol : float
        Singular values below this times the largest one count as zero.
    positive : bool
        Whether weights below zero are forbidden; the solver is coordinate descent then.
    solver : {"auto", "cholesky", "qr", "svd", "gd"}
        "cholesky" solves the normal equations XᵀX w = Xᵀy, "qr" R w = Qᵀy, and where the columns of X depend on one
        another both leave it to "svd", which gives the solution of smallest norm.  "auto" is "cholesky", unless more
        than about a third of the digits would be lost.  "gd" is gradient descent on the mean squared error from zero:
        it keeps `loss_history_`.
    learning_rate, max_iter, batch_size, random_state
        Of "gd" alone: see `portml.classical.gradient_descent.gradient_descent`.
    backend : str, optional
        Where X goes when it comes from the host.

    Attributes
    ----------
    coef_ : array (n_features,) or (n_outputs, n_features)
    intercept_ : array () or (n_outputs,)
        0.0 without an intercept.
    rank_ : int
        Of the centred X; not of "gd", nor with `positive`.
    singular_ : array (min(n_samples, n_features),)
        Singular values of the centred X, where the solver was "svd" in the end.
    n_iter_ : int
        Steps of "gd", otherwise 1.
    loss_history_ : array (max_iter,)
        Of "gd": the loss before each step.

    Notes
    -----
    Solving the normal equations reads X once and costs the fewest operations, but the condition number is squared: they
    are taken only where it leaves digits enough.  [Golub & Van Loan, Matrix Computations, 4th ed., §5.3]
    """

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        positive: bool = False,
        solver: str = "auto",
        learning_rate: float = 0.01,
        max_iter: int = 1000,
        batch_size: int | None = None,
        random_state: Any = None,
        backend: str | None = None,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.positive = positive
        self.solver = solver
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.random_state = random_state
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find the weights.

        Parameters
        ----------
        X : array (n_samples, n_features)
        y : array (n_samples,) or (n_samples, n_outputs)
        sample_weight : array (n_samples,), optional
        """
        check_parameter(self, "solver", self.solver in SOLVERS, f"a str among {set(SOLVERS)}")
        allowed = not (self.positive and self.solver not in ("auto",))
        check_parameter(self, "solver", allowed, "'auto' with positive=True")
        data = read_training_data(self, X, y, sample_weight, multi_output=True, non_negative_weights=True)
        if self.solver == "gd":
            self._descend(data, 0.0, 0.0, self.max_iter)
            return self
        self.n_iter_, problem = 1, Centred(data, self.fit_intercept)
        if self.positive:
            weights = _non_negative(problem)
        else:
            weights, self.rank_, singular = least_squares(problem, self.solver, self.tol)
            if singular is not None:
                self.singular_ = singular
        self._learn(weights, intercept_of(weights, problem), data.y.ndim == 1)
        return self


def least_squares(problem: Centred, solver: str = "auto", tolerance: float = 1e-6) -> tuple[Array, int, Array]:
    """The weights of smallest norm among those that minimise ‖X w - y‖².

    Parameters
    ----------
    problem : Centred
        X (n_samples, n_features) and y (n_samples, n_outputs).
    solver : {"auto", "cholesky", "qr", "svd"}
    tolerance : float
        Singular values below this times the largest one count as zero.

    Returns
    -------
    weights : array (n_features, n_outputs)
    rank : int
    singular : array or None
        Singular values, where they were worked out.
    """
    n_samples, n_features = problem.y.shape[0], problem.n_features
    weights = None
    if n_samples >= n_features and solver in ("auto", "cholesky"):
        # XᵀX has the squares of the singular values; its pivots overestimate the smallest by up to n_features.
        weights = solve_positive_definite(*problem.normal_equations(), n_features * tolerance * tolerance)
    elif n_samples >= n_features and solver == "qr":
        weights = _by_qr(problem.X, problem.y, n_features * tolerance)
    return _by_svd(problem.X, problem.y, tolerance) if weights is None else (weights, n_features, None)


def _by_qr(X: Array, y: Array, lowest: float) -> Array | None:
    """R w = Qᵀ y, or None where a pivot is below `lowest` times the largest."""
    xp = namespace(X)
    q, r = xp.linalg.qr(X)
    pivots = xp.abs(xp.linalg.diagonal(r))
    smallest = float(to_numpy(xp.min(pivots) / xp.max(pivots)))
    if not smallest > max(lowest, max(X.shape) * float(xp.finfo(X.dtype).eps)):
        return None
    return xp.linalg.solve(r, xp.matrix_transpose(q) @ y)


def _by_svd(X: Array, y: Array, tolerance: float) -> tuple[Array, int, Array]:
    """w = V Σ⁺ Uᵀ y, with singular values that are small beside the largest taken as zero."""
    xp = namespace(X)
    u, singular, vt = xp.linalg.svd(X, full_matrices=False)
    kept = singular > max(tolerance, float(xp.finfo(X.dtype).eps)) * xp.max(singular)
    inverse = xp.where(kept, 1.0 / xp.where(kept, singular, xp.ones_like(singular)), xp.zeros_like(singular))
    weights = xp.matrix_transpose(vt) @ (inverse[:, None] * (xp.matrix_transpose(u) @ y))
    return weights, int(to_numpy(count_nonzero(kept))), singular


def _non_negative(problem: Centred) -> Array:
    """The weights, none below zero, that minimise ‖X w - y‖²."""
    xp = namespace(problem.y)
    matrix, correlation = problem.normal_equations()
    precision = 10 * float(xp.finfo(matrix.dtype).eps)
    found = [
        descend_gram(
            matrix, correlation[:, k], problem.squares[k], Penalty(0.0, 0.0, True), tolerance=precision, max_iter=10_000
        )
        for k in range(correlation.shape[1])
    ]
    return xp.stack([each.weights for each in found], axis=1)
