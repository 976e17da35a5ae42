r"""Naive Bayes: the class that is most probable if the features are independent within each class.

.. math:: \hat y = \arg\max_c \; \log P(c) + \sum_j \log P(x_j \mid c)

`GaussianNB` takes each :math:`P(x_j \mid c)` as normal, `MultinomialNB` counts how often each feature occurs and
`BernoulliNB` whether it does.  All learn by sums over samples, so that batches can be added one by one (`partial_fit`).
[Manning, Raghavan & Schütze, "Introduction to Information Retrieval", 2008, chapter 13]
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Self

from portml.backends import Array, backend_of, namespace, to_numpy
from portml.backends.kernels.naive_bayes import class_moments, gaussian_log_joint
from portml.backends.kernels.rows import one_hot
from portml.classical.estimator import Classifier
from portml.classical.scikit_learn import warn
from portml.classical.validation import (
    TrainingData,
    check_parameter,
    labels_of,
    read_data,
    read_training_data,
    refuse_negative,
    require_fitted,
)
from portml.errors import ArgumentError, ShapeError

__all__ = ["BernoulliNB", "GaussianNB", "MultinomialNB"]

LEAST_ALPHA = 1e-10


class _NaiveBayes(Classifier):
    """What all share: from the logarithms of joint probabilities to predictions, and learning in batches."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from X (n_samples, n_features), labels y (n_samples,) and weights (n_samples,)."""
        vars(self).pop("classes_", None)
        return self._learn(read_training_data(self, X, y, sample_weight, labels=True))

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Learn from one more batch: the result is that of one fit to all of them.

        Parameters
        ----------
        X : array (n_samples, n_features)
        y : array (n_samples,)
        classes : array (n_classes,)
            All labels there can be; needed in the first call only.
        sample_weight : array (n_samples,), optional

        Raises
        ------
        ArgumentError
            If the first call has no `classes`, a later one has others, or a label is none of them.
        """
        first = not hasattr(self, "classes_")
        if first and classes is None:
            raise ArgumentError("classes must be passed on the first call to partial_fit.")
        if not first and classes is not None:
            before, now = to_numpy(self.classes_).tolist(), sorted({*_as_list(classes)})
            if before != now:
                raise ArgumentError(f"`classes={now}` is not the same as on last call to partial_fit, was: {before}")
        known = classes if first else self.classes_
        return self._learn(
            read_training_data(self, X, y, sample_weight, labels=True, classes=known, reset=first), first=first
        )

    def predict(self, X: Any) -> Array:
        """The most probable labels (n_samples,)."""
        joint = self.predict_joint_log_proba(X)
        return labels_of(namespace(joint).argmax(joint, axis=1), self.classes_)

    def predict_joint_log_proba(self, X: Any) -> Array:
        """log P(x, c), (n_samples, n_classes)."""
        require_fitted(self)
        X = read_data(self, X)
        dtype = self._dtype
        return self._joint(namespace(X).astype(X, dtype, copy=False))

    def predict_log_proba(self, X: Any) -> Array:
        """log P(c | x), (n_samples, n_classes)."""
        joint = self.predict_joint_log_proba(X)
        xp = namespace(joint)
        highest = xp.max(joint, axis=1, keepdims=True)
        return joint - (highest + xp.log(xp.sum(xp.exp(joint - highest), axis=1, keepdims=True)))

    def predict_proba(self, X: Any) -> Array:
        """P(c | x), (n_samples, n_classes)."""
        logarithms = self.predict_log_proba(X)
        return namespace(logarithms).exp(logarithms)

    @property
    def _dtype(self) -> Any:
        raise NotImplementedError

    def _learn(self, data: TrainingData, *, first: bool = True) -> Self:
        raise NotImplementedError

    def _joint(self, X: Array) -> Array:
        raise NotImplementedError


class GaussianNB(_NaiveBayes):
    r"""Naive Bayes with normal features, :math:`P(x_j \mid c) = N(x_j; \mu_{cj}, \sigma_{cj}^2)`.

    Batches are merged by the pairwise update of variances [Chan, Golub & LeVeque 1979].

    Parameters
    ----------
    priors : array (n_classes,), optional
        P(c); None takes how often the classes occur.
    var_smoothing : float
        This share of the largest variance of a feature is added to all variances.
    backend : str or Backend, optional
        Where X goes if it arrives on the host.

    Attributes
    ----------
    classes_, class_count_, class_prior_ : array (n_classes,)
    theta_, var_ : array (n_classes, n_features)
        Means and variances.
    epsilon_ : array ()
        What is added to the variances.
    n_features_in_ : int
    feature_names_in_ : array (n_features,) of str
    """

    def __init__(self, *, priors: Any = None, var_smoothing: float = 1e-9, backend: Any = None) -> None:
        self.priors = priors
        self.var_smoothing = var_smoothing
        self.backend = backend

    class_count_: Array
    theta_: Array
    _variances: Array

    @property
    def _dtype(self) -> Any:
        return self.theta_.dtype

    def _learn(self, data: TrainingData, *, first: bool = True) -> Self:
        valid = isinstance(self.var_smoothing, Real) and self.var_smoothing >= 0
        check_parameter(self, "var_smoothing", valid, "a float in the range [0.0, inf)")
        xp, X = data.xp, data.X
        counts, means, variances = class_moments(X, data.y, data.sample_weight, n_classes=data.classes.shape[0])
        self.epsilon_ = self.var_smoothing * _largest_variance(data, counts, means, variances)
        if not first:
            before = (self.class_count_, self.theta_, self._variances)
            counts, means, variances = _merged(before, (counts, means, variances))
        self.classes_ = data.classes
        self.class_count_, self.theta_, self._variances = counts, means, variances
        self.var_ = variances + self.epsilon_
        self.class_prior_ = counts / xp.sum(counts) if self.priors is None else self._given_priors(counts)
        return self

    def _joint(self, X: Array) -> Array:
        return gaussian_log_joint(X, self.theta_, self.var_, _log(self.class_prior_))

    def _given_priors(self, counts: Array) -> Array:
        backend = backend_of(counts)
        priors = backend.asarray(self.priors, counts.dtype)
        if priors.shape != counts.shape:
            raise ShapeError("Number of priors must match number of classes.")
        host = to_numpy(priors)
        if abs(float(host.sum()) - 1) > 1e-5:
            raise ArgumentError("The sum of the priors should be 1.")
        if bool((host < 0).any()):
            raise ArgumentError("Priors must be non-negative.")
        return priors


class _DiscreteNB(_NaiveBayes):
    """What is common to counts and to truth values: sums of features by class, smoothed."""

    alpha: Any
    force_alpha: bool
    fit_prior: bool
    class_prior: Any
    class_count_: Array
    feature_count_: Array

    @property
    def _dtype(self) -> Any:
        return self.feature_log_prob_.dtype

    def _learn(self, data: TrainingData, *, first: bool = True) -> Self:
        xp = data.xp
        X = self._read_features(data.X)
        member = one_hot(data.y, n=data.classes.shape[0], dtype=str(X.dtype).rpartition(".")[2])
        if data.sample_weight is not None:
            member = member * data.sample_weight[:, None]
        # Batch upon batch is added up in float64, which holds whole numbers up to 2**53.
        counts = xp.sum(member, axis=0, dtype=xp.float64)
        features = xp.astype(xp.matrix_transpose(member) @ X, xp.float64)
        if not first:
            counts, features = counts + self.class_count_, features + self.feature_count_
        self.classes_ = data.classes
        self.class_count_, self.feature_count_ = counts, features
        self.class_log_prior_ = xp.astype(self._log_prior(counts), X.dtype)
        self.feature_log_prob_ = xp.astype(self._log_probabilities(features, counts, self._smoothing(X)), X.dtype)
        return self

    def _read_features(self, X: Array) -> Array:
        raise NotImplementedError

    def _log_probabilities(self, features: Array, counts: Array, alpha: Any) -> Array:
        raise NotImplementedError

    def _log_prior(self, counts: Array) -> Array:
        xp, n = namespace(counts), counts.shape[0]
        if self.class_prior is not None:
            prior = backend_of(counts).asarray(self.class_prior, counts.dtype)
            if prior.shape != counts.shape:
                raise ShapeError("Number of priors must match number of classes.")
            return _log(prior)
        if self.fit_prior:
            return _log(counts) - xp.log(xp.sum(counts))
        return xp.full_like(counts, -math.log(n))

    def _smoothing(self, X: Array) -> Any:
        """Alpha as a number or as an array (n_features,), not too small for logarithms."""
        if isinstance(self.alpha, Real):
            alpha: Any = float(self.alpha)
            least: float = alpha
            check_parameter(self, "alpha", least >= 0, "a float in the range [0.0, inf) or an array-like")
        else:
            xp = namespace(X)
            alpha = backend_of(X).asarray(self.alpha, xp.float64)
            if tuple(alpha.shape) != (X.shape[1],):
                raise ShapeError(
                    "When alpha is an array, it should contains `n_features`. "
                    f"Got {alpha.shape[0]} elements instead of {X.shape[1]}."
                )
            least = float(to_numpy(xp.min(alpha)))
            if least < 0:
                raise ArgumentError("All values in alpha must be greater than 0.")
        if least >= LEAST_ALPHA or self.force_alpha:
            return alpha
        warn(
            UserWarning,
            f"alpha too small will result in numeric errors, setting alpha = {LEAST_ALPHA:.1e}. "
            "Use `force_alpha=True` to keep alpha unchanged.",
        )
        return LEAST_ALPHA if isinstance(alpha, float) else namespace(X).maximum(alpha, LEAST_ALPHA)


class MultinomialNB(_DiscreteNB):
    r"""Naive Bayes for counts: how often each feature occurs, as words do in a text.

    .. math:: P(j \mid c) = \frac{N_{cj} + \alpha}{\sum_j (N_{cj} + \alpha)}, \quad
        \log P(x \mid c) = \sum_j x_j \log P(j \mid c) + \mathrm{const}

    Parameters
    ----------
    alpha : float or array (n_features,)
        Additive smoothing; 0 for none.
    force_alpha : bool
        False raises an alpha below 1e-10 to that.
    fit_prior : bool
        Whether to learn P(c); otherwise all classes are equally probable.
    class_prior : array (n_classes,), optional
        P(c), where it is known.
    backend : str or Backend, optional
        Where X goes if it arrives on the host.

    Attributes
    ----------
    classes_ : array (n_classes,)
    class_count_ : array (n_classes,), float64
    feature_count_ : array (n_classes, n_features), float64
    class_log_prior_ : array (n_classes,)
    feature_log_prob_ : array (n_classes, n_features)
        log P(j | c).
    n_features_in_ : int
    feature_names_in_ : array (n_features,) of str
    """

    def __init__(
        self,
        *,
        alpha: Any = 1.0,
        force_alpha: bool = True,
        fit_prior: bool = True,
        class_prior: Any = None,
        backend: Any = None,
    ) -> None:
        self.alpha = alpha
        self.force_alpha = force_alpha
        self.fit_prior = fit_prior
        self.class_prior = class_prior
        self.backend = backend

    def _read_features(self, X: Array) -> Array:
        refuse_negative(X, "MultinomialNB (input X)")
        return X

    def _log_probabilities(self, features: Array, counts: Array, alpha: Any) -> Array:
        xp = namespace(features)
        smoothed = features + alpha
        return _log(smoothed) - _log(xp.sum(smoothed, axis=1, keepdims=True))

    def _joint(self, X: Array) -> Array:
        return X @ namespace(X).matrix_transpose(self.feature_log_prob_) + self.class_log_prior_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.classifier_tags.poor_score = True
        return tags


class BernoulliNB(_DiscreteNB):
    r"""Naive Bayes for truth values: which features occur, and which do not.

    .. math:: P(x_j = 1 \mid c) = \frac{N_{cj} + \alpha}{N_c + 2 \alpha}, \quad
        \log P(x \mid c) = \sum_j x_j \log P(1 \mid c) + (1 - x_j) \log (1 - P(1 \mid c))

    Parameters
    ----------
    alpha, force_alpha, fit_prior, class_prior, backend
        As of `MultinomialNB`.
    binarize : float, optional
        Values above are true; None takes X as zeros and ones already.

    Attributes
    ----------
    classes_, class_count_, feature_count_, class_log_prior_, feature_log_prob_, n_features_in_, feature_names_in_
        As of `MultinomialNB`; `feature_log_prob_` is log P(x_j = 1 | c).
    """

    def __init__(
        self,
        *,
        alpha: Any = 1.0,
        force_alpha: bool = True,
        binarize: float | None = 0.0,
        fit_prior: bool = True,
        class_prior: Any = None,
        backend: Any = None,
    ) -> None:
        self.alpha = alpha
        self.force_alpha = force_alpha
        self.binarize = binarize
        self.fit_prior = fit_prior
        self.class_prior = class_prior
        self.backend = backend

    def _read_features(self, X: Array) -> Array:
        valid = self.binarize is None or isinstance(self.binarize, Real)
        check_parameter(self, "binarize", valid, "a float or None")
        return X if self.binarize is None else namespace(X).astype(self.binarize < X, X.dtype)

    def _log_probabilities(self, features: Array, counts: Array, alpha: Any) -> Array:
        return _log(features + alpha) - _log((counts[:, None]) + 2 * alpha)

    def _joint(self, X: Array) -> Array:
        xp = namespace(X)
        occurs = self.feature_log_prob_
        absent = xp.log1p(-xp.exp(occurs))
        joint = self._read_features(X) @ xp.matrix_transpose(occurs - absent)
        return joint + self.class_log_prior_ + xp.sum(absent, axis=1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags


def _largest_variance(data: TrainingData, counts: Array, means: Array, variances: Array) -> Array:
    """Of all features over all samples without weights: within the classes and between them."""
    xp = data.xp
    if data.sample_weight is not None:
        return xp.max(xp.var(data.X, axis=0))
    share = (counts / xp.sum(counts))[:, None]
    between = means - xp.sum(share * means, axis=0)
    return xp.max(xp.sum(share * (variances + between * between), axis=0))


def _merged(a: tuple[Array, Array, Array], b: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    """Counts, means and variances of two batches together."""
    xp = namespace(a[0])
    counts = a[0] + b[0]
    safe = xp.where(counts == 0, 1.0, counts)
    share_a, share_b = ((each[0] / safe)[:, None] for each in (a, b))
    apart = b[1] - a[1]
    variances = share_a * a[2] + share_b * b[2] + share_a * share_b * apart * apart
    return counts, a[1] + share_b * apart, variances


def _log(x: Array) -> Array:
    """The logarithm, minus infinity of zero without a warning."""
    xp = namespace(x)
    nothing = x == 0
    return xp.where(nothing, -math.inf, xp.log(xp.where(nothing, 1.0, x)))


def _as_list(labels: Any) -> list[Any]:
    return to_numpy(labels).tolist() if hasattr(labels, "shape") else list(labels)
