"""Every activation beside PyTorch's and, where it has an operator, ONNX's: values and gradients, edges included."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from portml import nn
from portml.backends import kernels_switched
from portml.nn import functional as F
from tests.oracle.module_oracle import compare_modules
from tests.oracle.onnx_cases import node_cases

pytestmark = pytest.mark.oracle

RNG = np.random.default_rng(0)
EDGES = np.asarray([0.0, -1e-8, 1e-8, 1.0, -1.0, 3.0, -3.0, 6.0, 0.5, -0.5, 19.9, 20.1, -30.0, 88.0, -88.0, 1e4, -1e4])
PLAIN = (
    "ReLU", "Sigmoid", "Tanh", "SiLU", "Mish", "SELU", "Softsign", "LogSigmoid", "Tanhshrink", "ReLU6", "Hardsigmoid",
    "Hardswish",
)  # fmt: skip
OPTIONS: dict[str, list[dict[str, Any]]] = {
    **{name: [{}] for name in PLAIN},
    "LeakyReLU": [{}, {"negative_slope": 0.3}, {"negative_slope": 0.0}],
    "ELU": [{}, {"alpha": 0.3}],
    "CELU": [{}, {"alpha": 0.4}, {"alpha": 2.5}],
    "GELU": [{}, {"approximate": "tanh"}],
    "Softplus": [{}, {"beta": 2.0, "threshold": 5.0}],
    "Hardtanh": [{}, {"min_val": -0.25, "max_val": 3.0}],
    "Hardshrink": [{}, {"lambd": 1.0}],
    "Softshrink": [{}, {"lambd": 1.0}],
    "Threshold": [{"threshold": 0.5, "value": -7.0}],
}
# PyTorch keeps 1/6 and 1/α in single precision in these gradients, whatever the data type.
ROUNDED = {"Hardsigmoid": 3e-8, "CELU": 1e-8}
CASES = [(name, options) for name, every in OPTIONS.items() for options in every]


@pytest.mark.parametrize("kernels", ["fused", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_an_activation_is_pytorch_s(name: str, options: dict[str, Any], dtype: str, kernels: str) -> None:
    tolerance = ROUNDED.get(name) if dtype == "float64" else None
    with kernels_switched(kernels, "numpy"):
        for x in (3 * RNG.normal(size=(5, 7)), EDGES, RNG.normal(size=(70, 100)).T, RNG.normal(size=())):
            ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
            compare_modules(ours, theirs, [x], dtype, tolerance=tolerance)


@pytest.mark.parametrize("kernels", ["fused", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax", "Softmin", "GLU"])
def test_an_activation_along_an_axis_is_pytorch_s(name: str, dtype: str, kernels: str) -> None:
    with kernels_switched(kernels, "numpy"):
        for shape, scale in itertools.product(((4, 6), (2, 6, 4), (2, 4, 3, 2)), (1.0, 100.0)):
            for dim in (0, 1, -1):
                if shape[dim] % 2 == 0:
                    x = scale * RNG.normal(size=shape)
                    compare_modules(getattr(nn, name)(dim), getattr(torch.nn, name)(dim), [x], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_of_images_is_pytorch_s(dtype: str) -> None:
    for shape in ((3, 4, 5), (2, 3, 4, 5)):
        compare_modules(nn.Softmax2d(), torch.nn.Softmax2d(), [RNG.normal(size=shape)], dtype)


@pytest.mark.parametrize("kernels", ["fused", "agnostic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("slopes", "shape"), [(1, (5,)), (1, (4, 3)), (3, (4, 3)), (3, (2, 3, 5)), (3, (2, 3, 4, 2))])
def test_a_parametric_rectifier_is_pytorch_s(slopes: int, shape: tuple[int, ...], dtype: str, kernels: str) -> None:
    with kernels_switched(kernels, "numpy"):
        theirs = torch.nn.PReLU(slopes, 0.3, dtype=getattr(torch, dtype))
        theirs.load_state_dict({"weight": torch.from_numpy(RNG.normal(size=slopes))})
        ours = nn.PReLU(slopes, 0.3, dtype=dtype)
        assert ours.load_state_dict(theirs.state_dict()) == ([], [])
        compare_modules(ours, theirs, [RNG.normal(size=shape)], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_the_error_function_is_pytorch_s(name: str, dtype: str) -> None:
    x = np.concatenate([np.linspace(-6, 6, 501), EDGES])
    compare_modules(getattr(F, name), getattr(torch, name), [x], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("ours", "gate"),
    [
        (nn.GEGLU(1), torch.nn.functional.gelu),
        (nn.GEGLU(1, "tanh"), lambda a: torch.nn.functional.gelu(a, approximate="tanh")),
        (nn.SwiGLU(1), torch.nn.functional.silu),
        (nn.ReGLU(1), torch.relu),
    ],
    # Not the functions' own names, which have an address that each worker sees differently.
    ids=["geglu", "geglu tanh", "swiglu", "reglu"],
)
def test_gated_units_are_products_of_pytorch_s_activations(ours: Any, gate: Any, dtype: str) -> None:
    def theirs(x: torch.Tensor) -> torch.Tensor:
        a, b = x.chunk(2, dim=1)
        return gate(a) * b  # type: ignore[no-any-return]

    compare_modules(ours, theirs, [3 * RNG.normal(size=(3, 8, 5))], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_maxout_is_the_maximum_over_neighbours(dtype: str) -> None:
    x = RNG.normal(size=(3, 8, 5))
    compare_modules(nn.Maxout(4, 1), lambda x: x.reshape(3, 2, 4, 5).amax(dim=2), [x], dtype)


ONNX: dict[str, Any] = {
    "Relu": F.relu,
    "LeakyRelu": lambda x, alpha=0.01: F.leaky_relu(x, negative_slope=alpha),
    "Elu": lambda x, alpha=1.0: F.elu(x, alpha=alpha),
    "Celu": lambda x, alpha=1.0: F.celu(x, alpha=alpha),
    "Gelu": lambda x, approximate="none": F.gelu(x, approximate=approximate),
    "HardSwish": F.hardswish,
    # Other constants than the paper's are no SELU.
    "Selu": lambda x, **other: None if other else F.selu(x),
    "Shrink": lambda x, lambd, bias=0.0: (F.softshrink if bias else F.hardshrink)(x, lambd=lambd),
    "Swish": lambda x, alpha: F.silu(x),
    "ThresholdedRelu": lambda x, alpha=1.0: F.threshold(x, threshold=alpha, value=0.0),
    "Mish": F.mish,
    "Sigmoid": F.sigmoid,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Erf": F.erf,
    "Softmax": lambda x, axis=-1: F.softmax(x, axis=axis),
    "LogSoftmax": lambda x, axis=-1: F.log_softmax(x, axis=axis),
}


@pytest.mark.parametrize("operator", ONNX)
def test_the_node_cases_of_onnx_come_out(operator: str) -> None:
    checked = 0
    for case in node_cases(operator):
        if case.inputs[0] is None or case.inputs[0].dtype.kind != "f" or case.inputs[0].dtype.itemsize < 4:
            continue
        y = ONNX[operator](*case.inputs, **case.attributes)
        if y is None:
            continue
        np.testing.assert_allclose(y, case.outputs[0], rtol=1e-5, atol=1e-6, err_msg=case.name)
        checked += 1
    assert checked > 0
