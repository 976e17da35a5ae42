"""Losses of classes: right or wrong, one of many, several of many."""

from __future__ import annotations

from portml.backends import Array
from portml.backends.kernels import class_loss, imbalance_loss, margin_loss
from portml.backends.kernels import loss as kernels
from portml.errors import ArgumentError
from portml.nn.loss import functions
from portml.nn.loss.base import Loss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CategoricalCrossEntropyLoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "FocalLoss",
    "HingeLoss",
    "KLDivLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "SigmoidFocalLoss",
    "SoftMarginLoss",
]


class _Weighted(Loss):
    """A loss with weights that are state: saved, loaded and moved with the parameters."""

    weight: Array | None

    def __init__(self, weight: Array | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)


class BCELoss(_Weighted):
    r"""Binary cross-entropy of probabilities, :math:`-y \log p - (1 - y) \log(1 - p)`, logarithms cut at −100.

    Parameters
    ----------
    weight : array, optional
        Factors of the losses, broadcast to them.
    reduction : {"mean", "sum", "none"}
    """

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of probabilities against targets in [0, 1], both (...)."""
        return functions.binary_cross_entropy(prediction, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Weighted):
    r"""Binary cross-entropy of logits, :math:`\max(z, 0) - z y + \log(1 + e^{-|z|})`, stable for any size of z.

    Parameters
    ----------
    weight : array, optional
        Factors of the losses, broadcast to them.
    reduction : {"mean", "sum", "none"}
    pos_weight : array, optional
        Factors of what positive answers cost, broadcast to the logits: above 1 where these are rare.
    """

    pos_weight: Array | None

    def __init__(self, weight: Array | None = None, reduction: str = "mean", pos_weight: Array | None = None) -> None:
        super().__init__(weight, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of logits against targets in [0, 1], both (...)."""
        return functions.binary_cross_entropy_with_logits(
            prediction, target, self.weight, self.pos_weight, reduction=self.reduction
        )


class MultiLabelSoftMarginLoss(_Weighted):
    r"""Binary cross-entropy of logits, averaged over the classes of each sample: any number of them may be right.

    Prediction and target: (N, K) or (K,).

    Parameters
    ----------
    weight : array (K,), optional
    reduction : {"mean", "sum", "none"}
    """

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of logits against targets in [0, 1]."""
        return functions.multilabel_soft_margin_loss(prediction, target, self.weight, reduction=self.reduction)


class CrossEntropyLoss(_Weighted):
    r"""Cross-entropy of logits, :math:`-\log \mathrm{softmax}(z)_\text{label}`, or with probabilities of the classes.

    Logits: (N, K), (N, K, d1, ...) or (K,).  Target: integers (N,), (N, d1, ...) or (), or probabilities of the logits'
    shape.

    Parameters
    ----------
    weight : array (K,), optional
        Weights of the classes; the mean over labels is then weighted too.
    ignore_index : int
        Samples with this label count for nothing.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        Part of each target that is spread over all classes.  [Szegedy et al. 2016]
    """

    def __init__(
        self,
        weight: Array | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction)
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(f"label_smoothing: expected a number in [0, 1], got {label_smoothing!r}")
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, logits: Array, target: Array) -> Array:
        """The loss of `logits` against labels or probabilities."""
        return functions.cross_entropy(
            logits,
            target,
            self.weight,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            ignore_index=self.ignore_index,
        )


class NLLLoss(_Weighted):
    r"""Negative log-likelihood :math:`-\log p_\text{label}` of log-probabilities, as `LogSoftmax` gives them.

    Log-probabilities: (N, K), (N, K, d1, ...) or (K,).  Labels: integers (N,), (N, d1, ...) or ().

    Parameters
    ----------
    weight : array (K,), optional
        Weights of the classes; the mean is then weighted too.
    ignore_index : int
        Samples with this label count for nothing.
    reduction : {"mean", "sum", "none"}
    """

    def __init__(self, weight: Array | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, log_probabilities: Array, labels: Array) -> Array:
        """The loss of log-probabilities against `labels`."""
        return functions.nll_loss(
            log_probabilities, labels, self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class CategoricalCrossEntropyLoss(Loss):
    r"""Cross-entropy of probabilities against one-hot targets, :math:`-\sum_k y_k \log p_k`; both (N, K).

    The guide's form.  For training prefer `CrossEntropyLoss` on logits, which cannot lose small probabilities.
    """

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of probabilities against one-hot targets."""
        return class_loss.categorical_cross_entropy(prediction, target, reduction=self.reduction)


