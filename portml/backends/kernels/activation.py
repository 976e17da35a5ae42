"""Activations: what a layer does to each number, or to each row, after its linear part.

All are stable in float32 for arguments up to 1e4 in size and beyond, and NaN goes in as NaN and comes out as NaN.
Branches are taken by ``where`` on both sides of an operation, never by ``abs`` or ``maximum`` inside an exponential: so
the body is smooth wherever the function is, the origin included, and derivatives of any order are right there.
"""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.kernels.real_numbers import refuse_unless_real
from portml.backends.namespaces import Array, namespace

__all__ = [
    "elu",
    "elu_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "log_softmax",
    "log_softmax_backward",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "silu_saving",
    "softmax",
    "softmax_backward",
    "softplus",
    "softplus_backward",
]

Needs = tuple[bool, ...]


@kernel
def relu(x: Array) -> Array:
    """Rectified linear unit: y = max(x, 0).  [Nair & Hinton 2010, section 2]

    Parameters
    ----------
    x : array (...)

    Returns
    -------
    array (...)
    """
    return namespace(x).maximum(x, 0)


@kernel
def relu_backward(g: Array, y: Array, x: Array, *, needs: Needs) -> tuple[Array]:
    """Gradient: dx = g where y > 0, else 0; at the kink the derivative is 0, as in PyTorch."""
    return (g * namespace(g, y).astype(y > 0, g.dtype),)


@kernel
def leaky_relu(x: Array, *, negative_slope: float = 0.01) -> Array:
    """Leaky rectifier: y = x where x > 0, else negative_slope x.  [Maas, Hannun & Ng 2013, section 2]"""
    refuse_unless_real("leaky_relu", x)
    xp = namespace(x)
    return xp.where(x > 0, x, negative_slope * x)


@kernel
def leaky_relu_backward(g: Array, y: Array, x: Array, *, needs: Needs, negative_slope: float) -> tuple[Array]:
    """Gradient: dx = g where x > 0, else negative_slope g."""
    xp = namespace(g, x)
    return (xp.where(x > 0, g, negative_slope * g),)


@kernel
def elu(x: Array, *, alpha: float = 1.0) -> Array:
    """Exponential linear unit: y = x where x > 0, else alpha (exp(x) - 1).  [Clevert et al. 2016, eq. 15]"""
    refuse_unless_real("elu", x)
    xp = namespace(x)
    return xp.where(x > 0, x, alpha * xp.expm1(xp.where(x > 0, 0, x)))


@kernel
def elu_backward(g: Array, y: Array, x: Array, *, needs: Needs, alpha: float) -> tuple[Array]:
    """Gradient: dx = g where x > 0, else g (y + alpha).  [Clevert et al. 2016, eq. 15]"""
    xp = namespace(g, y, x)
    return (g * xp.where(x > 0, 1, y + alpha),)


@kernel
def sigmoid(x: Array) -> Array:
    """Logistic function: y = 1 / (1 + exp(-x)), or exp(x) / (1 + exp(x)) where x < 0, so that nothing overflows."""
    refuse_unless_real("sigmoid", x)
    xp = namespace(x)
    e = xp.exp(xp.where(x >= 0, -x, x))
    return xp.where(x >= 0, 1, e) / (1 + e)


@kernel
def sigmoid_backward(g: Array, y: Array, x: Array, *, needs: Needs) -> tuple[Array]:
    """Gradient: dx = g y (1 - y)."""
    return (g * (y * (1 - y)),)


@kernel
def silu(x: Array) -> Array:
    """Sigmoid-weighted linear unit, or swish: y = x sigmoid(x).  [Elfwing, Uchibe & Doya 2018, eq. 5]"""
    refuse_unless_real("silu", x)
    return x * sigmoid.agnostic(x)


@kernel
def silu_saving(x: Array) -> tuple[Array, Array]:
    """The result of `silu`, and s = sigmoid(x) for its gradient."""
    refuse_unless_real("silu", x)
    s = sigmoid.agnostic(x)
    return x * s, s


@kernel
def silu_backward(g: Array, s: Array, x: Array, *, needs: Needs) -> tuple[Array]:
    """Gradient: dx = g s (1 + x (1 - s)).  [Elfwing, Uchibe & Doya 2018, eq. 6]"""
    return (g * (s * (1 + x * (1 - s))),)


@kernel
def softplus(x: Array, *, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """Smooth rectifier: y = log(1 + exp(beta x)) / beta, and x itself where beta x > threshold, as in PyTorch.

    [Dugas et al. 2001, eq. 3]
    With ``threshold=math.inf`` it is the formula everywhere, and no less stable.
    """
    refuse_unless_real("softplus", x)
    xp = namespace(x)
    z = beta * x
    soft = xp.where(z > 0, z, 0) + xp.log1p(xp.exp(xp.where(z > 0, -z, z)))
    return xp.where(z > threshold, x, soft / beta)


@kernel
def softplus_backward(g: Array, y: Array, x: Array, *, needs: Needs, beta: float, threshold: float) -> tuple[Array]:
    """Gradient: dx = g sigmoid(beta x), and g itself where beta x > threshold."""
    xp = namespace(g, x)
    z = beta * x
    return (g * xp.where(z > threshold, 1, sigmoid.agnostic(z)),)


@kernel
def softmax(x: Array, *, axis: int = -1) -> Array:
    """Softmax: y = exp(x - max x) / sum exp(x - max x) along `axis`: probabilities that sum to one.  [Bridle 1990]

    Parameters
    ----------
    x : array (...)
    axis : int

    Returns
    -------
    array (...)
    """
    refuse_unless_real("softmax", x)
    xp = namespace(x)
    e = xp.exp(_below_maximum(x, axis))
    return e / xp.sum(e, axis=axis, keepdims=True)


@kernel
def softmax_backward(g: Array, y: Array, x: Array, *, needs: Needs, axis: int) -> tuple[Array]:
    """Gradient: dx = y (g - sum(g y)) along `axis`."""
    xp = namespace(g, y)
    return (y * (g - xp.sum(g * y, axis=axis, keepdims=True)),)


@kernel
def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """Log-softmax: y = x - log sum exp x along `axis`, with digits where the probability itself is 0."""
    refuse_unless_real("log_softmax", x)
    xp = namespace(x)
    below = _below_maximum(x, axis)
    return below - xp.log(xp.sum(xp.exp(below), axis=axis, keepdims=True))


@kernel
def log_softmax_backward(g: Array, y: Array, x: Array, *, needs: Needs, axis: int) -> tuple[Array]:
    """Gradient: dx = g - exp(y) sum(g) along `axis`."""
    xp = namespace(g, y)
    return (g - xp.exp(y) * xp.sum(g, axis=axis, keepdims=True),)


relu.gradient(backward=relu_backward)
leaky_relu.gradient(backward=leaky_relu_backward)
elu.gradient(backward=elu_backward)
sigmoid.gradient(backward=sigmoid_backward)
silu.gradient(saving=silu_saving, backward=silu_backward)
softplus.gradient(backward=softplus_backward)
softmax.gradient(backward=softmax_backward)
log_softmax.gradient(backward=log_softmax_backward)


def _below_maximum(x: Array, axis: int) -> Array:
    """What x - max x is along `axis`, so that no exponential of it is above 1."""
    # An empty array has no maximum, and none is needed.
    if 0 in x.shape:
        return x
    return x - namespace(x).max(x, axis=axis, keepdims=True)
