"""One table of cases for the rules of differentiation: operation, arguments away from kinks, statics.

Every differentiable operation has at least one; the tests check each by central differences, in float32, and on a
device.  A case's `wrapped` goes around the operation where its arguments must keep a property (Hermitian matrices) or
its results are determined only up to a sign or phase.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from portml.autograd.rules.terms import adjoint, conj
from portml.backends import namespace
from portml.backends import operations as xp
from portml.backends.operations import operation

Draw = Callable[[np.random.Generator], Any]


@dataclass(frozen=True)
class Case:
    """One call of an operation.

    Attributes
    ----------
    name : str
        The operation.
    arguments : tuple
        For each argument a function that draws an array, or a Python scalar or None.
    statics : dict
    wrapped : callable or None
        Takes the operation's function and the arguments; calls it.
    waits : bool
        Whether the operation itself waits for a device, as its result's shape depends on values.
    """

    name: str
    arguments: tuple[Any, ...]
    statics: dict[str, Any] = field(default_factory=dict)
    wrapped: Callable[..., Any] | None = None
    waits: bool = False

    def __str__(self) -> str:
        arguments = ", ".join(getattr(argument, "__name__", repr(argument)) for argument in self.arguments)
        statics = "".join(f", {name}={value}" for name, value in self.statics.items())
        return f"{self.name}({arguments}{statics})"

    def inputs(self) -> list[Any]:
        """The arguments, the same at every call."""
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        return [argument(rng) if callable(argument) else argument for argument in self.arguments]

    def __call__(self, *arguments: Any) -> Any:
        function = operation(self.name).function
        called = lambda *given: function(*given, **self.statics)  # noqa: E731, it closes over the statics
        return called(*arguments) if self.wrapped is None else self.wrapped(called, *arguments)


# Arguments


def _draw(name: str, make: Callable[..., Any]) -> Callable[..., Draw]:
    def of_shape(*shape: int) -> Draw:
        def draw(rng: np.random.Generator) -> Any:
            return np.asarray(make(rng, shape))

        draw.__name__ = f"{name}{shape}".replace(" ", "")
        return draw

    return of_shape


def _around(low: float, high: float) -> Callable[..., Any]:
    """Of either sign, at some distance from 0."""
    return lambda rng, shape: rng.uniform(low, high, shape) * rng.choice([-1.0, 1.0], shape)


def _apart(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """No two alike, none near 0."""
    size = int(np.prod(shape))
    return (rng.permutation(size).reshape(shape) - size / 2 + 0.25 + rng.uniform(0, 0.3, shape)) * 0.7


def _matrix(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Square, well conditioned, with eigenvalues and singular values apart."""
    n = shape[-1]
    return rng.normal(size=shape) * 0.3 + np.diag(np.arange(1.0, n + 1) * 1.2)


def _complex(part: Callable[..., Any]) -> Callable[..., Any]:
    return lambda rng, shape: part(rng, shape) + 1j * part(rng, shape)


