"""Attention on NumPy: the kernels, on views with five axes, tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.attention_heads import (
    apart,
    five,
    five_of_mask,
    gradient_of_mask,
    heads_of,
    like_queries,
    parts_of,
)
from portml.backends._numpy.attention_tiles import Tiling, attend, pull_back, write_exponentials, write_slopes
from portml.backends._numpy.blocks import given
from portml.backends.kernels.attention import (
    packed_attention,
    packed_attention_backward,
    packed_attention_saving,
    refuse_unfit_attention,
    refuse_unfit_packed,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
    scaled_dot_product_attention_saving,
)

__all__ = ["register"]

Floats = NDArray[Any]


def register(library: str, tiling: Tiling, takes: Callable[[Floats], bool] = lambda query: True) -> None:
    """Register the overrides of a library or compiler with its own way to treat a tile."""

    def fits(query: Floats, key: Floats, value: Floats) -> bool:
        arrays = (query, key, value)
        return all(each.size and each.dtype == query.dtype for each in arrays) and takes(query)

    def slow(kernel: Any) -> Any:
        # What the compiler does not take may still be NumPy's.
        return kernel.kernel.table["numpy"] if library != "numpy" else _delivering(kernel.agnostic)

    @scaled_dot_product_attention_saving.on(library)
    def saving(
        query: Floats, key: Floats, value: Floats, mask: Floats | None, dropout_key: Any, counter: Any, *,
        is_causal: bool, scale: float | None, dropout_p: float, out: Any = None,
    ) -> Any:  # fmt: skip
        statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
        refuse_unfit_attention(query, key, value, mask)
        heads = None
        if fits(query, key, value):
            heads = heads_of(query, key, value, mask, dropout_key, counter, **statics)
        if heads is None:
            given_arrays: tuple[Any, ...] = (query, key, value, mask, dropout_key, counter)
            return slow(scaled_dot_product_attention_saving)(*given_arrays, **statics, out=out)
        to_y, (_, to_logarithm) = (None, (None, None)) if out is None else out
        y = like_queries(query, value.shape[-1]) if to_y is None or not to_y.flags.c_contiguous else to_y
        logarithm = _room(to_logarithm, query.shape[:-1], query.dtype)
        attend(heads, five(y, heads), five(logarithm[..., np.newaxis], heads), tiling)
        return _given_where_needed((y, (y, logarithm)), out)

    @scaled_dot_product_attention.on(library)
    def forward(
        query: Floats, key: Floats, value: Floats, mask: Floats | None, dropout_key: Any, counter: Any, *,
        is_causal: bool = False, scale: float | None = None, dropout_p: float = 0.0, out: Any = None,
    ) -> Any:  # fmt: skip
        statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
        return given(saving(query, key, value, mask, dropout_key, counter, **statics)[0], out)

    @scaled_dot_product_attention_backward.on(library)
    def backward(
        g: Floats, saved: Any, query: Floats, key: Floats, value: Floats, mask: Floats | None, dropout_key: Any,
        counter: Any, *, needs: Any, is_causal: bool, scale: float | None, dropout_p: float, out: Any = None,
    ) -> Any:  # fmt: skip
        statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
        heads = None
        if fits(query, key, value):
            heads = heads_of(query, key, value, mask, dropout_key, counter, **statics)
        if heads is None:
            given_arrays: tuple[Any, ...] = (g, saved, query, key, value, mask, dropout_key, counter)
            return slow(scaled_dot_product_attention_backward)(*given_arrays, needs=needs, **statics, out=out)
        dq, dk, dv = (
            np.empty(each.shape, each.dtype) if wanted else None
            for each, wanted in zip((query, key, value), needs, strict=False)
        )
        fives: Any = [None if each is None else five(each, heads) for each in (dq, dk, dv)]
        dmask = gradient_of_mask(mask, needs[3])
        to_mask = None if dmask is None else five_of_mask(dmask, heads.query.shape, query.ndim)
        y, logarithm = saved
        arrays: tuple[Any, ...] = (five(g, heads), five(y, heads), five(logarithm[..., np.newaxis], heads))
        everything: Any = (*arrays, *fives, to_mask, tiling)
        pull_back(heads, *everything)
        return _given_where_needed((dq, dk, dv, dmask, None, None), out)

    @packed_attention_saving.on(library)
    def packed_saving(
        packed: Floats, mask: Floats | None, dropout_key: Any, counter: Any, *,
        n_heads: int, is_causal: bool, scale: float | None, dropout_p: float, out: Any = None,
    ) -> Any:  # fmt: skip
        statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
        refuse_unfit_packed(packed, n_heads)
        if not fits(packed, packed, packed):
            slower = slow(packed_attention_saving)
            return slower(packed, mask, dropout_key, counter, n_heads=n_heads, **statics, out=out)
        parts = parts_of(packed, n_heads)
        refuse_unfit_attention(*parts, mask)
        heads = heads_of(*parts, mask, dropout_key, counter, **statics)
        assert heads is not None
        samples, length, width = packed.shape
        to_y, (_, to_logarithm) = (None, (None, None)) if out is None else out
        y = _room(to_y, (samples, length, width // 3), packed.dtype)
        logarithm = _room(to_logarithm, (samples, n_heads, length), packed.dtype)
        attend(heads, five(apart(y, n_heads), heads), five(logarithm[..., np.newaxis], heads), tiling)
        return _given_where_needed((y, (y, logarithm)), out)

    @packed_attention.on(library)
    def packed_forward(
        packed: Floats, mask: Floats | None, dropout_key: Any, counter: Any, *, n_heads: int,
        is_causal: bool = False, scale: float | None = None, dropout_p: float = 0.0, out: Any = None,
    ) -> Any:  # fmt: skip
        statics: dict[str, Any] = {"n_heads": n_heads, "is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
        return given(packed_saving(packed, mask, dropout_key, counter, **statics)[0], out)

    @packed_attention_backward.on(library)
    def packed_backward(
        g: Floats, saved: Any, packed: Floats, mask: Floats | None, dropout_key: Any, counter: Any, *,
        needs: Any, n_heads: int, is_causal: bool, scale: float | None, dropout_p: float, out: Any = None,
    ) -> Any:  # fmt: skip
        statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
        if not fits(packed, packed, packed):
            given_arrays: tuple[Any, ...] = (g, saved, packed, mask, dropout_key, counter)
            slower = slow(packed_attention_backward)
            return slower(*given_arrays, needs=needs, n_heads=n_heads, **statics, out=out)
        heads = heads_of(*parts_of(packed, n_heads), mask, dropout_key, counter, **statics)
        assert heads is not None
        dpacked = _room(None if out is None else out[0], packed.shape, packed.dtype) if needs[0] else None
        fives: tuple[Any, ...] = (None, None, None)
        if dpacked is not None:
            fives = tuple(five(each, heads) for each in parts_of(dpacked, n_heads))
        dmask = gradient_of_mask(mask, needs[1])
        to_mask = None if dmask is None else five_of_mask(dmask, heads.query.shape, 4)
        y, logarithm = saved
        arrays: tuple[Any, ...] = (apart(g, n_heads), apart(y, n_heads), logarithm[..., np.newaxis])
        sides: Any = [five(each, heads) for each in arrays]
        everything: Any = (*sides, *fives, to_mask, tiling)
        pull_back(heads, *everything)
        return _given_where_needed((dpacked, dmask, None, None), out)


def _room(out: Floats | None, shape: tuple[int, ...], dtype: Any) -> Floats:
    """`out` itself where results can go straight there."""
    return np.empty(shape, dtype) if out is None or not out.flags.c_contiguous else out


def _delivering(body: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arrays: Any, out: Any = None, **statics: Any) -> Any:
        return _given_where_needed(body(*arrays, **statics), out)

    return call


def _given_where_needed(results: Any, out: Any) -> Any:
    """The results, written to `out` but for those that are None."""
    if out is None or results is None:
        return results
    if isinstance(results, tuple):
        return tuple(_given_where_needed(*pair) for pair in zip(results, out, strict=True))
    return out if results is out else given(results, out)


register("numpy", Tiling(write_exponentials, write_slopes))
