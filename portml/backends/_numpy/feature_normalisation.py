"""Root mean square normalisation on NumPy: sums are products, and blocks of whole rows stay in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import given
from portml.backends._numpy.normalisation import are_last, arrived, destination, given_where_needed, in_rows, width_of
from portml.backends._numpy.reductions import ones
from portml.backends.kernels.feature_normalisation import rms_norm, rms_norm_backward, rms_norm_saving

__all__: list[str] = []

Floats = NDArray[Any]
Parameter = Floats | None
Saved = tuple[Floats, Floats]
Axes = int | tuple[int, ...]


@rms_norm.on("numpy")
def _(x: Floats, weight: Parameter, *, axes: Axes = -1, eps: float = 1e-5, out: Floats | None = None) -> Any:
    if not are_last(x, weight, None, axes):
        return given(rms_norm.agnostic(x, weight, axes=axes, eps=eps), out)
    y = destination(out, x)
    for xs, ys in in_rows(width_of(x, axes), x, y):
        np.multiply(xs, _inverse_of_rows(xs, eps)[:, np.newaxis], out=ys)
        if weight is not None:
            np.multiply(ys, weight.reshape(-1), out=ys)
    return arrived(y, out)


@rms_norm_saving.on("numpy")
def _(
    x: Floats, weight: Parameter, *, axes: Axes, eps: float, out: tuple[Floats, Saved] | None = None
) -> tuple[Any, Saved]:
    if not are_last(x, weight, None, axes):
        twin: tuple[Any, Saved] = rms_norm_saving.agnostic(x, weight, axes=axes, eps=eps)
        return given(twin, out)  # type: ignore[no-any-return]
    to_y, (to_normalised, to_inverse) = (None, (None, None)) if out is None else out
    y, normalised, width = destination(to_y, x), destination(to_normalised, x), width_of(x, axes)
    inverses = np.empty(x.size // width, x.dtype)
    start = 0
    for xs, ys, ns in in_rows(width, x, y, normalised):
        inverse = inverses[start : start + len(xs)] = _inverse_of_rows(xs, eps)
        np.multiply(xs, inverse[:, np.newaxis], out=ns)
        np.multiply(ns, 1 if weight is None else weight.reshape(-1), out=ys)
        start += len(xs)
    kept = len((axes,) if isinstance(axes, int) else axes)
    shaped = inverses.reshape(x.shape[: x.ndim - kept] + (1,) * kept)
    return arrived(y, to_y), (arrived(normalised, to_normalised), arrived(shaped, to_inverse))


@rms_norm_backward.on("numpy")
def _(
    g: Floats,
    saved: Saved,
    x: Floats,
    weight: Parameter,
    *,
    needs: tuple[bool, ...],
    axes: Axes,
    eps: float,
    out: tuple[Any, Any] | None = None,
) -> tuple[Any, Any]:
    if not are_last(x, weight, None, axes):
        twin = rms_norm_backward.agnostic(g, saved, x, weight, needs=needs, axes=axes, eps=eps)
        return given_where_needed(twin, out)
    (normalised, inverse), width, dx, dweight = saved, width_of(x, axes), None, None
    if needs[0]:
        dx = destination(None if out is None else out[0], x)
        start, inverses = 0, inverse.reshape(-1, 1)
        for gs, ns, ds in in_rows(width, g, normalised, dx):
            h = gs if weight is None else gs * weight.reshape(-1)
            through = ns * (np.vecdot(h, ns) / width)[:, np.newaxis]
            np.subtract(h, through, out=through)
            np.multiply(through, inverses[start : start + len(gs)], out=ds)
            start += len(gs)
    if needs[1] and weight is not None:
        dweight = sum(ones(len(gs), g.dtype) @ (gs * ns) for gs, ns in in_rows(width, g, normalised))
        dweight = dweight.reshape(weight.shape)
    return given_where_needed((dx, dweight), out)


def _inverse_of_rows(x: Floats, eps: float) -> Floats:
    """1 / sqrt(mean(x²) + eps) of each row."""
    mean: Floats = np.vecdot(x, x)
    mean /= x.shape[1]
    mean += eps
    np.sqrt(mean, out=mean)
    return np.reciprocal(mean, out=mean)
