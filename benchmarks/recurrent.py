"""Training steps of recurrent layers beside PyTorch's.

``python -m benchmarks.recurrent``; with ``PORTML_KERNELS=pure`` for NumPy alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.side_by_side import Case, run
from portml import nn

N_STEPS, N_SAMPLES, N_IN, SIZE = 64, 32, 64, 128


def cases() -> list[Case]:
    """Forward and back through 64 steps of 32 sequences, gradients of all parameters."""
    return [
        _case("LSTM", 1.0, 0.85),
        _case("GRU", None, None),
        _case("RNN", None, None),
    ]


def _case(kind: str, bar: float | None, pure_bar: float | None) -> Case:
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal((N_STEPS, N_SAMPLES, n)).astype("float32") for n in (N_IN, SIZE))
    theirs = getattr(torch.nn, kind)(N_IN, SIZE)
    ours = getattr(nn, kind)(N_IN, SIZE, backend="numpy")
    ours.load_state_dict(theirs.state_dict())
    their_x, their_g = torch.from_numpy(x), torch.from_numpy(g)

    def step() -> list[Any]:
        ours.zero_grad()
        ours(x)[0].backward(g)
        return [parameter.grad.numpy() for parameter in ours.parameters()]

    def their_step() -> list[Any]:
        theirs.zero_grad(set_to_none=True)
        theirs(their_x)[0].backward(their_g)
        return [parameter.grad.numpy() for parameter in theirs.parameters()]

    return Case(f"{kind} {N_IN}→{SIZE}, {N_STEPS} steps, batch {N_SAMPLES}", step, their_step, _agree, bar, pure_bar)


def _agree(ours: list[Any], theirs: list[Any]) -> str | None:
    for one, other in zip(ours, theirs, strict=True):
        worst = np.abs(one - other).max() / np.abs(other).max()
        if worst > 1e-4:
            return f"gradients of shape {one.shape} by {worst:.2g} of the largest"
    return None


if __name__ == "__main__":
    run(cases())
