r"""Images in another size: interpolation, and means over the windows of adaptive pooling.

All of these are one linear map along each axis after the other, in which a result takes a few elements, its *taps*:

.. math:: y_i = \sum_t w_{i,t} \, x_{k_{i,t}}

Only the taps tell one mode from the other.  The gradient is the transposed map, and that has taps too: those results
that an element went into.  So it runs through the same loop.  [Keys 1981, "Cubic convolution interpolation for digital
image processing", for the cubic weights]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from portml.backends.kernel import kernel
from portml.backends.kernels.windows import adaptive_window
from portml.backends.namespaces import Array, device_of, dtype_kind, namespace
from portml.errors import ArgumentError, DtypeError, ShapeError

__all__ = [
    "RESAMPLING_MODES",
    "Taps",
    "refuse_unfit_resampling",
    "resample",
    "resample_backward",
    "resample_saving",
    "taps_along",
    "transposed_taps",
]

RESAMPLING_MODES = ("nearest", "nearest-exact", "linear", "cubic", "area")

Scale = tuple[float | None, ...]


@kernel
def resample(x: Array, *, size: tuple[int, ...], mode: str, align_corners: bool, scale: Scale) -> Array:
    """`x` with spatial axes of other lengths.

    Parameters
    ----------
    x : array (n_samples, n_channels, d_1, ..., d_r)
    size : tuple of r positive ints
    mode : {"nearest", "nearest-exact", "linear", "cubic", "area"}
        Result i of p stands at the coordinate c = (i + ½) d / p - ½ of the input.  "nearest-exact" takes the element
        there; "nearest" that at i d / p, rounded down; "linear" weights two neighbours, "cubic" four; beyond the edge
        the last element goes on.  "area" is the mean of the elements from ⌊i d / p⌋ up to ⌈(i + 1) d / p⌉.
    align_corners : bool
        For "linear" and "cubic": the first and last elements stand on each other, c = i (d - 1) / (p - 1).
    scale : tuple of r floats or None
        By how much each axis becomes longer, in the place of p / d where that was rounded.

    Returns
    -------
    array (n_samples, n_channels, *size)

    Raises
    ------
    ShapeError
        If there is no spatial axis, or one without elements.
    ArgumentError
        If a size or scale is not positive, there are too few of them, or the mode is unknown.
    DtypeError
        If `x` is not real floating-point.
    """
    refuse_unfit_resampling(x, size, mode, align_corners, scale)
    for axis, (wanted, factor) in enumerate(zip(size, scale, strict=True), start=2):
        x = _combined_along(x, axis, taps_along(x.shape[axis], wanted, mode, align_corners, factor))
    return x


@kernel
def resample_saving(
    x: Array, *, size: tuple[int, ...], mode: str, align_corners: bool, scale: Scale
) -> tuple[Array, tuple[()]]:
    """The result of `resample`; its gradient needs nothing but the shape."""
    return resample(x, size=size, mode=mode, align_corners=align_corners, scale=scale), ()


@kernel
def resample_backward(
    g: Array,
    saved: tuple[()],
    x: Array,
    *,
    needs: tuple[bool, ...],
    size: tuple[int, ...],
    mode: str,
    align_corners: bool,
    scale: Scale,
) -> tuple[Array | None]:
    """The gradient of `resample`: the transposed maps, last axis first."""
    if not needs[0]:
        return (None,)
    for axis in reversed(range(2, x.ndim)):
        g = _combined_along(
            g, axis, transposed_taps(x.shape[axis], size[axis - 2], mode, align_corners, scale[axis - 2])
        )
    return (g,)


resample.gradient(saving=resample_saving, backward=resample_backward)


def _combined_along(x: Array, axis: int, taps: Taps) -> Array:
    """The weighted sum of the taps along one axis."""
    xp, device = namespace(x), device_of(x)
    total = None
    for numbers, weights in zip(taps.numbers, taps.weights, strict=True):
        term = xp.take(x, xp.asarray(numbers, dtype=xp.int64, device=device), axis=axis)
        if any(weight != 1 for weight in weights):
            along = (len(weights), *[1] * (x.ndim - axis - 1))
            weight = xp.reshape(xp.asarray(weights, dtype=x.dtype, device=device), along)
            # A tap of weight 0 is none: what is NaN or infinite there must not come through.
            term = weight * (xp.where(weight == 0, 0.0, term) if 0 in weights else term)
        total = term if total is None else total + term
    return total


# --- taps -----------------------------------------------------------------------------------------------------------

Row = Sequence[tuple[int, float]]


class Taps(NamedTuple):
    """A linear map along an axis, in which a result takes few elements.

    Attributes
    ----------
    numbers : tuple of tuple of int, (n_taps, n_results)
        Which element is taken.
    weights : tuple of tuple of float, (n_taps, n_results)
        What it is multiplied with; 0 where a result takes fewer than others.
    """

    numbers: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Taps:
        """From the elements and weights of each result."""
        most = max(1, *map(len, rows))
        filled = [[*row, *[(row[-1][0] if row else 0, 0.0)] * (most - len(row))] for row in rows]
        numbers = tuple(tuple(row[tap][0] for row in filled) for tap in range(most))
        return cls(numbers, tuple(tuple(row[tap][1] for row in filled) for tap in range(most)))


@lru_cache(maxsize=1024)
def taps_along(length: int, size: int, mode: str, align_corners: bool, scale: float | None) -> Taps:
    """The taps of `size` results on an axis of this length."""
    return Taps.of(_rows(length, size, mode, align_corners, scale))


@lru_cache(maxsize=1024)
def transposed_taps(length: int, size: int, mode: str, align_corners: bool, scale: float | None) -> Taps:
    """The taps of the gradient: for each element the results that it went into."""
    rows: list[list[tuple[int, float]]] = [[] for _ in range(length)]
    for result, row in enumerate(_rows(length, size, mode, align_corners, scale)):
        for number, weight in row:
            if weight != 0:
                rows[number].append((result, weight))
    return Taps.of(rows)


def _rows(length: int, size: int, mode: str, align_corners: bool, scale: float | None) -> list[Row]:
    if mode == "area":
        windows = [adaptive_window(length, size, i) for i in range(size)]
        return [[(k, 1 / (stop - start)) for k in range(start, stop)] for start, stop in windows]
    if mode == "nearest":
        first = [i * length // size if scale is None else int(i / scale) for i in range(size)]
        return [[(min(number, length - 1), 1.0)] for number in first]
    if mode == "nearest-exact":
        places = [(i + 0.5) * length / size if scale is None else (i + 0.5) / scale for i in range(size)]
        return [[(min(int(place), length - 1), 1.0)] for place in places]
    interpolated = _linear if mode == "linear" else _cubic
    return [interpolated(place, length) for place in _places(length, size, align_corners, scale)]


def _places(length: int, size: int, align_corners: bool, scale: float | None) -> list[float]:
    """Where on the input's axis each result stands."""
    if align_corners:
        return [i * (length - 1) / (size - 1) if size > 1 else 0.0 for i in range(size)]
    return [((i + 0.5) * length / size if scale is None else (i + 0.5) / scale) - 0.5 for i in range(size)]


