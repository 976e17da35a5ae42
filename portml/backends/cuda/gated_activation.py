"""Gated activations on CuPy's arrays: both halves read where they stand; see `portml.backends.kernels`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from portml.backends.cuda.activation import LOGISTIC
from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.reduction import channel_sums, total
from portml.backends.cuda.smooth_activation import GELU
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernel import KernelFunction
from portml.backends.kernels import gated_activation as twins
from portml.backends.namespaces import Array, device_of, namespace
from portml.backends.overriding import under_signature_of

Needs = tuple[bool, ...]


class Gated(NamedTuple):
    """The kernels of a gated activation and its gradient."""

    forward: CudaKernel
    backward: CudaKernel


def gated(name: str, value: str, to_a: str, to_b: str, preamble: str = "") -> Gated:
    """The kernels from expressions of ``a`` and ``b``; the gradients are multiplied with that of the result."""
    halves = """
    const int64 ia = i / (half * inner) * (2 * half * inner) + i % (half * inner), ib = ia + half * inner;
    const T a = x[ia], b = x[ib];
    """
    return Gated(
        CudaKernel(name, "const T* x, int64 half, int64 inner, T* y", f"{halves}y[i] = {value};", preamble),
        CudaKernel(
            f"{name}_backward",
            "const T* g, const T* x, int64 half, int64 inner, T* dx",
            f"{halves}dx[ia] = g[i] * ({to_a});\n    dx[ib] = g[i] * ({to_b});",
            preamble,
        ),
    )


GLU = gated("glu", "a * logistic(b)", "logistic(b)", "a * logistic(b) * (T(1) - logistic(b))", LOGISTIC)
SWIGLU = gated(
    "swiglu",
    "a * logistic(a) * b",
    "b * (logistic(a) * (T(1) + a * (T(1) - logistic(a))))",
    "a * logistic(a)",
    LOGISTIC,
)
GEGLU = gated("geglu", "a * share_below(a) * b", "b * (share_below(a) + a * density(a))", "a * share_below(a)", GELU)
GEGLU_BY_TANH = gated(
    "geglu_by_tanh",
    "a * share_by_tanh(a) * b",
    "b * (share_by_tanh(a) + a * density_by_tanh(a, share_by_tanh(a)))",
    "a * share_by_tanh(a)",
    GELU,
)
REGLU = gated("reglu", "maximum(a, T(0)) * b", "a > T(0) ? b : T(0)", "maximum(a, T(0))")


def _register(twin: KernelFunction, kernels: Gated, by_tanh: Gated | None = None) -> None:
    backward_twin = twin.kernel.backward
    assert backward_twin is not None

    def chosen(statics: dict[str, Any]) -> Gated:
        return by_tanh if by_tanh is not None and statics["approximate"] == "tanh" else kernels

    @under_signature_of(twin, __name__)
    def forward(x: Array, *, axis: int, out: Any = None, **statics: Any) -> Array:
        half, inner, shape = _layout(x, axis, twin.kernel.name)
        x = contiguous(x)
        y = destination(out, shape, x.dtype, x)
        launch(chosen(statics).forward, x, half, inner, y, size=y.size)
        return deliver(y, out)

    @under_signature_of(backward_twin, __name__)
    def backward(
        g: Array, y: Array, x: Array, *, needs: Needs, axis: int, out: Any = None, **statics: Any
    ) -> tuple[Array]:
        half, inner, _ = _layout(x, axis, twin.kernel.name)
        g, x, to = contiguous(g), contiguous(x), outputs(out, 1)[0]
        dx = destination(to, x.shape, x.dtype, x)
        launch(chosen(statics).backward, g, x, half, inner, dx, size=g.size)
        return (deliver(dx, to),)

    override(twin)(forward)
    override(backward_twin)(backward)


def _layout(x: Array, axis: int, name: str) -> tuple[int, int, tuple[int, ...]]:
    """Half the length of the axis, how far apart its elements are, and the shape of a half."""
    a, _ = twins.gated_halves(x, axis, name)
    axis %= x.ndim
    return a.shape[axis], math.prod(x.shape[axis + 1 :]), tuple(a.shape)


_register(twins.glu, GLU)
_register(twins.swiglu, SWIGLU)
_register(twins.geglu, GEGLU, GEGLU_BY_TANH)
_register(twins.reglu, REGLU)

PRELU = CudaKernel(
    "prelu",
    "const T* x, const T* weight, int64 channels, int64 inner, T* y",
    "y[i] = x[i] > T(0) ? x[i] : weight[i / inner % channels] * x[i];",
)
PRELU_BACKWARD = CudaKernel(
    "prelu_backward",
    "const T* g, const T* x, const T* weight, int64 channels, int64 inner, T* dx, T* below",
    """
    const bool positive = x[i] > T(0);
    const T slope = g[i], value = x[i];
    if (dx) dx[i] = positive ? slope : weight[i / inner % channels] * slope;
    if (below) below[i] = positive ? T(0) : slope * value;
    """,
)


@override(twins.prelu)
def _prelu(x: Array, weight: Array, *, out: Any = None) -> Array:
    twins.refuse_unfit_slopes(x, weight)
    x, weight = contiguous(x), contiguous(weight)
    y = destination(out, x.shape, x.dtype, x)
    launch(PRELU, x, weight, *_channels(x, weight), y, size=x.size)
    return deliver(y, out)


@override(twins.prelu_backward)
def _prelu_backward(
    g: Array, y: Array, x: Array, weight: Array, *, needs: Needs, out: Any = None
) -> tuple[Array | None, Array | None]:
    to_x, to_weight = outputs(out, 2)
    g, x, weight = contiguous(g), contiguous(x), contiguous(weight)
    xp = namespace(x)
    dx = destination(to_x, x.shape, x.dtype, x) if needs[0] else None
    below = xp.empty(x.shape, dtype=x.dtype, device=device_of(x)) if needs[1] else None
    launch(PRELU_BACKWARD, g, x, weight, *_channels(x, weight), dx, below, size=x.size)
    if below is None:
        return deliver(dx, to_x), None
    sums = channel_sums(below) if weight.shape[0] > 1 else xp.reshape(total(below), (1,))
    return deliver(dx, to_x), deliver(sums, to_weight)


def _channels(x: Array, weight: Array) -> tuple[int, int]:
    """How many slopes there are, and how many neighbours share one."""
    return weight.shape[0], math.prod(x.shape[2:])
