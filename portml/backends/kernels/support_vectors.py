"""Support vector machines: Gaussian kernels, steps of sequential minimal optimisation, dual coordinate descent."""

from __future__ import annotations

from typing import Any

from portml.backends.backend import to_numpy
from portml.backends.kernel import kernel
from portml.backends.namespaces import Array, device_of, namespace
from portml.errors import ShapeError

__all__ = [
    "SMALLEST_CURVATURE",
    "dual_coordinate_descent",
    "kernel_weighted_sum",
    "radial_basis",
    "radial_basis_sum",
    "refuse_unfit_dual",
    "sequential_minimal_optimisation",
]

SMALLEST_CURVATURE = 1e-12
"""Stands in for the curvature between two samples that the kernel cannot tell apart."""

STEPS_BETWEEN_LOOKS = 64


@kernel
def radial_basis(x: Array, z: Array, *, gamma: float) -> Array:
    """K[i, j] = exp(-gamma ||x_i - z_j||²), from ||x||² + ||z||² - 2 x·z of centred samples.

    Distances do not change when everything is shifted; taking the mean of z away first keeps the digits that the
    difference of large squares would lose.

    Parameters
    ----------
    x : array (n, n_features)
    z : array (m, n_features)
    gamma : float

    Returns
    -------
    array (n, m)
    """
    xp = namespace(x, z)
    centre = xp.sum(z, axis=0, keepdims=True) / max(z.shape[0], 1)
    x, z = x - centre, z - centre
    squares = xp.sum(x * x, axis=1, keepdims=True) + xp.matrix_transpose(xp.sum(z * z, axis=1, keepdims=True))
    distances = squares - 2.0 * xp.matmul(x, xp.matrix_transpose(z))
    return xp.exp(-gamma * xp.where(distances < 0.0, 0.0, distances))


@kernel
def radial_basis_sum(x: Array, z: Array, coefficients: Array, *, gamma: float) -> Array:
    """y[i, :] = Σ_j exp(-gamma ||x_i - z_j||²) coefficients[j, :]: what a machine on such kernels decides by.

    Parameters
    ----------
    x : array (n, n_features)
    z : array (m, n_features)
    coefficients : array (m, n_outputs)
    gamma : float

    Returns
    -------
    array (n, n_outputs)
    """
    return namespace(x, z, coefficients).matmul(radial_basis(x, z, gamma=gamma), coefficients)


