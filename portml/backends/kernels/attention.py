r"""Attention: each query takes a mean of the values, weighted by how well their keys match it.

.. math:: y = \operatorname{softmax}(s\, q k^\top + b)\, v

The bodies here write the formula out and hold all n_queries × n_keys weights.  The overrides walk over tiles of them
with a running maximum and sum (an online softmax), keep one number for each query, the logarithm of its sum of
exponentials, and work the weights out anew from it for the gradient: so that memory grows with n_queries + n_keys, not
with their product.  [Rabe & Staats 2021, "Self-attention does not need O(n²) memory"; Dao et al. 2022,
"FlashAttention", algorithms 1 and 4]
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.kernel import kernel
from portml.backends.kernels.dropout import dropout_saving
from portml.backends.namespaces import Array, device_of, dtype_kind, namespace
from portml.errors import DtypeError, ShapeError

__all__ = [
    "attention_scale",
    "attention_weights",
    "heads_apart",
    "heads_beside",
    "packed_attention",
    "packed_attention_backward",
    "packed_attention_saving",
    "refuse_unfit_attention",
    "refuse_unfit_packed",
    "scaled_dot_product_attention",
    "scaled_dot_product_attention_backward",
    "scaled_dot_product_attention_saving",
    "unpacked",
]

Needs = tuple[bool, ...]
Saved = tuple[Array, Array]


@kernel
def scaled_dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None,
    dropout_key: Array | None,
    counter: Array | None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    dropout_p: float = 0.0,
) -> Array:
    """Attention: y = softmax(scale q kᵀ + mask) v.  [Vaswani et al. 2017, eq. 1]

    Parameters
    ----------
    query : array (..., n_heads, n_queries, n_features)
    key : array (..., n_key_heads, n_keys, n_features)
    value : array (..., n_key_heads, n_keys, n_value_features)
        n_heads is a multiple of n_key_heads; neighbouring heads of the queries share one of the keys (grouped queries).
        [Ainslie et al. 2023]  Arrays of two axes have one head, of three axes no batch.
    mask : array, broadcast to (..., n_heads, n_queries, n_keys), or None
        Boolean: True attends.  Floating-point: is added to the scores.
    dropout_key, counter : arrays, uint64, or None
        As `dropout` takes them, for the weights in the order (..., n_heads, n_queries, n_keys); None without dropout.
    is_causal : bool
        Query i attends to the keys 0 to i, whatever the mask says of later ones.
    scale : float, optional
        None takes 1 / √n_features.
    dropout_p : float
        The probability that a weight is dropped; the others grow by 1 / (1 - p).

    Returns
    -------
    array (..., n_heads, n_queries, n_value_features)
        Zero for a query that may attend to nothing.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DtypeError
        If the mask holds neither truth values nor floating-point numbers.
    """
    statics = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
    return scaled_dot_product_attention_saving.agnostic(query, key, value, mask, dropout_key, counter, **statics)[0]


@kernel
def scaled_dot_product_attention_saving(
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None,
    dropout_key: Array | None,
    counter: Array | None,
    *,
    is_causal: bool,
    scale: float | None,
    dropout_p: float,
) -> tuple[Array, Saved]:
    """The result, and for the gradient the result again and log Σ exp(scores) of each query (∞ if it is of nothing)."""
    refuse_unfit_attention(query, key, value, mask)
    xp = namespace(query, key, value)
    scores = _scores(query, _for_every_head(key, query), mask, is_causal, scale)
    logarithm = _log_sum(scores)
    weights, _ = _dropped(xp.exp(scores - logarithm), dropout_key, counter, dropout_p)
    y = weights @ _for_every_head(value, query)
    return y, (y, xp.squeeze(logarithm, axis=-1))


@kernel
def scaled_dot_product_attention_backward(
    g: Array,
    saved: Saved,
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None,
    dropout_key: Array | None,
    counter: Array | None,
    *,
    needs: Needs,
    is_causal: bool,
    scale: float | None,
    dropout_p: float,
) -> tuple[Array | None, ...]:
    """Gradient, with w the weights and d = w ∘ (g vᵀ - Σ g y) that of the scores.  [Dao et al. 2022, appendix B.2]

    dq = scale d k, dk = scale dᵀ q, dv = wᵀ g, and d itself for a mask that is added.
    """
    xp = namespace(g, query, key, value)
    y, logarithm = saved
    keys, values = _for_every_head(key, query), _for_every_head(value, query)
    scores = _scores(query, keys, mask, is_causal, scale)
    weights = xp.exp(scores - xp.expand_dims(logarithm, axis=-1))
    dropped, factors = _dropped(weights, dropout_key, counter, dropout_p)
    dweights = g @ xp.matrix_transpose(values)
    if factors is not None:
        dweights = dweights * factors
    dscores = weights * (dweights - xp.sum(g * y, axis=-1, keepdims=True))
    s = attention_scale(query, scale)
    added = mask is not None and dtype_kind(mask.dtype) == "float"
    return (
        (dscores @ keys) * s if needs[0] else None,
        _of_key_heads(xp.matrix_transpose(dscores) @ query, key) * s if needs[1] else None,
        _of_key_heads(xp.matrix_transpose(dropped) @ g, value) if needs[2] else None,
        _summed_to(dscores, mask) if needs[3] and added else None,
        None,
        None,
    )


scaled_dot_product_attention.gradient(
    saving=scaled_dot_product_attention_saving, backward=scaled_dot_product_attention_backward
)


@kernel
def attention_weights(
    query: Array, key: Array, mask: Array | None, *, is_causal: bool = False, scale: float | None = None
) -> Array:
    """The weights of `scaled_dot_product_attention`, (..., n_heads, n_queries, n_keys), for whoever wants to see them.

    Each row sums to 1, or is 0 for a query that may attend to nothing.
    """
    refuse_unfit_attention(query, key, key, mask)
    scores = _scores(query, _for_every_head(key, query), mask, is_causal, scale)
    return namespace(query, key).exp(scores - _log_sum(scores))


@kernel
def packed_attention(
    packed: Array,
    mask: Array | None,
    dropout_key: Array | None,
    counter: Array | None,
    *,
    n_heads: int,
    is_causal: bool = False,
    scale: float | None = None,
    dropout_p: float = 0.0,
) -> Array:
    """Self-attention of queries, keys and values that lie beside each other, as one matrix product gives them.

    Parameters
    ----------
    packed : array (n_samples, length, 3 * n_features)
        Queries, keys and values, each (n_heads * n_features_of_a_head) wide.
    mask : array, broadcast to (n_samples, n_heads, length, length), or None
    dropout_key, counter : arrays, uint64, or None
    n_heads : int
    is_causal, scale, dropout_p
        As for `scaled_dot_product_attention`.

    Returns
    -------
    array (n_samples, length, n_features)
        The heads beside each other.

    Raises
    ------
    ShapeError
        If the width is not three times a multiple of `n_heads`.
    """
    statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
    return packed_attention_saving.agnostic(packed, mask, dropout_key, counter, n_heads=n_heads, **statics)[0]


@kernel
def packed_attention_saving(
    packed: Array,
    mask: Array | None,
    dropout_key: Array | None,
    counter: Array | None,
    *,
    n_heads: int,
    is_causal: bool,
    scale: float | None,
    dropout_p: float,
) -> tuple[Array, Saved]:
    """The result, and for the gradient the result again with log Σ exp(scores), (n_samples, n_heads, length)."""
    refuse_unfit_packed(packed, n_heads)
    statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
    y, (_, logarithm) = scaled_dot_product_attention_saving.agnostic(
        *unpacked(packed, n_heads), mask, dropout_key, counter, **statics
    )
    y = heads_beside(y)
    return y, (y, logarithm)


@kernel
def packed_attention_backward(
    g: Array,
    saved: Saved,
    packed: Array,
    mask: Array | None,
    dropout_key: Array | None,
    counter: Array | None,
    *,
    needs: Needs,
    n_heads: int,
    is_causal: bool,
    scale: float | None,
    dropout_p: float,
) -> tuple[Array | None, ...]:
    """Gradient: those of queries, keys and values beside each other, and that of a mask that is added."""
    statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
    y, logarithm = saved
    dq, dk, dv, dmask, _, _ = scaled_dot_product_attention_backward.agnostic(
        heads_apart(g, n_heads),
        (heads_apart(y, n_heads), logarithm),
        *unpacked(packed, n_heads),
        mask,
        dropout_key,
        counter,
        needs=(needs[0], needs[0], needs[0], needs[1], False, False),
        **statics,
    )
    if not needs[0]:
        return None, dmask, None, None
    return namespace(g).concat([heads_beside(each) for each in (dq, dk, dv)], axis=-1), dmask, None, None


packed_attention.gradient(saving=packed_attention_saving, backward=packed_attention_backward)


def attention_scale(query: Array, scale: float | None) -> float:
    """The factor of the scores: 1 / √n_features where none is given."""
    return 1 / math.sqrt(query.shape[-1] or 1) if scale is None else float(scale)


def refuse_unfit_attention(query: Array, key: Array, value: Array, mask: Array | None) -> None:
    """Raise ShapeError or DtypeError unless these can be attended with."""
    shapes = q, k, v = tuple(query.shape), tuple(key.shape), tuple(value.shape)
    if min(map(len, shapes)) < 2 or len({len(each) for each in shapes}) > 1 or q[-1] != k[-1]:
        raise ShapeError(
            f"attention: query has shape {q}, key {k} and value {v}; expected (..., n_queries, n_features), "
            "(..., n_keys, n_features) and (..., n_keys, n_value_features)"
        )
    if k[:-1] != v[:-1] or q[:-3] != k[:-3]:
        raise ShapeError(
            f"attention: query has shape {q}, key {k} and value {v}; expected the same leading axes, and as many "
            "values as keys"
        )
    heads, of_keys = (q[-3], k[-3]) if len(q) > 2 else (1, 1)
    if heads != of_keys and (of_keys == 0 or heads % of_keys):
        raise ShapeError(f"attention: {heads} heads of queries are no multiple of {of_keys} heads of keys")
    if mask is not None:
        _refuse_unfit_mask(mask, (*q[:-1], k[-2]))


def refuse_unfit_packed(packed: Array, n_heads: int) -> None:
    """Raise ShapeError unless queries, keys and values of so many heads can lie beside each other."""
    shape = tuple(packed.shape)
    if len(shape) != 3 or n_heads < 1 or shape[-1] % (3 * n_heads):
        raise ShapeError(
            f"packed_attention: packed has shape {shape}; expected (n_samples, length, 3 * n_features) with "
            f"n_features a multiple of n_heads={n_heads}"
        )


def heads_apart(x: Array, n_heads: int) -> Array:
    """(n_samples, length, n_features) to (n_samples, n_heads, length, n_features / n_heads)."""
    xp, (samples, length, width) = namespace(x), x.shape
    return xp.permute_dims(xp.reshape(x, (samples, length, n_heads, width // n_heads)), (0, 2, 1, 3))


def heads_beside(x: Array) -> Array:
    """The inverse of `heads_apart`."""
    xp, (samples, heads, length, width) = namespace(x), x.shape
    return xp.reshape(xp.permute_dims(x, (0, 2, 1, 3)), (samples, length, heads * width))


def unpacked(packed: Array, n_heads: int) -> tuple[Array, Array, Array]:
    """Queries, keys and values, (n_samples, n_heads, length, n_features_of_a_head) each."""
    width = packed.shape[-1] // 3
    parts = (packed[..., start * width : (start + 1) * width] for start in range(3))
    query, key, value = (heads_apart(part, n_heads) for part in parts)
    return query, key, value


def _refuse_unfit_mask(mask: Array, expected: tuple[int, ...]) -> None:
    if dtype_kind(mask.dtype) not in ("bool", "float"):
        raise DtypeError(f"mask: expected truth values or floating-point numbers, got {mask.dtype}; convert it")
    shape = tuple(mask.shape)
    beside = expected[len(expected) - len(shape) :]
    if len(shape) > len(expected) or any(length not in (1, other) for length, other in zip(shape, beside, strict=True)):
        raise ShapeError(f"mask: has shape {shape}, which does not broadcast to {expected}, that of the scores")


def _scores(query: Array, keys: Array, mask: Array | None, is_causal: bool, scale: float | None) -> Array:
    """What the softmax is taken of, (..., n_queries, n_keys); -∞ where a query must not look."""
    xp = namespace(query, keys)
    scores = (query * attention_scale(query, scale)) @ xp.matrix_transpose(keys)
    if mask is not None and dtype_kind(mask.dtype) == "bool":
        nothing = xp.zeros((), dtype=scores.dtype, device=device_of(scores))
        scores = scores + xp.where(mask, nothing, -math.inf)
    elif mask is not None:
        scores = scores + mask
    if is_causal:
        n_queries, n_keys = scores.shape[-2:]
        rows = xp.expand_dims(xp.arange(n_queries, device=device_of(scores)), axis=-1)
        scores = xp.where(xp.arange(n_keys, device=device_of(scores)) <= rows, scores, -math.inf)
    return scores


def _log_sum(scores: Array) -> Array:
    """log Σ exp(scores) along the last axis, which stays; ∞ where all are -∞, so that exp(scores - ∞) = 0."""
    xp = namespace(scores)
    if scores.shape[-1] == 0:
        return xp.full((*scores.shape[:-1], 1), math.inf, dtype=scores.dtype, device=device_of(scores))
    highest = xp.max(scores, axis=-1, keepdims=True)
    highest = xp.where(highest == -math.inf, 0, highest)
    total = xp.sum(xp.exp(scores - highest), axis=-1, keepdims=True)
    nothing = total == 0
    return xp.where(nothing, math.inf, highest + xp.log(xp.where(nothing, 1, total)))


def _dropped(weights: Array, dropout_key: Array | None, counter: Array | None, p: float) -> tuple[Array, Array | None]:
    """The weights that are left, and what each was multiplied with (None for 1)."""
    if p == 0 or dropout_key is None or counter is None:
        return weights, None
    xp = namespace(weights)
    ones = xp.ones(weights.shape, dtype=weights.dtype, device=device_of(weights))
    factors, _ = dropout_saving.agnostic(ones, dropout_key, counter, p=p)
    return weights * factors, factors


def _for_every_head(x: Array, query: Array) -> Array:
    """Keys or values, each repeated for the heads of the queries that share it."""
    if x.ndim < 3 or x.shape[-3] == query.shape[-3]:
        return x
    xp, (*batch, heads, length, width) = namespace(x), x.shape
    times = query.shape[-3] // heads
    repeated = xp.broadcast_to(xp.expand_dims(x, axis=-3), (*batch, heads, times, length, width))
    return xp.reshape(repeated, (*batch, heads * times, length, width))


def _of_key_heads(gradient: Array, x: Array) -> Array:
    """The transpose of `_for_every_head`: the sum over the heads that share."""
    if tuple(gradient.shape) == tuple(x.shape):
        return gradient
    xp, (*batch, heads, length, width) = namespace(gradient), x.shape
    shared = xp.reshape(gradient, (*batch, heads, gradient.shape[-3] // heads, length, width))
    return xp.sum(shared, axis=-3)


def _summed_to(x: Array, like: Array) -> Array:
    """The transpose of broadcasting `like` to the shape of `x`."""
    xp, extra = namespace(x), x.ndim - like.ndim
    axes = tuple(i for i in range(x.ndim) if i < extra or (like.shape[i - extra] == 1 and x.shape[i] != 1))
    return xp.reshape(xp.sum(x, axis=axes), like.shape) if axes else x
