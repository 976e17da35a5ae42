r"""The engine of reverse-mode differentiation: what is recorded, and the walk back.

Every operation on a tracked Tensor leaves a `Node`: what was called, on which raw arrays, and the nodes these came
from.  The walk goes from the newest node to the oldest and hands each node's cotangent on to its parents,

.. math:: \bar a_i \mathrel{+}= \left(\frac{\partial y}{\partial a_i}\right)^{*} \bar y ,

the adjoint, so that complex gradients follow PyTorch's convention.  How a gradient flows through one operation is
written in `portml.autograd.rules`, or is a kernel of its own; nothing here knows any operation by name.

Nodes hold raw arrays and other nodes, never Tensors, so that no reference cycle keeps memory alive.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, TypeAlias

from portml.autograd.modes import _enabled
from portml.backends import operations as xp
from portml.backends.doorway import depend, observers, repeat, unrepeatable
from portml.backends.kernel import Kernel
from portml.backends.namespaces import dtype_kind, namespace
from portml.errors import GradientError

__all__ = ["Leaf", "Node", "Part", "next_sequence", "walk"]

next_sequence: Callable[[], int] = itertools.count(1).__next__
"""The next moment: nodes, leaves and writes are stamped with it."""


class Node:
    """One recorded call.

    Attributes
    ----------
    kernel : Kernel
    inputs : tuple of raw arrays, scalars or None
    parents : tuple of Node, Leaf, Part or None
        Where each input came from; None where no gradient is wanted.
    statics : dict
    output : array or tuple of arrays
    saved : object
        What the kernel's ``saving`` kept for its ``backward``.
    frozen : tuple of Leaf
        Those of parameters among the inputs that take no gradient, but must not be written either.
    sequence : int
    """

    __slots__ = ("frozen", "inputs", "kernel", "output", "parents", "saved", "sequence", "statics")

    def __init__(
        self,
        kernel: Kernel,
        inputs: tuple[Any, ...],
        parents: tuple[Origin | None, ...],
        statics: dict[str, Any],
        output: Any,
        saved: Any = None,
        frozen: tuple[Leaf, ...] = (),
    ) -> None:
        self.kernel = kernel
        self.inputs = inputs
        self.parents = parents
        self.statics = statics
        self.output = output
        self.saved = saved
        self.frozen = frozen
        self.sequence = next_sequence()

    def free(self) -> None:
        """Let go of what was recorded; another walk over this node is refused."""
        self.inputs = self.parents = self.frozen = ()
        self.output = self.saved = None

    @property
    def freed(self) -> bool:
        """Whether a walk has let go of what was recorded."""
        return not self.parents


class Leaf:
    """Where a gradient ends: a Tensor made with ``requires_grad=True``.

    Attributes
    ----------
    gradient : Tensor or None
        What `Tensor.backward` deposited, where no `sink` takes it or the sink would lose its history.
    sink : raw array or None
        A view into an optimizer's flat gradient, written in place.
    absent : bool
        Whether nothing was deposited in the sink since the gradients were last cleared.
    storage : object or None
        The flat storage that owns the value; its ``written`` stamps every parameter in it.
    written : int
        When the value was last written in place.
    """

    __slots__ = ("absent", "gradient", "sequence", "sink", "storage", "written")

    def __init__(self) -> None:
        self.gradient: Any = None
        self.sink: Any = None
        self.absent = True
        self.storage: Any = None
        self.written = 0
        self.sequence = next_sequence()

    def last_written(self) -> int:
        """The moment of the last write in place, to this value or to the storage that owns it."""
        return self.written if self.storage is None else max(self.written, self.storage.written)

    def deposit(self, gradient: Any) -> None:
        """Add a gradient to what was deposited since the last clearing."""
        if self.sink is None:
            unrepeatable("a gradient goes to a Tensor that no optimizer holds", made=self.sequence)
            # The first one is copied: it may be a read-only view, or belong to another leaf or the caller as well.
            self.gradient = _own(gradient) if self.gradient is None else xp.add(self.gradient, gradient)
            return
        if self.gradient is not None or (Wrapping.is_tensor(gradient) and gradient.node is not None):
            # The sink holds numbers only; the history that `create_graph` asked for is kept beside it.
            self.gradient = gradient if self.absent else xp.add(self._so_far(), gradient)
        raw = _value(gradient)
        depend(self, lambda: self.absent)
        if self.absent:
            xp.write_into(self.sink, raw)
            repeat(self, self._arrive)
        elif observers.get():
            xp.write_into(self.sink, xp.add(self.sink, raw))
        else:
            self.sink += raw

    def _arrive(self) -> None:
        self.absent = False

    def _so_far(self) -> Any:
        """What was deposited in the sink, with its history if it has one."""
        return Wrapping.plain(self.sink) if self.gradient is None else self.gradient

    def clear(self) -> None:
        """Forget the gradient; the next deposit overwrites the sink."""
        self.gradient = None
        self.absent = True


class Part:
    """One of several results of a node."""

    __slots__ = ("index", "node")

    def __init__(self, node: Node, index: int) -> None:
        self.node = node
        self.index = index

    @property
    def sequence(self) -> int:
        """The moment of the node."""
        return self.node.sequence


Origin: TypeAlias = Node | Leaf | Part
_SCALARS = frozenset({bool, int, float, complex, type(None)})


class Wrapping:
    """How the walk makes Tensors; `portml.autograd.tensor` fills it in, as Tensors stand above the tape."""

    plain: Callable[[Any], Any]
    tracked: Callable[[Any, Origin], Any]
    is_tensor: Callable[[Any], bool]


def walk(
    roots: Sequence[tuple[Origin, Any]],
    *,
    wanted: Sequence[Origin] | None = None,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> list[Any]:
    """Walk back from `roots`, newest node first.

    Parameters
    ----------
    roots : sequence of (origin, cotangent)
        The cotangent is a raw array, or a Tensor if it is itself to be differentiated.
    wanted : sequence of origins, optional
        Return their gradients (None where nothing flows) and deposit nothing; without it every leaf gets a deposit.
    create_graph : bool
        Record the walk itself, so that its results can be differentiated again.
    retain_graph : bool
        Keep what was recorded for another walk.

    Raises
    ------
    GradientError
        If a node was freed by an earlier walk, or a parameter was written after it was used.
    """
    token = _enabled.set(create_graph)
    try:
        return _Walk(wanted, create_graph, retain_graph or create_graph).run(roots)
    finally:
        _enabled.reset(token)


class _Walk:
    """The state of one walk: cotangents that have arrived but were not handed on yet."""

    def __init__(self, wanted: Sequence[Origin] | None, create_graph: bool, retain_graph: bool) -> None:
        self.wanted = None if wanted is None else {_key(origin): origin for origin in wanted}
        self.order = [] if wanted is None else [_key(origin) for origin in wanted]
        # Nothing older than the oldest wanted origin can lead to one.
        self.oldest = min((origin.sequence for origin in wanted), default=0) if wanted is not None else 0
        self.create_graph = create_graph
        self.retain_graph = retain_graph
        self.watched = bool(observers.get())
        self.arrived: dict[int, Any] = {}
        self.nodes: dict[int, Node] = {}
        self.newest: list[int] = []
        self.found: dict[tuple[int, int], Any] = {}
        self.leaves: dict[int, tuple[Leaf, Any]] = {}

    def run(self, roots: Sequence[tuple[Origin, Any]]) -> list[Any]:
        for origin, cotangent in roots:
            self.hand(origin, self.lifted(cotangent))
        while self.newest:
            sequence = -heappop(self.newest)
            node = self.nodes.pop(sequence)
            self.through(node, self.arrived.pop(sequence))
        for leaf, cotangent in self.leaves.values():
            leaf.deposit(cotangent if Wrapping.is_tensor(cotangent) else Wrapping.plain(cotangent))
        return [self.found.get(key) for key in self.order]

    def hand(self, origin: Origin, cotangent: Any) -> None:
        """Let a cotangent arrive at an origin."""
        if self.wanted is not None:
            key = _key(origin)
            if key in self.wanted:
                before = self.found.get(key)
                self.found[key] = cotangent if before is None else xp.add(before, cotangent)
                return
            if origin.sequence < self.oldest:
                return
        if type(origin) is Leaf:
            if self.wanted is None:
                before = self.leaves.get(origin.sequence)
                self.leaves[origin.sequence] = (origin, cotangent if before is None else xp.add(before[1], cotangent))
            return
        if type(origin) is Part:
            self.hand_part(origin, cotangent)
            return
        assert type(origin) is Node
        sequence = origin.sequence
        if sequence in self.nodes:
            self.arrived[sequence] = xp.add(self.arrived[sequence], cotangent)
        else:
            self.arrived[sequence] = cotangent
            self.meet(origin)

    def hand_part(self, part: Part, cotangent: Any) -> None:
        sequence = part.sequence
        if sequence not in self.nodes:
            if part.node.freed:
                _refuse_freed(part.node)
            self.arrived[sequence] = [None] * len(part.node.output)
            self.meet(part.node)
        results = self.arrived[sequence]
        before = results[part.index]
        results[part.index] = cotangent if before is None else xp.add(before, cotangent)

    def meet(self, node: Node) -> None:
        self.nodes[node.sequence] = node
        heappush(self.newest, -node.sequence)

    def through(self, node: Node, cotangent: Any) -> None:
        """Hand the cotangent of a node's result on to its parents."""
        if node.freed:
            _refuse_freed(node)
        _refuse_overwritten(node)
        inputs, parents = node.inputs, node.parents
        if type(cotangent) is list:
            cotangent = tuple(
                xp.zeros_like(self.lifted(output)) if part is None else part
                for part, output in zip(cotangent, node.output, strict=True)
            )
        gradients = self.gradients(node, cotangent)
        for given, parent, gradient in zip(inputs, parents, gradients, strict=True):
            if parent is None or gradient is None:
                continue
            if gradient.shape != given.shape:
                gradient = _unbroadcast(gradient, given.shape)
            if gradient.dtype != given.dtype:
                gradient = _cast(gradient, given.dtype)
            self.hand(parent, gradient)
        if not self.retain_graph:
            node.free()

    def gradients(self, node: Node, g: Any) -> Sequence[Any]:
        kernel, inputs, parents, statics = node.kernel, node.inputs, node.parents, node.statics
        if kernel.backward is not None:
            return self.gradients_of_kernel(node, g)
        if self.create_graph or self.watched:
            inputs = tuple(map(self.connected, inputs, parents))
            output = self.connected_output(node)
        else:
            output = node.output
        if kernel.joint_rule is not None:
            needs = tuple(parent is not None for parent in parents)
            return kernel.joint_rule(g, output, *inputs, needs=needs, **statics)  # type: ignore[no-any-return]
        if kernel.rules is None:
            raise GradientError(f"{kernel.name} has no derivative; use stop_gradient on its argument if that is meant")
        return [
            None if parent is None or rule is None else rule(g, output, *inputs, **statics)
            for rule, parent in zip(kernel.rules, parents, strict=True)
        ]

    def gradients_of_kernel(self, node: Node, g: Any) -> Sequence[Any]:
        """The gradient of a kernel is a kernel; to be differentiated itself, its twin runs on Tensors."""
        kernel, statics = node.kernel, node.statics
        assert kernel.backward is not None
        if not kernel.takes_complex:
            _refuse_complex(node, g)
        needs = tuple(parent is not None for parent in node.parents)
        if self.create_graph:
            inputs = tuple(map(self.connected, node.inputs, node.parents))
            if kernel.saving is None:
                saved = self.connected_output(node)
            else:
                _, saved = kernel.saving.agnostic(*inputs, **statics)
            return kernel.backward.agnostic(g, saved, *inputs, needs=needs, **statics)  # type: ignore[no-any-return]
        saved = node.output if kernel.saving is None else node.saved
        raw = tuple(map(_value, g)) if type(g) is tuple else _value(g)
        gradients = kernel.backward(raw, saved, *node.inputs, needs=needs, **statics)
        return gradients if not self.watched else tuple(map(self.lifted, gradients))

    def connected(self, given: Any, parent: Origin | None) -> Any:
        """An input of a node as a Tensor, with its history again."""
        if parent is not None and self.create_graph:
            return Wrapping.tracked(given, parent)
        return self.lifted(given)

    def connected_output(self, node: Node) -> Any:
        if type(node.output) is tuple:
            return tuple(self.connected(value, Part(node, i)) for i, value in enumerate(node.output))
        return self.connected(node.output, node)

    def lifted(self, given: Any) -> Any:
        """As a plain Tensor, if this walk is recorded or watched, so that everything passes the doorway."""
        if not (self.create_graph or self.watched) or type(given) in _SCALARS:
            return given
        return given if Wrapping.is_tensor(given) else Wrapping.plain(given)


