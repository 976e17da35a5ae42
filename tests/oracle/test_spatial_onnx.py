"""Operators over spatial axes on ONNX's own cases; those beyond what PyTorch's layers have words for are listed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portml import nn
from portml.backends.kernels.convolution import convolution
from portml.backends.kernels.convolution_transpose import convolution_transpose
from portml.backends.kernels.indexing import pad
from portml.backends.kernels.padding import pad_with_itself
from portml.backends.kernels.pooling import avg_pool, max_pool, max_pool_with_indices
from portml.backends.kernels.resampling import resample
from tests.oracle.onnx_cases import NodeCase, node_cases

Numbers = np.ndarray[Any, Any]
Pairs = tuple[tuple[int, int], ...]

BEYOND = {
    # What of ONNX these layers have no words for.
    "test_maxpool_2d_uint8": "images of floating-point numbers only",
    "test_maxpool_with_argmax_2d_precomputed_strides": "indices in column-major order",
    "test_maxpool_2d_pads": "padding of more than half a window",
    "test_averagepool_2d_pads": "padding of more than half a window",
    "test_averagepool_2d_pads_count_include_pad": "padding of more than half a window",
    "test_lppool_2d_pads": "padded norms",
    "test_lppool_2d_same_upper": "padded norms",
    "test_lppool_2d_same_lower": "padded norms",
    "test_resize_upsample_sizes_nearest_floor_align_corners": "nearest with corners aligned",
    "test_resize_upsample_sizes_nearest_ceil_half_pixel": "nearest rounded up",
    "test_resize_upsample_sizes_nearest_round_prefer_ceil_asymmetric": "nearest rounded up",
    "test_resize_upsample_scales_cubic_asymmetric": "another place of the cubic's elements",
    "test_resize_downsample_scales_linear_half_pixel_symmetric": "another place of the elements",
    "test_resize_upsample_scales_linear_half_pixel_symmetric": "another place of the elements",
    "test_resize_upsample_sizes_nearest": "½ rounded down",
    "test_resize_downsample_sizes_nearest": "½ rounded down",
    "test_resize_downsample_scales_linear_align_corners": "a result whose length is no integer",
    "test_resize_downsample_scales_cubic_align_corners": "a result whose length is no integer",
    "test_resize_downsample_sizes_linear_pytorch_half_pixel": "a place of its own for a single result",
}
BEYOND_WORDS = {
    "dilations": {"AveragePool", "LpPool"},  # windows with holes
    "antialias": {"Resize"},
    "keep_aspect_ratio_policy": {"Resize"},
    "extrapolation_value": {"Resize"},
    "exclude_outside": {"Resize"},
    "axes": {"Resize"},
}


def cases_of(*operators: str) -> list[Any]:
    found = []
    for operator in operators:
        for case in node_cases(operator):
            words = any(operator in BEYOND_WORDS.get(name, ()) for name in case.attributes)
            if case.name not in BEYOND and not words and "crop" not in case.name:
                found.append(pytest.param(case, id=case.name))
    return found


def agree(actual: Any, expected: Any, rtol: float = 1e-5) -> None:
    assert np.shape(actual) == np.shape(expected)
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=rtol, atol=1e-6)


def around(case: NodeCase, lengths: tuple[int, ...], window: tuple[int, ...], stride: tuple[int, ...]) -> Pairs:
    """The padding of each axis, of which "SAME" keeps ⌈length / stride⌉ places; an odd rest goes after or before."""
    how, n = case.attributes.get("auto_pad", "NOTSET"), len(lengths)
    if not how.startswith("SAME"):
        pads = case.attributes.get("pads", [0] * 2 * n)
        return tuple((pads[i], pads[n + i]) for i in range(n))
    both = [max((-(-d // s) - 1) * s + k - d, 0) for d, k, s in zip(lengths, window, stride, strict=True)]
    halves = [(total // 2, total - total // 2) for total in both]
    return tuple(half if how == "SAME_UPPER" else half[::-1] for half in halves)


def sizes(case: NodeCase, name: str, count: int) -> tuple[int, ...]:
    return tuple(case.attributes.get(name, [1] * count))


@pytest.mark.parametrize("case", cases_of("Conv"))
def test_convolution_is_onnxs(case: NodeCase) -> None:
    x, weight, *bias = case.inputs
    assert x is not None
    assert weight is not None
    n = x.ndim - 2
    stride, dilation = sizes(case, "strides", n), sizes(case, "dilations", n)
    padding, groups = around(case, x.shape[2:], weight.shape[2:], stride), case.attributes.get("group", 1)
    given = bias[0] if bias else None
    y = convolution(x, weight, given, stride=stride, padding=padding, dilation=dilation, groups=groups)
    agree(y, case.outputs[0])


@pytest.mark.parametrize("case", cases_of("ConvTranspose"))
def test_transposed_convolution_is_onnxs(case: NodeCase) -> None:
    x, weight, *_ = case.inputs
    assert x is not None
    assert weight is not None
    n = x.ndim - 2
    stride, dilation = sizes(case, "strides", n), sizes(case, "dilations", n)
    more = tuple(case.attributes.get("output_padding", [0] * n))
    wanted = case.attributes.get("output_shape")
    if case.attributes.get("auto_pad") == "SAME_UPPER":
        wanted = [d * s for d, s in zip(x.shape[2:], stride, strict=True)]
    padding = around(case, (0,) * n, (0,) * n, (1,) * n) if "auto_pad" not in case.attributes else ((0, 0),) * n
    if wanted is not None:
        full = [(d - 1) * s + k for d, s, k in zip(x.shape[2:], stride, weight.shape[2:], strict=True)]
        more = tuple(max(size - length, 0) for size, length in zip(wanted, full, strict=True))
        cut = [max(length - size, 0) for size, length in zip(wanted, full, strict=True)]
        padding = tuple((total // 2, total - total // 2) for total in cut)
    y = convolution_transpose(
        x,
        weight,
        None,
        stride=stride,
        padding=padding,
        output_padding=more,
        dilation=dilation,
        groups=case.attributes.get("group", 1),
    )
    agree(y, case.outputs[0])


@pytest.mark.parametrize("case", cases_of("MaxPool"))
def test_max_pooling_is_onnxs(case: NodeCase) -> None:
    x = case.inputs[0]
    assert x is not None
    window = tuple(case.attributes["kernel_shape"])
    n = len(window)
    stride, dilation = sizes(case, "strides", n), sizes(case, "dilations", n)
    padding = around(case, x.shape[2:], window, stride)
    statics: dict[str, Any] = {"kernel_size": window, "stride": stride, "dilation": dilation}
    statics["ceil_mode"] = bool(case.attributes.get("ceil_mode", 0))
    if any(before != after for before, after in padding):
        x, padding = pad(x, widths=((0, 0), (0, 0), *padding), value=-np.inf), ((0, 0),) * n
    pooled = {"padding": tuple(before for before, _ in padding), **statics}
    agree(max_pool(x, **pooled), case.outputs[0])
    if len(case.outputs) > 1:
        agree(max_pool_with_indices(x, **pooled)[1], case.outputs[1])


@pytest.mark.parametrize("case", cases_of("AveragePool"))
def test_mean_pooling_is_onnxs(case: NodeCase) -> None:
    x = case.inputs[0]
    assert x is not None
    window = tuple(case.attributes["kernel_shape"])
    stride = sizes(case, "strides", len(window))
    padding = around(case, x.shape[2:], window, stride)
    statics: dict[str, Any] = {"kernel_size": window, "stride": stride, "padding": tuple(max(pair) for pair in padding)}
    counts = bool(case.attributes.get("count_include_pad", 0))
    y = avg_pool(x, **statics, ceil_mode=bool(case.attributes.get("ceil_mode", 0)), count_include_pad=counts)
    # Where ONNX pads one side only, the windows of the other are left out.
    key = tuple(slice(pair[0] < pair[1], None if pair[0] <= pair[1] else -1) for pair in padding)
    agree(y[(..., *key)], case.outputs[0], 1e-3 if "last_window" in case.name else 1e-5)  # that one has four digits


@pytest.mark.parametrize("case", cases_of("LpPool"))
def test_norm_pooling_is_onnxs(case: NodeCase) -> None:
    window = tuple(case.attributes["kernel_shape"])
    stride = sizes(case, "strides", len(window))
    layer = getattr(nn, f"LPPool{len(window)}d")(case.attributes["p"], window, stride)
    x = np.abs(case.inputs[0]) if case.inputs[0] is not None else None  # ours takes no absolute values, ONNX does
    agree(layer(x), case.outputs[0])


@pytest.mark.parametrize("case", cases_of("GlobalAveragePool", "GlobalMaxPool"))
def test_global_pooling_is_adaptive_pooling_to_one(case: NodeCase) -> None:
    layer = nn.AdaptiveAvgPool2d(1) if "average" in case.name else nn.AdaptiveMaxPool2d(1)
    agree(layer(case.inputs[0]), case.outputs[0])


@pytest.mark.parametrize("case", cases_of("MaxUnpool"))
def test_unpooling_is_onnxs(case: NodeCase) -> None:
    x, indices, *size = case.inputs
    layer = nn.MaxUnpool2d(tuple(case.attributes["kernel_shape"]), tuple(case.attributes["strides"]))
    if size and size[0] is not None:  # ONNX counts within the smaller image
        y = np.zeros(case.outputs[0].shape, "float32") if case.outputs[0] is not None else None
        assert y is not None
        assert indices is not None
        y.reshape(-1)[indices.reshape(-1)] = np.asarray(x).reshape(-1)
        y_ours = layer(x, indices, output_size=tuple(int(length) for length in size[0][-2:]))
        agree(y_ours, y)
    else:
        agree(layer(x, indices), case.outputs[0])


@pytest.mark.parametrize("case", cases_of("Resize"))
def test_resampling_is_onnxs(case: NodeCase) -> None:
    x, _, scales = case.inputs[:3]
    assert x is not None
    mode = case.attributes["mode"]
    aligned = case.attributes.get("coordinate_transformation_mode") == "align_corners"
    expected = case.outputs[0]
    assert expected is not None
    scale = (None, None) if scales is None else tuple(float(one) for one in scales[2:])
    if mode == "nearest":  # ONNX rounds ½ down, "nearest-exact" up; in these cases no result lies between
        mode = "nearest-exact"
    y = resample(x, size=expected.shape[2:], mode=mode, align_corners=aligned, scale=scale)
    agree(y, expected)


@pytest.mark.parametrize("case", cases_of("Pad"))
def test_padding_is_onnxs(case: NodeCase) -> None:
    x, pads, *rest = case.inputs
    assert x is not None
    assert pads is not None
    n = len(pads) // 2
    axes = [int(axis) for axis in rest[1]] if len(rest) > 1 and rest[1] is not None else list(range(n))
    widths = [(0, 0)] * x.ndim
    for i, axis in enumerate(axes):
        widths[axis] = (int(pads[i]), int(pads[n + i]))
    mode = {"edge": "replicate", "wrap": "circular"}.get(case.attributes["mode"], case.attributes["mode"])
    if mode == "constant":
        value = float(rest[0]) if rest[0] is not None else 0.0
        agree(pad(x, widths=tuple(widths), value=value), case.outputs[0])
    else:
        agree(pad_with_itself(x, widths=tuple(widths), mode=mode), case.outputs[0])


@pytest.mark.parametrize("case", cases_of("DepthToSpace", "SpaceToDepth"))
def test_pixel_shuffles_are_onnxs(case: NodeCase) -> None:
    """PyTorch's order of channels is ONNX's CRD; DCR has the block before the channel."""
    x, r = case.inputs[0], case.attributes["blocksize"]
    assert x is not None
    block_first = case.attributes.get("mode", "DCR") == "DCR"
    if "depthtospace" in case.name:
        if block_first:
            c = x.shape[1] // r**2
            x = x.reshape(x.shape[0], r * r, c, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)
        y = nn.PixelShuffle(r)(x)
    else:
        y = nn.PixelUnshuffle(r)(x)
        if block_first:
            y = y.reshape(y.shape[0], x.shape[1], r * r, *y.shape[2:]).swapaxes(1, 2).reshape(y.shape)
    agree(y, case.outputs[0])


def test_every_operator_has_cases_left() -> None:
    for operator in ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "Resize", "Pad"):
        assert len(cases_of(operator)) > 3
