"""Frames made of an array's own elements: mirrored, repeated or wrapped around; constants are `pad`'s.

One axis after the other, so that a corner is what the frame of one axis has in the frame of the next.  The gradient
sends every copy back to where it was taken from.
"""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.kernels.index_keys import Span
from portml.backends.kernels.indexing import basic_getitem, basic_unindex
from portml.backends.kernels.windows import Pairs
from portml.backends.namespaces import Array, namespace
from portml.errors import ArgumentError, ShapeError

__all__ = ["PADDING_MODES", "pad_with_itself", "pad_with_itself_backward", "pad_with_itself_saving"]

PADDING_MODES = ("reflect", "replicate", "circular")


@kernel
def pad_with_itself(x: Array, *, widths: Pairs, mode: str) -> Array:
    """`x` inside a frame made of its own elements.

    Parameters
    ----------
    x : array (n_1, ..., n_r)
    widths : pairs of int, one for each axis
        How many elements come before and after, at least 0.
    mode : {"reflect", "replicate", "circular"}
        For a b c d by two on either side: c b [a b c d] c b, a a [a b c d] d d, or c d [a b c d] a b.

    Returns
    -------
    array (before_1 + n_1 + after_1, ...)

    Raises
    ------
    ShapeError
        If there is not one pair for each axis, a width is negative, or an axis has not as many elements as are wanted:
        a mirror wants one more than its width.
    ArgumentError
        If the mode is none of these.
    """
    _refuse_unfit(x.shape, widths, mode)
    for axis, (before, after) in enumerate(widths):
        if before or after:
            length = x.shape[axis]
            taken = [_part(x, axis, *part) for part in _taken(length, before, after, mode)]
            front, end = _shown(taken[0], axis, before, mode), _shown(taken[1], axis, after, mode)
            x = namespace(x).concat([front, x, end], axis=axis)
    return x


@kernel
def pad_with_itself_saving(x: Array, *, widths: Pairs, mode: str) -> tuple[Array, tuple[()]]:
    """The result of `pad_with_itself`; its gradient needs nothing but the shape."""
    return pad_with_itself(x, widths=widths, mode=mode), ()


@kernel
def pad_with_itself_backward(
    g: Array, saved: tuple[()], x: Array, *, needs: tuple[bool, ...], widths: Pairs, mode: str
) -> tuple[Array | None]:
    """The gradient of `pad_with_itself`: of the part inside the frame, and of the frame added to where it came from."""
    if not needs[0]:
        return (None,)
    for axis, (before, after) in reversed(list(enumerate(widths))):
        if before or after:
            length = x.shape[axis]
            dx = _part(g, axis, before, before + length)
            copies = (_part(g, axis, 0, before), _part(g, axis, before + length, before + length + after))
            for (start, stop), copy in zip(_taken(length, before, after, mode), copies, strict=True):
                key = _key(dx.ndim, axis, start, stop)
                dx = dx + basic_unindex(_gathered(copy, axis, mode), key=key, shape=dx.shape)
            g = dx
    return (g,)


pad_with_itself.gradient(saving=pad_with_itself_saving, backward=pad_with_itself_backward)


def _taken(length: int, before: int, after: int, mode: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """From where to where on the axis the elements stand that the frame before and after it shows."""
    if mode == "reflect":
        return (1, 1 + before), (length - 1 - after, length - 1)
    if mode == "replicate":
        return (0, 1), (length - 1, length)
    return (length - before, length), (0, after)


def _shown(part: Array, axis: int, width: int, mode: str) -> Array:
    """What stands in the frame for the elements taken."""
    xp = namespace(part)
    if mode == "reflect":
        return xp.flip(part, axis=axis)
    if mode == "replicate":
        return xp.broadcast_to(part, (*part.shape[:axis], width, *part.shape[axis + 1 :]))
    return part


def _gathered(copy: Array, axis: int, mode: str) -> Array:
    """The transpose of `_shown`."""
    xp = namespace(copy)
    if mode == "reflect":
        return xp.flip(copy, axis=axis)
    if mode == "replicate":
        return xp.sum(copy, axis=axis, keepdims=True)
    return copy


def _part(x: Array, axis: int, start: int, stop: int) -> Array:
    return basic_getitem(x, key=_key(x.ndim, axis, start, stop))


def _key(ndim: int, axis: int, start: int, stop: int) -> tuple[Span, ...]:
    whole = Span(None, None, None)
    return (whole,) * axis + (Span(start, stop, 1),) + (whole,) * (ndim - axis - 1)


def _refuse_unfit(shape: tuple[int, ...], widths: Pairs, mode: str) -> None:
    if mode not in PADDING_MODES:
        raise ArgumentError(f"mode: expected one of {PADDING_MODES}, got {mode!r}")
    if len(widths) != len(shape) or any(width < 0 for pair in widths for width in pair):
        raise ShapeError(f"widths: expected a pair of integers of at least 0 for each axis of {shape}, got {widths}")
    for axis, (length, around) in enumerate(zip(shape, widths, strict=True)):
        wanted = {"reflect": max(around) + 1, "replicate": 1, "circular": max(around)}[mode]
        if max(around) and length < wanted:
            raise ShapeError(
                f"widths: to {mode} {around} elements, axis {axis} of {tuple(shape)} must have at least {wanted}; "
                "pad less, or with a constant"
            )
