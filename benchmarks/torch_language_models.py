"""The language models of `portml.nn.models` in PyTorch's modules: the same parameters under the same names."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["GPT", "RecurrentLanguageModel"]


class RecurrentLanguageModel(nn.Module):
    """Embeddings, recurrent layers and a head.

    Parameters
    ----------
    vocabulary, embedding_dim, hidden_size, n_layers : int
    cell : {"lstm", "gru", "rnn"}
    """

    def __init__(
        self, vocabulary: int, embedding_dim: int, hidden_size: int, n_layers: int = 1, cell: str = "lstm"
    ) -> None:
        super().__init__()
        layers = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell]
        self.embedding = nn.Embedding(vocabulary, embedding_dim)
        self.recurrent = layers(embedding_dim, hidden_size, n_layers, batch_first=True)
        self.head = nn.Linear(hidden_size, vocabulary)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (N, L, vocabulary) of integers (N, L)."""
        return self.head(self.recurrent(self.embedding(tokens))[0])


class GPT(nn.Module):
    """Embeddings, learned positions, blocks with the norm first, a norm; the head is the table of embeddings.

    Parameters
    ----------
    vocabulary, context, dim, n_heads, n_layers : int
    """

    def __init__(self, vocabulary: int, context: int, dim: int, n_heads: int, n_layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, dim)
        self.positions = _Positions(context, dim)
        self.blocks = nn.ModuleList([_Block(dim, n_heads) for _ in range(n_layers)])
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (N, L, vocabulary) of integers (N, L)."""
        x = self.positions(self.embedding(tokens))
        for block in self.blocks:
            x = block(x)
        return nn.functional.linear(self.norm(x), self.embedding.weight)


class _Positions(nn.Module):
    """x plus a learnt vector for each place."""

    def __init__(self, context: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(context, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.weight[: x.shape[1]]


class _Block(nn.Module):
    """x + attention(norm(x)), then x + network(norm(x))."""

    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention_in, self.attention_out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.network_in, self.network_out = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (self._apart(each) for each in self.attention_in(self.norm1(x)).chunk(3, dim=-1))
        y = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attention_out(y.transpose(1, 2).flatten(2))
        return x + self.network_out(nn.functional.gelu(self.network_in(self.norm2(x))))

    def _apart(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, dim) to (N, n_heads, L, dim / n_heads)."""
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
