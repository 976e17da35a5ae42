r"""Logistic regression: the logarithm of the odds is linear.

With z = Xwᵀ + b, p = σ(z) for two classes and p = softmax(z) for more:

.. math:: \min_{w, b} -\sum_i s_i \log p_{i, y_i} + \tfrac{1}{2C} \|w\|^2
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

from portml.backends import Array, get_backend, namespace, to_numpy
from portml.classical.gradient_descent import gradient_descent, logistic_objective
from portml.classical.linear_classifier import LinearClassifier, require_two_classes, weights_by_class
from portml.classical.linear_model import check_descent, solve_positive_definite
from portml.classical.scikit_learn import warn
from portml.classical.validation import TrainingData, check_parameter, generator_of, labels_of, read_training_data
from portml.errors import ArgumentError, ConvergenceWarning
from portml.optim.minimise import Minimum, minimise_lbfgs, minimise_newton

__all__ = ["LogisticRegression", "binary_loss", "multinomial_loss"]

SOLVERS = ("lbfgs", "newton-cholesky", "gd")
VALUE_TOLERANCE = 2 * 2.0**-52
"""L-BFGS ends where a step lowers the objective by no more than rounding does.

scikit-learn's ends at 32 times that, which leaves weights that hardly matter further from the minimum, whatever `tol`.
"""

ValueAndGradient = Callable[[Array], tuple[Array, Array]]


class LogisticRegression(LinearClassifier):
    """Logistic regression for two classes, and multinomial for more.

    Parameters
    ----------
    C : float
        The inverse of the penalty on ‖w‖²; ``numpy.inf`` for none.
    tol : float
        Ends when no entry of the gradient of the mean objective is larger; L-BFGS looks at the gradient to the weights
        of centred features, and of those divided by their standard deviation where it exceeds 1.
    fit_intercept : bool
    class_weight : dict or "balanced", optional
        Weights by label; "balanced" gives every class the same weight in all.
    random_state
        Of "gd" with batches.
    solver : {"lbfgs", "newton-cholesky", "gd"}
        L-BFGS or Newton's method, of `portml.optim.minimise`: the latter for many samples and few features and
        classes, as it solves for n_classes * n_features unknowns at once.  "gd" is gradient descent on the mean
        objective from zero: it keeps `loss_history_`.
    max_iter : int
    warm_start : bool
        Whether to start from the weights of the last fit; not of "gd".
    learning_rate, batch_size
        Of "gd" alone: see `portml.classical.gradient_descent.gradient_descent`.
    backend : str, optional
        Where X goes when it comes from the host.

    Attributes
    ----------
    classes_ : array (n_classes,)
    coef_ : array (1, n_features) or (n_classes, n_features)
    intercept_ : array (1,) or (n_classes,)
    n_iter_ : array (1,)
        Iterations, on the host.
    loss_history_ : array (max_iter,)
        Of "gd": the loss before each step.
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        tol: float = 1e-4,
        fit_intercept: bool = True,
        class_weight: Any = None,
        random_state: Any = None,
        solver: str = "lbfgs",
        max_iter: int = 100,
        warm_start: bool = False,
        learning_rate: float = 0.01,
        batch_size: int | None = None,
        backend: str | None = None,
    ) -> None:
        self.C = C
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find the weights.

        Parameters
        ----------
        X : array (n_samples, n_features)
        y : array (n_samples,)
            Labels: numbers or text.
        sample_weight : array (n_samples,), optional
        """
        check_parameter(self, "solver", self.solver in SOLVERS, f"a str among {set(SOLVERS)}")
        check_parameter(self, "C", self.C > 0, "a float in the range (0.0, inf]")
        check_parameter(self, "tol", self.tol > 0, "a float in the range (0.0, inf)")
        check_parameter(self, "max_iter", self.max_iter >= 0, "an int in the range [0, inf)")
        before = (self.coef_, self.intercept_) if self.warm_start and hasattr(self, "coef_") else None
        data = read_training_data(self, X, y, sample_weight, labels=True, non_negative_weights=True)
        n_classes = require_two_classes(data)
        weight = weights_by_class(self, data)
        if self.solver == "gd":
            found = self._descend(data, weight, n_classes)
        else:
            found = self._minimise(data, weight, n_classes, before)
        n_features = data.X.shape[1]
        self.coef_, self.intercept_ = found[:, :n_features], found[:, n_features]
        self.classes_ = data.classes
        return self

    def predict(self, X: Any, threshold: float = 0.5) -> Array:
        """Labels (n_samples,) of the highest probability; of two classes the second where it exceeds `threshold`."""
        scores = self.decision_function(X)
        if threshold == 0.5:
            return self._labels(scores)
        if scores.ndim != 1:
            raise ArgumentError(f"threshold: expected 0.5 with more than two classes, got {threshold}")
        if not 0.0 < threshold < 1.0:
            raise ArgumentError(f"threshold: expected a probability between 0 and 1, got {threshold}")
        xp = namespace(scores)
        return labels_of(xp.astype(scores > math.log(threshold / (1.0 - threshold)), xp.int64), self.classes_)

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes, (n_samples, n_classes)."""
        scores = self.decision_function(X)
        xp = namespace(scores)
        if scores.ndim == 1:
            second = 0.5 + 0.5 * xp.tanh(0.5 * scores)
            first = 0.5 - 0.5 * xp.tanh(0.5 * scores)
            return xp.stack([first, second], axis=1)
        powers = xp.exp(scores - xp.max(scores, axis=1, keepdims=True))
        return powers / xp.sum(powers, axis=1, keepdims=True)

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of the probabilities, (n_samples, n_classes): finite where a probability vanishes."""
        scores = self.decision_function(X)
        xp = namespace(scores)
        if scores.ndim == 1:
            shared = xp.log1p(xp.exp(-xp.abs(scores)))
            none = xp.zeros_like(scores)
            return -xp.stack([xp.maximum(scores, none) + shared, xp.maximum(-scores, none) + shared], axis=1)
        scores = scores - xp.max(scores, axis=1, keepdims=True)
        return scores - xp.log(xp.sum(xp.exp(scores), axis=1, keepdims=True))

    def _minimise(self, data: TrainingData, weight: Array, n_classes: int, before: Any) -> Array:
        """Weights and intercept, (n_outputs, n_features + 1), by L-BFGS or Newton's method."""
        X, xp = data.X, data.xp
        total = float(X.shape[0]) if weight is None else float(to_numpy(xp.sum(weight)))
        share = xp.full(X.shape[:1], 1.0 / total, dtype=X.dtype, device=X.device) if weight is None else weight / total
        l2 = 1.0 / (float(self.C) * total)
        n_outputs = 1 if n_classes == 2 else n_classes
        start = xp.zeros((n_outputs, X.shape[1] + 1), dtype=X.dtype, device=X.device)
        if before is not None and tuple(before[0].shape) == (n_outputs, X.shape[1]):
            start = xp.concat([before[0], before[1][:, None]], axis=1)
        loss_of, direction_of = (binary_loss, _binary_newton) if n_outputs == 1 else (multinomial_loss, _softmax_newton)
        function = loss_of(X, data.y, share, l2, self.fit_intercept, n_classes)
        if self.solver == "lbfgs":
            unknowns = _Unknowns(X, share, self.fit_intercept)
            found = minimise_lbfgs(
                unknowns.function(function),
                unknowns.of(start),
                max_iter=self.max_iter,
                tolerance=self.tol,
                value_tolerance=VALUE_TOLERANCE,
            )
            found = found._replace(x=unknowns.back(found.x))
        else:
            direction = direction_of(X, share, l2, self.fit_intercept)
            found = minimise_newton(function, direction, start, max_iter=self.max_iter, tolerance=self.tol)
        self.n_iter_ = get_backend("numpy").asarray([found.n_iter], "int32")
        self._warn(found)
        return found.x

    def _warn(self, found: Minimum) -> None:
        if not found.converged:
            warn(
                ConvergenceWarning,
                f"{self.solver} failed to converge after {found.n_iter} iteration(s): {found.reason}. Increase the "
                f"number of iterations (max_iter={self.max_iter}), or scale the data.",
                stacklevel=4,
            )

    def _descend(self, data: TrainingData, weight: Array, n_classes: int) -> Array:
        """Weights and intercept, (n_outputs, n_features + 1), by gradient descent."""
        check_descent(self)
        X, xp = data.X, data.xp
        total = float(X.shape[0]) if weight is None else float(to_numpy(xp.sum(weight)))
        wanted = xp.arange(1, 2, device=X.device) if n_classes == 2 else xp.arange(n_classes, device=X.device)
        weights, intercept, self.loss_history_ = gradient_descent(
            logistic_objective(1.0 / (float(self.C) * total)),
            X,
            xp.astype(data.y[:, None] == wanted, X.dtype),
            weight,
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            batch_size=self.batch_size,
            generator=None if self.batch_size is None else generator_of(self.random_state, X),
            fit_intercept=self.fit_intercept,
        )
        self.n_iter_ = get_backend("numpy").asarray([self.max_iter], "int32")
        return xp.concat([xp.matrix_transpose(weights), intercept[:, None]], axis=1)


