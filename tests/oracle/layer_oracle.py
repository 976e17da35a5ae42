"""One comparison of a layer with PyTorch's: state in both directions, results, and all gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from portml import nn
from portml.autograd import Tensor
from portml.backends import to_numpy
from tests.tolerances import assert_close

__all__ = ["compare_layers", "drawn"]


def drawn(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray[Any, Any]:
    """Normal numbers of deviation 2."""
    return np.asarray(np.random.default_rng(seed + 7 * len(shape)).normal(size=shape) * 2, dtype)


def compare_layers(
    ours: nn.Module, theirs: torch.nn.Module, inputs: Sequence[np.ndarray[Any, Any]], *, steps: int = 2
) -> dict[str, float]:
    """Load PyTorch's state, run both layers forward and back, and compare everything.

    Parameters
    ----------
    ours, theirs : modules
        Built alike and in the same mode; the floating-point state of `theirs` is moved at random first.
    inputs : sequence of arrays
        Gradients are compared for those of floating-point numbers.
    steps : int
        How often both are run before, so that running statistics move.

    Returns
    -------
    dict of str to float
        For "forward", "input", "parameters" and "state" the worst difference beside the largest number.
    """
    torch.manual_seed(0)
    state = {
        name: value + torch.rand_like(value) / 2 if value.is_floating_point() else value.clone()
        for name, value in theirs.state_dict().items()
    }
    theirs.load_state_dict(state)
    assert ours.load_state_dict(state) == ([], [])
    assert list(ours.state_dict()) == list(state)
    exported = {name: torch.from_numpy(np.array(to_numpy(value))) for name, value in ours.state_dict().items()}
    theirs.load_state_dict(exported)

    here = [Tensor(x.copy(), requires_grad=_is_real(x)) for x in inputs]
    there = [torch.from_numpy(x.copy()).requires_grad_(_is_real(x)) for x in inputs]
    for _ in range(steps):
        y, expected = ours(*here), theirs(*there)
    worst = {"forward": _compared(y, expected, "reduction")}
    g = np.asarray(np.random.default_rng(1).normal(size=y.shape), y.numpy().dtype)
    leaves = [(f"input {i}", one, other) for i, (one, other) in enumerate(zip(here, there, strict=True))]
    learnt = dict(theirs.named_parameters())
    assert [name for name, _ in ours.named_parameters()] == list(learnt)
    parameters = [(name, one, learnt[name]) for name, one in ours.named_parameters()]
    if any(other.requires_grad for _, _, other in leaves + parameters):
        y.backward(g)
        expected.backward(torch.from_numpy(g))
    worst["input"] = _compared_gradients(leaves)
    worst["parameters"] = _compared_gradients(parameters)
    own = ours.state_dict()
    worst["state"] = max(
        (_compared(own[name], each, "reduction") for name, each in theirs.state_dict().items()), default=0.0
    )
    return worst


def _compared_gradients(leaves: Sequence[tuple[str, Any, torch.Tensor]]) -> float:
    worst = 0.0
    for name, one, other in leaves:
        if other.grad is None:
            assert one.grad is None, name
        else:
            assert one.grad is not None, name
            worst = max(worst, _compared(one.grad, other.grad, "gradient"))
    return worst


def _compared(actual: Any, expected: torch.Tensor, kind: str) -> float:
    """Hold two arrays to the tolerance of a kind, and return how far they are apart."""
    one, other = to_numpy(actual), expected.detach().numpy()
    assert_close(one, other, kind)
    if other.dtype.kind != "f" or other.size == 0:
        return 0.0
    return float(np.abs(one - other).max() / max(1.0, np.abs(other).max()))


def _is_real(x: np.ndarray[Any, Any]) -> bool:
    return x.dtype.kind == "f"
