"""A recurrent network that reads a sequence of symbols and says of which class it is."""

from __future__ import annotations

from typing import Any

from portml.backends import Array, Backend, namespace, operations
from portml.errors import ArgumentError
from portml.nn.dropout import Dropout
from portml.nn.embedding import Embedding
from portml.nn.evaluation_mode import evaluating
from portml.nn.functional import softmax
from portml.nn.initialisation import generator_for
from portml.nn.linear import Linear
from portml.nn.models.tokens import refuse_unfit_tokens
from portml.nn.models.transformer_classifier import masked_mean
from portml.nn.module import Module
from portml.nn.recurrent import GRU, LSTM, RNN
from portml.random import Generator

__all__ = ["RecurrentClassifier"]

_CELLS: dict[str, Any] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
_POOLINGS = ("mean", "max", "last")


class RecurrentClassifier(Module):
    r"""Embeddings, recurrent layers, one vector from the states of all steps, a linear layer.

    .. math:: p = \mathrm{softmax}(W \operatorname{pool}_t h_t + b), \quad h_t = \mathrm{cell}(E_{x_t}, h_{t-1})

    Input: integers (N, L).  Output: logits (N, n_classes).  Padding on the right is not walked, so that a sequence
    gives the same however far its batch is padded; padding elsewhere is walked, as zeros, and left out of the pool.

    Parameters
    ----------
    vocabulary : int
        How many symbols there are.
    n_classes, dim, hidden_size, n_layers : int
    cell : {"lstm", "gru", "rnn"}
    bidirectional : bool
        Read from the end too, [Schuster & Paliwal 1997].
    pooling : {"mean", "max", "last"}
        Of what the last layer gives at each step: the mean, the largest of each number [Conneau et al. 2017], or the
        state at the end of each direction alone.  A sequence of padding alone gives zeros.
    padding_idx : int, optional
        The symbol that pads; None if there is none.
    dropout : float
        The probability of dropping a number of the embeddings, between layers, and before the linear layer.
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str

    Raises
    ------
    ArgumentError, RangeError
        If there is no such cell or pooling, or a size or probability is out of range.

    Examples
    --------
    >>> from portml import get_backend
    >>> model = RecurrentClassifier(100, n_classes=3, rng=0)
    >>> model(get_backend("numpy").asarray([[5, 7, 0], [9, 2, 4]])).shape
    (2, 3)
    """

    def __init__(
        self,
        vocabulary: int,
        n_classes: int = 2,
        dim: int = 50,
        hidden_size: int = 128,
        n_layers: int = 1,
        cell: str = "lstm",
        bidirectional: bool = False,
        pooling: str = "mean",
        padding_idx: int | None = 0,
        dropout: float = 0.0,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if cell not in _CELLS:
            raise ArgumentError(f"cell: expected one of {', '.join(map(repr, _CELLS))}, got {cell!r}")
        if pooling not in _POOLINGS:
            raise ArgumentError(f"pooling: expected one of {', '.join(map(repr, _POOLINGS))}, got {pooling!r}")
        rng = generator_for(rng, backend)
        self.padding_idx, self.pooling = padding_idx, pooling
        self.embedding = Embedding(vocabulary, dim, padding_idx, rng=rng, dtype=dtype)
        self.dropout = Dropout(dropout, rng=rng)
        between = dropout if n_layers > 1 else 0.0
        options: dict[str, Any] = {"batch_first": True, "dropout": between, "bidirectional": bidirectional}
        self.recurrent = _CELLS[cell](dim, hidden_size, n_layers, **options, rng=rng, dtype=dtype)
        self.classifier = Linear(hidden_size * self.recurrent.num_directions, n_classes, rng=rng, dtype=dtype)

    def forward(self, tokens: Array) -> Array:
        """Logits (N, n_classes).

        Raises
        ------
        ArgumentError, ShapeError
            If the tokens are no array (N, L), with one step at least.
        """
        refuse_unfit_tokens("tokens", tokens, at_least=1)
        padding = None if self.padding_idx is None else operations.equal(tokens, self.padding_idx)
        lengths = None if padding is None else _lengths(padding)
        states, end = self.recurrent(self.dropout(self.embedding(tokens)), lengths=lengths)
        return self.classifier(self.dropout(self._pool(states, end, padding)))

    def predict_proba(self, tokens: Array) -> Array:
        """The probability of each class, (N, n_classes)."""
        with evaluating(self):
            return softmax(self(tokens), axis=-1)

    def _pool(self, states: Array, end: Any, padding: Array | None) -> Array:
        """One vector (N, directions * hidden_size) for each sequence."""
        if self.pooling == "mean":
            return masked_mean(states, padding)
        if self.pooling == "last":
            h = end[0] if isinstance(end, tuple) else end
            ways = self.recurrent.num_directions
            return operations.concat([h[way - ways, ...] for way in range(ways)], axis=1)
        if padding is None:
            return operations.max(states, axis=1)
        # No state is below -1: all three cells end in a tanh.
        highest = operations.max(operations.where(operations.expand_dims(padding, axis=2), -1.0, states), axis=1)
        empty = operations.expand_dims(operations.all(padding, axis=1), axis=1)
        return operations.where(empty, 0.0, highest)


def _lengths(padding: Array) -> Array:
    """The place behind the last symbol of each sequence, (N, L) to (N,): what counts, and nothing is cut off."""
    xp = namespace(padding)
    places = xp.arange(1, padding.shape[1] + 1, dtype=xp.int64, device=padding.device)
    return xp.max(xp.where(padding, xp.zeros_like(places), places), axis=1)
