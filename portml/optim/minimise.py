"""Minimise a smooth function of an array: L-BFGS and Newton's method, both with a line search for the strong Wolfe
conditions.

Everything here is a pure function of arrays and callables.  Vectors stay on their device; what steers (a value, a
slope, the largest entry of a gradient) is read to the host, together and once for each evaluation.

Source: Nocedal & Wright, Numerical Optimization, 2nd edition, 2006; algorithms and equations are cited by its numbers.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from portml.backends import Array, namespace, to_numpy

__all__ = [
    "CurvaturePair",
    "Minimum",
    "Point",
    "conjugate_gradient",
    "curvature_pair",
    "minimise_lbfgs",
    "minimise_newton",
    "strong_wolfe",
    "two_loop_direction",
]

ValueAndGradient = Callable[[Array], tuple[Any, Array]]


class Minimum(NamedTuple):
    """Where a minimisation ended.

    Attributes
    ----------
    x : array
    value : float
    gradient : array of x's shape
    n_iter : int
        Steps taken.
    n_evaluations : int
        Values and gradients worked out.
    converged : bool
        Whether the largest entry of the gradient, or the decrease of the value, fell below its tolerance.
    reason : str
        In words, why it ended.
    """

    x: Array
    value: float
    gradient: Array
    n_iter: int
    n_evaluations: int
    converged: bool
    reason: str


class Point(NamedTuple):
    """A point on a line: the step, the value and slope there, and whatever else the caller wants back."""

    step: float
    value: float
    slope: float
    payload: Any = None


class CurvaturePair(NamedTuple):
    """What L-BFGS remembers of a step.

    Attributes
    ----------
    step : array
        s = x_{k+1} - x_k.
    change : array
        y = ∇f_{k+1} - ∇f_k.
    inverse_curvature : float or array ()
        ρ = 1 / sᵀy.
    """

    step: Array
    change: Array
    inverse_curvature: Any


def minimise_lbfgs(
    value_and_gradient: ValueAndGradient,
    x: Array,
    *,
    history: int = 10,
    max_iter: int = 100,
    tolerance: float = 1e-5,
    value_tolerance: float = 0.0,
    max_line_search: int = 30,
) -> Minimum:
    """Minimise by L-BFGS: a Newton-like step from the last `history` changes of the gradient.  [algorithm 7.5]

    Parameters
    ----------
    value_and_gradient : callable
        ``f(x) -> (value, gradient)``: a number or array (), and an array of x's shape.
    x : array
        Where to start; not written.
    history : int
        How many curvature pairs are remembered.
    max_iter : int
    tolerance : float
        Ends when no entry of the gradient is larger.
    value_tolerance : float
        Ends when a step lowers the value by no more than this times max(|value|, 1).
    max_line_search : int
        Evaluations along one direction at most.

    Returns
    -------
    Minimum
    """
    pairs: deque[CurvaturePair] = deque(maxlen=history)

    def direction(x: Array, gradient: Array) -> Array:
        return two_loop_direction(gradient, pairs)

    def remember(step: Array, change: Array) -> None:
        pair = curvature_pair(step, change)
        if pair is not None:
            pairs.append(pair)

    def scale(largest: float, n_iter: int) -> float:
        # Before anything is known of the curvature a step of length one is a guess of the scale.
        return 1.0 if n_iter else min(1.0, 1.0 / largest)

    limits = _Limits(max_iter, tolerance, value_tolerance, max_line_search)
    return _descend(value_and_gradient, direction, x, limits, scale, remember, pairs.clear)


def minimise_newton(
    value_and_gradient: ValueAndGradient,
    direction: Callable[[Array, Array], Array],
    x: Array,
    *,
    max_iter: int = 100,
    tolerance: float = 1e-5,
    value_tolerance: float = 0.0,
    max_line_search: int = 30,
) -> Minimum:
    """Minimise by Newton's method with a line search.  [algorithm 3.2]

    Parameters
    ----------
    value_and_gradient : callable
        As for `minimise_lbfgs`.
    direction : callable
        ``direction(x, gradient)`` solves H p = -gradient for the Hessian H at x: by a factorisation, or roughly by
        `conjugate_gradient`, which needs products with H only (Newton-CG).  Where p does not go downhill, -gradient is
        taken instead.
    x : array
        Where to start; not written.
    max_iter, tolerance, value_tolerance, max_line_search
        As for `minimise_lbfgs`.

    Returns
    -------
    Minimum
    """
    limits = _Limits(max_iter, tolerance, value_tolerance, max_line_search)
    return _descend(value_and_gradient, direction, x, limits)


def two_loop_direction(gradient: Array, pairs: Sequence[CurvaturePair] | deque[CurvaturePair]) -> Array:
    """The direction -H ∇f of L-BFGS, H the inverse Hessian that the pairs imply.  [algorithm 7.4, eq. 7.20]

    Parameters
    ----------
    gradient : array
    pairs : sequence of CurvaturePair
        Oldest first; without any the direction is -∇f.

    Returns
    -------
    array of the gradient's shape
        Nothing is read to the host.
    """
    q = -gradient
    if not pairs:
        return q
    weights = []
    for step, change, inverse_curvature in reversed(pairs):
        weight = inverse_curvature * _dot(step, q)
        q = q - weight * change
        weights.append(weight)
    _, change, inverse_curvature = pairs[-1]
    r = q / (inverse_curvature * _dot(change, change))
    for (step, change, inverse_curvature), weight in zip(pairs, reversed(weights), strict=True):
        r = r + (weight - inverse_curvature * _dot(change, r)) * step
    return r


def curvature_pair(step: Array, change: Array) -> CurvaturePair | None:
    """The pair to remember, or None where the curvature sᵀy is not safely positive: H would not stay definite."""
    curvature, squared = _numbers(_dot(step, change), _dot(change, change))
    if not curvature > _epsilon(step) * squared:
        return None
    return CurvaturePair(step, change, 1.0 / curvature)


def strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    step: float = 1.0,
    *,
    decrease: float = 1e-4,
    curvature: float = 0.9,
    slack: float = 0.0,
    max_evaluations: int = 30,
) -> tuple[Point | None, int]:
    """Find a step t along a direction that satisfies the strong Wolfe conditions.  [algorithms 3.5 and 3.6]

    With φ(t) = f(x + t p): φ(t) <= φ(0) + c1 t φ'(0) and |φ'(t)| <= c2 |φ'(0)|.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(t)`` gives the `Point` at step t.
    start : Point
        At step 0; its slope must be negative.
    step : float
        The first one tried.
    decrease, curvature : float
        c1 and c2, 0 < c1 < c2 < 1.
    slack : float
        What rounding makes of φ: differences below it say nothing, and the slope alone decides.  [Hager & Zhang 2005]
    max_evaluations : int

    Returns
    -------
    point : Point or None
        The one that satisfies the conditions; else the lowest one seen, or None if none was below φ(0).
    n_evaluations : int
    """
    search = _LineSearch(evaluate, start, decrease, curvature, slack, max_evaluations)
    return search.run(step), search.n_evaluations


def conjugate_gradient(
    product: Callable[[Array], Array], b: Array, *, tolerance: float = 1e-5, max_iter: int = 100
) -> Array:
    """Solve A x = b for a symmetric positive definite A by conjugate gradients from x = 0.  [algorithm 5.2]

    Parameters
    ----------
    product : callable
        ``product(v)`` gives A v.
    b : array
    tolerance : float
        Ends when ‖A x - b‖ <= tolerance ‖b‖, or where A turns out not to be positive definite.
    max_iter : int

    Returns
    -------
    array of b's shape
        Where A curves the wrong way at once, b itself: for Newton's method that is the steepest descent.  [alg. 7.1]
    """
    xp = namespace(b)
    x, residual, p = xp.zeros_like(b), b, b
    (squared,) = _numbers(_dot(b, b))
    target = tolerance * tolerance * squared
    for iteration in range(max_iter):
        if squared <= target:
            break
        along = product(p)
        (curvature,) = _numbers(_dot(p, along))
        if not curvature > 0:
            return b if iteration == 0 else x
        length = squared / curvature
        x, residual = x + length * p, residual - length * along
        before = squared
        (squared,) = _numbers(_dot(residual, residual))
        p = residual + (squared / before) * p
    return x


class _Limits(NamedTuple):
    max_iter: int
    tolerance: float
    value_tolerance: float
    max_line_search: int


def _descend(
    value_and_gradient: ValueAndGradient,
    direction: Callable[[Array, Array], Array],
    x: Array,
    limits: _Limits,
    scale: Callable[[float, int], float] = lambda largest, n_iter: 1.0,
    remember: Callable[[Array, Array], None] = lambda step, change: None,
    forget: Callable[[], None] = lambda: None,
) -> Minimum:
    """Step along directions until a limit is reached."""
    value, gradient = value_and_gradient(x)
    value, largest = _numbers(value, _largest(gradient))
    evaluations = 1

    def ended(n_iter: int, converged: bool, reason: str) -> Minimum:
        return Minimum(x, value, gradient, n_iter, evaluations, converged, reason)

    for n_iter in range(limits.max_iter + 1):
        if largest <= limits.tolerance:
            return ended(n_iter, True, f"no entry of the gradient exceeds {limits.tolerance}")
        if n_iter == limits.max_iter:
            break
        found, used = _along(value_and_gradient, direction, x, value, gradient, scale(largest, n_iter), limits)
        evaluations += used
        if found is None and n_iter:  # what is remembered may be spoilt: once more along the steepest descent
            forget()
            found, used = _along(value_and_gradient, _steepest, x, value, gradient, scale(largest, 0), limits)
            evaluations += used
        if found is None:
            return ended(n_iter, False, "the line search found no lower value: rounding errors, or a wrong gradient")
        before = value
        x_new, gradient_new, largest = found.payload
        remember(x_new - x, gradient_new - gradient)
        x, value, gradient = x_new, found.value, gradient_new
        if before - value <= limits.value_tolerance * max(abs(before), abs(value), 1.0):
            return ended(n_iter + 1, True, f"the value fell by no more than {limits.value_tolerance} of itself")
    return ended(limits.max_iter, False, f"{limits.max_iter} iterations were not enough")


def _along(
    value_and_gradient: ValueAndGradient,
    direction: Callable[[Array, Array], Array],
    x: Array,
    value: float,
    gradient: Array,
    step: float,
    limits: _Limits,
) -> tuple[Point | None, int]:
    """Search along a direction that goes downhill; payloads are (x, gradient, largest entry of the gradient)."""
    p = direction(x, gradient)
    (slope,) = _numbers(_dot(gradient, p))
    if not slope < 0:
        p = -gradient
        (slope,) = _numbers(_dot(gradient, p))

    def evaluate(t: float) -> Point:
        x_new = x + t * p
        value_new, gradient_new = value_and_gradient(x_new)
        read = _numbers(value_new, _dot(gradient_new, p), _largest(gradient_new))
        return Point(t, read[0], read[1], (x_new, gradient_new, read[2]))

    slack = 4.0 * _epsilon(x) * abs(value)
    start = Point(0.0, value, slope)
    return strong_wolfe(evaluate, start, step, slack=slack, max_evaluations=limits.max_line_search)


def _steepest(x: Array, gradient: Array) -> Array:
    return -gradient


class _LineSearch:
    """The state of `strong_wolfe`: brackets a step that satisfies the conditions, then narrows the bracket."""

    def __init__(
        self,
        evaluate: Callable[[float], Point],
        start: Point,
        decrease: float,
        curvature: float,
        slack: float,
        max_evaluations: int,
    ) -> None:
        self._evaluate = evaluate
        self._start = start
        self._decrease = decrease
        self._curvature = curvature
        self._slack = slack
        self._max_evaluations = max_evaluations
        self._lowest: Point | None = None
        self.n_evaluations = 0

    def run(self, step: float) -> Point | None:
        before = self._start
        while self.n_evaluations < self._max_evaluations:
            point = self._at(step)
            if self._is_too_high(point) or (before.step > 0 and point.value > before.value + self._slack):
                return self._zoom(before, point)
            if self._is_flat(point):
                return point
            if point.slope >= 0:
                return self._zoom(point, before)
            step = _extrapolated(before, point)
            before = point
        return self._lowest

    def _zoom(self, low: Point, high: Point) -> Point | None:
        """Between `low`, the best so far, with a slope towards `high`, and `high` there is a step to be found."""
        while self.n_evaluations < self._max_evaluations:
            point = self._at(_interpolated(low, high))
            if self._is_too_high(point) or point.value > low.value + self._slack:
                high = point
            else:
                if self._is_flat(point):
                    return point
                if point.slope * (high.step - low.step) >= 0:
                    high = low
                low = point
            if abs(high.step - low.step) <= 1e-9 * max(high.step, low.step):
                break
        return self._lowest

    def _at(self, step: float) -> Point:
        point = self._evaluate(step)
        self.n_evaluations += 1
        if point.value < (self._start if self._lowest is None else self._lowest).value:
            self._lowest = point
        return point

    def _is_too_high(self, point: Point) -> bool:
        bound = self._start.value + self._decrease * point.step * self._start.slope + self._slack
        return not point.value <= bound  # NaN is too high as well

    def _is_flat(self, point: Point) -> bool:
        return abs(point.slope) <= -self._curvature * self._start.slope


def _extrapolated(before: Point, point: Point) -> float:
    """A longer step, where the cubic through both points has its minimum, within bounds."""
    step = _cubic_minimum(before, point)
    shortest, longest = point.step + 0.1 * (point.step - before.step), 10.0 * point.step
    return min(max(step, shortest), longest) if step > point.step else longest


def _interpolated(low: Point, high: Point) -> float:
    """A step between both, where the cubic through them has its minimum, but not too close to either."""
    left, right = min(low.step, high.step), max(low.step, high.step)
    step, margin = _cubic_minimum(low, high), 0.1 * (right - left)
    return min(max(step, left + margin), right - margin) if math.isfinite(step) else 0.5 * (left + right)


def _cubic_minimum(one: Point, other: Point) -> float:
    """Where the cubic with these values and slopes has its minimum; NaN where it has none.  [eq. 3.59]"""
    if not all(map(math.isfinite, (*one[:3], *other[:3]))):
        return math.nan
    d1 = one.slope + other.slope - 3.0 * (one.value - other.value) / (one.step - other.step)
    square = d1 * d1 - one.slope * other.slope
    if square < 0:
        return math.nan
    d2 = math.copysign(math.sqrt(square), other.step - one.step)
    divisor = other.slope - one.slope + 2.0 * d2
    if divisor == 0:
        return math.nan
    return other.step - (other.step - one.step) * (other.slope + d2 - d1) / divisor


def _dot(a: Array, b: Array) -> Array:
    """The sum of products of all entries, as an array ()."""
    xp = namespace(a, b)
    return xp.vecdot(xp.reshape(a, (-1,)), xp.reshape(b, (-1,)))


def _largest(x: Array) -> Array:
    xp = namespace(x)
    return xp.max(xp.abs(x))


def _numbers(*values: Any) -> tuple[float, ...]:
    """Read arrays () and numbers to the host, all in one transfer."""
    arrays = [value for value in values if hasattr(value, "dtype")]
    if not arrays:
        return tuple(map(float, values))
    xp = namespace(*arrays)
    stacked = xp.stack([xp.astype(xp.asarray(array), xp.float64, copy=False) for array in arrays])
    read = iter(to_numpy(stacked).tolist())
    return tuple(next(read) if hasattr(value, "dtype") else float(value) for value in values)


def _epsilon(x: Array) -> float:
    return float(namespace(x).finfo(x.dtype).eps)
