"""Which memory each result of a recorded step gets.

A result is *planned* if the call that works it out can write it where it is told.  Planned results share one block of
memory: two may lie in the same place if the last use of one comes before the call that makes the other; and where a
call works element by element, its result takes the place of an argument that nobody needs afterwards.  The search is
best fit over the free gaps, in the order of the calls.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Sequence

from portml.backends.memory import ALIGNMENT, dense_order
from portml.recording.values import Instruction, Value, values_in

__all__ = ["Places", "last_uses", "plan"]


class Places:
    """Where each planned value begins in the block, in bytes.

    Attributes
    ----------
    offsets : dict of Value to int
    n_bytes : int
        Length of the block.
    n_bytes_apart : int
        What the values would take if each had memory of its own.
    """

    def __init__(self) -> None:
        self.offsets: dict[Value, int] = {}
        self.n_bytes = 0
        self.n_bytes_apart = 0


def last_uses(instructions: Sequence[Instruction], kept: Collection[Value]) -> dict[Value, int]:
    """The last instruction that needs the memory of each value, by its base; those in `kept` are needed to the end."""
    last: dict[Value, int] = {}
    for number, instruction in enumerate(instructions):
        for value in (*instruction.reads(), *values_in(instruction.result)):
            last[value.base] = number
    for value in kept:
        last[value.base] = len(instructions)
    return last


def plan(instructions: Sequence[Instruction], planned: Collection[Value], last: dict[Value, int]) -> Places:
    """Find a place for every value in `planned`.

    Parameters
    ----------
    instructions : sequence of Instruction
    planned : collection of Value
        Results, each the base of its memory.
    last : dict of Value to int
        As `last_uses` gives it.
    """
    places = Places()
    gaps = _Gaps()
    ends: dict[int, list[Value]] = {}
    chosen = set(planned)
    for number, instruction in enumerate(instructions):
        results = dict.fromkeys(values_in(instruction.result))
        made = [value for value in results if value in chosen and value not in places.offsets]
        for value in made:
            size = size_of(value)
            places.n_bytes_apart += size
            heir = _dying_argument(instruction, value, number, last, places, ends)
            if heir is None:
                places.offsets[value] = gaps.take(size)
            else:
                places.offsets[value] = places.offsets[heir]
                ends[number].remove(heir)
            ends.setdefault(max(last.get(value, number), number), []).append(value)
        for value in ends.pop(number, ()):
            gaps.give(places.offsets[value], size_of(value))
    places.n_bytes = gaps.length
    return places


def size_of(value: Value) -> int:
    """Bytes of a value, rounded up to whole cache lines."""
    n_bytes: int = value.array.nbytes
    return max(ALIGNMENT, -(-n_bytes // ALIGNMENT) * ALIGNMENT)


def _dying_argument(
    instruction: Instruction,
    result: Value,
    number: int,
    last: dict[Value, int],
    places: Places,
    ends: dict[int, list[Value]],
) -> Value | None:
    """An argument whose place the result of an elementwise call may take."""
    if not hasattr(instruction.implementation, "nin") or instruction.kernel is None:
        return None
    if instruction.kernel.name in ("matmul", "vecdot"):
        return None
    # NumPy minds a view of the place that is written, a device does not.
    views = {value.base for value in values_in(instruction.arguments) if value.base is not value}
    for argument in instruction.arguments:
        if (
            isinstance(argument, Value)
            and argument.base is argument
            and argument in places.offsets
            and argument not in views
            and last[argument] == number
            and argument in ends.get(number, ())
            and argument.array.shape == result.array.shape
            and argument.array.dtype == result.array.dtype
            and dense_order(argument.array) == dense_order(result.array)
        ):
            return argument
    return None


class _Gaps:
    """The free stretches of a block that grows at its end."""

    def __init__(self) -> None:
        self.length = 0
        self.free: list[tuple[int, int]] = []  # offset, size; by offset

    def take(self, size: int) -> int:
        fitting = [gap for gap in self.free if gap[1] >= size]
        if fitting:
            offset, length = gap = min(fitting, key=lambda gap: gap[1])
            self.free.remove(gap)
            if length > size:
                insort(self.free, (offset + size, length - size))
            return offset
        if self.free and sum(self.free[-1]) == self.length:  # the last gap reaches the end: make it longer
            offset, _ = self.free.pop()
        else:
            offset = self.length
        self.length = offset + size
        return offset

    def give(self, offset: int, size: int) -> None:
        insort(self.free, (offset, size))
        joined: list[tuple[int, int]] = []
        for start, length in self.free:
            if joined and sum(joined[-1]) == start:
                joined[-1] = (joined[-1][0], joined[-1][1] + length)
            else:
                joined.append((start, length))
        self.free = joined
