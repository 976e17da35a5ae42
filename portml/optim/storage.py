"""Flat storage: the values and gradients of many parameters, each in one array.

The optimizer owns it.  Parameters become views into it, so that a step is one kernel over everything, the norm of the
gradient one reduction, and an exchange between devices one message.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from itertools import groupby
from typing import NamedTuple

from portml.autograd import Tensor
from portml.autograd.parameter import Parameter
from portml.autograd.tape import Leaf, next_sequence
from portml.backends import Array, backend_of, operations
from portml.backends.doorway import change, depend, observers, repeat
from portml.errors import ArgumentError, GradientError, StaleOptimizerError

__all__ = ["FlatStorage", "Run", "by_kind", "refuse_computed", "unique"]


class Run(NamedTuple):
    """A stretch of the storage whose parameters all take the same step.

    Attributes
    ----------
    start, stop : int
        Its elements.
    first, last : int
        Its parameters, `last` exclusive.
    """

    start: int
    stop: int
    first: int
    last: int


class FlatStorage:
    """Values and gradients of parameters of one data type on one device.

    Parameters
    ----------
    parameters : list of Tensor
        Leaves; each becomes a view into `values`.  If they were packed before, the earlier storage is stale.

    Attributes
    ----------
    values, gradients : array (n_elements,)
    steps : list of int
        How many steps each parameter has taken: one that got no gradient takes none.
    written : int
        When `values` was last written; a record older than that refuses its backward.
    stale : bool
        Whether the parameters have left for another storage or backend.
    """

    def __init__(self, parameters: list[Tensor]) -> None:
        self.parameters = parameters
        self.leaves = [_leaf(parameter) for parameter in parameters]
        self.backend = backend_of(parameters[0].value)
        self.sizes = [math.prod(parameter.shape) for parameter in parameters]
        self.offsets = [sum(self.sizes[:i]) for i in range(len(self.sizes))]
        self.steps = [0] * len(parameters)
        self.written = next_sequence()
        self.stale = False
        self.values = self.zeros()
        self.gradients = self.zeros()
        for parameter, leaf, offset in zip(parameters, self.leaves, self.offsets, strict=True):
            self._pack(parameter, leaf, offset)

    def zeros(self) -> Array:
        """A new flat array as long as the storage, for a state of the optimizer."""
        return self.backend.zeros((sum(self.sizes),), self.parameters[0].dtype)

    def full(self, value: float) -> Array:
        """The same, holding `value`."""
        return self.backend.full((sum(self.sizes),), value, self.parameters[0].dtype)

    def view(self, flat: Array, index: int) -> Array:
        """The part of a flat array that belongs to the parameter of that index, in its shape."""
        return self.backend.view(flat, self.offsets[index], tuple(self.parameters[index].shape))

    def runs(self) -> list[Run]:
        """Stretches of parameters that got a gradient since it was last cleared; mostly one, of all of them.

        Raises
        ------
        StaleOptimizerError
            If the parameters have left.
        """
        if self.stale:
            raise StaleOptimizerError(
                "the parameters of this optimizer were moved, or packed by another optimizer built later; "
                "build the optimizer again, after that"
            )
        if observers.get():
            for leaf in self.leaves:
                depend(leaf, partial(getattr, leaf, "absent"))
            depend(self.steps, self._differences, marked=True)
        found = []
        numbers = range(len(self.leaves))
        for (absent, _), group in groupby(numbers, lambda i: (self.leaves[i].absent, self.steps[i])):
            members = list(group)
            if not absent:
                first, last = members[0], members[-1] + 1
                stop = self.offsets[last - 1] + self.sizes[last - 1]
                found.append(Run(self.offsets[first], stop, first, last))
        if found != [Run(0, sum(self.sizes), 0, len(self.leaves))]:
            change()  # counts of steps grow apart
        return found

    def _differences(self) -> list[bool]:
        """Where the count of steps is another than that of the parameter before."""
        return [one != other for one, other in zip(self.steps, self.steps[1:], strict=False)]

    def advance(self, first: int, last: int) -> int:
        """Note that these parameters take a step and their values are written; how many they have taken by then."""
        steps = self.steps[first] + 1
        self.steps[first:last] = [steps] * (last - first)
        self.written = next_sequence()
        return steps

    def clear_gradients(self) -> None:
        """Forget the gradients; the next one to arrive overwrites."""
        repeat(self, self._clear, parts=self.leaves)

    def _clear(self) -> None:
        for leaf in self.leaves:
            leaf.clear()

    def _pack(self, parameter: Tensor, leaf: Leaf, offset: int) -> None:
        shape = tuple(parameter.shape)
        gradient = parameter.grad
        if leaf.storage is not None:
            leaf.storage.stale = True
        view = self.backend.view(self.values, offset, shape)
        operations.write_into(view, parameter.value)
        parameter.value = view
        change()
        leaf.clear()
        leaf.storage = self
        leaf.sink = self.backend.view(self.gradients, offset, shape)
        if gradient is not None:
            leaf.deposit(gradient)


def unique(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Parameters in order, one that is shared only once.

    Raises
    ------
    ArgumentError
        If there are none, or something is no leaf.
    """
    found: dict[int, Tensor] = {}
    for parameter in parameters:
        if not isinstance(parameter, Tensor):
            raise ArgumentError(
                f"params: expected Tensors or Parameters, as model.parameters() gives them, got a "
                f"{type(parameter).__name__}"
            )
        found.setdefault(id(parameter), parameter)
    if not found:
        raise ArgumentError("params: expected at least one parameter, got none; has the model any?")
    return list(found.values())


def by_kind(parameters: list[Tensor]) -> list[list[Tensor]]:
    """Parameters grouped by data type and device, in order of their first occurrence."""
    groups: dict[tuple[str, str, str], list[Tensor]] = {}
    for parameter in parameters:
        kind = (backend_of(parameter.value).name, str(parameter.device), str(parameter.dtype))
        groups.setdefault(kind, []).append(parameter)
    return list(groups.values())


def refuse_computed(parameters: list[Tensor]) -> None:
    """Raise GradientError unless all are leaves."""
    for parameter in parameters:
        _leaf(parameter)


def _leaf(parameter: Tensor) -> Leaf:
    leaf = parameter.leaf if isinstance(parameter, Parameter) else parameter.node
    if not isinstance(leaf, Leaf):
        raise GradientError("params: expected leaves; this Tensor was computed or takes no gradient")
    return leaf
