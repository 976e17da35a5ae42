"""Whole training steps beside PyTorch's: forward, back, and the optimizer's update.

Ours is the step that `Trainer.fit` takes, recorded and replayed; rows with "eager" in their name run it as it is.
PyTorch runs at its best documented setting on a CPU: the fused or the for-each optimizer, whichever is quicker, and
channels last for convolutions.  Weights, batches and the optimizer's numbers are equal, and so is the loss of the
third step, or there is no ratio.

``python -m benchmarks.training_steps``; with ``PORTML_KERNELS=pure`` for NumPy alone.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from benchmarks.side_by_side import Case, run
from portml import nn, optim
from portml.train import Trainer

Layers = tuple[nn.Module, torch.nn.Module]


def cases() -> list[Case]:
    """Every row, captured and eager."""
    return [
        *_rows("XOR 2-4-1, batch 4", _xor, 4, (2,), None, 15.0, 15.0, eager=4.0),
        *_rows("8-32-32-4, batch 16", _small, 16, (8,), 4, 10.0, 10.0, eager=3.0),
        *_rows("MLP 784-256-128-10, batch 32", _digits, 32, (784,), 10, 1.7, 1.1),
        *_rows("MLP 784-256-128-10, batch 128", _digits, 128, (784,), 10, 1.35, 1.05),
        *_rows("MLP 784-256-128-10, batch 1024", _digits, 1024, (784,), 10, 1.1, 0.95),
        *_rows("LeNet-5, batch 32", _lenet, 32, (1, 28, 28), 10, 1.8, 1.6),
        *_rows("LeNet-5, batch 128", _lenet, 128, (1, 28, 28), 10, 1.6, 1.4),
    ]


def _rows(
    name: str,
    make: Callable[[], Layers],
    batch: int,
    shape: tuple[int, ...],
    n_classes: int | None,
    bar: float,
    pure_bar: float,
    eager: float | None = None,
) -> list[Case]:
    """A captured and an eager row; without classes the loss is the squared error, and the optimizer SGD."""
    return [
        _case(name, make, batch, shape, n_classes, bar, pure_bar, None),
        _case(f"{name}, eager", make, batch, shape, n_classes, eager, eager, False),
    ]


def _case(
    name: str,
    make: Callable[[], Layers],
    batch: int,
    shape: tuple[int, ...],
    n_classes: int | None,
    bar: float | None,
    pure_bar: float | None,
    capture: bool | None,
) -> Case:
    draws = np.random.default_rng(0)
    x = draws.standard_normal((batch, *shape)).astype("float32")
    if n_classes is None:
        y: Any = draws.integers(0, 2, (batch, 1)).astype("float32")
    else:
        y = draws.integers(0, n_classes, batch)
    ours, theirs = make()
    ours.load_state_dict(theirs.state_dict())
    return Case(
        name,
        _our_step(ours, x, y, n_classes is None, capture),
        _their_step(theirs, x, y, n_classes is None),
        _agree,
        bar,
        pure_bar,
    )


def _our_step(model: nn.Module, x: Any, y: Any, descent: bool, capture: bool | None) -> Callable[[], Any]:
    optimizer = optim.SGD(model.parameters(), lr=0.1) if descent else optim.Adam(model.parameters(), lr=1e-3)
    loss = nn.MSELoss() if descent else nn.CrossEntropyLoss()
    trainer = Trainer(model, optimizer, loss, capture=capture)
    model.train()
    losses = [float(trainer.step(x, y)[0]) for _ in range(3)]
    if capture is None and trainer.eager is not None:
        raise RuntimeError(f"the step is not replayed: {trainer.eager}")

    def step() -> list[float]:
        trainer.step(x, y)
        return losses

    return step


def _their_step(model: torch.nn.Module, x: Any, y: Any, descent: bool) -> Callable[[], Any]:
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    if inputs.ndim == 4:
        model, inputs = model.to(memory_format=torch.channels_last), inputs.to(memory_format=torch.channels_last)
    optimizer: torch.optim.Optimizer = (
        torch.optim.SGD(model.parameters(), lr=0.1)
        if descent
        else torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    )
    loss = torch.nn.MSELoss() if descent else torch.nn.CrossEntropyLoss()

    def take() -> Any:
        optimizer.zero_grad(set_to_none=True)
        value = loss(model(inputs), targets)
        value.backward()
        optimizer.step()
        return value

    losses = [float(take().detach()) for _ in range(3)]

    def step() -> list[float]:
        take()
        return losses

    return step


def _agree(ours: list[float], theirs: list[float]) -> str | None:
    worst = max(abs(one - other) / abs(other) for one, other in zip(ours, theirs, strict=True))
    return f"losses by {worst:.2g}" if worst > 1e-4 else None


def _xor() -> Layers:
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Sigmoid(), torch.nn.Linear(4, 1), torch.nn.Sigmoid())
    return nn.Sequential(nn.Linear(2, 4), nn.Sigmoid(), nn.Linear(4, 1), nn.Sigmoid()), theirs


def _small() -> Layers:
    return _dense([8, 32, 32, 4])


def _digits() -> Layers:
    return _dense([784, 256, 128, 10])


def _dense(sizes: list[int]) -> Layers:
    torch.manual_seed(0)
    ours: list[nn.Module] = []
    theirs: list[torch.nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        ours += [nn.Linear(n_in, n_out), nn.ReLU()]
        theirs += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    return nn.Sequential(*ours[:-1]), torch.nn.Sequential(*theirs[:-1])


def _lenet() -> Layers:
    torch.manual_seed(0)
    ours = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    torch_nn = torch.nn
    theirs = torch_nn.Sequential(
        torch_nn.Conv2d(1, 6, 5, padding=2), torch_nn.ReLU(), torch_nn.MaxPool2d(2), torch_nn.Conv2d(6, 16, 5),
        torch_nn.ReLU(), torch_nn.MaxPool2d(2), torch_nn.Flatten(), torch_nn.Linear(400, 120), torch_nn.ReLU(),
        torch_nn.Linear(120, 84), torch_nn.ReLU(), torch_nn.Linear(84, 10),
    )  # fmt: skip
    return ours, theirs


if __name__ == "__main__":
    run(cases())
