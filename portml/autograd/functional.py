r"""Derivatives of functions: JAX's signatures on plain arrays of any backend.

>>> x = get_backend("numpy").asarray([1.0, 2.0])
>>> grad(lambda x: namespace(x).sum(x**2))(x)
array([2., 4.])

Each takes and returns raw arrays; where an argument is a Tensor, or the call stands inside another derivative, Tensors
come back, so that derivatives nest to any order.  Arguments and results may be tuples, lists or dictionaries of arrays.

Complex gradients follow PyTorch's convention: for a real :math:`L`, the gradient with respect to
:math:`z = x + iy` is :math:`\partial L/\partial x + i\,\partial L/\partial y`, the direction of steepest ascent (JAX
gives its conjugate).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from portml.autograd.modes import enable_grad, grad_depth, grad_enabled
from portml.autograd.structure import flatten, map_structure
from portml.autograd.tape import Origin, walk
from portml.autograd.tensor import Tensor, plain
from portml.backends import Array, device_of, dtype_kind, get_backend, namespace
from portml.backends import operations as xp
from portml.errors import ArgumentError, DtypeError, GradientError, ShapeError

__all__ = ["grad", "hessian", "jacobian", "jvp", "stop_gradient", "value_and_grad", "vjp"]


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The gradient of a scalar function.

    Parameters
    ----------
    f : callable
        Returns a real scalar, or with `has_aux` a pair of it and anything else.
    argnums : int or sequence of int
        Which positional arguments to differentiate with respect to.
    has_aux : bool

    Returns
    -------
    callable
        Takes what `f` takes; returns the gradient, shaped like its argument (a tuple of them for several `argnums`),
        or a pair of it and the second result of `f`.

    Raises
    ------
    GradientError
        When called, if `f` does not return a real scalar.
    """
    with_value = value_and_grad(f, argnums, has_aux)

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, gradients = with_value(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return gradient


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The value of a scalar function and its gradient, in one evaluation; see `grad`.

    Returns
    -------
    callable
        Gives ``(value, gradient)``, or ``((value, aux), gradient)`` with `has_aux`.
    """

    @functools.wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        with _Derivative(args, argnums, kwargs) as derivative:
            result = f(*derivative.args, **kwargs)
            value, aux = result if has_aux else (result, None)
            root = _scalar(value, f)
            gradients = derivative.pull_back([root], [xp.ones_like(_raw(root))], retain_graph=False)
            value = derivative.closed(root)
            aux = map_structure(derivative.closed, aux)
        return ((value, aux) if has_aux else value), derivative.arranged(gradients)

    return value_and_gradient


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    r"""The value of `f` and the function that pulls cotangents back, :math:`\bar y \mapsto J^{*} \bar y`.

    Returns
    -------
    value : structure of arrays
    pull_back : callable
        Takes a cotangent shaped like the value; returns a tuple with one for each primal.  May be called many times.
    aux : object
        Only with `has_aux`.
    """
    with _Derivative(primals, range(len(primals))) as derivative:
        result = f(*derivative.args)
        value, aux = result if has_aux else (result, None)
        outputs, rebuild = flatten(value)
        roots = [_tensor(output) for output in outputs]

    def pull_back(cotangent: Any) -> Any:
        cotangents, _ = flatten(cotangent)
        _check_like(cotangents, roots, "cotangent")
        with derivative.resumed(cotangents):
            return derivative.arranged(derivative.pull_back(roots, cotangents, retain_graph=True))

    closed = rebuild([derivative.closed(root) for root in roots])
    return (closed, pull_back, map_structure(derivative.closed, aux)) if has_aux else (closed, pull_back)


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    r"""The value of `f` and its derivative along `tangents`, :math:`(f(x), J\,\dot x)`.

    The pull-back :math:`u \mapsto J^{*} u` is linear in `u`, so pulling the tangents back through it gives
    :math:`J \dot x` [Townsend 2017, "A new trick for calculating Jacobian vector products"].

    Parameters
    ----------
    f : callable
    primals, tangents : sequence of structures of arrays, of equal shapes
    """
    if not isinstance(primals, tuple | list) or not isinstance(tangents, tuple | list):
        raise ArgumentError("jvp: primals and tangents must be tuples, one entry for each argument of the function")
    with _Derivative(tuple(primals), range(len(primals))) as derivative:
        outputs, rebuild = flatten(f(*derivative.args))
        roots = [_tensor(output) for output in outputs]
        given, _ = flatten(list(tangents))
        _check_like(given, derivative.leaves, "tangents")
        pulled_from = [Tensor(xp.zeros_like(root.value), requires_grad=True) for root in roots]
        pulled = derivative.pull_back(roots, pulled_from, retain_graph=True, create_graph=True)
        pairs = [(p, _tensor_like(t, p)) for p, t in zip(pulled, given, strict=True) if _origin(p) is not None]
        found = _walk_back([p for p, _ in pairs], [t for _, t in pairs], pulled_from, create_graph=derivative.create)
        results = [xp.zeros_like(root) if dot is None else dot for root, dot in zip(roots, found, strict=True)]
    return rebuild([derivative.closed(root) for root in roots]), rebuild([derivative.closed(dot) for dot in results])


def jacobian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The matrix of first derivatives, by one walk for each element of the result.

    Returns
    -------
    callable
        Gives for each result and argument an array of shape ``(*result.shape, *argument.shape)``.
    """

    @functools.wraps(f)
    def matrix(*args: Any, **kwargs: Any) -> Any:
        with _Derivative(args, argnums, kwargs) as derivative:
            outputs, rebuild = flatten(f(*derivative.args, **kwargs))
            roots = [_tensor(output) for output in outputs]
            rows = [derivative.arranged(_jacobian_rows(derivative, root)) for root in roots]
        return rebuild(rows)

    return matrix


def hessian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The matrix of second derivatives of a scalar function, shaped ``(*argument.shape, *argument.shape)``."""
    return jacobian(grad(f, argnums), argnums)


def stop_gradient(x: Any) -> Any:
    """The same values; no gradient flows through."""
    return map_structure(lambda leaf: plain(leaf.value) if isinstance(leaf, Tensor) else leaf, x)


class _Derivative:
    """One derivative being taken: its arguments opened for differentiation, its results closed again.

    Arguments that are tracked already are cut from their history by an alias, at which the walk stops; the history
    stays reachable for the derivative around this one.
    """

    def __init__(
        self, args: tuple[Any, ...], argnums: int | Sequence[int], kwargs: dict[str, Any] | None = None
    ) -> None:
        self.single = isinstance(argnums, int)
        self.positions = [_position(n, args) for n in ([argnums] if isinstance(argnums, int) else argnums)]
        self.outside = grad_depth.get()
        every, _ = flatten([*args, kwargs or {}])
        tensors = any(isinstance(leaf, Tensor) for leaf in every)
        self.returns_tensors = tensors or self.outside > 0
        # Recorded even if none of these is tracked: the function may hold parameters that are.
        self.create = self.outside > 0 or (grad_enabled() and tensors)
        flattened = [flatten(args[position]) for position in self.positions]
        self._counts = [len(leaves) for leaves, _ in flattened]
        self._rebuild = [rebuild for _, rebuild in flattened]
        self._given = [leaf for leaves, _ in flattened for leaf in leaves]
        self.args: list[Any] = list(args)
        self.leaves: list[Tensor] = []

    def __enter__(self) -> _Derivative:
        self._level = _one_deeper()
        self._level.__enter__()
        try:
            self.leaves = [_opened(leaf) for leaf in self._given]
        except BaseException:
            self._level.__exit__(None, None, None)
            raise
        for position, part in zip(self.positions, self._split(self.leaves), strict=True):
            self.args[position] = part
        return self

    def __exit__(self, *error: Any) -> None:
        self._level.__exit__(*error)

    @contextmanager
    def resumed(self, cotangents: Sequence[Any]) -> Iterator[None]:
        """Go on with a derivative whose function has returned, perhaps inside another one by now."""
        inside = grad_depth.get() > 0
        tracked = any(isinstance(cotangent, Tensor) for cotangent in cotangents)
        self.returns_tensors = self.returns_tensors or inside or tracked
        self.create = self.create or inside or tracked
        with _one_deeper():
            yield

    def pull_back(
        self, roots: Sequence[Any], cotangents: Sequence[Any], *, retain_graph: bool, create_graph: bool | None = None
    ) -> list[Any]:
        """The gradients of the opened arguments, zeros where nothing flows."""
        create = self.create if create_graph is None else create_graph
        found = _walk_back(roots, cotangents, self.leaves, create_graph=create, retain_graph=retain_graph)
        return [
            xp.zeros_like(leaf.value) if gradient is None else gradient
            for leaf, gradient in zip(self.leaves, found, strict=True)
        ]

    def closed(self, x: Any) -> Any:
        """A result as the caller gets it: a Tensor where Tensors came in or a derivative is taken outside."""
        if self.returns_tensors:
            return _tensor(x) if hasattr(x, "dtype") else x
        return _raw(x)

    def arranged(self, gradients: Sequence[Any]) -> Any:
        """Gradients in the structure of the arguments they belong to."""
        parts = self._split([self.closed(gradient) for gradient in gradients])
        return parts[0] if self.single else tuple(parts)

    def _split(self, leaves: Sequence[Any]) -> list[Any]:
        parts, start = [], 0
        for count, rebuild in zip(self._counts, self._rebuild, strict=True):
            parts.append(rebuild(leaves[start : start + count]))
            start += count
        return parts


@contextmanager
def _one_deeper() -> Iterator[None]:
    token = grad_depth.set(grad_depth.get() + 1)
    try:
        with enable_grad():
            yield
    finally:
        grad_depth.reset(token)


def _walk_back(
    roots: Sequence[Any],
    cotangents: Sequence[Any],
    leaves: Sequence[Tensor],
    *,
    create_graph: bool,
    retain_graph: bool = False,
) -> list[Any]:
    starts = []
    for root, cotangent in zip(roots, cotangents, strict=True):
        origin = _origin(root)
        if origin is not None:
            starts.append((origin, _tensor(cotangent) if create_graph else _raw(cotangent)))
    wanted = [leaf.node for leaf in leaves if leaf.node is not None]
    return walk(starts, wanted=wanted, create_graph=create_graph, retain_graph=retain_graph)


def _jacobian_rows(derivative: _Derivative, root: Tensor) -> list[Any]:
    if dtype_kind(root.dtype) == "complex":
        raise GradientError("jacobian: the function's result is complex; differentiate its real and imaginary parts")
    value = root.value
    basis = namespace(value).eye(value.size, dtype=value.dtype, device=device_of(value))
    rows = [
        derivative.pull_back([root], [xp.reshape(basis[i, ...], value.shape)], retain_graph=True)
        for i in range(value.size)
    ]
    shape = tuple(value.shape)
    columns = zip(*rows, strict=True) if rows else [[] for _ in derivative.leaves]
    return [
        xp.reshape(xp.stack(list(column)), (*shape, *leaf.shape)) if column else _no_rows(leaf, shape)
        for leaf, column in zip(derivative.leaves, columns, strict=True)
    ]


def _no_rows(leaf: Tensor, shape: tuple[int, ...]) -> Any:
    value = leaf.value
    return namespace(value).zeros((*shape, *leaf.shape), dtype=value.dtype, device=device_of(value))


def _opened(leaf: Any) -> Tensor:
    """An argument as the start of a new record."""
    if isinstance(leaf, Tensor) and leaf.node is not None:
        return xp.alias(leaf)  # type: ignore[no-any-return]
    if type(leaf) in (float, complex):
        leaf = get_backend().asarray(leaf)
    elif type(leaf) in (bool, int):
        raise DtypeError(f"a derivative needs real or complex arguments, got the {type(leaf).__name__} {leaf!r}")
    return Tensor(leaf, requires_grad=True)


def _scalar(value: Any, f: Callable[..., Any]) -> Tensor:
    name = getattr(f, "__name__", repr(f))
    shape = getattr(value, "shape", () if isinstance(value, float | int) else None)
    if shape != ():
        raise GradientError(
            f"grad: {name} must return a scalar, got {'no array' if shape is None else f'shape {shape}'}"
        )
    root = _tensor(value)
    if dtype_kind(root.dtype) != "float":
        raise GradientError(f"grad: {name} must return a real number, got {root.dtype}")
    return root


def _check_like(given: Sequence[Any], expected: Sequence[Any], name: str) -> None:
    if len(given) != len(expected):
        raise ShapeError(f"{name}: expected {len(expected)} arrays, got {len(given)}")
    for got, like in zip(given, expected, strict=True):
        if getattr(got, "shape", ()) != like.shape:
            raise ShapeError(f"{name}: expected shape {like.shape}, got {getattr(got, 'shape', ())}")


def _position(argnum: int, args: tuple[Any, ...]) -> int:
    if not -len(args) <= argnum < len(args):
        raise ArgumentError(f"argnums: {argnum} is out of range for {len(args)} positional arguments")
    return argnum % len(args)


def _tensor(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x
    return plain(x) if hasattr(x, "dtype") else plain(get_backend().asarray(float(x)))


def _tensor_like(x: Any, like: Any) -> Any:
    """A tangent beside a gradient: Python scalars become arrays on its backend."""
    return x if hasattr(x, "dtype") else xp.full_like(_raw(like), x)


def _raw(x: Any) -> Array:
    return x.value if isinstance(x, Tensor) else x


def _origin(x: Any) -> Origin | None:
    return x.node if isinstance(x, Tensor) else None
