"""One step of an optimizer that looks at a layer as a whole: at the norm of its weights, or at its matrix.

Each call is the step of one parameter, in its own shape.  As in `portml.backends.kernels.optimizer` the slot ``h``
holds what changes from step to step, and every kernel returns the new parameter and states in the order of its
arguments.
"""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.kernels.optimizer import refuse_unfit_states
from portml.backends.namespaces import Array, namespace
from portml.errors import ShapeError

__all__ = ["lamb_step", "lars_step", "muon_step", "orthogonalised"]

Coefficients = tuple[float, float, float]


@kernel
def lamb_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    h: Array,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> tuple[Array, Array, Array]:
    """LAMB: u = m̂ / (sqrt(v̂) + eps) + weight_decay p, p = p - lr (|p| / |u|) u.  [You et al. 2020, alg. 2]

    Where a norm is 0 the ratio is 1.

    Parameters
    ----------
    p, g, m, v : arrays of one shape
    h : array (3,)
        lr, 1 / (1 - β₁ᵗ), 1 / (1 - β₂ᵗ).
    beta1, beta2, eps, weight_decay : float
    maximize : bool

    Returns
    -------
    p, m, v : arrays of that shape
    """
    refuse_unfit_states("lamb_step", p, h, 3, g=g, m=m, v=v)
    g = -g if maximize else g
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    update = m * h[1] / (namespace(p).sqrt(v * h[2]) + eps) + weight_decay * p
    return p - h[0] * _ratio(_norm(p), _norm(update)) * update, m, v


@kernel
def lars_step(
    p: Array,
    g: Array,
    velocity: Array,
    h: Array,
    *,
    momentum: float = 0.9,
    trust: float = 1e-3,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
) -> tuple[Array, Array]:
    """LARS: v = momentum v + lr λ (g + weight_decay p), p = p - v, λ = trust |p| / (|g| + weight_decay |p| + eps).

    Where a norm is 0, λ is 1.  Nesterov's variant steps along momentum v + lr λ (g + weight_decay p).
    [You, Gitman & Ginsburg 2017, alg. 1]

    Parameters
    ----------
    p, g, velocity : arrays of one shape
    h : array (1,)
        lr.
    momentum, trust, eps, weight_decay : float
    nesterov, maximize : bool

    Returns
    -------
    p, velocity : arrays of that shape
    """
    refuse_unfit_states("lars_step", p, h, 1, g=g, velocity=velocity)
    g = -g if maximize else g
    size, slope = _norm(p), _norm(g)
    xp = namespace(p)
    known = xp.astype(size * slope > 0, p.dtype)
    local = known * (trust * size / (slope + weight_decay * size + eps)) + (1.0 - known)
    step = h[0] * local * (g + weight_decay * p)
    velocity = momentum * velocity + step
    return p - (step + momentum * velocity if nesterov else velocity), velocity


@kernel
def muon_step(
    p: Array,
    g: Array,
    velocity: Array,
    h: Array,
    *,
    momentum: float = 0.95,
    nesterov: bool = True,
    coefficients: Coefficients = (3.4445, -4.775, 2.0315),
    scale: float = 1.0,
    eps: float = 1e-7,
    ns_steps: int = 5,
) -> tuple[Array, Array]:
    """Muon: p = (1 - lr weight_decay) p - lr scale O(u), O(u) the orthogonal matrix nearest to the momentum u.

    v = momentum v + (1 - momentum) g; u is v, or with Nesterov momentum v + (1 - momentum) g.  [Jordan et al. 2024]

    Parameters
    ----------
    p, g, velocity : array (n_out, n_in)
    h : array (2,)
        lr, and 1 - lr weight_decay.
    momentum, scale : float
    nesterov : bool
    coefficients, eps, ns_steps
        Of `orthogonalised`.

    Returns
    -------
    p, velocity : array (n_out, n_in)
    """
    refuse_unfit_states("muon_step", p, h, 2, g=g, velocity=velocity)
    velocity = momentum * velocity + (1 - momentum) * g
    towards = momentum * velocity + (1 - momentum) * g if nesterov else velocity
    return p * h[1] - (h[0] * scale) * orthogonalised(towards, coefficients, eps, ns_steps), velocity


def orthogonalised(matrix: Array, coefficients: Coefficients, eps: float, steps: int) -> Array:
    """Draw the singular values of a matrix near 1 by Newton–Schulz steps: X = a X + (b A + c A²) X with A = X Xᵀ.

    The coefficients reach the neighbourhood of 1 (0.7 to 1.2) in five steps, faster than those that converge to it.

    Parameters
    ----------
    matrix : array (n_out, n_in)
    coefficients : (a, b, c)
    eps : float
        The norm is taken to be no smaller.
    steps : int

    Returns
    -------
    array (n_out, n_in)
    """
    if len(matrix.shape) != 2:
        raise ShapeError(f"orthogonalised: expected a matrix, got shape {tuple(matrix.shape)}")
    xp = namespace(matrix)
    a, b, c = coefficients
    # The product X Xᵀ is the smaller one for a wide matrix.
    tall = matrix.shape[0] > matrix.shape[1]
    x = xp.matrix_transpose(matrix) if tall else matrix
    x = x / xp.maximum(_norm(x), xp.asarray(eps, dtype=x.dtype, device=x.device))
    for _ in range(steps):
        square = x @ xp.matrix_transpose(x)
        x = a * x + (b * square + c * (square @ square)) @ x
    return xp.matrix_transpose(x) if tall else x


def _norm(x: Array) -> Array:
    """The root of the sum of squares, an array ()."""
    xp = namespace(x)
    return xp.sqrt(xp.sum(x * x))


def _ratio(size: Array, change: Array) -> Array:
    """size / change, and 1 where one of the two is 0."""
    xp = namespace(size, change)
    known = xp.astype(size * change > 0, size.dtype)
    return known * size / (change + (1.0 - known)) + (1.0 - known)
