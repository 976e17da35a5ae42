"""Learning-rate schedules: pure functions of the epoch, and the object that applies one to an optimizer.

A schedule is any function ``(initial_lr, epoch) -> lr``, with epochs counted from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from portml.errors import ArgumentError, CheckpointError
from portml.optim.optimizer import Optimizer

__all__ = [
    "Schedule",
    "constant",
    "cosine_annealing",
    "exponential_decay",
    "schedule_by_name",
    "step_decay",
    "warmup_cosine",
]

Rate = Callable[[float, int], float]


def constant() -> Rate:
    """The same learning rate throughout."""
    return lambda initial_lr, epoch: initial_lr


def step_decay(factor: float = 0.5, every: int = 10) -> Rate:
    r""":math:`\eta_e = \eta_0 \cdot f^{\lfloor e / k \rfloor}`: a `factor` less after each `every` epochs."""
    _check_positive(factor=factor, every=every)
    return lambda initial_lr, epoch: initial_lr * factor ** (epoch // every)


def exponential_decay(factor: float = 0.95) -> Rate:
    r""":math:`\eta_e = \eta_0 \cdot f^{e}`."""
    _check_positive(factor=factor)
    return lambda initial_lr, epoch: initial_lr * factor**epoch


def cosine_annealing(epochs: int, final: float = 0.01) -> Rate:
    r""":math:`\eta_e = \eta_T + \tfrac12 (\eta_0 - \eta_T)(1 + \cos(\pi e / T))` with :math:`\eta_T` a fraction of η₀.

    [Loshchilov & Hutter 2017, "SGDR", eq. 5, without restarts]

    Parameters
    ----------
    epochs : int
        T, over which the rate falls; afterwards it stays at its lowest.
    final : float
        The lowest rate as a fraction of the first.
    """
    _check_positive(epochs=epochs)

    def rate(initial_lr: float, epoch: int) -> float:
        lowest = initial_lr * final
        return lowest + (initial_lr - lowest) * (1 + math.cos(math.pi * min(epoch, epochs) / epochs)) / 2

    return rate


def warmup_cosine(epochs: int, warmup: int = 5, final: float = 0.01) -> Rate:
    r""":math:`\eta_0 (e + 1) / w` for the first `warmup` epochs, then `cosine_annealing` over the rest.

    [Goyal et al. 2017, section 2.2, for the warm-up]
    """
    _check_positive(epochs=epochs, warmup=warmup)
    falling = cosine_annealing(max(epochs - warmup, 1), final)

    def rate(initial_lr: float, epoch: int) -> float:
        return initial_lr * (epoch + 1) / warmup if epoch < warmup else falling(initial_lr, epoch - warmup)

    return rate


def schedule_by_name(name: str, epochs: int) -> Rate:
    """A schedule with its default settings: "constant", "step", "exponential", "cosine" or "warmup-cosine".

    Raises
    ------
    ArgumentError
        If there is none of that name.
    """
    makers: dict[str, Callable[[], Rate]] = {
        "constant": constant,
        "step": step_decay,
        "exponential": exponential_decay,
        "cosine": lambda: cosine_annealing(epochs),
        "warmup-cosine": lambda: warmup_cosine(epochs, warmup=max(1, min(5, epochs // 2))),
    }
    if name not in makers:
        raise ArgumentError(f"schedule: {name!r} is not known; choose one of {', '.join(makers)}")
    return makers[name]()


class Schedule:
    """Applies a schedule to the learning rate of every group of an optimizer, each from its own initial rate.

    Parameters
    ----------
    optimizer : Optimizer
    rate : callable
        ``(initial_lr, epoch) -> lr``.

    Attributes
    ----------
    epoch : int
        The epoch whose rate is set; `step` goes on to the next.
    """

    def __init__(self, optimizer: Optimizer, rate: Rate) -> None:
        self.optimizer = optimizer
        self.rate = rate
        self.epoch = 0
        self.initial = [group["lr"] for group in optimizer.param_groups]
        self._set()

    def step(self) -> None:
        """Go on to the next epoch."""
        self.epoch += 1
        self._set()

    def state_dict(self) -> dict[str, Any]:
        """The epoch and the initial rates."""
        return {"epoch": self.epoch, "initial": list(self.initial)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved epoch.

        Raises
        ------
        CheckpointError
            If it is no schedule's state, or one for other parameter groups.
        """
        groups = len(self.optimizer.param_groups)
        if not {"epoch", "initial"} <= set(state) or len(state["initial"]) != groups:
            raise CheckpointError(f"state: expected 'epoch' and 'initial' rates of {groups} groups, got {state!r}")
        self.epoch, self.initial = int(state["epoch"]), list(state["initial"])
        self._set()

    def _set(self) -> None:
        # A group that joined later starts from the rate it came with.
        self.initial += [group["lr"] for group in self.optimizer.param_groups[len(self.initial) :]]
        for group, initial in zip(self.optimizer.param_groups, self.initial, strict=True):
            group["lr"] = self.rate(initial, self.epoch)


def _check_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise ArgumentError(f"{name}: expected a number above 0, got {number!r}")
