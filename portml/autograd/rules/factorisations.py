"""Gradients of matrix factorisations: Cholesky, QR, eigenvalues and singular values.

Vectors of equal eigenvalues or singular values have no derivative: what asks for it gets an infinite one, what depends
on the values alone is right.  Complex vectors are determined up to a phase: a function that depends on it is refused on
the host, and gets NaN on a device.  Hermitian matrices get Hermitian gradients, as if both their triangles were read.
"""

from __future__ import annotations

from typing import Any

from portml.autograd.rules.table import joint_rule
from portml.autograd.rules.terms import adjoint, conj, is_complex, on_diagonal, quotient
from portml.backends import Array, is_tensor, library_of
from portml.backends import operations as xp
from portml.backends.namespaces import NUMPY
from portml.errors import GradientError


@joint_rule("linalg_cholesky")
def _cholesky(g: Array, y: Array, a: Array, *, upper: bool, **_: Any) -> tuple[Array]:
    """L^-H P L^-1 with P the Hermitian part of the lower half of L^H G.  [Murray 2016, arXiv:1602.07527, eq. 10]"""
    factor, g = (adjoint(y), adjoint(g)) if upper else (y, g)
    lower = xp.tril(xp.matmul(adjoint(factor), g))
    lower = xp.subtract(lower, xp.multiply(on_diagonal(lower), 0.5))
    return (_divided(_hermitian_part(lower), factor),)


def _divided(middle: Array, factor: Array) -> Array:
    """L^-H M L^-1 for a Hermitian M."""
    half = xp.linalg_solve(adjoint(factor), middle)
    return xp.linalg_solve(adjoint(factor), adjoint(half))


@joint_rule("linalg_qr")
def _qr(g: tuple[Array, Array], y: tuple[Array, Array], a: Array, *, mode: str, **_: Any) -> tuple[Array]:
    """[G_Q + Q H] R^-H, where the Hermitian H has the upper half of G_R R^H - Q^H G_Q; a wide matrix by its columns.

    [Walter & Lehmann 2010, "Algorithmic differentiation of linear algebra functions", arXiv:1001.1654; Roberts &
    Roberts 2020, "QR and LQ decomposition matrix backpropagation algorithms", arXiv:2009.10071]
    """
    (g_q, g_r), (q, r) = g, y
    rows, columns = a.shape[-2:]
    if mode == "complete" and rows > columns:
        raise GradientError(
            'linalg.qr: with mode="complete" and more rows than columns, Q is not determined and has no derivative; '
            'use mode="reduced"'
        )
    if rows >= columns:
        return (_qr_of_tall(g_q, g_r, q, r),)
    # A = [X Z] with X square: Q and U come from X, and the rest of R is Q^H Z.
    u, rest = r[..., :rows], a[..., rows:]
    g_u, g_rest = g_r[..., :rows], g_r[..., rows:]
    g_q = xp.add(g_q, xp.matmul(rest, adjoint(g_rest)))
    return (xp.concat([_qr_of_tall(g_q, g_u, q, u), xp.matmul(q, g_rest)], axis=-1),)


def _qr_of_tall(g_q: Array, g_r: Array, q: Array, r: Array) -> Array:
    upper = xp.triu(xp.subtract(xp.matmul(g_r, adjoint(r)), xp.matmul(adjoint(q), g_q)))
    # The diagonal counts once: what adding the adjoint doubled is taken back.
    hermitian = xp.subtract(xp.add(upper, adjoint(upper)), on_diagonal(_hermitian_part(upper)))
    return adjoint(xp.linalg_solve(r, adjoint(xp.add(g_q, xp.matmul(q, hermitian)))))


@joint_rule("linalg_eigh")
def _eigh(g: tuple[Array, Array], y: tuple[Array, Array], a: Array, **_: Any) -> tuple[Array]:
    """V [diag(G_w) + F o V^H G_V] V^H with F_ij = 1 / (w_j - w_i).  [Giles 2008, 3.1]"""
    (g_w, g_v), (w, v) = g, y
    projected = xp.matmul(adjoint(v), g_v)
    g_w = xp.add(g_w, _no_phase("linalg.eigh", _diagonal(projected), projected))
    middle = xp.add(quotient(_off_diagonal(projected), _differences(w)), _as_diagonal(g_w))
    return (_hermitian_part(xp.matmul(v, xp.matmul(middle, adjoint(v)))),)


@joint_rule("linalg_eigvalsh")
def _eigvalsh(g: Array, y: Array, a: Array, **_: Any) -> tuple[Array]:
    """V diag(G_w) V^H."""
    v = xp.linalg_eigh(a)[1]
    return (xp.matmul(xp.multiply(v, xp.expand_dims(g, axis=-2)), adjoint(v)),)


@joint_rule("linalg_eig")
def _eig(g: tuple[Array, Array], y: tuple[Array, Array], a: Array, **_: Any) -> tuple[Array]:
    """V^-H [diag(G_w) + (M - V^H V Re diag(M)) / (w_j - w_i)*] V^H with M = V^H G_V, as the vectors have length 1.

    [Boeddeker et al. 2019, "On the computation of complex-valued gradients ...", arXiv:1701.00392, eq. 4.77]
    """
    (g_w, g_v), (w, v) = g, y
    projected = xp.matmul(adjoint(v), g_v)
    diagonal = _diagonal(projected)
    g_w = xp.add(g_w, _no_phase("linalg.eig", diagonal, projected))
    lengths = xp.expand_dims(xp.real(diagonal) if is_complex(diagonal) else diagonal, axis=-2)
    tangent = xp.subtract(projected, xp.matmul(adjoint(v), xp.multiply(v, lengths)))
    middle = xp.add(quotient(_off_diagonal(tangent), conj(_differences(w))), _as_diagonal(g_w))
    return (xp.linalg_solve(adjoint(v), xp.matmul(middle, adjoint(v))),)


