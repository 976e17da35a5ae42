"""Steps of optimizers beside PyTorch's: ten of each, with every option, in place and with both bodies."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from portml.backends import kernels_switched
from portml.backends.kernels.optimizer import adagrad_step, adam_step, rmsprop_step, sgd_step

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.parametrize("kernels", ["fused", "agnostic"]),
    pytest.mark.parametrize("dtype", ["float32", "float64"]),
]

N = 37
TOLERANCES = {"float32": 1e-6, "float64": 1e-12}
Step = Callable[..., tuple[Any, ...]]


def follow(
    theirs: Callable[..., torch.optim.Optimizer], ours: Step, states: list[bool], dtype: str, kernels: str
) -> None:
    """Take ten steps; ``ours(p, g, states, t, slot, out)`` takes one, `states` says which of them there are."""
    rng = np.random.default_rng(3)
    start = rng.normal(size=N).astype(dtype)
    tensor = torch.tensor(start, requires_grad=True)
    optimizer = theirs([tensor])
    p = start.copy()
    state = [np.zeros(N, dtype) if there else None for there in states]
    with kernels_switched(kernels, "numpy"):
        for t in range(1, 11):
            g = rng.normal(size=N).astype(dtype)
            tensor.grad = torch.from_numpy(g)
            optimizer.step()
            ours(p, g, state, t, lambda *values: np.asarray(values, dtype), (p, *state))
            np.testing.assert_allclose(p, tensor.detach().numpy(), rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


def options(**choices: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def test_sgd(dtype: str, kernels: str) -> None:
    for each in options(
        momentum=(0.0, 0.9),
        dampening=(0.0, 0.3),
        nesterov=(False, True),
        weight_decay=(0.0, 0.1),
        maximize=(False, True),
    ):
        if each["nesterov"] and (not each["momentum"] or each["dampening"]):
            continue
        dampening = each["dampening"]
        statics = {name: value for name, value in each.items() if name != "dampening"}

        def ours(p: Any, g: Any, s: Any, t: int, slot: Any, out: Any, d: float = dampening, k: Any = statics) -> Any:
            return sgd_step(p, g, s[0], slot(0.1, 1.0 if t == 1 else 1 - d), **k, out=out)

        def theirs(parameters: Any, each: Any = each) -> Any:
            return torch.optim.SGD(parameters, lr=0.1, **each)

        follow(theirs, ours, [bool(each["momentum"])], dtype, kernels)


def test_adagrad(dtype: str, kernels: str) -> None:
    for each in options(lr_decay=(0.0, 0.01), weight_decay=(0.0, 0.1), maximize=(False, True)):

        def ours(p: Any, g: Any, s: Any, t: int, slot: Any, out: Any, each: Any = each) -> Any:
            rate = 0.1 / (1 + (t - 1) * each["lr_decay"])
            statics = {"weight_decay": each["weight_decay"], "maximize": each["maximize"]}
            return adagrad_step(p, g, s[0], slot(rate), **statics, out=out)

        def theirs(parameters: Any, each: Any = each) -> Any:
            return torch.optim.Adagrad(parameters, lr=0.1, **each)

        follow(theirs, ours, [True], dtype, kernels)


def test_rmsprop(dtype: str, kernels: str) -> None:
    for each in options(momentum=(0.0, 0.9), centered=(False, True), weight_decay=(0.0, 0.1), maximize=(False, True)):
        statics = {name: value for name, value in each.items() if name != "centered"}

        def ours(p: Any, g: Any, s: Any, t: int, slot: Any, out: Any, k: Any = statics) -> Any:
            return rmsprop_step(p, g, *s, slot(0.01), **k, out=out)

        def theirs(parameters: Any, each: Any = each) -> Any:
            return torch.optim.RMSprop(parameters, lr=0.01, **each)

        follow(theirs, ours, [True, each["centered"], bool(each["momentum"])], dtype, kernels)


def test_adam(dtype: str, kernels: str) -> None:
    for each in options(
        weight_decay=(0.0, 0.1), maximize=(False, True), decoupled=(False, True), amsgrad=(False, True)
    ):
        statics = {name: value for name, value in each.items() if name != "amsgrad"}

        def ours(p: Any, g: Any, s: Any, t: int, slot: Any, out: Any, k: Any = statics) -> Any:
            h = slot(0.01 / (1 - 0.9**t), (1 - 0.999**t) ** -0.5, 1 - 0.01 * k["weight_decay"])
            return adam_step(p, g, *s, h, **k, out=out)

        def theirs(parameters: Any, each: Any = each) -> Any:
            kind = torch.optim.AdamW if each["decoupled"] else torch.optim.Adam
            rest = {name: value for name, value in each.items() if name != "decoupled"}
            return kind(parameters, lr=0.01, **rest)

        follow(theirs, ours, [True, True, each["amsgrad"]], dtype, kernels)