def binary_loss(
    X: Array, y: Array, share: Array, l2: float, fit_intercept: bool, n_classes: int = 2
) -> ValueAndGradient:
    """The mean cross-entropy of two classes + l2/2 ‖w‖², and its gradient.

    With the margin against, s = z for y = 0 and -z for y = 1, the loss is log(1 + eˢ) and its slope σ(s): no size of
    z overflows.

    Parameters
    ----------
    X : array (n_samples, n_features)
    y : array (n_samples,)
        0 or 1.
    share : array (n_samples,)
        What the samples count, 1 together.
    l2 : float
    fit_intercept : bool
    n_classes : int

    Returns
    -------
    callable
        From weights and intercept (1, n_features + 1) to the value () and gradient (1, n_features + 1).
    """
    xp, n_features = namespace(X), X.shape[1]
    sign = xp.astype(1 - 2 * y, X.dtype)
    signed_share = 0.5 * sign * share
    zero = xp.zeros_like(sign)

    def value_and_gradient(theta: Array) -> tuple[Array, Array]:
        w = theta[0, :n_features]
        s = sign * (X @ w + theta[0, n_features])
        losses = xp.maximum(s, zero) + xp.log1p(xp.exp(-xp.abs(s)))
        residual = signed_share * (1.0 + xp.tanh(0.5 * s))
        to_w, to_b = residual @ X + l2 * w, xp.sum(residual) if fit_intercept else zero[0]
        value = _total(share * losses) + 0.5 * l2 * _total(w * w)
        return value, xp.concat([to_w, xp.reshape(to_b, (1,))])[None, :]

    return value_and_gradient