@joint_rule("linalg_eigvals")
def _eigvals(g: Array, y: Array, a: Array, **_: Any) -> tuple[Array]:
    """V^-H diag(G_w) V^H."""
    v = xp.linalg_eig(a)[1]
    return (xp.linalg_solve(adjoint(v), xp.multiply(xp.expand_dims(g, axis=-1), adjoint(v))),)


@joint_rule("linalg_svd")
def _svd(g: tuple[Array, ...], y: tuple[Array, ...], a: Array, *, full_matrices: bool, **_: Any) -> tuple[Array]:
    """U [(S_U o F) S + S (S_V o F) + diag(G_s)] V^H and what lies outside U and V.

    S_X = X^H G_X - G_X^H X, F_ij = 1 / (s_j^2 - s_i^2).  [Townsend 2016, "Differentiating the singular value
    decomposition"; complex: Wan & Zhang 2019, "Automatic differentiation for complex valued SVD", arXiv:1909.02659]
    """
    (g_u, g_s, g_vh), (u, s, vh) = g, y
    rows, columns = a.shape[-2:]
    if full_matrices and rows != columns:
        raise GradientError(
            "linalg.svd: with full_matrices=True and a matrix that is not square, the vectors beyond the singular "
            "values are not determined and have no derivative; use full_matrices=False, or svdvals"
        )
    g_v, v = adjoint(g_vh), adjoint(vh)
    along_u, along_v = xp.matmul(adjoint(u), g_u), xp.matmul(adjoint(v), g_v)
    row, column = xp.expand_dims(s, axis=-2), xp.expand_dims(s, axis=-1)
    turned = xp.add(xp.multiply(_skew(along_u), row), xp.multiply(column, _skew(along_v)))
    middle = quotient(_off_diagonal(turned), _differences(xp.square(s)))
    middle = xp.add(middle, _as_diagonal(_svd_diagonal(g_s, s, along_u, along_v)))
    result = xp.matmul(u, xp.matmul(middle, vh))
    if rows > columns:
        outside = xp.subtract(g_u, xp.matmul(u, along_u))
        result = xp.add(result, xp.matmul(quotient(outside, row), vh))
    if rows < columns:
        outside = xp.subtract(g_vh, xp.matmul(adjoint(along_v), vh))
        result = xp.add(result, xp.matmul(u, quotient(outside, column)))
    return (result,)


def _svd_diagonal(g_s: Array, s: Array, along_u: Array, along_v: Array) -> Array:
    """G_s, and for complex matrices the phase that U and V share: i Im diag(U^H G_U) / s."""
    if not is_complex(along_u):
        return g_s
    both = xp.add(along_u, along_v)
    g_s = xp.add(g_s, _no_phase("linalg.svd", _diagonal(both), xp.add(xp.abs(along_u), xp.abs(along_v))))
    diagonal = _diagonal(along_u)
    return xp.add(g_s, quotient(xp.subtract(diagonal, xp.real(diagonal)), s))


@joint_rule("linalg_svdvals")
def _svdvals(g: Array, y: Array, a: Array, **_: Any) -> tuple[Array]:
    """U diag(G_s) V^H."""
    u, _s, vh = xp.linalg_svd(a, full_matrices=False)
    return (xp.matmul(xp.multiply(u, xp.expand_dims(g, axis=-2)), vh),)


# Terms


def _differences(w: Array) -> Array:
    """w_j - w_i, with 1 on the diagonal."""
    found = xp.subtract(xp.expand_dims(w, axis=-2), xp.expand_dims(w, axis=-1))
    return xp.add(found, on_diagonal(xp.ones_like(found)))


def _diagonal(x: Array) -> Array:
    return xp.linalg_diagonal(x)


def _as_diagonal(x: Array) -> Array:
    """The matrix with that diagonal."""
    return on_diagonal(xp.broadcast_to(xp.expand_dims(x, axis=-1), (*x.shape, x.shape[-1])))


def _off_diagonal(x: Array) -> Array:
    return xp.subtract(x, on_diagonal(x))


def _hermitian_part(x: Array) -> Array:
    return xp.multiply(xp.add(x, adjoint(x)), 0.5)


def _skew(x: Array) -> Array:
    return xp.subtract(x, adjoint(x))


def _no_phase(name: str, diagonal: Array, scale: Array) -> Array:
    """Zeros, if the function does not depend on the phases of complex vectors, which no library promises."""
    if not is_complex(diagonal) or diagonal.shape[-1] == 0:
        return xp.zeros_like(diagonal)
    phase = xp.abs(xp.imag(diagonal))
    allowed = xp.multiply(xp.max(xp.abs(scale), axis=-2), 1e-6 if "128" in str(diagonal.dtype) else 3e-3)
    wrong = xp.greater(phase, allowed)
    raw = wrong.value if is_tensor(wrong) else wrong
    if library_of(raw) is NUMPY and bool(raw.any()):
        raise GradientError(
            f"{name}: the function depends on the phase of complex vectors, which is not determined; let it depend on "
            "what no phase changes, such as abs(v) or projections v v^H"
        )
    return xp.where(wrong, float("nan"), xp.zeros_like(phase))
