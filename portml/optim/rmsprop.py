"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from portml.autograd import Tensor
from portml.backends import Array
from portml.backends.kernels.optimizer import rmsprop_step
from portml.errors import ArgumentError
from portml.optim.optimizer import Optimizer

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    r"""Steps divided by a running root mean square of the gradients.

    .. math::
        s \leftarrow \alpha s + (1 - \alpha) g^2, \quad \theta \leftarrow \theta - \eta \, g / (\sqrt{s} + \epsilon)

    Centred, the running mean is taken off first; with momentum, steps are summed up.  [Tieleman & Hinton 2012; Graves
    2013.]  The guide's decay of 0.9 is ``alpha=0.9``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr, alpha, eps, weight_decay, momentum : float
    centered : bool
    maximize : bool
        Climb instead.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse options out of range."""
        super().check(group)
        if not 0 <= group["alpha"] <= 1:
            raise ArgumentError(f"alpha: expected a number in [0, 1], got {group['alpha']!r}")

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Running mean square; running mean where centred; velocity where there is momentum."""
        names = ["square_avg"]
        names += ["grad_avg"] if group["centered"] else []
        names += ["momentum_buffer"] if group["momentum"] else []
        return tuple(names)

    def slot_values(self, group: dict[str, Any], steps: int) -> tuple[float, ...]:
        """The learning rate."""
        return (group["lr"],)

    def update(self, group: dict[str, Any], arrays: tuple[Array, ...], slot: Array, out: tuple[Array, ...]) -> None:
        """Take a step."""
        values, gradients, square, *rest = arrays
        mean = rest.pop(0) if group["centered"] else None
        velocity = rest.pop(0) if group["momentum"] else None
        rmsprop_step(
            values,
            gradients,
            square,
            mean,
            velocity,
            slot,
            alpha=group["alpha"],
            eps=group["eps"],
            momentum=group["momentum"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
            out=(out[0], out[1], mean, velocity),
        )
