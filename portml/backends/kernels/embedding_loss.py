"""Losses of distances between embeddings: what belongs together ought to be near, and everything else far.

What holds for all losses is said in `portml.backends.kernels.loss`.
"""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.kernels.labels import in_dtype_of
from portml.backends.kernels.reduction import reduce_losses
from portml.backends.namespaces import Array, namespace
from portml.errors import ShapeError

__all__ = [
    "contrastive_loss",
    "cosine_embedding_loss",
    "cosine_similarity",
    "pairwise_distance",
    "triplet_margin_loss",
]

NEGLIGIBLE = 1e-12
"""What `cosine_embedding_loss` adds to squared lengths, as PyTorch does."""


@kernel
def cosine_similarity(first: Array, second: Array, *, axis: int = 1, eps: float = 1e-8) -> Array:
    """Cosine of the angle between vectors along `axis`: a·b / (|a| |b|), each length at least `eps`.

    Parameters
    ----------
    first, second : array (..., d, ...)
        They broadcast against each other.
    axis : int
        Of the shape that both have then.
    eps : float

    Returns
    -------
    array (...) without the axis

    Raises
    ------
    ShapeError
        If the shapes do not fit or the axis does not exist.
    """
    _refuse_unfit_pair("cosine_similarity", first, second)
    xp = namespace(first, second)
    first, second = xp.broadcast_arrays(first, second)
    if not -first.ndim <= axis < first.ndim:
        raise ShapeError(f"cosine_similarity: axis {axis} does not exist in an array of shape {tuple(first.shape)}")
    # Each is divided by its own length: the product of both may leave the range of numbers.
    units = [each / xp.maximum(xp.linalg.vector_norm(each, axis=axis, keepdims=True), eps) for each in (first, second)]
    return xp.sum(units[0] * units[1], axis=axis)


@kernel
def pairwise_distance(
    first: Array, second: Array, *, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False
) -> Array:
    """|a - b + eps|_p along the last axis; `eps` keeps the derivative of a distance of 0 finite.

    Parameters
    ----------
    first, second : array (..., d)
        They broadcast against each other.
    p : float
    eps : float
    keepdims : bool

    Returns
    -------
    array (...) or (..., 1)

    Raises
    ------
    ShapeError
        If the shapes do not fit or have no axis.
    """
    _refuse_unfit_pair("pairwise_distance", first, second)
    return namespace(first, second).linalg.vector_norm(first - second + eps, axis=-1, ord=p, keepdims=keepdims)


@kernel
def cosine_embedding_loss(
    first: Array, second: Array, target: Array, *, margin: float = 0.0, reduction: str = "mean"
) -> Array:
    """1 - cos(a, b) where y = 1, max(0, cos(a, b) - margin) where y = -1.

    Parameters
    ----------
    first, second : array (n, d) or (d,)
    target : array (n,) or ()
        1 or -1.
    margin : float
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array () or, for "none", (n,)

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    """
    _refuse_unequal("cosine_embedding_loss", first, second)
    _refuse_unfit_answers("cosine_embedding_loss", first, target)
    xp, target = namespace(first, second, target), in_dtype_of(first, target)
    squares = [xp.sum(each * each, axis=-1) + NEGLIGIBLE for each in (first, second)]
    cosine = xp.sum(first * second, axis=-1) / xp.sqrt(squares[0] * squares[1])
    too_near = xp.where(cosine < margin, 0, cosine - margin)
    losses = xp.where(target == 1, 1 - cosine, 0) + xp.where(target == -1, too_near, 0)
    return reduce_losses(losses, reduction)


@kernel
def contrastive_loss(
    first: Array, second: Array, target: Array, *, margin: float = 1.0, reduction: str = "mean"
) -> Array:
    """((1 - y) d² + y max(0, margin - d)²) / 2 with d = |a - b|.  [Hadsell, Chopra & LeCun 2006, eq. 4]

    Parameters
    ----------
    first, second : array (n, d) or (d,)
    target : array (n,) or ()
        As in the paper 0 for a pair that belongs together and 1 for one that does not.
    margin : float
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array () or, for "none", (n,)

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    """
    _refuse_unequal("contrastive_loss", first, second)
    _refuse_unfit_answers("contrastive_loss", first, target)
    xp, target = namespace(first, second, target), in_dtype_of(first, target)
    difference = first - second
    # The squared distance by itself: its second derivative at 0 is there, that of the distance is not.
    near = xp.sum(difference * difference, axis=-1)
    short = margin - xp.linalg.vector_norm(difference, axis=-1)
    short = xp.where(short < 0, 0, short)
    return reduce_losses(0.5 * ((1 - target) * near + target * short * short), reduction)


@kernel
def triplet_margin_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Array:
    """max(0, d(a, p) - d(a, n) + margin), d as in `pairwise_distance`.  [Balntas et al. 2016, eq. 4]

    Parameters
    ----------
    anchor, positive, negative : array (..., d)
    margin, p, eps : float
    swap : bool
        Whether to take the smaller of d(a, n) and d(p, n).  [Balntas et al. 2016, section 3.3]
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array () or, for "none", (...)

    Raises
    ------
    ShapeError
        If the shapes differ or have no axis.
    """
    _refuse_unequal("triplet_margin_loss", anchor, positive)
    _refuse_unequal("triplet_margin_loss", anchor, negative)
    xp, statics = namespace(anchor, positive, negative), {"p": p, "eps": eps, "keepdims": False}
    near = pairwise_distance.agnostic(anchor, positive, **statics)
    far = pairwise_distance.agnostic(anchor, negative, **statics)
    if swap:
        far = xp.minimum(far, pairwise_distance.agnostic(positive, negative, **statics))
    short = margin + near - far
    return reduce_losses(xp.where(short < 0, 0, short), reduction)


def _refuse_unfit_pair(name: str, first: Array, second: Array) -> None:
    """Raise ShapeError unless two arrays broadcast against each other and one has an axis."""
    lengths = zip(reversed(first.shape), reversed(second.shape), strict=False)
    if not max(first.ndim, second.ndim) or any(a != b and 1 not in (a, b) for a, b in lengths):
        raise ShapeError(
            f"{name}: the vectors have shapes {tuple(first.shape)} and {tuple(second.shape)}; expected (..., d) and "
            "(..., d), or shapes that broadcast against each other"
        )


def _refuse_unequal(name: str, first: Array, second: Array) -> None:
    if first.shape != second.shape or first.ndim == 0:
        raise ShapeError(
            f"{name}: the embeddings have shapes {tuple(first.shape)} and {tuple(second.shape)}; expected (n, d) and "
            "(n, d): embeddings never broadcast"
        )


def _refuse_unfit_answers(name: str, first: Array, target: Array) -> None:
    if tuple(target.shape) != tuple(first.shape[:-1]):
        raise ShapeError(
            f"{name}: the embeddings have shape {tuple(first.shape)} and target {tuple(target.shape)}; expected (n, d) "
            "and (n,)"
        )
