"""A recorded step as a flat list of calls on planned memory.

Four things are done to what was recorded.

1. *Calls whose results nobody needs* are dropped.
2. *Views of lasting memory* are made once; they see what is written later.
3. *A result that is only copied into lasting memory*, as a gradient into the flat storage of an optimizer, is worked
   out there at once.
4. *Other results* are laid out in one block of memory (see `portml.recording.plan`); what cannot be told where to
   write, and views of such results, come anew at each replay.

The calls are the eager step's own, on arrays of the same shape, type and layout, so that the results are the same bit
for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from portml.backends import Array, Backend, Kernel, namespace
from portml.backends.doorway import store
from portml.backends.memory import carve, dense_order, extent, make_block, runs_backward
from portml.recording.plan import last_uses, plan
from portml.recording.values import Instruction, Part, Value, same_memory, values_in

__all__ = ["Program"]


class Program:
    """What is replayed.

    Parameters
    ----------
    instructions : sequence of Instruction
    returned : Part
        The values that the step gives back.
    backend : Backend

    Attributes
    ----------
    source : str
        The replay as Python.
    run : callable
        Replays, and gives the raw arrays of what is returned.
    n_calls : int
        Calls of a replay.
    n_bytes : int
        Memory planned for its results.
    n_bytes_apart : int
        What they would take if none shared its place with another.
    """

    def __init__(self, instructions: Sequence[Instruction], returned: tuple[Part, ...], backend: Backend) -> None:
        self._backend = backend
        self._lines: list[str] = []
        self._scope: dict[str, Any] = {}
        self._names: dict[Value, str] = {}
        self._by_identity: dict[int, str] = {}
        self._arrays: dict[Value, Array] = {}
        self._where: dict[Value, Array] = {}
        instructions = _needed(instructions, returned)
        instructions, self._direct = _written_at_once(instructions, returned, backend)
        self._written = {
            value.base for each in instructions if each.kernel is not None and each.writes for value in each.reads()
        }
        self._lay_out(instructions, returned)
        for number, instruction in enumerate(instructions):
            self._write(number, instruction)
        self._lines.append(f"return ({' '.join(f'{self._owned(part)},' for part in returned)})")
        self.n_calls = len(self._lines) - 1
        self.source = "def replay():\n" + "\n".join(f"    {line}" for line in self._lines)
        exec(compile(self.source, "<recorded step>", "exec"), self._scope)
        self.run: Callable[[], Any] = self._scope["replay"]
        # The recorded arrays go: what a replay needs is in the scope of its function.
        del self._names, self._by_identity, self._arrays, self._where, self._direct, self._written

    def _owned(self, part: Part) -> str:
        """What is handed to the caller: never memory that the next replay writes."""
        if not isinstance(part, Value) or part.base.source == "held":
            return self._expression(part)
        if part.base is part and self._array_of(part) is None:
            return self._expression(part)
        array = part.array if self._array_of(part) is None else self._array_of(part)
        # In the order of its axes, as NumPy's and CuPy's own method does not unless it is told.
        copy = partial(namespace(array).asarray, copy=True)
        return f"{self._named('copied', copy)}({self._expression(part)})"

    def _is_written(self, part: Part) -> bool:
        return any(value.base in self._written for value in values_in(part))

    def _lay_out(self, instructions: Sequence[Instruction], returned: Part) -> None:
        last = last_uses(instructions, list(values_in(returned)))
        seen: set[Value] = set()  # a result may be an argument, handed back: the call that made it counts
        planned = []
        for instruction in instructions:
            new = [value for value in values_in(instruction.result) if value not in seen]
            seen.update(new)
            if _plannable(instruction, self._backend):
                planned += [value for value in new if value.source == "result" and value not in self._direct]
        places = plan(instructions, planned, last)
        self.n_bytes, self.n_bytes_apart = places.n_bytes, places.n_bytes_apart
        block = make_block(self._backend, places.n_bytes) if planned else None
        for value, offset in places.offsets.items():
            array = value.array
            order = dense_order(array)
            assert order is not None
            self._where[value] = carve(block, offset, array.shape, array.dtype, order)

    def _write(self, number: int, instruction: Instruction) -> None:
        """Write one line of the replay, or none if all is known beforehand."""
        kernel, implementation = instruction.kernel, instruction.implementation
        if kernel is None:
            self._lines.append(f"{self._named(f'action{number}', implementation)}()")
            return
        fixed = [self._fixed(part) for part in (instruction.arguments, instruction.out)]
        if kernel.kind == "fresh" and kernel.body is None and not self._is_written(instruction.result):
            self._settle(instruction.result, _recorded(instruction.result))
            return
        if all(fixed) and kernel.kind == "view":
            made = implementation(*self._actual(instruction.arguments), **instruction.statics)
            if self._lies_where_recorded(instruction.result, made):
                self._settle(instruction.result, made)
                return
        for value in values_in(instruction.result):
            if value.lasting:  # a view of what was there before: the recorded array is one
                self._arrays.setdefault(value, value.array)
        if instruction.writes and self._known(instruction.result):
            self._lines.append(self._call(instruction, instruction.out))
            return
        made = list(values_in(instruction.result))
        told = [value for value in made if value in self._where or value in self._direct]
        if told and len(told) == len(made):
            for value in told:
                self._arrays[value] = self._where[value] if value in self._where else self._direct[value].array
            self._lines.append(self._call(instruction, instruction.result))
            return
        self._lines.append(f"{self._target(instruction.result)} = {self._call(instruction, instruction.out)}")

    def _call(self, instruction: Instruction, out: Part) -> str:
        kernel = instruction.kernel
        assert kernel is not None
        arguments = [self._expression(self._typed(instruction, part)) for part in instruction.arguments]
        statics = [f"{name}={self._constant(value)}" for name, value in instruction.statics.items()]
        function = instruction.implementation
        if out is not None:
            writer = self._backend.writer(kernel, function)
            if writer is None:
                function = _Storing(kernel, function)
            elif hasattr(writer, "nin") and kernel.name not in ("maximum", "minimum"):  # of which NumPy warns
                return f"{self._named(_clean(kernel.name), writer)}({', '.join([*arguments, self._expression(out)])})"
            else:
                function = writer
            statics.append(f"out={self._expression(out)}")
        return f"{self._named(_clean(kernel.name), function)}({', '.join([*arguments, *statics])})"

    def _typed(self, instruction: Instruction, part: Part) -> Part:
        """A number beside arrays of one type of fractions as an array of it: NumPy would convert it at every call."""
        if not hasattr(instruction.implementation, "nin") or type(part) not in (int, float):
            return part
        kinds = {value.array.dtype for value in values_in(instruction.arguments)}
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind is None or kind.kind != "f" or instruction.kernel is None or instruction.kernel.name == "pow":
            return part
        return Value(self._backend.asarray(part, kind), "held")

    # Names, arrays and expressions

    def _known(self, part: Part) -> bool:
        return all(value in self._names or self._array_of(value) is not None for value in values_in(part))

    def _fixed(self, part: Part) -> bool:
        """Whether all values in it are the same arrays at every replay."""
        return all(self._array_of(value) is not None for value in values_in(part))

    def _array_of(self, value: Value) -> Array | None:
        found = self._arrays.get(value)
        if found is None and value.source != "result":
            found = self._arrays[value] = value.array
        return found

    def _actual(self, part: Part) -> Any:
        if isinstance(part, Value):
            return self._array_of(part)
        return tuple(map(self._actual, part)) if isinstance(part, tuple) else part

    def _settle(self, part: Part, arrays: Any) -> None:
        """Note that a result is these arrays, at every replay."""
        if isinstance(part, Value):
            self._arrays.setdefault(part, arrays)
        elif isinstance(part, tuple) and isinstance(arrays, tuple):
            for each, array in zip(part, arrays, strict=True):
                self._settle(each, array)

    def _lies_where_recorded(self, part: Part, arrays: Any) -> bool:
        """Whether views are views again: of other memory than a copy would be."""
        if isinstance(part, Value):
            base = self._array_of(part.base)
            return part.base is not part and base is not None and extent(arrays).owner is extent(base).owner
        if isinstance(part, tuple):
            return all(self._lies_where_recorded(each, array) for each, array in zip(part, arrays, strict=True))
        return True

    def _expression(self, part: Part) -> str:
        if isinstance(part, Value):
            array = self._array_of(part)
            return self._names[part] if array is None else self._constant(array)
        if isinstance(part, tuple):
            if self._fixed(part):
                return self._constant(self._actual(part))
            return f"({' '.join(f'{self._expression(each)},' for each in part)})"
        return self._constant(part)

    def _target(self, part: Part) -> str:
        """What a call's result is assigned to."""
        if isinstance(part, Value):
            if part in self._names or part in self._arrays:
                return "_"
            self._names[part] = f"r{len(self._names)}"
            return self._names[part]
        if isinstance(part, tuple) and part:
            return f"({' '.join(f'{self._target(each)},' for each in part)})"
        return "_"

    def _constant(self, value: Any) -> str:
        if type(value) in (type(None), bool, int):
            return repr(value)
        return self._named("c", value)

    def _named(self, prefix: str, value: Any) -> str:
        name = self._by_identity.setdefault(id(value), f"{prefix}_{len(self._scope)}")
        self._scope[name] = value
        return name


