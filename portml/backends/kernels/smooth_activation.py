"""Smooth relatives of the rectifier, and functions that approach their limits slowly.

Stable in float32 for arguments up to 1e4 in size, as those of `portml.backends.kernels.activation` are.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.kernel import kernel
from portml.backends.kernels.activation import sigmoid
from portml.backends.kernels.error_function import erfc
from portml.backends.kernels.real_numbers import refuse_unless_real
from portml.backends.namespaces import Array, namespace
from portml.errors import ArgumentError

__all__ = [
    "CUBIC",
    "SELU_ALPHA",
    "SELU_SCALE",
    "SLOPE",
    "celu",
    "celu_backward",
    "gelu",
    "gelu_backward",
    "gelu_saving",
    "logsigmoid",
    "logsigmoid_backward",
    "mish",
    "mish_backward",
    "refuse_unknown_approximation",
    "selu",
    "selu_backward",
    "softsign",
    "softsign_backward",
    "tanhshrink",
    "tanhshrink_backward",
]

Needs = tuple[bool, ...]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
SLOPE, CUBIC = math.sqrt(2 / math.pi), 0.044715


@kernel
def gelu(x: Array, *, approximate: str = "none") -> Array:
    """Gaussian error linear unit: y = x Φ(x) with Φ the normal distribution.  [Hendrycks & Gimpel 2016, section 2]

    Parameters
    ----------
    x : array (...)
    approximate : {"none", "tanh"}
        "tanh" takes Φ(x) as (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2.

    Returns
    -------
    array (...)
    """
    refuse_unless_real("gelu", x)
    return x * _share_below(x, approximate)


@kernel
def gelu_saving(x: Array, *, approximate: str) -> tuple[Array, Array]:
    """The result of `gelu`, and its slope Φ + x Φ', which costs little where Φ is at hand.

    Φ' = exp(-x²/2) / √(2π), or 2 Φ (1 - Φ) √(2/π) (1 + 3 · 0.044715 x²) with "tanh".
    """
    refuse_unless_real("gelu", x)
    share = _share_below(x, approximate)
    if approximate == "tanh":
        density = 2 * share * (1 - share) * (SLOPE + 3 * SLOPE * CUBIC * x * x)
    else:
        density = namespace(x).exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return x * share, share + x * density


@kernel
def gelu_backward(g: Array, slope: Array, x: Array, *, needs: Needs, approximate: str) -> tuple[Array]:
    """Gradient: dx = g times the slope."""
    return (g * slope,)


@kernel
def mish(x: Array) -> Array:
    """Mish: y = x tanh(log(1 + exp x)).  [Misra 2020, eq. 1]

    With e = exp(-|x|) the hyperbolic tangent is (1 + 2e) / (1 + 2e + 2e²), or e (e + 2) / (e (e + 2) + 2) where x < 0.
    """
    refuse_unless_real("mish", x)
    return x * _tanh_of_softplus(x)[0]


@kernel
def mish_backward(g: Array, y: Array, x: Array, *, needs: Needs) -> tuple[Array]:
    """Gradient: dx = g (t + x (1 - t²) σ(x)) with t = tanh(log(1 + exp x)).  [Misra 2020, eq. 2]"""
    t, rest = _tanh_of_softplus(x)
    return (g * (t + x * sigmoid.agnostic(x) * rest * (1 + t)),)


@kernel
def selu(x: Array) -> Array:
    """Scaled exponential linear unit: y = λ x where x > 0, else λ α (exp(x) - 1).  [Klambauer et al. 2017, eq. 2]

    λ = 1.0507..., α = 1.6733...: mean 0 and variance 1 are what a layer of many inputs keeps.
    """
    refuse_unless_real("selu", x)
    xp = namespace(x)
    return SELU_SCALE * xp.where(x > 0, x, SELU_ALPHA * xp.expm1(xp.where(x > 0, 0, x)))


@kernel
def selu_backward(g: Array, y: Array, x: Array, *, needs: Needs) -> tuple[Array]:
    """Gradient: dx = g λ where x > 0, else g (y + λ α)."""
    return (g * namespace(g, y, x).where(x > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA),)


@kernel
def celu(x: Array, *, alpha: float = 1.0) -> Array:
    """Continuously differentiable ELU: y = x where x > 0, else α (exp(x/α) - 1).  [Barron 2017, eq. 2]"""
    refuse_unless_real("celu", x)
    xp = namespace(x)
    return xp.where(x > 0, x, alpha * xp.expm1(xp.where(x > 0, 0, x) / alpha))


@kernel
def celu_backward(g: Array, y: Array, x: Array, *, needs: Needs, alpha: float) -> tuple[Array]:
    """Gradient: dx = g where x > 0, else g (y/α + 1)."""
    return (g * namespace(g, y, x).where(x > 0, 1, y / alpha + 1),)


@kernel
def softsign(x: Array) -> Array:
    """y = x / (1 + |x|): it nears its limits as 1/x, not as an exponential.  [Bergstra et al. 2009]"""
    refuse_unless_real("softsign", x)
    return x / (1 + namespace(x).abs(x))


@kernel
def softsign_backward(g: Array, y: Array, x: Array, *, needs: Needs) -> tuple[Array]:
    """Gradient: dx = g / (1 + |x|)²."""
    width = 1 + namespace(g, x).abs(x)
    return (g / (width * width),)


@kernel
def logsigmoid(x: Array) -> Array:
    """Logarithm of the logistic function: y = -log(1 + exp(-x)) = min(x, 0) - log(1 + exp(-|x|))."""
    refuse_unless_real("logsigmoid", x)
    xp = namespace(x)
    return xp.where(x < 0, x, 0) - xp.log1p(xp.exp(xp.where(x < 0, x, -x)))


@kernel
def logsigmoid_backward(g: Array, y: Array, x: Array, *, needs: Needs) -> tuple[Array]:
    """Gradient: dx = g σ(-x)."""
    return (g * sigmoid.agnostic(-x),)


@kernel
def tanhshrink(x: Array) -> Array:
    """y = x - tanh(x)."""
    refuse_unless_real("tanhshrink", x)
    return x - namespace(x).tanh(x)


@kernel
def tanhshrink_backward(g: Array, y: Array, x: Array, *, needs: Needs) -> tuple[Array]:
    """Gradient: dx = g tanh(x)²."""
    t = namespace(g, x).tanh(x)
    return (g * (t * t),)


gelu.gradient(saving=gelu_saving, backward=gelu_backward)
mish.gradient(backward=mish_backward)
selu.gradient(backward=selu_backward)
celu.gradient(backward=celu_backward)
softsign.gradient(backward=softsign_backward)
logsigmoid.gradient(backward=logsigmoid_backward)
tanhshrink.gradient(backward=tanhshrink_backward)


def refuse_unknown_approximation(approximate: str) -> None:
    """Raise ArgumentError unless `approximate` is "none" or "tanh"."""
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")


def _share_below(x: Array, approximate: str) -> Array:
    """Φ(x), the share of a normal distribution that lies below x."""
    refuse_unknown_approximation(approximate)
    if approximate == "tanh":
        # (1 + tanh u) / 2 = σ(2 u), which keeps its digits where tanh is rounded to -1.
        return sigmoid.agnostic(2 * SLOPE * x + 2 * SLOPE * CUBIC * x * x * x)
    return 0.5 * erfc(-math.sqrt(0.5) * x)


def _tanh_of_softplus(x: Array) -> tuple[Any, Any]:
    """t = tanh(log(1 + exp x)), and 1 - t, both with all their digits."""
    xp = namespace(x)
    positive = x >= 0
    e = xp.exp(xp.where(positive, -x, x))
    above = xp.where(positive, 1 + 2 * e, e * (e + 2))
    rest = xp.where(positive, 2 * e * e, 2)
    return above / (above + rest), rest / (above + rest)
