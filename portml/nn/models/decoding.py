"""Writing a target for a source, symbol by symbol: the cache, the most probable symbol, and beam search."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from portml.backends import Array, backend_of, device_of, namespace, operations, to_numpy
from portml.backends.kernels.attention import scaled_dot_product_attention
from portml.backends.kernels.linear import linear
from portml.errors import DtypeError, RangeError
from portml.nn.attention import MultiheadAttention, heads_apart, heads_beside
from portml.nn.evaluation_mode import evaluating
from portml.random.arguments import checked_finite, checked_integer

__all__ = ["DecodingCache", "Translating", "decoded_further"]


class DecodingCache:
    """What decoding keeps, so that nothing is worked out twice.

    Parameters
    ----------
    layers : iterable of TransformerDecoderLayer
    memory : array (N, S, dim)
        What the encoder made of the sources.
    ignored : array (N, S), truth values
        Which places of a source are padding.

    Attributes
    ----------
    length : int
        How many symbols of each target were read.
    memory_keys, memory_values : lists of arrays (N, n_heads, S, n_features), one for each layer
        Those of the sources, which never change.
    keys, values : lists of arrays (N, n_heads, length, n_features), or of None before the first symbol
        Those of what is written.
    written : array (N, length), truth values, or None
        Which of it is no padding.
    """

    def __init__(self, layers: Iterable[Any], memory: Array, ignored: Array) -> None:
        self.length = 0
        self.seen = _for_all_heads(operations.logical_not(ignored))
        mapped = [_mapped(layer.multihead_attn, memory, 1, 2) for layer in layers]
        self.memory_keys, self.memory_values = [each[0] for each in mapped], [each[1] for each in mapped]
        self.keys: list[Array | None] = [None] * len(mapped)
        self.values: list[Array | None] = [None] * len(mapped)
        self.written: Array | None = None

    def extended(self, number: int, key: Array, value: Array) -> tuple[Array, Array]:
        """Keep the keys and values of the next symbols in a layer, and return all there are of it."""
        self.keys[number] = _behind(self.keys[number], key, axis=2)
        self.values[number] = _behind(self.values[number], value, axis=2)
        return self.keys[number], self.values[number]

    def repeat(self, times: int) -> None:
        """Every source so many times, one after the other: a row for each target of a beam."""
        repeat = _repeated(times)
        self.seen = repeat(self.seen)
        self.memory_keys, self.memory_values = [*map(repeat, self.memory_keys)], [*map(repeat, self.memory_values)]

    def take(self, rows: Array) -> None:
        """Go on from these rows of what is written, in this order; each must be a target of the same source."""
        self.keys = [operations.take(each, rows, axis=0) for each in self.keys]
        self.values = [operations.take(each, rows, axis=0) for each in self.values]
        self.written = operations.take(self.written, rows, axis=0)


def decoded_further(decoder: Any, x: Array, written: Array, cache: DecodingCache) -> Array:
    """The layers of a `TransformerDecoder` on the next places alone; inside `no_grad`, in evaluation mode.

    Parameters
    ----------
    decoder : TransformerDecoder
        With `batch_first`.
    x : array (N, t, dim)
        The embedded symbols that go on where the cache ends.
    written : array (N, t), truth values
        Which of them are no padding.
    cache : DecodingCache
        Is given their keys and values.

    Returns
    -------
    array (N, t, dim)
    """
    cache.written = _behind(cache.written, written, axis=1)
    earlier = _earlier(x, cache.length, _for_all_heads(cache.written))
    for number, layer in enumerate(decoder.layers):

        def attend(x: Array, number: int = number, layer: Any = layer) -> Array:
            query, key, value = _mapped(layer.self_attn, x, 0, 1, 2)
            y = scaled_dot_product_attention(query, *cache.extended(number, key, value), earlier, None, None)
            return layer.self_attn.out_proj(heads_beside(y))

        def look(x: Array, number: int = number, layer: Any = layer) -> Array:
            (query,) = _mapped(layer.multihead_attn, x, 0)
            keys, values = cache.memory_keys[number], cache.memory_values[number]
            y = scaled_dot_product_attention(query, keys, values, cache.seen, None, None)
            return layer.multihead_attn.out_proj(heads_beside(y))

        x = layer._added(x, layer.norm1, attend)
        x = layer._added(x, layer.norm2, look)
        x = layer._added(x, layer.norm3, layer._feed_forward)
    cache.length += x.shape[1]
    return x if decoder.norm is None else decoder.norm(x)


class Translating:
    """What a model with `new_cache` and `decode_further` can write."""

    vocabulary: int
    max_len: int
    padding_idx: int

    def translate(self, source: Any, *, start: int, stop: int, max_new_tokens: int | None = None) -> Array:
        """The most probable symbol, and so on until the symbol that ends a target.

        Parameters
        ----------
        source : integers (N, S) or (S,)
        start : int
            The symbol that a target begins with; it is no part of the result.
        stop : int
            The symbol that ends it; what would follow is padding.  Each step waits for the device to see whether all
            have ended.
        max_new_tokens : int, optional
            None goes on as long as there are positions.

        Returns
        -------
        array (N, length), int64, or (length,) if the source had no N

        Raises
        ------
        ShapeError, DtypeError, RangeError
            If the source is empty, too long or no symbols of the vocabulary, or a setting is out of range.
        """
        return self.beam_search(source, start=start, stop=stop, max_new_tokens=max_new_tokens, width=1)[0]

    def beam_search(
        self,
        source: Any,
        *,
        start: int,
        stop: int,
        max_new_tokens: int | None = None,
        width: int = 4,
        length_penalty: float = 1.0,
    ) -> tuple[Array, Array]:
        r"""The best target among `width` that are followed at once: of all their continuations the `width` most
        probable are kept at every step, those that have ended among them.

        Which is best in the end is said by :math:`\log P / ((5 + \text{length}) / 6)^\alpha`, as each symbol makes a
        longer target less probable.  [Wu et al. 2016, section 7]

        Parameters
        ----------
        source, start, stop, max_new_tokens
            As in `translate`, which is this with a width of 1.
        width : int
        length_penalty : float
            α; 0 takes the most probable target as it is.

        Returns
        -------
        tokens : array (N, length), int64
        log_probability : array (N,)
            Of the target, its end included and not divided by anything.  Both without N if the source had none.
        """
        if checked_integer("width", width) < 1:
            raise RangeError(f"width: expected at least 1, got {width}")
        checked_finite("length_penalty", length_penalty)
        n = self.max_len if max_new_tokens is None else checked_integer("max_new_tokens", max_new_tokens)
        if not 0 <= n <= self.max_len:
            raise RangeError(
                f"max_new_tokens: expected 0..{self.max_len}, as many as there are positions, got {max_new_tokens}"
            )
        model: Any = self
        for name, symbol in (("start", start), ("stop", stop)):
            if not 0 <= checked_integer(name, symbol) < self.vocabulary:
                raise RangeError(f"{name}: expected one of the {self.vocabulary} symbols of a target, got {symbol}")
        if isinstance(source, str):
            raise DtypeError(
                f"source: expected integers, got the text {source[:20]!r}; encode it with a tokenizer first"
            )
        source = backend_of(next(model.parameters()).value).asarray(source)
        flat = len(source.shape) == 1
        with evaluating(model):
            tokens, scores = _search(model, source[None, :] if flat else source, n, width, start, stop, length_penalty)
        return (tokens[0, :], scores[0]) if flat else (tokens, scores)


def _search(
    model: Any, source: Array, n: int, width: int, start: int, stop: int, length_penalty: float
) -> tuple[Array, Array]:
    xp, device, samples = namespace(source), device_of(source), source.shape[0]
    cache = model.new_cache(source)
    cache.repeat(width)
    beams = xp.arange(samples * width, device=device)
    first = xp.zeros((samples * width, 1), dtype=xp.int64, device=device)
    unread, tokens, ended = first + start, first[:, :0], xp.zeros((samples, width), dtype=xp.bool, device=device)
    # All targets of a beam are the same still, and only one of them counts.
    dtype = next(model.parameters()).value.dtype
    zeros = xp.zeros((samples, width), dtype=dtype, device=device)
    scores = xp.where(xp.reshape(beams % width, (samples, width)) == 0, zeros, -math.inf)
    for _ in range(n):
        steps = _log_softmax(model.decode_further(unread, cache)[:, -1, :])
        steps = _only_padding_after(ended, xp.reshape(steps, (samples, width, -1)), model.padding_idx)
        symbols = steps.shape[-1]
        every = xp.reshape(steps + xp.expand_dims(scores, axis=-1), (samples, width * symbols))
        scores, best = _largest(every, width)
        chosen = best % symbols
        parents = xp.reshape(xp.arange(samples, device=device)[:, None] * width + best // symbols, (-1,))
        ended = xp.reshape(xp.take(xp.reshape(ended, (-1,)), parents), (samples, width)) | (chosen == stop)
        unread = xp.reshape(xp.astype(chosen, xp.int64), (-1, 1))
        tokens = xp.concat([xp.take(tokens, parents, axis=0), unread], axis=1)
        if width > 1:
            cache.take(parents)
        if bool(to_numpy(ended).all()):
            break
    tokens = xp.reshape(tokens, (samples, width, -1))
    lengths = xp.sum(xp.astype(tokens != model.padding_idx, scores.dtype), axis=-1)
    ranked = scores / ((5 + lengths) / 6) ** length_penalty
    # One that has ended comes before any that was cut off.
    ranked = xp.where(ended | ~xp.any(ended, axis=1, keepdims=True), ranked, -math.inf)
    best = xp.expand_dims(xp.argmax(ranked, axis=1), axis=-1)
    chosen = xp.take_along_axis(tokens, xp.broadcast_to(best[..., None], (samples, 1, tokens.shape[-1])), axis=1)
    return chosen[:, 0, :], xp.take_along_axis(scores, best, axis=1)[:, 0]


def _largest(x: Array, k: int) -> tuple[Array, Array]:
    """The k largest of each row, the largest first, and where they are; k is small: k passes cost less than a sort."""
    xp = namespace(x)
    places = xp.arange(x.shape[-1], device=device_of(x))
    values, found = [], []
    for _ in range(k):
        place = xp.argmax(x, axis=-1, keepdims=True)
        values.append(xp.take_along_axis(x, place, axis=-1))
        found.append(place)
        x = xp.where(places == place, -math.inf, x)
    return xp.concat(values, axis=-1), xp.concat(found, axis=-1)


def _log_softmax(logits: Array) -> Array:
    xp = namespace(logits)
    below = logits - xp.max(logits, axis=-1, keepdims=True)
    return below - xp.log(xp.sum(xp.exp(below), axis=-1, keepdims=True))


def _only_padding_after(ended: Array, steps: Array, padding_idx: int) -> Array:
    """Log-probabilities (N, width, V): padding is certain after the end, and impossible before it."""
    xp = namespace(steps)
    padding = xp.arange(steps.shape[-1], device=device_of(steps)) == padding_idx
    after = xp.where(padding, xp.zeros_like(steps), -math.inf)
    return xp.where(xp.expand_dims(ended, axis=-1), after, xp.where(padding, -math.inf, steps))


def _mapped(attention: MultiheadAttention, x: Array, *parts: int) -> list[Array]:
    """Queries (0), keys (1) or values (2) of x in every head, (N, n_heads, L, n_features), in one product."""
    size = attention.embed_dim
    rows = slice(parts[0] * size, (parts[-1] + 1) * size)
    bias = attention.in_proj_bias
    assert attention.in_proj_weight is not None  # keys and values are as wide as queries here
    weight = attention.in_proj_weight.value[rows, :]
    packed = linear(x, weight, None if bias is None else bias.value[rows])
    return [heads_apart(packed[..., i * size : (i + 1) * size], attention.num_heads) for i in range(len(parts))]


def _earlier(x: Array, start: int, written: Array) -> Array:
    """What each of the next places may see: places up to its own, unless they are padding; (N, 1, t, start + t)."""
    if x.shape[1] == 1:
        return written
    xp, device = namespace(x), device_of(x)
    places = xp.arange(start + x.shape[1], device=device)
    return operations.logical_and(written, places <= places[start:, None])


def _for_all_heads(attends: Array) -> Array:
    """(N, S) to (N, 1, 1, S)."""
    return operations.reshape(attends, (attends.shape[0], 1, 1, attends.shape[1]))


def _behind(before: Array | None, new: Array, axis: int) -> Array:
    return new if before is None else operations.concat([before, new], axis=axis)


def _repeated(times: int) -> Any:
    def repeat(x: Array) -> Array:
        wide = operations.broadcast_to(operations.expand_dims(x, axis=1), (x.shape[0], times, *x.shape[1:]))
        return operations.reshape(wide, (-1, *x.shape[1:]))

    return repeat
