r"""Linear support vector machines without a kernel matrix, for many samples.

.. math:: \min_w\; \tfrac12 \lVert w \rVert^2 + \sum_i C_i\, \ell(y_i\, w \cdot x_i), \qquad
          \ell(m) = \max(0, 1 - m) \text{ or its square}

The constant is one more weight, of a feature that is `intercept_scaling` everywhere, and so it is penalised too: a
larger scale penalises it less.  [Fan et al. 2008, "LIBLINEAR"]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

from portml.backends import Array, device_of, namespace, to_numpy
from portml.backends.kernels.support_vectors import dual_coordinate_descent
from portml.classical.class_weights import class_weights
from portml.classical.estimator import Classifier
from portml.classical.scikit_learn import warn
from portml.classical.validation import check_parameter, generator_of, labels_of, read_data, read_training_data
from portml.errors import ArgumentError, ConvergenceWarning
from portml.optim.minimise import conjugate_gradient, minimise_newton
from portml.random import Generator

__all__ = ["LinearSVC"]

FACTORISED_UP_TO = 1000
PASSES_BETWEEN_LOOKS = 8


class _Separation(NamedTuple):
    """The weights that separate a class from the rest, after how many iterations, and whether these were enough."""

    weights: Array
    n_iter: int
    converged: bool


class LinearSVC(Classifier):
    """Linear support vector classification; of more than two classes each is separated from the rest.

    Parameters
    ----------
    loss : {"squared_hinge", "hinge"}
    dual : bool or "auto"
        Whether to solve the dual, by coordinate descent, or the primal, by Newton's method, which the hinge is not
        smooth enough for.  "auto" takes the primal where it can: both have the same optimum, which is unique.
    tol : float
    C : float
        The price of a sample on the wrong side of its margin.
    fit_intercept : bool
    intercept_scaling : float
    class_weight : dict, "balanced" or None
        Multiplies C of the samples of each class.
    random_state : int, Generator or None
        In which order the dual takes the samples.
    max_iter : int
        Passes of the dual, steps of the primal.
    backend : str or Backend, optional
        Where X goes when it arrives on the host.

    Attributes
    ----------
    classes_ : array (n_classes,)
    coef_ : array (1, n_features) for two classes, else (n_classes, n_features)
    intercept_ : array (1,) or (n_classes,); 0.0 without an intercept
    n_iter_ : int
        The largest of all classes.
    n_features_in_, feature_names_in_
    """

    def __init__(
        self,
        *,
        loss: str = "squared_hinge",
        dual: bool | str = "auto",
        tol: float = 1e-4,
        C: float = 1.0,
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        class_weight: Any = None,
        random_state: Any = None,
        max_iter: int = 1000,
        backend: Any = None,
    ) -> None:
        self.loss = loss
        self.dual = dual
        self.tol = tol
        self.C = C
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.max_iter = max_iter
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find the weights.

        Parameters
        ----------
        X : array (n_samples, n_features)
        y : array (n_samples,)
            Labels.
        sample_weight : array (n_samples,), optional
            Multiplies C.

        Raises
        ------
        ArgumentError
            If a parameter or the data is not valid, or there is one class only.
        """
        self._check_parameters()
        data = read_training_data(self, X, y, sample_weight, labels=True, non_negative_weights=True)
        xp, self.classes_ = data.xp, data.classes
        n_classes = int(data.classes.shape[0])
        if n_classes < 2:
            raise ArgumentError(
                "This solver needs samples of at least 2 classes in the data, but the data contains only one class: "
                f"{to_numpy(data.classes).tolist()[0]!r}"
            )
        C = xp.full_like(data.X[:, 0], float(self.C))
        if data.sample_weight is not None:
            C = C * data.sample_weight
        weights = class_weights(self.class_weight, data.y, data.classes)
        samples, solve, found = self._augmented(data.X), self._solver(data.X), []
        for code in [1] if n_classes == 2 else range(n_classes):
            # Of more than two classes the rest is no class, and weighs as it is: LIBLINEAR's habit.
            of_rest = weights[0] if n_classes == 2 else 1.0
            is_positive = data.y == code
            targets = xp.where(is_positive, xp.ones_like(C), -1.0)
            found.append(solve(samples, targets, C * xp.where(is_positive, xp.full_like(C, weights[code]), of_rest)))
        self._keep(found, data.X)
        return self

    def decision_function(self, X: Any) -> Array:
        """w · x + b: (n_samples,) for two classes, where positive values mean the second, else (n_samples, n_classes).

        Parameters
        ----------
        X : array (n_samples, n_features)
        """
        X = read_data(self, X)
        xp = namespace(X)
        scores = xp.matmul(X, xp.matrix_transpose(xp.astype(self.coef_, X.dtype, copy=False)))
        if self.fit_intercept:
            scores = scores + xp.astype(self.intercept_, X.dtype, copy=False)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> Array:
        """The label of each sample, (n_samples,).

        Parameters
        ----------
        X : array (n_samples, n_features)
        """
        scores = self.decision_function(X)
        xp = namespace(scores)
        codes = xp.astype(scores > 0, xp.int64) if scores.ndim == 1 else xp.argmax(scores, axis=1)
        return labels_of(codes, self.classes_)

    def _check_parameters(self) -> None:
        check_parameter(self, "loss", self.loss in ("hinge", "squared_hinge"), "a str among {'hinge', 'squared_hinge'}")
        check_parameter(
            self, "dual", self.dual in (True, False, "auto"), "an instance of 'bool' or a str among {'auto'}"
        )
        for name in ("C", "tol"):
            value = getattr(self, name)
            is_positive = isinstance(value, Real) and 0 < float(value) < math.inf
            check_parameter(self, name, is_positive, "a float in the range (0.0, inf)")
        is_count = isinstance(self.max_iter, Integral) and self.max_iter >= 0
        check_parameter(self, "max_iter", is_count, "an int in the range [0, inf)")
        scale = self.intercept_scaling
        is_positive = isinstance(scale, Real) and 0 < scale < math.inf
        check_parameter(self, "intercept_scaling", is_positive, "a float in the range (0.0, inf)")
        if self.loss == "hinge" and self.dual is False:
            raise ArgumentError(
                "Unsupported set of arguments: The combination of penalty='l2' and loss='hinge' is not supported when "
                "dual=False; pass dual=True or dual='auto'"
            )

    def _augmented(self, X: Array) -> Array:
        if not self.fit_intercept:
            return X
        xp = namespace(X)
        return xp.concat([X, xp.full_like(X[:, :1], float(self.intercept_scaling))], axis=1)

    def _solver(self, X: Array) -> Callable[[Array, Array, Array], _Separation]:
        in_dual = self.loss == "hinge" if self.dual == "auto" else bool(self.dual)
        if not in_dual:
            return lambda samples, targets, C: separate_by_newton(
                samples, targets, C, tolerance=float(self.tol), max_iter=int(self.max_iter)
            )
        generator = generator_of(self.random_state, X)
        return lambda samples, targets, C: separate_by_coordinate_descent(
            samples,
            targets,
            C,
            squared=self.loss == "squared_hinge",
            tolerance=float(self.tol),
            max_iter=int(self.max_iter),
            generator=generator,
        )

    def _keep(self, found: list[_Separation], X: Array) -> None:
        xp = namespace(X)
        weights = xp.stack([each.weights for each in found])
        self.n_iter_ = max(each.n_iter for each in found)
        self.coef_ = weights[:, : X.shape[1]]
        self.intercept_ = float(self.intercept_scaling) * weights[:, -1] if self.fit_intercept else 0.0
        if not all(each.converged for each in found):
            warn(
                ConvergenceWarning,
                "Liblinear failed to converge, increase the number of iterations.",
                stacklevel=3,
            )


