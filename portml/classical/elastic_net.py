r"""The elastic net: least squares with a penalty on the absolute values of the weights and one on their squares.

.. math:: \min_{w, b} \tfrac{1}{2n} \sum_i s_i (y_i - x_i^T w - b)^2 + \alpha \rho \|w\|_1
   + \tfrac{\alpha}{2} (1 - \rho) \|w\|^2
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, Self

from portml.backends import Array
from portml.classical.coordinate_descent import (
    ElasticNetSolution,
    Penalty,
    descend_columns,
    descend_fista,
    descend_gram,
)
from portml.classical.linear_model import Centred, LinearRegressor, intercept_of, total_weight
from portml.classical.scikit_learn import warn
from portml.classical.validation import TrainingData, check_parameter, read_training_data
from portml.errors import ConvergenceWarning

__all__ = ["ElasticNet"]

SOLVERS = ("coordinate_descent", "fista", "gd")
LARGEST_GRAM = 4096
"""More features than samples, and more than this, are not worth the memory of XᵀX."""


class ElasticNet(LinearRegressor):
    """The elastic net.  [Zou & Hastie 2005]

    Parameters
    ----------
    alpha : float
        The penalty.
    l1_ratio : float
        ρ: 1 penalises absolute values alone, as the lasso does, 0 squares alone.
    fit_intercept : bool
    precompute : bool or "auto"
        Whether to work on XᵀX, which is worked out once and makes a sweep independent of the number of samples; "auto"
        does it unless there are more features than samples and too many.
    max_iter : int
        Sweeps over all weights, or steps of gradient descent.
    tol : float
        Ends when the duality gap is at most tol ‖y‖², the centred y.
    warm_start : bool
        Whether to start from the weights of the last fit.
    positive : bool
        Whether weights below zero are forbidden.
    solver : {"coordinate_descent", "fista", "gd"}
        "coordinate_descent" and "fista" are those of `portml.classical.coordinate_descent`.  "gd" is gradient descent
        on the mean squared error + 2αρ ‖w‖₁ + α(1-ρ) ‖w‖² from zero, which is twice the objective; its subgradients
        give no exact zeros, but a `loss_history_`.
    learning_rate, batch_size, random_state
        Of "gd" alone: see `portml.classical.gradient_descent.gradient_descent`.
    backend : str, optional
        Where X goes when it comes from the host.

    Attributes
    ----------
    coef_ : array (n_features,) or (n_outputs, n_features)
    intercept_ : array () or (n_outputs,)
        0.0 without an intercept.
    n_iter_ : int or list of int
        Sweeps, for each output.
    dual_gap_ : float or list of float
        On the scale of the objective above, for each output; not of "gd".
    loss_history_ : array (max_iter,)
        Of "gd": the loss before each step.
    """

    dual_gap_: Any

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        precompute: Any = "auto",
        max_iter: int = 1000,
        tol: float = 1e-4,
        warm_start: bool = False,
        positive: bool = False,
        random_state: Any = None,
        solver: str = "coordinate_descent",
        learning_rate: float = 0.01,
        batch_size: int | None = None,
        backend: str | None = None,
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.positive = positive
        self.random_state = random_state
        self.solver = solver
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
        self._check_parameters()
        before = getattr(self, "coef_", None) if self.warm_start else None
        data = read_training_data(self, X, y, sample_weight, multi_output=True, non_negative_weights=True)
        if self.solver == "gd":
            alpha, ratio = float(self.alpha), float(self.l1_ratio)
            l1, l2 = 2.0 * alpha * ratio, alpha * (1.0 - ratio)
            self._descend(data, l1, l2, self.max_iter)
            return self
        problem, single = Centred(data, self.fit_intercept), data.y.ndim == 1
        found = self._solve(data, problem, before)
        weights = data.xp.stack([each.weights for each in found], axis=1)
        self._learn(weights, intercept_of(weights, problem), single)
        gaps, counts = [each.gap / total_weight(data) for each in found], [each.n_iter for each in found]
        self.dual_gap_, self.n_iter_ = (gaps[0], counts[0]) if single else (gaps, counts)
        return self

    def _check_parameters(self) -> None:
        check_parameter(self, "solver", self.solver in SOLVERS, f"a str among {set(SOLVERS)}")
        check_parameter(
            self, "alpha", isinstance(self.alpha, Real) and self.alpha >= 0, "a float in the range [0.0, inf)"
        )
        check_parameter(self, "l1_ratio", 0 <= self.l1_ratio <= 1, "a float in the range [0.0, 1.0]")
        check_parameter(self, "tol", self.tol >= 0, "a float in the range [0.0, inf)")
        check_parameter(self, "max_iter", self.max_iter >= 1, "an int in the range [1, inf)")
        check_parameter(self, "precompute", self.precompute in (True, False, "auto"), "a bool or 'auto'")
        allowed = not (self.positive and self.solver == "gd")
        check_parameter(self, "positive", allowed, "False with solver='gd', which keeps no weight from falling below 0")

    def _solve(self, data: TrainingData, problem: Centred, before: Array) -> Sequence[ElasticNetSolution]:
        """The weights of each output."""
        # Python's numbers: a float64 of NumPy would make one of float32 arrays.
        scale, ratio = float(self.alpha) * total_weight(data), float(self.l1_ratio)
        penalty = Penalty(scale * ratio, scale * (1.0 - ratio), self.positive)
        equations = problem.normal_equations() if self._by_gram(problem) else None
        found = []
        for k in range(problem.y.shape[1]):
            start = None if before is None else before if before.ndim == 1 else before[k, :]
            limits: dict[str, Any] = {"start": start, "tolerance": self.tol, "max_iter": self.max_iter}
            if equations is not None:
                solution = descend_gram(equations[0], equations[1][:, k], problem.squares[k], penalty, **limits)
            else:
                descend = descend_fista if self.solver == "fista" else descend_columns
                solution = descend(problem.X, problem.y[:, k], penalty, **limits)
            self._warn(solution)
            found.append(solution)
        return found

    def _by_gram(self, problem: Centred) -> bool:
        n_samples: int = problem.y.shape[0]
        if self.solver == "fista":
            return False
        if self.precompute != "auto":
            return bool(self.precompute)
        return problem.n_features <= max(n_samples, LARGEST_GRAM)

    def _warn(self, solution: ElasticNetSolution) -> None:
        if not solution.converged:
            warn(
                ConvergenceWarning,
                "Objective did not converge. You might want to increase the number of iterations, check the scale "
                f"of the features or consider increasing regularisation. Duality gap: {solution.gap:.3e}.",
                stacklevel=5,
            )
