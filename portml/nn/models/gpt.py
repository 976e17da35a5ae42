"""A language model of the kind of GPT: each position sees the ones before it and says what comes next."""

from __future__ import annotations

import math
from typing import Any

from portml.backends import Array, Backend, backend_of, operations
from portml.backends.kernels.attention import packed_attention, scaled_dot_product_attention
from portml.backends.kernels.dropout import words_for_dropout
from portml.backends.kernels.linear import linear
from portml.backends.kernels.smooth_activation import gelu
from portml.errors import ArgumentError, GradientError, RangeError, ShapeError
from portml.nn.attention import heads_apart, heads_beside
from portml.nn.containers import ModuleList
from portml.nn.dropout import Dropout
from portml.nn.embedding import Embedding
from portml.nn.initialisation import generator_for
from portml.nn.linear import Linear
from portml.nn.models.generation import Generating
from portml.nn.models.tokens import refuse_unfit_tokens
from portml.nn.module import Module
from portml.nn.normalisation import LayerNorm
from portml.nn.positions import LearnedPositions, RotaryPositions
from portml.random import Generator
from portml.random.arguments import checked_count

__all__ = ["GPT", "KeyValueCache"]


class KeyValueCache:
    """Keys and values of the positions read so far, so that each is worked out once.

    Attributes
    ----------
    length : int
        How many positions it holds.
    keys, values : lists of arrays (N, n_heads, context, n_features), one for each layer
    """

    def __init__(self, keys: list[Array], values: list[Array]) -> None:
        self.keys, self.values, self.length = keys, values, 0

    def extended(self, layer: int, key: Array, value: Array) -> tuple[Array, Array]:
        """Write the next positions of a layer, and return all there are of it."""
        if getattr(key, "requires_grad", False):
            raise GradientError("cache: it is written in place, which has no gradient; call the model inside no_grad()")
        end = self.length + key.shape[-2]
        self.keys[layer][:, :, self.length : end, :] = key
        self.values[layer][:, :, self.length : end, :] = value
        return self.keys[layer][:, :, :end, :], self.values[layer][:, :, :end, :]

    def refuse_unless_of(self, n_samples: int, model: GPT) -> None:
        """Raise ShapeError unless it was made by this model, or one of its sizes, for so many sequences."""
        shape = model.shape_of_cache(n_samples)
        found = [tuple(each.shape) for each in self.keys]
        if found != [shape] * len(model.blocks):
            raise ShapeError(
                f"cache: expected {len(model.blocks)} layers of {shape}, got {len(found)} of "
                f"{found[0] if found else 'nothing'}; make one with new_cache({n_samples})"
            )

    def take(self, rows: Array) -> None:
        """Keep these rows of the batch, in this order: what beam search goes on with."""
        self.keys = [operations.take(each, rows, axis=0) for each in self.keys]
        self.values = [operations.take(each, rows, axis=0) for each in self.values]


