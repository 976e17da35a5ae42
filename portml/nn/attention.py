"""Attention layers: scaled dot products with several heads, and additive attention."""

from __future__ import annotations

import math
from typing import Any

from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend, backend_of, dtype_kind, namespace, operations
from portml.backends.kernels.attention import (
    attention_weights,
    packed_attention,
    refuse_unfit_attention,
    scaled_dot_product_attention,
)
from portml.backends.kernels.dropout import dropout, words_for_dropout
from portml.backends.kernels.linear import linear
from portml.errors import ArgumentError, DtypeError, RangeError, ShapeError
from portml.nn.arrays import in_precision_of, require_array
from portml.nn.initialisation import generator_for, xavier_normal, xavier_uniform
from portml.nn.linear import Linear
from portml.nn.module import Module
from portml.random import Generator
from portml.random.arguments import checked_count, checked_real

__all__ = ["AdditiveAttention", "MultiheadAttention", "attending", "heads_apart", "heads_beside", "scaled_attention"]


class MultiheadAttention(Module):
    r"""Attention with several heads, each in a subspace of its own.

    .. math:: y = [h_1, \dots, h_n] W_O^\top + b_O, \quad
        h_i = \operatorname{softmax}(q_i k_i^\top / \sqrt{d_i})\, v_i

    with q, k, v the inputs mapped by the rows of ``in_proj_weight``.  [Vaswani et al. 2017, section 3.2.2]

    Parameters, named and laid out as in PyTorch: ``in_proj_weight`` (3 embed_dim, embed_dim), or with `kdim` or `vdim`
    ``q_proj_weight``, ``k_proj_weight``, ``v_proj_weight``; ``in_proj_bias`` (3 embed_dim,); ``out_proj``;
    ``bias_k``, ``bias_v`` (1, 1, embed_dim).

    Parameters
    ----------
    embed_dim : int
    num_heads : int
        A divisor of `embed_dim`.
    dropout : float
        The probability that a weight is dropped in training.
    bias : bool
    add_bias_kv : bool
        Whether every query also meets a learnt key and value.
    add_zero_attn : bool
        Whether every query also meets a key and value of zeros.
    kdim, vdim : int, optional
        Features of keys and values; None takes `embed_dim`.
    batch_first : bool
        Whether inputs are (N, L, E) instead of (L, N, E).
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str

    Raises
    ------
    ArgumentError
        If `num_heads` does not divide `embed_dim`.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if checked_count("num_heads", num_heads) < 1 or checked_count("embed_dim", embed_dim) % num_heads:
            raise ArgumentError(f"num_heads: expected a divisor of embed_dim={embed_dim}, got {num_heads}")
        if not 0 <= checked_real("dropout", dropout) <= 1:
            raise RangeError(f"dropout: expected a probability in [0, 1], got {dropout!r}")
        rng = generator_for(rng, backend)
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.add_zero_attn = add_zero_attn
        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = Parameter(xavier_uniform((3 * embed_dim, embed_dim), rng=rng, dtype=dtype))
        else:
            self.q_proj_weight = Parameter(xavier_uniform((embed_dim, embed_dim), rng=rng, dtype=dtype))
            self.k_proj_weight = Parameter(xavier_uniform((embed_dim, self.kdim), rng=rng, dtype=dtype))
            self.v_proj_weight = Parameter(xavier_uniform((embed_dim, self.vdim), rng=rng, dtype=dtype))
        self.in_proj_bias = Parameter(rng.backend.zeros((3 * embed_dim,), dtype)) if bias else None
        self.bias_k = self.bias_v = None
        if add_bias_kv:
            # Three axes for PyTorch's sake; the fans of (embed_dim, 1) are those it draws them with.
            self.bias_k = Parameter(xavier_normal((1, 1, embed_dim), rng=rng, dtype=dtype))
            self.bias_v = Parameter(xavier_normal((1, 1, embed_dim), rng=rng, dtype=dtype))
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng, dtype=dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias.assign(rng.backend.zeros((embed_dim,), dtype))
        self.rng = rng.split(1)[0]

    def forward(
        self,
        query: Array,
        key: Array,
        value: Array,
        key_padding_mask: Array | None = None,
        need_weights: bool = True,
        attn_mask: Array | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Array, Array | None]:
        """Attend from each query to the keys.

        Parameters
        ----------
        query : array (L, N, embed_dim), or (N, L, embed_dim) with `batch_first`, or (L, embed_dim)
        key, value : arrays of the same form, with S in place of L, and `kdim` and `vdim` features
        key_padding_mask : array (N, S) or (S,), optional
            Boolean: True is ignored.  Floating-point: is added to the scores.
        need_weights : bool
            Whether to return the weights, which takes memory for all of them.
        attn_mask : array (L, S) or (N num_heads, L, S), optional
            As `key_padding_mask`.
        average_attn_weights : bool
            Whether to return the mean over the heads.
        is_causal : bool
            Whether query i meets the keys 0 to i only; besides `attn_mask`, which need not say it again.

        Returns
        -------
        output : array of the shape of `query`
            Of a query that may attend to nothing only the bias of ``out_proj`` is left.
        weights : array (N, L, S), or (N, num_heads, L, S) unless averaged, or None
            Without the axis N if there was none.

        Raises
        ------
        ShapeError, DtypeError
            If inputs or masks do not fit.
        """
        for name, given in (("query", query), ("key", key), ("value", value)):
            require_array(name, given)
        batched = len(query.shape) == 3
        mask = in_precision_of(query, attending(key_padding_mask, attn_mask, self.num_heads, batched))
        itself = _is_same(query, key) and _is_same(key, value)
        query = self._batch_first(query, "query", self.embed_dim)
        extended = self.bias_k is not None or self.add_zero_attn
        if itself and not need_weights and not extended and self.in_proj_weight is not None:
            packed = linear(query, self.in_proj_weight, self.in_proj_bias)
            random = self._random((query.shape[0], self.num_heads, query.shape[1], query.shape[1]))
            y = packed_attention(packed, mask, *random, n_heads=self.num_heads, is_causal=is_causal, dropout_p=self._p)
            return self._as_given(self.out_proj(y), batched), None
        keys = query if itself else self._batch_first(key, "key", self.kdim)
        values = query if itself else self._batch_first(value, "value", self.vdim)
        q, k, v = (heads_apart(each, self.num_heads) for each in self._extended(*self._projected(query, keys, values)))
        mask = _padded(mask, k.shape[-2] - keys.shape[1], is_causal, (query.shape[1], keys.shape[1]), query)
        is_causal = is_causal and not extended
        weights = None
        random = self._random((*q.shape[:-1], k.shape[-2]))
        if need_weights:
            refuse_unfit_attention(q, k, v, mask)
            weights = attention_weights(q, k, mask, is_causal=is_causal)
            weights = dropout(weights, *random, p=self._p) if self._p else weights
            y = operations.matmul(weights, v)
        else:
            y = scaled_dot_product_attention(q, k, v, mask, *random, is_causal=is_causal, dropout_p=self._p)
        y = self._as_given(self.out_proj(heads_beside(y)), batched)
        if weights is not None and average_attn_weights:
            weights = operations.mean(weights, axis=1)
        return y, weights if weights is None or batched else operations.squeeze(weights, axis=0)

    def extra_repr(self) -> str:
        """Sizes and the order of axes."""
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, batch_first={self.batch_first}"

    @property
    def _p(self) -> float:
        return self.dropout if self.training else 0.0

    def _random(self, shape: tuple[int, ...]) -> tuple[Array | None, Array | None]:
        return self.rng.counter(words_for_dropout(math.prod(shape))) if self._p else (None, None)

    def _batch_first(self, x: Array, name: str, features: int) -> Array:
        """(N, L, E), whatever the order of the axes was."""
        if len(x.shape) not in (2, 3) or x.shape[-1] != features:
            raise ShapeError(
                f"MultiheadAttention: expected {name} of (batch, length, {features}), in the order of batch_first="
                f"{self.batch_first}, or (length, {features}), got {tuple(x.shape)}"
            )
        if len(x.shape) == 2:
            return operations.expand_dims(x, axis=0)
        return x if self.batch_first else operations.permute_dims(x, (1, 0, 2))

    def _as_given(self, y: Array, batched: bool) -> Array:
        if not batched:
            return operations.squeeze(y, axis=0)
        return y if self.batch_first else operations.permute_dims(y, (1, 0, 2))

    def _projected(self, query: Array, key: Array, value: Array) -> tuple[Array, ...]:
        size = self.embed_dim
        weights: Any = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        if self.in_proj_weight is not None:
            weights = [self.in_proj_weight[i * size : (i + 1) * size, :] for i in range(3)]
        bias = self.in_proj_bias
        biases = [None if bias is None else bias[i * size : (i + 1) * size] for i in range(3)]
        return tuple(linear(*each) for each in zip((query, key, value), weights, biases, strict=True))

    def _extended(self, query: Array, key: Array, value: Array) -> tuple[Array, Array, Array]:
        """Keys and values with those that every query meets behind them."""
        extra: list[tuple[Array, Array]] = []
        samples = key.shape[0]
        if self.bias_k is not None and self.bias_v is not None:
            shape = (samples, 1, self.embed_dim)
            extra.append((operations.broadcast_to(self.bias_k, shape), operations.broadcast_to(self.bias_v, shape)))
        if self.add_zero_attn:
            zeros = operations.zeros_like(key[:, :1, :]) if key.shape[1] else key
            extra.append((zeros, zeros))
        for more_keys, more_values in extra:
            key, value = operations.concat([key, more_keys], axis=1), operations.concat([value, more_values], axis=1)
        return query, key, value


class AdditiveAttention(Module):
    r"""Attention whose scores are a small network's.

    .. math:: y_i = \sum_j \operatorname{softmax}_j(v^\top \tanh(W q_i + U k_j))\, k_j

    [Bahdanau, Cho & Bengio 2015, appendix A.1.2]

    Parameters: ``query_proj.weight`` (hidden, query_dim), ``key_proj.weight`` (hidden, key_dim), ``score.weight``
    (1, hidden).

    Parameters
    ----------
    query_dim, key_dim, hidden_dim : int
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        hidden_dim: int,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        rng = generator_for(rng, backend)
        self.query_proj = Linear(query_dim, hidden_dim, bias=False, rng=rng, dtype=dtype)
        self.key_proj = Linear(key_dim, hidden_dim, bias=False, rng=rng, dtype=dtype)
        self.score = Linear(hidden_dim, 1, bias=False, rng=rng, dtype=dtype)

    def forward(
        self, query: Array, key: Array, value: Array | None = None, mask: Array | None = None
    ) -> tuple[Array, Array]:
        """Attend from each query to the keys.

        Parameters
        ----------
        query : array (N, L, query_dim)
        key : array (N, S, key_dim)
        value : array (N, S, n_features), optional
            None takes the keys.
        mask : array (N, S) or (N, L, S), optional
            As that of `MultiheadAttention`: True is ignored.

        Returns
        -------
        output : array (N, L, n_features)
            Zero where everything is ignored.
        weights : array (N, L, S)
        """
        for name, given in (("query", query), ("key", key)):
            require_array(name, given)
        if len(query.shape) != 3 or len(key.shape) != 3 or query.shape[0] != key.shape[0]:
            raise ShapeError(
                f"AdditiveAttention: expected query (N, L, E) and key (N, S, E'), got {tuple(query.shape)} and "
                f"{tuple(key.shape)}"
            )
        pairs = operations.add(
            operations.expand_dims(self.query_proj(query), axis=2), operations.expand_dims(self.key_proj(key), axis=1)
        )
        scores = operations.squeeze(self.score(operations.tanh(pairs)), axis=-1)
        if mask is not None and len(mask.shape) == 2:
            mask = operations.expand_dims(mask, axis=1)
        # Scores that are there already are those of one feature beside the identity: the mask alone is added to them.
        weights = _softmax_where(scores, mask)
        return operations.matmul(weights, key if value is None else value), weights


