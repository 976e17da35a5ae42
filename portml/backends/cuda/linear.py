"""The affine map on CuPy's arrays: cuBLAS multiplies, the bias is added where the product stands."""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.reduction import column_sums
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import linear as twins
from portml.backends.namespaces import Array, namespace

ADD_BIAS = CudaKernel("add_bias", "const T* bias, int64 columns, T* y", "y[i] += bias[i % columns];")


@override(twins.linear)
def _linear(x: Array, weight: Array, bias: Array | None, *, out: Any = None) -> Array:
    twins.refuse_unfit_linear(x, weight, bias)
    xp, n_out = namespace(x), weight.shape[0]
    y = destination(out, (*x.shape[:-1], n_out), x.dtype, x)
    xp.matmul(_rows(x), xp.matrix_transpose(weight), out=_rows(y))
    if bias is not None:
        launch(ADD_BIAS, contiguous(bias), n_out, y, size=y.size)
    return deliver(y, out)


@override(twins.linear_saving)
def _linear_saving(x: Array, weight: Array, bias: Array | None, *, out: Any = None) -> tuple[Array, tuple[()]]:
    return _linear(x, weight, bias, out=outputs(out, 2)[0]), ()


@override(twins.linear_backward)
def _linear_backward(
    g: Array,
    saved: tuple[()],
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    needs: tuple[bool, ...],
    out: Any = None,
) -> tuple[Array | None, ...]:
    to_dx, to_dweight, to_dbias = outputs(out, 3)
    xp, rows = namespace(g, x, weight), _rows(g)
    dx = dweight = dbias = None
    if needs[0]:
        dx = destination(to_dx, tuple(x.shape), g.dtype, g)
        xp.matmul(rows, weight, out=_rows(dx))
        dx = deliver(dx, to_dx)
    if needs[1]:
        dweight = destination(to_dweight, tuple(weight.shape), g.dtype, g)
        xp.matmul(xp.matrix_transpose(rows), _rows(x), out=dweight)
        dweight = deliver(dweight, to_dweight)
    if needs[2] and bias is not None:
        dbias = column_sums(rows, to_dbias)
    return dx, dweight, dbias


def _rows(x: Array) -> Array:
    """All leading axes as one: (..., n) to (rows, n); a view of a contiguous array."""
    if x.ndim == 2:
        return x
    rows = 1
    for length in x.shape[:-1]:
        rows *= length
    return namespace(x).reshape(x, (rows, x.shape[-1]))
