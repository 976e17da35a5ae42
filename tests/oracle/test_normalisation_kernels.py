"""Normalisation beside PyTorch's: values, gradients and running statistics, both bodies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from portml.backends import kernels_switched
from portml.backends.kernels import normalisation as ours
from tests.oracle.kernel_oracle import compare

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.parametrize("kernels", ["fused", "agnostic"]),
    pytest.mark.parametrize("dtype", ["float32", "float64"]),
]

RNG = np.random.default_rng(0)
TOLERANCES = {"float32": 1e-5, "float64": 1e-12}


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("shape", "axes"), [((4, 7), (1,)), ((2, 3, 5), (1, 2)), ((2, 300, 257), (2,))])
def test_layer_norm(shape: Any, axes: Any, affine: bool, dtype: str, kernels: str) -> None:
    lengths = tuple(shape[axis] for axis in axes)
    parameters = [RNG.normal(size=lengths) if affine else None for _ in range(2)]
    with kernels_switched(kernels, "numpy"):
        compare(
            ours.layer_norm,
            lambda x, w, b: F.layer_norm(x, lengths, w, b, 1e-5),
            [RNG.normal(3, 2, shape), *parameters],
            {"axes": axes, "eps": 1e-5},
            dtype,
            tolerance=10 * TOLERANCES[dtype],
        )


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 5), (2, 3, 4, 5), (9, 3, 100, 90)])
def test_batch_norm_in_training(shape: Any, affine: bool, dtype: str, kernels: str) -> None:
    parameters = [RNG.normal(size=3) if affine else None for _ in range(2)]
    with kernels_switched(kernels, "numpy"):
        compare(
            ours.batch_norm_train,
            lambda x, w, b: F.batch_norm(x, None, None, w, b, True, 0.1, 1e-5),
            [RNG.normal(3, 2, shape), *parameters],
            {"eps": 1e-5},
            dtype,
            tolerance=20 * TOLERANCES[dtype],
        )


@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 5), (2, 3, 4, 5)])
def test_batch_norm_in_inference(shape: Any, dtype: str, kernels: str) -> None:
    arrays = [RNG.normal(size=shape), RNG.normal(size=3), RNG.uniform(0.5, 2, 3), *RNG.normal(size=(2, 3))]
    with kernels_switched(kernels, "numpy"):
        compare(
            ours.batch_norm_inference,
            lambda x, m, v, w, b: F.batch_norm(x, m, v, w, b, False, 0.1, 1e-5),
            arrays,
            {"eps": 1e-5},
            dtype,
            wanted=[0, 3, 4],
            tolerance=TOLERANCES[dtype],
        )


def test_running_statistics(dtype: str, kernels: str) -> None:
    x = RNG.normal(size=(4, 3, 5)).astype(dtype)
    theirs = torch.zeros(3, dtype=getattr(torch, dtype)), torch.ones(3, dtype=getattr(torch, dtype))
    running = np.zeros(3, dtype), np.ones(3, dtype)
    with kernels_switched(kernels, "numpy"):
        for _ in range(3):
            F.batch_norm(torch.from_numpy(x), *theirs, training=True, momentum=0.3)
            _, mean, var = ours.batch_norm_train(x, None, None)
            ours.update_running(*running, mean, var, momentum=0.3, n=20)
    for one, other in zip(running, theirs, strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=TOLERANCES[dtype])
