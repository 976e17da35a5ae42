"""What all linear models share: centring, predictions, and positive definite systems of equations.

With an intercept b = mean(y) - mean(X) w, least squares on centred data finds the same weights with one unknown less.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from portml.backends import Array, namespace, to_numpy
from portml.classical.estimator import Regressor
from portml.classical.gradient_descent import gradient_descent, squared_objective
from portml.classical.validation import TrainingData, check_parameter, generator_of, read_data

__all__ = [
    "Centred",
    "LinearRegressor",
    "check_descent",
    "column_sums",
    "gram",
    "intercept_of",
    "solve_positive_definite",
    "total_weight",
]


class Centred:
    """Least squares without an intercept and without sample weights.

    Attributes
    ----------
    X : array (n_samples, n_features)
        Centred, and multiplied by the roots of the sample weights; made when it is asked for.
    y : array (n_samples, n_outputs)
        Likewise.
    X_mean : array (n_features,) or None
        The weighted mean; None where no intercept is fitted.
    y_mean : array (n_outputs,) or None
    """

    def __init__(self, data: TrainingData, fit_intercept: bool) -> None:
        self._given, self._root, xp = data.X, None, data.xp
        self.y = data.y if data.y.ndim == 2 else data.y[:, None]
        self.X_mean = self.y_mean = None
        weight = data.sample_weight
        if fit_intercept:
            total = self.y.shape[0] if weight is None else xp.sum(weight)
            self.X_mean = column_sums(data.X, weight) / total
            self.y_mean = column_sums(self.y, weight) / total
            self.y = self.y - self.y_mean
        if weight is not None:
            self._root = xp.sqrt(weight)[:, None]
            self.y = self.y * self._root

    @cached_property
    def X(self) -> Array:
        """The centred and weighted X."""
        X = self._given if self.X_mean is None else self._given - self.X_mean
        return X if self._root is None else X * self._root

    @property
    def n_features(self) -> int:
        """How many columns X has."""
        return int(self._given.shape[1])

    @cached_property
    def squares(self) -> list[float]:
        """‖y‖² of each output, on the host."""
        return [float(each) for each in to_numpy(namespace(self.y).sum(self.y * self.y, axis=0))]

    def normal_equations(self) -> tuple[Array, Array]:
        """XᵀX and Xᵀy.

        Where no mean is far from zero the centred X is not made: (X - m)ᵀ(X - m) = XᵀX - n m mᵀ, and as y is centred
        Xᵀy is what it was.
        """
        if self.X_mean is not None and self._root is None:
            matrix = gram(self._given)
            shifted = matrix - (self.y.shape[0] * self.X_mean[:, None]) * self.X_mean
            xp = namespace(matrix)
            # What is left of the squares: the rest cancels, and takes its digits with it.
            left = to_numpy(xp.min(_over(xp.linalg.diagonal(shifted), xp.linalg.diagonal(matrix))))
            if left > LEAST_LEFT:
                return shifted, xp.matrix_transpose(self._given) @ self.y
        return gram(self.X), namespace(self.y).matrix_transpose(self.X) @ self.y


LEAST_LEFT = 0.1
"""Of a column's sum of squares so much must be left without its mean, or the mean is taken away first."""


