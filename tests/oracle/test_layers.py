"""Layers and losses beside PyTorch's: its state dictionaries loaded unchanged, results and all gradients compared."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from portml import nn
from portml.autograd import Tensor
from portml.backends import get_backend, to_numpy
from tests.tolerances import assert_close

BACKEND = get_backend("numpy")

LAYERS = {
    "linear": (nn.Linear, torch.nn.Linear, (7, 5), {}, (4, 7)),
    "linear without bias": (nn.Linear, torch.nn.Linear, (7, 5), {"bias": False}, (2, 3, 7)),
    "conv": (nn.Conv2d, torch.nn.Conv2d, (4, 6, 3), {}, (2, 4, 9, 8)),
    "conv stride": (nn.Conv2d, torch.nn.Conv2d, (4, 6, (3, 2)), {"stride": (2, 3), "padding": (1, 2)}, (2, 4, 9, 8)),
    "conv same": (nn.Conv2d, torch.nn.Conv2d, (4, 6, (4, 3)), {"padding": "same", "dilation": (1, 2)}, (2, 4, 9, 8)),
    "conv groups": (nn.Conv2d, torch.nn.Conv2d, (4, 6, 3), {"groups": 2, "bias": False}, (2, 4, 9, 8)),
    "conv depthwise": (nn.Conv2d, torch.nn.Conv2d, (4, 8, 3), {"groups": 4, "dilation": 2}, (2, 4, 9, 8)),
    "max pool": (nn.MaxPool2d, torch.nn.MaxPool2d, (2,), {}, (2, 3, 8, 9)),
    "max pool wide": (nn.MaxPool2d, torch.nn.MaxPool2d, (3, 2, 1), {"dilation": 2, "ceil_mode": True}, (2, 3, 9, 8)),
    "avg pool": (nn.AvgPool2d, torch.nn.AvgPool2d, (2,), {}, (2, 3, 8, 9)),
    "avg pool wide": (nn.AvgPool2d, torch.nn.AvgPool2d, (3, 2, 1), {"ceil_mode": True}, (2, 3, 9, 8)),
    "avg pool inside": (nn.AvgPool2d, torch.nn.AvgPool2d, (3, 2, 1), {"count_include_pad": False}, (2, 3, 9, 8)),
    "flatten": (nn.Flatten, torch.nn.Flatten, (), {}, (2, 3, 4)),
    "flatten some": (nn.Flatten, torch.nn.Flatten, (0, 1), {}, (2, 3, 4)),
    "batch norm 1d": (nn.BatchNorm1d, torch.nn.BatchNorm1d, (5,), {}, (6, 5)),
    "batch norm 1d sequence": (nn.BatchNorm1d, torch.nn.BatchNorm1d, (5,), {"momentum": None}, (6, 5, 3)),
    "batch norm 2d": (nn.BatchNorm2d, torch.nn.BatchNorm2d, (5,), {"eps": 1e-3, "momentum": 0.3}, (3, 5, 4, 2)),
    "batch norm plain": (nn.BatchNorm2d, torch.nn.BatchNorm2d, (5,), {"affine": False}, (3, 5, 4, 2)),
    "batch norm untracked": (nn.BatchNorm2d, torch.nn.BatchNorm2d, (5,), {"track_running_stats": False}, (3, 5, 4, 2)),
    "layer norm": (nn.LayerNorm, torch.nn.LayerNorm, (7,), {}, (4, 3, 7)),
    "layer norm wide": (nn.LayerNorm, torch.nn.LayerNorm, ((3, 7),), {"eps": 1e-3, "bias": False}, (4, 3, 7)),
    "layer norm plain": (nn.LayerNorm, torch.nn.LayerNorm, (7,), {"elementwise_affine": False}, (4, 3, 7)),
    "relu": (nn.ReLU, torch.nn.ReLU, (), {}, (4, 7)),
    "leaky relu": (nn.LeakyReLU, torch.nn.LeakyReLU, (0.2,), {}, (4, 7)),
    "elu": (nn.ELU, torch.nn.ELU, (0.7,), {}, (4, 7)),
    "sigmoid": (nn.Sigmoid, torch.nn.Sigmoid, (), {}, (4, 7)),
    "tanh": (nn.Tanh, torch.nn.Tanh, (), {}, (4, 7)),
    "silu": (nn.SiLU, torch.nn.SiLU, (), {}, (4, 7)),
    "softplus": (nn.Softplus, torch.nn.Softplus, (), {}, (4, 7)),
    "softmax": (nn.Softmax, torch.nn.Softmax, (1,), {}, (4, 7, 2)),
    "log softmax": (nn.LogSoftmax, torch.nn.LogSoftmax, (-1,), {}, (4, 7, 2)),
}


def draw(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape) * 2


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_layer_does_what_pytorchs_does(name, training, dtype):
    ours_class, theirs_class, arguments, options, shape = LAYERS[name]
    theirs = theirs_class(*arguments, **options).to(getattr(torch, dtype)).train(training)
    ours = _build(ours_class, arguments, options, dtype).train(training)
    state = {key: value.clone() for key, value in theirs.state_dict().items()}
    for key, value in state.items():
        if key.startswith("running") or "norm" in name:
            state[key] = value + torch.rand_like(value) if value.is_floating_point() else value
    theirs.load_state_dict(state)
    assert ours.load_state_dict(state) == ([], [])
    assert list(ours.state_dict()) == list(state)
    x = draw(*shape).astype(dtype)
    x_theirs = torch.from_numpy(x).requires_grad_()
    x_ours = Tensor(x.copy(), requires_grad=True)
    for _ in range(2):  # twice, so that running statistics move more than once
        y_theirs, y_ours = theirs(x_theirs), ours(x_ours)
    assert_close(y_ours.value, y_theirs.detach().numpy(), "reduction")
    g = draw(*y_ours.shape).astype(dtype)
    y_theirs.backward(torch.from_numpy(g))
    y_ours.backward(g)
    assert_close(x_ours.grad.value, x_theirs.grad.numpy(), "gradient")
    for parameter, theirs_parameter in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(parameter.grad.value, theirs_parameter.grad.numpy(), "gradient")
    for key, value in theirs.state_dict().items():
        assert_close(ours.state_dict()[key], value.numpy(), "reduction")


def test_an_embedding_does_what_pytorchs_does():
    theirs = torch.nn.Embedding(9, 4, padding_idx=2)
    ours = nn.Embedding(9, 4, padding_idx=2, rng=0)
    ours.load_state_dict(theirs.state_dict())
    indices = np.asarray([[0, 2, 8], [8, 8, 1]])
    g = draw(2, 3, 4).astype("float32")
    theirs(torch.from_numpy(indices)).backward(torch.from_numpy(g))
    ours(indices).backward(g)
    assert_close(ours.weight.grad.value, theirs.weight.grad.numpy(), "gradient")


def test_a_state_dict_goes_to_pytorch_and_back():
    ours = nn.Sequential(nn.Conv2d(1, 3, 3, rng=0), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(108, 4, rng=0))
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(108, 4)
    )
    state = {key: torch.from_numpy(np.array(value)) for key, value in ours.state_dict().items()}
    theirs.load_state_dict(state)
    x = draw(2, 1, 8, 8).astype("float32")
    assert_close(ours(x).value, theirs(torch.from_numpy(x)).detach().numpy(), "reduction")
    twin = copy.deepcopy(ours)
    twin.load_state_dict(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(to_numpy(twin.state_dict()[key]), value.numpy())


SIGNS, PROBABILITIES = np.sign(draw(6, 5)), 1 / (1 + np.exp(-draw(6, 5)))
LOSSES = {
    "mse": (nn.MSELoss, torch.nn.MSELoss, {}, draw(6, 5), PROBABILITIES),
    "mae": (nn.MAELoss, torch.nn.L1Loss, {}, draw(6, 5), PROBABILITIES),
    "huber": (nn.HuberLoss, torch.nn.HuberLoss, {"delta": 0.7}, draw(6, 5), PROBABILITIES),
    "bce": (nn.BCELoss, torch.nn.BCELoss, {}, PROBABILITIES, (SIGNS + 1) / 2),
    "bce logits": (nn.BCEWithLogitsLoss, torch.nn.BCEWithLogitsLoss, {}, draw(6, 5) * 50, PROBABILITIES),
    "cross entropy": (nn.CrossEntropyLoss, torch.nn.CrossEntropyLoss, {}, draw(6, 5), np.arange(6) % 5),
    "smoothed": (
        nn.CrossEntropyLoss,
        torch.nn.CrossEntropyLoss,
        {"label_smoothing": 0.1, "ignore_index": 2},
        draw(6, 5),
        np.arange(6) % 5,
    ),
    "pixels": (nn.CrossEntropyLoss, torch.nn.CrossEntropyLoss, {}, draw(6, 5, 4), np.arange(24).reshape(6, 4) % 5),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_loss_does_what_pytorchs_does(name, reduction):
    ours_class, theirs_class, options, prediction, target = LOSSES[name]
    ours, theirs = ours_class(reduction=reduction, **options), theirs_class(reduction=reduction, **options)
    one, other = Tensor(prediction.copy(), requires_grad=True), torch.from_numpy(prediction.copy()).requires_grad_()
    loss, expected = ours(one, target), theirs(other, torch.from_numpy(target))
    assert_close(np.asarray(loss.value), expected.detach().numpy(), "reduction")
    g = np.random.default_rng(1).normal(size=loss.shape)
    loss.backward(np.asarray(g))
    expected.backward(torch.from_numpy(np.asarray(g)))
    assert_close(one.grad.value, other.grad.numpy(), "gradient")


def test_a_weighted_cross_entropy_does_what_pytorchs_does():
    weight = np.asarray([0.5, 1.0, 2.0, 0.0, 3.0])
    ours = nn.CrossEntropyLoss(weight=weight)
    theirs = torch.nn.CrossEntropyLoss(weight=torch.from_numpy(weight))
    logits, labels = draw(6, 5), np.arange(6) % 5
    expected = theirs(torch.from_numpy(logits), torch.from_numpy(labels)).numpy()
    assert_close(np.asarray(ours(logits, labels)), expected, "reduction")


def _build(kind, arguments, options, dtype):
    try:
        return kind(*arguments, **options, dtype=dtype)
    except TypeError:  # a layer without parameters has no dtype
        return kind(*arguments, **options)
