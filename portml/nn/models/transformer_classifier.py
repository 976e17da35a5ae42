"""A transformer that reads a sequence of symbols and says of which class it is."""

from __future__ import annotations

from typing import Any

from portml.backends import Array, Backend, operations
from portml.errors import ArgumentError
from portml.nn.containers import ModuleList
from portml.nn.dropout import Dropout
from portml.nn.embedding import Embedding
from portml.nn.evaluation_mode import evaluating
from portml.nn.functional import softmax
from portml.nn.initialisation import generator_for
from portml.nn.linear import Linear
from portml.nn.models.tokens import refuse_unfit_tokens
from portml.nn.module import Module
from portml.nn.normalisation import LayerNorm
from portml.nn.positions import LearnedPositions, SinusoidalPositions
from portml.nn.transformer import TransformerEncoderLayer
from portml.random import Generator
from portml.random.arguments import checked_count

__all__ = ["TransformerClassifier"]


class TransformerClassifier(Module):
    """Embeddings, positions, encoder layers, the mean over what is no padding, a linear layer.  [Vaswani et al. 2017]

    Input: integers (N, L).  Output: logits (N, n_classes).

    Parameters
    ----------
    vocabulary : int
        How many symbols there are.
    n_classes, dim, n_heads, n_layers, dim_feedforward : int
    max_len : int
        The longest sequence.
    padding_idx : int, optional
        The symbol that is looked at by nobody and left out of the mean.
    positions : {"sinusoidal", "learned"}
    dropout : float
    activation : str or callable
    norm_first : bool
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        vocabulary: int,
        n_classes: int = 2,
        dim: int = 128,
        n_heads: int = 4,
        n_layers: int = 2,
        dim_feedforward: int = 256,
        max_len: int = 100,
        padding_idx: int | None = 0,
        positions: str = "sinusoidal",
        dropout: float = 0.1,
        activation: Any = "relu",
        norm_first: bool = False,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if positions not in ("sinusoidal", "learned"):
            raise ArgumentError(f"positions: expected 'sinusoidal' or 'learned', got {positions!r}")
        rng = generator_for(rng, backend)
        self.padding_idx = padding_idx
        self.embedding = Embedding(vocabulary, dim, padding_idx, rng=rng, dtype=dtype)
        self.positions: Module = SinusoidalPositions(max_len, dim)
        if positions == "learned":
            self.positions = LearnedPositions(max_len, dim, rng=rng, dtype=dtype)
        self.dropout = Dropout(dropout, rng=rng)
        options: dict[str, Any] = {"activation": activation, "batch_first": True, "norm_first": norm_first}
        self.layers = ModuleList(
            TransformerEncoderLayer(dim, n_heads, dim_feedforward, dropout, **options, rng=rng, dtype=dtype)
            for _ in range(checked_count("n_layers", n_layers))
        )
        self.norm = LayerNorm(dim, backend=rng.backend, dtype=dtype) if norm_first else None
        self.classifier = Linear(dim, n_classes, rng=rng, dtype=dtype)

    def forward(self, tokens: Array, *, need_weights: bool = False) -> Any:
        """Logits, and with `need_weights` a list of every layer's attention weights, (N, n_heads, L, L)."""
        refuse_unfit_tokens("tokens", tokens)
        padding = None if self.padding_idx is None else operations.equal(tokens, self.padding_idx)
        x = self.dropout(self.positions(self.embedding(tokens)))
        weights = []
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=padding, need_weights=need_weights)
            if need_weights:
                x, seen = x
                weights.append(seen)
        x = x if self.norm is None else self.norm(x)
        logits = self.classifier(masked_mean(x, padding))
        return (logits, weights) if need_weights else logits

    def predict_proba(self, tokens: Array) -> Array:
        """The probability of each class, (N, n_classes)."""
        with evaluating(self):
            return softmax(self(tokens), axis=-1)


def masked_mean(x: Array, padding: Array | None) -> Array:
    """The mean over the positions that are no padding, (N, L, E) to (N, E); zero where all are."""
    if padding is None:
        return operations.mean(x, axis=1)
    kept = operations.expand_dims(operations.astype(operations.logical_not(padding), x.dtype), axis=-1)
    count = operations.clip(operations.sum(kept, axis=1), 1.0)
    return operations.divide(operations.sum(operations.multiply(x, kept), axis=1), count)
