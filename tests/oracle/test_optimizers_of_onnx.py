"""ONNX's optimizers take the steps of our kernels, given its learning rates as slots."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portml.backends.kernels.optimizer import adagrad_step, adam_step, sgd_step
from tests.oracle.onnx_cases import NodeCase, node_cases

CASES = [case for operator in ("Adagrad", "Adam", "Momentum") for case in node_cases(operator)]
Groups = list[list[Any]]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_steps_of_onnx_are_ours(case: NodeCase) -> None:
    rate, step, *arrays = case.inputs
    # All parameters, then all their gradients, then each kind of state.
    n_states = 2 if case.name.startswith("test_adam") else 1
    n_tensors = len(arrays) // (2 + n_states)
    found: Groups = [[] for _ in range(1 + n_states)]
    for i in range(n_tensors):
        new = stepped(case, float(rate), int(step), arrays[i::n_tensors])  # type: ignore[arg-type]
        for group, array in zip(found, new, strict=True):
            group.append(array)
    for one, other in zip([array for group in found for array in group], case.outputs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def stepped(case: NodeCase, rate: float, step: int, arrays: Any) -> list[Any]:
    """The parameter and its states after the step of one of our kernels."""
    attributes = case.attributes
    p, g, *states = (np.array(array) for array in arrays)
    decay = attributes.get("norm_coefficient", 0.0)

    def slot(*values: float) -> Any:
        return np.asarray(values, p.dtype)

    if case.name.startswith("test_adam"):
        alpha, beta = attributes.get("alpha", 0.9), attributes.get("beta", 0.999)
        if step > 0:
            rate *= np.sqrt(1 - beta**step) / (1 - alpha**step)
        new = adam_step(
            *(p, g, *states, None, slot(rate, 1.0, 1.0)),
            beta1=alpha,
            beta2=beta,
            eps=attributes.get("epsilon", 0.0),
            weight_decay=decay,
        )
        return list(new[:3])
    if case.name.startswith("test_adagrad"):
        rate /= 1 + step * attributes.get("decay_factor", 0.0)
        return list(adagrad_step(p, g, *states, slot(rate), eps=attributes.get("epsilon", 0.0), weight_decay=decay))
    share = attributes["beta"] if step > 0 else 1.0
    nesterov = attributes["mode"] == "nesterov"
    return list(
        sgd_step(p, g, *states, slot(rate, share), momentum=attributes["alpha"], nesterov=nesterov, weight_decay=decay)
    )
