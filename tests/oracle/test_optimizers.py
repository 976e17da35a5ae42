"""Optimizers beside PyTorch's: ten steps with every option, and their state exchanged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from portml.autograd.parameter import Parameter
from portml.backends import operations
from portml.optim import (
    LBFGS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Muon,
    NAdam,
    RAdam,
    RMSprop,
    clip_grad_norm_,
    clip_grad_value_,
)

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
    "adagrad begun": (Adagrad, torch.optim.Adagrad, {"lr": 0.1, "initial_accumulator_value": 0.5}),
    "amsgrad": (Adam, torch.optim.Adam, {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1}),
    "adamw amsgrad": (AdamW, torch.optim.AdamW, {"lr": 0.1, "amsgrad": True}),
    "nadam": (NAdam, torch.optim.NAdam, {}),
    "nadam decay": (NAdam, torch.optim.NAdam, {"lr": 0.1, "weight_decay": 0.1, "momentum_decay": 0.1}),
    "nadam decoupled": (
        NAdam,
        torch.optim.NAdam,
        {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True, "betas": (0.8, 0.95), "eps": 1e-3},
    ),
    "radam": (RAdam, torch.optim.RAdam, {"lr": 0.1}),
    "radam decay": (RAdam, torch.optim.RAdam, {"lr": 0.1, "weight_decay": 0.1, "betas": (0.8, 0.95), "eps": 1e-3}),
    "radam decoupled": (RAdam, torch.optim.RAdam, {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True}),
    "sgd up": (SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "maximize": True}),
    "adagrad up": (Adagrad, torch.optim.Adagrad, {"lr": 0.1, "maximize": True}),
    "rmsprop up": (RMSprop, torch.optim.RMSprop, {"lr": 0.1, "maximize": True, "weight_decay": 0.1}),
    "adam up": (Adam, torch.optim.Adam, {"lr": 0.1, "maximize": True, "weight_decay": 0.1}),
    "nadam up": (NAdam, torch.optim.NAdam, {"lr": 0.1, "maximize": True}),
    "radam up": (RAdam, torch.optim.RAdam, {"lr": 0.1, "maximize": True}),
    "adamw decay": (AdamW, torch.optim.AdamW, {"lr": 0.1, "weight_decay": 0.3, "betas": (0.8, 0.95)}),
}
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}


def tolerance(name, dtype):
    # PyTorch keeps NAdam's product of momenta in single precision.
    return 2e-6 if name.startswith("nadam") else TOLERANCE[dtype]


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
        np.testing.assert_allclose(
            one.value, other.detach().numpy(), rtol=tolerance(name, dtype), atol=tolerance(name, dtype)
        )


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
        wanted = tolerance(name, "float64")
        np.testing.assert_allclose(one.value, other.detach().numpy(), rtol=wanted, atol=wanted)


@pytest.mark.parametrize("name", CASES)
def test_pytorch_takes_up_our_state(name):
    ours_class, theirs_class, options = CASES[name]
    ours, theirs = pairs("float64")
    optimizer, expected = ours_class(ours, **options), theirs_class(theirs, **options)
    for step in range(3):
        give(ours, theirs, step, "float64")
        optimizer.step()
    for one, other in zip(ours, theirs, strict=True):
        other.data[...] = torch.from_numpy(np.array(one.value))
    state = optimizer.state_dict()
    arrays = {
        index: {key: torch.as_tensor(np.array(value, dtype="float64")) for key, value in parameter.items()}
        for index, parameter in state["state"].items()
    }
    groups = [
        {**theirs_group, **group}
        for theirs_group, group in zip(expected.param_groups, state["param_groups"], strict=True)
    ]
    expected.load_state_dict({"state": arrays, "param_groups": groups})
    for step in range(3, 6):
        give(ours, theirs, step, "float64")
        optimizer.step()
        expected.step()
    for one, other in zip(ours, theirs, strict=True):
        wanted = tolerance(name, "float64")
        np.testing.assert_allclose(one.value, other.detach().numpy(), rtol=wanted, atol=wanted)


@pytest.mark.parametrize("options", [{}, {"nesterov": False, "weight_decay": 0.3}, {"adjust_lr_fn": "match_rms_adamw"}])
def test_muon_follows_pytorchs_within_its_half_precision(options):
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype("float32") for shape in ((6, 4), (3, 8))]
    ours = [Parameter(value.copy()) for value in start]
    theirs = [torch.from_numpy(value.copy()).requires_grad_() for value in start]
    optimizer, expected = Muon(ours, lr=0.1, **options), torch.optim.Muon(theirs, lr=0.1, **options)
    for step in range(10):
        give(ours, theirs, step, "float32")
        optimizer.step()
        expected.step()
    for one, other in zip(ours, theirs, strict=True):
        # PyTorch makes its steps orthogonal in bfloat16, of three digits.
        np.testing.assert_allclose(one.value, other.detach().numpy(), atol=0.05)


@pytest.mark.parametrize(
    "options", [{}, {"lr": 0.5, "history_size": 3}, {"max_iter": 3, "max_eval": 5}, {"tolerance_grad": 1.0}]
)
def test_lbfgs_without_a_line_search_takes_pytorchs_steps(options):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(6, 6))
    matrix, target, start = matrix @ matrix.T + np.eye(6), rng.normal(size=6), rng.normal(size=6)
    ours, theirs = Parameter(start.copy()), torch.from_numpy(start.copy()).requires_grad_()
    optimizer, expected = LBFGS([ours], **options), torch.optim.LBFGS([theirs], **options)

    def loss_of(x, dot, matrix, target):
        return 0.5 * dot(x, dot(matrix, x)) - dot(x, target)

    def our_closure():
        optimizer.zero_grad()
        loss = loss_of(ours, operations.matmul, matrix, target)
        loss.backward()
        return loss

    def their_closure():
        expected.zero_grad()
        loss = loss_of(theirs, torch.matmul, *map(torch.from_numpy, (matrix, target)))
        loss.backward()
        return loss

    for _ in range(4):
        first, other_first = optimizer.step(our_closure), expected.step(their_closure)
        np.testing.assert_allclose(first.value, other_first.detach().numpy(), rtol=1e-9)
        np.testing.assert_allclose(ours.value, theirs.detach().numpy(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 1e3])
def test_clipping_by_norm_agrees_with_pytorch(norm_type, max_norm):
    ours, theirs = pairs("float64")
    give(ours, theirs, 0, "float64")
    norm = clip_grad_norm_(ours, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    np.testing.assert_allclose(norm, expected.numpy(), rtol=1e-12)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.grad.value, other.grad.numpy(), rtol=1e-12)


def test_clipping_by_value_agrees_with_pytorch():
    ours, theirs = pairs("float32")
    give(ours, theirs, 0, "float32")
    clip_grad_value_(ours, 0.3)
    torch.nn.utils.clip_grad_value_(theirs, 0.3)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.grad.value, other.grad.numpy())
