"""The node cases of ONNX: for each operator inputs and outputs that its reference implementation was given and gave.

They are Python files in ONNX's own package, one for each operator or for a few, and importing one runs it.  Only those
that define the operator asked for are imported: all of them together take ten seconds.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx.backend.test.case import node as operators

__all__ = ["NodeCase", "node_cases"]


class NodeCase(NamedTuple):
    """One call of an operator.

    Attributes
    ----------
    name : str
    attributes : dict
        Those that are given; text as str.
    inputs, outputs : tuple of NumPy arrays, or None
        By the operator's position; None where one is left out.
    """

    name: str
    attributes: dict[str, Any]
    inputs: tuple[np.ndarray[Any, Any] | None, ...]
    outputs: tuple[np.ndarray[Any, Any] | None, ...]


def node_cases(operator: str) -> Iterator[NodeCase]:
    """The cases of an operator such as "Conv"; ValueError if there are none."""
    _import_cases_of(operator)
    found = [
        each
        for each in operators._NodeTestCases
        if len(each.model.graph.node) == 1 and each.model.graph.node[0].op_type == operator
    ]
    if not found:
        raise ValueError(f"ONNX {onnx.__version__} has no cases of an operator {operator!r}")
    for each in found:
        node = each.model.graph.node[0]
        attributes = {attribute.name: _value(attribute) for attribute in node.attribute}
        for inputs, outputs in each.data_sets:
            yield NodeCase(each.name, attributes, _by_position(node.input, inputs), _by_position(node.output, outputs))


@cache
def _import_cases_of(operator: str) -> None:
    for file in sorted(Path(operators.__file__).parent.glob("*.py")):
        if re.search(rf"""["']{operator}["']""", file.read_text(encoding="utf-8")):
            with warnings.catch_warnings():  # edges such as 1 / 0 are meant
                warnings.simplefilter("ignore")
                importlib.import_module(f"{operators.__name__}.{file.stem}")


def _value(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    return value.decode() if isinstance(value, bytes) else value


def _by_position(names: Any, given: Any) -> tuple[Any, ...]:
    """What is given stands at the names that are not empty."""
    values = iter(given)
    return tuple(next(values) if name else None for name in names)