def multinomial_loss(
    X: Array, y: Array, share: Array, l2: float, fit_intercept: bool, n_classes: int
) -> ValueAndGradient:
    """The mean cross-entropy of several classes + l2/2 ‖w‖², and its gradient; parameters as for `binary_loss`.

    Returns
    -------
    callable
        From weights and intercepts (n_classes, n_features + 1) to the value () and the gradient of that shape.
    """
    xp, n_features = namespace(X), X.shape[1]
    # Samples stand in rows of n_samples: sums over a few classes are then sums of long vectors.
    target = xp.astype(y[None, :] == xp.arange(n_classes, device=X.device)[:, None], X.dtype)

    def value_and_gradient(theta: Array) -> tuple[Array, Array]:
        w = theta[:, :n_features]
        z = xp.stack(xp.unstack(X @ xp.matrix_transpose(w), axis=1)) + theta[:, n_features:]
        z = z - xp.max(z, axis=0)
        powers = xp.exp(z)
        sums = xp.sum(powers, axis=0)
        losses = xp.log(sums) - xp.sum(target * z, axis=0)
        value = _total(share * losses) + 0.5 * l2 * _total(w * w)
        residual = (powers / sums - target) * share
        to_b = xp.sum(residual, axis=1, keepdims=True)
        return value, xp.concat([residual @ X + l2 * w, to_b if fit_intercept else xp.zeros_like(to_b)], axis=1)

    return value_and_gradient


def _total(x: Array) -> Array:
    """A sum in float64: near the minimum the decrease of a step is smaller than what float32 would round away."""
    xp = namespace(x)
    return xp.sum(x, dtype=xp.float64)