@kernel(differentiable=False)
def sequential_minimal_optimisation(
    matrix: Array, gradient: Array, lowest: Array, highest: Array, *, tolerance: float, max_steps: int
) -> tuple[Array, Array]:
    """Change two variables at a time until no pair of them violates the optimality conditions.

    The problem is to maximise g·δ - δᵀKδ / 2 with Σδ = 0 and lowest ≤ δ ≤ highest, beginning at δ = 0, where the
    gradient is g.  A step raises the variable i of the largest gradient v_i among those below their bound, and lowers
    as much that variable j which gains most by it: among those above their bound and with v_j < v_i, that of the
    largest (v_i - v_j)² / (K_ii + K_jj - 2 K_ij).  When the largest such difference of gradients is below the
    tolerance it is done.  [Platt 1998; Fan, Chen & Lin 2005, WSS 2; written for signed variables as in Bottou & Lin
    2007, alg. 6.2]

    Parameters
    ----------
    matrix : array (n, n)
        The kernel between samples.
    gradient, lowest, highest : array (copies * n,)
        Variable t belongs to sample ``t % n``.  Bounds are at most, and at least, zero.
    tolerance : float
    max_steps : int

    Returns
    -------
    change : array (copies * n,)
        δ; a variable that was stopped by a bound is exactly there.
    steps : int64 array ()
        How many steps were taken.

    Raises
    ------
    ShapeError
        If the matrix is not square or the vectors do not fit it.
    """
    refuse_unfit_dual(matrix, gradient, lowest, highest)
    xp, n = namespace(matrix, gradient, lowest, highest), matrix.shape[0]
    infinity = float("inf")
    diagonal = _repeated(xp.linalg.diagonal(matrix), gradient.shape[0] // max(n, 1))
    places = xp.arange(gradient.shape[0], dtype=xp.int64, device=device_of(matrix))
    change, steps = xp.zeros_like(gradient), xp.zeros((), dtype=xp.int64, device=device_of(matrix))
    if gradient.shape[0] == 0:
        return change, steps
    for step in range(1, max_steps + 1):
        rising = xp.where(change < highest, gradient, -infinity)
        falling = xp.where(change > lowest, gradient, infinity)
        i = xp.argmax(rising)
        going = xp.max(rising) - xp.min(falling) >= tolerance
        row = _row(matrix, i % n, gradient.shape[0])
        curvature = _at(diagonal, i) + diagonal - 2.0 * row
        curvature = xp.where(curvature > SMALLEST_CURVATURE, curvature, SMALLEST_CURVATURE)
        difference = xp.max(rising) - falling
        difference = xp.where(difference > 0.0, difference, 0.0)
        j = xp.argmax(difference * difference / curvature)
        room_above, room_below = _at(highest, i) - _at(change, i), _at(change, j) - _at(lowest, j)
        length = xp.minimum(_at(difference, j) / _at(curvature, j), xp.minimum(room_above, room_below))
        raised = xp.where(length == room_above, _at(highest, i), _at(change, i) + length)
        lowered = xp.where(length == room_below, _at(lowest, j), _at(change, j) - length)
        change = xp.where(going & (places == i), raised, xp.where(going & (places == j), lowered, change))
        moved = gradient - length * (row - _row(matrix, j % n, gradient.shape[0]))
        gradient = xp.where(going, moved, gradient)
        steps = steps + xp.astype(going, xp.int64)
        if step % STEPS_BETWEEN_LOOKS == 0 and step < max_steps and not to_numpy(going):
            break
    return change, steps


@kernel
def kernel_weighted_sum(matrix: Array, weights: Array) -> Array:
    """Σ_s weights[s] K[s, :], of a kernel matrix that is kept in float32, added up in the type of the weights.

    Most weights are zero where few variables changed; faster versions pass over these rows.

    Parameters
    ----------
    matrix : array (n, m)
    weights : array (n,)

    Returns
    -------
    array (m,)
        Of the data type of the weights.
    """
    xp = namespace(matrix, weights)
    return xp.matmul(weights, xp.astype(matrix, weights.dtype))


@kernel(differentiable=False)
def dual_coordinate_descent(
    x: Array, targets: Array, bounds: Array, shifts: Array, alpha: Array, weights: Array, orders: Array
) -> tuple[Array, Array, Array]:
    """Passes over the samples of a linear support vector machine, exact in one dual variable at a time.

    For sample i the gradient of the dual is G = y_i w·x_i - 1 + D_i α_i; then α_i becomes α_i - G / (x_i·x_i + D_i),
    cut to [0, bounds_i], and w follows by (α_i new - α_i) y_i x_i.  The hinge has bounds C and shifts D = 0, its square
    no bounds and D = 1 / (2 C).  [Hsieh, Chang, Lin, Keerthi & Sundararajan 2008, alg. 1]

    Parameters
    ----------
    x : array (n_samples, n_features)
    targets, bounds, shifts, alpha : array (n_samples,)
        Targets are +1 and -1.
    weights : array (n_features,)
        Σ α_i y_i x_i.
    orders : int64 array (passes, n_samples)
        In which order each pass takes the samples.

    Returns
    -------
    alpha : array (n_samples,)
    weights : array (n_features,)
    violations : array (passes,)
        The largest projected gradient minus the smallest, of each pass: zero at the optimum.
    """
    xp = namespace(x, targets, bounds, shifts, alpha, weights, orders)
    n = x.shape[0]
    curvature = xp.sum(x * x, axis=1) + shifts
    places = xp.arange(n, dtype=orders.dtype, device=device_of(x))
    violations = []
    for turn in range(orders.shape[0]):
        projections = []
        for step in range(n):
            i = orders[turn, step]
            row, target, old = xp.take(x, xp.reshape(i, (1,)), axis=0)[0, :], _at(targets, i), _at(alpha, i)
            gradient = target * xp.sum(weights * row) - 1.0 + _at(shifts, i) * old
            # At a bound only the part of the gradient that points inwards counts.
            inwards = ((old > 0.0) | (gradient < 0.0)) & ((old < _at(bounds, i)) | (gradient > 0.0))
            projected = xp.where(inwards, gradient, 0.0)
            bends = _at(curvature, i) > 0.0  # a sample of zeros does not
            newton = old - projected / xp.where(bends, _at(curvature, i), 1.0)
            new = xp.minimum(xp.maximum(newton, xp.zeros_like(newton)), _at(bounds, i))
            new = xp.where(inwards & bends, new, old)
            weights = weights + (new - old) * target * row
            alpha = xp.where(places == i, new, alpha)
            projections.append(projected)
        every = xp.stack(projections) if projections else xp.zeros((1,), dtype=x.dtype, device=device_of(x))
        violations.append(xp.max(every) - xp.min(every))
    if not violations:
        return alpha, weights, xp.zeros((0,), dtype=x.dtype, device=device_of(x))
    return alpha, weights, xp.stack(violations)


def refuse_unfit_dual(matrix: Array, *vectors: Array) -> None:
    """Raise ShapeError unless the matrix is square and the vectors have one, or a multiple, of its length."""
    n = matrix.shape[0]
    shapes = {tuple(vector.shape) for vector in vectors}
    fits = len(shapes) == 1 and all(len(shape) == 1 and shape[0] % max(n, 1) == 0 for shape in shapes)
    if tuple(matrix.shape) != (n, n) or not fits:
        raise ShapeError(
            f"sequential_minimal_optimisation: matrix has shape {tuple(matrix.shape)}, the vectors {sorted(shapes)}; "
            "expected (n, n), and vectors of one length that is a multiple of n"
        )


def _row(matrix: Array, index: Array, length: int) -> Array:
    """The row of a square matrix at an index that is an array, repeated to a length."""
    xp = namespace(matrix)
    row = xp.reshape(xp.take(matrix, xp.reshape(index, (1,)), axis=0), (matrix.shape[0],))
    return _repeated(row, length // matrix.shape[0])


def _repeated(vector: Array, times: int) -> Array:
    return vector if times == 1 else namespace(vector).concat([vector] * times) if times else vector


def _at(vector: Array, index: Array) -> Any:
    """The element at an index that is an array, as an array without axes."""
    xp = namespace(vector)
    return xp.reshape(xp.take(vector, xp.reshape(index, (1,)), axis=0), ())