def separate_by_newton(x: Array, targets: Array, C: Array, *, tolerance: float, max_iter: int) -> _Separation:
    """Minimise ½ ‖w‖² + Σ C_i max(0, 1 - y_i w·x_i)² by Newton's method on its generalised Hessian.

    The Hessian I + 2 Σ C_i x_i x_iᵀ is over the samples within the margin.  Where features are many, conjugate
    gradients solve with it.  Ends when no entry of the gradient exceeds ``tolerance * min(n₊, n₋) / n`` of the largest
    at w = 0, as in LIBLINEAR.  [Mangasarian 2002; Keerthi & DeCoste 2005; Lin, Weng & Keerthi 2008]

    Parameters
    ----------
    x : array (n_samples, n_features)
    targets, C : array (n_samples,)
        Targets are +1 and -1.
    """
    xp, n_features = namespace(x), x.shape[1]

    def margins_missed(w: Array) -> Array:
        missed = 1.0 - targets * xp.matmul(x, w)
        return xp.where(missed > 0.0, missed, 0.0)

    def value_and_gradient(w: Array) -> tuple[Array, Array]:
        missed = margins_missed(w)
        gradient = w - 2.0 * xp.matmul(C * targets * missed, x)
        return 0.5 * xp.sum(w * w) + xp.sum(C * missed * missed), gradient

    def direction(w: Array, gradient: Array) -> Array:
        curvature = xp.where(margins_missed(w) > 0.0, 2.0 * C, 0.0)
        if n_features > FACTORISED_UP_TO:
            return conjugate_gradient(lambda v: v + xp.matmul(curvature * xp.matmul(x, v), x), -gradient)
        identity = xp.eye(n_features, dtype=x.dtype, device=device_of(x))
        hessian = identity + xp.matmul(xp.matrix_transpose(x) * curvature, x)
        return -xp.linalg.solve(hessian, gradient[:, None])[:, 0]

    start = xp.zeros_like(x[0, :])
    first = xp.max(xp.abs(value_and_gradient(start)[1]))
    n_positive = xp.sum(xp.astype(targets > 0, x.dtype))
    largest, positive = to_numpy(xp.stack([first, n_positive])).tolist()
    rarer = max(min(positive, x.shape[0] - positive), 1.0) / x.shape[0]
    minimum = minimise_newton(
        value_and_gradient, direction, start, max_iter=max_iter, tolerance=tolerance * rarer * largest
    )
    # One more full step costs little, and is exact where it leaves the same samples within the margin.
    last = minimum.x + direction(minimum.x, minimum.gradient)
    steepness = [xp.max(xp.abs(gradient)) for gradient in (minimum.gradient, value_and_gradient(last)[1])]
    weights = xp.where(steepness[1] < steepness[0], last, minimum.x)
    return _Separation(weights, minimum.n_iter, minimum.converged or minimum.n_iter < max_iter)


