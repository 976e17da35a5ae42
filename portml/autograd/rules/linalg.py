"""Gradients of determinants, inverses, solutions and powers.

[Giles 2008, "An extended collection of matrix derivative results for forward and reverse mode algorithmic
differentiation"], with conjugates for complex matrices.
"""

from __future__ import annotations

from typing import Any

from portml.autograd.modes import grad_enabled
from portml.autograd.rules.table import joint_rule, rule
from portml.autograd.rules.terms import adjoint, conj, is_complex
from portml.backends import Array, is_tensor, library_of
from portml.backends import operations as xp
from portml.backends.namespaces import NUMPY
from portml.errors import GradientError


def _det(g: Array, y: Array, a: Array) -> Array:
    """g det(A)* A^-H, or, as a matrix may be singular, g times its cofactors.  [Giles 2008, 2.2.4]"""
    if _may_be_singular(y):
        return _times_cofactors(g, a)
    return xp.multiply(_over_matrix(xp.multiply(g, conj(y))), adjoint(xp.linalg_inv(a)))


def _may_be_singular(y: Array) -> bool:
    """Whether to do without the inverse: for a determinant of 0, and on a device, where looking would mean to wait."""
    raw = y.value if is_tensor(y) else y
    on_host = library_of(raw) is NUMPY
    singular = on_host and not bool((raw != 0).all())
    if grad_enabled() and singular:
        raise GradientError(
            "linalg.det: its second derivative at a singular matrix is not implemented; shift the matrix a little"
        )
    return not grad_enabled() and (singular or not on_host)


def _times_cofactors(g: Array, a: Array) -> Array:
    """Cofactors by singular values, det(U V^H) U diag(product of all other s) V^H, which need no inverse."""
    u, s, vh = xp.linalg_svd(a, full_matrices=False)
    before = xp.cumulative_prod(s, axis=-1, include_initial=True)[..., :-1]
    after = xp.flip(xp.cumulative_prod(xp.flip(s, axis=-1), axis=-1, include_initial=True)[..., :-1], axis=-1)
    others = xp.expand_dims(xp.multiply(before, after), axis=-2)
    phase = xp.multiply(xp.linalg_det(u), xp.linalg_det(vh))
    return xp.multiply(_over_matrix(xp.multiply(g, conj(phase))), xp.matmul(xp.multiply(u, others), vh))


@joint_rule("linalg_slogdet")
def _slogdet(g: tuple[Array, Array], y: tuple[Array, Array], a: Array, **_: Any) -> tuple[Array]:
    """(g_log + i Im(g_sign sign*)) A^-H, where a real sign is constant."""
    of_sign, slope = g
    if is_complex(a):
        turn = xp.multiply(of_sign, conj(y[0]))
        slope = xp.add(slope, xp.subtract(turn, xp.real(turn)))
    return (xp.multiply(_over_matrix(slope), adjoint(xp.linalg_inv(a))),)


rule("linalg_det", _det)
rule(  # -A^-H G A^-H  [Giles 2008, 2.2.3]
    "linalg_inv",
    lambda g, y, a: xp.negative(xp.matmul(adjoint(y), xp.matmul(g, adjoint(y)))),
)


@joint_rule("linalg_solve")
def _solve(g: Array, y: Array, a: Array, b: Array, *, needs: tuple[bool, ...]) -> tuple[Array | None, Array]:
    """B = A^-H G for the right side, and -B X^H for the matrix.  [Giles 2008, 2.3.1]"""
    vector = b.ndim == 1
    if vector:
        g, y = xp.expand_dims(g, axis=-1), xp.expand_dims(y, axis=-1)
    right = xp.linalg_solve(adjoint(a), g)
    left = xp.negative(xp.matmul(right, adjoint(y))) if needs[0] else None
    return left, xp.squeeze(right, axis=-1) if vector else right


@joint_rule("linalg_pinv")
def _pinv(g: Array, y: Array, a: Array, rtol: Any, **_: Any) -> tuple[Array, None]:
    """Where the rank stays, Y = A^+: -Y^H G Y^H + (I - A Y) G^H Y Y^H + Y^H Y G^H (I - Y A).

    [Golub & Pereyra 1973, "The differentiation of pseudo-inverses ...", eq. 4.12, transposed]
    """
    y_h, g_h = adjoint(y), adjoint(g)
    inverse = xp.negative(xp.matmul(y_h, xp.matmul(g, y_h)))
    right = xp.matmul(xp.matmul(g_h, y), y_h)
    left = xp.matmul(y_h, xp.matmul(y, g_h))
    outside = xp.subtract(right, xp.matmul(a, xp.matmul(y, right)))
    inside = xp.subtract(left, xp.matmul(xp.matmul(left, y), a))
    return xp.add(inverse, xp.add(outside, inside)), None


@joint_rule("linalg_matrix_power")
def _matrix_power(g: Array, y: Array, a: Array, *, n: int, **_: Any) -> tuple[Array]:
    """The sum of X^k G X^(n-1-k) for X = A^H; a negative power is one of the inverse.  [Giles 2008, 2.2.1]"""
    if n == 0:
        return (xp.zeros_like(g),)
    if n > 0:
        return (_sum_of_products(g, adjoint(a), n),)
    inverse = adjoint(xp.linalg_inv(a))
    of_inverse = _sum_of_products(g, inverse, -n)
    return (xp.negative(xp.matmul(inverse, xp.matmul(of_inverse, inverse))),)


def _sum_of_products(g: Array, x: Array, n: int) -> Array:
    """S_n = sum over k < n of X^k G X^(n-1-k), by halves: S_2m = S_m X^m + X^m S_m."""
    if n == 1:
        return g
    half = _sum_of_products(g, x, n // 2)
    power = xp.linalg_matrix_power(x, n // 2)
    whole = xp.add(xp.matmul(half, power), xp.matmul(power, half))
    if n % 2 == 0:
        return whole
    return xp.add(xp.matmul(whole, x), xp.matmul(xp.linalg_matrix_power(x, n - 1), g))


def _over_matrix(x: Array) -> Array:
    """A number for each matrix, with two axes to multiply it by."""
    return xp.reshape(x, (*x.shape, 1, 1))
