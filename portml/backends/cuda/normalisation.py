"""Normalisation on CuPy's arrays; the formulas stand in `portml.backends.kernels.normalisation`.

Layer norm over trailing axes takes a line a sample; batch norm takes a block a channel, which reads its values three
times and needs no second launch.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.lines import Lines, launch_lines, line_kernels
from portml.backends.cuda.reduction import column_sums, segments_of
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import normalisation as twins
from portml.backends.namespaces import Array, device_of, namespace

__all__ = ["count_axes", "is_trailing", "layer_norm_parameters", "trailing"]

Needs = tuple[bool, ...]
Axes = int | tuple[int, ...]
Gradients = tuple[Array | None, ...]

# --- layer norm -----------------------------------------------------------------------------------------------------

LAYER_NORM = line_kernels(
    "layer_norm",
    "const T* x, const T* weight, const T* bias, T eps, T* y, T* normalised, T* inverse_std",
    """
    T sum = T(0);
    for (int64 j = lane; j < length; j += lanes) sum += x[start + j];
    const T mean = line_sum(sum, scratch) / T(length);
    T squares = T(0);
    for (int64 j = lane; j < length; j += lanes) {
      const T centred = x[start + j] - mean;
      squares += centred * centred;
    }
    const T inverse = T(1) / sqrt(line_sum(squares, scratch) / T(length) + eps);
    for (int64 j = lane; j < length; j += lanes) {
      T value = (x[start + j] - mean) * inverse;
      if (normalised) normalised[start + j] = value;
      if (weight) value *= weight[j];
      if (bias) value += bias[j];
      y[start + j] = value;
    }
    if (inverse_std && lane == 0) inverse_std[line] = inverse;
    """,
)

LAYER_NORM_BACKWARD = line_kernels(
    "layer_norm_backward",
    "const T* g, const T* weight, const T* normalised, const T* inverse_std, T* dx",
    """
    T sum = T(0), matched = T(0);
    for (int64 j = lane; j < length; j += lanes) {
      const T h = weight ? g[start + j] * weight[j] : g[start + j];
      sum += h;
      matched += h * normalised[start + j];
    }
    const T mean = line_sum(sum, scratch) / T(length);
    const T mean_matched = line_sum(matched, scratch) / T(length);
    for (int64 j = lane; j < length; j += lanes) {
      const T h = weight ? g[start + j] * weight[j] : g[start + j];
      dx[start + j] = inverse_std[line] * (h - mean - normalised[start + j] * mean_matched);
    }
    """,
)

LAYER_NORM_PARAMETERS = CudaKernel(
    "layer_norm_parameters",
    "const T* g, const T* normalised, T* dweight, T* dbias, int64 rows, int64 columns, int64 segment",
    """
    const int64 column = i % columns, first = i / columns * segment;
    const int64 last = first + segment < rows ? first + segment : rows;
    T sum = T(0), matched = T(0);
    for (int64 r = first; r < last; ++r) {
      const T value = g[r * columns + column];
      sum += value;
      if (dweight) matched += value * normalised[r * columns + column];
    }
    if (dweight) dweight[i] = matched;
    if (dbias) dbias[i] = sum;
    """,
)


@override(twins.layer_norm)
def _layer_norm(
    x: Array, weight: Array | None, bias: Array | None, *, axes: Axes = -1, eps: float = 1e-5, out: Any = None
) -> Array:
    twins.refuse_unfit_layer(x, weight, bias)
    if not is_trailing(x, weight, bias, axes):
        return deliver(twins.layer_norm.agnostic(x, weight, bias, axes=axes, eps=eps), out)
    x = contiguous(x)
    y = destination(out, x.shape, x.dtype, x)
    launch_lines(LAYER_NORM, trailing(x, axes), x, contiguous(weight), contiguous(bias), eps, y, None, None)
    return deliver(y, out)


@override(twins.layer_norm_saving)
def _layer_norm_saving(
    x: Array, weight: Array | None, bias: Array | None, *, axes: Axes, eps: float, out: Any = None
) -> tuple[Array, tuple[Array, Array]]:
    twins.refuse_unfit_layer(x, weight, bias)
    to_y, to_saved = outputs(out, 2)
    to_normalised, to_inverse = outputs(to_saved, 2)
    if not is_trailing(x, weight, bias, axes):
        y, (normalised, inverse) = twins.layer_norm_saving.agnostic(x, weight, bias, axes=axes, eps=eps)
    else:
        x, lines = contiguous(x), trailing(x, axes)
        kept = (*x.shape[: x.ndim - count_axes(axes)], *(1,) * count_axes(axes))
        y = destination(to_y, x.shape, x.dtype, x)
        normalised = destination(to_normalised, x.shape, x.dtype, x)
        inverse = destination(to_inverse, kept, x.dtype, x)
        launch_lines(LAYER_NORM, lines, x, contiguous(weight), contiguous(bias), eps, y, normalised, inverse)
    return deliver(y, to_y), (deliver(normalised, to_normalised), deliver(inverse, to_inverse))


@override(twins.layer_norm_backward)
def _layer_norm_backward(
    g: Array,
    saved: tuple[Array, Array],
    x: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    needs: Needs,
    axes: Axes,
    eps: float,
    out: Any = None,
) -> Gradients:
    to_dx, to_dweight, to_dbias = outputs(out, 3)
    if not is_trailing(x, weight, bias, axes):
        results = twins.layer_norm_backward.agnostic(g, saved, x, weight, bias, needs=needs, axes=axes, eps=eps)
        return tuple(map(deliver, results, (to_dx, to_dweight, to_dbias)))
    g, normalised, inverse = contiguous(g), contiguous(saved[0]), contiguous(saved[1])
    lines, dx = trailing(x, axes), None
    if needs[0]:
        dx = destination(to_dx, g.shape, g.dtype, g)
        launch_lines(LAYER_NORM_BACKWARD, lines, g, contiguous(weight), normalised, inverse, dx)
    dweight, dbias = layer_norm_parameters(
        g, normalised, lines, weight if needs[1] else None, bias if needs[2] else None
    )
    return deliver(dx, to_dx), deliver(dweight, to_dweight), deliver(dbias, to_dbias)


def layer_norm_parameters(
    g: Array, normalised: Array, lines: Lines, weight: Array | None, bias: Array | None
) -> tuple[Array | None, Array | None]:
    """The sums over all samples, for those of the two that are given."""
    if weight is None and bias is None:
        return None, None
    segment, segments = segments_of(lines.number)
    xp, shape = namespace(g), (segments, lines.length)
    dweight, dbias = (
        None if parameter is None else xp.empty(shape, dtype=g.dtype, device=device_of(g))
        for parameter in (weight, bias)
    )
    sizes = (lines.number, lines.length, segment)
    launch(LAYER_NORM_PARAMETERS, g, normalised, dweight, dbias, *sizes, size=segments * lines.length)
    return (
        None if weight is None else xp.reshape(column_sums(dweight), weight.shape),
        None if bias is None else xp.reshape(column_sums(dbias), bias.shape),
    )


def count_axes(axes: Axes) -> int:
    """How many axes are meant."""
    return 1 if isinstance(axes, int) else len(axes)


def is_trailing(x: Array, weight: Array | None, bias: Array | None, axes: Axes) -> bool:
    """Whether the axes are the last ones, and the parameters, where given, have just these."""
    count = count_axes(axes)
    wanted = {axis % x.ndim for axis in ((axes,) if isinstance(axes, int) else axes)}
    shape = tuple(x.shape[x.ndim - count :])
    fits = all(parameter is None or tuple(parameter.shape) == shape for parameter in (weight, bias))
    return fits and wanted == set(range(x.ndim - count, x.ndim))


def trailing(x: Array, axes: Axes) -> Lines:
    """The last axes, as many as are meant, as a line for each sample."""
    split = x.ndim - count_axes(axes)
    return Lines(math.prod(x.shape[:split]), math.prod(x.shape[split:]), 1)


# --- batch norm -----------------------------------------------------------------------------------------------------
# An array is seen as (samples, channels, inner); element k of a channel is at `at(k, row, channels, inner)`.

AT = """
__device__ int64 at(int64 k, int64 channel, int64 channels, int64 inner) {
  return (k / inner * channels + channel) * inner + k % inner;
}
"""

BATCH_NORM_TRAIN = CudaKernel(
    "batch_norm_train",
    "const T* x, const T* weight, const T* bias, T eps, int64 n, int64 channels, int64 inner, "
    "T* y, T* mean, T* var, T* normalised, T* inverse_std",
    """
    __shared__ T scratch[THREADS];
    T sum = T(0);
    for (int64 k = threadIdx.x; k < n; k += THREADS) sum += x[at(k, row, channels, inner)];
    const T centre = block_sum(sum, scratch) / T(n);
    T squares = T(0);
    for (int64 k = threadIdx.x; k < n; k += THREADS) {
      const T centred = x[at(k, row, channels, inner)] - centre;
      squares += centred * centred;
    }
    const T spread = block_sum(squares, scratch) / T(n);
    const T inverse = T(1) / sqrt(spread + eps);
    for (int64 k = threadIdx.x; k < n; k += THREADS) {
      const int64 here = at(k, row, channels, inner);
      T value = (x[here] - centre) * inverse;
      if (normalised) normalised[here] = value;
      if (weight) value *= weight[row];
      if (bias) value += bias[row];
      y[here] = value;
    }
    if (threadIdx.x == 0) {
      mean[row] = centre;
      var[row] = spread;
      if (inverse_std) inverse_std[row] = inverse;
    }
    """,
    AT,
    style="block",
)

BATCH_NORM_TRAIN_BACKWARD = CudaKernel(
    "batch_norm_train_backward",
    "const T* g, const T* g_mean, const T* g_var, const T* normalised, const T* inverse_std, const T* weight, "
    "int64 n, int64 channels, int64 inner, T* dx, T* dweight, T* dbias",
    """
    __shared__ T scratch[THREADS];
    T sum = T(0), matched = T(0);
    for (int64 k = threadIdx.x; k < n; k += THREADS) {
      const int64 here = at(k, row, channels, inner);
      sum += g[here];
      matched += g[here] * normalised[here];
    }
    sum = block_sum(sum, scratch);
    matched = block_sum(matched, scratch);
    if (threadIdx.x == 0) {
      if (dweight) dweight[row] = matched;
      if (dbias) dbias[row] = sum;
    }
    if (!dx) continue;
    const T scale = weight ? weight[row] : T(1), inverse = inverse_std[row];
    const T from_mean = g_mean[row] / T(n), from_var = g_var[row] * (T(2) / T(n)) / inverse;
    for (int64 k = threadIdx.x; k < n; k += THREADS) {
      const int64 here = at(k, row, channels, inner);
      const T through = scale * g[here] - scale * sum / T(n) - normalised[here] * (scale * matched / T(n));
      dx[here] = inverse * through + (from_mean + normalised[here] * from_var);
    }
    """,
    AT,
    style="block",
)

BATCH_NORM_INFERENCE = CudaKernel(
    "batch_norm_inference",
    "const T* x, const T* mean, const T* var, const T* weight, const T* bias, T eps, int64 channels, int64 inner, T* y",
    """
    const int64 channel = i / inner % channels;
    T scale = T(1) / sqrt(var[channel] + eps);
    if (weight) scale *= weight[channel];
    T value = (x[i] - mean[channel]) * scale;
    if (bias) value += bias[channel];
    y[i] = value;
    """,
)

BATCH_NORM_INFERENCE_BACKWARD = CudaKernel(
    "batch_norm_inference_backward",
    "const T* g, const T* x, const T* mean, const T* var, const T* weight, T eps, "
    "int64 n, int64 channels, int64 inner, T* dx, T* dmean, T* dvar, T* dweight, T* dbias",
    """
    __shared__ T scratch[THREADS];
    const T inverse = T(1) / sqrt(var[row] + eps);
    const T scale = weight ? inverse * weight[row] : inverse;
    T sum = T(0), matched = T(0);
    for (int64 k = threadIdx.x; k < n; k += THREADS) {
      const int64 here = at(k, row, channels, inner);
      const T slope = g[here];
      sum += slope;
      matched += slope * (x[here] - mean[row]);
      if (dx) dx[here] = slope * scale;
    }
    sum = block_sum(sum, scratch);
    matched = block_sum(matched, scratch);
    if (threadIdx.x != 0) continue;
    if (dmean) dmean[row] = -scale * sum;
    if (dvar) dvar[row] = T(-0.5) * (matched * scale) * (inverse * inverse);
    if (dweight) dweight[row] = matched * inverse;
    if (dbias) dbias[row] = sum;
    """,
    AT,
    style="block",
)

UPDATE_RUNNING = CudaKernel(
    "update_running",
    "const T* running_mean, const T* running_var, const T* mean, const T* var, T kept, T momentum, T unbiased, "
    "T* new_mean, T* new_var",
    """
    new_mean[i] = kept * running_mean[i] + momentum * mean[i];
    new_var[i] = kept * running_var[i] + unbiased * var[i];
    """,
)


@override(twins.batch_norm_train)
def _batch_norm_train(
    x: Array, weight: Array | None, bias: Array | None, *, eps: float = 1e-5, out: Any = None
) -> tuple[Array, Array, Array]:
    y, mean, var, _, _ = _train(x, weight, bias, eps, outputs(out, 3), None)
    return y, mean, var


@override(twins.batch_norm_train_saving)
def _batch_norm_train_saving(
    x: Array, weight: Array | None, bias: Array | None, *, eps: float, out: Any = None
) -> tuple[tuple[Array, Array, Array], tuple[Array, Array]]:
    to_results, to_saved = outputs(out, 2)
    y, mean, var, normalised, inverse = _train(x, weight, bias, eps, outputs(to_results, 3), outputs(to_saved, 2))
    return (y, mean, var), (normalised, inverse)


def _train(x: Array, weight: Array | None, bias: Array | None, eps: float, to_results: Any, to_saved: Any) -> Any:
    """Results and what is saved; the latter only with `to_saved`."""
    twins.refuse_unfit_channels(x, weight, bias, "batch_norm_train")
    x = contiguous(x)
    channels = (x.shape[1],)
    shapes = (x.shape, channels, channels, x.shape, channels)
    to = (*to_results, *(to_saved or ()))
    made = [destination(each, shape, x.dtype, x) for each, shape in zip(to, shapes, strict=False)]
    filled = [*made, *[None] * (len(shapes) - len(made))]
    arrays = (x, contiguous(weight), contiguous(bias))
    launch(BATCH_NORM_TRAIN, *arrays, eps, *_layout(x), *filled, blocks=x.shape[1])
    return (*map(deliver, made, to), *filled[len(made) :])


@override(twins.batch_norm_train_backward)
def _batch_norm_train_backward(
    g: tuple[Array, Array, Array],
    saved: tuple[Array, Array],
    x: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    needs: Needs,
    eps: float,
    out: Any = None,
) -> Gradients:
    to = outputs(out, 3)
    g_y, g_mean, g_var = map(contiguous, g)
    wanted = (needs[0], needs[1] and weight is not None, needs[2] and bias is not None)
    shapes = (x.shape, (x.shape[1],), (x.shape[1],))
    results = _wanted(wanted, shapes, to, g_y)
    arrays = (g_y, g_mean, g_var, *map(contiguous, saved), contiguous(weight))
    launch(BATCH_NORM_TRAIN_BACKWARD, *arrays, *_layout(x), *results, blocks=x.shape[1])
    return tuple(map(deliver, results, to))


@override(twins.batch_norm_inference)
def _batch_norm_inference(
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    eps: float = 1e-5,
    out: Any = None,
) -> Array:
    twins.refuse_unfit_channels(x, weight, bias, "batch_norm_inference")
    twins.refuse_unfit_running(mean, var, x)
    x = contiguous(x)
    y = destination(out, x.shape, x.dtype, x)
    _, channels, inner = _layout(x)
    arrays = map(contiguous, (x, mean, var, weight, bias))
    launch(BATCH_NORM_INFERENCE, *arrays, eps, channels, inner, y, size=x.size)
    return deliver(y, out)


@override(twins.batch_norm_inference_backward)
def _batch_norm_inference_backward(
    g: Array,
    y: Array,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    needs: Needs,
    eps: float,
    out: Any = None,
) -> Gradients:
    to = outputs(out, 5)
    g = contiguous(g)
    wanted = (*needs[:3], needs[3] and weight is not None, needs[4] and bias is not None)
    results = _wanted(wanted, (x.shape, *[(x.shape[1],)] * 4), to, g)
    arrays = (g, *map(contiguous, (x, mean, var, weight)))
    launch(BATCH_NORM_INFERENCE_BACKWARD, *arrays, eps, *_layout(x), *results, blocks=x.shape[1])
    return tuple(map(deliver, results, to))


@override(twins.update_running)
def _update_running(
    running_mean: Array,
    running_var: Array,
    mean: Array,
    var: Array,
    *,
    momentum: float,
    n: int,
    unbiased: bool = True,
) -> tuple[Array, Array]:
    to = (running_mean, running_var)
    if n < 2:
        twins.update_running.agnostic(*to, mean, var, momentum=momentum, n=n)  # which raises: a variance needs two
    results = [destination(each, each.shape, each.dtype, each) for each in to]
    arrays = map(contiguous, (running_mean, running_var, mean, var))
    scalars = (1 - momentum, momentum, momentum * (n / (n - 1) if unbiased else 1.0))
    launch(UPDATE_RUNNING, *arrays, *scalars, *results, size=running_mean.size)
    new_mean, new_var = map(deliver, results, to)
    return new_mean, new_var


def _layout(x: Array) -> tuple[int, int, int]:
    """Values a channel, channels, values a channel and sample."""
    inner = math.prod(x.shape[2:])
    return x.shape[0] * inner, x.shape[1], inner


def _wanted(wanted: tuple[bool, ...], shapes: tuple[tuple[int, ...], ...], to: Any, like: Array) -> list[Array | None]:
    return [
        destination(each, shape, like.dtype, like) if is_wanted else None
        for is_wanted, shape, each in zip(wanted, shapes, to, strict=True)
    ]