def _complex_matrix(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return _matrix(rng, shape) + 0.3j * rng.normal(size=shape)


normal = _draw("normal", lambda rng, shape: rng.normal(size=shape))
nonzero = _draw("nonzero", _around(0.4, 1.6))
positive = _draw("positive", lambda rng, shape: rng.uniform(0.4, 2.0, shape))
inside = _draw("inside", _around(0.1, 0.8))
above = _draw("above", lambda rng, shape: rng.uniform(1.3, 3.0, shape))
between = _draw("between", lambda rng, shape: rng.integers(-3, 3, shape) + rng.uniform(0.6, 0.9, shape))
apart = _draw("apart", _apart)
matrix = _draw("matrix", _matrix)
z = _draw("z", _complex(_around(0.4, 1.2)))
z_matrix = _draw("z_matrix", _complex_matrix)


def given(value: Any) -> Draw:
    """An argument that is written out."""

    def draw(rng: np.random.Generator) -> Any:
        return np.asarray(value)

    draw.__name__ = str(value).replace(" ", "")
    return draw


# What goes around an operation


def hermitian(function: Any, a: Any) -> Any:
    """Of the Hermitian part: a change of one element keeps the matrix Hermitian."""
    return function(xp.multiply(xp.add(a, adjoint(a)), 0.5))


def hermitian_projections(function: Any, a: Any) -> Any:
    """Eigenvalues, and projections on eigenvectors, which no phase changes."""
    w, v = hermitian(function, a)
    return w, projections(v)


def projections(v: Any) -> Any:
    """v_k v_k^H for every column, weighted, and absolute values."""
    weights = xp.cumulative_sum(xp.ones_like(v), axis=-1)
    return xp.matmul(xp.multiply(v, weights), adjoint(v)), xp.abs(v)


def eig_invariants(function: Any, a: Any) -> Any:
    w, v = function(a)
    return w, *projections(v)


def flat_hermitian_projections(function: Any, a: Any) -> Any:
    w, parts = hermitian_projections(function, a)
    return w, *parts


def svd_invariants(function: Any, a: Any) -> Any:
    """What no common phase of u_k and v_k changes."""
    u, s, vh = function(a)
    weights = xp.cumulative_sum(xp.ones_like(s), axis=-1)
    together = xp.matmul(xp.multiply(u, xp.expand_dims(weights, axis=-2)), vh)
    return together, s, *projections(u), *projections(adjoint(vh))


def twice_conjugated(function: Any, a: Any) -> Any:
    return conj(function(conj(a)))


# The table


def _cases() -> list[Case]:
    return [*_elementwise(), *_reductions(), *_manipulation(), *_indexing(), *_products(), *_linalg(), *_fourier()]


def _elementwise() -> list[Case]:
    real = {
        normal: "asinh atan conj cos cosh exp expm1 negative positive real sin sinh square tanh alias",
        inside: "acos asin atanh log1p tan",
        above: "acosh",
        positive: "log log2 log10 sqrt",
        nonzero: "abs reciprocal sign",
        between: "ceil floor round trunc",
    }
    also_complex = """abs acos acosh asin asinh atan atanh conj cos cosh exp expm1 imag log log1p log2 log10 negative
        positive real reciprocal sign sin sinh square sqrt tan tanh"""
    cases = [Case(name, (draw(2, 3),)) for draw, names in real.items() for name in names.split()]
    cases += [Case(name, (z(5),)) for name in also_complex.split()]
    for name in ["add", "subtract", "multiply", "divide"]:
        second = nonzero if name == "divide" else normal
        cases += [
            Case(name, (normal(2, 3), second(3))),
            Case(name, (normal(2, 1), second(1, 3))),
            Case(name, (z(2), z(3, 2))),
            Case(name, (normal(3), z(3))),
            Case(name, (z(3), nonzero(2, 3))),
            Case(name, (2.5, second(3))),
            Case(name, (z(3), 1.5 - 0.5j)),
        ]
    for name in ["atan2", "hypot", "copysign"]:
        cases += [
            Case(name, (nonzero(2, 3), nonzero(3))),
            Case(name, (1.5, nonzero(3))),
            Case(name, (nonzero(2), -0.7)),
        ]
    for name in ["maximum", "minimum"]:
        cases += [
            Case(name, (between(2, 3), between(2, 1))),
            Case(name, (between(4), 0.0)),
            Case(name, (0.5, between(4))),
        ]
    cases += [
        Case("logaddexp", (normal(2, 3), normal(3))),
        Case("logaddexp", (0.5, normal(3))),
        Case("nextafter", (normal(3), above(2, 3))),
        Case("remainder", (given([5.3, -4.2, 1.7]), given([2.0, 3.1, -0.8]))),
        Case("remainder", (given([5.3, -4.2, 1.7]), 2.0)),
        Case("remainder", (7.3, given([2.0, 3.1, -0.8]))),
        Case("floor_divide", (given([5.3, -4.2, 1.7]), given([2.0, 3.1, -0.8]))),
        Case("pow", (positive(2, 3), normal(3))),
        Case("pow", (z(3), z(2, 3))),
        Case("pow", (positive(3), z(3))),
        Case("pow", (normal(3), 2)),
        Case("pow", (nonzero(3), -3)),
        Case("pow", (positive(3), 0.5)),
        Case("pow", (normal(3), 0)),
        Case("pow", (normal(3), 1)),
        Case("pow", (z(3), 2.5)),
        Case("pow", (1.7, normal(3))),
        Case("clip", (between(3, 4), -1.0, 1.0)),
        Case("clip", (between(3, 4), None, 0.0)),
        Case("clip", (between(3, 4), -1.5, None)),
        Case("clip", (given([0.1, 0.9, 3.0]), given([0.3, 0.3, 0.3]), given([2.0, 2.0, 2.0]))),
        Case("clip", (between(2, 3), given([-1.0, -0.5, 0.0]), 1.0)),
        Case("clip", (between(2, 3), given([-1.0, 0.0, 1.0]), None)),
        Case("clip", (between(2, 3), -2.0, given([0.0]))),
        Case("where", (given([[True, False, True]]), normal(2, 3), normal(3))),
        Case("where", (given([True, False, True]), normal(3), 0.5)),
        Case("where", (given([True, False]), z(2), normal(2))),
        Case("where", (given([True, False]), 1.5, z(2))),
    ]
    return cases


def _reductions() -> list[Case]:
    cases = []
    for axis, keepdims in [(None, False), (1, False), ((0, 2), True), (-1, True)]:
        statics = {"axis": axis, "keepdims": keepdims}
        for name in ["sum", "mean", "prod", "var", "std"]:
            cases.append(Case(name, (nonzero(2, 3, 2),), statics))
        for name in ["max", "min"]:
            cases.append(Case(name, (apart(2, 3, 2),), statics))
    cases += [
        Case(name, (z(2, 3),), {"axis": 1}) for name in ["sum", "mean", "prod", "cumulative_sum", "cumulative_prod"]
    ]
    cases += [Case(name, (normal(5),), {"correction": 1.0}) for name in ("var", "std")]
    for zeros in ([0.0, 2.0, 3.0], [0.0, 2.0, 0.0, 1.5], [1.5, 2.0, 0.5, 0.0, -1.0]):
        cases += [Case("prod", (given(zeros),)), Case("cumulative_prod", (given(zeros),))]
    cases.append(Case("prod", (given([[0.0, 2.0], [0.0, 0.0]]),), {"axis": (0, 1)}))
    for name in ("cumulative_sum", "cumulative_prod"):
        cases += [
            Case(name, (normal(6),)),
            Case(name, (normal(2, 5, 2),), {"axis": 1}),
            Case(name, (normal(3, 2),), {"axis": -2, "include_initial": True}),
            Case(name, (normal(1),), {"include_initial": True}),
        ]
    cases += [
        Case("diff", (normal(5), None, None)),
        Case("diff", (normal(2, 4, 2), None, None), {"axis": 1, "n": 2}),
        Case("diff", (normal(2, 3), normal(2, 2), None)),
        Case("diff", (normal(2, 3), normal(1, 3), normal(2, 3)), {"axis": 0, "n": 3}),
        Case("diff", (normal(4), None, normal(1)), {"n": 0}),
        Case("diff", (z(4), None, z(2))),
    ]
    return cases


def _manipulation() -> list[Case]:
    return [
        Case("astype", (normal(3),), wrapped=lambda f, x: f(x, namespace(x).complex128)),
        Case("astype", (z(3),), wrapped=lambda f, x: f(x, namespace(x).complex128)),
        Case("to_device", (normal(3),), wrapped=lambda f, x: f(x, x.device), waits=True),
        Case("broadcast_to", (normal(2, 1),), {"shape": (3, 2, 4)}),
        Case("broadcast_to", (normal(),), {"shape": (2,)}),
        Case("broadcast_arrays", (normal(2, 1), normal(3), normal())),
        Case("concat", (normal(2, 3), normal(2, 1)), {"axis": -1}),
        Case("concat", (normal(2, 2), normal(3), normal()), {"axis": None}),
        Case("concat", (z(2, 1), normal(1, 1), z(2, 1)), {"axis": 0}),
        Case("stack", (normal(2, 3), normal(2, 3)), {"axis": -1}),
        Case("stack", (normal(2), z(2))),
        Case("unstack", (normal(2, 3),), {"axis": 1}),
        Case("expand_dims", (normal(2, 3),), {"axis": (0, 2)}),
        Case("squeeze", (normal(1, 2, 1),), {"axis": (0, 2)}),
        Case("reshape", (normal(2, 3),), {"shape": (3, -1)}),
        Case("flip", (normal(2, 3),)),
        Case("flip", (normal(2, 3),), {"axis": 1}),
        Case("roll", (normal(2, 3),), {"shift": 2}),
        Case("roll", (normal(2, 3),), {"shift": (1, -1), "axis": (0, 1)}),
        Case("repeat", (normal(2, 3), 2)),
        Case("repeat", (normal(2, 3), 3), {"axis": -1}),
        Case("repeat", (normal(3, 2), given([2, 0, 3])), {"axis": 0}, waits=True),
        Case("repeat", (normal(2, 2), given([2])), {"axis": 1}, waits=True),
        Case("repeat", (normal(2, 2), given([1, 0, 2, 1])), waits=True),
        Case("tile", (normal(2, 3),), {"repetitions": (2,)}),
        Case("tile", (normal(2, 3),), {"repetitions": (2, 1, 3)}),
        Case("tile", (normal(3),), {"repetitions": ()}),
        Case("tril", (normal(2, 3, 4),), {"k": -1}),
        Case("triu", (normal(3, 3),), {"k": 1}),
        Case("meshgrid", (normal(2), normal(3), normal(1))),
        Case("meshgrid", (normal(2), normal(3)), {"indexing": "ij"}),
        Case("meshgrid", (normal(3),)),
        Case("moveaxis", (normal(2, 3, 1),), {"source": (0, 1), "destination": (-1, 0)}),
        Case("moveaxis", (normal(2, 3, 1),), {"source": 0, "destination": 1}),
        Case("permute_dims", (normal(2, 3, 1),), {"axes": (2, 0, 1)}),
        Case("matrix_transpose", (z(2, 3, 1),)),
    ]


def _indexing() -> list[Case]:
    return [
        Case("take", (normal(4), given([3, 0, 3]))),
        Case("take", (normal(2, 4, 2), given([1, 1, -1])), {"axis": 1}),
        Case("take", (z(3, 2), given([2, 0])), {"axis": -2}),
        Case("take_along_axis", (normal(2, 4), given([[0, 3, 3], [1, 1, -1]]))),
        Case("take_along_axis", (normal(3, 2), given([[2, 0]])), {"axis": 0}),
        Case("take_along_axis", (normal(3, 1), given([[2, 0], [1, 1]])), {"axis": 0}),
        Case("sort", (apart(2, 4),)),
        Case("sort", (apart(4, 2),), {"axis": 0, "descending": True}),
        Case("sort", (apart(5),), {"stable": False}),
    ]


def _products() -> list[Case]:
    cases = []
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((2, 3), (3, 2)),
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((2, 2, 3), (3, 2)),
        ((2, 1, 2, 3), (2, 3, 1)),
        ((3,), (2, 3, 1)),
        ((2, 2, 3), (3,)),
    ]
    for (a, b), draw in itertools.product(shapes, (normal, z)):
        cases.append(Case("matmul", (draw(*a), draw(*b))))
    cases += [
        Case("matmul", (normal(2, 3), z(3, 2))),
        Case("tensordot", (normal(2, 3, 2), normal(3, 2, 1))),
        Case("tensordot", (normal(2), normal(3)), {"axes": 0}),
        Case("tensordot", (z(2, 3, 2), z(3, 2, 2)), {"axes": ((1, -1), (0, 2))}),
        Case("tensordot", (normal(2, 3, 4), normal(4, 1, 2, 3)), {"axes": ((0, 2, 1), (2, 0, -1))}),
        Case("vecdot", (normal(2, 3), normal(3))),
        Case("vecdot", (z(2, 3), z(1, 3))),
        Case("vecdot", (normal(3, 2), z(3, 2)), {"axis": -2}),
        Case("linalg_outer", (normal(2), normal(3))),
        Case("linalg_outer", (z(2), z(3))),
        Case("linalg_cross", (normal(2, 3), normal(2, 3))),
        Case("linalg_cross", (z(3, 2), z(3, 2)), {"axis": -2}),
        Case("linalg_cross", (normal(2, 3), normal(1, 3))),
        Case("linalg_trace", (normal(2, 3, 3),)),
        Case("linalg_trace", (z(3, 4),), {"offset": 1}),
        Case("linalg_trace", (normal(3, 2),), {"offset": -1}),
    ]
    cases += [
        Case("linalg_diagonal", (normal(2, *shape),), {"offset": k}) for shape in [(3, 4), (4, 2)] for k in (-2, 0, 1)
    ]
    return cases


