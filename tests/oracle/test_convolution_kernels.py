"""Convolution beside PyTorch's: results and gradients, one to three axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from portml.backends import Backend
from portml.backends.kernels.convolution import convolution, convolution_backward
from tests.tolerances import assert_close

FUNCTIONS = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}


@pytest.mark.parametrize(
    ("x", "weight", "stride", "padding", "dilation", "groups"),
    [
        ((2, 3, 7, 8), (4, 3, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
        ((3, 1, 28, 28), (6, 1, 5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1), 1),
        ((3, 6, 14, 14), (16, 6, 5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
        ((2, 4, 9, 8), (6, 2, 3, 2), (2, 3), ((0, 2), (1, 0)), (1, 1), 2),
        ((3, 4, 11, 10), (4, 1, 3, 3), (1, 1), ((2, 2), (2, 2)), (2, 2), 4),
        ((3, 4, 11, 10), (4, 2, 2, 3), (2, 1), ((0, 0), (0, 1)), (3, 2), 2),
        ((2, 40, 9, 8), (5, 40, 3, 3), (1, 1), ((0, 2), (2, 1)), (1, 1), 1),
        ((2, 3, 7, 8), (4, 3, 1, 1), (2, 2), ((1, 0), (0, 1)), (1, 1), 1),
        ((2, 3, 9, 9), (5, 3, 2, 2), (3, 3), ((0, 0), (0, 0)), (1, 1), 1),
        ((0, 3, 7, 8), (4, 3, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
        ((2, 3, 7), (4, 3, 3), (2,), ((1, 2),), (1,), 1),
        ((2, 3, 7, 6, 5), (4, 3, 3, 2, 1), (1, 2, 1), ((1, 2), (0, 0), (1, 1)), (1, 1, 1), 1),
    ],
)
@pytest.mark.parametrize("name", ["float32", "float64"])
def test_convolution_agrees_with_pytorch(
    backend: Backend,
    name: str,
    x: tuple[int, ...],
    weight: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> None:
    generator = np.random.default_rng(0)
    arrays = [generator.standard_normal(shape).astype(name) for shape in (x, weight, weight[:1])]
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    padded = torch.nn.functional.pad(tensors[0], [width for pair in reversed(padding) for width in pair])
    expected = FUNCTIONS[len(stride)](padded, *tensors[1:], stride=stride, dilation=dilation, groups=groups)
    g = generator.standard_normal(expected.shape).astype(name)
    expected.backward(torch.tensor(g))

    statics: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    inputs = [backend.asarray(array) for array in arrays]
    y = convolution(*inputs, **statics)
    assert_close(y, expected.detach().numpy(), "reduction", same_backend=False)
    gradients = convolution_backward(backend.asarray(g), (), *inputs, needs=(True, True, True), **statics)
    assert_close(gradients, [tensor.grad.numpy() for tensor in tensors], "gradient", same_backend=False)
