"""The siamese network: one embedding of two inputs, and how far apart they fall."""

from __future__ import annotations

from portml.backends import Array, namespace
from portml.nn.module import Module

__all__ = ["SiameseNetwork"]


class SiameseNetwork(Module):
    r"""The Euclidean distance of two inputs after the same network.

    .. math:: D(a, b) = \sqrt{\lVert f(a) - f(b) \rVert^2 + \epsilon}

    Trained with a contrastive loss, pairs of one kind fall together and others apart, and the network compares kinds it
    was never trained on.  [Bromley et al. 1994; Hadsell, Chopra & LeCun 2006]

    Input: two arrays (N, ...).  Output: (N,).

    Parameters
    ----------
    embedding : Module
        From (N, ...) to (N, n_features).
    eps : float
        Under the root, whose slope at 0 would be infinite.
    """

    def __init__(self, embedding: Module, eps: float = 1e-8) -> None:
        self.embedding = embedding
        self.eps = eps

    def forward(self, first: Array, second: Array) -> Array:
        """The distance of each pair."""
        difference = self.embedding(first) - self.embedding(second)
        xp = namespace(difference)
        return xp.sqrt(xp.sum(difference * difference, axis=1) + self.eps)
