"""Layers over spatial axes: sizes, single samples, gradients that arrive, and refusals that name shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portml import nn
from portml.autograd import Tensor, check_gradients, no_grad
from portml.backends import Backend, operations, to_numpy
from portml.errors import ArgumentError, PortmlError, RangeError, ShapeError

SIZES = {1: (11,), 2: (9, 8), 3: (5, 6, 4)}


def drawn(backend: Backend, *shape: int, dtype: str = "float32") -> Any:
    return backend.asarray(np.random.default_rng(0).standard_normal(shape), dtype=dtype)


def layers(dimension: int, backend: Backend) -> dict[str, nn.Module]:
    """One layer of each family, for inputs of four channels."""
    learnt: dict[str, Any] = {"rng": 0, "backend": backend}
    named: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
        "Conv": ((4, 6, 3), {"groups": 2, "padding": "same", "padding_mode": "reflect", **learnt}),
        "ConvTranspose": ((4, 6, 3), {"stride": 2, "output_padding": 1, **learnt}),
        "MaxPool": ((2,), {"ceil_mode": True}),
        "AvgPool": ((3,), {"stride": 2, "padding": 1}),
        "LPPool": ((2, 2), {}),
        "AdaptiveAvgPool": ((3,), {}),
        "AdaptiveMaxPool": ((3,), {}),
        "ZeroPad": ((2,), {}),
        "ConstantPad": ((2, 0.5), {}),
        "ReflectionPad": ((2,), {}),
        "ReplicationPad": ((2,), {}),
        "CircularPad": ((2,), {}),
    }
    return {
        name: getattr(nn, f"{name}{dimension}d")(*arguments, **options) for name, (arguments, options) in named.items()
    }


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_a_single_sample_is_a_batch_of_one_and_dtypes_stay(backend: Backend, dtype: Any, dimension: int) -> None:
    name = str(dtype).rpartition(".")[2].strip("'>")
    x = operations.abs(drawn(backend, 2, 4, *SIZES[dimension]))
    x = backend.asarray(x, dtype=dtype)
    for layer in layers(dimension, backend).values():
        with no_grad():
            batch, one = layer.to(dtype=name)(x), layer(x[1, ...])
        np.testing.assert_allclose(to_numpy(batch)[1], to_numpy(one), rtol=1e-5, atol=1e-6, err_msg=repr(layer))
        assert batch.dtype == x.dtype, layer


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_gradients_come_through_every_layer(backend: Backend, dimension: int) -> None:
    head = getattr(nn, f"Conv{dimension}d")(2, 4, 1, rng=0, backend=backend)
    x = drawn(backend, 2, 2, *SIZES[dimension])
    for name, layer in layers(dimension, backend).items():
        for parameter in (*head.parameters(), *layer.parameters()):
            parameter.grad = None
        operations.sum(layer(operations.abs(head(x)))).backward()
        for parameter in (*head.parameters(), *layer.parameters()):
            assert np.isfinite(to_numpy(parameter.grad)).all(), name
            assert np.any(to_numpy(parameter.grad) != 0), name


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_maxima_find_their_way_back(backend: Backend, dimension: int) -> None:
    x = drawn(backend, 2, 3, *[6] * dimension)
    pool = getattr(nn, f"MaxPool{dimension}d")(2, return_indices=True)
    unpool = getattr(nn, f"MaxUnpool{dimension}d")(2)
    y, indices = pool(x)
    back = unpool(y, indices)
    np.testing.assert_array_equal(to_numpy(pool(back)[0])[to_numpy(y) > 0], to_numpy(y)[to_numpy(y) > 0])
    assert np.count_nonzero(to_numpy(back)) == to_numpy(y).size
    assert unpool(y, indices, output_size=(7,) * dimension).shape == (2, 3, *[7] * dimension)


def test_an_index_outside_its_image_is_refused_where_it_can_be_read() -> None:
    x, indices = np.ones((2, 1, 2)), np.asarray([[[0, 1]], [[4, 0]]])
    with pytest.raises(RangeError):
        nn.MaxUnpool1d(2)(x, indices)
    with pytest.raises(RangeError):
        nn.MaxUnpool1d(2)(x, indices - 4)


def test_pixels_are_shuffled_and_back(backend: Backend) -> None:
    x = backend.asarray(np.arange(2 * 8 * 3 * 5.0).reshape(2, 8, 3, 5))
    y = nn.PixelShuffle(2)(x)
    assert y.shape == (2, 2, 6, 10)
    assert to_numpy(y)[0, 0, :2, :2].tolist() == [[0, 15], [30, 45]]
    np.testing.assert_array_equal(to_numpy(nn.PixelUnshuffle(2)(y)), to_numpy(x))


def test_upsampling_gives_the_size_it_says(backend: Backend) -> None:
    x = drawn(backend, 1, 2, 4, 6)
    for options, size in (
        ({"scale_factor": 2}, (8, 12)),
        ({"scale_factor": (0.5, 1.4)}, (2, 8)),
        ({"size": 3}, (3, 3)),
        ({"size": (5, 7), "mode": "bicubic", "align_corners": True}, (5, 7)),
        ({"scale_factor": 1.3, "mode": "area"}, (5, 7)),
    ):
        assert nn.Upsample(**options)(x).shape == (1, 2, *size)


def test_unflatten_undoes_flatten(backend: Backend) -> None:
    x = drawn(backend, 2, 3, 4, 5)
    y = nn.Unflatten(1, (3, -1, 5))(nn.Flatten()(x))
    np.testing.assert_array_equal(to_numpy(y), to_numpy(x))


COMPOSED: dict[str, tuple[Any, tuple[int, ...]]] = {
    "norms": (lambda: nn.LPPool2d(3, (2, 1), 1), (1, 2, 3, 2)),
    "pixels": (lambda: nn.PixelShuffle(2), (1, 4, 2, 1)),
    "pixels back": (lambda: nn.PixelUnshuffle(2), (1, 1, 4, 2)),
    "a frame and a cut": (lambda: nn.CircularPad2d((-1, 2, 1, 0)), (1, 1, 3, 4)),
    "axes": (lambda: nn.Unflatten(1, (2, 2)), (2, 4)),
}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", COMPOSED)
def test_derivatives_of_both_orders_are_right(backend: Backend, name: str, order: int) -> None:
    make, shape = COMPOSED[name]
    layer = make()
    x = backend.asarray(np.random.default_rng(0).uniform(0.5, 1.5, shape))
    check_gradients(lambda x: layer(x * x), x, order=order, directional=True)


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_of_unpooling_are_right(backend: Backend, order: int) -> None:
    pool, unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
    x = backend.asarray(np.random.default_rng(0).permutation(24).reshape(1, 1, 4, 6) / 8)
    check_gradients(lambda x: unpool(*pool(x * x)), x, order=order, directional=True)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("padding_mode", ["zeros", "reflect"])
def test_derivatives_of_a_convolution_are_right(backend: Backend, padding_mode: str, order: int) -> None:
    options: dict[str, Any] = {"rng": 0, "backend": backend, "dtype": "float64"}
    down = nn.Conv2d(2, 2, 3, stride=2, padding=1, groups=2, padding_mode=padding_mode, **options)
    up = nn.ConvTranspose2d(2, 1, 2, stride=2, output_padding=1, **options)
    x = backend.asarray(np.random.default_rng(0).standard_normal((1, 2, 4, 3)))
    check_gradients(lambda x: operations.tanh(up(operations.tanh(down(x)))), x, order=order, directional=True)


REFUSED: list[tuple[Any, tuple[int, ...], type[PortmlError], str]] = [
    (lambda: nn.Conv2d(3, 4, 5), (1, 3, 4, 4), ShapeError, r"weight \(4, 3, 5, 5\).*larger than x \(1, 3, 4, 4\)"),
    (lambda: nn.Conv2d(3, 4, 5), (1, 2, 8, 8), ShapeError, r"expected an input of shape \(N, 3, H, W\), got \(1, 2, 8"),
    (
        lambda: nn.Conv1d(3, 4, 5),
        (1, 3, 8, 8),
        ShapeError,
        r"Conv1d: expected an input of shape \(N, C, L\) or \(C, L\)",
    ),
    (lambda: nn.Conv3d(3, 4, (1, 2)), (), ArgumentError, r"kernel_size: .*or 3 of them, got \(1, 2\)"),
    (lambda: nn.Conv2d(3, 4, 0), (), ArgumentError, "kernel_size: expected an integer of at least 1"),
    (lambda: nn.Conv2d(3, 4, 3, padding=-1), (), ArgumentError, "padding: expected an integer of at least 0"),
    (lambda: nn.Conv2d(3, 4, 3, padding="full"), (), ArgumentError, "'same' or 'valid', got 'full'"),
    (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), (), ArgumentError, "for a stride of 1 only"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), (), ArgumentError, "expected a divisor of in_channels=3"),
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="wrap"), (), ArgumentError, "padding_mode: expected one of"),
    (lambda: nn.Conv2d(1, 1, 3, padding=4, padding_mode="reflect"), (1, 1, 4, 4), ShapeError, "at least 5"),
    (lambda: nn.Conv2d(-3, 4, 3), (), ArgumentError, "in_channels: expected an integer of at least 0, got -3"),
    (lambda: nn.Conv2d(3, 0, 3), (), ArgumentError, "out_channels: expected an integer of at least 1, got 0"),
    (lambda: nn.Conv2d("3", 4, 3), (), ArgumentError, "in_channels: expected an integer, got '3'"),
    (lambda: nn.Conv2d(4, 4, 3, groups=2.0), (), ArgumentError, r"groups: expected an integer, got 2\.0"),
    (lambda: nn.ConvTranspose2d(4, 4, 3, groups=0), (), ArgumentError, "groups: expected an integer of at least 1"),
    (lambda: nn.ConvTranspose2d(3, 4, 3, output_padding=1), (1, 3, 4, 4), ArgumentError, "must be less than"),
    (lambda: nn.ConvTranspose2d(3, 4, 3), (1, 4, 4, 4), ShapeError, r"\(N, 3, H, W\), got \(1, 4, 4, 4\)"),
    (lambda: nn.ConvTranspose1d(3, 4, 3, padding=4), (1, 3, 2), ShapeError, "pad less, or take a larger input"),
    (lambda: nn.MaxPool2d(5), (1, 3, 4, 4), ShapeError, r"a window of \(5, 5\) is larger than x \(1, 3, 4, 4\)"),
    (lambda: nn.MaxPool1d(2, padding=2), (1, 3, 4), ArgumentError, "at most half of the window"),
    (
        lambda: nn.MaxPool2d(2),
        (4, 4),
        ShapeError,
        r"MaxPool2d: .* \(N, C, H, W\) or \(C, H, W\), got \(4, 4\)",
    ),
    (lambda: nn.AvgPool2d(2, divisor_override=0), (), ArgumentError, "divisor_override: expected another integer"),
    (lambda: nn.LPPool2d(0, 2), (), ArgumentError, "norm_type: expected a positive number"),
    (lambda: nn.AdaptiveAvgPool2d((3, 2, 1)), (), ArgumentError, "output_size: expected an integer"),
    (lambda: nn.AdaptiveMaxPool2d(0), (), ArgumentError, "output_size: expected an integer of at least 1"),
    (lambda: nn.ReflectionPad2d(4), (1, 3, 4, 4), ShapeError, "must have at least 5"),
    (lambda: nn.ReflectionPad2d((1, 2, 3)), (), ArgumentError, "padding: expected an integer, or 4 of them"),
    (lambda: nn.ReflectionPad2d(1), (4, 4), ShapeError, "with 2 spatial axes, got"),
    (lambda: nn.ZeroPad1d(-2), (1, 3, 4), ShapeError, "leaves nothing of an input"),
    (lambda: nn.Upsample(), (), ArgumentError, "expected one of the two"),
    (lambda: nn.Upsample(2, mode="bilinear"), (1, 3, 4), ShapeError, r"takes inputs of 4 axes.*got \(1, 3, 4\)"),
    (lambda: nn.Upsample(2, mode="cubic"), (), ArgumentError, "mode: expected one of"),
    (lambda: nn.Upsample(2, align_corners=True), (), ArgumentError, "align_corners: it is for"),
    (lambda: nn.Upsample(scale_factor=0.1), (1, 3, 4), ShapeError, "leaves nothing of"),
    (lambda: nn.Upsample(scale_factor=(2, 2)), (1, 3, 4), ArgumentError, "one for each of 1 axes"),
    (lambda: nn.Upsample(size=(2, 2)), (1, 3, 4), ArgumentError, r"size: .*got \(2, 2\)"),
    (lambda: nn.PixelShuffle(2), (1, 3, 4, 4), ShapeError, "multiple of 2² = 4, got 3"),
    (lambda: nn.PixelUnshuffle(3), (1, 3, 4, 4), ShapeError, "divisible by 3"),
    (lambda: nn.Unflatten(1, (2, -1)), (1, 3, 4), ShapeError, "has 3 elements"),
    (lambda: nn.Unflatten(1, (-1, -1)), (), ArgumentError, "one of them -1"),
]


@pytest.mark.parametrize(("make", "shape", "error", "says"), REFUSED, ids=[says for *_, says in REFUSED])
def test_what_does_not_fit_is_refused(
    backend: Backend, make: Any, shape: tuple[int, ...], error: type[PortmlError], says: str
) -> None:
    with pytest.raises(error, match=says):
        make().to(backend)(backend.zeros(shape, "float32"))


def test_a_result_of_another_size_is_refused(backend: Backend) -> None:
    x = drawn(backend, 1, 3, 4, 4)
    layer = nn.ConvTranspose2d(3, 4, 3, stride=2, rng=0, backend=backend)
    assert layer(x, output_size=(10, 9)).shape == (1, 4, 10, 9)
    with pytest.raises(ShapeError, match=r"not between \(9, 9\) and \(10, 10\)"):
        layer(x, output_size=(11, 9))
    indices = backend.zeros((1, 3, 4, 4), "int64")
    with pytest.raises(ShapeError, match=r"\(8, 8\), the size that"):
        nn.MaxUnpool2d(2)(x, indices, output_size=(10, 8))
    with pytest.raises(ShapeError, match="expected indices of the shape of x"):
        nn.MaxUnpool2d(2)(x, indices[:, :2, ...])


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_a_window_of_zeros_has_a_norm_and_a_gradient_of_zero(backend: Backend, ceil_mode: bool) -> None:
    x = Tensor(backend.asarray([[[0.0, 0.0, 3.0, 4.0, 0.0]]]), requires_grad=True)
    y = nn.LPPool1d(2, 2, ceil_mode=ceil_mode)(x)
    assert to_numpy(y).tolist() == [[[0.0, 5.0, 0.0][: y.shape[2]]]]
    operations.sum(y).backward()
    np.testing.assert_allclose(to_numpy(x.grad), [[[0, 0, 0.6, 0.8, 0]]])
