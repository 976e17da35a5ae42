"""One step of an optimizer, on flat arrays: what the paper says, in PyTorch's order of operations.

All parameters of a group lie behind one another in one array p (n,), their gradients in g, each state in an array of
its own.  Every kernel returns the new parameters and states, in the order of its arguments; ``out=`` may name the very
arrays that came in, each at its own place, and is how an optimizer updates in place.

``h`` is a slot: a small array of p's dtype whose entries the host works out in float64 before each step.  Whatever
changes from step to step is there, so that a recorded step replays; the statics stay as they are.
"""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.namespaces import Array, namespace
from portml.errors import DtypeError, ShapeError

__all__ = [
    "adagrad_step",
    "adam_step",
    "lion_step",
    "nadam_step",
    "radam_step",
    "refuse_unfit_states",
    "rmsprop_step",
    "sgd_step",
]

Three = tuple[Array, Array, Array]


@kernel
def sgd_step(
    p: Array,
    g: Array,
    velocity: Array | None,
    h: Array,
    *,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> tuple[Array, Array | None]:
    """Gradient descent, with momentum v = momentum v + (1 - dampening) g and p = p - lr v.  [Sutskever et al. 2013]

    Nesterov's variant steps along g + momentum v.  Weight decay adds weight_decay p to the gradient.

    Parameters
    ----------
    p, g : array (n,)
    velocity : array (n,) or None
        None where there is no momentum; zeros before the first step.
    h : array (2,)
        The learning rate, and the weight of the gradient in the velocity: 1 - dampening, but 1 at the first step.
    momentum, weight_decay : float
    nesterov, maximize : bool
        `maximize` climbs instead.

    Returns
    -------
    p, velocity : array (n,); velocity None where it came as None

    Raises
    ------
    ShapeError, DtypeError
        If a state or the slot does not fit p.
    """
    refuse_unfit_states("sgd_step", p, h, 2, g=g, velocity=velocity)
    g = _with_decay(p, g, weight_decay, maximize)
    if velocity is not None:
        velocity = momentum * velocity + h[1] * g
        g = g + momentum * velocity if nesterov else velocity
    return p - h[0] * g, velocity


@kernel
def adagrad_step(
    p: Array, g: Array, total: Array, h: Array, *, eps: float = 1e-10, weight_decay: float = 0.0, maximize: bool = False
) -> tuple[Array, Array]:
    """AdaGrad: s = s + g² and p = p - lr g / (sqrt(s) + eps).  [Duchi, Hazan & Singer 2011, section 1.1]

    Parameters
    ----------
    p, g : array (n,)
    total : array (n,)
        s, the sum of squared gradients.
    h : array (1,)
        The learning rate, already divided by 1 + (t - 1) lr_decay at step t.
    eps, weight_decay : float
    maximize : bool

    Returns
    -------
    p, total : array (n,)
    """
    refuse_unfit_states("adagrad_step", p, h, 1, g=g, total=total)
    g = _with_decay(p, g, weight_decay, maximize)
    total = total + g * g
    return p - h[0] * (g / (namespace(p).sqrt(total) + eps)), total


@kernel
def rmsprop_step(
    p: Array,
    g: Array,
    square: Array,
    mean: Array | None,
    velocity: Array | None,
    h: Array,
    *,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> tuple[Array, Array, Array | None, Array | None]:
    """RMSprop: s = alpha s + (1 - alpha) g², p = p - lr g / (sqrt(s) + eps).  [Tieleman & Hinton 2012; Graves 2013]

    Centred, the root is of s - m² with m = alpha m + (1 - alpha) g; with momentum, p = p - lr v with
    v = momentum v + g / (root + eps).

    Parameters
    ----------
    p, g : array (n,)
    square : array (n,)
        s, the running mean of squared gradients.
    mean : array (n,) or None
        m, the running mean of gradients; None where not centred.
    velocity : array (n,) or None
        v; None where there is no momentum.
    h : array (1,)
        The learning rate.
    alpha, eps, momentum, weight_decay : float
    maximize : bool

    Returns
    -------
    p, square, mean, velocity : array (n,); the last two None where they came as None
    """
    refuse_unfit_states("rmsprop_step", p, h, 1, g=g, square=square, mean=mean, velocity=velocity)
    xp = namespace(p)
    g = _with_decay(p, g, weight_decay, maximize)
    square = alpha * square + (1 - alpha) * (g * g)
    spread = square
    if mean is not None:
        mean = alpha * mean + (1 - alpha) * g
        # Rounding can leave a variance a little below zero.
        spread = xp.maximum(square - mean * mean, 0)
    step = g / (xp.sqrt(spread) + eps)
    if velocity is not None:
        velocity = momentum * velocity + step
        step = velocity
    return p - h[0] * step, square, mean, velocity


@kernel
def adam_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    peak: Array | None,
    h: Array,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
) -> tuple[Array, Array, Array, Array | None]:
    """Adam: m = β₁ m + (1 - β₁) g, v = β₂ v + (1 - β₂) g², p = p - lr m̂ / (sqrt(v̂) + eps).  [Kingma & Ba 2015, alg. 1]

    Here m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ).  Weight decay adds weight_decay p to the gradient; decoupled, it
    shrinks p by the factor 1 - lr weight_decay before the step.  [Loshchilov & Hutter 2019, alg. 2]  AMSGrad divides by
    the largest v so far.  [Reddi, Kale & Kumar 2018, alg. 2]

    Parameters
    ----------
    p, g, m, v : array (n,)
        Parameters, gradients, and their running means of first and second order.
    peak : array (n,) or None
        The largest v so far; None without AMSGrad.
    h : array (3,)
        lr / (1 - β₁ᵗ), 1 / sqrt(1 - β₂ᵗ), and 1 - lr weight_decay, which only decoupled decay reads.
    beta1, beta2, eps, weight_decay : float
        Decoupled, the decay stands in h alone and `weight_decay` is passed over.
    decoupled, maximize : bool

    Returns
    -------
    p, m, v, peak : array (n,); the last None where it came as None
    """
    refuse_unfit_states("adam_step", p, h, 3, g=g, m=m, v=v, peak=peak)
    xp = namespace(p)
    g = _with_decay(p, g, 0.0 if decoupled else weight_decay, maximize)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    if peak is not None:
        peak = xp.maximum(peak, v)
    if decoupled:
        p = p * h[2]
    return p - h[0] * (m / (xp.sqrt(v if peak is None else peak) * h[1] + eps)), m, v, peak


@kernel
def nadam_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    h: Array,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
) -> Three:
    """Adam with Nesterov's look ahead: p = p - (a g + b m) / (sqrt(v̂) + eps).  [Dozat 2016, alg. 8]

    With μₜ = β₁ (1 - 0.96^(t ψ) / 2) and Πₜ = μ₁ ⋯ μₜ: a = lr (1 - μₜ) / (1 - Πₜ), b = lr μₜ₊₁ / (1 - Πₜ₊₁).

    Parameters
    ----------
    p, g, m, v : array (n,)
    h : array (4,)
        a, b, 1 / sqrt(1 - β₂ᵗ), and 1 - lr weight_decay, which only decoupled decay reads.
    beta1, beta2, eps, weight_decay : float
    decoupled, maximize : bool

    Returns
    -------
    p, m, v : array (n,)
    """
    refuse_unfit_states("nadam_step", p, h, 4, g=g, m=m, v=v)
    g = _with_decay(p, g, 0.0 if decoupled else weight_decay, maximize)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    if decoupled:
        p = p * h[3]
    return p - (h[0] * g + h[1] * m) / (namespace(p).sqrt(v) * h[2] + eps), m, v


