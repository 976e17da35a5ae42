"""Adam and AdamW."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

from portml.autograd import Tensor
from portml.backends import Array
from portml.backends.kernels.optimizer import adam_step
from portml.optim.optimizer import Optimizer, check_betas

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    r"""Steps along the running mean of the gradient, divided by its running root mean square.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        \theta \leftarrow \theta - \eta \, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    [Kingma & Ba 2015, alg. 1]

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
        η
    betas : pair of float
        β₁, β₂
    eps, weight_decay : float
        ε, and λ, by which λθ is added to the gradient.
    amsgrad : bool
        Divide by the largest v so far.  [Reddi, Kale & Kumar 2018]
    maximize : bool
        Climb instead.
    """

    slot_size: ClassVar[int] = 3
    _decoupled: ClassVar[bool] = False

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse options out of range."""
        super().check(group)
        check_betas(group)

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The running means of the gradient and of its square, and the largest of the latter with AMSGrad."""
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")

    def slot_values(self, group: dict[str, Any], steps: int) -> tuple[float, ...]:
        """The learning rate with its bias correction, that of the root, and what decoupled decay leaves."""
        beta1, beta2 = group["betas"]
        return (
            group["lr"] / (1 - beta1**steps),
            1 / math.sqrt(1 - beta2**steps),
            1 - group["lr"] * group["weight_decay"],
        )

    def update(self, group: dict[str, Any], arrays: tuple[Array, ...], slot: Array, out: tuple[Array, ...]) -> None:
        """Take a step."""
        beta1, beta2 = group["betas"]
        # Without AMSGrad there is no largest square.
        none = () if group["amsgrad"] else (None,)
        adam_step(
            *arrays,
            *none,
            slot,
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=self._decoupled,
            maximize=group["maximize"],
            out=(*out, *none),
        )


class AdamW(Adam):
    r"""Adam with weight decay apart from the gradient: :math:`\theta` first shrinks by :math:`1 - \eta\lambda`.

    [Loshchilov & Hutter 2019, alg. 2]

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr, eps, weight_decay : float
    betas : pair of float
    amsgrad, maximize : bool
    """

    _decoupled: ClassVar[bool] = True

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
