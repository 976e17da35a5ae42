r"""Comparing gradients with central differences.

A function of arrays is taken as one from real numbers to real numbers, where a complex number is two.  The numerical
Jacobian is

.. math:: J_{ij} \approx \frac{f_i(x + \epsilon e_j) - f_i(x - \epsilon e_j)}{2 \epsilon} ;

the analytic one comes row by row from the walk back.  The second order compares the derivative of the gradient itself,
as a function of the inputs and of the cotangents, in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from portml.autograd.modes import enable_grad
from portml.autograd.tape import walk
from portml.autograd.tensor import Tensor, plain
from portml.backends import Array, device_of, dtype_kind, namespace, to_numpy
from portml.backends import operations as xp
from portml.errors import ArgumentError, DtypeError, GradientError

__all__ = ["check_gradients"]

Function = Callable[..., Any]


def check_gradients(
    f: Function,
    inputs: Array | Sequence[Array],
    *,
    order: int = 1,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    directional: bool = False,
) -> bool:
    """Check the gradients of `f` against central differences.

    Parameters
    ----------
    f : callable
        Takes the inputs as Tensors; returns a Tensor or a sequence of them.  What holds no fractions is passed over.
    inputs : array or sequence of arrays
        float64 or complex128, on any backend.  A Tensor that does not require a gradient, and what holds no fractions,
        is kept constant; every other array is differentiated.
    order : {1, 2}
        2 also checks the derivatives of the gradient.
    eps : float
        Step of the differences.
    atol, rtol : float
        Largest difference from the numerical value: ``atol + rtol * abs(numerical)``.
    directional : bool
        Compare along one fixed direction of the inputs and one of the results, in place of each element by itself:
        two evaluations and one walk.

    Returns
    -------
    bool
        True.

    Raises
    ------
    GradientError
        If they differ; the message shows both.
    DtypeError
        If an input is of less than double precision, which central differences need.
    ArgumentError
        If nothing is to be differentiated, or the order is neither 1 nor 2.
    """
    if order not in (1, 2):
        raise ArgumentError(f"order: expected 1 or 2, got {order!r}")
    arrays = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    variable = [i for i, array in enumerate(arrays) if _is_variable(array)]
    if not variable:
        raise ArgumentError("inputs: nothing to differentiate; pass float64 or complex128 arrays")
    constants = [_raw(array) for array in arrays]
    for i in variable:
        _check_precision(i, constants[i])

    def function(*varied: Tensor) -> list[Tensor]:
        given: list[Any] = [plain(array) if hasattr(array, "dtype") else array for array in constants]
        for i, array in zip(variable, varied, strict=True):
            given[i] = array
        results = f(*given)
        results = results if isinstance(results, list | tuple) else [results]
        return [result for result in map(_tensor, results) if dtype_kind(result.dtype) in ("float", "complex")]

    compare = _Comparison(eps, atol, rtol, directional)
    points = [constants[i] for i in variable]
    compare(function, points, "the gradient")
    if order == 2:
        cotangents = [_direction(result.value, 2 + i) for i, result in enumerate(_evaluate(function, points))]
        compare(_gradient_of(function, len(points)), [*points, *cotangents], "the second derivative")
    return True


class _Comparison:
    """One comparison of an analytic with a numerical Jacobian."""

    def __init__(self, eps: float, atol: float, rtol: float, directional: bool) -> None:
        self.eps, self.atol, self.rtol = eps, atol, rtol
        self.directional = directional

    def __call__(self, function: Function, points: list[Array], what: str) -> None:
        results = [result.value for result in _evaluate(function, points)]
        if not results:
            raise GradientError(f"{what}: the function returns nothing that holds fractions")
        if self.directional:
            self.along_directions(function, points, results, what)
            return
        rows, numbers = self.analytic(function, points), _count(points)
        for j in range(numbers):
            steps = _unit(points, j)
            numerical = _components(self.slope(function, points, steps))
            self.judge([row[j] for row in rows], numerical, f"{what} with respect to {_named(points, j)}")

    def slope(self, function: Function, points: list[Array], steps: list[Array]) -> list[Array]:
        """(f(x + eps d) - f(x - eps d)) / (2 eps)."""
        ahead, behind = (
            _evaluate(function, [xp.add(x, xp.multiply(step, side)) for x, step in zip(points, steps, strict=True)])
            for side in (self.eps, -self.eps)
        )
        return [xp.divide(xp.subtract(a.value, b.value), 2 * self.eps) for a, b in zip(ahead, behind, strict=True)]

    def analytic(self, function: Function, points: list[Array]) -> list[list[float]]:
        """A row for each real number in the results."""
        leaves = [Tensor(point, requires_grad=True) for point in points]
        with enable_grad():
            results = function(*leaves)
        values = [result.value for result in results]
        return [
            _components(_pull_back(results, leaves, _unit(values, i), retain_graph=True)) for i in range(_count(values))
        ]

    def along_directions(self, function: Function, points: list[Array], results: list[Array], what: str) -> None:
        steps = [_direction(point, 11 + i) for i, point in enumerate(points)]
        weights = [_direction(result, 5 + i) for i, result in enumerate(results)]
        leaves = [Tensor(point, requires_grad=True) for point in points]
        with enable_grad():
            gradients = _pull_back(function(*leaves), leaves, weights, retain_graph=False)
        analytic = _inner(gradients, steps)
        numerical = _inner(self.slope(function, points, steps), weights)
        self.judge([analytic], [numerical], f"{what} along one direction")

    def judge(self, analytic: list[float], numerical: list[float], what: str) -> None:
        pairs = list(zip(analytic, numerical, strict=True))
        if all(abs(a - n) <= self.atol + self.rtol * abs(n) for a, n in pairs):
            return
        shown = "\n".join(f"  {n:>+23.15e} {a:>+23.15e} {a - n:>+12.3e}" for a, n in pairs[:20])
        more = f"\n  ... {len(pairs) - 20} more" if len(pairs) > 20 else ""
        raise GradientError(
            f"check_gradients: {what} differs from central differences (eps={self.eps:g}, atol={self.atol:g}, "
            f"rtol={self.rtol:g}):\n  {'numerical':>23} {'analytic':>23} {'difference':>12}\n{shown}{more}"
        )


def _gradient_of(function: Function, count: int) -> Function:
    """The gradient as a function of the inputs and of the cotangents."""

    def gradient(*given: Tensor) -> list[Tensor]:
        points, cotangents = given[:count], given[count:]
        leaves = [point if point.node is not None else Tensor(point, requires_grad=True) for point in points]
        with enable_grad():
            return _pull_back(function(*leaves), leaves, cotangents, create_graph=True)

    return gradient


def _pull_back(
    results: Sequence[Tensor],
    leaves: Sequence[Tensor],
    cotangents: Sequence[Any],
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> list[Any]:
    """The gradient for each leaf, zeros where nothing flows."""
    roots = [
        (result.node, cotangent)
        for result, cotangent in zip(results, cotangents, strict=True)
        if result.node is not None
    ]
    wanted: Any = [leaf.node for leaf in leaves]
    found = walk(roots, wanted=wanted, create_graph=create_graph, retain_graph=retain_graph)
    zeros = [xp.zeros_like(leaf if create_graph else leaf.value) for leaf in leaves]
    return [zero if gradient is None else gradient for zero, gradient in zip(zeros, found, strict=True)]


def _evaluate(function: Function, points: Sequence[Array]) -> list[Tensor]:
    return function(*map(plain, points))  # type: ignore[no-any-return]


# Arrays as real numbers


def _count(arrays: Sequence[Array]) -> int:
    return sum(_width(array) * array.size for array in arrays)


def _width(array: Array) -> int:
    """How many real numbers an element is."""
    return 2 if dtype_kind(array.dtype) == "complex" else 1


def _unit(arrays: Sequence[Array], position: int) -> list[Array]:
    """Arrays like these, all zero but for one real number."""
    units = []
    for array in arrays:
        element, part = divmod(position, _width(array))
        position -= _width(array) * array.size
        units.append(xp.zeros_like(array) if not 0 <= element < array.size else _one_at(array, element, part))
    return units


def _one_at(array: Array, element: int, part: int) -> Array:
    numbers = namespace(array).arange(array.size, device=device_of(array))
    unit = xp.reshape(xp.astype(xp.equal(numbers, element), array.dtype), array.shape)
    return xp.multiply(unit, 1j) if part else unit


def _components(arrays: Sequence[Array]) -> list[float]:
    """All real numbers in the arrays, on the host; the parts of a complex one follow each other."""
    found: list[float] = []
    for array in arrays:
        flat = to_numpy(array).reshape(-1).tolist()
        found.extend(part for z in flat for part in ((z.real, z.imag) if _width(array) == 2 else (z,)))
    return found


def _named(arrays: Sequence[Array], position: int) -> str:
    for i, array in enumerate(arrays):
        if position < _width(array) * array.size:
            element, part = divmod(position, _width(array))
            side = "" if _width(array) == 1 else (" (real part)", " (imaginary part)")[part]
            return f"element {element}{side} of input {i}, of shape {tuple(array.shape)}"
        position -= _width(array) * array.size
    raise AssertionError(position)


def _direction(array: Array, seed: int) -> Array:
    """Fixed numbers without a pattern, between -1 and 1 and none of them 0."""
    numbers = namespace(array).arange(array.size, dtype=_real(array).dtype, device=device_of(array))
    phase = xp.add(xp.multiply(xp.square(numbers), 0.737), xp.multiply(numbers, 1.0 + 0.31 * seed))
    flat = xp.add(xp.multiply(xp.cos(xp.add(phase, seed)), 0.7), 0.2)
    if _width(array) == 2:
        turned = xp.add(xp.multiply(xp.sin(xp.add(phase, 2 * seed)), 0.6), 0.3)
        flat = xp.add(xp.astype(flat, array.dtype), xp.multiply(xp.astype(turned, array.dtype), 1j))
    return xp.reshape(flat, array.shape)


def _inner(arrays: Sequence[Array], others: Sequence[Array]) -> float:
    """The sum of the products of their real numbers."""
    return sum(a * b for a, b in zip(_components(arrays), _components(others), strict=True))


def _real(array: Array) -> Array:
    return xp.real(array) if dtype_kind(array.dtype) == "complex" else array


# Arguments


def _is_variable(array: Any) -> bool:
    if not hasattr(array, "dtype") or dtype_kind(array.dtype) not in ("float", "complex"):
        return False
    return not isinstance(array, Tensor) or array.requires_grad


def _check_precision(position: int, array: Array) -> None:
    if str(array.dtype).rpartition(".")[2] not in ("float64", "complex128"):
        raise DtypeError(
            f"inputs[{position}]: central differences need float64 or complex128, got {array.dtype}; convert it first"
        )


def _raw(x: Any) -> Any:
    return x.value if isinstance(x, Tensor) else x


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else plain(x)