@kernel
def radam_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    h: Array,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
) -> Three:
    """Adam that does not divide by v before v is known well enough.  [Liu et al. 2020, "On the variance", alg. 2]

    p = p - lr m̂ (r sqrt(1 - β₂ᵗ) / (sqrt(v) + eps)) with the rectification r, or p - lr m̂ as long as there is none.

    Parameters
    ----------
    p, g, m, v : array (n,)
    h : array (4,)
        lr / (1 - β₁ᵗ); r sqrt(1 - β₂ᵗ), or 0; 0, or 1 as long as there is no r; and 1 - lr weight_decay, which only
        decoupled decay reads.
    beta1, beta2, eps, weight_decay : float
    decoupled, maximize : bool

    Returns
    -------
    p, m, v : array (n,)
    """
    refuse_unfit_states("radam_step", p, h, 4, g=g, m=m, v=v)
    g = _with_decay(p, g, 0.0 if decoupled else weight_decay, maximize)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    if decoupled:
        p = p * h[3]
    return p - h[0] * (m * (h[1] / (namespace(p).sqrt(v) + eps) + h[2])), m, v


@kernel
def lion_step(
    p: Array, g: Array, m: Array, h: Array, *, beta1: float = 0.9, beta2: float = 0.99, maximize: bool = False
) -> tuple[Array, Array]:
    """Lion: p = (1 - lr weight_decay) p - lr sign(β₁ m + (1 - β₁) g), m = β₂ m + (1 - β₂) g.  [Chen et al. 2023]

    Parameters
    ----------
    p, g, m : array (n,)
    h : array (2,)
        lr, and 1 - lr weight_decay.
    beta1, beta2 : float
    maximize : bool

    Returns
    -------
    p, m : array (n,)
    """
    refuse_unfit_states("lion_step", p, h, 2, g=g, m=m)
    g = _with_decay(p, g, 0.0, maximize)
    step = namespace(p).sign(beta1 * m + (1 - beta1) * g)
    return p * h[1] - h[0] * step, beta2 * m + (1 - beta2) * g


def refuse_unfit_states(name: str, p: Array, h: Array, entries: int, **states: Array | None) -> None:
    """Raise ShapeError or DtypeError unless all states are as p is, and the slot has its entries."""
    for argument, state in states.items():
        if state is None:
            continue
        if state.shape != p.shape:
            raise ShapeError(f"{name}: {argument} has shape {state.shape}, expected that of p, {p.shape}")
        if state.dtype != p.dtype:
            raise DtypeError(f"{name}: {argument} has dtype {state.dtype}, expected that of p, {p.dtype}")
    if h.shape != (entries,):
        raise ShapeError(f"{name}: the slot h has shape {h.shape}, expected ({entries},)")
    if h.dtype != p.dtype:
        raise DtypeError(f"{name}: the slot h has dtype {h.dtype}, expected that of p, {p.dtype}")


def _with_decay(p: Array, g: Array, weight_decay: float, maximize: bool) -> Array:
    g = -g if maximize else g
    return g + weight_decay * p if weight_decay else g