def scaled_attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    rng: Generator | int | None = None,
) -> Array:
    """`scaled_dot_product_attention` with PyTorch's words: a boolean mask's True attends.

    Parameters
    ----------
    query, key, value : arrays (..., n_heads, n_queries, n_features) and (..., n_key_heads, n_keys, ...)
    attn_mask : array, broadcast to (..., n_heads, n_queries, n_keys), optional
    dropout_p : float
    is_causal : bool
    scale : float, optional
    enable_gqa : bool
        Whether there may be fewer heads of keys than of queries.
    rng : Generator or int, optional
        Draws what is dropped.
    """
    for name, given in (("query", query), ("key", key), ("value", value)):
        require_array(name, given)
    attn_mask = in_precision_of(query, attn_mask)
    if not enable_gqa and len(query.shape) > 2 and query.shape[-3] != key.shape[-3]:
        raise ShapeError(
            f"attention: {query.shape[-3]} heads of queries and {key.shape[-3]} of keys; pass enable_gqa=True to share"
        )
    if not 0 <= checked_real("dropout_p", dropout_p) <= 1:
        raise RangeError(f"dropout_p: expected a probability in [0, 1], got {dropout_p!r}")
    random: tuple[Array | None, Array | None] = (None, None)
    if dropout_p:
        generator = generator_for(rng, None if isinstance(rng, Generator) else backend_of(query))
        random = generator.counter(words_for_dropout(math.prod(query.shape[:-1]) * key.shape[-2]))
    options: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
    return scaled_dot_product_attention(query, key, value, attn_mask, *random, **options)


