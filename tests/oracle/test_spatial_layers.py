"""Layers over spatial axes beside PyTorch's: results, gradients of inputs and parameters, states in both directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from portml import nn
from portml.autograd import Tensor
from tests.oracle.spatial_layers import CONFIGURATIONS, Configuration, described
from tests.tolerances import assert_close


def drawn(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=described)
def test_a_layer_does_what_pytorchs_does(configuration: tuple[str, Configuration], dtype: str) -> None:
    torch.manual_seed(0)
    layer, (arguments, options, shape) = configuration
    theirs = getattr(torch.nn, layer)(*arguments, **options).to(getattr(torch, dtype))
    with_parameters = {"dtype": dtype, "rng": 0} if "Conv" in layer else {}
    ours = getattr(nn, layer)(*arguments, **options, **with_parameters)
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = np.abs(drawn(shape, dtype)) + 0.1 if layer.startswith("LPPool") else drawn(shape, dtype)
    x_theirs, x_ours = torch.from_numpy(x).requires_grad_(), Tensor(x.copy(), requires_grad=True)
    y_theirs, y_ours = theirs(x_theirs), ours(x_ours)
    assert_close(y_ours.value, y_theirs.detach().numpy(), "reduction")
    g = drawn(tuple(y_ours.shape), dtype, seed=1)
    y_theirs.backward(torch.from_numpy(g))
    y_ours.backward(g)
    assert_close(x_ours.grad.value, x_theirs.grad.numpy(), "gradient")
    for parameter, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(parameter.grad.value, expected.grad.numpy(), "gradient")


@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_a_state_of_ours_loads_in_pytorch(kind: str, dimension: int) -> None:
    layer = f"{kind}{dimension}d"
    ours = getattr(nn, layer)(4, 6, 3, groups=2, rng=0)
    theirs = getattr(torch.nn, layer)(4, 6, 3, groups=2)
    theirs.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in ours.state_dict().items()})
    x = drawn((2, 4, *[5] * dimension), "float32")
    assert_close(ours(x).value, theirs(torch.from_numpy(x)).detach().numpy(), "reduction")


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"padding": 1, "stride": 2}, {"dilation": 2, "ceil_mode": True}], ids=str)
def test_indices_of_maxima_are_pytorchs(dimension: int, options: dict[str, Any]) -> None:
    x = np.random.default_rng(0).integers(0, 3, (2, 3, *[7] * dimension)).astype("float32")  # with ties
    name = f"MaxPool{dimension}d"
    y, indices = getattr(nn, name)(3, return_indices=True, **options)(x)
    y_theirs, theirs = getattr(torch.nn, name)(3, return_indices=True, **options)(torch.from_numpy(x))
    np.testing.assert_array_equal(y, y_theirs.numpy())
    np.testing.assert_array_equal(indices, theirs.numpy())


@pytest.mark.parametrize("size", [1, 3, (4, 5), (6, 2)], ids=str)
def test_indices_of_adaptive_maxima_are_pytorchs(size: Any) -> None:
    x = np.random.default_rng(0).integers(0, 3, (2, 3, 7, 6)).astype("float32")
    x[0, 0, 2:4, 1:5] = np.nan
    y, indices = nn.AdaptiveMaxPool2d(size, return_indices=True)(x)
    y_theirs, theirs = torch.nn.AdaptiveMaxPool2d(size, return_indices=True)(torch.from_numpy(x))
    np.testing.assert_array_equal(y, y_theirs.numpy())
    np.testing.assert_array_equal(indices, theirs.numpy())


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("batched", [True, False])
def test_maxima_go_back_where_pytorch_puts_them(dimension: int, batched: bool) -> None:
    x = drawn((2, 3, *[6] * dimension) if batched else (3, *[6] * dimension), "float64")
    ours_pool = getattr(nn, f"MaxPool{dimension}d")(2, return_indices=True)
    ours_unpool = getattr(nn, f"MaxUnpool{dimension}d")(2)
    theirs_pool = getattr(torch.nn, f"MaxPool{dimension}d")(2, return_indices=True)
    theirs_unpool = getattr(torch.nn, f"MaxUnpool{dimension}d")(2)
    x_theirs, x_ours = torch.from_numpy(x).requires_grad_(), Tensor(x.copy(), requires_grad=True)
    for size in (None, [7] * dimension):
        y_theirs = theirs_unpool(*theirs_pool(x_theirs), output_size=size)
        y_ours = ours_unpool(*ours_pool(x_ours), output_size=size)
        assert_close(y_ours.value, y_theirs.detach().numpy(), "exact")
        g = drawn(tuple(y_ours.shape), "float64", seed=1)
        y_theirs.backward(torch.from_numpy(g))
        y_ours.backward(g)
    assert_close(x_ours.grad.value, x_theirs.grad.numpy(), "gradient")


@pytest.mark.parametrize("size", [(11, 10), (12, 10), (11, 12)], ids=str)
def test_the_output_size_of_a_transposed_convolution_is_pytorchs(size: tuple[int, int]) -> None:
    theirs = torch.nn.ConvTranspose2d(2, 3, 3, stride=(2, 3))
    ours = nn.ConvTranspose2d(2, 3, 3, stride=(2, 3))
    ours.load_state_dict(theirs.state_dict())
    x = drawn((1, 2, 5, 3), "float32")
    if size[1] < 9 or size[1] > 11:
        with pytest.raises(ValueError, match="output_size"):
            ours(x, output_size=size)
        with pytest.raises(ValueError, match="output size"):
            theirs(torch.from_numpy(x), output_size=size)
    else:
        expected = theirs(torch.from_numpy(x), output_size=size).detach().numpy()
        assert_close(ours(x, output_size=size).value, expected, "reduction")


def test_weights_begin_in_pytorchs_bounds() -> None:
    for layer, arguments in (("Conv1d", (12, 60, 5)), ("Conv3d", (6, 60, 3)), ("ConvTranspose2d", (60, 12, 3))):
        theirs, ours = getattr(torch.nn, layer)(*arguments), getattr(nn, layer)(*arguments, rng=0)
        for name, value in theirs.state_dict().items():
            np.testing.assert_allclose(
                np.abs(ours.state_dict()[name]).max(), value.abs().max().numpy(), rtol=0.15, err_msg=f"{layer} {name}"
            )