class _Storing:
    """A call that cannot be told where to write, and a copy of what it gives to there."""

    def __init__(self, kernel: Kernel, function: Callable[..., Any]) -> None:
        self.kernel = kernel
        self.function = function

    def __call__(self, *arguments: Any, out: Any, **statics: Any) -> None:
        store(self.kernel.name, out, self.function(*arguments, **statics))


def _needed(instructions: Sequence[Instruction], returned: Part) -> list[Instruction]:
    """The instructions without those whose results lead nowhere, and those that hand back what they are given."""
    needed = {value.base for value in values_in(returned)}
    kept = []
    for instruction in reversed(instructions):
        results = set(values_in(instruction.result))
        makes = {value.base for value in results - set(instruction.reads())}
        if instruction.writes or makes & needed:
            kept.append(instruction)
            needed |= {value.base for value in instruction.reads()}
    return kept[::-1]


def _written_at_once(
    instructions: Sequence[Instruction], returned: Part, backend: Backend
) -> tuple[list[Instruction], dict[Value, Value]]:
    """Leave out copies into lasting memory where the copied result can be worked out there.

    Returns
    -------
    instructions : list of Instruction
    direct : dict of Value to Value
        The results, and where they are written.
    """
    uses: dict[Value, int] = {}
    for instruction in instructions:
        for value in instruction.reads():
            uses[value.base] = uses.get(value.base, 0) + 1
    for value in values_in(returned):
        uses[value.base] = uses.get(value.base, 0) + 1
    makers = {
        value: number for number, instruction in enumerate(instructions) for value in values_in(instruction.result)
    }
    dropped: set[int] = set()
    direct: dict[Value, Value] = {}
    for number, instruction in enumerate(instructions):
        if instruction.kernel is None or instruction.kernel.name != "write_into":
            continue
        destination, source = instruction.arguments
        if not (isinstance(source, Value) and source.source == "result" and source.base is source):
            continue
        maker = makers[source]
        if (
            uses[source] == 1
            and destination.lasting
            and _plannable(instructions[maker], backend)
            and destination.array.shape == source.array.shape
            and destination.array.dtype == source.array.dtype
            and dense_order(destination.array) == dense_order(source.array)
            and not _touched(instructions, maker, number, destination)
        ):
            direct[source] = destination
            dropped.add(number)
    return [each for number, each in enumerate(instructions) if number not in dropped], direct


