r"""The dual problem of kernel machines, solved two variables at a time.

With a signed variable :math:`\beta_t` for each sample (two in regression), which is the Lagrange multiplier times the
target ±1, classification and regression are one problem:

.. math:: \max_\beta\; \sum_t p_t \beta_t - \tfrac12 \beta^T K \beta, \qquad \sum_t \beta_t = 0,\;
          l_t \le \beta_t \le u_t

Its gradient is :math:`g = p - K\beta`.  It is solved where no variable that may rise has a larger gradient than one
that may fall; that they agree up to the tolerance is the criterion of LIBSVM.  [Keerthi et al. 2001; Chang & Lin 2011,
sec. 4.1; the signed form is Bottou & Lin 2007, sec. 4]

Rounds of two kinds alternate.  Inside, many steps of `sequential_minimal_optimisation` run in float32 on gradients from
which the common part was taken, so that small differences keep their digits.  Between, the variables and the gradient
are brought up to date in float64.  So each round mends the rounding of the one before, as iterative refinement does.

Where the kernel matrix does not fit into the memory allowed, a round works on a part of the samples: those which
violate most, and those of the rounds before whose rows are at hand.  [Joachims 1999; Wen et al. 2018, "ThunderSVM"]
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from portml.backends import Array, backend_of, device_of, namespace, to_numpy
from portml.backends.kernels.rows import index_add
from portml.backends.kernels.support_vectors import kernel_weighted_sum, sequential_minimal_optimisation
from portml.classical.kernel_functions import TrainingKernel

__all__ = ["DualSolution", "solve_dual"]

MOST_ITERATIONS = 10_000_000
STEPS_IN_A_ROUND = 1024
LARGEST_PART = 1024

# How far a round goes, as a share of the violation it begins with: float32 takes it about so far, and a part of the
# samples need not be solved better than the rest is.
SHARE_LEFT = 3e-4
SHARE_LEFT_OF_A_PART = 0.1

# A little below the tolerance, lest rounding call for one more round.
MARGIN = 0.9

LARGEST_BOUND = 1e38


@dataclass(frozen=True)
class DualSolution:
    """What `solve_dual` found.

    Attributes
    ----------
    variables : array (n_variables,), float64
        β.
    gradient : array (n_variables,), float64
    intercept : array (), float64
        The multiplier of the constraint Σβ = 0: the constant of the decision function.
    objective : array (), float64
        The value of the dual, which is maximised.
    n_iter : int
        Steps that changed two variables.
    converged : bool
    """

    variables: Array
    gradient: Array
    intercept: Array
    objective: Array
    n_iter: int
    converged: bool


def solve_dual(
    kernel: TrainingKernel, linear: Array, lower: Array, upper: Array, *, tolerance: float, max_iter: int = -1
) -> DualSolution:
    """Solve the dual problem above, beginning at β = 0.

    Parameters
    ----------
    kernel : TrainingKernel
        Between n samples.
    linear, lower, upper : float64 array (copies * n,)
        p, l ≤ 0 and u ≥ 0.  Variable t belongs to sample ``t % n``.
    tolerance : float
    max_iter : int
        Steps at most; -1 is LIBSVM's bound, ten million or a hundred for each variable.

    Returns
    -------
    DualSolution
        With NaN where the kernel's values overflow.
    """
    xp = namespace(linear)
    limit = max_iter if max_iter >= 0 else max(MOST_ITERATIONS, 100 * linear.shape[0])
    part = _Part(kernel, linear.shape[0] // max(kernel.size, 1))
    beta, gradient, n_iter = xp.zeros_like(linear), linear, 0
    while True:
        rising, falling = _candidates(gradient, beta, lower, upper)
        top, bottom = _extremes(rising, falling)
        gap = top - bottom
        if not math.isfinite(gap):  # the kernel's values overflow
            gradient = gradient * math.nan
            break
        if gap < tolerance or n_iter >= limit:
            break
        part.choose(rising, falling, top, bottom)
        change, steps, moved = _round(
            part, gradient, beta, lower, upper, (top + bottom) / 2, _goal(part, gap, tolerance), limit - n_iter
        )
        n_iter += steps
        beta = beta + change
        gradient = gradient - part.product(change)
        if not moved:
            if steps:  # of length zero, as between infinite values of the kernel
                top, gradient = math.nan, gradient * math.nan
            break
    intercept = _intercept(gradient, beta, lower, upper, (top + bottom) / 2)
    objective = xp.sum(beta * (linear + gradient)) / 2
    return DualSolution(beta, gradient, intercept, objective, n_iter, not gap >= tolerance)


class _Part:
    """The samples that a round works on, and their rows of the kernel matrix.

    Attributes
    ----------
    rows : array (part, n)
    square : array (part, part)
    samples : array (part,) or None
        None says that it is all of them, in order.
    """

    def __init__(self, kernel: TrainingKernel, copies: int) -> None:
        self.kernel, self.copies = kernel, copies
        self.samples: Array | None = None
        self._newest: list[int] = []
        self._places: dict[int, int] = {}
        # Old rows are there until the new ones are: both share the memory.
        self._size = max(2, min(LARGEST_PART, kernel.capacity // 2))
        if kernel.fits:
            self.rows = self.square = kernel.matrix()

    def choose(self, rising: Array, falling: Array, top: float, bottom: float) -> None:
        """Take those that violate most, and fill up with those of the last round, newest first."""
        if self.kernel.fits:
            return
        worst = self._worst(rising, falling, top, bottom)
        known = set(worst)
        kept = [sample for sample in self._newest if sample not in known][: self._size - len(worst)]
        self._newest = [*worst, *kept]
        held = [sample for sample in self._newest if sample in self._places]
        missing = [sample for sample in self._newest if sample not in self._places]
        backend, xp = backend_of(rising), namespace(rising)
        rows = []
        if held:
            rows.append(xp.take(self.rows, backend.asarray([self._places[sample] for sample in held]), axis=0))
        if missing:
            rows.append(self.kernel.rows(backend.asarray(missing)))
        self.rows = xp.concat(rows, axis=0) if len(rows) > 1 else rows[0]
        self._places = {sample: place for place, sample in enumerate([*held, *missing])}
        self.samples = backend.asarray([*held, *missing])
        self.square = xp.take(self.rows, self.samples, axis=1)

    def of(self, vector: Array) -> Array:
        """The values of the part's variables."""
        if self.samples is None:
            return vector
        xp = namespace(vector)
        copies = xp.reshape(vector, (self.copies, self.kernel.size))
        return xp.reshape(xp.take(copies, self.samples, axis=1), (-1,))

    def spread(self, vector: Array) -> Array:
        """Values of the part's variables among zeros for the others."""
        if self.samples is None:
            return vector
        xp, n = namespace(vector), self.kernel.size
        copies = xp.reshape(vector, (self.copies, self.samples.shape[0]))
        return xp.concat([index_add(copies[copy, :], self.samples, n=n) for copy in range(self.copies)])

    def product(self, change: Array) -> Array:
        """K times a change of variables that is zero outside the part; both of full length."""
        xp = namespace(change)
        weights = xp.sum(xp.reshape(self.of(change), (self.copies, -1)), axis=0)
        return xp.concat([kernel_weighted_sum(self.rows, weights)] * self.copies)

    def _worst(self, rising: Array, falling: Array, top: float, bottom: float) -> list[int]:
        """Samples of variables that violate the conditions, from both ends in turn."""
        xp, count = namespace(rising), min(rising.shape[0], self._size)
        ends = []
        for key, violates in ((-rising, rising > bottom), (falling, falling < top)):
            order = xp.argsort(key)[:count]
            marked = xp.where(xp.take(violates, order), order % self.kernel.size, -1)
            ends.append(to_numpy(marked).tolist())
        found: dict[int, None] = {}
        for pair in zip(*ends, strict=True):
            found |= dict.fromkeys(sample for sample in pair if sample >= 0)
            if len(found) > self._size // 2 - 2:
                break
        return list(found)[: self._size]


