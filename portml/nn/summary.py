"""A table of what a model's layers give, learn and cost."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from portml.autograd import Tensor
from portml.backends import backend_of, get_backend
from portml.backends.doorway import Call, observe
from portml.errors import ArgumentError
from portml.nn.evaluation_mode import evaluating
from portml.nn.module import Module
from portml.nn.multiply_adds import multiply_adds
from portml.random.arguments import checked_shape

__all__ = ["Summary", "SummaryRow", "summary"]

Shape = tuple[int, ...]


@dataclass
class SummaryRow:
    """One call of a module.

    Attributes
    ----------
    name : str
        Its dotted name; "" is the model itself.
    depth : int
        How many modules it is in.
    kind : str
        Its class.
    output_shape : tuple of int, or tuple of such
        None where it gave something else than arrays.
    parameters : int
        Numbers in its own parameters, those of modules in it left out; 0 where they were counted in a row above.
    multiply_adds : int
        Of its own operations, those of modules in it left out.
    """

    name: str
    depth: int
    kind: str
    output_shape: Any = None
    parameters: int = 0
    multiply_adds: int = 0


@dataclass
class Summary:
    """What `summary` found; as a string it is the table.

    Attributes
    ----------
    rows : list of SummaryRow
        In the order of the calls.
    parameters, trainable_parameters : int
        Of the whole model, shared ones counted once, those of modules that were not called included.
    """

    rows: list[SummaryRow]
    parameters: int
    trainable_parameters: int

    @property
    def multiply_adds(self) -> int:
        """Of the whole forward pass."""
        return sum(row.multiply_adds for row in self.rows)

    def __str__(self) -> str:
        head = ("layer", "output shape", "parameters", "multiply-adds")
        cells = [
            (
                f"{'  ' * row.depth}{row.name.rpartition('.')[2] or 'model'}: {row.kind}",
                "–" if row.output_shape is None else str(row.output_shape),
                f"{row.parameters:,}" if row.parameters else "–",
                f"{row.multiply_adds:,}" if row.multiply_adds else "–",
            )
            for row in self.rows
        ]
        total = ("total", "", f"{self.parameters:,}", f"{self.multiply_adds:,}")
        widths = [max(map(len, column)) for column in zip(head, *cells, total, strict=True)]
        rule = "─" * (sum(widths) + 2 * 3)
        lines = [_line(head, widths), rule, *(_line(row, widths) for row in cells), rule, _line(total, widths)]
        frozen = self.parameters - self.trainable_parameters
        if frozen:
            lines.append(f"{self.trainable_parameters:,} parameters are learnt, {frozen:,} are frozen")
        return "\n".join(lines)


def summary(
    model: Module,
    input_shape: Shape | Sequence[Shape],
    *,
    dtype: str | Sequence[str] = "float32",
    show: bool = True,
) -> Summary:
    """Run a model once on zeros, in evaluation and without gradients, and print what its layers give, learn and cost.

    Parameters
    ----------
    model : Module
    input_shape : tuple of int, or sequence of such for several inputs
        With the axis of the batch, whose length the multiply-adds are for: ``(1, 3, 32, 32)``.
    dtype : str, or sequence of str for several inputs
        "int64" for layers that look up symbols.
    show : bool
        Whether to print the table; its string is the same.

    Returns
    -------
    Summary

    Raises
    ------
    ArgumentError
        If `model` is no module, or there is not one data type for each input.
    """
    if not isinstance(model, Module):
        raise ArgumentError(f"model: expected a module, got a {type(model).__name__}")
    shapes = _shapes(input_shape)
    dtypes = [dtype] * len(shapes) if isinstance(dtype, str) else list(dtype)
    if len(dtypes) != len(shapes):
        raise ArgumentError(f"dtype: expected one for each of {len(shapes)} inputs, got {len(dtypes)}")
    first = next(model.parameters(), None)
    backend = get_backend() if first is None else backend_of(first)
    inputs = [backend.zeros(shape, each) for shape, each in zip(shapes, dtypes, strict=True)]
    with evaluating(model):
        rows = _rows(model, inputs)
    every = list(model.parameters())
    found = Summary(rows, sum(each.size for each in every), sum(each.size for each in every if each.requires_grad))
    if show:
        print(found)
    return found


def _rows(model: Module, inputs: list[Any]) -> list[SummaryRow]:
    rows: list[SummaryRow] = []
    inside: list[SummaryRow] = []
    counted: set[int] = set()
    names = {id(module): name for name, module in model.named_modules()}

    def enter(module: Module, _: Any) -> None:
        row = SummaryRow(names[id(module)], len(inside), type(module).__name__)
        for value in vars(module).values():
            if id(value) in learnt and id(value) not in counted:
                counted.add(id(value))
                row.parameters += value.size
        rows.append(row)
        inside.append(row)

    def leave(_: Module, __: Any, y: Any) -> None:
        inside.pop().output_shape = _shape_of(y)

    def count(call: Call) -> Any:
        result = call.proceed()
        if inside:
            inside[-1].multiply_adds += multiply_adds(call, result)
        return result

    learnt = {id(parameter) for parameter in model.parameters()}
    with ExitStack() as hooks:
        for module in model.modules():
            hooks.enter_context(module.register_forward_pre_hook(enter, prepend=True))
            hooks.enter_context(module.register_forward_hook(leave))
        hooks.enter_context(observe(count))
        model(*inputs)
    return rows


def _shapes(input_shape: Any) -> list[Shape]:
    several = [each for each in input_shape if isinstance(each, Sequence)] if isinstance(input_shape, Sequence) else []
    return [checked_shape(each) for each in input_shape] if several else [checked_shape(input_shape)]


def _shape_of(y: Any) -> Any:
    if isinstance(y, tuple | list):
        return tuple(_shape_of(each) for each in y)
    return tuple(y.shape) if isinstance(y, Tensor) or hasattr(y, "shape") else None


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = [cell.ljust(width) for cell, width in zip(cells[:2], widths, strict=False)]
    right = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return "  ".join([*left, *right]).rstrip()
