"""The affine map on NumPy: one call to BLAS over all leading axes, straight into ``out=``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.reductions import ones
from portml.backends.kernels.linear import linear, linear_backward, linear_saving, refuse_unfit_linear

__all__: list[str] = []

Floats = NDArray[Any]


@linear.on("numpy")
def _(x: Floats, weight: Floats, bias: Floats | None, out: Floats | None = None) -> Any:
    refuse_unfit_linear(x, weight, bias)
    if x.ndim == 2:
        y = np.matmul(x, weight.T, out=out)
    else:
        y = np.empty((*x.shape[:-1], weight.shape[0]), np.result_type(x, weight)) if out is None else out
        _product(_rows(x), weight.T, y)
    if bias is not None:
        np.add(y, bias, out=y)
    return y


@linear_saving.on("numpy")
def _(
    x: Floats, weight: Floats, bias: Floats | None, out: tuple[Floats, tuple[()]] | None = None
) -> tuple[Any, tuple[()]]:
    return linear.kernel.table["numpy"](x, weight, bias, out=None if out is None else out[0]), ()


@linear_backward.on("numpy")
def _(
    g: Floats,
    saved: tuple[()],
    x: Floats,
    weight: Floats,
    bias: Floats | None,
    *,
    needs: tuple[bool, ...],
    out: tuple[Floats | None, ...] | None = None,
) -> tuple[Floats | None, ...]:
    to_x, to_weight, to_bias = (None, None, None) if out is None else out
    rows = _rows(g)
    dx = dweight = dbias = None
    if needs[0]:
        dx = np.empty(x.shape, np.result_type(g, weight)) if to_x is None else to_x
        _product(rows, weight, dx)
    if needs[1]:
        dweight = np.matmul(rows.T, _rows(x), out=to_weight)
    if needs[2] and bias is not None:
        # A product with ones is twice as fast as a sum over rows.
        dbias = np.matmul(ones(len(rows), g.dtype), rows, out=to_bias)
    return dx, dweight, dbias


def _product(rows: Floats, matrix: Floats, result: Floats) -> None:
    """Write rows @ matrix to `result`, (..., n), whose leading axes are the rows."""
    shape = (rows.shape[0], matrix.shape[1])
    if result.flags.c_contiguous:
        np.matmul(rows, matrix, out=result.reshape(shape))
    else:
        result[...] = np.matmul(rows, matrix).reshape(result.shape)


def _rows(x: Floats) -> Floats:
    """All leading axes as one: (..., n) to (rows, n)."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
