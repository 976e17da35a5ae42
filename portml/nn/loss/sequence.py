"""Losses of sequences whose alignment is not known."""

from __future__ import annotations

from portml.backends import Array
from portml.nn.loss.base import Loss
from portml.nn.loss.functions import Lengths, ctc_loss

__all__ = ["CTCLoss"]


class CTCLoss(Loss):
    r"""Connectionist temporal classification: minus the log-probability of the labels, however stretched in time.

    [Graves et al. 2006]  Log-probabilities: (T, N, K) or (T, K).  Targets: (N, S), or all one after the other.
    Lengths: (N,), arrays or integers.  For the mean each loss is divided by the number of its labels.

    The gradient is that to the log-probabilities as they are.  PyTorch's is that to logits whose softmax they are;
    through `LogSoftmax` both give the same.

    Parameters
    ----------
    blank : int
        The class that stands for no label.
    reduction : {"mean", "sum", "none"}
    zero_infinity : bool
        Whether a target that is too long for its steps costs nothing instead of infinitely much.
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(
        self, log_probabilities: Array, targets: Array, input_lengths: Lengths, target_lengths: Lengths
    ) -> Array:
        """The loss of `log_probabilities` against `targets`."""
        return ctc_loss(
            log_probabilities,
            targets,
            input_lengths,
            target_lengths,
            blank=self.blank,
            reduction=self.reduction,
            zero_infinity=self.zero_infinity,
        )
