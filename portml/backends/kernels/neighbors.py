r"""Which rows are near: distances between the rows of two tables, and the smallest of them.

Squared Euclidean distances are one matrix product, :math:`|x - y|^2 = |x|^2 - 2 x \cdot y + |y|^2`.  Far from the
origin that subtracts large numbers, so both tables are moved by a row of the second one first; moving by a row, and not
by the mean, keeps whole numbers whole, so that distances that are equal stay equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from portml.backends.kernel import kernel
from portml.backends.namespaces import Array, device_of, namespace
from portml.errors import ArgumentError, ShapeError

__all__ = [
    "METRICS",
    "distances_of_pairs",
    "k_smallest",
    "nearest_by_products",
    "pairwise_distances",
    "refuse_unfit_count",
    "refuse_unfit_tables",
    "row_blocks",
]

METRICS = ("euclidean", "sqeuclidean", "manhattan", "chebyshev", "minkowski", "cosine")


@kernel(differentiable=False)
def pairwise_distances(x: Array, y: Array, *, metric: str, p: float) -> Array:
    r"""The distance of every row of x to every row of y.

    ====================  ========================================================
    euclidean             :math:`\sqrt{\sum_j (x_j - y_j)^2}`, and its square sqeuclidean
    manhattan, chebyshev  :math:`\sum_j |x_j - y_j|`, :math:`\max_j |x_j - y_j|`
    minkowski             :math:`(\sum_j |x_j - y_j|^p)^{1/p}`
    cosine                :math:`1 - x \cdot y / (|x| |y|)`, 1 from a row of zeros
    ====================  ========================================================

    Parameters
    ----------
    x : array (n, n_features)
    y : array (m, n_features)
    metric : str
        One of `METRICS`.
    p : float
        The power of minkowski, above 0.

    Returns
    -------
    array (n, m)

    Raises
    ------
    ArgumentError
        If the metric is unknown or p is not positive.
    ShapeError
        If they are no tables of the same number of columns.
    """
    refuse_unfit_tables(x, y, metric, p)
    xp = namespace(x, y)
    if metric == "cosine":
        distances = 1 - _directions(x) @ xp.matrix_transpose(_directions(y))
        return xp.where(distances < 0, 0.0, distances)
    if metric in ("euclidean", "sqeuclidean"):
        squares = _squared_distances(x, y)
        return xp.sqrt(squares) if metric == "euclidean" else squares
    total = xp.zeros((x.shape[0], y.shape[0]), dtype=x.dtype, device=device_of(x))
    for column in range(x.shape[1]):
        apart = xp.abs(x[:, column : column + 1] - y[:, column])
        total = xp.maximum(total, apart) if metric == "chebyshev" else total + _powered(apart, metric, p)
    return total ** (1 / p) if metric == "minkowski" else total


@kernel(differentiable=False)
def distances_of_pairs(x: Array, y: Array, indices: Array, *, metric: str, p: float) -> Array:
    """The distance of each row of x to a few rows of y, from the differences themselves: exact where rows are equal.

    Parameters
    ----------
    x : array (n, n_features)
    y : array (m, n_features)
    indices : integer array (n, k)
        Rows of y.
    metric, p
        As of `pairwise_distances`.

    Returns
    -------
    array (n, k)
    """
    refuse_unfit_tables(x, y, metric, p)
    xp = namespace(x, y, indices)
    if metric == "cosine":
        return _cosines_of_pairs(_directions(x), _directions(y), indices)
    near = xp.reshape(xp.take(y, xp.reshape(indices, (-1,)), axis=0), (*indices.shape, y.shape[1]))
    apart = xp.abs(xp.expand_dims(x, axis=1) - near)
    if metric == "chebyshev":
        nothing = xp.zeros((*indices.shape, 1), dtype=x.dtype, device=device_of(x))
        return xp.max(xp.concat([apart, nothing], axis=2), axis=2)
    total = xp.sum(_powered(apart, metric, p), axis=2)
    if metric == "euclidean":
        return xp.sqrt(total)
    return total ** (1 / p) if metric == "minkowski" else total


@kernel(differentiable=False)
def nearest_by_products(x: Array, y: Array, half_norms: Array, *, k: int, height: int) -> Array:
    r"""The k rows of y that are nearest to each row of x, by the smallest of :math:`|y|^2 / 2 - x \cdot y`.

    No more than `height` rows of products are held at a time.

    Parameters
    ----------
    x : array (n, n_features)
    y : array (m, n_features)
    half_norms : array (m,)
        Half the squared length of each row of y.
    k : int
        From 1 to m.
    height : int

    Returns
    -------
    int64 array (n, k)
        Nearest first; of equally near ones the lower index is first.
    """
    refuse_unfit_count(k, y.shape[0])
    xp = namespace(x, y, half_norms)
    across = xp.matrix_transpose(y)
    found = [k_smallest(half_norms - x[rows, :] @ across, k=k) for rows in row_blocks(x.shape[0], height)]
    return xp.concat(found, axis=0) if found else xp.zeros((0, k), dtype=xp.int64, device=device_of(x))


@kernel(differentiable=False)
def k_smallest(x: Array, *, k: int) -> Array:
    """Where the k smallest numbers of each row are, ascending; of equal ones the lower index is first.

    A row is cut into groups.  The k smallest numbers lie in the k groups with the smallest minima: each of these has a
    number no larger than any in another group.  So only the minima and what is in k groups are sorted.

    Parameters
    ----------
    x : array (n, m), without NaN
    k : int
        From 1 to m.

    Returns
    -------
    int64 array (n, k)

    Raises
    ------
    ArgumentError
        If k is not from 1 to m.
    """
    n, m = x.shape
    refuse_unfit_count(k, m)
    xp = namespace(x)
    size = math.isqrt(m // k)
    n_groups = m // size
    if n_groups < 2 * k or n == 0:
        return xp.astype(xp.argsort(x, axis=1, stable=True)[:, :k], xp.int64, copy=False)
    minima = xp.min(xp.reshape(x[:, : n_groups * size], (n, n_groups, size)), axis=2)
    # In the order of their indices, so that a stable sort keeps the lower index first.
    groups = xp.sort(xp.argsort(minima, axis=1, stable=True)[:, :k], axis=1)
    inside = xp.arange(size, dtype=groups.dtype, device=device_of(x))
    candidates = xp.reshape(xp.expand_dims(groups, axis=2) * size + inside, (n, k * size))
    rest = xp.arange(n_groups * size, m, dtype=groups.dtype, device=device_of(x))
    candidates = xp.concat([candidates, xp.broadcast_to(rest, (n, rest.shape[0]))], axis=1)
    order = xp.argsort(xp.take_along_axis(x, candidates, axis=1), axis=1, stable=True)[:, :k]
    return xp.astype(xp.take_along_axis(candidates, order, axis=1), xp.int64, copy=False)


def row_blocks(n: int, height: int) -> Iterator[slice]:
    """Cut n rows into slices of at most `height`."""
    for start in range(0, n, height):
        yield slice(start, min(start + height, n))


def refuse_unfit_count(k: int, m: int) -> None:
    """Raise ArgumentError unless k of m rows can be chosen."""
    if not 1 <= k <= m:
        raise ArgumentError(f"k: expected from 1 to {m}, as many as there are rows to choose from, got {k}")


def refuse_unfit_tables(x: Array, y: Array, metric: str, p: float) -> None:
    """Raise unless x and y are tables with the same columns, and the metric is known."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ShapeError(
            f"x has shape {tuple(x.shape)} and y {tuple(y.shape)}; expected (n, n_features) and (m, n_features)"
        )
    if metric not in METRICS:
        raise ArgumentError(f"metric: expected one of {METRICS}, got {metric!r}")
    if metric == "minkowski" and not p > 0:
        raise ArgumentError(f"p: expected a power above 0, got {p}")


