"""What stands between the brackets of ``x[key]``, taken apart.

A key is split in two: a hashable *template*, which goes to the kernels as a static, and the integer or boolean arrays
in it, which go as arrays so that a recording sees them.  For an array of a given shape a template gives an `IndexPlan`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import lru_cache
from numbers import Integral
from types import EllipsisType
from typing import Any, NamedTuple, TypeAlias

from portml.backends.namespaces import Array, dtype_kind
from portml.errors import ArgumentError, RangeError

__all__ = ["ARRAY", "IndexPlan", "Span", "Template", "index_plan", "mask_axes", "split_key"]

ARRAY = "array"
"""Stands in a template where the key has an integer or boolean array."""


class Span(NamedTuple):
    """A slice that can be hashed."""

    start: int | None
    stop: int | None
    step: int | None


Template: TypeAlias = tuple[int | str | Span | EllipsisType | None, ...]
"""Integers, `Span` for slices, Ellipsis, None for a new axis, and `ARRAY`."""


class IndexPlan(NamedTuple):
    """How a template reads an array of one shape: a view by the basic key, then the arrays along axes of that view.

    Attributes
    ----------
    template : tuple
        The basic part, complete: an item for every axis, slices within bounds, and ``Span(0, n, 1)`` on the axes that
        arrays index.
    basic : tuple
        The same as a key that every library takes; it ends in an ellipsis, so that the result is always an array.
    indexed : tuple of tuple of int
        The axes of the view that each array indexes: one for integers, as many as it has for a mask.
    lengths : tuple of tuple of int
        Their lengths.
    rest : tuple of int
        Lengths of the view's other axes.
    place : int
        Where the axes of the index arrays stand among these in the result.
    """

    template: Template
    basic: tuple[Any, ...]
    indexed: tuple[tuple[int, ...], ...]
    lengths: tuple[tuple[int, ...], ...]
    rest: tuple[int, ...]
    place: int

    @property
    def size(self) -> int:
        """Number of elements that the arrays choose from."""
        return math.prod(math.prod(lengths) for lengths in self.lengths)


def split_key(key: Any) -> tuple[Template, tuple[Array, ...]]:
    """Split an index expression into a hashable template and the arrays in it.

    Parameters
    ----------
    key : int, slice, ellipsis, None, integer or boolean array, or a tuple of these

    Returns
    -------
    template : tuple
    arrays : tuple of arrays
        In the order of their places in the template.

    Raises
    ------
    ArgumentError
        If something in the key is none of these.
    """
    template: list[Any] = []
    arrays = []
    for item in key if type(key) is tuple else (key,):
        if isinstance(item, slice):
            template.append(Span(_bound(item.start), _bound(item.stop), _bound(item.step)))
        elif item is None or item is Ellipsis:
            template.append(item)
        elif isinstance(item, Integral) and not isinstance(item, bool):
            template.append(int(item))
        elif hasattr(item, "shape") and hasattr(item, "dtype"):
            template.append(ARRAY)
            arrays.append(item)
        else:
            raise ArgumentError(
                f"key: cannot index with {item!r}; expected integers, slices, ..., None, or integer or boolean arrays "
                "(Backend.asarray makes one of a list)"
            )
    return tuple(template), tuple(arrays)


def mask_axes(indices: Sequence[Array]) -> tuple[int | None, ...]:
    """For each index array the number of axes it stands for: None for integers, all its axes for a boolean mask."""
    kinds = [dtype_kind(index.dtype) for index in indices]
    for index, kind in zip(indices, kinds, strict=True):
        if kind not in ("int", "uint", "bool"):
            raise ArgumentError(f"key: an index array holds integers or truth values, got {index.dtype}")
    return tuple(index.ndim if kind == "bool" else None for index, kind in zip(indices, kinds, strict=True))


@lru_cache(maxsize=4096)
def index_plan(template: Template, shape: tuple[int, ...], masks: tuple[int | None, ...] = ()) -> IndexPlan:
    """How `template` reads an array of `shape`.

    The axes of the index arrays take the place of the first of them; if integers and arrays are not all neighbours in
    the key, the first place of all.  [NumPy's rules for "combining advanced and basic indexing"]

    Parameters
    ----------
    template : tuple
        As `split_key` gives it.
    shape : tuple of int
    masks : tuple of int or None
        As `mask_axes` gives it.

    Raises
    ------
    RangeError
        If an integer lies outside its axis.
    RangeError
        If the key has more indices than `shape` has axes.
    ArgumentError
        If there are two ellipses, or a slice with step 0.
    """
    complete: list[Any] = []
    indexed: list[tuple[int, ...]] = []
    lengths: list[tuple[int, ...]] = []
    rest: list[int] = []
    place, runs, in_run = 0, 0, False
    axis = axis_of_view = 0
    taken = iter(masks)
    for item in _without_ellipsis(template, shape, masks):
        advanced = bool(masks) and (item == ARRAY or isinstance(item, int))
        if advanced and not in_run:
            runs += 1
            place = len(rest) if runs == 1 else 0
        in_run = advanced
        if item is None:
            complete.append(None)
            rest.append(1)
            axis_of_view += 1
        elif isinstance(item, int):
            complete.append(_integer_within(item, shape, axis))
            axis += 1
        elif item == ARRAY:
            mask = next(taken)
            count = 1 if mask is None else mask
            complete += [Span(0, length, 1) for length in shape[axis : axis + count]]
            indexed.append(tuple(range(axis_of_view, axis_of_view + count)))
            lengths.append(shape[axis : axis + count])
            axis, axis_of_view = axis + count, axis_of_view + count
        else:
            span, length = _span_within(item, shape[axis])
            complete.append(span)
            rest.append(length)
            axis, axis_of_view = axis + 1, axis_of_view + 1
    basic = (*(slice(*item) if isinstance(item, Span) else item for item in complete), ...)
    return IndexPlan(tuple(complete), basic, tuple(indexed), tuple(lengths), tuple(rest), place)


def _without_ellipsis(template: Template, shape: tuple[int, ...], masks: tuple[int | None, ...]) -> list[Any]:
    """The items with as many whole slices for the ellipsis as make one item for each axis."""
    # Compared with `is`: a `Span` equals the tuple of its bounds.
    ellipses = [position for position, item in enumerate(template) if item is Ellipsis]
    if len(ellipses) > 1:
        raise ArgumentError(f"key: an index takes one ellipsis, got {len(ellipses)}")
    used = sum(item is not None and item is not Ellipsis for item in template)
    used += sum(mask - 1 for mask in masks if mask is not None)
    if used > len(shape):
        raise RangeError(f"key: {used} indices for an array of shape {shape}, which takes at most {len(shape)}")
    whole = [Span(None, None, None)] * (len(shape) - used)
    position = ellipses[0] if ellipses else len(template)
    return [*template[:position], *whole, *template[position + 1 :]]


def _integer_within(index: int, shape: tuple[int, ...], axis: int) -> int:
    length = shape[axis]
    if not -length <= index < length:
        raise RangeError(
            f"key: index {index} on axis {axis} of an array of shape {shape}; "
            + (f"expected {-length} to {length - 1}" if length else "the axis is empty")
        )
    return index


def _span_within(span: Span, length: int) -> tuple[Span, int]:
    """The same slice with bounds that lie within the axis, and how many elements it takes."""
    if span.step == 0:
        raise ArgumentError("key: the step of a slice cannot be 0")
    start, stop, step = slice(*span).indices(length)
    count = len(range(start, stop, step))
    if count == 0:
        return Span(0, 0, 1), 0
    return Span(start, None if stop < 0 else stop, step), count


def _bound(bound: Any) -> int | None:
    if bound is None:
        return None
    try:
        return operator.index(bound)
    except TypeError as error:
        raise ArgumentError(f"key: a bound of a slice is an integer or None, got {type(bound).__name__}") from error
