"""Convolution and pooling beside PyTorch's: forward, and back to the input and the parameters.

PyTorch's arrays have the channels last, which it documents as the faster order; ours lie as a convolution leaves them.
``python -m benchmarks.convolution``; with ``PORTML_KERNELS=pure`` for NumPy alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.side_by_side import Case, run
from portml import Tensor, nn
from portml.backends import to_numpy

SHAPE = (32, 64, 32, 32)


def cases() -> list[Case]:
    """Batches of 32 images of 64 channels and 32 × 32 positions."""
    same, every = {"padding": 1}, {"padding": 1, "groups": 64}
    return [
        _case("conv 64→64 3×3", "Conv2d", (64, 64, 3), same, 1.2, 0.8),
        _case("depthwise conv 64 3×3", "Conv2d", (64, 64, 3), every),
        _case("max pool 2×2", "MaxPool2d", (2,), {}),
        _case("max pool 3×3, stride 2", "MaxPool2d", (3,), {"stride": 2, "padding": 1}),
        _case("average pool 2×2", "AvgPool2d", (2,), {}),
        _case("adaptive max pool to 7×7", "AdaptiveMaxPool2d", (7,), {}),
        _case("reflection pad by 2", "ReflectionPad2d", (2,), {}),
    ]


def _case(
    name: str,
    layer: str,
    sizes: tuple[int, ...],
    options: dict[str, int],
    bar: float | None = None,
    pure_bar: float | None = None,
) -> Case:
    draws = np.random.default_rng(0)
    x = draws.standard_normal(SHAPE).astype("float32")
    torch.manual_seed(0)
    theirs = getattr(torch.nn, layer)(*sizes, **options).to(memory_format=torch.channels_last)
    ours = getattr(nn, layer)(*sizes, **options)
    if list(theirs.parameters()):
        ours.load_state_dict(theirs.state_dict())
    their_x = torch.from_numpy(x).to(memory_format=torch.channels_last).requires_grad_()
    shape = theirs(their_x).shape
    g = draws.standard_normal(shape).astype("float32")
    their_g = torch.from_numpy(g).to(memory_format=torch.channels_last)
    our_x, our_g = Tensor(_samples_innermost(x), requires_grad=True), _samples_innermost(g)

    def step() -> list[Any]:
        ours.zero_grad()
        our_x.grad = None
        ours(our_x).backward(our_g)
        return [to_numpy(each.grad) for each in (our_x, *ours.parameters())]

    def their_step() -> list[Any]:
        theirs.zero_grad(set_to_none=True)
        their_x.grad = None
        theirs(their_x).backward(their_g)
        return [np.asarray(each.grad) for each in (their_x, *theirs.parameters())]

    return Case(f"{name}, 32×32, batch 32", step, their_step, _agree, bar, pure_bar)


def _samples_innermost(x: Any) -> Any:
    """The same array, in memory (height, channels, width, samples)."""
    return np.ascontiguousarray(x.transpose(2, 1, 3, 0)).transpose(3, 1, 0, 2)


def _agree(ours: list[Any], theirs: list[Any]) -> str | None:
    for one, other in zip(ours, theirs, strict=True):
        worst = np.abs(one - other).max() / np.abs(other).max()
        if worst > 1e-4:
            return f"gradients of shape {one.shape} by {worst:.2g} of the largest"
    return None


if __name__ == "__main__":
    run(cases())
