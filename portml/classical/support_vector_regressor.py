r"""Regression by support vectors: deviations up to ε cost nothing.

.. math:: \min_{w, b}\; \tfrac12 \lVert w \rVert^2 + C \sum_i \max(0, |y_i - w \cdot \phi(x_i) - b| - \varepsilon)

In the dual each sample has two signed variables, for targets above the tube and below it; at most one is not zero.
[Drucker et al. 1997; Chang & Lin 2011, sec. 2.4]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, Self

from portml.backends import Array, namespace, to_numpy
from portml.classical.estimator import Regressor
from portml.classical.sequential_minimal_optimisation import solve_dual
from portml.classical.support_vector_machine import SupportVectorMachine
from portml.classical.validation import check_parameter, read_training_data

__all__ = ["SVR"]


class SVR(Regressor, SupportVectorMachine):
    """Epsilon-support vector regression.

    Parameters
    ----------
    kernel : {"linear", "poly", "rbf", "sigmoid", "precomputed"} or callable
        A callable takes two arrays of samples and gives the matrix of its values.
    degree : int
        Of the kernel "poly".
    gamma : {"scale", "auto"} or float
        Of "rbf", "poly" and "sigmoid"; "scale" is 1 / (n_features * X.var()), "auto" 1 / n_features.
    coef0 : float
        Of "poly" and "sigmoid".
    tol : float
        By how much the conditions for an optimum may be violated.
    C : float
        The price of a deviation beyond epsilon.
    epsilon : float
        Half the width of the tube.
    cache_size : float
        Megabytes for kernel values.  Where all of them do not fit, the solver works on parts.
    max_iter : int
        Steps of the solver at most; -1 for no limit of yours.
    backend : str or Backend, optional
        Where X goes when it arrives on the host.

    Attributes
    ----------
    support_ : array (n_support,), int32
        Which samples have a coefficient that is not zero.
    support_vectors_ : array (n_support, n_features)
        Empty if the kernel is precomputed or a callable.
    dual_coef_ : array (1, n_support)
    intercept_ : array (1,)
    n_support_ : array (1,), int32
    coef_ : array (1, n_features)
        With a linear kernel alone.
    fit_status_ : int
        0 if the solver came to an end, 1 if it was stopped (which warns).
    n_iter_ : int
    n_features_in_, feature_names_in_
    """

    def __init__(
        self,
        *,
        kernel: str | Callable[[Array, Array], Array] = "rbf",
        degree: int = 3,
        gamma: str | float = "scale",
        coef0: float = 0.0,
        tol: float = 1e-3,
        C: float = 1.0,
        epsilon: float = 0.1,
        cache_size: float = 200,
        max_iter: int = -1,
        backend: Any = None,
    ) -> None:
        self.kernel = kernel
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.tol = tol
        self.C = C
        self.epsilon = epsilon
        self.cache_size = cache_size
        self.max_iter = max_iter
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find the support vectors.

        Parameters
        ----------
        X : array (n_samples, n_features), or (n_samples, n_samples) for a precomputed kernel
        y : array (n_samples,)
        sample_weight : array (n_samples,), optional
            Multiplies C; samples without positive weight are left out.

        Raises
        ------
        ArgumentError
            If a parameter or the data is not valid, or the kernel's values overflow.
        """
        self._check_parameters()
        is_number = isinstance(self.epsilon, Real) and 0 <= self.epsilon < math.inf
        check_parameter(self, "epsilon", is_number, "a float in the range [0.0, inf)")
        data = read_training_data(self, X, y, sample_weight)
        xp, backend = data.xp, data.backend
        C = self._bounds(data)
        samples = self._prepare_kernel(data.X)
        (kept,) = to_numpy(C > 0).nonzero()
        indices = backend.asarray(kept)
        C, y = xp.take(C, indices, axis=0), xp.astype(xp.take(data.y, indices, axis=0), xp.float64)
        none = xp.zeros_like(C)
        solution = solve_dual(
            self._training_kernel(samples, indices),
            xp.concat([y - float(self.epsilon), y + float(self.epsilon)]),
            xp.concat([none, -C]),
            xp.concat([C, none]),
            tolerance=float(self.tol),
            max_iter=int(self.max_iter),
        )
        coefficients = xp.sum(xp.reshape(solution.variables, (2, -1)), axis=0)
        (found,) = to_numpy(coefficients != 0).nonzero()
        self._keep_support(samples, backend.asarray(kept[found]))
        chosen = xp.take(coefficients, backend.asarray(found), axis=0)
        self.dual_coef_ = xp.astype(xp.reshape(chosen, (1, -1)), data.X.dtype)
        self.intercept_ = xp.astype(xp.reshape(solution.intercept, (1,)), data.X.dtype)
        self.n_support_ = backend.asarray([len(found)], dtype=xp.int32)
        self.n_iter_ = solution.n_iter
        self._settle(solution.converged)
        return self

    def predict(self, X: Any) -> Array:
        """The prediction Σ_s dual_coef_s k(x, z_s) + intercept for each sample, (n_samples,).

        Parameters
        ----------
        X : array (n_samples, n_features), or (n_samples, n_samples_fit) for a precomputed kernel
        """
        X = self._read(X)
        xp = namespace(X)
        total = self._kernel_sum(X, xp.matrix_transpose(self.dual_coef_), 0, self.support_.shape[0])
        return xp.reshape(total, (-1,)) + xp.astype(self.intercept_, X.dtype, copy=False)