def _touched(instructions: Sequence[Instruction], maker: int, copy: int, destination: Value) -> bool:
    """Whether anything between a result's making and its being copied looks at the destination."""
    for number in range(maker, copy):
        instruction = instructions[number]
        for value in (*instruction.reads(), *values_in(instruction.result)):
            if value.extent.meets(destination.extent):
                exact = same_memory(value, destination) and hasattr(instruction.implementation, "nin")
                if not (number == maker and exact):
                    return True
    return False


def _plannable(instruction: Instruction, backend: Backend) -> bool:
    """Whether the call can be told where to write all of its results."""
    kernel = instruction.kernel
    if kernel is None or kernel.kind != "out" or instruction.out is not None:
        return False
    results = list(values_in(instruction.result))
    return (
        bool(results)
        and backend.writer(kernel, instruction.implementation) is not None
        and all(value.base is value and value.source == "result" for value in results)
        and all(dense_order(value.array) is not None for value in results)
        and len({id(value) for value in results}) == len(results)
        and not any(runs_backward(value.array) for value in values_in(instruction.arguments))
    )


def _recorded(part: Part) -> Any:
    """The arrays of values, as they were recorded."""
    if isinstance(part, Value):
        return part.array
    return tuple(map(_recorded, part)) if isinstance(part, tuple) else part


def _clean(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
