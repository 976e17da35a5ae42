r"""The lasso: least squares with a penalty on the absolute values of the weights, which makes most of them zero.

.. math:: \min_{w, b} \tfrac{1}{2n} \sum_i s_i (y_i - x_i^T w - b)^2 + \alpha \|w\|_1
"""

from __future__ import annotations

from typing import Any

from portml.classical.elastic_net import ElasticNet

__all__ = ["Lasso"]


class Lasso(ElasticNet):
    """The lasso: an elastic net with `l1_ratio` 1.  [Tibshirani 1996]

    Parameters
    ----------
    alpha : float
        The penalty.
    fit_intercept, precompute, max_iter, tol, warm_start, positive, random_state, solver, learning_rate, batch_size
        As for `portml.classical.ElasticNet`.
    backend : str, optional
        Where X goes when it comes from the host.

    Attributes
    ----------
    coef_, intercept_, n_iter_, dual_gap_, loss_history_
        As for `portml.classical.ElasticNet`.
    """

    l1_ratio = 1.0

    def __init__(
        self,
        alpha: float = 1.0,
        *,
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
