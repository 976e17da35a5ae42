"""Losses as modules; the functions are in `portml.nn.functional`.

``reduction`` is "mean" (default), "sum" or "none", as in PyTorch.
"""

from __future__ import annotations

from portml.autograd import Tensor
from portml.backends import Array
from portml.backends.kernels import class_loss
from portml.backends.kernels import loss as kernels
from portml.errors import ArgumentError
from portml.nn.module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CategoricalCrossEntropyLoss",
    "CrossEntropyLoss",
    "HingeLoss",
    "HuberLoss",
    "L1Loss",
    "Loss",
    "MAELoss",
    "MSELoss",
]


class Loss(Module):
    """The base of the losses: holds the reduction.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    """

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum", "none"):
            raise ArgumentError(f"reduction: expected 'mean', 'sum' or 'none', got {reduction!r}")
        self.reduction = reduction

    def extra_repr(self) -> str:
        """The reduction."""
        return f"reduction={self.reduction!r}"


class MSELoss(Loss):
    r"""Squared error, :math:`(\hat y - y)^2`.  Prediction and target: (...), of equal shapes."""

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of `prediction` against `target`."""
        return kernels.mse_loss(prediction, target, reduction=self.reduction)


class L1Loss(Loss):
    r"""Absolute error, :math:`|\hat y - y|`.  Prediction and target: (...), of equal shapes."""

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of `prediction` against `target`."""
        return kernels.l1_loss(prediction, target, reduction=self.reduction)


MAELoss = L1Loss


class HuberLoss(Loss):
    r"""Squared error near zero, absolute beyond `delta`.  [Huber 1964]

    .. math:: \tfrac12 r^2 \text{ where } |r| \le \delta, \text{ else } \delta (|r| - \tfrac12 \delta),
        \quad r = \hat y - y

    Prediction and target: (...), of equal shapes.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise ArgumentError(f"delta: expected a number above 0, got {delta!r}")
        self.delta = delta

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of `prediction` against `target`."""
        return kernels.huber_loss(prediction, target, reduction=self.reduction, delta=self.delta)


class BCELoss(Loss):
    r"""Binary cross-entropy of probabilities, :math:`-y \log p - (1 - y) \log(1 - p)`, logarithms cut at −100."""

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of probabilities against targets in [0, 1], both (...)."""
        return kernels.binary_cross_entropy(prediction, target, reduction=self.reduction)


class BCEWithLogitsLoss(Loss):
    r"""Binary cross-entropy of logits, :math:`\max(z, 0) - z y + \log(1 + e^{-|z|})`, stable for any size of z."""

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of logits against targets in [0, 1], both (...)."""
        return kernels.binary_cross_entropy_with_logits(prediction, target, reduction=self.reduction)


class CrossEntropyLoss(Loss):
    r"""Cross-entropy of logits, :math:`-\log \mathrm{softmax}(z)_\text{label}`.

    Logits: (N, K) or (N, K, d1, ...).  Labels: integers (N,) or (N, d1, ...).

    Parameters
    ----------
    weight : array (K,), optional
        Weights of the classes; the mean is then weighted too.
    ignore_index : int
        Samples with this label count for nothing.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        Part of each target that is spread over all classes.  [Szegedy et al. 2016]
    """

    weight: Array | None

    def __init__(
        self,
        weight: Array | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(f"label_smoothing: expected a number in [0, 1], got {label_smoothing!r}")
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, logits: Array, labels: Array) -> Array:
        """The loss of `logits` against `labels`."""
        return class_loss.cross_entropy(
            logits,
            labels,
            self.weight,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            ignore_index=self.ignore_index,
        )


class CategoricalCrossEntropyLoss(Loss):
    r"""Cross-entropy of probabilities against one-hot targets, :math:`-\sum_k y_k \log p_k`; both (N, K).

    The guide's form.  For training prefer `CrossEntropyLoss` on logits, which cannot lose small probabilities.
    """

    def forward(self, prediction: Array | Tensor, target: Array) -> Array:
        """The loss of probabilities against one-hot targets."""
        return class_loss.categorical_cross_entropy(prediction, target, reduction=self.reduction)


class HingeLoss(Loss):
    r""":math:`\max(0, 1 - y \hat y)` for targets −1 and 1; both (...).  [Cortes & Vapnik 1995]"""

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of scores against targets −1 and 1."""
        return kernels.hinge_loss(prediction, target, reduction=self.reduction)
