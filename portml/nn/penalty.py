"""Penalties on parameters, added to a loss: small weights, or few."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from portml.autograd import Tensor
from portml.backends import Array, operations
from portml.backends.doorway import depend
from portml.errors import ArgumentError, RangeError
from portml.nn.module import Module

__all__ = ["ElasticNetPenalty", "L1Penalty", "L2Penalty", "parameters_named"]


class ElasticNetPenalty:
    r"""Both penalties in one.

    .. math:: \lambda \left( \rho \sum |w| + (1 - \rho) \sum w^2 \right)

    [Zou & Hastie 2005, eq. 3]  With ``l1_ratio=0.5`` it is the guide's elastic net.

    Parameters
    ----------
    parameters : iterable of Parameter
        Those to be penalised, such as ``parameters_named(model, "*weight")``.
    strength : float
        λ
    l1_ratio : float
        ρ, from 0 to 1.

    Raises
    ------
    RangeError
        If `strength` is negative or `l1_ratio` outside [0, 1].
    ArgumentError
        If there are no parameters.
    """

    def __init__(self, parameters: Iterable[Tensor], strength: float, l1_ratio: float = 0.5) -> None:
        if not strength >= 0:
            raise RangeError(f"strength: expected a number of at least 0, got {strength!r}")
        if not 0 <= l1_ratio <= 1:
            raise RangeError(f"l1_ratio: expected a number in [0, 1], got {l1_ratio!r}")
        self.parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        if not self.parameters:
            raise ArgumentError("parameters: expected at least one parameter to penalise, got none")
        self.strength = strength
        self.l1_ratio = l1_ratio

    def __call__(self) -> Array:
        """The penalty, a Tensor () to be added to the loss."""
        depend(self, lambda: (self.strength, self.l1_ratio, [id(parameter.value) for parameter in self.parameters]))
        total = self._of(self.parameters[0])
        for parameter in self.parameters[1:]:
            total = total + self._of(parameter)
        return self.strength * total

    def _of(self, parameter: Array) -> Array:
        sizes, squares = self.l1_ratio, 1.0 - self.l1_ratio
        if squares == 0:
            return operations.sum(operations.abs(parameter))
        if sizes == 0:
            return operations.sum(parameter * parameter)
        return operations.sum(operations.abs(parameter)) * sizes + operations.sum(parameter * parameter) * squares


class L1Penalty(ElasticNetPenalty):
    r""":math:`\lambda \sum |w|`: drives weights to zero.  [Tibshirani 1996]

    Parameters
    ----------
    parameters : iterable of Parameter
    strength : float
        λ
    """

    def __init__(self, parameters: Iterable[Tensor], strength: float) -> None:
        super().__init__(parameters, strength, 1.0)


class L2Penalty(ElasticNetPenalty):
    r""":math:`\lambda \sum w^2`: keeps weights small.  [Hoerl & Kennard 1970]

    An optimizer's ``weight_decay`` of 2λ has the same gradient, for all parameters of a group and without a loss.

    Parameters
    ----------
    parameters : iterable of Parameter
    strength : float
        λ
    """

    def __init__(self, parameters: Iterable[Tensor], strength: float) -> None:
        super().__init__(parameters, strength, 0.0)


def parameters_named(model: Module, *patterns: str) -> list[Tensor]:
    """The parameters whose dotted name fits one of the patterns, as in ``parameters_named(model, "*.weight")``.

    Raises
    ------
    ArgumentError
        If a pattern fits none.
    """
    named = dict(model.named_parameters())
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in named):
            raise ArgumentError(f"patterns: {pattern!r} fits no parameter of {', '.join(named)}")
    return [value for name, value in named.items() if any(fnmatchcase(name, pattern) for pattern in patterns)]