def _round(
    part: _Part, gradient: Array, beta: Array, lower: Array, upper: Array, centre: float, goal: float, most: int
) -> tuple[Array, int, bool]:
    """Many steps in float32: the change of β they amount to in float64, how many, and whether they led anywhere."""
    xp = namespace(gradient)
    lowest, highest = (_bound(part.of(bound - beta)) for bound in (lower, upper))
    change, steps = sequential_minimal_optimisation(
        part.square,
        xp.astype(part.of(gradient) - centre, xp.float32),
        lowest,
        highest,
        tolerance=goal,
        max_steps=min(max(STEPS_IN_A_ROUND, part.square.shape[0]), most),
    )
    old, low, high = part.of(beta), part.of(lower), part.of(upper)
    # What was stopped by a bound is exactly there, whatever float32 made of the way.
    new = xp.clip(old + xp.astype(change, xp.float64), low, high)
    new = xp.where(change == highest, high, xp.where(change == lowest, low, new))
    n_steps, moved = to_numpy(xp.stack([steps, xp.astype(xp.any(change != 0), steps.dtype)])).tolist()
    return part.spread(_balanced(new - old, new, low, high)), n_steps, bool(moved)


def _balanced(change: Array, new: Array, low: Array, high: Array) -> Array:
    """The change with a sum of zero: what rounding left over goes to the variable with the most room."""
    xp = namespace(change)
    room = xp.minimum(new - low, high - new)
    roomiest = xp.arange(room.shape[0], dtype=xp.int64, device=device_of(room)) == xp.argmax(room)
    return xp.where(roomiest & (room > 0.0), change - xp.sum(change), change)


def _bound(values: Array) -> Array:
    xp = namespace(values)
    return xp.astype(xp.clip(values, -LARGEST_BOUND, LARGEST_BOUND), xp.float32)


def _goal(part: _Part, gap: float, tolerance: float) -> float:
    return MARGIN * max(tolerance, (SHARE_LEFT if part.kernel.fits else SHARE_LEFT_OF_A_PART) * gap)


def _candidates(gradient: Array, beta: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """The gradients of what may rise, and of what may fall; infinities stand for the others."""
    xp = namespace(gradient)
    return xp.where(beta < upper, gradient, -math.inf), xp.where(beta > lower, gradient, math.inf)


def _extremes(rising: Array, falling: Array) -> tuple[float, float]:
    """The largest gradient of what may rise, and the smallest of what may fall."""
    xp = namespace(rising)
    top, bottom = to_numpy(xp.stack([xp.max(rising), xp.min(falling)])).tolist()
    return top, bottom


def _intercept(gradient: Array, beta: Array, lower: Array, upper: Array, middle: float) -> Array:
    """The mean gradient of the variables between their bounds; where there are none, the middle of what is possible."""
    xp = namespace(gradient)
    free = xp.astype((beta > lower) & (beta < upper), gradient.dtype)
    count = xp.sum(free)
    return xp.where(count > 0, xp.sum(free * gradient) / xp.where(count > 0, count, 1.0), middle)
