"""AdaGrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from portml.autograd import Tensor
from portml.backends import Array
from portml.backends.kernels.optimizer import adagrad_step
from portml.optim.optimizer import Optimizer, check_at_least_zero

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    r"""Steps that shrink with the sum of squared gradients.

    .. math:: s \leftarrow s + g^2, \quad
        \theta \leftarrow \theta - \frac{\eta}{1 + (t - 1) \eta_d} \frac{g}{\sqrt{s} + \epsilon}

    [Duchi, Hazan & Singer 2011]

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr, lr_decay, weight_decay : float
        η, η_d, λ (added to the gradient as λθ)
    initial_accumulator_value : float
        What s begins with.
    eps : float
        ε
    maximize : bool
        Climb instead.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse options out of range."""
        super().check(group)
        check_at_least_zero(group, "initial_accumulator_value")

    def initial_state(self, group: dict[str, Any]) -> float:
        """What the sum of squares begins with."""
        return float(group["initial_accumulator_value"])

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The sum of squared gradients."""
        return ("sum",)

    def slot_values(self, group: dict[str, Any], steps: int) -> tuple[float, ...]:
        """The learning rate of this step."""
        return (group["lr"] / (1 + (steps - 1) * group["lr_decay"]),)

    def update(self, group: dict[str, Any], arrays: tuple[Array, ...], slot: Array, out: tuple[Array, ...]) -> None:
        """Take a step."""
        adagrad_step(
            *arrays,
            slot,
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
            out=out,
        )
