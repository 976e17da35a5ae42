"""Pooling beside PyTorch's: shapes, ties, infinities and NaN included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from portml.backends import Backend
from portml.backends.kernels.pooling import avg_pool, avg_pool_backward, max_pool, max_pool_backward, max_pool_saving
from portml.errors import ArgumentError
from tests.tolerances import assert_close

F = torch.nn.functional
LARGEST = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
MEAN = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}

lengths = pytest.mark.parametrize("lengths", [(7, 8), (6, 6), (5,), (4, 5, 6)], ids=str)
sizes = pytest.mark.parametrize(
    ("kernel_size", "stride", "padding", "dilation"),
    [(2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 1, 2), (2, 3, 1, 1), (3, 3, 0, 1), (2, 2, 1, 1), (1, 2, 0, 1)],
)
ceil_mode = pytest.mark.parametrize("ceil_mode", [False, True])


def drawn(shape: tuple[int, ...], kind: str) -> Any:
    generator = np.random.default_rng(0)
    x = generator.standard_normal(shape)
    if kind == "ties":
        x = np.round(x)
    if kind == "special":
        x[generator.random(shape) < 0.3] = -np.inf
        x[generator.random(shape) < 0.05] = np.nan
    return x


@lengths
@sizes
@ceil_mode
@pytest.mark.parametrize("kind", ["plain", "ties", "special"])
def test_max_pool_agrees_with_pytorch(
    backend: Backend,
    lengths: tuple[int, ...],
    kernel_size: int,
    stride: int,
    padding: int,
    dilation: int,
    ceil_mode: bool,
    kind: str,
) -> None:
    spatial = len(lengths)
    x = drawn((2, 3, *lengths), kind)
    given = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    statics: dict[str, Any] = {name: (value,) * spatial for name, value in given.items()} | {"ceil_mode": ceil_mode}
    tensor = torch.tensor(x, requires_grad=True)
    try:
        expected = LARGEST[spatial](tensor, **given, ceil_mode=ceil_mode)
    except RuntimeError:
        with pytest.raises(ArgumentError):
            max_pool(backend.asarray(x), **statics)
        return
    g = np.random.default_rng(1).standard_normal(expected.shape)
    expected.backward(torch.tensor(g))
    x = backend.asarray(x)
    assert_close(max_pool(x, **statics), expected.detach().numpy(), "exact", same_backend=False)
    _, saved = max_pool_saving(x, **statics)
    (dx,) = max_pool_backward(backend.asarray(g), saved, x, needs=(True,), **statics)
    assert_close(dx, tensor.grad.numpy(), "gradient", same_backend=False)


@lengths
@sizes
@ceil_mode
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_avg_pool_agrees_with_pytorch(
    backend: Backend,
    lengths: tuple[int, ...],
    kernel_size: int,
    stride: int,
    padding: int,
    dilation: int,
    ceil_mode: bool,
    count_include_pad: bool,
) -> None:
    spatial = len(lengths)
    x = drawn((2, 3, *lengths), "plain")
    given = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
    flags = {"ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
    statics: dict[str, Any] = {name: (value,) * spatial for name, value in given.items()} | flags
    tensor = torch.tensor(x, requires_grad=True)
    expected = MEAN[spatial](tensor, **given, **flags)
    g = np.random.default_rng(1).standard_normal(expected.shape)
    expected.backward(torch.tensor(g))
    x = backend.asarray(x)
    assert_close(avg_pool(x, **statics), expected.detach().numpy(), "reduction", same_backend=False)
    (dx,) = avg_pool_backward(backend.asarray(g), (), x, needs=(True,), **statics)
    assert_close(dx, tensor.grad.numpy(), "gradient", same_backend=False)
