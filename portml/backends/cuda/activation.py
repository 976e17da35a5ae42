"""Activations on CuPy's arrays; the formulas stand in `portml.backends.kernels.activation`."""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.glue import elementwise, outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.lines import Lines, launch_lines, line_kernels
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import activation as twins
from portml.backends.namespaces import Array

Needs = tuple[bool, ...]

RELU = CudaKernel("relu", "const T* x, T* y", "y[i] = maximum(x[i], T(0));")
RELU_BACKWARD = CudaKernel("relu_backward", "const T* g, const T* y, T* dx", "dx[i] = g[i] * T(y[i] > T(0));")
LEAKY_RELU = CudaKernel("leaky_relu", "const T* x, T slope, T* y", "y[i] = x[i] > T(0) ? x[i] : slope * x[i];")
LEAKY_RELU_BACKWARD = CudaKernel(
    "leaky_relu_backward", "const T* g, const T* x, T slope, T* dx", "dx[i] = x[i] > T(0) ? g[i] : slope * g[i];"
)
ELU = CudaKernel("elu", "const T* x, T alpha, T* y", "y[i] = x[i] > T(0) ? x[i] : alpha * expm1(x[i]);")
ELU_BACKWARD = CudaKernel(
    "elu_backward",
    "const T* g, const T* y, const T* x, T alpha, T* dx",
    "dx[i] = x[i] > T(0) ? g[i] : g[i] * (y[i] + alpha);",
)

LOGISTIC = """
__device__ T logistic(T x) {
  const T e = exp(x >= T(0) ? -x : x);
  return (x >= T(0) ? T(1) : e) / (T(1) + e);
}
"""
SIGMOID = CudaKernel("sigmoid", "const T* x, T* y", "y[i] = logistic(x[i]);", LOGISTIC)
SIGMOID_BACKWARD = CudaKernel(
    "sigmoid_backward", "const T* g, const T* y, T* dx", "dx[i] = g[i] * (y[i] * (T(1) - y[i]));"
)
SILU = CudaKernel("silu", "const T* x, T* y", "y[i] = x[i] * logistic(x[i]);", LOGISTIC)
SILU_SAVING = CudaKernel(
    "silu_saving",
    "const T* x, T* y, T* s",
    """
    const T value = x[i];
    const T gate = logistic(value);
    y[i] = value * gate;
    s[i] = gate;
    """,
    LOGISTIC,
)
SILU_BACKWARD = CudaKernel(
    "silu_backward",
    "const T* g, const T* s, const T* x, T* dx",
    "dx[i] = g[i] * (s[i] * (T(1) + x[i] * (T(1) - s[i])));",
)
SOFTPLUS = CudaKernel(
    "softplus",
    "const T* x, T beta, T threshold, T* y",
    """
    const T z = beta * x[i];
    const T soft = (z > T(0) ? z : T(0)) + log1p(exp(z > T(0) ? -z : z));
    y[i] = z > threshold ? x[i] : soft / beta;
    """,
)
SOFTPLUS_BACKWARD = CudaKernel(
    "softplus_backward",
    "const T* g, const T* x, T beta, T threshold, T* dx",
    """
    const T z = beta * x[i];
    dx[i] = z > threshold ? g[i] : g[i] * logistic(z);
    """,
    LOGISTIC,
)


@override(twins.relu)
def _relu(x: Array, *, out: Any = None) -> Array:
    return elementwise(RELU, (x,), out=out)


@override(twins.relu_backward)
def _relu_backward(g: Array, y: Array, x: Array, *, needs: Needs, out: Any = None) -> tuple[Array]:
    return (elementwise(RELU_BACKWARD, (g, y), out=outputs(out, 1)[0]),)


@override(twins.leaky_relu)
def _leaky_relu(x: Array, *, negative_slope: float = 0.01, out: Any = None) -> Array:
    return elementwise(LEAKY_RELU, (x,), (negative_slope,), out)


@override(twins.leaky_relu_backward)
def _leaky_relu_backward(
    g: Array, y: Array, x: Array, *, needs: Needs, negative_slope: float, out: Any = None
) -> tuple[Array]:
    return (elementwise(LEAKY_RELU_BACKWARD, (g, x), (negative_slope,), outputs(out, 1)[0]),)


@override(twins.elu)
def _elu(x: Array, *, alpha: float = 1.0, out: Any = None) -> Array:
    return elementwise(ELU, (x,), (alpha,), out)


@override(twins.elu_backward)
def _elu_backward(g: Array, y: Array, x: Array, *, needs: Needs, alpha: float, out: Any = None) -> tuple[Array]:
    return (elementwise(ELU_BACKWARD, (g, y, x), (alpha,), outputs(out, 1)[0]),)


@override(twins.sigmoid)
def _sigmoid(x: Array, *, out: Any = None) -> Array:
    return elementwise(SIGMOID, (x,), out=out)


@override(twins.sigmoid_backward)
def _sigmoid_backward(g: Array, y: Array, x: Array, *, needs: Needs, out: Any = None) -> tuple[Array]:
    return (elementwise(SIGMOID_BACKWARD, (g, y), out=outputs(out, 1)[0]),)


