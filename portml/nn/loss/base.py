"""The base of the losses."""

from __future__ import annotations

from portml.errors import ArgumentError
from portml.nn.module import Module

__all__ = ["Loss", "positive"]


class Loss(Module):
    """The base of the losses: holds the reduction.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    """

    _reductions: tuple[str, ...] = ("mean", "sum", "none")

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in self._reductions:
            *some, last = map(repr, self._reductions)
            raise ArgumentError(f"reduction: expected {', '.join(some)} or {last}, got {reduction!r}")
        self.reduction = reduction

    def extra_repr(self) -> str:
        """The reduction and every other setting that is a number or a word."""
        shown = (bool, int, float, str)
        settings = {name: value for name, value in vars(self).items() if isinstance(value, shown) and name[0] != "_"}
        return ", ".join(f"{name}={value!r}" for name, value in settings.items() if name != "training")


def positive(name: str, value: float) -> float:
    """The number, if it is above 0.

    Raises
    ------
    ArgumentError
        If it is not.
    """
    if not value > 0:
        raise ArgumentError(f"{name}: expected a number above 0, got {value!r}")
    return value
