r"""Steps of k-means: the nearest centre of each sample, and the sums of what is nearest to each centre.

The nearest centre has the smallest :math:`|c|^2 / 2 - x \cdot c`, so that distances are one matrix product, worked out
in blocks of samples.
"""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.kernels.neighbors import row_blocks
from portml.backends.kernels.rows import one_hot
from portml.backends.namespaces import Array, device_of, namespace
from portml.errors import ShapeError

__all__ = ["lloyd_step", "nearest_centers", "refuse_unfit_centers"]

BLOCK = 1 << 24
"""Products of samples with centres that are held at a time."""


@kernel(differentiable=False)
def nearest_centers(x: Array, centers: Array) -> Array:
    """The number of the nearest centre of each sample, of equally near ones the lowest.

    Parameters
    ----------
    x : array (n_samples, n_features)
    centers : array (n_clusters, n_features)
        One at least.

    Returns
    -------
    int64 array (n_samples,)
    """
    refuse_unfit_centers(x, centers, None)
    xp = namespace(x, centers)
    half_norms, across = 0.5 * xp.vecdot(centers, centers), xp.matrix_transpose(centers)
    found = [
        xp.argmin(half_norms - x[rows, :] @ across, axis=1)
        for rows in row_blocks(x.shape[0], max(1, BLOCK // centers.shape[0]))
    ]
    return xp.astype(xp.concat(found), xp.int64) if found else xp.zeros((0,), dtype=xp.int64, device=device_of(x))


@kernel(differentiable=False)
def lloyd_step(x: Array, weight: Array | None, centers: Array) -> tuple[Array, Array, Array]:
    r"""Assign each sample to its nearest centre, and add up what is assigned to each.  [Lloyd 1982]

    .. math:: l_i = \arg\min_c |x_i - c|, \quad s_c = \sum_{l_i = c} w_i x_i, \quad n_c = \sum_{l_i = c} w_i

    Parameters
    ----------
    x : array (n_samples, n_features)
    weight : array (n_samples,) or None
    centers : array (n_clusters, n_features)

    Returns
    -------
    labels : int64 array (n_samples,)
    sums : array (n_clusters, n_features)
    counts : array (n_clusters,)
    """
    refuse_unfit_centers(x, centers, weight)
    xp, k = namespace(x, weight, centers), centers.shape[0]
    labels = nearest_centers(x, centers)
    sums = xp.zeros(centers.shape, dtype=x.dtype, device=device_of(x))
    counts = xp.zeros((k,), dtype=x.dtype, device=device_of(x))
    for rows in row_blocks(x.shape[0], max(1, BLOCK // k)):
        # A product with zeros and ones adds in one order on every run, where a scatter by atomics would not.
        member = one_hot(labels[rows], n=k, dtype=str(x.dtype).rpartition(".")[2])
        if weight is not None:
            member = member * weight[rows, None]
        sums = sums + xp.matrix_transpose(member) @ x[rows, :]
        counts = counts + xp.sum(member, axis=0)
    return labels, sums, counts


def refuse_unfit_centers(x: Array, centers: Array, weight: Array | None) -> None:
    """Raise ShapeError unless there are centres with the columns of x, and a weight for each of its rows."""
    if x.ndim != 2 or centers.ndim != 2 or x.shape[1] != centers.shape[1] or centers.shape[0] == 0:
        raise ShapeError(
            f"x has shape {tuple(x.shape)} and centers {tuple(centers.shape)}; "
            "expected (n_samples, n_features) and (n_clusters, n_features), one cluster at least"
        )
    if weight is not None and tuple(weight.shape) != (x.shape[0],):
        raise ShapeError(f"weight: expected one number a sample, ({x.shape[0]},), got {tuple(weight.shape)}")
