"""Configurations of the layers over spatial axes that are compared with PyTorch's: arguments, options, input shape.

Where a layer exists for one, two and three axes, each configuration is written for one number of axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, TypeAlias

__all__ = ["CONFIGURATIONS", "Configuration", "described"]

Configuration: TypeAlias = tuple[tuple[Any, ...], dict[str, Any], tuple[int, ...]]

IMAGE = (2, 4, 9, 8)
SIGNAL = (2, 4, 11)
VOLUME = (2, 4, 5, 6, 5)


def convolutions() -> Iterator[tuple[str, Configuration]]:
    for stride, padding, dilation in product((1, (2, 3)), (0, (1, 2), "valid"), (1, (2, 1))):
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        yield "Conv2d", ((4, 6, (3, 2)), options, IMAGE)
    for mode, padding, kernel in product(
        ("zeros", "reflect", "replicate", "circular"), (1, (2, 1), "same"), (3, (4, 2))
    ):
        yield "Conv2d", ((4, 3, kernel), {"padding": padding, "padding_mode": mode}, IMAGE)
    for groups, out in ((2, 6), (4, 4), (4, 8)):
        for options in ({}, {"stride": 2, "padding": 1}, {"dilation": 2, "bias": False}):
            yield "Conv2d", ((4, out, 3), {"groups": groups, **options}, IMAGE)
    yield "Conv2d", ((4, 6, 3), {}, IMAGE[1:])
    yield "Conv2d", ((40, 5, 3), {"padding": 1}, (2, 40, 7, 6))
    for options in (
        {},
        {"stride": 2, "padding": 3, "dilation": 2},
        {"padding": "same", "padding_mode": "circular"},
        {"groups": 4},
        {"groups": 2, "bias": False, "padding": 1, "padding_mode": "reflect"},
        {"padding": "same", "dilation": 3},
    ):
        yield "Conv1d", ((4, 8, 4), options, SIGNAL)
        yield "Conv3d", ((4, 8, (3, 2, 2)), options, VOLUME)
    yield "Conv1d", ((4, 8, 4), {}, SIGNAL[1:])
    yield "Conv3d", ((4, 8, 2), {"stride": (2, 1, 3), "padding": (1, 0, 1)}, VOLUME[1:])
    yield "Conv3d", ((2, 3, 3), {"padding": 2, "stride": 2}, (2, 2, 1, 4, 3))


def transposed_convolutions() -> Iterator[tuple[str, Configuration]]:
    for stride, padding, dilation in product((1, (2, 3)), (0, (1, 2)), (1, (2, 3))):
        for groups, bias in ((1, True), (2, False), (4, True)):
            options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": bias}
            yield "ConvTranspose2d", ((4, 8, (3, 2)), options, (2, 4, 5, 4))
    yield "ConvTranspose2d", ((4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}, (2, 4, 5, 4))
    yield "ConvTranspose2d", ((4, 6, 3), {"dilation": (3, 2), "output_padding": (2, 1)}, (2, 4, 5, 4))
    yield "ConvTranspose2d", ((4, 6, 3), {}, (4, 5, 4))
    for options in ({}, {"stride": 3, "padding": 2, "output_padding": 2}, {"groups": 4, "stride": 2, "dilation": 2}):
        yield "ConvTranspose1d", ((4, 8, 4), options, (2, 4, 6))
        yield "ConvTranspose3d", ((4, 8, (3, 2, 3)), options, (2, 4, 3, 4, 2))


def windows() -> Iterator[tuple[str, Configuration]]:
    for kernel, stride, padding, ceil in product((2, (3, 2)), (None, (2, 1), 3), (0, 1), (False, True)):
        for dilation in (1, (2, 1)):
            options = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil}
            yield "MaxPool2d", ((kernel,), options, IMAGE)
        for count, divisor in ((True, None), (False, None), (False, 5)):
            options = {"stride": stride, "padding": padding, "ceil_mode": ceil, "count_include_pad": count}
            yield "AvgPool2d", ((kernel,), options | {"divisor_override": divisor}, IMAGE)
    for stride, padding, ceil in product((None, 2), (0, 1), (False, True)):
        options = {"stride": stride, "padding": padding, "ceil_mode": ceil}
        for layer, shape in (("1d", SIGNAL), ("3d", VOLUME)):
            yield f"MaxPool{layer}", ((3,), options | {"dilation": 2 - padding}, shape)
            yield f"AvgPool{layer}", ((3,), options | {"count_include_pad": bool(padding)}, shape)
    yield "MaxPool2d", ((2,), {}, IMAGE[1:])
    yield "AvgPool3d", ((2,), {"divisor_override": 3}, VOLUME[1:])
    for layer, shape in (("1d", SIGNAL), ("2d", IMAGE), ("3d", VOLUME)):
        for stride, ceil in product((None, 1), (False, True)):
            yield f"LPPool{layer}", ((2, 3), {"stride": stride, "ceil_mode": ceil}, shape)


def adaptive_windows() -> Iterator[tuple[str, Configuration]]:
    for kind in ("Avg", "Max"):
        for size in (1, 3, (4, 8), (5, None), (12, 3), (9, 8)):
            yield f"Adaptive{kind}Pool2d", ((size,), {}, IMAGE)
        for size in (1, 4, 11, 13):
            yield f"Adaptive{kind}Pool1d", ((size,), {}, SIGNAL)
        for size in (1, (2, 4, 3), (None, 6, 1)):
            yield f"Adaptive{kind}Pool3d", ((size,), {}, VOLUME)
        yield f"Adaptive{kind}Pool2d", ((3,), {}, IMAGE[1:])


def resampling() -> Iterator[tuple[str, Configuration]]:
    sizes = ({"scale_factor": 2}, {"scale_factor": (1.5, 0.7)}, {"size": (5, 17)}, {"size": 1}, {"scale_factor": 2.3})
    exact = {"scale_factor": 2.3, "recompute_scale_factor": True}
    for options, mode in product((*sizes, exact), ("nearest", "nearest-exact", "bilinear", "bicubic", "area")):
        yield "Upsample", ((), options | {"mode": mode}, IMAGE)
        if mode in ("bilinear", "bicubic"):
            yield "Upsample", ((), options | {"mode": mode, "align_corners": True}, IMAGE)
    for mode, shape in product(("nearest", "area"), (SIGNAL, VOLUME)):
        for options in ({"scale_factor": 2}, {"scale_factor": 1.4}, {"size": 7}):
            yield "Upsample", ((), options | {"mode": mode}, shape)
    for options, align in product(({"scale_factor": 2}, {"scale_factor": 1.4}, {"size": 7}), (False, True)):
        yield "Upsample", ((), options | {"mode": "linear", "align_corners": align}, SIGNAL)
        yield "Upsample", ((), options | {"mode": "trilinear", "align_corners": align}, VOLUME)
    yield "UpsamplingNearest2d", ((), {"scale_factor": 3}, IMAGE)
    yield "UpsamplingBilinear2d", ((), {"size": (13, 5)}, IMAGE)
    for factor in (2, 3):
        yield "PixelShuffle", ((factor,), {}, (2, 2 * factor**2, 3, 4))
        yield "PixelUnshuffle", ((factor,), {}, (2, 2, 2 * factor, 3 * factor))
    yield "PixelShuffle", ((2,), {}, (8, 3, 4))


def frames() -> Iterator[tuple[str, Configuration]]:
    widths = {
        "1d": (SIGNAL, (2, (3, 0), (1, -2))),
        "2d": (IMAGE, (2, (3, 0, 1, 2), (-1, 2, 3, -2))),
        "3d": (VOLUME, (1, (2, 1, 0, 3, 1, 2), (1, -1, 0, 2, -2, 1))),
    }
    for layer, (shape, every) in widths.items():
        for kind, width in product(("Zero", "Reflection", "Replication", "Circular"), every):
            yield f"{kind}Pad{layer}", ((width,), {}, shape)
            yield f"{kind}Pad{layer}", ((width,), {}, shape[1:])
        for width in every:
            yield f"ConstantPad{layer}", ((width, -1.5), {}, shape)


def shapes() -> Iterator[tuple[str, Configuration]]:
    yield "Flatten", ((), {}, IMAGE)
    yield "Flatten", ((0, 2), {}, IMAGE)
    yield "Unflatten", ((1, (2, 2)), {}, IMAGE)
    yield "Unflatten", ((-1, (2, -1, 2)), {}, IMAGE)


CONFIGURATIONS: list[tuple[str, Configuration]] = [
    *convolutions(),
    *transposed_convolutions(),
    *windows(),
    *adaptive_windows(),
    *resampling(),
    *frames(),
    *shapes(),
]


def described(configuration: tuple[str, Configuration]) -> str:
    """A configuration as the name of its test."""
    layer, (arguments, options, shape) = configuration
    inside = ", ".join([*map(repr, arguments), *(f"{name}={value!r}" for name, value in options.items())])
    return f"{layer}({inside})-{list(shape)}"
