"""The differentiable array: an Array API array that remembers where it came from.

A `Tensor` wraps a raw array of any backend.  Its methods and its namespace are those of the standard, so any Array API
code differentiates through it.  Kernels and operations that meet one ask it (`__portml_evaluate__`) what to do: compute
on the raw values, and, where a gradient is wanted, leave a node on the tape.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from portml.autograd.cotangent import cotangent_of, gradient_like
from portml.autograd.modes import grad_enabled
from portml.autograd.tape import Leaf, Node, Origin, Part, Wrapping, next_sequence, walk
from portml.backends import (
    Array,
    Backend,
    backend_of,
    dtype_kind,
    get_backend,
    library_of,
    namespace,
    operations,
    to_numpy,
)
from portml.backends.doorway import change, unrepeatable
from portml.backends.kernel import Kernel
from portml.errors import ArgumentError, DtypeError, GradientError, ShapeError

__all__ = ["Tensor", "lift", "plain"]

_SCALARS = frozenset({bool, int, float, complex, type(None)})
_NAMESPACES: dict[type, Any] = {}
_new = object.__new__


class Tensor:
    """An array of any backend that can be differentiated.

    Parameters
    ----------
    value : array or Tensor
        A raw array of any backend; it is not copied.  A Tensor gives its value.
    requires_grad : bool
        Whether gradients with respect to this Tensor are wanted.

    Attributes
    ----------
    value : array
        The raw array.
    grad : Tensor or None
        The gradient that `backward` deposited.
    requires_grad : bool

    Raises
    ------
    DtypeError
        If a gradient is wanted of a data type that holds no fractions.
    """

    __slots__ = ("__weakref__", "node", "value")
    __array_ufunc__ = None
    __array_priority__ = 1000.0
    _counts_as_array = False

    value: Any
    node: Origin | None

    def __init__(self, value: Array, requires_grad: bool = False) -> None:
        if isinstance(value, Tensor):
            value = value.value
        library_of(value)
        if not hasattr(value, "__setitem__"):  # NumPy's scalars cannot be written in place
            value = get_backend("numpy").asarray(value)
        if requires_grad:
            _check_differentiable(value.dtype)
        self.value = value
        self.node = Leaf() if requires_grad else None

    # What an array of the standard has

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.value.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.value.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.value.size  # type: ignore[no-any-return]

    @property
    def dtype(self) -> Any:
        """Data type, in the words of the backend's library."""
        return self.value.dtype

    @property
    def device(self) -> Any:
        """Device, in the words of the backend's library."""
        return self.value.device

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
        return operations.matrix_transpose(self)  # type: ignore[no-any-return]

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix."""
        if self.ndim != 2:
            raise ShapeError(f"T takes a matrix, got shape {self.shape}; use mT or permute_dims")
        return operations.matrix_transpose(self)  # type: ignore[no-any-return]

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        found = _NAMESPACES.get(type(self.value)) if api_version is None else None
        if found is None:
            from portml.autograd.namespaces import tensor_namespace

            found = _NAMESPACES[type(self.value)] = tensor_namespace(library_of(self.value), api_version)
        return found

    def to_device(self, device: Any, /, *, stream: Any = None) -> Tensor:
        """Copy to another device of the same library."""
        if stream is not None:
            raise ArgumentError(f"stream: expected None, got {stream!r}; streams are the backend's affair")
        return operations.to_device(self, device)  # type: ignore[no-any-return]

    def __dlpack__(
        self,
        /,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[Any, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        self._refuse_if_tracked("__dlpack__")
        options = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        given = {name: option for name, option in options.items() if option is not None}
        return _exportable(self.value).__dlpack__(**given)

    def __dlpack_device__(self) -> Any:
        return _exportable(self.value).__dlpack_device__()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        self._refuse_if_tracked("__array__")
        if not backend_of(self.value).host:
            raise DtypeError("a Tensor on a device is not copied to the host silently; use Tensor.numpy()")
        return _exportable(self.value).__array__(dtype, copy=copy)

    # Differentiation

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this Tensor; can be set on one that was not computed."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if type(self.node) in (Node, Part):
            raise GradientError("requires_grad can be set on leaves only; this Tensor was computed, use detach()")
        change()
        if wanted and self.node is None:
            _check_differentiable(self.dtype)
            self.node = self._fresh_leaf()
        elif not wanted:
            self.node = None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` deposited since it was last cleared; None if there was none."""
        leaf = self._leaf()
        if leaf is None:
            return None
        if leaf.sink is not None and leaf.gradient is None:
            return None if leaf.absent else plain(leaf.sink)
        return leaf.gradient  # type: ignore[no-any-return]

    @grad.setter
    def grad(self, gradient: Array | None) -> None:
        leaf = self._leaf()
        if leaf is None:
            raise GradientError("grad: this Tensor takes no gradient; make it with requires_grad=True")
        given = None if gradient is None else lift(gradient_like(self, gradient, "grad"))
        leaf.clear()
        if given is not None:
            leaf.deposit(given)

    def backward(
        self, gradient: Array | None = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Compute the gradients of this Tensor and add them to the ``grad`` of every leaf that led to it.

        Parameters
        ----------
        gradient : array, optional
            The cotangent, of this Tensor's shape; may be left out for a scalar, where it is 1.
        retain_graph : bool, optional
            Keep the record for another call; by default only with `create_graph`.
        create_graph : bool
            Record this walk too, so that the gradients can be differentiated.

        Raises
        ------
        GradientError
            If nothing was recorded, the record was freed, or a parameter was written since.
        ShapeError
            If the Tensor is no scalar and no gradient is given, or one of another shape.
        """
        if self.node is None:
            raise GradientError("backward: nothing was recorded; no input of this Tensor has requires_grad=True")
        cotangent = cotangent_of(self, gradient)
        if not create_graph and isinstance(cotangent, Tensor):
            cotangent = cotangent.value
        walk([(self.node, cotangent)], create_graph=create_graph, retain_graph=bool(retain_graph))

    def detach(self) -> Tensor:
        """The same value without its history."""
        return plain(self.value)

    def requires_grad_(self, wanted: bool = True) -> Tensor:
        """Set `requires_grad` and return the Tensor itself."""
        self.requires_grad = wanted
        return self

    # To the host, explicitly

    def numpy(self) -> Any:
        """The value as a NumPy array; waits for the device."""
        return to_numpy(self.value)

    def item(self) -> Any:
        """The single value as a Python scalar; waits for the device."""
        if self.size != 1:
            raise ShapeError(f"item takes a Tensor of one element, got shape {self.shape}")
        return to_numpy(self.value).item()

    def to(self, backend: str | Backend) -> Tensor:
        """The value on another backend, without its history; this Tensor itself if it is there already."""
        opened = get_backend(backend)
        if opened is backend_of(self.value):
            return self
        return plain(opened.asarray(self.value))

    # Python's protocols

    def __bool__(self) -> bool:
        unrepeatable("the truth of a Tensor is asked for")
        return bool(self.value)

    def __int__(self) -> int:
        unrepeatable("int() of a Tensor reads a number on the host")
        return int(self.value)

    def __index__(self) -> int:
        unrepeatable("a Tensor as an index is read on the host")
        return operator.index(self.value)

    def __float__(self) -> float:
        unrepeatable("float() of a Tensor reads a number on the host")
        return float(self.value)

    def __complex__(self) -> complex:
        unrepeatable("complex() of a Tensor reads a number on the host")
        return complex(self.value)

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("a Tensor without axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise ShapeError("a Tensor without axes cannot be iterated over")
        return iter(operations.unstack(self, axis=0))

    def __repr__(self) -> str:
        tracked = ", requires_grad=True" if type(self.node) is Leaf else ""
        if type(self.node) in (Node, Part):
            node = self.node.node if type(self.node) is Part else self.node
            tracked = f", from {node.kernel.name}"  # type: ignore[union-attr]
        return f"{type(self).__name__}({self.value!r}{tracked})"

    def __getitem__(self, key: Any, /) -> Tensor:
        from portml.backends.kernels import indexing

        template, arrays = indexing.split_key(key)
        return indexing.getitem(self, *arrays, key=template)  # type: ignore[no-any-return]

    def __setitem__(self, key: Any, value: Any, /) -> None:
        """Write into this Tensor.

        The write makes a new array, so that what was recorded of the old one stays right, and gradients flow through
        it.  Raw arrays and Tensors that shared memory with this one do not see it.  A leaf that requires a gradient
        can be written inside `no_grad` only, in place; its older records are then refused by `backward`.
        """
        from portml.backends.kernels import indexing

        self._refuse_unfit_value(value)
        template, arrays = indexing.split_key(key)
        self._become(indexing.setitem(lift_beside(self), value, *arrays, key=template))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the value, as an array of the host, and whether a gradient is wanted; a history cannot be kept."""
        self._refuse_if_computed()
        backend = backend_of(self.value)
        return _unpickled, (type(self), backend.name, backend.to_numpy(self.value), self.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """A leaf with a copy of the value; what was computed has a history, which cannot be copied."""
        self._refuse_if_computed()
        copied = memo[id(self)] = type(self)(namespace(self.value).asarray(self.value, copy=True), self.requires_grad)
        return copied

    # Called by kernels

    @staticmethod
    def __portml_evaluate__(kernel: Kernel, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        from portml.autograd.evaluate import evaluator

        return evaluator(kernel, tuple(map(type, arguments)))

    def _leaf(self) -> Leaf | None:
        return self.node if type(self.node) is Leaf else None

    def _fresh_leaf(self) -> Leaf:
        return Leaf()

    def _become(self, changed: Any) -> None:
        """Take the value and the history of a changed copy; a leaf's value is written in place."""
        leaf = self._leaf()
        node = changed.node if isinstance(changed, Tensor) else None
        if leaf is None:
            self.value, self.node = _raw(changed), node
            return
        if grad_enabled() and (self.node is not None or node is not None):
            raise GradientError(
                "a leaf that requires a gradient was written in place; do it inside no_grad(), or write to a copy"
            )
        operations.write_into(self.value, _raw(changed))
        leaf.written = next_sequence()

    def _refuse_unfit_value(self, value: Any) -> None:
        if value is None:
            raise ArgumentError("value: expected a number or an array to write, got None")
        kind = dtype_kind(value.dtype) if hasattr(value, "dtype") else type(value).__name__
        if kind == "complex" and dtype_kind(self.dtype) != "complex":
            raise DtypeError(f"value: expected real numbers as in the Tensor, {self.dtype}, got complex ones")

    def _refuse_if_computed(self) -> None:
        if type(self.node) in (Node, Part):
            raise GradientError("a Tensor that was computed cannot be copied or pickled with its history; use detach()")

    def _refuse_if_tracked(self, what: str) -> None:
        if self.node is not None:
            raise GradientError(f"{what} would lose the history of a Tensor that requires a gradient; use detach()")


def plain(value: Array) -> Tensor:
    """A Tensor without history around a raw array, unchecked."""
    tensor = _new(Tensor)
    tensor.value = value
    tensor.node = None
    return tensor


def tracked(value: Array, node: Origin) -> Tensor:
    """A Tensor around a raw array that came from `node`, unchecked."""
    tensor = _new(Tensor)
    tensor.value = value
    tensor.node = node
    return tensor


def lift(x: Any) -> Any:
    """A raw array as a Tensor; Tensors, Python scalars and None stay as they are."""
    return x if type(x) in _SCALARS or isinstance(x, Tensor) else plain(x)


def lift_beside(tensor: Tensor) -> Tensor:
    """Another Tensor with the same value and history."""
    beside = plain(tensor.value)
    beside.node = tensor.node
    return beside


def _raw(x: Any) -> Any:
    return x.value if isinstance(x, Tensor) else x


def _check_differentiable(dtype: Any) -> None:
    if dtype_kind(dtype) not in ("float", "complex"):
        raise DtypeError(f"requires_grad: expected a real or complex floating data type, got {dtype}; convert it first")


def _unpickled(kind: type[Tensor], backend: str, value: Any, requires_grad: bool) -> Tensor:
    return kind(get_backend(backend).asarray(value), requires_grad)


def _exportable(value: Any) -> Any:
    """NumPy's scalars, which stand for zero-dimensional arrays, as arrays."""
    return value if hasattr(value, "__dlpack__") else get_backend("numpy").asarray(value)


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "pow", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}  # fmt: skip
_COMPARISONS = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip
_SIGNS = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}


def _operator(name: str, function: Callable[[Any, Any], Any], reflected: bool) -> Callable[[Any, Any], Any]:
    """A binary operator; what is no operand is left to the other side's reflected operator."""

    def operate(self: Tensor, other: Any, /) -> Any:
        if type(other) not in _OPERANDS and not _is_operand(other):
            return NotImplemented
        return function(other, self) if reflected else function(self, other)

    operate.__name__ = operate.__qualname__ = name
    return operate


def _operator_in_place(name: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A binary operator that changes its left operand, as `Tensor.__setitem__` does."""

    def operate(self: Tensor, other: Any, /) -> Any:
        if type(other) not in _OPERANDS and not _is_operand(other):
            return NotImplemented
        changed = function(self, other)
        if changed.shape != self.shape:
            raise ShapeError(f"{name}: expected a result of shape {self.shape}, got {changed.shape}; write x = x + y")
        if changed.dtype != self.dtype:
            raise DtypeError(f"{name}: expected a result of {self.dtype}, got {changed.dtype}; write x = x + y")
        self._become(changed)
        return self

    operate.__name__ = operate.__qualname__ = name
    return operate


_OPERANDS: set[type] = {bool, int, float, complex, Tensor}


def _is_operand(other: Any) -> bool:
    """Whether `other` is an array of some library; remembered by type."""
    if not isinstance(other, Tensor):
        try:
            library_of(other)
        except ArgumentError:
            return False
    _OPERANDS.add(type(other))
    return True


def _give_operators() -> None:
    for short, name in _OPERATORS.items():
        function = operations.operation(name).function
        setattr(Tensor, f"__{short}__", _operator(f"__{short}__", function, reflected=False))
        setattr(Tensor, f"__r{short}__", _operator(f"__r{short}__", function, reflected=True))
        setattr(Tensor, f"__i{short}__", _operator_in_place(f"__i{short}__", function))
    for short, name in _COMPARISONS.items():
        function = operations.operation(name).function
        setattr(Tensor, f"__{short}__", _operator(f"__{short}__", function, reflected=False))
    for short, name in _SIGNS.items():
        setattr(Tensor, f"__{short}__", operations.operation(name).prepare())
    Tensor.__hash__ = object.__hash__  # type: ignore[method-assign]


_give_operators()
Wrapping.plain = plain
Wrapping.tracked = tracked
Wrapping.is_tensor = lambda x: isinstance(x, Tensor)