class GPT(Module, Generating):
    """Embeddings, positions, blocks of causal attention with the norm first, a norm, a head.  [Radford et al. 2019]

    Input: integers (N, L) with L at most `context`.  Output: logits of the next symbol at each place,
    (N, L, vocabulary).  `generate`, `stream` and `beam_search` go on writing.

    Parameters
    ----------
    vocabulary, context, dim, n_heads, n_layers : int
    dim_feedforward : int, optional
        None takes 4 dim.
    positions : {"learned", "rotary"}
    dropout : float
    tied : bool
        Whether the head is the table of embeddings.  [Press & Wolf 2017]
    bias : bool
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        vocabulary: int,
        context: int,
        dim: int = 128,
        n_heads: int = 4,
        n_layers: int = 2,
        dim_feedforward: int | None = None,
        positions: str = "learned",
        dropout: float = 0.0,
        tied: bool = True,
        bias: bool = True,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if positions not in ("learned", "rotary"):
            raise ArgumentError(f"positions: expected 'learned' or 'rotary', got {positions!r}")
        sizes = {"vocabulary": vocabulary, "context": context, "dim": dim, "n_heads": n_heads}
        for name, size in sizes.items():
            if checked_count(name, size) < 1:
                raise ArgumentError(f"{name}: expected at least 1, got {size}")
        if dim % n_heads:
            raise ArgumentError(f"n_heads: expected a divisor of dim={dim}, got {n_heads}")
        rng = generator_for(rng, backend)
        self.vocabulary, self.context, self.n_heads = vocabulary, context, n_heads
        self.embedding = Embedding(vocabulary, dim, rng=rng, dtype=dtype)
        self.positions = LearnedPositions(context, dim, rng=rng, dtype=dtype) if positions == "learned" else None
        self.dropout = Dropout(dropout, rng=rng)
        rotary = RotaryPositions(context, dim // n_heads) if positions == "rotary" else None
        hidden = 4 * dim if dim_feedforward is None else dim_feedforward
        settings = (dim, n_heads, hidden, dropout, bias, rotary, rng, dtype)
        self.blocks = ModuleList([_Block(*settings) for _ in range(checked_count("n_layers", n_layers))])
        self.norm = LayerNorm(dim, bias=bias, backend=rng.backend, dtype=dtype)
        self.head = None if tied else Linear(dim, vocabulary, bias=False, rng=rng, dtype=dtype)
        self._draw(rng, n_layers, dtype)

    def forward(self, tokens: Array, cache: KeyValueCache | None = None) -> Array:
        """Logits of what follows each symbol; with a cache, `tokens` go on where it ends, and are added to it."""
        start = 0 if cache is None else cache.length
        refuse_unfit_tokens("tokens", tokens)
        if cache is not None:
            cache.refuse_unless_of(tokens.shape[0], self)
        if start + tokens.shape[1] > self.context:
            raise RangeError(
                f"tokens: {start + tokens.shape[1]} symbols are more than the context of {self.context}; "
                "shorten the sequence or build the model with a larger context"
            )
        x = self.embedding(tokens)
        x = self.dropout(x if self.positions is None else self.positions(x, start))
        for number, block in enumerate(self.blocks):
            x = block(x, cache, number)
        if cache is not None:
            cache.length = start + tokens.shape[1]
        x = self.norm(x)
        return linear(x, self.embedding.weight, None) if self.head is None else self.head(x)

    def new_cache(self, n_samples: int) -> KeyValueCache:
        """An empty cache for so many sequences."""
        weight = self.embedding.weight.value
        backend, shape = backend_of(weight), self.shape_of_cache(checked_count("n_samples", n_samples))
        made = [[backend.zeros(shape, weight.dtype) for _ in self.blocks] for _ in range(2)]
        return KeyValueCache(*made)

    def shape_of_cache(self, n_samples: int) -> tuple[int, ...]:
        """That of the keys, and of the values, of a layer: (N, n_heads, context, n_features)."""
        return n_samples, self.n_heads, self.context, self.embedding.weight.shape[1] // self.n_heads

    def _draw(self, rng: Generator, n_layers: int, dtype: str) -> None:
        """Normal weights of deviation 0.02, those before a residual sum smaller.  [Radford et al. 2019, section 2.3]"""
        for name, parameter in self.named_parameters():
            if len(parameter.shape) > 1:
                deviation = 0.02 / math.sqrt(2 * n_layers) if name.endswith("out.weight") else 0.02
                parameter.assign(rng.normal(0.0, deviation, tuple(parameter.shape), dtype=dtype))
            elif name.endswith("bias"):
                parameter.assign(operations.zeros_like(parameter.value))


class _Block(Module):
    """x + attention(norm(x)), then x + network(norm(x))."""

    def __init__(
        self,
        dim: int,
        n_heads: int,
        hidden: int,
        dropout: float,
        bias: bool,
        rotary: RotaryPositions | None,
        rng: Generator,
        dtype: str,
    ) -> None:
        self.n_heads, self.p = n_heads, dropout
        norm: dict[str, Any] = {"bias": bias, "backend": rng.backend, "dtype": dtype}
        self.norm1, self.norm2 = LayerNorm(dim, **norm), LayerNorm(dim, **norm)
        self.attention_in = Linear(dim, 3 * dim, bias, rng=rng, dtype=dtype)
        self.attention_out = Linear(dim, dim, bias, rng=rng, dtype=dtype)
        self.network_in = Linear(dim, hidden, bias, rng=rng, dtype=dtype)
        self.network_out = Linear(hidden, dim, bias, rng=rng, dtype=dtype)
        self.rotary = rotary
        self.dropout1, self.dropout2 = Dropout(dropout, rng=rng), Dropout(dropout, rng=rng)
        self.rng = rng.split(1)[0]

    def forward(self, x: Array, cache: KeyValueCache | None, number: int) -> Array:
        """(N, L, dim) to the same; the cache holds what was before."""
        y = self.attention_out(self._attended(self.attention_in(self.norm1(x)), cache, number))
        x = operations.add(x, self.dropout1(y))
        y = self.network_out(gelu(self.network_in(self.norm2(x))))
        return operations.add(x, self.dropout2(y))

    def _attended(self, packed: Array, cache: KeyValueCache | None, number: int) -> Array:
        p, length = self.p if self.training else 0.0, packed.shape[1]
        start = 0 if cache is None else cache.length
        size = packed.shape[0] * self.n_heads * length * (start + length)
        random = self.rng.counter(words_for_dropout(size)) if p else (None, None)
        if cache is None and self.rotary is None:
            return packed_attention(packed, None, *random, n_heads=self.n_heads, is_causal=True, dropout_p=p)
        width = packed.shape[-1] // 3
        query, key, value = (heads_apart(packed[..., i * width : (i + 1) * width], self.n_heads) for i in range(3))
        if self.rotary is not None:
            query, key = self.rotary(query, start), self.rotary(key, start)
        if cache is not None:
            key, value = cache.extended(number, key, value)
        mask = None
        if start and length > 1:  # one symbol may see everything, and without a past the kernel knows what is later
            backend = backend_of(packed)
            places = backend.xp.arange(start + length, device=backend.device)
            mask = operations.less_equal(places, operations.expand_dims(places[start:], axis=-1))
        y = scaled_dot_product_attention(query, key, value, mask, *random, is_causal=start == 0, dropout_p=p)
        return heads_beside(y)
