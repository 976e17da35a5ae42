"""The graph of an expression: which operations led from which arrays to a Tensor.

What is drawn is what the tape recorded (`portml.autograd.tape`), the graph on which gradients walk back.  It is laid
out in layers, each operation to the right of its arguments; a connection that passes a layer gets a place of its own
there, and the places of each layer are ordered by the middle of their neighbours, which leaves few crossings.
[Sugiyama, Tagawa & Toda 1981]
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from portml.autograd import Tensor
from portml.autograd.tape import Leaf, Node, Part
from portml.backends import to_numpy
from portml.errors import ArgumentError, GradientError
from portml.plots.display import Display, Where
from portml.plots.figure import BLACK, GREY, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ComputationGraphDisplay", "Vertex"]

SWEEPS = 8
MOST = 400


@dataclass(eq=False)
class Vertex:
    """An array or an operation.

    Attributes
    ----------
    kind : {"operation", "leaf", "constant", "passing"}
        A leaf takes a gradient; "passing" is the place of a connection in a layer that it crosses.
    text : str
    arguments : list of Vertex
    x, y : float
        Where it is drawn: its layer, and the place in it.
    """

    kind: str
    text: str = ""
    arguments: list[Vertex] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0


class ComputationGraphDisplay(Display):
    r"""Operations in rounded boxes, leaves that take gradients and constants in others, joined by arrows.

    Parameters
    ----------
    vertices : list of Vertex
        Arguments before what is made of them.

    Examples
    --------
    >>> import numpy as np
    >>> from portml import Tensor
    >>> w = Tensor(np.asarray(2.0), requires_grad=True)
    >>> display = ComputationGraphDisplay.from_tensor((w * 3 + 1) ** 2, names={"w": w})
    >>> [vertex.text.replace(chr(10), ' ') for vertex in display.vertices if vertex.kind == "operation"]
    ['multiply 6', 'add 7', 'pow 49']
    """

    def __init__(self, vertices: list[Vertex]) -> None:
        self.vertices = vertices

    @classmethod
    def from_tensor(
        cls, tensor: Tensor, *, names: Mapping[str, Tensor] | None = None, ax: Where = None
    ) -> ComputationGraphDisplay:
        """Draw how a Tensor was computed.

        Parameters
        ----------
        tensor : Tensor
            Computed from at least one that takes a gradient, and before `backward` has freed the record.
        names : dict of str to Tensor, optional
            What leaves are called, such as ``dict(model.named_parameters())``.
        ax : matplotlib.axes.Axes, optional

        Raises
        ------
        GradientError
            If nothing was recorded, or the record was freed.
        ArgumentError
            If there are too many operations to be drawn.
        """
        if not isinstance(tensor, Tensor) or tensor.node is None:
            raise GradientError("tensor: nothing was recorded; compute it from a Tensor with requires_grad=True")
        named = {id(each.node): name for name, each in (names or {}).items() if each.node is not None}
        return cls(_Reader(named).read(tensor)).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> ComputationGraphDisplay:
        """Draw."""
        layers, paths = _lay_out(self.vertices)
        tallest = max(len(layer) for layer in layers)
        size = (max(2.5, 1.45 * len(layers)), max(1.5, 0.85 * tallest + 0.3))
        (axes,) = self._lay_out(["graph"], ax, size=size)
        axes.set_axis_off()
        axes.set_xlim(-0.55, len(layers) - 0.45)
        axes.set_ylim(-0.5 * tallest - 0.1, 0.5 * tallest + 0.1)
        drawn = {id(vertex): self._box(axes, vertex) for vertex in self.vertices}
        for path in paths:
            self._arrow(axes, path, drawn)
        return self

    @staticmethod
    def _box(axes: Axes, vertex: Vertex) -> Any:
        colour = {"operation": "#DCEBF5", "leaf": "#FBE3D1", "constant": "#EEEEEE"}[vertex.kind]
        shape = "round,pad=0.4" if vertex.kind == "operation" else "square,pad=0.35"
        edge = {"operation": PALETTE[0], "leaf": PALETTE[1], "constant": GREY}[vertex.kind]
        frame = {"boxstyle": shape, "facecolor": colour, "edgecolor": edge}
        return axes.text(
            vertex.x, vertex.y, vertex.text, ha="center", va="center", fontsize=8, color=BLACK, bbox=frame, zorder=3
        )

    @staticmethod
    def _arrow(axes: Axes, path: list[Vertex], drawn: dict[int, Any]) -> None:
        """A line through the places where it passes layers, with a head at the operation."""
        for start, end in itertools.pairwise(path):
            axes.plot([start.x, end.x], [start.y, end.y], color=GREY, linewidth=1.0, zorder=1)
        last = drawn[id(path[-1])]
        # matplotlib lets the head end at the frame of the box.
        axes.annotate(
            "",
            xy=(path[-1].x, path[-1].y),
            xytext=(path[-2].x, path[-2].y),
            arrowprops={
                "arrowstyle": "-|>",
                "color": GREY,
                "linewidth": 1.0,
                "patchA": drawn[id(path[-2])].get_bbox_patch() if id(path[-2]) in drawn else None,
                "patchB": last.get_bbox_patch(),
                "shrinkA": 0,
                "shrinkB": 1,
            },
            zorder=2,
        )


class _Reader:
    """Makes vertices of what the tape recorded, each array and operation once."""

    def __init__(self, names: dict[int, str]) -> None:
        self.names = names
        self.found: dict[int, Vertex] = {}
        self.vertices: list[Vertex] = []
        self.leaves = 0

    def read(self, tensor: Tensor) -> list[Vertex]:
        if type(tensor.node) is Leaf:
            self.leaf(tensor.node, tensor.value)
            return self.vertices
        for node in reversed(_newest_first(tensor.node)):
            self.operation(node)
        return self.vertices

    def operation(self, node: Node) -> None:
        shown = _value(node.output[0] if type(node.output) is tuple else node.output)
        vertex = Vertex("operation", f"{_short(node.kernel.name)}\n{shown}")
        for given, parent in zip(node.inputs, node.parents, strict=True):
            if parent is None:
                if given is not None:
                    vertex.arguments.append(self.constant(given))
            elif type(parent) is Leaf:
                vertex.arguments.append(self.leaf(parent, given))
            else:
                vertex.arguments.append(self.found[id(parent.node if type(parent) is Part else parent)])
        self.keep(id(node), vertex)

    def leaf(self, leaf: Leaf, value: Any) -> Vertex:
        if id(leaf) not in self.found:
            self.leaves += 1
            name = self.names.get(id(leaf), f"leaf {self.leaves}")
            self.keep(id(leaf), Vertex("leaf", f"{name}\n{_value(value)}"))
        return self.found[id(leaf)]

    def constant(self, value: Any) -> Vertex:
        # A number is a constant of its own each time; an array is the same one wherever it is used.
        if not hasattr(value, "shape"):
            return self.keep(None, Vertex("constant", f"{value:g}" if isinstance(value, float) else str(value)))
        if id(value) not in self.found:
            self.keep(id(value), Vertex("constant", f"constant\n{_value(value)}" if value.shape else _value(value)))
        return self.found[id(value)]

    def keep(self, key: int | None, vertex: Vertex) -> Vertex:
        if key is not None:
            self.found[key] = vertex
        self.vertices.append(vertex)
        return vertex


def _newest_first(origin: Any) -> list[Node]:
    """The nodes that led to an origin, newest first: arguments stand behind what is made of them."""
    waiting = [origin.node if type(origin) is Part else origin]
    met = {id(waiting[0]): waiting[0]}
    while waiting:
        node = waiting.pop()
        if node.freed:
            raise GradientError(
                f"tensor: the record of {node.kernel.name} was freed by backward; draw the graph before, "
                "or call backward(retain_graph=True)"
            )
        for parent in node.parents:
            above = parent.node if type(parent) is Part else parent
            if type(above) is Node and id(above) not in met:
                met[id(above)] = above
                waiting.append(above)
        if len(met) > MOST:
            raise ArgumentError(f"tensor: expected at most {MOST} operations to draw, got more")
    return sorted(met.values(), key=lambda node: -node.sequence)


def _short(name: str) -> str:
    """A name of several words in lines that fit between two layers."""
    return "\n".join(textwrap.wrap(name.replace("_", " "), 14, break_long_words=False))


def _value(array: Any) -> str:
    """A single number itself, of anything else the shape."""
    shape = tuple(array.shape)
    if math.prod(shape) == 1:
        return f"{to_numpy(array).ravel()[0]:.4g}"
    return " × ".join(map(str, shape)) if len(shape) > 1 else f"({shape[0]},)"


def _lay_out(vertices: list[Vertex]) -> tuple[list[list[Vertex]], list[list[Vertex]]]:
    """Place the vertices; the layers from left to right, and for each connection the places it goes through."""
    level = _levels(vertices)
    layers: list[list[Vertex]] = [[] for _ in range(1 + max(level.values()))]
    neighbours: dict[int, list[Vertex]] = {}
    paths = []
    for vertex in vertices:
        layers[level[id(vertex)]].append(vertex)
    for vertex in vertices:
        for argument in vertex.arguments:
            path = [argument]
            for crossed in range(level[id(argument)] + 1, level[id(vertex)]):
                path.append(Vertex("passing"))
                layers[crossed].append(path[-1])
            path.append(vertex)
            paths.append(path)
            for one, other in itertools.pairwise(path):
                neighbours.setdefault(id(one), []).append(other)
                neighbours.setdefault(id(other), []).append(one)
    _order(layers, neighbours)
    return layers, paths


def _levels(vertices: list[Vertex]) -> dict[int, int]:
    """An operation is a layer after the last of its arguments; a leaf a layer before the first operation on it."""
    level: dict[int, int] = {}
    for vertex in vertices:
        level[id(vertex)] = 1 + max((level[id(each)] for each in vertex.arguments), default=-1)
    first_use: dict[int, int] = {}
    for vertex in vertices:
        for argument in vertex.arguments:
            used = level[id(vertex)]
            first_use[id(argument)] = min(first_use.get(id(argument), used), used)
    for vertex in vertices:
        if not vertex.arguments and id(vertex) in first_use:
            level[id(vertex)] = first_use[id(vertex)] - 1
    return level


def _order(layers: list[list[Vertex]], neighbours: dict[int, list[Vertex]]) -> None:
    """Order each layer by the mean place of the neighbours in the layers before, then after, several times."""
    for x, layer in enumerate(layers):
        for vertex in layer:
            vertex.x = float(x)
        _space(layer)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for layer in layers if forward else layers[::-1]:
            wanted = {}
            for vertex in layer:
                side = [other.y for other in neighbours.get(id(vertex), []) if (other.x < vertex.x) == forward]
                wanted[id(vertex)] = sum(side) / len(side) if side else vertex.y
            layer.sort(key=lambda vertex, wanted=wanted: -wanted[id(vertex)])  # type: ignore[misc]
            _space(layer)


def _space(layer: list[Vertex]) -> None:
    for place, vertex in enumerate(layer):
        vertex.y = 0.5 * (len(layer) - 1) - place
