"""RAdam."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

from portml.autograd import Tensor
from portml.backends import Array
from portml.backends.kernels.optimizer import radam_step
from portml.optim.optimizer import Optimizer, check_betas

__all__ = ["RAdam"]


class RAdam(Optimizer):
    r"""Adam, rectified: as long as too few squares were seen, it steps along the mean gradient alone.

    .. math::
        \rho_\infty = \tfrac{2}{1 - \beta_2} - 1, \quad \rho_t = \rho_\infty - \tfrac{2 t \beta_2^t}{1 - \beta_2^t},
        \quad r_t = \sqrt{\frac{(\rho_t - 4)(\rho_t - 2) \rho_\infty}{(\rho_\infty - 4)(\rho_\infty - 2) \rho_t}}

    .. math::
        \theta \leftarrow \theta - \eta \hat m \, r_t \frac{\sqrt{1 - \beta_2^t}}{\sqrt v + \epsilon}
        \;\text{ where }\; \rho_t > 5, \;\text{ else }\; \theta - \eta \hat m

    with m and v as in `Adam`.  [Liu et al. 2020, "On the variance of the adaptive learning rate and beyond", alg. 2]

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
        η
    betas : pair of float
        β₁, β₂
    eps, weight_decay : float
        ε, λ
    decoupled_weight_decay : bool
        Shrink θ by 1 − ηλ as `AdamW` does, instead of adding λθ to the gradient.
    maximize : bool
        Climb instead.
    """

    slot_size: ClassVar[int] = 4

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse options out of range."""
        super().check(group)
        check_betas(group)

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The running means of the gradient and of its square."""
        return ("exp_avg", "exp_avg_sq")

    def slot_values(self, group: dict[str, Any], steps: int) -> tuple[float, ...]:
        """The corrected rate, the weights of the adaptive and the plain step, what decoupled decay leaves."""
        beta1, beta2 = group["betas"]
        rectification = _rectification(beta2, steps)
        return (
            group["lr"] / (1 - beta1**steps),
            rectification * math.sqrt(1 - beta2**steps),
            0.0 if rectification else 1.0,
            1 - group["lr"] * group["weight_decay"],
        )

    def update(self, group: dict[str, Any], arrays: tuple[Array, ...], slot: Array, out: tuple[Array, ...]) -> None:
        """Take a step."""
        beta1, beta2 = group["betas"]
        radam_step(
            *arrays,
            slot,
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=group["decoupled_weight_decay"],
            maximize=group["maximize"],
            out=out,
        )


def _rectification(beta2: float, steps: int) -> float:
    """r of a step, or 0 where the variance of the adaptive step is not bounded yet."""
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * steps * beta2**steps / (1 - beta2**steps)
    if length <= 5:
        return 0.0
    return math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
