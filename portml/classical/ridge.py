r"""Ridge regression: least squares with a penalty on the squares of the weights.

.. math:: \min_{w, b} \sum_i s_i (y_i - x_i^T w - b)^2 + \alpha \|w\|^2
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, Self

from portml.backends import Array, namespace, to_numpy
from portml.classical.linear_model import (
    Centred,
    LinearRegressor,
    intercept_of,
    solve_positive_definite,
    total_weight,
)
from portml.classical.validation import check_parameter, read_training_data
from portml.errors import ArgumentError

__all__ = ["Ridge", "ridge_weights"]

SOLVERS = ("auto", "cholesky", "svd", "gd")


class Ridge(LinearRegressor):
    """Ridge regression.  [Hoerl & Kennard 1970]

    Parameters
    ----------
    alpha : float or array (n_outputs,)
        The penalty, for each output its own if there are several.
    fit_intercept : bool
    max_iter : int, optional
        Of "gd" alone, 1000 by default.
    solver : {"auto", "cholesky", "svd", "gd"}
        "cholesky" solves (XᵀX + αI) w = Xᵀy, or with more features than samples (XXᵀ + αI) v = y, w = Xᵀv, and leaves
        what is singular to "svd".  "auto" is "cholesky".  "gd" is gradient descent on the mean squared error +
        α/n ‖w‖² from zero: it keeps `loss_history_`.
    learning_rate, batch_size, random_state
        Of "gd" alone: see `portml.classical.gradient_descent.gradient_descent`.
    backend : str, optional
        Where X goes when it comes from the host.

    Attributes
    ----------
    coef_ : array (n_features,) or (n_outputs, n_features)
    intercept_ : array () or (n_outputs,)
        0.0 without an intercept.
    solver_ : str
        The solver used.
    n_iter_ : int
        Steps of "gd", otherwise 1.
    loss_history_ : array (max_iter,)
        Of "gd": the loss before each step.
    """

    def __init__(
        self,
        alpha: Any = 1.0,
        *,
        fit_intercept: bool = True,
        max_iter: int | None = None,
        solver: str = "auto",
        random_state: Any = None,
        learning_rate: float = 0.01,
        batch_size: int | None = None,
        backend: str | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.solver = solver
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.batch_size = batch_size
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
        data = read_training_data(self, X, y, sample_weight, multi_output=True, non_negative_weights=True)
        alphas = self._alphas(1 if data.y.ndim == 1 else data.y.shape[1])
        self.solver_, self.n_iter_ = ("cholesky" if self.solver == "auto" else self.solver), 1
        if self.solver == "gd":
            if len(set(alphas)) > 1:
                raise ArgumentError("alpha: gradient descent takes one for all outputs; fit them one by one")
            self._descend(data, 0.0, alphas[0] / total_weight(data), 1000 if self.max_iter is None else self.max_iter)
            return self
        problem = Centred(data, self.fit_intercept)
        weights, self.solver_ = ridge_weights(problem, alphas, self.solver_)
        self._learn(weights, intercept_of(weights, problem), data.y.ndim == 1)
        return self

    def _alphas(self, n_outputs: int) -> list[float]:
        """A penalty for each output."""
        given = [self.alpha] if isinstance(self.alpha, Real) else to_list(self.alpha)
        numbers = isinstance(given, Sequence) and all(isinstance(alpha, Real) for alpha in given)
        check_parameter(self, "alpha", numbers, "a float in the range [0.0, inf), or one for each target")
        alphas = list(map(float, given))
        check_parameter(self, "alpha", all(alpha >= 0 for alpha in alphas), "a float in the range [0.0, inf)")
        if len(alphas) == 1:
            alphas *= n_outputs
        if len(alphas) != n_outputs:
            raise ArgumentError(
                f"Number of targets and number of penalties do not correspond: {n_outputs} != {len(alphas)}"
            )
        return alphas


def to_list(values: Any) -> Any:
    """An array of any backend as a list; anything else as it is."""
    return to_numpy(values).reshape(-1).tolist() if hasattr(values, "shape") else values


def ridge_weights(problem: Centred, alphas: list[float], solver: str) -> tuple[Array, str]:
    """The weights (n_features, n_outputs) that minimise ‖X w - y‖² + α ‖w‖², and the solver that found them.

    Parameters
    ----------
    problem : Centred
        X (n_samples, n_features) and y (n_samples, n_outputs).
    alphas : list of float
        One for each output.
    solver : {"cholesky", "svd"}
        Where "cholesky" meets a singular matrix "svd" is used.
    """
    weights = _by_cholesky(problem, alphas) if solver == "cholesky" else None
    return (_by_svd(problem.X, problem.y, alphas), "svd") if weights is None else (weights, "cholesky")


def _by_cholesky(problem: Centred, alphas: list[float]) -> Array | None:
    xp, y = namespace(problem.y), problem.y
    dual = problem.n_features > y.shape[0]
    matrix, right = (problem.X @ xp.matrix_transpose(problem.X), y) if dual else problem.normal_equations()
    solved = []
    groups = [range(len(alphas))] if len(set(alphas)) == 1 else [range(k, k + 1) for k in range(len(alphas))]
    for group in groups:
        penalised = _with_ridge(matrix, alphas[group[0]])
        found = solve_positive_definite(penalised, right[:, group[0] : group[-1] + 1])
        if found is None:
            return None
        solved.append(found)
    weights = xp.concat(solved, axis=1)
    return xp.matrix_transpose(problem.X) @ weights if dual else weights


def _with_ridge(matrix: Array, alpha: float) -> Array:
    """A + αI."""
    xp = namespace(matrix)
    return matrix + alpha * xp.eye(matrix.shape[0], dtype=matrix.dtype, device=matrix.device)


def _by_svd(X: Array, y: Array, alphas: list[float]) -> Array:
    """w = V diag(σ / (σ² + α)) Uᵀ y, with singular values that are rounding errors left out."""
    xp = namespace(X)
    u, singular, vt = xp.linalg.svd(X, full_matrices=False)
    kept = (singular > max(X.shape) * float(xp.finfo(X.dtype).eps) * xp.max(singular))[:, None]
    singular = singular[:, None]
    alpha = xp.asarray([alphas], dtype=X.dtype, device=X.device)
    divisor = xp.where(kept, singular * singular + alpha, xp.ones_like(singular * alpha))
    shrunk = xp.where(kept, singular / divisor, xp.zeros_like(divisor))
    return xp.matrix_transpose(vt) @ (shrunk * (xp.matrix_transpose(u) @ y))