def separate_by_coordinate_descent(
    x: Array,
    targets: Array,
    C: Array,
    *,
    squared: bool,
    tolerance: float,
    max_iter: int,
    generator: Generator,
) -> _Separation:
    """Solve the dual one variable at a time, all in a new random order at each pass.

    Ends when the projected gradients of a pass differ by less than the tolerance.  [Hsieh et al. 2008]

    Parameters
    ----------
    x : array (n_samples, n_features)
    targets, C : array (n_samples,)
        Targets are +1 and -1.
    squared : bool
        Whether the loss is the square of the hinge.
    """
    xp, n = namespace(x), x.shape[0]
    counts = C > 0.0
    bounds = xp.where(counts, math.inf if squared else C, 0.0)
    shifts = xp.where(counts, 0.5 / xp.where(counts, C, 1.0), 0.0) if squared else xp.zeros_like(C)
    alpha, weights, n_iter = xp.zeros_like(C), xp.zeros_like(x[0, :]), 0
    while n_iter < max_iter:
        passes = min(PASSES_BETWEEN_LOOKS, max_iter - n_iter)
        orders = xp.stack([generator.permutation(n) for _ in range(passes)])
        alpha, weights, violations = dual_coordinate_descent(x, targets, bounds, shifts, alpha, weights, orders)
        n_iter += passes
        if to_numpy(xp.any(violations < tolerance)):
            return _Separation(weights, n_iter, True)
    return _Separation(weights, n_iter, False)