def attending(
    key_padding_mask: Array | None, attn_mask: Array | None, n_heads: int, batched: bool = True
) -> Array | None:
    """The two masks of `MultiheadAttention` as one of `scaled_dot_product_attention`: True attends, or a bias."""
    padding = _inverted("key_padding_mask", key_padding_mask, 2 if batched else 1)
    if padding is not None:
        padding = operations.reshape(padding, (*padding.shape[:-1], 1, 1, padding.shape[-1]))
    pairs = _inverted("attn_mask", attn_mask, 2, 3)
    if pairs is not None and len(pairs.shape) == 3:
        if pairs.shape[0] % n_heads:
            raise ShapeError(f"attn_mask: expected (N * {n_heads}, L, S), got {tuple(pairs.shape)}")
        pairs = operations.reshape(pairs, (pairs.shape[0] // n_heads, n_heads, *pairs.shape[1:]))
    if padding is None or pairs is None:
        return pairs if padding is None else padding
    if dtype_kind(padding.dtype) == "bool" and dtype_kind(pairs.dtype) == "bool":
        return operations.logical_and(padding, pairs)
    dtype = pairs.dtype if dtype_kind(padding.dtype) == "bool" else padding.dtype
    return operations.add(_as_bias(padding, dtype), _as_bias(pairs, dtype))


def _inverted(name: str, mask: Array | None, *dimensions: int) -> Array | None:
    """A mask whose True ignores as one whose True attends; one that is added stays."""
    if mask is None:
        return None
    kind = dtype_kind(mask.dtype)
    if kind not in ("bool", "float"):
        raise DtypeError(f"{name}: expected truth values or floating-point numbers, got {mask.dtype}; convert it")
    if len(mask.shape) not in dimensions:
        raise ShapeError(f"{name}: expected {' or '.join(map(str, dimensions))} axes, got {tuple(mask.shape)}")
    return operations.logical_not(mask) if kind == "bool" else mask


def heads_apart(x: Array, n_heads: int) -> Array:
    """(N, L, E) to (N, n_heads, L, E / n_heads)."""
    samples, length, width = x.shape
    return operations.permute_dims(operations.reshape(x, (samples, length, n_heads, width // n_heads)), (0, 2, 1, 3))


def heads_beside(x: Array) -> Array:
    """The inverse of `heads_apart`."""
    samples, heads, length, width = x.shape
    return operations.reshape(operations.permute_dims(x, (0, 2, 1, 3)), (samples, length, heads * width))


def _as_bias(mask: Array, dtype: Any) -> Array:
    if dtype_kind(mask.dtype) == "float":
        return operations.astype(mask, dtype, copy=False)
    zero = operations.astype(operations.logical_not(mask), dtype)
    return operations.where(mask, operations.zeros_like(zero), -math.inf)


def _padded(mask: Array | None, extra: int, is_causal: bool, shape: tuple[int, int], like: Array) -> Array | None:
    """The mask with `extra` keys behind the others that every query meets, those of the future taken out before."""
    if not extra:
        return mask
    xp, device = namespace(like), like.device
    if is_causal:
        rows = xp.expand_dims(xp.arange(shape[0], device=device), axis=-1)
        earlier = operations.less_equal(xp.arange(shape[1], device=device), rows)
        mask = earlier if mask is None else _both(mask, earlier)
    if mask is None:
        return None
    whole = operations.broadcast_to(mask, (*mask.shape[:-1], shape[1]))
    rest = (*mask.shape[:-1], extra)
    if dtype_kind(mask.dtype) == "bool":
        more = xp.ones(rest, dtype=mask.dtype, device=device)
    else:
        more = xp.zeros(rest, dtype=mask.dtype, device=device)
    return operations.concat([whole, more], axis=-1)


def _both(mask: Array, earlier: Array) -> Array:
    if dtype_kind(mask.dtype) == "bool":
        return operations.logical_and(mask, earlier)
    return operations.where(earlier, mask, -math.inf)


def _softmax_where(scores: Array, mask: Array | None) -> Array:
    """The softmax along the last axis, 0 in a row whose scores are all ignored."""
    ones = operations.expand_dims(operations.ones_like(scores[..., :1]), axis=-2)
    columns = operations.expand_dims(scores, axis=-1)
    attends = _inverted("mask", mask, 3)
    if attends is not None:
        attends = operations.expand_dims(attends, axis=-2)
    return operations.squeeze(attention_weights(ones, columns, attends, scale=1.0), axis=-2)


def _is_same(a: Array, b: Array) -> bool:
    """Whether two arguments are one array, also if each was made a Tensor of its own."""
    if a is b:
        return True
    same_value = getattr(a, "value", a) is getattr(b, "value", b)
    return same_value and getattr(a, "node", None) is getattr(b, "node", None)
