"""A transformer that reads a sequence in one language and writes one in another.

The encoder reads the source, every place seeing every other; the decoder writes the target, every place seeing those
before it and, by attention, all of the source.  In training the decoder is given the true target, moved by one place
(teacher forcing), so that all places are learnt at once; afterwards it reads what it wrote.
"""

from __future__ import annotations

import math
from typing import Any

from portml.autograd import no_grad
from portml.backends import Array, Backend, dtype_kind, operations
from portml.backends.kernels.linear import linear
from portml.errors import ArgumentError, DtypeError, RangeError, ShapeError
from portml.nn.attention import MultiheadAttention
from portml.nn.dropout import Dropout
from portml.nn.embedding import Embedding
from portml.nn.initialisation import generator_for
from portml.nn.models.decoding import DecodingCache, Translating, decoded_further
from portml.nn.models.tokens import refuse_unfit_tokens
from portml.nn.module import Module
from portml.nn.positions import LearnedPositions, SinusoidalPositions
from portml.nn.transformer import Transformer
from portml.random import Generator
from portml.random.arguments import checked_count, checked_real

__all__ = ["EncoderDecoder"]


class EncoderDecoder(Module, Translating):
    r"""Embeddings, positions, encoder and decoder, and the target's table of embeddings as the output layer.

    .. math:: m = \operatorname{encoder}(\sqrt d\, E_s[s] + p), \quad
        z_t = E_t \operatorname{decoder}(\sqrt d\, E_t[w_{\le t}] + p, m)_t

    [Vaswani et al. 2017, figure 1 and section 3.4]

    Input: `source`, integers (N, S), and `target`, integers (N, T), which begins with the symbol that starts a
    sequence.  Output: logits of the symbol after each place of the target, (N, T, target_vocabulary).  `translate` and
    `beam_search` write a target where there is none.

    Parameters
    ----------
    source_vocabulary : int
        How many symbols a source is made of.
    target_vocabulary : int, optional
        None: the target is made of the same symbols, and one table serves both.
    dim, n_heads : int
    n_layers : int or (int, int)
        Of the encoder and of the decoder.
    dim_feedforward : int, optional
        None takes 4 dim.
    max_len : int
        The longest source and the longest target.
    padding_idx : int
        The symbol that fills a sequence up; nothing looks at it.
    positions : {"sinusoidal", "learned"}
    dropout : float
        Of embeddings, hidden numbers and what each part adds.
    attention_dropout : float
        Of attention weights.
    activation : str or callable
    norm_first : bool
        Whether each part begins with its norm; so it learns without a warm-up.  [Xiong et al. 2020]
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str

    Attributes
    ----------
    source_embedding, target_embedding : Embedding
        One and the same where the vocabulary is shared.
    transformer : Transformer
    """

    def __init__(
        self,
        source_vocabulary: int,
        target_vocabulary: int | None = None,
        dim: int = 128,
        n_heads: int = 4,
        n_layers: int | tuple[int, int] = 2,
        dim_feedforward: int | None = None,
        max_len: int = 100,
        padding_idx: int = 0,
        positions: str = "sinusoidal",
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        activation: Any = "relu",
        norm_first: bool = True,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if positions not in ("sinusoidal", "learned"):
            raise ArgumentError(f"positions: expected 'sinusoidal' or 'learned', got {positions!r}")
        if not 0 <= checked_real("attention_dropout", attention_dropout) <= 1:
            raise RangeError(f"attention_dropout: expected a probability in [0, 1], got {attention_dropout!r}")
        rng = generator_for(rng, backend)
        if isinstance(n_layers, tuple) and len(n_layers) != 2:
            raise ArgumentError(f"n_layers: expected a number or a pair, of encoder and decoder, got {n_layers}")
        if checked_count("max_len", max_len) < 1:
            raise ArgumentError(f"max_len: expected at least 1, got {max_len}")
        n_encoders, n_decoders = n_layers if isinstance(n_layers, tuple) else (n_layers, n_layers)
        self.vocabulary, self.max_len, self.padding_idx = target_vocabulary or source_vocabulary, max_len, padding_idx
        self.scale = math.sqrt(dim)
        self.source_embedding = _table(source_vocabulary, dim, padding_idx, rng, dtype)
        self.target_embedding = self.source_embedding
        if target_vocabulary is not None:
            self.target_embedding = _table(target_vocabulary, dim, padding_idx, rng, dtype)
        self.source_positions: Module = SinusoidalPositions(max_len, dim)
        self.target_positions: Module = self.source_positions
        if positions == "learned":
            self.source_positions = LearnedPositions(max_len, dim, rng=rng, dtype=dtype)
            self.target_positions = LearnedPositions(max_len, dim, rng=rng, dtype=dtype)
        self.dropout = Dropout(dropout, rng=rng)
        self.transformer = Transformer(
            dim,
            n_heads,
            n_encoders,
            n_decoders,
            dim_feedforward or 4 * dim,
            dropout,
            activation,
            batch_first=True,
            norm_first=norm_first,
            rng=rng,
            dtype=dtype,
        )
        for module in self.transformer.modules():
            if isinstance(module, MultiheadAttention):
                module.dropout = attention_dropout

    def forward(self, source: Array, target: Array, *, need_weights: bool = False) -> Any:
        """Logits of what follows each symbol of the target.

        Parameters
        ----------
        source : integers (N, S)
            A row of nothing but padding is translated as if nothing had been said; the numbers stay finite.
        target : integers (N, T)
            Its first symbol is the one that starts every target.
        need_weights : bool

        Returns
        -------
        logits : array (N, T, target_vocabulary)
        weights : list of arrays (N, n_heads, T, S)
            With `need_weights`: where each place of the target looks in the source, a layer at a time.

        Raises
        ------
        ShapeError
            If either is empty or no (N, length), or there are not as many sources as targets.
        DtypeError, RangeError
            If they are no integers, hold a symbol outside the vocabulary, or are longer than `max_len`.
        """
        _check_tokens("source", source, self.max_len)
        _check_tokens("target", target, self.max_len)
        if source.shape[0] != target.shape[0]:
            raise ShapeError(
                f"target: expected one for each of {source.shape[0]} sources, got {target.shape[0]}; give both (N, ...)"
            )
        memory, ignored = self.encode(source)
        decoded = self.transformer.decoder(
            self._embedded(target, self.target_embedding, self.target_positions),
            memory,
            tgt_key_padding_mask=operations.equal(target, self.padding_idx),
            memory_key_padding_mask=ignored,
            tgt_is_causal=True,
            need_weights=need_weights,
        )
        decoded, weights = decoded if need_weights else (decoded, None)
        logits = linear(decoded, self.target_embedding.weight, None)
        return (logits, weights) if need_weights else logits

    def encode(self, source: Array) -> tuple[Array, Array]:
        """What the encoder makes of sources (N, S): vectors (N, S, dim), and truth values (N, S) of what is padding."""
        _check_tokens("source", source, self.max_len)
        ignored = operations.equal(source, self.padding_idx)
        x = self._embedded(source, self.source_embedding, self.source_positions)
        return self.transformer.encoder(x, src_key_padding_mask=ignored), ignored

    def new_cache(self, source: Array) -> DecodingCache:
        """All that decoding needs of the sources, worked out once and without gradients; nothing is written yet."""
        with no_grad():
            return DecodingCache(self.transformer.decoder.layers, *self.encode(source))

    def decode_further(self, tokens: Array, cache: DecodingCache) -> Array:
        """Logits after the next symbols of the targets, (N, t, target_vocabulary); `cache` then holds these too.

        In evaluation mode the last t places of `forward` on everything written so far, without gradients.
        """
        _check_tokens("target", tokens, self.max_len - cache.length)
        with no_grad():
            x = self._embedded(tokens, self.target_embedding, self.target_positions, cache.length)
            written = operations.not_equal(tokens, self.padding_idx)
            decoded = decoded_further(self.transformer.decoder, x, written, cache)
            return linear(decoded, self.target_embedding.weight.value, None)

    def _embedded(self, tokens: Array, table: Embedding, positions: Module, start: int = 0) -> Array:
        return self.dropout(positions(operations.multiply(table(tokens), self.scale), start))


def _table(vocabulary: int, dim: int, padding_idx: int, rng: Generator, dtype: str) -> Embedding:
    """Rows of variance 1 / dim: right for the output layer, and for embeddings once they are scaled by √dim."""
    table = Embedding(vocabulary, dim, padding_idx, rng=rng, dtype=dtype)
    table.weight.assign(table.weight.value / math.sqrt(dim))
    return table


def _check_tokens(name: str, tokens: Array, longest: int) -> None:
    refuse_unfit_tokens(name, tokens, at_least=1)
    if dtype_kind(tokens.dtype) not in ("int", "uint"):
        raise DtypeError(f"{name}: expected integers, the numbers of symbols, got {tokens.dtype}")
    if tokens.shape[1] > longest:
        raise RangeError(
            f"{name}: {tokens.shape[1]} symbols are more than the {longest} that there are positions for; "
            "shorten it or build the model with a larger max_len"
        )
