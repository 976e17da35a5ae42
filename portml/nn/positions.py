"""Positions in a sequence: added to the vectors, fixed or learnt, or turned into queries and keys."""

from __future__ import annotations

import math
from typing import Any

from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend, backend_of, operations
from portml.backends.kernels.positions import rotary_embedding
from portml.errors import ArgumentError, RangeError, ShapeError
from portml.nn.initialisation import generator_for
from portml.nn.module import Module
from portml.random import Generator
from portml.random.arguments import checked_count, checked_finite, checked_integer

__all__ = ["LearnedPositions", "RotaryPositions", "SinusoidalPositions"]


class SinusoidalPositions(Module):
    r"""Add waves of geometrically growing length.

    .. math:: p_{t, 2i} = \sin(t / 10000^{2i/d}), \quad p_{t, 2i+1} = \cos(t / 10000^{2i/d})

    Input and output: (..., length, dim); an odd dim ends with a sine.  [Vaswani et al. 2017, section 3.5]

    Parameters
    ----------
    max_len, dim : int
    base : float
    """

    def __init__(self, max_len: int, dim: int, base: float = 10000.0) -> None:
        self.max_len, self.dim, self.base = (
            checked_count("max_len", max_len),
            checked_count("dim", dim),
            _checked_base(base),
        )
        self._tables: dict[Any, Array] = {}

    def forward(self, x: Array, offset: int = 0) -> Array:
        """Add the positions from `offset` on."""
        refuse_beyond(self, x, offset, self.max_len, self.dim)
        return operations.add(x, self.table(x)[offset : offset + x.shape[-2], :])

    def table(self, like: Array) -> Array:
        """The waves, (max_len, dim), of the data type and on the device of an array; worked out once for each."""
        backend = backend_of(like)
        place = backend.name, str(backend.device), str(like.dtype)
        if place not in self._tables:
            xp = backend.xp
            angles = angles_of(backend, self.max_len, (self.dim + 1) // 2, 2 / max(self.dim, 1), self.base)
            waves = xp.reshape(xp.stack([xp.sin(angles), xp.cos(angles)], axis=-1), (self.max_len, -1))
            self._tables[place] = xp.astype(waves[:, : self.dim], like.dtype)
        return self._tables[place]

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.max_len}, {self.dim}"


class LearnedPositions(Module):
    r"""Add a learnt vector for each position.

    Input and output: (..., length, dim).  Parameter: ``weight`` (max_len, dim), :math:`\mathcal N(0, 0.02^2)`.
    [Gehring et al. 2017; Radford et al. 2018]

    Parameters
    ----------
    max_len, dim : int
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        max_len: int,
        dim: int,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        self.max_len, self.dim = checked_count("max_len", max_len), checked_count("dim", dim)
        self.weight = Parameter(generator_for(rng, backend).normal(0.0, 0.02, (max_len, dim), dtype=dtype))

    def forward(self, x: Array, offset: int = 0) -> Array:
        """Add the positions from `offset` on."""
        refuse_beyond(self, x, offset, self.max_len, self.dim)
        return operations.add(x, self.weight[offset : offset + x.shape[-2], :])

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.max_len}, {self.dim}"


class RotaryPositions(Module):
    r"""Turn pairs of features of queries and keys by :math:`t \cdot 10000^{-2i/d}`, so that their product depends on
    how far they are apart.

    Input and output: (..., length, n_features) with n_features ≥ dim.  [Su et al. 2021, "RoFormer"]

    Parameters
    ----------
    max_len : int
    dim : int
        How many features are turned; even.
    base : float
    interleaved : bool
        Whether the two of a pair are neighbours; else the first half of the features belongs to the second.
    """

    def __init__(self, max_len: int, dim: int, base: float = 10000.0, interleaved: bool = False) -> None:
        if checked_count("dim", dim) % 2:
            raise ArgumentError(f"dim: expected an even number of features to turn in pairs, got {dim}")
        self.max_len, self.dim, self.base = checked_count("max_len", max_len), dim, _checked_base(base)
        self.interleaved = interleaved
        self._tables: dict[Any, tuple[Array, Array]] = {}

    def forward(self, x: Array, offset: int = 0) -> Array:
        """Turn by the positions from `offset` on."""
        refuse_beyond(self, x, offset, self.max_len, None)
        rows = slice(offset, offset + x.shape[-2])
        cosine, sine = self._table(x)
        return rotary_embedding(x, cosine[rows, :], sine[rows, :], interleaved=self.interleaved)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.max_len}, {self.dim}, interleaved={self.interleaved}"

    def _table(self, like: Array) -> tuple[Array, Array]:
        backend = backend_of(like)
        place = backend.name, str(backend.device), str(like.dtype)
        if place not in self._tables:
            xp = backend.xp
            angles = angles_of(backend, self.max_len, self.dim // 2, 2 / max(self.dim, 1), self.base)
            self._tables[place] = xp.astype(xp.cos(angles), like.dtype), xp.astype(xp.sin(angles), like.dtype)
        return self._tables[place]


def angles_of(backend: Backend, length: int, n: int, step: float, base: float) -> Array:
    """t · base^(-i step) for positions t and waves i, (length, n), in float64."""
    xp, options = backend.xp, {"dtype": backend.dtype("float64"), "device": backend.device}
    frequencies = xp.exp(xp.arange(n, **options) * (-step * math.log(base)))
    return xp.expand_dims(xp.arange(length, **options), axis=-1) * frequencies


def refuse_beyond(module: Module, x: Array, offset: int, max_len: int, dim: int | None) -> None:
    """Raise unless x, (..., length, dim), has positions for all of its vectors."""
    name = type(module).__name__
    if len(x.shape) < 2 or (dim is not None and x.shape[-1] != dim):
        raise ShapeError(f"{name}: expected (..., length, {dim or 'n_features'}), got {tuple(x.shape)}")
    if checked_integer("offset", offset) < 0 or offset + x.shape[-2] > max_len:
        raise RangeError(
            f"{name}: positions {offset} to {offset + x.shape[-2] - 1} were asked for, there are {max_len}; "
            "shorten the sequence or build it with a larger max_len"
        )


def _checked_base(base: float) -> float:
    if checked_finite("base", base) <= 0:
        raise RangeError(f"base: expected a number above 0, got {base}")
    return base
