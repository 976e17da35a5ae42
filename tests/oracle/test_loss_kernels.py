"""Losses beside PyTorch's: values and gradients, every reduction, both bodies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from portml.backends import kernels_switched
from portml.backends.kernels import class_loss
from portml.backends.kernels import loss as ours
from tests.oracle.kernel_oracle import compare

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.parametrize("kernels", ["fused", "agnostic"]),
    pytest.mark.parametrize("dtype", ["float32", "float64"]),
    pytest.mark.parametrize("reduction", ["mean", "sum", "none"]),
]

RNG = np.random.default_rng(0)


def logits_and_labels() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for logits, labels in (((5, 4), (5,)), ((300, 4), (300,)), ((2, 4, 3, 2), (2, 3, 2)), ((4,), ())):
        drawn = np.asarray(RNG.integers(0, 4, labels))
        if drawn.size > 3:
            drawn.flat[2] = -100
        yield 3 * RNG.normal(size=logits), drawn


@pytest.mark.parametrize(
    ("loss", "theirs", "extra"),
    [
        (ours.mse_loss, F.mse_loss, {}),
        (ours.l1_loss, F.l1_loss, {}),
        (ours.huber_loss, F.huber_loss, {"delta": 0.7}),
    ],
)
def test_regression(loss: Any, theirs: Any, extra: dict[str, Any], reduction: str, dtype: str, kernels: str) -> None:
    with kernels_switched(kernels, "numpy"):
        for shape in ((4, 3), (70_000,)):
            arrays = [RNG.normal(size=shape), RNG.normal(size=shape)]
            tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
            compare(
                loss,
                lambda p, y: theirs(p, y, reduction=reduction, **extra),
                arrays,
                {"reduction": reduction, **extra},
                dtype,
                tolerance=tolerance,
            )


def test_binary_cross_entropy(reduction: str, dtype: str, kernels: str) -> None:
    p, y = RNG.uniform(0, 1, (4, 3)), RNG.uniform(0, 1, (4, 3))
    with kernels_switched(kernels, "numpy"):
        compare(
            ours.binary_cross_entropy,
            lambda p, y: F.binary_cross_entropy(p, y, reduction=reduction),
            [p, y],
            {"reduction": reduction},
            dtype,
            tolerance={"float32": 1e-5, "float64": 1e-12}[dtype],
        )
        # At the edges PyTorch's gradient to the target is infinite; ours follows the logarithm that is cut off.
        p.flat[:4], y.flat[:4] = (0, 0, 1, 1), (0, 1, 0, 1)
        compare(
            ours.binary_cross_entropy,
            lambda p, y: F.binary_cross_entropy(p, y, reduction=reduction),
            [p, y],
            {"reduction": reduction},
            dtype,
            wanted=[0],
            tolerance={"float32": 1e-5, "float64": 1e-7}[dtype],
        )


def test_binary_cross_entropy_with_logits(reduction: str, dtype: str, kernels: str) -> None:
    z, y = 3 * RNG.normal(size=(4, 3)), RNG.uniform(0, 1, (4, 3))
    z.flat[:2] = 1e4, -1e4
    with kernels_switched(kernels, "numpy"):
        compare(
            ours.binary_cross_entropy_with_logits,
            lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction=reduction),
            [z, y],
            {"reduction": reduction},
            dtype,
        )


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(weighted: bool, label_smoothing: float, reduction: str, dtype: str, kernels: str) -> None:
    weight = RNG.uniform(0.5, 2, 4) if weighted else None

    def theirs(z: torch.Tensor, labels: torch.Tensor, w: torch.Tensor | None) -> torch.Tensor:
        return F.cross_entropy(z, labels, w, reduction=reduction, label_smoothing=label_smoothing)

    statics = {"reduction": reduction, "label_smoothing": label_smoothing, "ignore_index": -100}
    with kernels_switched(kernels, "numpy"):
        for logits, labels in logits_and_labels():
            tolerance = {"float32": 2e-5, "float64": 1e-12}[dtype]
            compare(
                class_loss.cross_entropy,
                theirs,
                [logits, labels, weight],
                statics,
                dtype,
                wanted=[0],
                tolerance=tolerance,
            )


@pytest.mark.parametrize("weighted", [False, True])
def test_nll_loss(weighted: bool, reduction: str, dtype: str, kernels: str) -> None:
    weight = RNG.uniform(0.5, 2, 4) if weighted else None
    statics = {"reduction": reduction, "ignore_index": -100}
    with kernels_switched(kernels, "numpy"):
        for logits, labels in logits_and_labels():
            compare(
                class_loss.nll_loss,
                lambda z, labels, w: F.nll_loss(z, labels, w, reduction=reduction),
                [logits, labels, weight],
                statics,
                dtype,
                wanted=[0],
                tolerance={"float32": 2e-5, "float64": 1e-12}[dtype],
            )