def _linear(place: float, length: int) -> Row:
    """The two neighbours, the nearer one the heavier."""
    place = min(max(place, 0.0), length - 1.0)
    first = math.floor(place)
    rest = place - first
    return [(first, 1 - rest), (first + 1, rest)] if rest else [(first, 1.0)]


def _cubic(place: float, length: int) -> Row:
    """Four neighbours; where there are none, the last element of the axis stands for them."""
    first = math.floor(place)
    weights: list[Callable[[float], float]] = [_far, _near, _near, _far]
    distances = [abs(place - (first + offset)) for offset in (-1, 0, 1, 2)]
    return [
        (min(max(first + offset, 0), length - 1), weight(distance))
        for offset, weight, distance in zip((-1, 0, 1, 2), weights, distances, strict=True)
    ]


SHARPNESS = -0.75
"""The slope of Keys' cubic at the nearest neighbours, as PyTorch and OpenCV have it; Keys himself has -½."""


def _near(distance: float) -> float:
    """Keys' cubic at a distance of at most 1."""
    return ((SHARPNESS + 2) * distance - (SHARPNESS + 3)) * distance * distance + 1


def _far(distance: float) -> float:
    """Keys' cubic at a distance from 1 to 2."""
    return SHARPNESS * (((distance - 5) * distance + 8) * distance - 4)


def refuse_unfit_resampling(x: Array, size: tuple[int, ...], mode: str, align_corners: bool, scale: Scale) -> None:
    """Raise unless the sizes fit the array; see `resample`."""
    if dtype_kind(x.dtype) != "float":
        raise DtypeError(f"resample: x has dtype {x.dtype}; expected float32 or float64, convert with astype")
    spatial = x.ndim - 2
    if spatial < 1 or 0 in x.shape[2:]:
        raise ShapeError(
            f"resample: x has shape {tuple(x.shape)}; expected (n_samples, n_channels, ...) with a spatial axis at "
            "least, none of them empty"
        )
    if len(size) != spatial or any(wanted < 1 for wanted in size):
        raise ArgumentError(
            f"resample: size={size}; expected a positive integer for each spatial axis of x {tuple(x.shape)}"
        )
    if len(scale) != spatial or any(factor is not None and not factor > 0 for factor in scale):
        raise ArgumentError(
            f"resample: scale={scale}; expected a positive number or None for each spatial axis of x {tuple(x.shape)}"
        )
    if mode not in RESAMPLING_MODES:
        raise ArgumentError(f"resample: mode must be one of {RESAMPLING_MODES}, got {mode!r}")
    if align_corners and mode not in ("linear", "cubic"):
        raise ArgumentError(f"resample: align_corners is for 'linear' and 'cubic', not for {mode!r}")