def _linalg() -> list[Case]:
    cases = []
    for square in (matrix(3, 3), matrix(2, 2, 2), z_matrix(3, 3)):
        cases += [Case(f"linalg_{name}", (square,)) for name in ["det", "inv", "slogdet", "eigvals", "svdvals"]]
        cases += [Case("linalg_matrix_power", (square,), {"n": n}) for n in (0, 1, 3, 4, -1, -2)]
        cases += [Case("linalg_cholesky", (square,), {"upper": upper}, hermitian) for upper in (False, True)]
        cases.append(Case("linalg_eigvalsh", (square,), wrapped=hermitian))
        cases.append(Case("linalg_eig", (square,), wrapped=eig_invariants))
        cases.append(Case("linalg_eigh", (square,), wrapped=flat_hermitian_projections))
        cases.append(Case("linalg_qr", (square,)))
        cases.append(Case("linalg_qr", (square,), {"mode": "complete"}))
        cases.append(Case("linalg_svd", (square,), {"full_matrices": True}, svd_invariants))
    cases.append(Case("linalg_eigh", (matrix(3, 3),), wrapped=hermitian))
    cases.append(Case("linalg_svd", (matrix(3, 3),)))
    for oblong in (normal(4, 2), normal(2, 3), normal(2, 3, 2), z(3, 2), z(2, 3)):
        cases += [Case("linalg_svd", (oblong,), {"full_matrices": False}, svd_invariants)]
        cases += [Case("linalg_svdvals", (oblong,)), Case("linalg_qr", (oblong,)), Case("linalg_pinv", (oblong, None))]
    cases.append(Case("linalg_svd", (normal(3, 2),), {"full_matrices": False}))
    cases.append(Case("linalg_qr", (normal(2, 3),), {"mode": "complete"}))
    cases.append(Case("linalg_pinv", (matrix(2, 2), 1e-8)))
    for a, b in [
        ((3, 3), (3,)),
        ((2, 2), (2, 3)),
        ((2, 3, 3), (3, 1)),
        ((2, 2), (2, 2, 1)),
        ((2, 3, 3), (3,)),
    ]:
        cases += [Case("linalg_solve", (matrix(*a), normal(*b))), Case("linalg_solve", (z_matrix(*a), z(*b)))]
    for order in ("fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf")):
        cases.append(Case("linalg_matrix_norm", (apart(2, 3, 2),), {"ord": order}))
        cases.append(Case("linalg_matrix_norm", (z(3, 3),), {"ord": order, "keepdims": True}))
    for order in (0, 1, 2, 3, 4, 2.5, 0.5, -1, float("inf"), -float("inf")):
        cases.append(Case("linalg_vector_norm", (apart(5),), {"ord": order}))
        cases.append(Case("linalg_vector_norm", (apart(2, 3, 2),), {"ord": order, "axis": (0, 2)}))
        cases.append(Case("linalg_vector_norm", (z(2, 3),), {"ord": order, "axis": 1, "keepdims": True}))
    return cases


