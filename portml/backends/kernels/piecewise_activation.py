"""Activations made of straight lines and parabolas: cheap stand-ins for smooth ones, and shrinkage.

Where two pieces meet the derivative is PyTorch's.
"""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.kernels.real_numbers import refuse_unless_real
from portml.backends.namespaces import Array, namespace

__all__ = [
    "hardshrink",
    "hardshrink_backward",
    "hardsigmoid",
    "hardsigmoid_backward",
    "hardswish",
    "hardswish_backward",
    "hardtanh",
    "hardtanh_backward",
    "relu6",
    "relu6_backward",
    "softshrink",
    "softshrink_backward",
    "threshold",
    "threshold_backward",
]

Needs = tuple[bool, ...]


@kernel
def relu6(x: Array) -> Array:
    """Rectifier cut off at 6: y = min(max(x, 0), 6).  [Krizhevsky 2010]"""
    refuse_unless_real("relu6", x)
    return namespace(x).clip(x, 0, 6)


@kernel
def relu6_backward(g: Array, y: Array, x: Array, *, needs: Needs) -> tuple[Array]:
    """Gradient: dx = g where 0 < x < 6, else 0."""
    return (g * namespace(g, x).astype((x > 0) & (x < 6), g.dtype),)


@kernel
def hardtanh(x: Array, *, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """y = x between `min_val` and `max_val`, and these beyond.  [Collobert 2004]"""
    refuse_unless_real("hardtanh", x)
    return namespace(x).clip(x, min_val, max_val)


@kernel
def hardtanh_backward(g: Array, y: Array, x: Array, *, needs: Needs, min_val: float, max_val: float) -> tuple[Array]:
    """Gradient: dx = g where min_val < x < max_val, else 0."""
    return (g * namespace(g, x).astype((x > min_val) & (x < max_val), g.dtype),)


@kernel
def hardsigmoid(x: Array) -> Array:
    """y = min(max(x + 3, 0), 6) / 6.  [Howard et al. 2019, section 5.2]"""
    refuse_unless_real("hardsigmoid", x)
    return namespace(x).clip(x + 3, 0, 6) / 6


@kernel
def hardsigmoid_backward(g: Array, y: Array, x: Array, *, needs: Needs) -> tuple[Array]:
    """Gradient: dx = g / 6 where -3 < x < 3, else 0."""
    return (g * (namespace(g, x).astype((x > -3) & (x < 3), g.dtype) / 6),)


@kernel
def hardswish(x: Array) -> Array:
    """y = x min(max(x + 3, 0), 6) / 6.  [Howard et al. 2019, section 5.2]"""
    refuse_unless_real("hardswish", x)
    return x * (namespace(x).clip(x + 3, 0, 6) / 6)


@kernel
def hardswish_backward(g: Array, y: Array, x: Array, *, needs: Needs) -> tuple[Array]:
    """Gradient: dx = g (x/3 + 1/2) where -3 < x < 3; g above and 0 below."""
    xp = namespace(g, x)
    return (g * xp.where(x >= 3, 1, xp.where(x <= -3, 0, x / 3 + 0.5)),)


@kernel
def hardshrink(x: Array, *, lambd: float = 0.5) -> Array:
    """y = x where |x| > λ, else 0.  [Donoho & Johnstone 1994, hard thresholding]"""
    refuse_unless_real("hardshrink", x)
    return namespace(x).where((x >= -lambd) & (x <= lambd), 0, x)


@kernel
def hardshrink_backward(g: Array, y: Array, x: Array, *, needs: Needs, lambd: float) -> tuple[Array]:
    """Gradient: dx = g where |x| > λ, else 0."""
    return (g * namespace(g, x).astype((x < -lambd) | (x > lambd), g.dtype),)


@kernel
def softshrink(x: Array, *, lambd: float = 0.5) -> Array:
    """y = x drawn towards zero by λ, and 0 where |x| <= λ.  [Donoho & Johnstone 1994, soft thresholding]"""
    refuse_unless_real("softshrink", x)
    # The distance to the nearest point of [-λ, λ].
    return x - namespace(x).clip(x, -lambd, lambd)


@kernel
def softshrink_backward(g: Array, y: Array, x: Array, *, needs: Needs, lambd: float) -> tuple[Array]:
    """Gradient: dx = g where |x| > λ, else 0."""
    return (g * namespace(g, x).astype((x < -lambd) | (x > lambd), g.dtype),)


@kernel
def threshold(x: Array, *, threshold: float, value: float) -> Array:
    """y = x where x > threshold, else `value`."""
    refuse_unless_real("threshold", x)
    return namespace(x).where(x <= threshold, value, x)


@kernel
def threshold_backward(g: Array, y: Array, x: Array, *, needs: Needs, threshold: float, value: float) -> tuple[Array]:
    """Gradient: dx = g where x > threshold, else 0."""
    xp = namespace(g, x)
    return (g * xp.astype(xp.logical_not(x <= threshold), g.dtype),)


relu6.gradient(backward=relu6_backward)
hardtanh.gradient(backward=hardtanh_backward)
hardsigmoid.gradient(backward=hardsigmoid_backward)
hardswish.gradient(backward=hardswish_backward)
hardshrink.gradient(backward=hardshrink_backward)
softshrink.gradient(backward=softshrink_backward)
threshold.gradient(backward=threshold_backward)