def _squared_distances(x: Array, y: Array) -> Array:
    xp = namespace(x, y)
    if y.shape[0] > 0:
        x, y = x - y[:1, :], y - y[:1, :]
    squares = xp.sum(x * x, axis=1, keepdims=True) + xp.sum(y * y, axis=1) - 2 * (x @ xp.matrix_transpose(y))
    return xp.where(squares < 0, 0.0, squares)


def _powered(apart: Array, metric: str, p: float) -> Array:
    if metric == "manhattan":
        return apart
    return apart * apart if metric in ("euclidean", "sqeuclidean") else apart**p


def _cosines_of_pairs(x: Array, y: Array, indices: Array) -> Array:
    """1 - x · y as |x - y|² / 2, of rows of length 1: nothing is left of equal ones.  A row of zeros adds 1 / 2."""
    xp = namespace(x, y, indices)
    squares = distances_of_pairs(x, y, indices, metric="sqeuclidean", p=2.0)
    missing_x, missing_y = (xp.astype(xp.all(each == 0, axis=1), x.dtype) for each in (x, y))
    missing = xp.expand_dims(missing_x, axis=1) + xp.reshape(
        xp.take(missing_y, xp.reshape(indices, (-1,))), indices.shape
    )
    return 0.5 * (squares + missing)


def _directions(x: Array) -> Array:
    """Rows of length 1; those of zeros stay."""
    xp = namespace(x)
    length = xp.sqrt(xp.sum(x * x, axis=1, keepdims=True))
    return x / xp.where(length == 0, 1.0, length)
