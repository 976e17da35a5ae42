"""Gradients of the Fourier transforms, which are linear: each goes back by its adjoint.

The adjoint of a transform is the opposite one with the normalisation of the other direction, after which what was
padded is cut off and what was cut off is zero.  A real transform stores half of a Hermitian spectrum: the bins that
stand for two count twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portml.autograd.rules.table import rule
from portml.autograd.rules.terms import conj, every_axis, part_along
from portml.backends import Array
from portml.backends import operations as xp
from portml.backends.kernels.indexing import pad

_OTHER = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


# Transforms along one axis
def _fft(g: Array, y: Array, a: Array, n: Any, axis: int, norm: str) -> Array:
    return _resized(xp.fft_ifft(_complex(g, y), axis=axis, norm=_OTHER[norm]), a.shape)


def _ifft(g: Array, y: Array, a: Array, n: Any, axis: int, norm: str) -> Array:
    return _resized(xp.fft_fft(_complex(g, y), axis=axis, norm=_OTHER[norm]), a.shape)


def _rfft(g: Array, y: Array, a: Array, n: int | None, axis: int, norm: str) -> Array:
    return _resized(_rfft_adjoint(_complex(g, y), a.shape[axis] if n is None else n, axis, norm), a.shape)


def _irfft(g: Array, y: Array, a: Array, n: Any, axis: int, norm: str) -> Array:
    return _resized(_irfft_adjoint(g, axis, norm), a.shape)


rule("fft_fft", _fft)
rule("fft_ifft", _ifft)
rule("fft_rfft", _rfft)
rule("fft_irfft", _irfft)
rule("fft_hfft", lambda g, y, a, n, axis, norm: conj(_irfft(g, y, a, n, axis, _OTHER[norm])))
rule("fft_ihfft", lambda g, y, a, n, axis, norm: _rfft(conj(g), y, a, n, axis, _OTHER[norm]))


# Transforms along several axes
def _fftn(g: Array, y: Array, a: Array, s: Any, axes: Any, norm: str) -> Array:
    return _resized(xp.fft_ifftn(_complex(g, y), axes=_axes(a, s, axes), norm=_OTHER[norm]), a.shape)


def _ifftn(g: Array, y: Array, a: Array, s: Any, axes: Any, norm: str) -> Array:
    return _resized(xp.fft_fftn(_complex(g, y), axes=_axes(a, s, axes), norm=_OTHER[norm]), a.shape)


def _rfftn(g: Array, y: Array, a: Array, s: Sequence[int] | None, axes: Any, norm: str) -> Array:
    """The last axis was transformed first, so it comes back last."""
    *others, last = _axes(a, s, axes)
    if others:
        g = xp.fft_ifftn(_complex(g, y), axes=tuple(others), norm=_OTHER[norm])
    return _resized(_rfft_adjoint(g, a.shape[last] if s is None else s[-1], last, norm), a.shape)


def _irfftn(g: Array, y: Array, a: Array, s: Any, axes: Any, norm: str) -> Array:
    *others, last = _axes(a, s, axes)
    g = _irfft_adjoint(g, last, norm)
    if others:
        g = xp.fft_fftn(g, axes=tuple(others), norm=_OTHER[norm])
    return _resized(g, a.shape)


rule("fft_fftn", _fftn)
rule("fft_ifftn", _ifftn)
rule("fft_rfftn", _rfftn)
rule("fft_irfftn", _irfftn)
rule("fft_fftshift", lambda g, y, a, axes: xp.fft_ifftshift(g, axes=axes))
rule("fft_ifftshift", lambda g, y, a, axes: xp.fft_fftshift(g, axes=axes))


# Terms
def _rfft_adjoint(g: Array, n: int, axis: int, norm: str) -> Array:
    return xp.fft_irfft(_doubles(g, n, axis, 0.5), n=n, axis=axis, norm=_OTHER[norm])


def _irfft_adjoint(g: Array, axis: int, norm: str) -> Array:
    return _doubles(xp.fft_rfft(g, axis=axis, norm=_OTHER[norm]), g.shape[axis], axis, 2.0)


def _doubles(x: Array, n: int, axis: int, factor: float) -> Array:
    """Half a spectrum of n bins, a factor on those that stand for two: all but the mean and, for even n, the last."""
    stop = (n + 1) // 2
    inside = xp.multiply(part_along(x, axis, 1, stop), factor)
    return xp.concat([part_along(x, axis, 0, 1), inside, part_along(x, axis, stop, None)], axis=axis)


def _axes(a: Array, s: Sequence[int] | None, axes: Sequence[int] | None) -> tuple[int, ...]:
    if axes is None and s is not None:
        return tuple(range(a.ndim - len(s), a.ndim))
    return every_axis(axes, a.ndim)


def _resized(x: Array, shape: Sequence[int]) -> Array:
    """Cut or pad with zeros to that shape."""
    for axis, length in enumerate(shape):
        if x.shape[axis] > length:
            x = part_along(x, axis, 0, length)
    if tuple(x.shape) == tuple(shape):
        return x
    widths = tuple((0, length - x.shape[axis]) for axis, length in enumerate(shape))
    return pad(x, widths=widths, value=0.0)


def _complex(g: Array, y: Array) -> Array:
    """A cotangent of the data type of its result, as transforms want it."""
    return g if g.dtype == y.dtype else xp.astype(g, y.dtype)