class _Unknowns:
    """Other unknowns for the same model, in which L-BFGS needs a half to a fifth of the iterations.

    With u = w d and c = b + w·m the scores are (x - m)/d · u + c: m are the means of the features, and d their standard
    deviations where these exceed 1, estimated from about `SAMPLE` samples.  So the features neither pull at the
    intercept nor have scales of their own; features that vary less than that are left to the penalty.
    """

    SAMPLE = 1000

    def __init__(self, X: Array, share: Array, fit_intercept: bool) -> None:
        xp = self._xp = namespace(X)
        self._n_features = X.shape[1]
        self._mean = share @ X if fit_intercept else xp.zeros_like(X[0, :])
        away = X[:: max(1, X.shape[0] // self.SAMPLE), :] - self._mean
        self._scale = xp.maximum(xp.sqrt(xp.mean(away * away, axis=0)), xp.ones_like(self._mean))

    def of(self, theta: Array) -> Array:
        """Weights and intercept (n_outputs, n_features + 1) as u and c."""
        w, b = theta[:, : self._n_features], theta[:, self._n_features]
        return self._joined(w * self._scale, b + w @ self._mean)

    def back(self, theta: Array) -> Array:
        """u and c as weights and intercept."""
        w = theta[:, : self._n_features] / self._scale
        return self._joined(w, theta[:, self._n_features] - w @ self._mean)

    def function(self, value_and_gradient: ValueAndGradient) -> ValueAndGradient:
        """A function of weights and intercept as one of u and c."""

        def changed(theta: Array) -> tuple[Array, Array]:
            value, gradient = value_and_gradient(self.back(theta))
            to_w, to_b = gradient[:, : self._n_features], gradient[:, self._n_features]
            return value, self._joined((to_w - to_b[:, None] * self._mean) / self._scale, to_b)

        return changed

    def _joined(self, weights: Array, intercept: Array) -> Array:
        return self._xp.concat([weights, intercept[:, None]], axis=1)


def _binary_newton(X: Array, share: Array, l2: float, fit_intercept: bool) -> Callable[[Array, Array], Array]:
    """Solves H d = -g with H = Xᵀ diag(p (1 - p)) X + l2 I."""
    xp = namespace(X)
    extended, penalty = _extended(X, l2, fit_intercept)

    def direction(theta: Array, gradient: Array) -> Array:
        half = xp.tanh(0.5 * (extended @ theta[0, :]))
        curvature = 0.25 * share * (1.0 - half) * (1.0 + half)
        hessian = xp.matrix_transpose(extended) @ (curvature[:, None] * extended) + penalty
        return _solved(hessian, gradient)

    return direction


def _softmax_newton(X: Array, share: Array, l2: float, fit_intercept: bool) -> Callable[[Array, Array], Array]:
    """Solves H d = -g with blocks H_kl = Xᵀ diag(p_k (δ_kl - p_l)) X + δ_kl l2 I.

    The same added to the weights of all classes changes no probability: there H may be singular, and g is zero as long
    as the sums of the weights over the classes are.  Adding a multiple of the projection there makes H definite and
    changes no solution.
    """
    xp = namespace(X)
    extended, penalty = _extended(X, l2, fit_intercept)
    transposed = xp.matrix_transpose(extended)

    def direction(theta: Array, gradient: Array) -> Array:
        n_classes = theta.shape[0]
        z = theta @ transposed
        powers = xp.exp(z - xp.max(z, axis=0))
        p = powers / xp.sum(powers, axis=0)
        scale = xp.linalg.diagonal(transposed @ (share[:, None] * extended))
        shared = xp.eye(extended.shape[1], dtype=X.dtype, device=X.device) * scale
        rows = []
        for k in range(n_classes):
            blocks = []
            for j in range(n_classes):
                curvature = share * p[k, :] * ((1.0 if j == k else 0.0) - p[j, :])
                block = transposed @ (curvature[:, None] * extended) + shared / (n_classes * n_classes)
                blocks.append(block + penalty if j == k else block)
            rows.append(xp.concat(blocks, axis=1))
        return _solved(xp.concat(rows, axis=0), gradient)

    return direction


def _extended(X: Array, l2: float, fit_intercept: bool) -> tuple[Array, Array]:
    """X with a column of ones, or of zeros without an intercept, and the penalty's part of the Hessian."""
    xp = namespace(X)
    column = xp.ones_like(X[:, :1]) if fit_intercept else xp.zeros_like(X[:, :1])
    diagonal = xp.concat([l2 * xp.ones_like(X[0, :]), (0.0 if fit_intercept else 1.0) * xp.ones_like(X[0, :1])])
    penalty = xp.eye(X.shape[1] + 1, dtype=X.dtype, device=X.device) * diagonal
    return xp.concat([X, column], axis=1), penalty


def _solved(hessian: Array, gradient: Array) -> Array:
    """-H⁻¹ g, or -g where H is singular."""
    xp = namespace(hessian)
    found = solve_positive_definite(hessian, xp.reshape(gradient, (-1, 1)))
    return -gradient if found is None else xp.reshape(-found, gradient.shape)
