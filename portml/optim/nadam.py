"""NAdam."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

from portml.autograd import Tensor
from portml.backends import Array
from portml.backends.kernels.optimizer import nadam_step
from portml.optim.optimizer import Optimizer, check_at_least_zero, check_betas

__all__ = ["NAdam"]


class NAdam(Optimizer):
    r"""Adam that looks ahead as Nesterov's momentum does.

    .. math::
        \mu_t = \beta_1 (1 - \tfrac12 0.96^{t \psi}), \quad
        \theta \leftarrow \theta - \eta \left( \frac{(1 - \mu_t) g}{1 - \prod_{i \le t} \mu_i}
        + \frac{\mu_{t+1} m}{1 - \prod_{i \le t + 1} \mu_i} \right) \Big/
        \left( \sqrt{v / (1 - \beta_2^t)} + \epsilon \right)

    with m and v as in `Adam`.  [Dozat 2016, "Incorporating Nesterov momentum into Adam", alg. 8]

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
        η
    betas : pair of float
        β₁, β₂
    eps, weight_decay, momentum_decay : float
        ε, λ, ψ
    decoupled_weight_decay : bool
        Shrink θ by 1 − ηλ as `AdamW` does, instead of adding λθ to the gradient.
    maximize : bool
        Climb instead.
    """

    slot_size: ClassVar[int] = 4

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        # The product of all μ so far; see _product.
        self._products: dict[tuple[float, float], tuple[int, float]] = {}
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse options out of range."""
        super().check(group)
        check_betas(group)
        check_at_least_zero(group, "momentum_decay")

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The running means of the gradient and of its square."""
        return ("exp_avg", "exp_avg_sq")

    def derived_state(self, group: dict[str, Any], steps: int) -> dict[str, float]:
        """The product of all μ so far."""
        return {"mu_product": self._product(group, steps)}

    def slot_values(self, group: dict[str, Any], steps: int) -> tuple[float, ...]:
        """The weights of the gradient and of its mean, the correction of the root, what decoupled decay leaves."""
        lr, product = group["lr"], self._product(group, steps)
        now, after = _momentum(group, steps), _momentum(group, steps + 1)
        return (
            lr * (1 - now) / (1 - product),
            lr * after / (1 - product * after),
            1 / math.sqrt(1 - group["betas"][1] ** steps),
            1 - lr * group["weight_decay"],
        )

    def update(self, group: dict[str, Any], arrays: tuple[Array, ...], slot: Array, out: tuple[Array, ...]) -> None:
        """Take a step."""
        beta1, beta2 = group["betas"]
        nadam_step(
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

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self._products = {}
        super().__setstate__(saved)

    def _product(self, group: dict[str, Any], steps: int) -> float:
        """μ₁ ⋯ μₜ, going on from the last one asked for instead of multiplying all of them at every step."""
        key = (group["betas"][0], group["momentum_decay"])
        done, product = self._products.get(key, (0, 1.0))
        if done > steps:
            done, product = 0, 1.0
        product *= math.prod(_momentum(group, step) for step in range(done + 1, steps + 1))
        self._products[key] = (steps, product)
        return product


def _momentum(group: dict[str, Any], step: int) -> float:
    """μ of a step."""
    return float(group["betas"][0] * (1 - 0.5 * 0.96 ** (step * group["momentum_decay"])))
