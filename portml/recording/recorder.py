"""The observer that writes a step down while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from portml.autograd import Tensor
from portml.autograd.tape import next_sequence
from portml.backends import Array, Call
from portml.backends.memory import as_array, extent
from portml.recording.values import Instruction, Part, Value, values_in

__all__ = ["Dependence", "Recorder"]

_NUMBERS = (bool, int, float, complex, str, type(None))
# The shape of what they give depends on the numbers that they are given.
_SHAPED_BY_DATA = frozenset({"nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values"})


class Dependence:
    """Something beside the arrays that a recording rests on.

    Parameters
    ----------
    read : callable
    marked : bool
        Whether its changes are noted by `portml.backends.doorway.change`.
    """

    def __init__(self, read: Callable[[], Any], marked: bool) -> None:
        self.read = read
        self.marked = marked
        self.expected = read()

    def holds(self) -> bool:
        """Whether it is still as it was."""
        return bool(self.read() == self.expected)


class Recorder:
    """Writes down every call that passes the doorway.

    Parameters
    ----------
    inputs : sequence of array
        The raw arrays that are handed in, in their order.

    Attributes
    ----------
    instructions : list of Instruction
    dependences : list of Dependence
    refusal : str or None
        Why this step cannot be replayed, if it cannot.
    """

    def __init__(self, inputs: Sequence[Array]) -> None:
        self.inputs = [Value(array, "input", number) for number, array in enumerate(inputs)]
        self.instructions: list[Instruction] = []
        self.dependences: list[Dependence] = []
        self.refusal: str | None = None
        self._began = next_sequence()
        self._known: dict[int, Value] = {id(value.array): value for value in self.inputs}
        self._owners: dict[int, Value] = {id(value.extent.owner): value for value in self.inputs}
        self._set: set[int] = set()
        self._kept: list[object] = []

    # What the doorway tells

    def __call__(self, call: Call) -> Any:
        """Run the call and write it down."""
        filled = call.kernel.name == "fill_slot"
        arguments = tuple(self.value_of(argument, filled and i == 0) for i, argument in enumerate(call.arguments))
        out = self.value_of(call.out)
        result = as_array(call.proceed())
        self._refuse_what_depends_on_data(call)
        instruction = Instruction(call.kernel, call.implementation, arguments, call.statics, out)
        instruction.result = self._result(result, len(self.instructions), ())
        self.instructions.append(instruction)
        if instruction.kernel is not None and instruction.writes:
            self._refuse_written_inputs(instruction)
        return result

    def repeat(self, owner: object, action: Callable[[], None], parts: Iterable[object]) -> None:
        """Something beside the arrays was set, and must be at every replay."""
        for each in (owner, *parts):
            self._kept.append(each)
            self._set.add(id(each))
        self.instructions.append(Instruction(None, action))

    def depend(self, owner: object, read: Callable[[], Any], marked: bool) -> None:
        """Something beside the arrays was looked at."""
        if id(owner) not in self._set:
            self._kept.append(owner)
            self.dependences.append(Dependence(read, marked))

    def unrepeatable(self, what: str, made: int | None) -> None:
        """Something happens that a replay could not do, unless to what the step itself has made."""
        if made is not None and made > self._began:
            return
        self.refuse(f"{what}, which a replay could not do again")

    def refuse(self, why: str) -> None:
        """Note the first reason why this step cannot be replayed."""
        self.refusal = self.refusal or why

    def _refuse_what_depends_on_data(self, call: Call) -> None:
        name, arguments = call.kernel.name, call.arguments
        counted = name == "repeat" and hasattr(arguments[1], "shape")
        masked = name == "advanced_getitem" and any(
            str(getattr(index, "dtype", "")).endswith("bool") for index in arguments[1:]
        )
        if name in _SHAPED_BY_DATA or counted or masked:
            self.refuse(f"the shape of what {name} gives depends on the numbers in its arguments")

    def _refuse_written_inputs(self, instruction: Instruction) -> None:
        written = instruction.arguments[:1] if instruction.out is None else instruction.out
        if any(value.base.source == "input" for value in values_in(written)):
            self.refuse("it writes into an array that it is given, of which a recording has a copy; return the result")

    # Arrays to values

    def value_of(self, given: Any, scratch: bool = False) -> Part:
        """The value of an array; scalars, None and tuples of these as they are."""
        if isinstance(given, _NUMBERS) and not hasattr(given, "dtype"):  # NumPy's float64 is a float too
            return given
        if isinstance(given, tuple):
            return tuple(self.value_of(each) for each in given)
        raw = given.value if isinstance(given, Tensor) else given
        known = self._known.get(id(raw))
        return known if known is not None else self._unknown(raw, scratch)

    def _unknown(self, array: Array, scratch: bool) -> Value:
        """An array that no call gave: it was there before, or was made beside the doorway."""
        owner = self._owners.get(id(extent(array).owner))
        if owner is not None and owner.source in ("input", "result"):
            self.refuse(
                f"an array of shape {tuple(array.shape)} is a view, made by an array's own method, of one that the "
                "step is given or works out; use the functions of portml.namespace(x), which a recording sees"
            )
        return self._note(Value(array, "scratch" if scratch else "held", len(self.instructions), (), owner))

    def _result(self, result: Any, number: int, place: tuple[int, ...]) -> Part:
        if isinstance(result, _NUMBERS):
            return result
        if isinstance(result, tuple):
            return tuple(self._result(part, number, (*place, i)) for i, part in enumerate(result))
        known = self._known.get(id(result))
        if known is not None:  # an argument, handed back
            return known
        return self._note(Value(result, "result", number, place, self._owners.get(id(extent(result).owner))))

    def _note(self, value: Value) -> Value:
        self._known[id(value.array)] = value
        self._owners.setdefault(id(value.extent.owner), value)
        return value
