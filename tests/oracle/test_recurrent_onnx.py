"""Recurrent operators on ONNX's own cases; those beyond what PyTorch's layers have words for are listed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portml import nn
from portml.autograd import no_grad
from tests.oracle.onnx_cases import NodeCase, node_cases

pytestmark = pytest.mark.oracle

BEYOND = {
    "test_lstm_with_peepholes": "gates that look at the cell",
    # PyTorch resets after the product with the state; these have several steps or a bias of the state.
    "test_gru_seq_length": "a reset before the product",
    "test_gru_reverse": "a reset before the product",
    "test_gru_bidirectional": "a reset before the product",
}
ORDER = {"RNN": [0], "LSTM": [0, 2, 3, 1], "GRU": [1, 0, 2]}
"""Where ONNX has PyTorch's gates: input, output, forget, candidate; update, reset, candidate."""


def cases_of(*operators: str) -> list[Any]:
    return [
        pytest.param(operator, case, id=case.name)
        for operator in operators
        for case in node_cases(operator)
        if case.name not in BEYOND
    ]


@pytest.mark.parametrize(("operator", "case"), cases_of(*ORDER))
def test_operators(operator: str, case: NodeCase) -> None:
    size, direction = case.attributes["hidden_size"], case.attributes.get("direction", "forward")
    x, weight, recurrence, bias, *rest = (*case.inputs, None)[: max(4, len(case.inputs))]
    assert all(each is None for each in rest)
    if case.attributes.get("layout"):
        x = x.transpose(1, 0, 2)
    if direction == "reverse":  # the same as a walk forward through the reversed sequence
        x = np.ascontiguousarray(x[::-1])
    layer = getattr(nn, operator)(x.shape[2], size, bidirectional=direction == "bidirectional", backend="numpy")
    layer.load_state_dict(_state(operator, size, weight, recurrence, bias))
    with no_grad():
        y, end = layer(np.ascontiguousarray(x))
    ends = end if isinstance(end, tuple) else (end,)
    steps_apart = y.reshape(*y.shape[:2], len(weight), size).transpose(0, 2, 1, 3)
    ours = [steps_apart[::-1] if direction == "reverse" else steps_apart, *ends]
    if case.attributes.get("layout"):
        ours = [ours[0].transpose(2, 0, 1, 3), *(each.transpose(1, 0, 2) for each in ends)]
    for one, other in zip(ours, case.outputs, strict=False):
        if other is not None:
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_what_is_beyond_is_there() -> None:
    assert BEYOND.keys() <= {case.name for operator in ORDER for case in node_cases(operator)}


def _state(operator: str, size: int, weight: Any, recurrence: Any, bias: Any) -> dict[str, Any]:
    """ONNX's arrays, directions first and both biases in one, under PyTorch's names."""
    gates = len(ORDER[operator])
    state = {}
    for k, suffix in enumerate(("_l0", "_l0_reverse")[: len(weight)]):
        both = np.zeros(2 * gates * size, "f4") if bias is None else bias[k]
        first, second = np.split(both, 2)
        named = {"weight_ih": weight[k], "weight_hh": recurrence[k], "bias_ih": first, "bias_hh": second}
        for name, array in named.items():
            blocks = np.split(array, gates)
            state[name + suffix] = np.concatenate([blocks[place] for place in ORDER[operator]])
    return state
