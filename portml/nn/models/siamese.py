"""The siamese network: one embedding of two inputs, and how far apart they fall."""

from __future__ import annotations

from portml.backends import Array, namespace
from portml.nn.module import Module

__all__ = ["SiameseNetwork"]


class SiameseNetwork(Module):
    r"""Two inputs through the same network.

    Trained with `ContrastiveLoss`, pairs of one kind fall together and others apart, and the network compares kinds it
    was never trained on.  [Bromley et al. 1994; Hadsell, Chopra & LeCun 2006]

    Input: two arrays (N, ...).  Output: their embeddings, two arrays (N, n_features).

    Parameters
    ----------
    embedding : Module
        From (N, ...) to (N, n_features).
    """

    def __init__(self, embedding: Module) -> None:
        self.embedding = embedding

    def forward(self, first: Array, second: Array) -> tuple[Array, Array]:
        """The embeddings of both."""
        return self.embedding(first), self.embedding(second)

    def distance(self, first: Array, second: Array) -> Array:
        r"""How far apart each pair falls, (N,): :math:`\lVert f(a) - f(b) \rVert`."""
        one, other = self(first, second)
        xp = namespace(one, other)
        return xp.sqrt(xp.sum((one - other) ** 2, axis=1))
