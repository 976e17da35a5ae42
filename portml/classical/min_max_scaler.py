r"""Scaling to a range: the least value of every feature to its lower end, the greatest to its upper end.

.. math:: z = a + (x - \min x) \frac{b - a}{\max x - \min x}
"""

from __future__ import annotations

from typing import Any, Self

from portml.backends import Array, namespace, to_numpy
from portml.classical.transformer import OneToOneTransformer
from portml.classical.validation import read_data, read_training_data
from portml.errors import ArgumentError

__all__ = ["MinMaxScaler"]


class MinMaxScaler(OneToOneTransformer):
    """Scale every feature to `feature_range`.

    Missing values (NaN) are left out and stay missing.

    Parameters
    ----------
    feature_range : (float, float)
    clip : bool
        Whether values beyond those seen in fit are cut off at the ends of the range.
    backend : str or Backend, optional
        Where X goes if it arrives on the host.

    Attributes
    ----------
    scale_, min_ : arrays (n_features,)
        ``X * scale_ + min_`` is the result; `scale_` is the range's width of constant features.
    data_min_, data_max_, data_range_ : arrays (n_features,)
        NaN of a feature that is always missing.
    n_samples_seen_ : int
    n_features_in_ : int
    feature_names_in_ : array (n_features,) of str
        Where X was a data frame.
    """

    data_min_: Array
    data_max_: Array
    n_samples_seen_: int

    def __init__(self, feature_range: tuple[float, float] = (0, 1), *, clip: bool = False, backend: Any = None) -> None:
        self.feature_range = feature_range
        self.clip = clip
        self.backend = backend

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the range of every feature of X (n_samples, n_features); `y` is not looked at."""
        for name in ("data_min_", "data_max_", "n_samples_seen_"):
            vars(self).pop(name, None)
        return self.partial_fit(X, y)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn from one more batch: the result is that of one fit to all of them."""
        low, high = self.feature_range
        if low >= high:
            raise ArgumentError(
                f"Minimum of desired feature range must be smaller than maximum. Got {self.feature_range}."
            )
        first = not hasattr(self, "n_samples_seen_")
        data = read_training_data(self, X, allow_nan=True, reset=first)
        xp, X = data.xp, data.X
        missing = xp.isnan(X)
        some = bool(to_numpy(xp.any(missing)))
        least = xp.min(xp.where(missing, xp.inf, X) if some else X, axis=0)
        greatest = xp.max(xp.where(missing, -xp.inf, X) if some else X, axis=0)
        never = xp.all(missing, axis=0)
        if not first:
            never = never & xp.isnan(self.data_min_)
            least = xp.minimum(least, xp.where(xp.isnan(self.data_min_), xp.inf, self.data_min_))
            greatest = xp.maximum(greatest, xp.where(xp.isnan(self.data_max_), -xp.inf, self.data_max_))
        self.data_min_ = xp.where(never, xp.nan, least)
        self.data_max_ = xp.where(never, xp.nan, greatest)
        self.n_samples_seen_ = X.shape[0] + (0 if first else self.n_samples_seen_)
        self.data_range_ = self.data_max_ - self.data_min_
        constant = self.data_range_ < 10 * xp.finfo(X.dtype).eps
        self.scale_ = (high - low) / xp.where(constant, 1.0, self.data_range_)
        self.min_ = low - self.data_min_ * self.scale_
        return self

    def transform(self, X: Any) -> Array:
        """X (n_samples, n_features) scaled to the range."""
        X = read_data(self, X, allow_nan=True)
        xp = namespace(X)
        Z = X * xp.astype(self.scale_, X.dtype, copy=False)
        Z += xp.astype(self.min_, X.dtype, copy=False)
        if self.clip:
            low, high = self.feature_range
            Z = xp.clip(Z, float(low), float(high))
        return Z

    def inverse_transform(self, X: Any) -> Array:
        """Scaled X (n_samples, n_features) as it was."""
        X = read_data(self, X, allow_nan=True, columns=getattr(self, "n_features_in_", None))
        xp = namespace(X)
        return (X - xp.astype(self.min_, X.dtype, copy=False)) / xp.astype(self.scale_, X.dtype, copy=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
