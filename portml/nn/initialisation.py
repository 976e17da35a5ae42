r"""Initial weights: distributions whose variance keeps signals and gradients of one size from layer to layer.

Each function draws an array of the given shape, laid out as a layer's weight: (n_out, n_in, *kernel).  Write it into a
layer with ``layer.weight.assign(he_normal(layer.weight.shape, rng=rng))``.

Fans: :math:`n_\text{in}` counts the inputs of one output (input channels × kernel size), :math:`n_\text{out}` the
outputs that one input reaches.
"""

from __future__ import annotations

import math
import secrets
from numbers import Integral

from portml.backends import Array, Backend, get_backend, namespace
from portml.errors import ArgumentError, RangeError, ShapeError
from portml.random import Generator

__all__ = [
    "calculate_gain",
    "dirac",
    "eye",
    "generator_for",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
    "sparse",
    "truncated_normal",
    "uniform_fan_in",
    "xavier_normal",
    "xavier_uniform",
]

Shape = tuple[int, ...]

_GAINS = {
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d", "sigmoid"), 1.0),
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def he_normal(shape: Shape, *, rng: Generator, gain: float = math.sqrt(2), dtype: str = "float32") -> Array:
    r""":math:`\mathcal N(0, g^2 / n_\text{in})`; the default gain is that of ReLU.  [He et al. 2015, eq. 10]"""
    return rng.normal(0.0, gain / math.sqrt(_fans(shape)[0]), shape, dtype=dtype)


def he_uniform(shape: Shape, *, rng: Generator, gain: float = math.sqrt(2), dtype: str = "float32") -> Array:
    r""":math:`\mathcal U(\pm g \sqrt{3 / n_\text{in}})`.  [He et al. 2015]"""
    return _uniform(shape, gain * math.sqrt(3 / _fans(shape)[0]), rng, dtype)


def xavier_normal(shape: Shape, *, rng: Generator, gain: float = 1.0, dtype: str = "float32") -> Array:
    r""":math:`\mathcal N(0, 2 g^2 / (n_\text{in} + n_\text{out}))`.  [Glorot & Bengio 2010]"""
    return rng.normal(0.0, gain * math.sqrt(2 / sum(_fans(shape))), shape, dtype=dtype)


def xavier_uniform(shape: Shape, *, rng: Generator, gain: float = 1.0, dtype: str = "float32") -> Array:
    r""":math:`\mathcal U(\pm g \sqrt{6 / (n_\text{in} + n_\text{out})})`.  [Glorot & Bengio 2010, eq. 16]"""
    return _uniform(shape, gain * math.sqrt(6 / sum(_fans(shape))), rng, dtype)


def lecun_normal(shape: Shape, *, rng: Generator, dtype: str = "float32") -> Array:
    r""":math:`\mathcal N(0, 1 / n_\text{in})`.  [LeCun et al. 1998, "Efficient BackProp", section 4.6]"""
    return he_normal(shape, rng=rng, gain=1.0, dtype=dtype)


def lecun_uniform(shape: Shape, *, rng: Generator, dtype: str = "float32") -> Array:
    r""":math:`\mathcal U(\pm \sqrt{3 / n_\text{in}})`.  [LeCun et al. 1998]"""
    return he_uniform(shape, rng=rng, gain=1.0, dtype=dtype)


def uniform_fan_in(shape: Shape, *, fan_in: int, rng: Generator, dtype: str = "float32") -> Array:
    r""":math:`\mathcal U(\pm 1 / \sqrt{n_\text{in}})`: what PyTorch's linear and convolution layers start from."""
    return _uniform(shape, 1 / math.sqrt(fan_in) if fan_in else 0.0, rng, dtype)


def truncated_normal(
    shape: Shape,
    *,
    rng: Generator,
    mean: float = 0.0,
    std: float = 1.0,
    low: float = -2.0,
    high: float = 2.0,
    dtype: str = "float32",
) -> Array:
    r""":math:`\mathcal N(\mu, \sigma^2)` cut to [low, high], as PyTorch's ``trunc_normal_``."""
    return rng.truncated_normal(mean, std, low, high, shape, dtype=dtype)


def orthogonal(shape: Shape, *, rng: Generator, gain: float = 1.0, dtype: str = "float32") -> Array:
    """A matrix with orthonormal rows or columns, uniformly distributed; further axes count as columns.

    The Q of a QR decomposition of a normal matrix, its signs fixed by R.  [Saxe, McClelland & Ganguli 2014; Mezzadri
    2007]
    """
    if len(shape) < 2:
        raise ShapeError(f"shape: an orthogonal weight needs two axes or more, got {shape}")
    rows, columns = shape[0], math.prod(shape[1:])
    normal = rng.normal(0.0, 1.0, (max(rows, columns), min(rows, columns)), dtype=dtype)
    xp = namespace(normal)
    q, r = xp.linalg.qr(normal)
    q = q * xp.sign(xp.linalg.diagonal(r)) * gain
    return xp.reshape(xp.matrix_transpose(q) if rows < columns else q, shape)


def sparse(shape: Shape, *, sparsity: float, rng: Generator, std: float = 0.01, dtype: str = "float32") -> Array:
    r""":math:`\mathcal N(0, \sigma^2)` with ⌈sparsity · rows⌉ zeros in each column, at random.  [Martens 2010]"""
    if len(shape) != 2:
        raise ShapeError(f"shape: sparse weights are a matrix, got {shape}")
    if not 0 <= sparsity <= 1:
        raise RangeError(f"sparsity: expected a share in [0, 1], got {sparsity}")
    rows, columns = shape
    values = rng.normal(0.0, std, shape, dtype=dtype)
    # The places of the smallest of random numbers are a random choice of places.
    order = namespace(values).argsort(rng.random((rows, columns), "float64"), axis=0)
    ranks = namespace(values).argsort(order, axis=0)
    return namespace(values).where(ranks < math.ceil(sparsity * rows), namespace(values).zeros_like(values), values)


def eye(shape: Shape, *, backend: str | Backend | None = None, dtype: str = "float32") -> Array:
    """The identity, cut or filled with zeros to a matrix of this shape: a linear layer that hands on its inputs."""
    if len(shape) != 2:
        raise ShapeError(f"shape: the identity is a matrix, got {shape}")
    opened = get_backend(backend)
    return opened.xp.eye(*shape, dtype=opened.dtype(dtype), device=opened.device)


def dirac(shape: Shape, *, groups: int = 1, backend: str | Backend | None = None, dtype: str = "float32") -> Array:
    """One in the middle of the window of channel i of output i, of each group: a convolution that hands on its inputs.

    Outputs beyond the number of input channels are zero.
    """
    if len(shape) < 3:
        raise ShapeError(f"shape: the weight of a convolution has three axes or more, got {shape}")
    if groups < 1 or shape[0] % groups:
        raise ArgumentError(f"groups: expected a divisor of the {shape[0]} outputs, got {groups}")
    opened = get_backend(backend)
    xp, dtype_, device = opened.xp, opened.dtype(dtype), opened.device
    one_group = xp.eye(shape[0] // groups, shape[1], dtype=dtype_, device=device)
    weight = xp.reshape(xp.concat([one_group] * groups, axis=0), (*shape[:2], *[1] * (len(shape) - 2)))
    for axis, length in enumerate(shape[2:]):
        middle = xp.astype(xp.arange(length, device=device) == length // 2, dtype_)
        weight = weight * xp.reshape(middle, tuple(length if other == axis + 2 else 1 for other in range(len(shape))))
    return weight


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which initial weights make up for what an activation does to the variance.

    Parameters
    ----------
    nonlinearity : {"linear", "conv1d", "conv2d", "conv3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"}
    param : float, optional
        The slope of "leaky_relu" below zero, 0.01 by default.

    Raises
    ------
    ArgumentError
        If the activation is none of these.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ArgumentError(f"nonlinearity: expected one of leaky_relu, {', '.join(_GAINS)}, got {nonlinearity!r}")
    return _GAINS[nonlinearity]


def generator_for(rng: Generator | int | None, backend: str | Backend | None) -> Generator:
    """The generator that a layer draws its weights from.

    Parameters
    ----------
    rng : Generator, int or None
        A generator, a seed, or None for one seeded by the operating system.
    backend : str, Backend or None
        None takes the generator's, or the default.

    Raises
    ------
    ArgumentError
        If `rng` is something else, or a generator of another backend than the one asked for.
    """
    if isinstance(rng, Generator):
        if backend is not None and get_backend(backend) is not rng.backend:
            raise ArgumentError(
                f"rng draws on {rng.backend.name}, but backend={get_backend(backend).name!r} was asked for; "
                "make the generator with that backend"
            )
        return rng
    if rng is not None and not isinstance(rng, Integral):
        raise ArgumentError(f"rng: expected a portml.random.Generator or a seed, got a {type(rng).__name__}")
    return Generator(secrets.randbits(64) if rng is None else int(rng), get_backend(backend))


def _uniform(shape: Shape, bound: float, rng: Generator, dtype: str) -> Array:
    return rng.uniform(-bound, bound, shape, dtype=dtype)


def _fans(shape: Shape) -> tuple[int, int]:
    if len(shape) < 2:
        raise ShapeError(f"shape: a weight needs two axes or more to count its fans, got {shape}")
    kernel = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * kernel, shape[0] * kernel
    if fan_in == 0 or fan_out == 0:
        raise ShapeError(f"shape: a weight of shape {shape} has no inputs or no outputs")
    return fan_in, fan_out
