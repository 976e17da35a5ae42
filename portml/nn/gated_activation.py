"""Activations that choose, as modules: gated linear units, the parametric rectifier, maxout.

The gated units halve the axis `dim`: a is its first half, b its second.  They stand between a linear layer of twice the
width and the next: ``Sequential(Linear(n, 2 * m), SwiGLU(), Linear(m, n))``.
"""

from __future__ import annotations

from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend, get_backend
from portml.backends.kernels import gated_activation as kernels
from portml.backends.kernels.smooth_activation import refuse_unknown_approximation
from portml.errors import ArgumentError
from portml.nn.module import Module

__all__ = ["GEGLU", "GLU", "Maxout", "PReLU", "ReGLU", "SwiGLU"]


class _Gated(Module):
    """What halves an axis."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class GLU(_Gated):
    r""":math:`y = a \, \sigma(b)`.  [Dauphin et al. 2017]"""

    def forward(self, x: Array) -> Array:
        """From (..., 2 n, ...) to (..., n, ...)."""
        return kernels.glu(x, axis=self.dim)


class SwiGLU(_Gated):
    r""":math:`y = a \, \sigma(a) \, b`.  [Shazeer 2020]"""

    def forward(self, x: Array) -> Array:
        """From (..., 2 n, ...) to (..., n, ...)."""
        return kernels.swiglu(x, axis=self.dim)


class ReGLU(_Gated):
    r""":math:`y = \max(a, 0) \, b`.  [Shazeer 2020]"""

    def forward(self, x: Array) -> Array:
        """From (..., 2 n, ...) to (..., n, ...)."""
        return kernels.reglu(x, axis=self.dim)


class GEGLU(_Gated):
    r""":math:`y = a \, \Phi(a) \, b`, Φ as in `GELU`.  [Shazeer 2020]"""

    def __init__(self, dim: int = -1, approximate: str = "none") -> None:
        super().__init__(dim)
        refuse_unknown_approximation(approximate)
        self.approximate = approximate

    def forward(self, x: Array) -> Array:
        """From (..., 2 n, ...) to (..., n, ...)."""
        return kernels.geglu(x, axis=self.dim, approximate=self.approximate)

    def extra_repr(self) -> str:
        """The axis, and whether Φ is approximated."""
        return f"dim={self.dim}, approximate={self.approximate!r}"


class PReLU(Module):
    r""":math:`y = x` where x > 0, else :math:`w x` with a learnt w.  [He et al. 2015]

    Input: (N, C, ...) or (...).  Parameter: ``weight`` (num_parameters,).

    Parameters
    ----------
    num_parameters : int
        1, or the number of channels, axis 1, for a slope of their own each.
    init : float
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        *,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if num_parameters < 1:
            raise ArgumentError(f"num_parameters: expected at least 1, got {num_parameters!r}")
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(get_backend(backend).full((num_parameters,), init, dtype))

    def forward(self, x: Array) -> Array:
        """Elementwise on (N, C, ...) or (...)."""
        return kernels.prelu(x, self.weight)

    def extra_repr(self) -> str:
        """How many slopes there are."""
        return f"num_parameters={self.num_parameters}"


class Maxout(Module):
    r"""The largest of each `pieces` neighbours along `dim`: a convex function that is learnt.  [Goodfellow et al. 2013]

    Input: (..., pieces · n, ...).  Output: (..., n, ...).
    """

    def __init__(self, pieces: int, dim: int = -1) -> None:
        if pieces < 1:
            raise ArgumentError(f"pieces: expected at least 1, got {pieces!r}")
        self.pieces, self.dim = pieces, dim

    def forward(self, x: Array) -> Array:
        """From (..., pieces n, ...) to (..., n, ...)."""
        return kernels.maxout(x, pieces=self.pieces, axis=self.dim)

    def extra_repr(self) -> str:
        """How many make one, and the axis."""
        return f"pieces={self.pieces}, dim={self.dim}"
