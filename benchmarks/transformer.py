"""A training step of a transformer block beside PyTorch's: norm first, gelu, no dropout, gradients of all."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.side_by_side import Case, run
from portml import capture, nn, optim
from portml.autograd import Tensor


def cases() -> list[Case]:
    """Two sizes."""
    return [
        block("transformer block d 128, L 64, batch 16", 128, 4, 256, 64, 1.4, 1.1),
        block("transformer block d 128, L 64, batch 16, eager", 128, 4, 256, 64, None, None, captured=False),
        block("transformer block d 384, L 256, batch 16", 384, 6, 1536, 256, 1.12, 1.0),
        block("transformer block d 384, L 256, batch 16, eager", 384, 6, 1536, 256, None, None, captured=False),
    ]


def block(
    name: str,
    dim: int,
    heads: int,
    hidden: int,
    length: int,
    bar: float | None,
    pure_bar: float | None,
    captured: bool = True,
) -> Case:
    """Forward and back through one encoder layer, replayed as in `Trainer.fit`, or as it is."""
    options: dict[str, Any] = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}
    theirs = torch.nn.TransformerEncoderLayer(dim, heads, hidden, **options)
    ours = nn.TransformerEncoderLayer(dim, heads, hidden, **options)
    ours.load_state_dict(theirs.state_dict())
    x, g = (np.random.default_rng(i).normal(size=(16, length, dim)).astype("float32") for i in range(2))
    there, slope = torch.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(g)

    optimizer = optim.SGD(ours.parameters())

    def take(x: Any, g: Any) -> Any:
        optimizer.zero_grad()
        here = Tensor(x, requires_grad=True)
        ours(here).backward(g)
        return here.grad, ours.self_attn.in_proj_weight.grad

    replayed = capture(take) if captured else take

    def our_step() -> Any:
        return [gradient.value for gradient in replayed(x, g)]

    def their_step() -> Any:
        theirs.zero_grad(set_to_none=True)
        there.grad = None
        theirs(there).backward(slope)
        return there.grad.numpy(), theirs.self_attn.in_proj_weight.grad.numpy()

    return Case(name, our_step, their_step, agree, bar, pure_bar)


def agree(ours: Any, theirs: Any) -> str | None:
    """None where the gradients are near."""
    for one, other in zip(ours, theirs, strict=True):
        difference = float(np.abs(one - other).max() / np.abs(other).max())
        if not difference < 1e-4:
            return f"gradients by {difference:.1e}"
    return None


if __name__ == "__main__":
    run(cases())
