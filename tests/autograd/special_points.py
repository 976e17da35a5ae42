"""Gradients at points where a formula divides by zero, a function has a kink, or arguments are equal.

The cotangent is 1 for every element of the result.  `torch` is the same call in PyTorch, in text, as most tests must
not need it, and empty where PyTorch refuses; `differs` says why PyTorch's answer is another one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

INF, NAN = float("inf"), float("nan")


@dataclass(frozen=True)
class Point:
    """One call and its gradients, one for each argument."""

    name: str
    arguments: tuple[Any, ...]
    gradients: tuple[Any, ...]
    torch: str = ""
    statics: dict[str, Any] = field(default_factory=dict)
    differs: str = ""

    def __str__(self) -> str:
        return f"{self.name}{self.arguments}{self.statics or ''}".replace(" ", "")


def _norm(ord: float, x: list[Any], gradient: list[Any], differs: str = "") -> Point:
    torch = f"torch.linalg.vector_norm(a, ord={ord})".replace("inf", "float('inf')")
    return Point("linalg_vector_norm", (x,), (gradient,), torch, {"ord": ord}, differs)


POINTS = [
    # Kinks and steps
    Point("abs", ([0.0, -2.0],), ([0.0, -1.0],), "torch.abs(a)"),
    Point("abs", ([0j, 3 - 4j],), ([0j, 0.6 - 0.8j],), "torch.abs(a)"),
    Point("sign", ([0.0, 2.0],), ([0.0, 0.0],), "torch.sign(a)"),
    Point("sign", ([0j, 2 + 0j],), ([0j, 0j],), "torch.sgn(a)"),
    Point("sqrt", ([0.0, 4.0],), ([INF, 0.25],), "torch.sqrt(a)"),
    Point("copysign", ([0.0, -1.0, 2.0], [-1.0, 1.0, -3.0]), ([0.0, -1.0, -1.0], [0.0] * 3), "torch.copysign(a, b)"),
    Point("floor", ([1.0, 1.5],), ([0.0, 0.0],), "torch.floor(a)"),
    Point("remainder", ([5.0, -5.0], [3.0, 3.0]), ([1.0, 1.0], [-1.0, 2.0]), "torch.remainder(a, b)"),
    # Corners at the origin
    Point("hypot", ([0.0, 3.0], [0.0, 4.0]), ([0.0, 0.6], [0.0, 0.8]), "torch.hypot(a, b)", differs="has NaN at 0"),
    Point("atan2", ([0.0, 1.0], [0.0, 0.0]), ([0.0, 0.0], [0.0, -1.0]), "torch.atan2(a, b)"),
    # Powers
    Point("pow", ([0.0, 0.0, 0.0], [2.0, 0.0, 1.0]), ([0.0, 0.0, 1.0], [0.0, 0.0, 0.0]), "torch.pow(a, b)"),
    Point("pow", ([0.0, 0.0], [0.5, -1.0]), ([INF, -INF], [0.0, -INF]), "torch.pow(a, b)"),
    Point("pow", ([-1.0, -2.0], [2.0, 3.0]), ([-2.0, 12.0], [NAN, NAN]), "torch.pow(a, b)"),
    Point("pow", ([0.0, 2.0], 0), ([0.0, 0.0],), "torch.pow(a, b)"),
    Point("pow", ([0.0, -2.0], 2), ([0.0, -4.0],), "torch.pow(a, b)"),
    Point("pow", ([0j, 1j], [2 + 0j, 2 + 0j]), ([0j, -2j], [0j, 0.5j * 3.141592653589793]), "torch.pow(a, b)"),
    Point("pow", (0.0, [0.0, 1.0, 2.0]), ([0.0, 0.0, 0.0],), "torch.pow(a, b)"),
    # Infinities
    Point(
        "logaddexp", ([INF, 0.0, -INF], [0.0, INF, 0.0]), ([1.0, 0.0, 0.0], [0.0, 1.0, 1.0]), "torch.logaddexp(a, b)"
    ),
    Point(
        "logaddexp",
        ([INF, -INF, 2.0], [INF, -INF, 2.0]),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
        "torch.logaddexp(a, b)",
        differs="has NaN where both are infinite",
    ),
    Point("logaddexp", ([800.0, -800.0], [0.0, 0.0]), ([1.0, 0.0], [0.0, 1.0]), "torch.logaddexp(a, b)"),
    # Ties and bounds
    Point("maximum", ([1.0, 2.0, 0.0], [1.0, 1.0, 3.0]), ([0.5, 1.0, 0.0], [0.5, 0.0, 1.0]), "torch.maximum(a, b)"),
    Point("minimum", ([1.0, 2.0, 0.0], [1.0, 1.0, 3.0]), ([0.5, 0.0, 1.0], [0.5, 1.0, 0.0]), "torch.minimum(a, b)"),
    Point("clip", ([0.0, 1.0, 2.0, -1.0], 0.0, 1.0), ([1.0, 1.0, 0.0, 0.0],), "torch.clamp(a, b, c)"),
    Point(
        "clip",
        ([0.0, 1.0, 0.5, 3.0], [0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 2.0, 1.0]),
        ([1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]),
        "torch.clamp(a, b, c)",
    ),
    Point("max", ([1.0, 3.0, 3.0],), ([0.0, 0.5, 0.5],), "torch.amax(a)"),
    Point(
        "min",
        ([[1.0, 1.0], [1.0, 2.0]],),
        ([[1 / 3, 1 / 3], [1 / 3, 0.0]],),
        "torch.amin(a, dim=(0, 1))",
        {"axis": (0, 1)},
    ),
    Point("max", ([[2.0, 2.0], [1.0, 2.0]],), ([[0.5, 0.5], [0.0, 1.0]],), "torch.amax(a, dim=1)", {"axis": 1}),
    Point("max", ([1.0, NAN],), ([0.0, 1.0],), "torch.amax(a)", differs="has NaN for every element"),
    # Products with zeros
    Point("prod", ([0.0, 2.0, 3.0],), ([6.0, 0.0, 0.0],), "torch.prod(a)"),
    Point("prod", ([0.0, 2.0, 0.0],), ([0.0, 0.0, 0.0],), "torch.prod(a)"),
    Point("cumulative_prod", ([2.0, 0.0, 3.0, 4.0],), ([1.0, 32.0, 0.0, 0.0],), "torch.cumprod(a, dim=0)"),
    Point("cumulative_prod", ([2.0, 0.0, 3.0, 0.0],), ([1.0, 8.0, 0.0, 0.0],), "torch.cumprod(a, dim=0)"),
    # Nothing varies
    Point("std", ([2.0, 2.0, 2.0],), ([0.0, 0.0, 0.0],), "torch.std(a, correction=0)"),
    Point("var", ([2.0, 2.0],), ([0.0, 0.0],), "torch.var(a, correction=1)", {"correction": 1.0}),
    Point("var", ([2.0],), ([NAN],), "", {"correction": 1.0}),
    # Norms at 0 and with equal extrema
    *(_norm(p, [0.0, 0.0], [0.0, 0.0]) for p in (1, 2, 3, 1.5, 0.5, INF, -INF)),
    _norm(0, [0.0, 2.0], [0.0, 0.0], differs="leaves the gradient away"),
    _norm(1, [0.0, -1.0, 2.0], [0.0, -1.0, 1.0]),
    _norm(1.5, [0.0, 1.0, -1.0], [0.0, 2 ** (-1 / 3), -(2 ** (-1 / 3))]),
    _norm(0.5, [0.0, 1.0, -1.0], [0.0, 2.0, -2.0]),
    _norm(INF, [3.0, -3.0, 1.0], [0.5, -0.5, 0.0]),
    _norm(-INF, [3.0, -1.0, 1.0], [0.0, -0.5, 0.5]),
    _norm(INF, [NAN, 1.0], [NAN, 0.5], differs="has NaN for every element"),
    _norm(2, [0j, 3 - 4j], [0j, 0.6 - 0.8j]),
    _norm(INF, [0j, 3 - 4j], [0j, 0.6 - 0.8j]),
    Point(
        "linalg_matrix_norm", ([[0.0, 0.0], [0.0, 0.0]],), ([[0.0, 0.0], [0.0, 0.0]],), "torch.linalg.matrix_norm(a)"
    ),
    Point(
        "linalg_matrix_norm",
        ([[1.0, -1.0], [1.0, 1.0]],),
        ([[0.5, -0.5], [0.5, 0.5]],),
        "torch.linalg.matrix_norm(a, ord=1)",
        {"ord": 1},
    ),
    # Singular and degenerate matrices
    Point(
        "linalg_det",
        ([[1.0, 2.0], [2.0, 4.0]],),
        ([[4.0, -2.0], [-2.0, 1.0]],),
        "torch.linalg.det(a)",
        differs="has 0 at singular matrices, where the derivative is the cofactors",
    ),
    Point("linalg_det", ([[0.0, 0.0], [0.0, 0.0]],), ([[0.0, 0.0], [0.0, 0.0]],), "torch.linalg.det(a)"),
    Point(
        "linalg_det",
        ([[1j, 0j], [0j, 0j]],),
        ([[0j, 0j], [0j, -1j]],),
        "torch.linalg.det(a)",
        differs="has 0 at singular matrices",
    ),
    Point("linalg_eigvalsh", ([[2.0, 0.0], [0.0, 2.0]],), ([[1.0, 0.0], [0.0, 1.0]],), "torch.linalg.eigvalsh(a)"),
    Point("linalg_svdvals", ([[2.0, 0.0], [0.0, 0.0]],), ([[1.0, 0.0], [0.0, 1.0]],), "torch.linalg.svdvals(a)"),
    # Elements taken more than once, and equal ones that are sorted
    Point("take", ([1.0, 2.0, 3.0], [0, 2, 0]), ([2.0, 0.0, 1.0],), "torch.take(a, b)"),
    Point("sort", ([2.0, 1.0, 2.0],), ([1.0, 1.0, 1.0],), "torch.sort(a).values"),
]
