"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from portml.autograd import Tensor
from portml.backends import Array
from portml.backends.kernels.optimizer import sgd_step
from portml.errors import ArgumentError
from portml.optim.optimizer import Optimizer

__all__ = ["SGD"]


class SGD(Optimizer):
    r"""Gradient descent, with momentum and Nesterov's variant.

    .. math:: g \leftarrow g + \lambda \theta, \quad v \leftarrow \mu v + (1 - d) g, \quad
        \theta \leftarrow \theta - \eta v \;\text{ or, with Nesterov, }\; \theta - \eta (g + \mu v)

    [Robbins & Monro 1951; Sutskever et al. 2013.]  As in PyTorch the learning rate multiplies the velocity, and the
    first velocity is the gradient itself.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
        η
    momentum, dampening, weight_decay : float
        μ, d, λ
    nesterov : bool
    maximize : bool
        Climb instead.
    """

    slot_size: ClassVar[int] = 2
    takes_complex: ClassVar[bool] = True

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse options out of range."""
        super().check(group)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ArgumentError("nesterov: needs a momentum above 0 and no dampening")

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The velocity, where there is momentum."""
        return ("momentum_buffer",) if group["momentum"] else ()

    def slot_values(self, group: dict[str, Any], steps: int) -> tuple[float, ...]:
        """η, and the weight of the gradient in the velocity."""
        return group["lr"], 1.0 if steps == 1 else 1.0 - group["dampening"]

    def update(self, group: dict[str, Any], arrays: tuple[Array, ...], slot: Array, out: tuple[Array, ...]) -> None:
        """Take a step."""
        values, gradients, *velocity = arrays
        sgd_step(
            values,
            gradients,
            velocity[0] if velocity else None,
            slot,
            momentum=group["momentum"],
            nesterov=group["nesterov"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
            out=out if velocity else (*out, None),
        )
