"""The perceptron: weights that change where a sample is misjudged, and only there."""

from __future__ import annotations

import math
from typing import Any, Self

from portml.backends import Array, backend_of, to_numpy
from portml.backends.kernels.perceptron import perceptron_pass
from portml.classical.linear_classifier import LinearClassifier, require_two_classes, weights_by_class
from portml.classical.scikit_learn import warn
from portml.classical.validation import TrainingData, check_parameter, generator_of, read_training_data
from portml.errors import ConvergenceWarning

__all__ = ["Perceptron"]


class Perceptron(LinearClassifier):
    """The perceptron: where y (w·x + b) <= 0, w ← w + η y x and b ← b + η y.  [Rosenblatt 1958]

    With more than two classes one perceptron is trained for each against all others.  If the classes can be separated
    by a hyperplane the rule ends at one after finitely many changes.  [Novikoff 1962]

    Parameters
    ----------
    fit_intercept : bool
    max_iter : int
        Passes over the samples.
    tol : float, optional
        Ends when the mean of max(0, -y (w·x + b)) over a pass was for `n_iter_no_change` passes not below the lowest
        one by more than this; None takes all passes.
    shuffle : bool
        Whether each pass takes the samples in an order of its own.
    eta0 : float
        The learning rate η.
    random_state : int, Generator or None
        Of the orders.
    n_iter_no_change : int
    class_weight : dict or "balanced", optional
        Weights by label; "balanced" gives every class the same weight in all.
    warm_start : bool
        Whether to start from the weights of the last fit.
    backend : str, optional
        Where X goes when it comes from the host.

    Attributes
    ----------
    classes_ : array (n_classes,)
    coef_ : array (1, n_features) or (n_classes, n_features)
    intercept_ : array (1,) or (n_classes,)
    n_iter_ : int
        Passes, the most of any class.
    t_ : int
        Samples looked at, plus one: n_iter_ * n_samples + 1.
    """

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        eta0: float = 1.0,
        random_state: Any = 0,
        n_iter_no_change: int = 5,
        class_weight: Any = None,
        warm_start: bool = False,
        backend: str | None = None,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.eta0 = eta0
        self.random_state = random_state
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn sample after sample.

        Parameters
        ----------
        X : array (n_samples, n_features)
        y : array (n_samples,)
            Labels: numbers or text.
        sample_weight : array (n_samples,), optional
            Multiplies the learning rate.
        """
        check_parameter(self, "max_iter", self.max_iter >= 1, "an int in the range [1, inf)")
        check_parameter(self, "eta0", self.eta0 > 0, "a float in the range (0.0, inf)")
        before = (self.coef_, self.intercept_) if self.warm_start and hasattr(self, "coef_") else None
        data = read_training_data(self, X, y, sample_weight, labels=True)
        n_classes = require_two_classes(data)
        xp, X = data.xp, data.X
        wanted = xp.arange(1, 2, device=X.device) if n_classes == 2 else xp.arange(n_classes, device=X.device)
        signs = 2.0 * xp.astype(data.y[:, None] == wanted, X.dtype) - 1.0
        rates = self.eta0 * self._weights(data, signs)
        weights, intercept = xp.zeros((signs.shape[1], X.shape[1]), dtype=X.dtype, device=X.device), None
        if before is not None and before[0].shape == weights.shape:
            weights, intercept = before
        intercept = xp.zeros_like(weights[:, 0]) if intercept is None else intercept
        self.coef_, self.intercept_, self.n_iter_ = self._learn(X, signs, rates, weights, intercept)
        self.t_ = 1 + self.n_iter_ * X.shape[0]
        self.classes_ = data.classes
        return self

    def _weights(self, data: TrainingData, signs: Array) -> Array:
        """What each sample counts for each output, (n_samples, n_outputs)."""
        xp = data.xp
        weight = weights_by_class(self, data, count_weights=False)
        if signs.shape[1] == 1 or self.class_weight is None:
            return xp.ones_like(signs) if weight is None else xp.broadcast_to(weight[:, None], signs.shape) + 0.0
        # Against all others, a class's weight is that of its own samples alone.
        plain = xp.ones_like(signs[:, 0]) if data.sample_weight is None else data.sample_weight
        return xp.where(signs > 0, weight[:, None], plain[:, None])

    def _learn(
        self, X: Array, signs: Array, rates: Array, weights: Array, intercept: Array
    ) -> tuple[Array, Array, int]:
        """Passes until every output has ended."""
        backend, n_samples = backend_of(X), X.shape[0]
        order = backend.xp.arange(n_samples, device=X.device)
        generator = generator_of(self.random_state, X) if self.shuffle else None
        lowest, waited, running = ([value] * signs.shape[1] for value in (math.inf, 0, True))
        for n_iter in range(1, self.max_iter + 1):
            order = order if generator is None else generator.permutation(n_samples)
            learning = rates * backend.asarray([float(each) for each in running], X.dtype)
            weights, intercept, losses = perceptron_pass(
                X, signs, learning, order, weights, intercept, fit_intercept=self.fit_intercept
            )
            if self.tol is None:
                continue
            for k, loss in enumerate(to_numpy(losses).tolist()):
                waited[k] = waited[k] + 1 if loss / n_samples > lowest[k] - self.tol else 0
                lowest[k] = min(lowest[k], loss / n_samples)
                running[k] = running[k] and waited[k] < self.n_iter_no_change
            if not any(running):
                return weights, intercept, n_iter
        if self.tol is not None:
            warn(
                ConvergenceWarning,
                "Maximum number of iteration reached before convergence. Consider increasing max_iter to improve the "
                "fit.",
                stacklevel=4,
            )
        return weights, intercept, self.max_iter
