"""Optimizers that look at each layer as a whole: LAMB, LARS and Muon."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

from portml.autograd import Tensor
from portml.backends import Array
from portml.backends.kernels.layerwise_optimizer import lamb_step, lars_step, muon_step
from portml.errors import ArgumentError, ShapeError
from portml.optim.optimizer import Optimizer, check_at_least_zero, check_betas

__all__ = ["LAMB", "LARS", "Muon"]

SHAPE_RULES = ("original", "match_rms_adamw")


class LAMB(Optimizer):
    r"""Adam whose step is, for each layer, as long as the layer's weights: for very large batches.

    .. math::
        u = \frac{\hat m}{\sqrt{\hat v} + \epsilon} + \lambda \theta, \quad
        \theta \leftarrow \theta - \eta \frac{\lVert \theta \rVert}{\lVert u \rVert} u

    with m̂ and v̂ as in `Adam`.  [You et al. 2020, "Large batch optimization for deep learning", alg. 2]

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr : float
        η
    betas : pair of float
        β₁, β₂
    eps, weight_decay : float
        ε, λ
    maximize : bool
        Climb instead.
    """

    slot_size: ClassVar[int] = 3
    layerwise: ClassVar[bool] = True

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse options out of range."""
        super().check(group)
        check_betas(group)

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The running means of the gradient and of its square."""
        return ("exp_avg", "exp_avg_sq")

    def slot_values(self, group: dict[str, Any], steps: int) -> tuple[float, ...]:
        """η, and the corrections of both means."""
        beta1, beta2 = group["betas"]
        return group["lr"], 1 / (1 - beta1**steps), 1 / (1 - beta2**steps)

    def update(self, group: dict[str, Any], arrays: tuple[Array, ...], slot: Array, out: tuple[Array, ...]) -> None:
        """Take a step of one parameter."""
        beta1, beta2 = group["betas"]
        lamb_step(
            *arrays,
            slot,
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
            out=out,
        )


class LARS(Optimizer):
    r"""Momentum with a learning rate for each layer, in proportion to its weights over its gradient.

    .. math::
        \lambda = \kappa \frac{\lVert \theta \rVert}{\lVert g \rVert + \beta \lVert \theta \rVert + \epsilon}, \quad
        v \leftarrow \mu v + \eta \lambda (g + \beta \theta), \quad \theta \leftarrow \theta - v

    [You, Gitman & Ginsburg 2017, "Large batch training of convolutional networks", alg. 1]

    Parameters
    ----------
    params : iterable of Parameter, or of dict
    lr, momentum, weight_decay : float
        η, μ, β
    trust_coefficient, eps : float
        κ, ε
    nesterov : bool
    maximize : bool
        Climb instead.
    """

    layerwise: ClassVar[bool] = True

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 1e-3,
        eps: float = 1e-8,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "eps": eps,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse options out of range."""
        super().check(group)
        check_at_least_zero(group, "trust_coefficient")

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The velocity."""
        return ("momentum_buffer",)

    def slot_values(self, group: dict[str, Any], steps: int) -> tuple[float, ...]:
        """The learning rate."""
        return (group["lr"],)

    def update(self, group: dict[str, Any], arrays: tuple[Array, ...], slot: Array, out: tuple[Array, ...]) -> None:
        """Take a step of one parameter."""
        lars_step(
            *arrays,
            slot,
            momentum=group["momentum"],
            trust=group["trust_coefficient"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            out=out,
        )


class Muon(Optimizer):
    r"""Momentum made orthogonal: every direction of a weight matrix is stepped along by the same amount.

    .. math::
        v \leftarrow \mu v + (1 - \mu) g, \quad u = (1 - \mu) g + \mu v, \quad
        \theta \leftarrow (1 - \eta \lambda) \theta - \eta s \, \mathrm{NS}(u)

    with Newton–Schulz steps NS that draw the singular values near 1, and s by the shape (n_out, n_in).  For the
    matrices of hidden layers; biases, embeddings and the last layer are for another optimizer.
    [Jordan et al. 2024; Liu et al. 2025, "Muon is scalable for LLM training"]

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        Matrices.
    lr, weight_decay, momentum : float
        η, λ, μ
    nesterov : bool
    ns_coefficients : triple of float
    eps : float
    ns_steps : int
    adjust_lr_fn : {"original", "match_rms_adamw"}, optional
        s = √max(1, n_out / n_in), or 0.2 √max(n_out, n_in), with which learning rates of AdamW do; None is "original".

    Raises
    ------
    ShapeError
        If a parameter is no matrix.
    """

    slot_size: ClassVar[int] = 2
    layerwise: ClassVar[bool] = True

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse options out of range, and what is no matrix."""
        super().check(group)
        if group["adjust_lr_fn"] not in (None, *SHAPE_RULES):
            raise ArgumentError(f"adjust_lr_fn: expected one of {SHAPE_RULES} or None, got {group['adjust_lr_fn']!r}")
        for parameter in group["params"]:
            if len(parameter.shape) != 2:
                raise ShapeError(
                    f"params: Muon takes matrices, got a parameter of shape {tuple(parameter.shape)}; "
                    "give it to another optimizer"
                )

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The momentum."""
        return ("momentum_buffer",)

    def slot_values(self, group: dict[str, Any], steps: int) -> tuple[float, ...]:
        """η, and what the decay leaves."""
        return group["lr"], 1 - group["lr"] * group["weight_decay"]

    def update(self, group: dict[str, Any], arrays: tuple[Array, ...], slot: Array, out: tuple[Array, ...]) -> None:
        """Take a step of one parameter."""
        muon_step(
            *arrays,
            slot,
            momentum=group["momentum"],
            nesterov=group["nesterov"],
            coefficients=tuple(group["ns_coefficients"]),
            scale=_scale(group["adjust_lr_fn"], tuple(arrays[0].shape)),
            eps=group["eps"],
            ns_steps=group["ns_steps"],
            out=out,
        )


def _scale(rule: str | None, shape: tuple[int, ...]) -> float:
    """s for a matrix of this shape."""
    n_out, n_in = shape
    if rule == "match_rms_adamw":
        return 0.2 * math.sqrt(max(n_out, n_in))
    return math.sqrt(max(1.0, n_out / max(n_in, 1)))
