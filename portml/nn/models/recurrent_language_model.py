"""A recurrent language model: a state carries what was read, and says what comes next."""

from __future__ import annotations

import sys
from typing import Any

from portml.autograd import Tensor
from portml.backends import Array, Backend, operations
from portml.errors import ArgumentError
from portml.nn.embedding import Embedding
from portml.nn.initialisation import generator_for
from portml.nn.linear import Linear
from portml.nn.models.generation import Generating
from portml.nn.models.tokens import refuse_unfit_tokens
from portml.nn.module import Module
from portml.nn.recurrent import GRU, LSTM, RNN
from portml.random import Generator

__all__ = ["RecurrentLanguageModel", "RecurrentState"]

_CELLS: dict[str, Any] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}


class RecurrentState:
    """What a recurrent model remembers of all it has read: numbers of one size, however long that was.

    Attributes
    ----------
    value : array (n_layers, N, hidden_size), the pair of states and cells of an LSTM, or None before anything was read
        Without the history that led to it.
    """

    def __init__(self) -> None:
        self.value: Any = None

    def keep(self, end: Any) -> None:
        """Remember the state at the end of what was read, without its history."""
        self.value = _raw(end)

    def take(self, rows: Array) -> None:
        """Keep these rows of the batch, in this order: what beam search goes on with."""
        if isinstance(self.value, tuple):
            self.value = tuple(operations.take(each, rows, axis=1) for each in self.value)
        elif self.value is not None:
            self.value = operations.take(self.value, rows, axis=1)


class RecurrentLanguageModel(Module, Generating):
    r"""Embeddings, recurrent layers and a head.  [Mikolov et al. 2010; Graves 2013, section 2]

    .. math:: p(x_{t+1} \mid x_1 \dots x_t) = \mathrm{softmax}(W h_t + b), \quad h_t = \mathrm{cell}(E_{x_t}, h_{t-1})

    Input: integers (N, L), of any length.  Output: logits of the next symbol at each place, (N, L, vocabulary).
    `generate`, `stream` and `beam_search` go on writing, and each symbol costs the same however long the text is.

    Parameters
    ----------
    vocabulary, embedding_dim, hidden_size, n_layers : int
    cell : {"lstm", "gru", "rnn"}
    dropout : float
        The probability of dropping a number between one layer and the next in training.
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str

    Raises
    ------
    ArgumentError, RangeError
        If there is no such cell, or a size or probability is out of range.

    Notes
    -----
    Parameters are those of the parts: ``embedding.weight``, ``recurrent.weight_ih_l0`` and so on as in PyTorch,
    ``head.weight`` and ``head.bias``.
    """

    def __init__(
        self,
        vocabulary: int,
        embedding_dim: int = 64,
        hidden_size: int = 256,
        n_layers: int = 1,
        cell: str = "lstm",
        dropout: float = 0.0,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if cell not in _CELLS:
            raise ArgumentError(f"cell: expected one of {', '.join(map(repr, _CELLS))}, got {cell!r}")
        rng = generator_for(rng, backend)
        self.vocabulary, self.context = vocabulary, sys.maxsize
        self.embedding = Embedding(vocabulary, embedding_dim, rng=rng, dtype=dtype)
        self.recurrent = _CELLS[cell](
            embedding_dim, hidden_size, n_layers, batch_first=True, dropout=dropout, rng=rng, dtype=dtype
        )
        self.head = Linear(hidden_size, vocabulary, rng=rng, dtype=dtype)

    def forward(self, tokens: Array, cache: RecurrentState | None = None) -> Array:
        """Logits of what follows each symbol; with a cache, `tokens` go on where it ends, and it remembers them.

        No gradient flows into what the cache held before: a cache handed from window to window of a long text is
        truncated back-propagation through time.

        Raises
        ------
        ArgumentError, ShapeError
            If the tokens are no array (N, L).
        """
        refuse_unfit_tokens("tokens", tokens)
        y, end = self.recurrent(self.embedding(tokens), None if cache is None else cache.value)
        if cache is not None:
            cache.keep(end)
        return self.head(y)

    def new_cache(self, n_samples: int) -> RecurrentState:
        """The state before anything was read; it fits any number of sequences."""
        return RecurrentState()


def _raw(state: Any) -> Any:
    if isinstance(state, tuple):
        return tuple(map(_raw, state))
    return state.value if isinstance(state, Tensor) else state
