"""Losses as modules; the functions are in `portml.nn.functional`.

``reduction`` is "mean" (default), "sum" or "none", as in PyTorch.
"""

from portml.nn.loss.base import Loss
from portml.nn.loss.classification import (
    BCELoss,
    BCEWithLogitsLoss,
    CategoricalCrossEntropyLoss,
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    HingeLoss,
    KLDivLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    NLLLoss,
    SigmoidFocalLoss,
    SoftMarginLoss,
)
from portml.nn.loss.embedding import (
    ContrastiveLoss,
    CosineEmbeddingLoss,
    HingeEmbeddingLoss,
    MarginRankingLoss,
    TripletMarginLoss,
)
from portml.nn.loss.regression import (
    GaussianNLLLoss,
    HuberLoss,
    L1Loss,
    MAELoss,
    MSELoss,
    PoissonNLLLoss,
    SmoothL1Loss,
)
from portml.nn.loss.sequence import CTCLoss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CategoricalCrossEntropyLoss",
    "ContrastiveLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "FocalLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "Loss",
    "MAELoss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SigmoidFocalLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
]
