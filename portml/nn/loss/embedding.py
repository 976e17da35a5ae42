"""Losses of embeddings and rankings: what belongs together, or comes first, by a margin."""

from __future__ import annotations

from portml.backends import Array
from portml.backends.kernels import embedding_loss, margin_loss
from portml.nn.loss.base import Loss, positive

__all__ = [
    "ContrastiveLoss",
    "CosineEmbeddingLoss",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "TripletMarginLoss",
]


class HingeEmbeddingLoss(Loss):
    r"""A distance x where y = 1, :math:`\max(0, m - x)` where y = −1; both (...)."""

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, distance: Array, target: Array) -> Array:
        """The loss of distances against answers −1 and 1."""
        return margin_loss.hinge_embedding_loss(distance, target, margin=self.margin, reduction=self.reduction)


class MarginRankingLoss(Loss):
    r""":math:`\max(0, m - y (a - b))`: where y = 1 the first ought to be larger, where −1 the second; all (...)."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, first: Array, second: Array, target: Array) -> Array:
        """The loss of two scores against which ought to be larger."""
        return margin_loss.margin_ranking_loss(first, second, target, margin=self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(Loss):
    r""":math:`1 - \cos(a, b)` where y = 1, :math:`\max(0, \cos(a, b) - m)` where y = −1.

    Embeddings: (N, d) or (d,).  Target: (N,) or ().
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, first: Array, second: Array, target: Array) -> Array:
        """The loss of pairs against answers −1 and 1."""
        return embedding_loss.cosine_embedding_loss(first, second, target, margin=self.margin, reduction=self.reduction)


class ContrastiveLoss(Loss):
    r""":math:`\tfrac12 (1 - y) d^2 + \tfrac12 y \max(0, m - d)^2` with d = \|a − b\|.  [Hadsell et al. 2006, eq. 4]

    Embeddings: (N, d) or (d,).  Target: (N,) or (), 0 for a pair that belongs together, 1 for one that does not.
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = positive("margin", margin)

    def forward(self, first: Array, second: Array, target: Array) -> Array:
        """The loss of pairs against answers 0 and 1."""
        return embedding_loss.contrastive_loss(first, second, target, margin=self.margin, reduction=self.reduction)


class TripletMarginLoss(Loss):
    r""":math:`\max(0, d(a, p) - d(a, n) + m)`, d the p-norm of the difference plus `eps`.  [Balntas et al. 2016]

    Embeddings: (N, d), of equal shapes.

    Parameters
    ----------
    margin, p, eps : float
    swap : bool
        Whether the negative may be compared with the positive where that is nearer.
    reduction : {"mean", "sum", "none"}
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.margin, self.p, self.eps, self.swap = positive("margin", margin), p, eps, swap

    def forward(self, anchor: Array, positive: Array, negative: Array) -> Array:
        """The loss of triplets."""
        return embedding_loss.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )
