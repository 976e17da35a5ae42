"""Smooth and piecewise activations on CuPy's arrays; the formulas stand in `portml.backends.kernels`."""

from __future__ import annotations

import math
from typing import Any

from portml.backends.cuda.activation import LOGISTIC
from portml.backends.cuda.glue import elementwise, outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.pointwise import Pointwise, pointwise, register_pointwise
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import error_function, piecewise_activation
from portml.backends.kernels import smooth_activation as twins
from portml.backends.namespaces import Array

__all__ = ["GELU"]

Needs = tuple[bool, ...]

GELU = f"""{LOGISTIC}__device__ T share_below(T x) {{ return T(0.5) * erfc(T({-math.sqrt(0.5)!r}) * x); }}
__device__ T density(T x) {{ return exp(T(-0.5) * x * x) * T({1 / math.sqrt(2 * math.pi)!r}); }}
__device__ T share_by_tanh(T x) {{
  return logistic(T({2 * twins.SLOPE!r}) * x + T({2 * twins.SLOPE * twins.CUBIC!r}) * x * x * x);
}}
__device__ T density_by_tanh(T x, T share) {{
  return T(2) * share * (T(1) - share) * (T({twins.SLOPE!r}) + T({3 * twins.SLOPE * twins.CUBIC!r}) * x * x);
}}
"""
MISH = (
    LOGISTIC
    + """
__device__ T tanh_of_softplus(T x, bool complement) {
  const T e = exp(x >= T(0) ? -x : x);
  const T above = x >= T(0) ? T(1) + T(2) * e : e * (e + T(2));
  const T rest = x >= T(0) ? T(2) * e * e : T(2);
  return (complement ? rest : above) / (above + rest);
}
"""
)
SCALE, LIMIT = f"T({twins.SELU_SCALE!r})", f"T({twins.SELU_SCALE * twins.SELU_ALPHA!r})"
TWO_OVER_ROOT_PI = f"T({2 / math.sqrt(math.pi)!r})"

FAMILY: dict[Any, tuple[str, str, tuple[str, ...], str]] = {
    error_function.erf: ("erf(z)", f"{TWO_OVER_ROOT_PI} * exp(-z * z)", (), ""),
    error_function.erfc: ("erfc(z)", f"-{TWO_OVER_ROOT_PI} * exp(-z * z)", (), ""),
    twins.mish: (
        "z * tanh_of_softplus(z, false)",
        "tanh_of_softplus(z, false)"
        " + z * logistic(z) * tanh_of_softplus(z, true) * (T(1) + tanh_of_softplus(z, false))",
        (),
        MISH,
    ),
    twins.selu: (f"z > T(0) ? {SCALE} * z : {LIMIT} * expm1(z)", f"z > T(0) ? {SCALE} : r + {LIMIT}", (), ""),
    twins.celu: ("z > T(0) ? z : alpha * expm1(z / alpha)", "z > T(0) ? T(1) : r / alpha + T(1)", ("alpha",), ""),
    twins.softsign: ("z / (T(1) + fabs(z))", "T(1) / ((T(1) + fabs(z)) * (T(1) + fabs(z)))", (), ""),
    twins.logsigmoid: ("(z < T(0) ? z : T(0)) - log1p(exp(z < T(0) ? z : -z))", "logistic(-z)", (), LOGISTIC),
    twins.tanhshrink: ("z - tanh(z)", "tanh(z) * tanh(z)", (), ""),
    piecewise_activation.relu6: ("minimum(maximum(z, T(0)), T(6))", "T(z > T(0) && z < T(6))", (), ""),
    piecewise_activation.hardtanh: (
        "minimum(maximum(z, min_val), max_val)",
        "T(z > min_val && z < max_val)",
        ("min_val", "max_val"),
        "",
    ),
    piecewise_activation.hardsigmoid: (
        "minimum(maximum(z + T(3), T(0)), T(6)) / T(6)",
        "T(z > T(-3) && z < T(3)) / T(6)",
        (),
        "",
    ),
    piecewise_activation.hardswish: (
        "z * (minimum(maximum(z + T(3), T(0)), T(6)) / T(6))",
        "z >= T(3) ? T(1) : z <= T(-3) ? T(0) : z / T(3) + T(0.5)",
        (),
        "",
    ),
    piecewise_activation.hardshrink: (
        "z >= -lambd && z <= lambd ? T(0) : z",
        "T(z < -lambd || z > lambd)",
        ("lambd",),
        "",
    ),
    piecewise_activation.softshrink: (
        "z - minimum(maximum(z, -lambd), lambd)",
        "T(z < -lambd || z > lambd)",
        ("lambd",),
        "",
    ),
    piecewise_activation.threshold: (
        "z <= threshold ? value : z",
        "T(!(z <= threshold))",
        ("threshold", "value"),
        "",
    ),
}

MADE: dict[Any, Pointwise] = {}
for _twin, (_value, _slope, _scalars, _preamble) in FAMILY.items():
    MADE[_twin] = pointwise(_twin.kernel.name, _value, _slope, _scalars, _preamble)
    register_pointwise(_twin, MADE[_twin], _scalars)
FORWARD = {twin.kernel.name: kernels.forward for twin, kernels in MADE.items()}
BACKWARD = {twin.kernel.name: kernels.backward for twin, kernels in MADE.items()}

GELU_FORWARD = CudaKernel(
    "gelu",
    "const T* x, int64 by_tanh, T* y, T* slopes",
    """
    const T z = x[i], share = by_tanh ? share_by_tanh(z) : share_below(z);
    y[i] = z * share;
    if (slopes) slopes[i] = share + z * (by_tanh ? density_by_tanh(z, share) : density(z));
    """,
    GELU,
)
GELU_BACKWARD = CudaKernel(
    "gelu_backward",
    "const T* g, const T* slopes, T* dx",
    "dx[i] = g[i] * slopes[i];",
)


@override(twins.gelu)
def _gelu(x: Array, *, approximate: str = "none", out: Any = None) -> Array:
    return _with_slopes(x, approximate, out, None)


@override(twins.gelu_saving)
def _gelu_saving(x: Array, *, approximate: str, out: Any = None) -> tuple[Array, Array]:
    to_y, to_slopes = outputs(out, 2)
    slopes = destination(to_slopes, x.shape, x.dtype, x)
    return _with_slopes(x, approximate, to_y, slopes), deliver(slopes, to_slopes)


@override(twins.gelu_backward)
def _gelu_backward(
    g: Array, slope: Array, x: Array, *, needs: Needs, approximate: str, out: Any = None
) -> tuple[Array]:
    return (elementwise(GELU_BACKWARD, (g, slope), (), outputs(out, 1)[0]),)


def _with_slopes(x: Array, approximate: str, out: Any, slopes: Array | None) -> Array:
    twins.refuse_unknown_approximation(approximate)
    x = contiguous(x)
    y = destination(out, x.shape, x.dtype, x)
    launch(GELU_FORWARD, x, int(approximate == "tanh"), y, slopes, size=x.size)
    return deliver(y, out)
