"""Normalisation layers beside PyTorch's, running statistics included, and beside ONNX's node cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from portml import nn
from portml.backends import kernels_switched, to_numpy
from portml.backends.kernels.feature_normalisation import local_response_norm, rms_norm
from portml.backends.kernels.group_normalisation import group_norm
from portml.backends.kernels.normalisation import batch_norm_inference, layer_norm
from tests.oracle.layer_oracle import compare_layers, drawn
from tests.oracle.onnx_cases import NodeCase, node_cases

BATCH = [
    {}, {"momentum": None}, {"momentum": 0.7, "eps": 1e-2}, {"affine": False}, {"track_running_stats": False},
    {"bias": False}, {"affine": False, "track_running_stats": False},
]  # fmt: skip
INSTANCE = [
    {}, {"affine": True}, {"track_running_stats": True}, {"affine": True, "track_running_stats": True, "momentum": 0.4},
    {"affine": True, "bias": False, "eps": 1e-2}, {"affine": True, "bias": False, "track_running_stats": True},
]  # fmt: skip

GRID: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    *[("BatchNorm1d", (5,), options, shape) for options in BATCH for shape in ((6, 5), (6, 5, 3), (2, 5))],
    *[("BatchNorm2d", (5,), options, shape) for options in BATCH for shape in ((3, 5, 4, 2), (1, 5, 3, 3))],
    *[("BatchNorm3d", (4,), options, shape) for options in BATCH for shape in ((2, 4, 3, 2, 3), (1, 4, 2, 1, 2))],
    *[("InstanceNorm1d", (5,), options, shape) for options in INSTANCE for shape in ((3, 5, 7), (5, 4), (1, 5, 2))],
    *[("InstanceNorm2d", (5,), options, shape) for options in INSTANCE for shape in ((3, 5, 4, 3), (5, 4, 3))],
    *[("InstanceNorm3d", (4,), options, shape) for options in INSTANCE for shape in ((2, 4, 3, 2, 2), (4, 2, 3, 2))],
    *[
        ("GroupNorm", sizes, options, (3, sizes[1], *places))
        for sizes in ((1, 6), (2, 6), (6, 6), (3, 6), (1, 1))
        for options in ({}, {"affine": False}, {"eps": 1e-2, "bias": False})
        for places in ((4,), (5, 3), (2, 3, 2))
    ],
    *[
        ("GroupNorm", (2, 6), options, (4, 6))
        for options in ({}, {"affine": False}, {"eps": 1e-2, "bias": False})
    ],
    *[
        ("LayerNorm", (normalized,), options, (4, 3, 7))
        for normalized in (7, (7,), (3, 7), (4, 3, 7))
        for options in ({}, {"eps": 1e-2}, {"bias": False}, {"elementwise_affine": False})
    ],
    *[
        ("RMSNorm", (normalized,), options, (4, 3, 7))
        for normalized in (7, (7,), (3, 7), (4, 3, 7))
        for options in ({}, {"eps": 1e-2}, {"elementwise_affine": False}, {"eps": 1e-6})
    ],
    *[
        ("LocalResponseNorm", (size,), options, shape)
        for size in (1, 2, 3, 4, 5, 9)
        for options in ({}, {"alpha": 0.5, "beta": 0.5, "k": 2.0}, {"alpha": 1.0, "beta": 1.3})
        for shape in ((2, 5, 4), (2, 6, 3, 2), (2, 4, 2, 3, 2))
    ],
]  # fmt: skip


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted({name for name, *_ in GRID}))
def test_a_normalisation_layer_does_what_pytorchs_does(name: str, dtype: str, training: bool) -> None:
    for kind, arguments, options, shape in GRID:
        if kind == name:
            compare_layers(*built(kind, arguments, options, dtype, training), [drawn(*shape, dtype=dtype)])


@pytest.mark.parametrize("name", ["GroupNorm", "InstanceNorm2d", "RMSNorm", "LocalResponseNorm"])
def test_the_bodies_alone_do_what_pytorchs_layers_do(name: str) -> None:
    with kernels_switched("agnostic", "numpy"):
        test_a_normalisation_layer_does_what_pytorchs_does(name, "float64", True)


def built(
    name: str, arguments: tuple[Any, ...], options: dict[str, Any], dtype: str, training: bool
) -> tuple[nn.Module, torch.nn.Module]:
    """Our layer and PyTorch's."""
    theirs = getattr(torch.nn, name)(*arguments, **options).to(getattr(torch, dtype)).train(training)
    typed = {} if name == "LocalResponseNorm" else {"dtype": dtype}
    return getattr(nn, name)(*arguments, **options, **typed).train(training), theirs


def run_batch_normalization(each: NodeCase) -> Any:
    x, scale, bias, mean, var = each.inputs
    eps, training = each.attributes.get("epsilon", 1e-5), each.attributes.get("training_mode", 0)
    if not training:
        return batch_norm_inference(x, mean, var, scale, bias, eps=eps)
    # ONNX's momentum is the weight of the old value, and its running variance follows the biased one.
    layer = {3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[max(x.ndim, 3)](
        x.shape[1], eps, 1 - each.attributes.get("momentum", 0.9), unbiased=False
    )
    layer.load_state_dict(
        {"weight": scale, "bias": bias, "running_mean": mean, "running_var": var, "num_batches_tracked": np.asarray(0)}
    )
    y = layer(x)
    return y, layer.running_mean, layer.running_var


def run_group_normalization(each: NodeCase) -> Any:
    x, scale, bias = each.inputs
    return group_norm(x, scale, bias, groups=each.attributes["num_groups"], eps=each.attributes.get("epsilon", 1e-5))


def run_instance_normalization(each: NodeCase) -> Any:
    x, scale, bias = each.inputs
    return group_norm(x, scale, bias, groups=x.shape[1], eps=each.attributes.get("epsilon", 1e-5))


def run_layer_normalization(each: NodeCase) -> Any:
    x, scale, bias = each.inputs
    axes = tuple(range(each.attributes.get("axis", -1) % x.ndim, x.ndim))
    return layer_norm(x, scale, bias, axes=axes, eps=each.attributes.get("epsilon", 1e-5))


def run_rms_normalization(each: NodeCase) -> Any:
    x, scale = each.inputs
    axes = tuple(range(each.attributes.get("axis", -1) % x.ndim, x.ndim))
    return rms_norm(x, scale, axes=axes, eps=each.attributes.get("epsilon", 1e-5))


def run_lrn(each: NodeCase) -> Any:
    constants = {"alpha": each.attributes.get("alpha", 1e-4), "beta": each.attributes.get("beta", 0.75)}
    return local_response_norm(
        each.inputs[0], size=each.attributes["size"], k=each.attributes.get("bias", 1.0), **constants
    )


ONNX = {
    "BatchNormalization": run_batch_normalization,
    "GroupNormalization": run_group_normalization,
    "InstanceNormalization": run_instance_normalization,
    "LayerNormalization": run_layer_normalization,
    "RMSNormalization": run_rms_normalization,
    "LRN": run_lrn,
}


@pytest.mark.parametrize("operator", ONNX)
def test_onnxs_cases_come_out(operator: str) -> None:
    for each in node_cases(operator):
        results = ONNX[operator](each)
        results = results if isinstance(results, tuple) else (results,)
        for result, expected in zip(results, each.outputs, strict=False):
            np.testing.assert_allclose(to_numpy(result), expected, rtol=1e-5, atol=1e-5, err_msg=each.name)