def _fourier() -> list[Case]:
    cases = []
    for norm, n in [("backward", None), ("ortho", 3), ("forward", 6), ("backward", 1), ("ortho", 7)]:
        for name in ["fft", "ifft", "hfft", "irfft"]:
            cases.append(Case(f"fft_{name}", (z(5),), {"n": n, "norm": norm}))
            cases.append(Case(f"fft_{name}", (z(4, 2),), {"n": n, "norm": norm, "axis": 0}))
        for name in ["rfft", "ihfft"]:
            cases.append(Case(f"fft_{name}", (normal(5),), {"n": n, "norm": norm}))
            cases.append(Case(f"fft_{name}", (normal(4, 2),), {"n": n, "norm": norm, "axis": 0}))
    for statics in (
        {},
        {"axes": (0,)},
        {"s": (2, 5), "axes": (1, 0), "norm": "ortho"},
        {"axes": (1, 0), "norm": "forward"},
    ):
        cases += [Case(f"fft_{name}", (z(3, 4),), statics) for name in ["fftn", "ifftn", "irfftn"]]
        cases.append(Case("fft_rfftn", (normal(3, 4),), statics))
    for name in ("fft_fftshift", "fft_ifftshift"):
        cases += [Case(name, (normal(3, 4),)), Case(name, (z(5),), {"axes": 0})]
    return cases


CASES = _cases()
REFUSED = ("unique_all", "unique_counts", "unique_inverse", "unique_values")
"""Operations whose derivative is refused, which `test_refusals` looks at."""
