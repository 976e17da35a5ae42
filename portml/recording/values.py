"""What a recording knows of the arrays it met, and of the calls between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from portml.backends import Array, Kernel
from portml.backends.memory import Extent, extent

__all__ = ["Instruction", "Part", "Value", "same_memory", "same_statics", "values_in"]


class Value:
    """One array of a recorded step.

    Attributes
    ----------
    array : array
        As it was when the step was recorded; holding it keeps its identity from being given to another.
    source : {"input", "held", "scratch", "result"}
        Whether it was handed in, was there before, was made to be filled at every replay, or was worked out.
    number : int
        Of the input, or of the instruction that works it out.
    place : tuple of int
        Which part of that instruction's result it is.
    base : Value
        The first value met that lies in the same memory; itself, if it is that one.
    extent : Extent
    """

    __slots__ = ("array", "base", "extent", "number", "place", "source")

    def __init__(
        self, array: Array, source: str, number: int = 0, place: tuple[int, ...] = (), base: Value | None = None
    ) -> None:
        self.array = array
        self.source = source
        self.number = number
        self.place = place
        self.base: Value = self if base is None else base.base
        self.extent: Extent = extent(array)

    @property
    def lasting(self) -> bool:
        """Whether its memory was there before the step, and is there after it."""
        return self.base.source in ("held", "scratch", "input")

    def resembles(self, other: Value) -> bool:
        """Whether it plays the part in one recording that `other` plays in another of the same step."""
        if self.source != other.source or not _same_kind(self.array, other.array):
            return False
        if self.source == "held":
            return self.array is other.array or same_memory(self, other)
        return (self.number, self.place) == (other.number, other.place)


@dataclass
class Instruction:
    """One call to be made again.

    Attributes
    ----------
    kernel : Kernel or None
        None for an action beside the arrays.
    implementation : callable
    arguments : tuple
        Values, scalars, None, and tuples of these.
    statics : dict
    out : Part
        Where the step's author wants the result.
    result : Part
        What comes back.
    """

    kernel: Kernel | None
    implementation: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    statics: dict[str, Any] = field(default_factory=dict)
    out: Any = None
    result: Any = None

    def reads(self) -> Iterator[Value]:
        """The values it needs."""
        yield from values_in(self.arguments)
        yield from values_in(self.out)

    @property
    def writes(self) -> bool:
        """Whether it changes memory that others see."""
        return self.kernel is None or self.kernel.kind == "write" or self.out is not None

    def resembles(self, other: Instruction) -> bool:
        """Whether another recording of the same step has the same call here."""
        return (
            self.kernel is other.kernel
            and (self.kernel is None or self.implementation is other.implementation)
            and _same_tree(self.arguments, other.arguments)
            and _same_tree(self.out, other.out)
            and _same_tree(self.result, other.result)
            and same_statics(self.statics, other.statics)
        )


Part = Any
"""A value, a scalar, None, or a tuple of these."""


def values_in(tree: Part) -> Iterator[Value]:
    """The values in a tree of tuples."""
    if isinstance(tree, Value):
        yield tree
    elif isinstance(tree, tuple):
        for part in tree:
            yield from values_in(part)


def same_statics(one: Any, other: Any) -> bool:
    """Whether two statics of a call are equal; functions are if they are the same, or bound to the same."""
    if isinstance(one, partial) and isinstance(other, partial):
        return (
            same_statics(one.func, other.func)
            and same_statics(one.args, other.args)
            and same_statics(one.keywords, other.keywords)
        )
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_statics(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same_statics, one, other))
    if isinstance(one, float | complex):  # zeros of either sign are equal, and NaN is not
        return repr(one) == repr(other)
    return bool(one == other)


def _same_tree(one: Part, other: Part) -> bool:
    if isinstance(one, Value):
        return isinstance(other, Value) and one.resembles(other)
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(_same_tree, one, other))
    return same_statics(one, other)


def _same_kind(one: Array, other: Array) -> bool:
    return bool(one.shape == other.shape and one.dtype == other.dtype)


def same_memory(one: Value, other: Value) -> bool:
    """Whether two arrays are the same elements in the same places."""
    strides = [getattr(value.array, "strides", None) for value in (one, other)]
    return one.extent.is_that_of(other.extent) and strides[0] == strides[1]