class LinearRegressor(Regressor):
    """A regressor with predictions ŷ = X w + b.

    Attributes
    ----------
    coef_ : array (n_features,) or (n_outputs, n_features)
    intercept_ : array () or (n_outputs,)
    """

    coef_: Array
    intercept_: Any
    n_iter_: Any
    loss_history_: Array

    def predict(self, X: Any) -> Array:
        """ŷ = X w + b.

        Parameters
        ----------
        X : array (n_samples, n_features)

        Returns
        -------
        array (n_samples,) or (n_samples, n_outputs)
        """
        X = read_data(self, X)
        xp = namespace(X)
        coef = xp.astype(self.coef_, X.dtype, copy=False)
        predicted = X @ (coef if coef.ndim == 1 else xp.matrix_transpose(coef))
        if type(self.intercept_) is float:  # what stands there without an intercept; NumPy's numbers are no such
            return predicted
        return predicted + xp.astype(xp.asarray(self.intercept_), X.dtype, copy=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _descend(self, data: TrainingData, l1: float, l2: float, max_iter: int) -> None:
        """Fit by gradient descent on the mean squared error + l1 ‖w‖₁ + l2 ‖w‖², and keep the losses."""
        check_descent(self)
        estimator: Any = self
        single, y = data.y.ndim == 1, data.y
        y = y[:, None] if single else y
        generator = None if estimator.batch_size is None else generator_of(estimator.random_state, data.X)
        weights, intercept, self.loss_history_ = gradient_descent(
            squared_objective(l1, l2),
            data.X,
            y,
            data.sample_weight,
            learning_rate=estimator.learning_rate,
            max_iter=max_iter,
            batch_size=estimator.batch_size,
            generator=generator,
            fit_intercept=estimator.fit_intercept,
        )
        self.n_iter_ = max_iter
        self._learn(weights, intercept if estimator.fit_intercept else None, single)

    def _learn(self, weights: Array, intercept: Array, single: bool) -> None:
        """Keep weights (n_features, n_outputs) in scikit-learn's layout; an intercept of None is none."""
        xp = namespace(weights)
        self.coef_ = weights[:, 0] if single else xp.asarray(xp.matrix_transpose(weights), copy=True)
        self.intercept_ = 0.0 if intercept is None else intercept[0] if single else intercept


def intercept_of(weights: Array, problem: Centred) -> Array:
    """b = mean(y) - mean(X) w, (n_outputs,), or None where no intercept is fitted."""
    return None if problem.X_mean is None else problem.y_mean - problem.X_mean @ weights


def column_sums(X: Array, weight: Array | None = None) -> Array:
    """Sums over the samples as a product of matrices, which libraries are fastest at."""
    return (namespace(X).ones_like(X[:, 0]) if weight is None else weight) @ X


def gram(X: Array) -> Array:
    """XᵀX."""
    return namespace(X).matrix_transpose(X) @ X


def _over(a: Array, b: Array) -> Array:
    """a / b, or 0 where b is 0."""
    xp = namespace(a, b)
    return xp.where(b > 0, a / xp.where(b > 0, b, xp.ones_like(b)), xp.zeros_like(a))


def solve_positive_definite(matrix: Array, right: Array, lowest: float = 0.0) -> Array | None:
    """Solve A x = b by Cholesky's A = L Lᵀ, or None where too many digits would be lost.

    The squared pivots L_jj² / A_jj are the shares of each column that the columns before do not explain: near zero the
    columns depend on one another.  Two numbers are read to the host.

    Parameters
    ----------
    matrix : array (n, n)
        Symmetric, positive semi-definite.
    right : array (n, k)
    lowest : float
        None also where a squared pivot is below this times the largest A_jj.

    Returns
    -------
    array (n, k) or None
    """
    xp = namespace(matrix, right)
    try:
        factor = xp.linalg.cholesky(matrix)
    except ValueError:  # numpy.linalg.LinAlgError is one; other libraries give NaN where a matrix is not definite
        return None
    pivots, diagonal = xp.linalg.diagonal(factor), xp.linalg.diagonal(matrix)
    squared = pivots * pivots
    read = to_numpy(xp.stack([xp.min(_over(squared, diagonal)), _over(xp.min(squared), xp.max(diagonal))]))
    share, smallest = map(float, read)
    if not (share > float(xp.finfo(matrix.dtype).eps) ** 0.4 and smallest > lowest):
        return None
    return xp.linalg.solve(matrix, right)


def check_descent(estimator: Any) -> None:
    """Refuse what gradient descent cannot work with."""
    check_parameter(estimator, "learning_rate", estimator.learning_rate > 0, "a float in the range (0.0, inf)")
    size = estimator.batch_size
    check_parameter(estimator, "batch_size", size is None or size >= 1, "None or an int in the range [1, inf)")


def total_weight(data: TrainingData) -> float:
    """The sum of the sample weights, on the host; without any the number of samples."""
    if data.sample_weight is None:
        return float(data.X.shape[0])
    return float(to_numpy(data.xp.sum(data.sample_weight)))
