"""Bags of rows: neighbours in an array that belong together, such as the vectors of the words of one text.

Bags are given by the number of each row's bag, in ascending order; a bag may be empty.  Sums over bags are
`portml.backends.kernels.rows.index_add`.
"""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.kernels.rows import as_column, last_of_segments, refuse_unless_integers
from portml.backends.namespaces import Array, device_of, dtype_kind, namespace
from portml.errors import ShapeError

__all__ = ["bag_max", "bag_max_backward", "bag_max_saving", "refuse_unfit_bags", "renormalised_rows"]


@kernel
def bag_max(values: Array, bags: Array, kept: Array, *, n: int) -> Array:
    """The largest value of each bag, column by column; 0 for a bag without rows.

    Neighbours of one bag are compared by doubling: after s steps each row holds the largest of the last 2**s rows of
    its bag, and in the end the last row of a bag holds that of all.  [Hillis & Steele 1986]

    Parameters
    ----------
    values : array (count, columns)
    bags : integer array (count,)
        From 0 to n - 1, ascending.
    kept : bool array (count,)
        Rows that are not kept are in no bag.
    n : int
        Number of bags.

    Returns
    -------
    array (n, columns)
        NaN wins.

    Raises
    ------
    ShapeError
        If there is not one bag for each row.
    """
    return bag_max_saving.agnostic(values, bags, kept, n=n)[0]


@kernel
def bag_max_saving(values: Array, bags: Array, kept: Array, *, n: int) -> tuple[Array, Array]:
    """The result of `bag_max`, and for its gradient the row of each value, (n, columns), -1 where there is none."""
    refuse_unfit_bags(values, bags, kept)
    xp, device = namespace(values, bags, kept), device_of(bags)
    count, columns = values.shape
    if count == 0 or n == 0 or columns == 0:
        nowhere = xp.full((n, columns), -1, dtype=xp.int64, device=device)
        return xp.zeros((n, columns), dtype=values.dtype, device=device), nowhere
    rows = xp.broadcast_to(as_column(xp.arange(count, dtype=xp.int64, device=device), 2), (count, columns))
    best = xp.where(as_column(kept, 2), rows, -1)
    largest = values
    step = 1
    while step < count:
        same = as_column(bags[step:] == bags[:-step], 2)
        before, here = largest[:-step, :], largest[step:, :]
        row_before, row_here = best[:-step, :], best[step:, :]
        # The first of equals stays, and so does the first that is no number.
        wins = same & (row_before >= 0) & ((row_here < 0) | (before >= here) | (before != before))
        largest = xp.concat([largest[:step, :], xp.where(wins, before, here)], axis=0)
        best = xp.concat([best[:step, :], xp.where(wins, row_before, row_here)], axis=0)
        step *= 2
    last, found = last_of_segments(xp.astype(bags, xp.int64), n)
    best = xp.where(as_column(found, 2), xp.take(best, last, axis=0), -1)
    y = xp.take(largest, last, axis=0)
    return xp.where(best >= 0, y, xp.zeros_like(y)), best


@kernel
def bag_max_backward(
    g: Array, saved: Array, values: Array, bags: Array, kept: Array, *, needs: tuple[bool, ...], n: int
) -> tuple[Array | None, None, None]:
    """Each row gets the gradient of those values of its bag that are its own."""
    if not needs[0]:
        return None, None, None
    xp = namespace(g, saved, bags)
    count = values.shape[0]
    if count == 0 or n == 0:
        return xp.zeros_like(values), None, None
    rows = as_column(xp.arange(count, dtype=xp.int64, device=device_of(bags)), 2)
    mine = xp.take(saved, xp.astype(bags, xp.int64), axis=0) == rows
    slope = xp.take(g, xp.astype(bags, xp.int64), axis=0)
    return xp.where(mine, slope, xp.zeros_like(slope)), None, None


bag_max.gradient(saving=bag_max_saving, backward=bag_max_backward)


@kernel(differentiable=False)
def renormalised_rows(table: Array, indices: Array, *, longest: float, order: float) -> Array:
    """The table, its rows named by the indices made no longer than `longest`: row · longest / (norm + 1e-7).

    Parameters
    ----------
    table : array (n, columns)
    indices : integer array
        Those out of range name no row.
    longest : float
    order : float
        p of the norm (Σ |x|^p)^(1/p); may be infinite.

    Returns
    -------
    array (n, columns)
    """
    refuse_unless_integers("indices", indices)
    xp = namespace(table, indices)
    named = xp.sort(xp.reshape(xp.astype(indices, xp.int64), (-1,)))
    numbers = xp.arange(table.shape[0], dtype=xp.int64, device=device_of(table))
    counts = xp.searchsorted(named, numbers, side="right") - xp.searchsorted(named, numbers, side="left")
    norm = xp.linalg.vector_norm(table, axis=1, ord=order, keepdims=True)
    too_long = as_column(counts > 0, 2) & (norm > longest)
    return xp.where(too_long, table * (longest / (norm + 1e-7)), table)


def refuse_unfit_bags(values: Array, bags: Array, kept: Array) -> None:
    """Raise unless each row of a matrix has the number of its bag and a word on whether it is kept."""
    if values.ndim != 2 or tuple(bags.shape) != values.shape[:1] or tuple(kept.shape) != values.shape[:1]:
        raise ShapeError(
            f"bag_max: values has shape {tuple(values.shape)}, bags {tuple(bags.shape)} and kept {tuple(kept.shape)}; "
            "expected (count, columns), (count,) and (count,)"
        )
    refuse_unless_integers("bags", bags)
    assert dtype_kind(kept.dtype) == "bool"
