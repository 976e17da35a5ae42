"""Activations and the affine map beside PyTorch's: values and gradients, both bodies, edges included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from portml.backends import kernels_switched
from portml.backends.kernels import activation as ours
from portml.backends.kernels.linear import linear
from tests.oracle.kernel_oracle import compare

pytestmark = pytest.mark.oracle

RNG = np.random.default_rng(0)
EDGES = np.asarray([0.0, -1e-8, 1e-8, 1.0, -1.0, 19.9, 20.1, -30.0, 88.0, -88.0, 1e4, -1e4])

ACTIVATIONS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "relu": (ours.relu, F.relu, {}),
    "leaky_relu": (ours.leaky_relu, lambda x: F.leaky_relu(x, 0.2), {"negative_slope": 0.2}),
    "elu": (ours.elu, lambda x: F.elu(x, 1.5), {"alpha": 1.5}),
    "sigmoid": (ours.sigmoid, torch.sigmoid, {}),
    "silu": (ours.silu, F.silu, {}),
    "softplus": (ours.softplus, lambda x: F.softplus(x, 2.0, 10.0), {"beta": 2.0, "threshold": 10.0}),
    "softmax": (ours.softmax, lambda x: F.softmax(x, 0), {"axis": 0}),
    "log_softmax": (ours.log_softmax, lambda x: F.log_softmax(x, -1), {"axis": -1}),
}


@pytest.mark.parametrize("kernels", ["fused", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_pytorch_s(name: str, dtype: str, kernels: str) -> None:
    kernel, theirs, statics = ACTIVATIONS[name]
    with kernels_switched(kernels, "numpy"):
        for x in (RNG.normal(size=(3, 7)), EDGES, RNG.normal(size=(0, 3)), RNG.normal(size=(50, 60)).T):
            compare(kernel, theirs, [x], statics, dtype)


@pytest.mark.parametrize("kernels", ["fused", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 7), (7,), (0, 7)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_the_affine_map_is_pytorch_s(shape: tuple[int, ...], with_bias: bool, dtype: str, kernels: str) -> None:
    arrays = [RNG.normal(size=shape), RNG.normal(size=(4, 7)), RNG.normal(size=4) if with_bias else None]
    with kernels_switched(kernels, "numpy"):
        compare(linear, F.linear, arrays, {}, dtype)
