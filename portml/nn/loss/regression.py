"""Losses of numbers and of the distributions they are drawn from."""

from __future__ import annotations

from portml.backends import Array
from portml.backends.kernels import distribution_loss
from portml.backends.kernels import loss as kernels
from portml.errors import ArgumentError
from portml.nn.loss.base import Loss, positive
from portml.nn.loss.functions import smooth_l1_loss

__all__ = ["GaussianNLLLoss", "HuberLoss", "L1Loss", "MAELoss", "MSELoss", "PoissonNLLLoss", "SmoothL1Loss"]


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
        self.delta = positive("delta", delta)

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of `prediction` against `target`."""
        return kernels.huber_loss(prediction, target, reduction=self.reduction, delta=self.delta)


class SmoothL1Loss(Loss):
    r"""Absolute error, rounded off within `beta` of zero: `HuberLoss` over its delta.  [Girshick 2015, eq. 3]

    .. math:: \tfrac12 r^2 / \beta \text{ where } |r| < \beta, \text{ else } |r| - \tfrac12 \beta

    Prediction and target: (...), of equal shapes.
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        if not beta >= 0:
            raise ArgumentError(f"beta: expected a number of at least 0, got {beta!r}")
        self.beta = beta

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of `prediction` against `target`."""
        return smooth_l1_loss(prediction, target, reduction=self.reduction, beta=self.beta)


class PoissonNLLLoss(Loss):
    r"""Negative log-likelihood of counts, :math:`e^z - y z`, or :math:`z - y \log(z + \epsilon)` for a rate z itself.

    Parameters
    ----------
    log_input : bool
        Whether the prediction is the logarithm of the rate.
    full : bool
        Whether to add Stirling's approximation of :math:`\log y!`.
    eps : float
    reduction : {"mean", "sum", "none"}
    """

    def __init__(
        self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, prediction: Array, target: Array) -> Array:
        """The loss of predicted rates against counts, both (...)."""
        return distribution_loss.poisson_nll_loss(
            prediction, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(Loss):
    r"""Negative log-likelihood of a normal distribution, :math:`\tfrac12 (\log v + (\hat y - y)^2 / v)`.

    Variances below `eps` count as `eps`.  [Nix & Weigend 1994]

    Parameters
    ----------
    full : bool
        Whether to add :math:`\tfrac12 \log 2 \pi`.
    eps : float
    reduction : {"mean", "sum", "none"}
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full, self.eps = full, positive("eps", eps)

    def forward(self, prediction: Array, target: Array, variance: Array) -> Array:
        """The loss of means (...) and variances, (...) or one a row, against `target`."""
        return distribution_loss.gaussian_nll_loss(
            prediction, target, variance, full=self.full, eps=self.eps, reduction=self.reduction
        )