def _key(origin: Origin) -> tuple[int, int]:
    return (origin.sequence, origin.index if type(origin) is Part else -1)


def _own(gradient: Any) -> Any:
    """A gradient in memory of its own; one with a history is never written to, and stays."""
    if gradient.node is not None:
        return gradient
    if observers.get():
        return xp.astype(gradient, gradient.dtype, copy=True)
    raw = gradient.value
    return Wrapping.plain(namespace(raw).asarray(raw, copy=True))


def _value(x: Any) -> Any:
    return x.value if Wrapping.is_tensor(x) else x


def _unbroadcast(gradient: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the axes along which its input was repeated."""
    extra = len(gradient.shape) - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, length in enumerate(shape) if length == 1 and gradient.shape[i + extra] != 1
    )
    if axes:
        gradient = xp.sum(gradient, axis=axes, keepdims=True)
    return xp.reshape(gradient, shape)


def _cast(gradient: Any, dtype: Any) -> Any:
    """Give a gradient the data type of its input; what a real input gets of a complex gradient is the real part."""
    if dtype_kind(gradient.dtype) == "complex" and dtype_kind(dtype) != "complex":
        gradient = xp.real(gradient)
    return gradient if gradient.dtype == dtype else xp.astype(gradient, dtype)


def _refuse_complex(node: Node, g: Any) -> None:
    """Refuse what a gradient kernel that knows no conjugates would silently get wrong."""
    arrays = list(g) if type(g) is tuple else [g]
    for given, parent in zip(node.inputs, node.parents, strict=True):  # a loop: it is run for every node of a walk
        if parent is not None:
            arrays.append(given)
    for array in arrays:
        if dtype_kind(array.dtype) == "complex":
            raise GradientError(
                f"{node.kernel.name}: its gradient is for real numbers, got {array.dtype}; "
                "compute with real and imaginary parts apart"
            )


def _refuse_freed(node: Node) -> None:
    raise GradientError(
        f"the record of {node.kernel.name} was freed by an earlier backward; "
        "call that one with retain_graph=True to walk over it again"
    )


def _refuse_overwritten(node: Node) -> None:
    for parent in (*node.parents, *node.frozen):
        if type(parent) is Leaf and parent.last_written() > node.sequence:
            raise GradientError(
                f"a parameter was written in place after {node.kernel.name} used it, so that its gradient would be "
                "wrong; call backward before the optimizer's step, or run the forward pass again"
            )
