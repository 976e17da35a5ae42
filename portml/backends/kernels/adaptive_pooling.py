"""Adaptive pooling: the windows follow from the size of the result, and share each axis as evenly as they can.

Result i of p along an axis of length d sees the elements from ⌊i d / p⌋ up to ⌈(i + 1) d / p⌉.  Here is the maximum;
the mean is a linear map along each axis, and `resample` in mode "area".
"""

from __future__ import annotations

import math

from portml.backends.kernel import kernel
from portml.backends.kernels.real_numbers import refuse_unless_real
from portml.backends.kernels.rows import index_add
from portml.backends.kernels.windows import adaptive_window, refuse_unfit_sizes
from portml.backends.namespaces import Array, device_of, namespace
from portml.errors import ShapeError

__all__ = ["adaptive_max_pool", "adaptive_max_pool_backward", "refuse_unfit_adaptive"]


@kernel
def adaptive_max_pool(x: Array, *, output_size: tuple[int, ...]) -> tuple[Array, Array]:
    """The largest element of each window, and where it stands in its image; NaN if there is one.

    The maximum over a box is the maximum along one axis of those along the next; the last axis comes first, so that of
    equal elements the first in row-major order is taken, and of several NaN the last.

    Parameters
    ----------
    x : array (n_samples, n_channels, d_1, ..., d_r)
    output_size : tuple of r positive ints

    Returns
    -------
    y : array (n_samples, n_channels, *output_size)
    indices : int64 array of the same shape
        Numbers of the elements of one image, (d_1, ..., d_r), in row-major order.

    Raises
    ------
    ShapeError
        If there is no spatial axis, or one without elements.
    ArgumentError
        If a size is not positive, or there are too few of them.
    DtypeError
        If `x` is not real floating-point.
    """
    refuse_unfit_adaptive(x, output_size)
    xp, image = namespace(x), x.shape[2:]
    numbers = xp.arange(math.prod(image), dtype=xp.int64, device=device_of(x))
    indices = xp.broadcast_to(xp.reshape(numbers, image), x.shape)
    for axis in reversed(range(2, x.ndim)):
        x, indices = _largest_along(x, indices, axis, output_size[axis - 2])
    return x, indices


@kernel
def adaptive_max_pool_backward(
    g: tuple[Array, Array],
    saved: tuple[Array, Array],
    x: Array,
    *,
    needs: tuple[bool, ...],
    output_size: tuple[int, ...],
) -> tuple[Array | None]:
    """The gradient of `adaptive_max_pool`: it goes to the element that was chosen in each window."""
    if not needs[0]:
        return (None,)
    (slope, _), (_, indices) = g, saved
    xp, images = namespace(slope, indices), math.prod(x.shape[:2])
    length, windows = math.prod(x.shape[2:]), math.prod(output_size)
    first = xp.reshape(xp.arange(images, dtype=xp.int64, device=device_of(indices)) * length, (images, 1))
    places = xp.reshape(xp.reshape(indices, (images, windows)) + first, (images * windows,))
    dx = index_add(xp.reshape(slope, (images * windows,)), places, n=images * length)
    return (xp.reshape(dx, x.shape),)


adaptive_max_pool.gradient(backward=adaptive_max_pool_backward)


def _largest_along(x: Array, indices: Array, axis: int, size: int) -> tuple[Array, Array]:
    """The largest element of each window along one axis, and its index."""
    xp = namespace(x)
    windows = [adaptive_window(x.shape[axis], size, i) for i in range(size)]
    best = chosen = None
    for step in range(max(stop - start for start, stop in windows)):
        # Where a window is shorter its last element is seen twice, which changes nothing.
        places = [min(start + step, stop - 1) for start, stop in windows]
        places = xp.asarray(places, dtype=xp.int64, device=device_of(x))
        seen, number = xp.take(x, places, axis=axis), xp.take(indices, places, axis=axis)
        if best is None:
            best, chosen = seen, number
        else:
            better = (seen > best) | xp.isnan(seen)
            best, chosen = xp.where(better, seen, best), xp.where(better, number, chosen)
    return best, chosen


def refuse_unfit_adaptive(x: Array, output_size: tuple[int, ...]) -> None:
    """Raise unless the sizes fit the array; see `adaptive_max_pool`."""
    refuse_unless_real("adaptive_max_pool", x)
    if x.ndim < 3 or 0 in x.shape[2:]:
        raise ShapeError(
            f"adaptive_max_pool: x has shape {tuple(x.shape)}; expected (n_samples, n_channels, ...) with a spatial "
            "axis at least, none of them empty"
        )
    refuse_unfit_sizes("adaptive_max_pool", x.ndim - 2, output_size=output_size)