@override(twins.silu)
def _silu(x: Array, *, out: Any = None) -> Array:
    return elementwise(SILU, (x,), out=out)


@override(twins.silu_saving)
def _silu_saving(x: Array, *, out: Any = None) -> tuple[Array, Array]:
    to_y, to_s = outputs(out, 2)
    x = contiguous(x)
    y = destination(to_y, x.shape, x.dtype, x)
    s = destination(to_s, x.shape, x.dtype, x)
    launch(SILU_SAVING, x, y, s, size=x.size)
    return deliver(y, to_y), deliver(s, to_s)


@override(twins.silu_backward)
def _silu_backward(g: Array, s: Array, x: Array, *, needs: Needs, out: Any = None) -> tuple[Array]:
    return (elementwise(SILU_BACKWARD, (g, s, x), out=outputs(out, 1)[0]),)


@override(twins.softplus)
def _softplus(x: Array, *, beta: float = 1.0, threshold: float = 20.0, out: Any = None) -> Array:
    return elementwise(SOFTPLUS, (x,), (beta, threshold), out)


@override(twins.softplus_backward)
def _softplus_backward(
    g: Array, y: Array, x: Array, *, needs: Needs, beta: float, threshold: float, out: Any = None
) -> tuple[Array]:
    return (elementwise(SOFTPLUS_BACKWARD, (g, x), (beta, threshold), outputs(out, 1)[0]),)


# --- along an axis --------------------------------------------------------------------------------------------------

SOFTMAX = line_kernels(
    "softmax",
    "const T* x, T* y",
    """
    T peak = -INFINITY;
    for (int64 j = lane; j < length; j += lanes) peak = maximum(peak, x[start + j * inner]);
    peak = line_maximum(peak, scratch);
    T total = T(0);
    for (int64 j = lane; j < length; j += lanes) total += exp(x[start + j * inner] - peak);
    total = line_sum(total, scratch);
    for (int64 j = lane; j < length; j += lanes) y[start + j * inner] = exp(x[start + j * inner] - peak) / total;
    """,
)
SOFTMAX_BACKWARD = line_kernels(
    "softmax_backward",
    "const T* g, const T* y, T* dx",
    """
    T common = T(0);
    for (int64 j = lane; j < length; j += lanes) common += g[start + j * inner] * y[start + j * inner];
    common = line_sum(common, scratch);
    for (int64 j = lane; j < length; j += lanes) {
      const int64 k = start + j * inner;
      dx[k] = y[k] * (g[k] - common);
    }
    """,
)
LOG_SOFTMAX = line_kernels(
    "log_softmax",
    "const T* x, T* y",
    """
    T peak = -INFINITY;
    for (int64 j = lane; j < length; j += lanes) peak = maximum(peak, x[start + j * inner]);
    peak = line_maximum(peak, scratch);
    T total = T(0);
    for (int64 j = lane; j < length; j += lanes) total += exp(x[start + j * inner] - peak);
    total = log(line_sum(total, scratch));
    for (int64 j = lane; j < length; j += lanes) y[start + j * inner] = x[start + j * inner] - peak - total;
    """,
)
LOG_SOFTMAX_BACKWARD = line_kernels(
    "log_softmax_backward",
    "const T* g, const T* y, T* dx",
    """
    T total = T(0);
    for (int64 j = lane; j < length; j += lanes) total += g[start + j * inner];
    total = line_sum(total, scratch);
    for (int64 j = lane; j < length; j += lanes) {
      const int64 k = start + j * inner;
      dx[k] = g[k] - exp(y[k]) * total;
    }
    """,
)


@override(twins.softmax)
def _softmax(x: Array, *, axis: int = -1, out: Any = None) -> Array:
    return _along(SOFTMAX, (x,), axis, out)


@override(twins.softmax_backward)
def _softmax_backward(g: Array, y: Array, x: Array, *, needs: Needs, axis: int, out: Any = None) -> tuple[Array]:
    return (_along(SOFTMAX_BACKWARD, (g, y), axis, outputs(out, 1)[0]),)


@override(twins.log_softmax)
def _log_softmax(x: Array, *, axis: int = -1, out: Any = None) -> Array:
    return _along(LOG_SOFTMAX, (x,), axis, out)


@override(twins.log_softmax_backward)
def _log_softmax_backward(g: Array, y: Array, x: Array, *, needs: Needs, axis: int, out: Any = None) -> tuple[Array]:
    return (_along(LOG_SOFTMAX_BACKWARD, (g, y), axis, outputs(out, 1)[0]),)


def _along(kernels: tuple[CudaKernel, CudaKernel], arrays: tuple[Array, ...], axis: int, out: Any) -> Array:
    given = [contiguous(array) for array in arrays]
    first = given[0]
    result = destination(out, first.shape, first.dtype, first)
    launch_lines(kernels, Lines.along(first.shape, axis), *given, result)
    return deliver(result, out)
