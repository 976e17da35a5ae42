"""Writing on: what a language model makes of a prompt, symbol by symbol."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from portml.backends import Array, backend_of, device_of, dtype_kind, namespace, operations, to_numpy
from portml.errors import ArgumentError, DtypeError, RangeError, ShapeError
from portml.nn.evaluation_mode import evaluating
from portml.nn.initialisation import generator_for
from portml.random import Generator
from portml.random.arguments import checked_integer, checked_real

__all__ = ["Generating", "sample"]


class Generating:
    """What a model with `context`, `new_cache` and logits of (N, L, vocabulary) can write."""

    context: int
    vocabulary: int

    def generate(
        self,
        prompt: Any,
        max_new_tokens: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        stop: int | None = None,
        use_cache: bool = True,
        rng: Generator | int | None = None,
    ) -> Array:
        """The prompt and what follows.

        Parameters
        ----------
        prompt : integers (N, L) or (L,)
            At least one symbol each.
        max_new_tokens : int
            With the prompt at most the context of the model.
        temperature : float
            The logits are divided by it; 0 always takes the most probable symbol.
        top_k : int, optional
            Draw from the k most probable symbols, all if there are fewer.  [Fan, Lewis & Dauphin 2018]
        top_p : float, optional
            Draw from the fewest most probable symbols that have this probability together.  [Holtzman et al. 2020]
        stop : int, optional
            The symbol that ends a sequence; it is repeated until all have ended.  Each step then waits for the device.
        use_cache : bool
            Whether keys and values are kept; the result is the same.
        rng : Generator or int, optional
            The same seed gives the same symbols on every backend.

        Returns
        -------
        array (N, L + max_new_tokens), or less where `stop` has ended all, int64; without N if the prompt had none

        Raises
        ------
        ShapeError, DtypeError, RangeError, ArgumentError
            If the prompt is empty, holds no symbols of the vocabulary or is too long, or a setting is out of range.
        """
        tokens, flat = _checked_prompt(self, prompt, max_new_tokens)
        options: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "stop": stop}
        steps = self.stream(tokens, max_new_tokens, use_cache=use_cache, rng=rng, **options)
        new = [operations.expand_dims(each, axis=-1) for each in steps]
        tokens = operations.concat([tokens, *new], axis=1)
        return tokens[0, :] if flat else tokens

    def stream(
        self,
        prompt: Any,
        max_new_tokens: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        stop: int | None = None,
        use_cache: bool = True,
        rng: Generator | int | None = None,
    ) -> Iterator[Array]:
        """The same, one symbol of each sequence, (N,), at a time, as soon as it is drawn.

        The model is in evaluation mode while a symbol is worked out.  Everything is checked before the first.
        """
        tokens, _ = _checked_prompt(self, prompt, max_new_tokens)
        _check_settings(temperature, top_k, top_p)
        if stop is not None and not 0 <= checked_integer("stop", stop) < self.vocabulary:
            raise RangeError(f"stop: expected a symbol from 0 to {self.vocabulary - 1}, got {stop}")
        rng = generator_for(rng, backend_of(tokens)) if temperature else None
        settings = (temperature, top_k, top_p, rng)
        return _stream(self, tokens, max_new_tokens, settings, stop, use_cache)

    def beam_search(self, prompt: Any, max_new_tokens: int, *, width: int = 4) -> tuple[Array, Array]:
        """The most probable continuation among `width` that are followed at once.  [Lowerre 1976]

        Parameters
        ----------
        prompt : integers (N, L) or (L,)
        max_new_tokens : int
        width : int

        Returns
        -------
        tokens : array (N, L + max_new_tokens), int64
        log_probability : array (N,)
            Of what follows the prompt.  Both without N if the prompt had none.
        """
        tokens, flat = _checked_prompt(self, prompt, max_new_tokens)
        if checked_integer("width", width) < 1:
            raise RangeError(f"width: expected at least 1, got {width}")
        model: Any = self
        with evaluating(model):
            tokens, scores = _beam(model, tokens, max_new_tokens, width)
        return (tokens[0, :], scores[0]) if flat else (tokens, scores)


def sample(logits: Array, temperature: float, top_k: int | None, top_p: float | None, rng: Generator | None) -> Array:
    """One symbol for each row of logits (N, vocabulary), as `Generating.generate` says; (N,), int64.

    The symbols are put in the order of their probability, those that are left out get none, and a uniform number is
    looked up in the sums of the others.
    """
    xp = namespace(logits)
    if temperature == 0 or rng is None:
        return xp.astype(xp.argmax(logits, axis=-1), xp.int64)
    logits = xp.astype(logits, xp.float64) / temperature
    order = xp.argsort(-logits, axis=-1, stable=True)
    ranked = xp.take_along_axis(logits, order, axis=-1)
    weights = xp.exp(ranked - ranked[:, :1])
    weights = weights / xp.sum(weights, axis=-1, keepdims=True)
    if top_k is not None:
        ranks = xp.arange(weights.shape[-1], device=device_of(weights))
        weights = xp.where(ranks < top_k, weights, 0.0)
    sums = xp.cumulative_sum(weights, axis=-1)
    if top_p is not None:
        # A symbol stays if those before it have not reached the share yet; so the first always does.
        weights = xp.where(sums - weights < top_p * sums[:, -1:], weights, 0.0)
        sums = xp.cumulative_sum(weights, axis=-1)
    drawn = rng.random((logits.shape[0], 1), "float64") * sums[:, -1:]
    place = xp.sum(xp.astype(sums <= drawn, xp.int64), axis=-1, keepdims=True)
    last = xp.sum(xp.astype(weights > 0, xp.int64), axis=-1, keepdims=True) - 1
    place = xp.clip(xp.where(place > last, last, place), 0, logits.shape[-1] - 1)
    return xp.astype(xp.take_along_axis(order, place, axis=-1)[:, 0], xp.int64)


def _stream(
    model: Any, tokens: Array, n: int, settings: tuple[Any, ...], stop: int | None, use_cache: bool
) -> Iterator[Array]:
    cache = model.new_cache(tokens.shape[0]) if use_cache else None
    unread, ended = tokens, None
    for _ in range(n):
        with evaluating(model):
            chosen = sample(model(unread, cache)[:, -1, :], *settings)
        if stop is not None:
            chosen = chosen if ended is None else operations.where(ended, stop, chosen)
            ended = operations.equal(chosen, stop)
        yield chosen
        if ended is not None and bool(to_numpy(ended).all()):
            return
        column = operations.expand_dims(chosen, axis=-1)
        unread = column if use_cache else operations.concat([unread, column], axis=1)


def _beam(model: Any, tokens: Array, n: int, width: int) -> tuple[Array, Array]:
    xp, device, samples = namespace(tokens), device_of(tokens), tokens.shape[0]
    rows = xp.reshape(xp.arange(samples * width, device=device), (samples, width)) // width
    tokens = xp.take(tokens, xp.reshape(rows, (-1,)), axis=0)
    cache, unread = model.new_cache(samples * width), tokens
    first = xp.arange(width, device=device) == 0
    scores = None
    for _ in range(n):
        logits = model(unread, cache)[:, -1, :]
        below = logits - xp.max(logits, axis=-1, keepdims=True)
        steps = below - xp.log(xp.sum(xp.exp(below), axis=-1, keepdims=True))
        steps = xp.reshape(steps, (samples, width, -1))
        if scores is None:  # all of a beam are the same still, and only one of them counts
            scores = xp.where(first, xp.zeros((samples, width), dtype=steps.dtype, device=device), -math.inf)
        symbols = steps.shape[-1]
        every = xp.reshape(steps + xp.expand_dims(scores, axis=-1), (samples, width * symbols))
        best = xp.argsort(-every, axis=-1, stable=True)[:, :width]
        scores = xp.take_along_axis(every, best, axis=-1)
        parents = xp.arange(samples, device=device)[:, None] * width + best // symbols
        parents = xp.reshape(parents, (-1,))
        unread = xp.reshape(xp.astype(best % symbols, tokens.dtype), (-1, 1))
        tokens = xp.concat([xp.take(tokens, parents, axis=0), unread], axis=1)
        cache.take(parents)
    if scores is None:
        scores = backend_of(tokens).zeros((samples, width))
    return xp.reshape(tokens, (samples, width, -1))[:, 0, :], scores[:, 0]


def _checked_prompt(model: Any, prompt: Any, n: int) -> tuple[Array, bool]:
    """The prompt as int64 (N, L) where the model is, and whether it had no N."""
    if isinstance(prompt, str):
        raise DtypeError(f"prompt: expected integers, got the text {prompt[:20]!r}; encode it with a tokenizer first")
    tokens = backend_of(next(model.parameters()).value).asarray(prompt)
    if dtype_kind(tokens.dtype) not in ("int", "uint") and 0 not in tokens.shape:
        raise DtypeError(f"prompt: expected integers, got {tokens.dtype}")
    if len(tokens.shape) not in (1, 2):
        raise ShapeError(f"prompt: expected (N, L) or (L,), got {tuple(tokens.shape)}")
    if tokens.shape[-1] == 0:
        raise ShapeError("prompt: it is empty; begin with one symbol at least, such as one that starts every text")
    if checked_integer("max_new_tokens", n) < 0:
        raise RangeError(f"max_new_tokens: expected at least 0, got {n}")
    # The last symbol is written and never read.
    if tokens.shape[-1] + n - 1 > model.context:
        raise RangeError(
            f"max_new_tokens: a prompt of {tokens.shape[-1]} and {n} more are beyond the context of {model.context}; "
            "shorten the prompt or ask for less"
        )
    xp = namespace(tokens)
    tokens = xp.astype(tokens, xp.int64)
    return (tokens, False) if len(tokens.shape) == 2 else (tokens[None, :], True)


def _check_settings(temperature: float, top_k: int | None, top_p: float | None) -> None:
    if not 0 <= checked_real("temperature", temperature) < math.inf:
        raise RangeError(f"temperature: expected a number of at least 0, got {temperature}")
    if top_k is not None and checked_integer("top_k", top_k) < 1:
        raise RangeError(f"top_k: expected at least 1, got {top_k}")
    if top_p is not None and not 0 < checked_real("top_p", top_p) <= 1:
        raise RangeError(f"top_p: expected a share in (0, 1], got {top_p}")
    if temperature == 0 and (top_k is not None or top_p is not None):
        raise ArgumentError("temperature: 0 always takes the most probable symbol; leave top_k and top_p out")
