r"""Standardisation: every feature to mean 0 and variance 1.

.. math:: z = (x - \mu) / \sigma

Statistics of a batch are merged with those of the batches before by the pairwise update of Chan, Golub & LeVeque
("Updating formulae and a pairwise algorithm for computing sample variances", 1979, eq. 2.1): with sums of squared
deviations :math:`S_a, S_b` of :math:`n_a, n_b` samples,

.. math:: S = S_a + S_b + \frac{n_a n_b}{n_a + n_b} (\mu_a - \mu_b)^2,

which unlike :math:`E[x^2] - E[x]^2` subtracts no large numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from portml.backends import Array, namespace, to_numpy
from portml.classical.transformer import OneToOneTransformer
from portml.classical.validation import read_data, read_training_data

__all__ = ["Moments", "StandardScaler", "merge_moments", "moments_of"]

EPSILON = 2.0**-52  # of float64, in which the statistics are computed


class StandardScaler(OneToOneTransformer):
    """Remove the mean of every feature and scale it to unit variance.

    Missing values (NaN) are left out of the statistics and stay missing.

    Parameters
    ----------
    with_mean : bool
        Whether to remove the mean.
    with_std : bool
        Whether to scale; a feature that is constant up to rounding is not scaled.
    backend : str or Backend, optional
        Where X goes if it arrives on the host.

    Attributes
    ----------
    mean_, var_, scale_ : arrays (n_features,) of X's dtype, or None
        None where they are not wanted; `scale_` is the root of `var_`, 1 of constant features.
    n_samples_seen_ : int, float or array (n_features,)
        The samples seen, or the sum of their weights; one for each feature where they have missing values.
    n_features_in_ : int
    feature_names_in_ : array (n_features,) of str
        Where X was a data frame.
    """

    def __init__(self, *, with_mean: bool = True, with_std: bool = True, backend: Any = None) -> None:
        self.with_mean = with_mean
        self.with_std = with_std
        self.backend = backend

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn the mean and the variance of every feature of X (n_samples, n_features); `y` is not looked at."""
        for name in ("mean_", "var_", "scale_", "n_samples_seen_", "_moments"):
            vars(self).pop(name, None)
        return self.partial_fit(X, y, sample_weight)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn from one more batch: the result is that of one fit to all of them."""
        before = getattr(self, "_moments", None)
        data = read_training_data(self, X, None, sample_weight, allow_nan=True, reset=before is None)
        moments = moments_of(data.X, data.sample_weight)
        if before is not None:
            moments = merge_moments(before, moments)
        xp, dtype = data.xp, data.X.dtype
        self._moments = moments
        self.n_samples_seen_ = _seen(moments, weighted=data.sample_weight is not None)
        self.mean_ = xp.astype(moments.mean, dtype) if self.with_mean or self.with_std else None
        self.var_ = self.scale_ = None
        if self.with_std:
            variance = moments.deviations / moments.count
            self.var_ = xp.astype(variance, dtype)
            scale = xp.where(_constant(moments, variance), 1.0, xp.sqrt(variance))
            self.scale_ = xp.astype(scale, dtype)
        return self

    def transform(self, X: Any) -> Array:
        """X (n_samples, n_features) standardised."""
        X = read_data(self, X, allow_nan=True)
        xp = namespace(X)
        if not self.with_mean:
            return X / xp.astype(self.scale_, X.dtype, copy=False) if self.with_std else xp.asarray(X, copy=True)
        Z = X - xp.astype(self.mean_, X.dtype, copy=False)
        if self.with_std:
            Z /= xp.astype(self.scale_, X.dtype, copy=False)
        return Z

    def inverse_transform(self, X: Any) -> Array:
        """Standardised X (n_samples, n_features) as it was."""
        X = read_data(self, X, allow_nan=True, columns=getattr(self, "n_features_in_", None))
        xp = namespace(X)
        if self.with_std:
            X = X * xp.astype(self.scale_, X.dtype, copy=False)
        if self.with_mean:
            X = X + xp.astype(self.mean_, X.dtype, copy=False)
        return X

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class Moments(NamedTuple):
    """Statistics of every feature, (n_features,) in float64, over its values that are not missing."""

    count: Array
    """The sum of weights."""
    mean: Array
    deviations: Array
    r"""The sum of squared deviations :math:`\sum w (x - \mu)^2`."""


def moments_of(X: Array, sample_weight: Array | None = None) -> Moments:
    """The moments of one batch, in two passes.

    Parameters
    ----------
    X : array (n_samples, n_features), missing values as NaN
    sample_weight : array (n_samples,), optional
    """
    xp = namespace(X)
    X = xp.astype(X, xp.float64, copy=False)
    missing = xp.isnan(X)
    if sample_weight is None and X.shape[0] > 0 and not bool(to_numpy(xp.any(missing))):
        n, mean = float(X.shape[0]), xp.mean(X, axis=0)
        centred = X - mean
        rest = xp.sum(centred, axis=0)
        centred *= centred
        return Moments(xp.full_like(mean, n), mean, xp.sum(centred, axis=0) - rest * rest / n)
    present = ~missing
    weight = xp.astype(present, xp.float64)
    if sample_weight is not None:
        weight = weight * xp.astype(sample_weight, xp.float64)[:, None]
    X = xp.where(present, X, 0.0)
    count = xp.sum(weight, axis=0)
    divisor = xp.where(count == 0, 1.0, count)
    mean = xp.sum(weight * X, axis=0) / divisor
    centred = xp.where(present, X - mean, 0.0)
    # The mean is rounded: what the centred values still sum to corrects both it and the squares.
    rest = xp.sum(weight * centred, axis=0)
    deviations = xp.sum(weight * centred * centred, axis=0) - rest * rest / divisor
    return Moments(count, xp.where(count == 0, xp.nan, mean), deviations)


def merge_moments(a: Moments, b: Moments) -> Moments:
    """The moments of two batches together, by those of each."""
    xp = namespace(a.mean)
    count = a.count + b.count
    divisor = xp.where(count == 0, 1.0, count)
    mean_a, mean_b = (xp.where(each.count == 0, other.mean, each.mean) for each, other in ((a, b), (b, a)))
    difference = mean_b - mean_a
    mean = mean_a + difference * (b.count / divisor)
    between = xp.where((a.count == 0) | (b.count == 0), 0.0, difference * difference * (a.count * b.count / divisor))
    return Moments(count, mean, a.deviations + b.deviations + between)


def _constant(moments: Moments, variance: Array) -> Array:
    """Whether a feature's variance is no more than rounding made of a constant [Higham 2002, section 1.9]."""
    bound = moments.count * EPSILON * variance + (moments.count * moments.mean * EPSILON) ** 2
    return variance <= bound


def _seen(moments: Moments, *, weighted: bool) -> Any:
    counts = to_numpy(moments.count)
    if (counts == counts[0]).all():
        return float(counts[0]) if weighted else int(counts[0])
    xp = namespace(moments.count)
    return moments.count if weighted else xp.astype(moments.count, xp.int64)
