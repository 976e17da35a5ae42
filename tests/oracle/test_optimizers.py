"""Optimizers beside PyTorch's: ten steps with every option, and their state exchanged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from portml.autograd.parameter import Parameter
from portml.optim import SGD, Adagrad, Adam, AdamW, RMSprop

CASES = {
    "sgd": (SGD, torch.optim.SGD, {"lr": 0.1}),
    "sgd decay": (SGD, torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.1}),
    "momentum": (SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "dampened": (SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    "nesterov": (SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "adagrad": (Adagrad, torch.optim.Adagrad, {}),
    "adagrad decay": (Adagrad, torch.optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "eps": 1e-3}),
    "rmsprop": (RMSprop, torch.optim.RMSprop, {}),
    "rmsprop centred": (RMSprop, torch.optim.RMSprop, {"lr": 0.1, "alpha": 0.9, "centered": True, "momentum": 0.8}),
    "rmsprop decay": (RMSprop, torch.optim.RMSprop, {"lr": 0.1, "weight_decay": 0.1, "eps": 1e-3}),
    "adam": (Adam, torch.optim.Adam, {}),
    "adam decay": (Adam, torch.optim.Adam, {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.1, "eps": 1e-3}),
    "adamw": (AdamW, torch.optim.AdamW, {"lr": 0.1}),
    "adamw decay": (AdamW, torch.optim.AdamW, {"lr": 0.1, "weight_decay": 0.3, "betas": (0.8, 0.95)}),
}
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}
SHAPES = ((3, 2), (5,), ())


def pairs(dtype):
    rng = np.random.default_rng(0)
    start = [np.asarray(rng.normal(size=shape), dtype=dtype) for shape in SHAPES]
    return [Parameter(value.copy()) for value in start], [
        torch.from_numpy(value.copy()).requires_grad_() for value in start
    ]


def give(ours, theirs, step, dtype):
    rng = np.random.default_rng(step)
    for one, other in zip(ours, theirs, strict=True):
        g = np.asarray(rng.normal(size=one.shape), dtype=dtype)
        one.grad, other.grad = g, torch.from_numpy(g)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ten_steps_end_where_pytorchs_end(name, dtype):
    ours_class, theirs_class, options = CASES[name]
    ours, theirs = pairs(dtype)
    optimizer, expected = ours_class(ours, **options), theirs_class(theirs, **options)
    assert {key: expected.defaults[key] for key in optimizer.defaults} == optimizer.defaults
    for step in range(10):
        give(ours, theirs, step, dtype)
        optimizer.step()
        expected.step()
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.value, other.detach().numpy(), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("name", CASES)
def test_a_state_of_pytorch_is_taken_up(name):
    ours_class, theirs_class, options = CASES[name]
    ours, theirs = pairs("float64")
    expected = theirs_class(theirs, **options)
    for step in range(3):
        give(ours, theirs, step, "float64")
        expected.step()
    for one, other in zip(ours, theirs, strict=True):
        one.assign(other.detach().numpy())
    optimizer = ours_class(ours, **options)
    state = expected.state_dict()
    arrays = {
        index: {
            key: value.numpy() if hasattr(value, "numpy") else value
            for key, value in parameter.items()
            if value is not None
        }
        for index, parameter in state["state"].items()
    }
    optimizer.load_state_dict({"state": arrays, "param_groups": state["param_groups"]})
    for step in range(3, 6):
        give(ours, theirs, step, "float64")
        optimizer.step()
        expected.step()
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.value, other.detach().numpy(), rtol=1e-12, atol=1e-12)
