"""Lion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from portml.autograd import Tensor
from portml.backends import Array
from portml.backends.kernels.optimizer import lion_step
from portml.optim.optimizer import Optimizer, check_betas

__all__ = ["Lion"]


class Lion(Optimizer):
    r"""Steps of one size everywhere, in the direction of the sign of an interpolated momentum.

    .. math::
        \theta \leftarrow \theta - \eta \left( \mathrm{sign}(\beta_1 m + (1 - \beta_1) g) + \lambda \theta \right),
        \quad m \leftarrow \beta_2 m + (1 - \beta_2) g

    It keeps one state where Adam keeps two, and wants a learning rate three to ten times smaller.
    [Chen et al. 2023, "Symbolic discovery of optimization algorithms", alg. 2]

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
        η
    betas : pair of float
        β₁, β₂
    weight_decay : float
        λ, decoupled from the gradient.
    maximize : bool
        Climb instead.
    """

    slot_size: ClassVar[int] = 2

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize})

    def check(self, group: dict[str, Any]) -> None:
        """Refuse options out of range."""
        super().check(group)
        check_betas(group)

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The running mean of the gradient."""
        return ("exp_avg",)

    def slot_values(self, group: dict[str, Any], steps: int) -> tuple[float, ...]:
        """η, and what the decay leaves."""
        return group["lr"], 1 - group["lr"] * group["weight_decay"]

    def update(self, group: dict[str, Any], arrays: tuple[Array, ...], slot: Array, out: tuple[Array, ...]) -> None:
        """Take a step."""
        beta1, beta2 = group["betas"]
        lion_step(*arrays, slot, beta1=beta1, beta2=beta2, maximize=group["maximize"], out=out)