class KLDivLoss(Loss):
    r"""Kullback-Leibler divergence :math:`y (\log y - \log p)`, element by element.  [Kullback & Leibler 1951]

    "batchmean" sums each sample and averages over them, which is the divergence; "mean" averages all elements.

    Parameters
    ----------
    reduction : {"mean", "batchmean", "sum", "none"}
    log_target : bool
        Whether the target holds logarithms of probabilities too.
    """

    _reductions = ("mean", "batchmean", "sum", "none")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of log-probabilities against probabilities, both (...)."""
        return functions.kl_div(prediction, target, reduction=self.reduction, log_target=self.log_target)


class HingeLoss(Loss):
    r""":math:`\max(0, 1 - y \hat y)` for targets −1 and 1; both (...).  [Cortes & Vapnik 1995]"""

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of scores against targets −1 and 1."""
        return kernels.hinge_loss(prediction, target, reduction=self.reduction)


class SoftMarginLoss(Loss):
    r""":math:`\log(1 + e^{-y \hat y})` for targets −1 and 1; both (...)."""

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of scores against targets −1 and 1."""
        return margin_loss.soft_margin_loss(prediction, target, reduction=self.reduction)


class MultiMarginLoss(_Weighted):
    r"""Hinge loss of many classes, :math:`\sum_{c \ne l} w_l \max(0, m - z_l + z_c)^p / K`.  [Weston & Watkins 1999]

    Scores: (N, K) or (K,).  Labels: integers (N,) or ().

    Parameters
    ----------
    p : {1, 2}
    margin : float
    weight : array (K,), optional
    reduction : {"mean", "sum", "none"}
    """

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Array | None = None, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)
        if p not in (1, 2):
            raise ArgumentError(f"p: expected 1 or 2, got {p!r}")
        self.p, self.margin = p, margin

    def forward(self, scores: Array, labels: Array) -> Array:
        """The loss of `scores` against `labels`."""
        return functions.multi_margin_loss(
            scores, labels, self.weight, p=self.p, margin=self.margin, reduction=self.reduction
        )


class FocalLoss(_Weighted):
    r"""Cross-entropy of logits that all but forgets easy samples, :math:`-(1 - p)^\gamma \log p`.  [Lin et al. 2017]

    Shapes as in `CrossEntropyLoss` with labels.  The mean is over the samples that are not ignored.

    Parameters
    ----------
    weight : array (K,), optional
        Weights of the classes, the paper's α.
    gamma : float
        With 0 it is cross-entropy.
    ignore_index : int
    reduction : {"mean", "sum", "none"}
    """

    def __init__(
        self,
        weight: Array | None = None,
        gamma: float = 2.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, reduction)
        imbalance_loss.refuse_negative_gamma(gamma, "FocalLoss")
        self.gamma, self.ignore_index = gamma, ignore_index

    def forward(self, logits: Array, labels: Array) -> Array:
        """The loss of `logits` against `labels`."""
        return functions.focal_loss(
            logits, labels, self.weight, gamma=self.gamma, ignore_index=self.ignore_index, reduction=self.reduction
        )


class SigmoidFocalLoss(Loss):
    r"""The same for yes or no, :math:`-\alpha_t (1 - p_t)^\gamma \log p_t`.  [Lin et al. 2017, eq. 5]

    Parameters
    ----------
    alpha : float
        Weight of the positive class, 1 − alpha that of the negative; below 0 nothing is weighed.
    gamma : float
    reduction : {"mean", "sum", "none"}
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        imbalance_loss.refuse_negative_gamma(gamma, "SigmoidFocalLoss")
        self.alpha, self.gamma = alpha, gamma

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of logits against targets in [0, 1], both (...)."""
        return imbalance_loss.sigmoid_focal_loss(
            prediction, target, alpha=self.alpha, gamma=self.gamma, reduction=self.reduction
        )


class DiceLoss(Loss):
    r"""How little two regions overlap, :math:`1 - (2 \sum p y + s) / (\sum p + \sum y + s)`.  [Sudre et al. 2017]

    Prediction, probabilities, and target: (N, ...), of equal shapes.

    Parameters
    ----------
    smooth : float
        s; with 1 two empty regions are equal.
    reduction : {"mean", "sum", "none"}
    """

    def __init__(self, smooth: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.smooth = smooth

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of probabilities against targets in [0, 1]."""
        return imbalance_loss.dice_loss(prediction, target, smooth=self.smooth, reduction=self.reduction)
