"""Vectors for symbols."""

from __future__ import annotations

from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend, namespace
from portml.backends.kernels.rows import embedding
from portml.errors import ArgumentError
from portml.nn.initialisation import generator_for
from portml.nn.module import Module
from portml.random import Generator

__all__ = ["Embedding"]


class Embedding(Module):
    """A table of vectors, looked up by number.

    Input: integers (...).  Output: (..., embedding_dim).
    Parameters: ``weight`` (num_embeddings, embedding_dim), standard normal, the row of `padding_idx` zero.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
    padding_idx : int, optional
        A symbol whose vector is zero and is not learnt.
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ArgumentError(f"padding_idx: expected a row of {num_embeddings}, got {padding_idx}")
            padding_idx %= num_embeddings
        weight = generator_for(rng, backend).normal(0.0, 1.0, (num_embeddings, embedding_dim), dtype=dtype)
        if padding_idx is not None:
            weight[padding_idx, ...] = namespace(weight).zeros_like(weight[padding_idx, ...])
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.weight = Parameter(weight)

    def forward(self, indices: Array) -> Array:
        """Look up the vectors of `indices`."""
        return embedding(indices, self.weight, padding_idx=self.padding_idx)

    def extra_repr(self) -> str:
        """Sizes."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
