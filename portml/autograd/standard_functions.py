"""The standard's functions on Tensors, generated with the standard's own parameters.

A generated function looks up by the types of its arguments what runs (`portml.autograd.evaluate`) and calls it: it
costs one look into a dictionary.  Whatever comes in, Tensors go out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from portml.autograd.evaluate import evaluator
from portml.autograd.tensor import Tensor, plain
from portml.backends import Array, library_of, operations
from portml.backends.doorway import observers
from portml.backends.kernel import REQUIRED, Signature
from portml.backends.namespaces import Library, dtype_kind
from portml.errors import ArgumentError, MixedBackendsError

__all__ = [
    "EXTENSIONS",
    "FloatingInfo",
    "asarray_of",
    "can_cast_of",
    "computing",
    "creating",
    "finfo_of",
    "iinfo_of",
    "result_type_of",
    "split_name",
]

EXTENSIONS = ("fft", "linalg")
_MODULE = "portml.autograd.namespace"
_SEQUENCES_AND_SCALARS = frozenset({list, tuple, bool, int, float, complex})

# The standard's parameters where they are not simply an operation's arrays and then its statics.
_PARAMETERS = {
    "arange": "start, /, stop=None, step=1, *, dtype=None, device=None",
    "astype": "x, dtype, /, *, copy=True, device=None",
    "clip": "x, /, min=None, max=None",
    "concat": "arrays, /, *, axis=0",
    "diff": "x, /, *, axis=-1, n=1, prepend=None, append=None",
    "empty": "shape, *, dtype=None, device=None",
    "eye": "n_rows, n_cols=None, /, *, k=0, dtype=None, device=None",
    "fft_fftfreq": "n, /, *, d=1.0, dtype=None, device=None",
    "fft_rfftfreq": "n, /, *, d=1.0, dtype=None, device=None",
    "from_dlpack": "x, /, *, device=None, copy=None",
    "full": "shape, fill_value, *, dtype=None, device=None",
    "linalg_matrix_power": "x, n, /",
    "linalg_matrix_rank": "x, /, *, rtol=None",
    "linalg_pinv": "x, /, *, rtol=None",
    "linspace": "start, stop, /, num, *, dtype=None, device=None, endpoint=True",
    "moveaxis": "x, source, destination, /",
    "ones": "shape, *, dtype=None, device=None",
    "searchsorted": "x1, x2, /, *, side='left', sorter=None",
    "stack": "arrays, /, *, axis=0",
    "tile": "x, repetitions, /",
    "zeros": "shape, *, dtype=None, device=None",
}


class EighResult(NamedTuple):
    """Eigenvalues and eigenvectors."""

    eigenvalues: Array
    eigenvectors: Array


class QRResult(NamedTuple):
    """An orthonormal and an upper triangular factor."""

    Q: Array
    R: Array


class SlogdetResult(NamedTuple):
    """Sign and logarithm of the absolute value of a determinant."""

    sign: Array
    logabsdet: Array


class SVDResult(NamedTuple):
    """Singular vectors, singular values, and adjoint singular vectors."""

    U: Array
    S: Array
    Vh: Array


class UniqueAllResult(NamedTuple):
    """Unique values, where each first stands, which of them each element has, and how often each occurs."""

    values: Array
    indices: Array
    inverse_indices: Array
    counts: Array


class UniqueCountsResult(NamedTuple):
    """Unique values, and how often each occurs."""

    values: Array
    counts: Array


class UniqueInverseResult(NamedTuple):
    """Unique values, and which of them each element has."""

    values: Array
    inverse_indices: Array


_RESULTS: dict[str, Any] = {
    "linalg_eig": EighResult,
    "linalg_eigh": EighResult,
    "linalg_qr": QRResult,
    "linalg_slogdet": SlogdetResult,
    "linalg_svd": SVDResult,
    "unique_all": UniqueAllResult,
    "unique_counts": UniqueCountsResult,
    "unique_inverse": UniqueInverseResult,
}


class FloatingInfo(NamedTuple):
    """Limits of a floating data type as Python numbers, which change no array's data type."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: Any


_COMPUTING: dict[str, Callable[..., Any]] = {}


def split_name(name: str) -> tuple[str, str]:
    """The extension of the standard to which an operation belongs ("" for none), and its name there."""
    group, _, own = name.partition("_")
    return (group, own) if group in EXTENSIONS else ("", name)


def computing(name: str, library: Library) -> Callable[..., Any]:
    """The function that does an operation on Tensors of any library.

    Raises
    ------
    AttributeError
        If `library` does not have it.
    """
    operations.raw_function(library.xp, name)
    made = _COMPUTING.get(name)
    if made is None:
        made = _COMPUTING[name] = _astype() if name == "astype" else _dispatching(name)
    return made


def creating(name: str, library: Library, module: str) -> Callable[..., Any]:
    """The function that creates Tensors on a library, as a member of the namespace of that module's name."""
    kernel = operations.creation(name, library)
    given = ", ".join(f"{static}={static}" for static in kernel.signature.statics)
    scope = {
        "create": kernel.implementation(),
        "pass_doorway": kernel.function,
        "plain": plain,
        "watched": observers.get,
    }
    doc = f"The standard's ``{split_name(name)[1]}``; on the library's default device unless told otherwise."
    body = f"return plain(pass_doorway({given}) if watched() else create({given}))"
    return _generated(name, body, scope, module, doc)


def asarray_of(library: Library) -> Callable[..., Tensor]:
    """``asarray`` for the Tensors of a library."""
    kernel = operations.creation("asarray", library)
    create, pass_doorway, watched = kernel.implementation(), kernel.function, observers.get

    def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Tensor:
        """The standard's ``asarray``.  Differentiable: a Tensor keeps its history; unchanged, it is returned itself."""
        if type(obj) not in _SEQUENCES_AND_SCALARS and _belongs(obj, library):
            tensor = obj if isinstance(obj, Tensor) else plain(obj)
            return _converted(tensor, dtype, device, copy)
        make = pass_doorway if watched() else create
        return plain(make(obj=obj, dtype=dtype, device=device, copy=copy))

    asarray.__module__, asarray.__qualname__ = _MODULE, "asarray"
    return asarray


def can_cast_of(xp: Any) -> Callable[..., bool]:
    """``can_cast`` of a library, for Tensors too."""

    def can_cast(from_: Any, to: Any, /) -> bool:
        """Whether one data type can be cast to another by the standard's promotion rules."""
        return bool(xp.can_cast(_dtype_of(from_), to))

    return can_cast


def finfo_of(xp: Any) -> Callable[..., FloatingInfo]:
    """``finfo`` of a library, for Tensors too."""

    def finfo(type: Any, /) -> FloatingInfo:
        """Limits of a floating data type, or of that of an array."""
        found = xp.finfo(_dtype_of(type))
        eps, most, least, smallest = map(float, (found.eps, found.max, found.min, found.smallest_normal))
        return FloatingInfo(int(found.bits), eps, most, least, smallest, found.dtype)

    return finfo


def iinfo_of(xp: Any) -> Callable[..., Any]:
    """``iinfo`` of a library, for Tensors too."""

    def iinfo(type: Any, /) -> Any:
        """Limits of an integer data type, or of that of an array."""
        return xp.iinfo(_dtype_of(type))

    return iinfo


def result_type_of(xp: Any) -> Callable[..., Any]:
    """``result_type`` of a library, for Tensors too."""

    def result_type(*arrays_and_dtypes: Any) -> Any:
        """The data type of a result of these arrays, scalars and data types by the standard's promotion rules."""
        return xp.result_type(*map(_dtype_of, arrays_and_dtypes))

    return result_type


def _dispatching(name: str) -> Callable[..., Any]:
    kernel = operations.operation(name)
    arrays = kernel.signature.arrays
    given = "".join(f", {static}={static}" for static in kernel.signature.statics)
    gradient = "Differentiable." if kernel.differentiable else "No gradient flows through it."
    doc = f"The standard's ``{split_name(name)[1]}``.  {gradient}"
    if arrays[0].startswith("*"):
        scope: dict[str, Any] = {"evaluate": evaluator(kernel, (), wrapping=True)}
        return _generated(name, f"return evaluate(*arrays{given})", scope, _MODULE, doc)
    cache: dict[Any, Callable[..., Any]] = {}

    def resolve(*arguments: Any) -> Callable[..., Any]:
        types = tuple(map(type, arguments))
        found = cache[types if len(types) > 1 else types[0]] = evaluator(kernel, types, wrapping=True)
        return found

    call = f"evaluate({', '.join(arrays)}{given})"
    body = f"""try:
        evaluate = cache[{", ".join(f"type({array})" for array in arrays)}]
    except KeyError:
        evaluate = resolve({", ".join(arrays)})
    return {f"named({call})" if name in _RESULTS else call}"""
    named = _RESULTS[name]._make if name in _RESULTS else None
    return _generated(name, body, {"cache": cache, "resolve": resolve, "named": named}, _MODULE, doc)


def _astype() -> Callable[..., Any]:
    convert, cast = _dispatching("astype"), _dispatching("cast")

    def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
        """The standard's ``astype``.  Differentiable, but no gradient flows through a type that holds no fractions."""
        function = convert if dtype_kind(dtype) in ("float", "complex") else cast
        return function(x, dtype, copy=copy, device=device)

    astype.__module__, astype.__qualname__ = _MODULE, "astype"
    return astype


def _generated(name: str, body: str, scope: dict[str, Any], module: str, doc: str) -> Callable[..., Any]:
    """A function with the standard's parameters and this body."""
    extension, own = split_name(name)
    exec(compile(f"def {own}({_parameters(name)}):\n    {body}\n", f"<{name} on Tensors>", "exec"), scope)
    function: Callable[..., Any] = scope[own]
    function.__module__ = f"{module}.{extension}" if extension and not module.endswith(extension) else module
    function.__doc__ = doc
    return function


def _parameters(name: str) -> str:
    if name in _PARAMETERS:
        return _PARAMETERS[name]
    signature = operations.operation(name).signature
    keywords = [_declared(signature, static) for static in signature.statics if static not in signature.positional]
    if signature.arrays[0].startswith("*"):
        return ", ".join([*signature.arrays, *keywords])
    parts = [*signature.arrays, "/", *(_declared(signature, static) for static in signature.positional)]
    return ", ".join([*parts, "*", *keywords] if keywords else parts)


def _declared(signature: Signature, static: str) -> str:
    default = signature.statics[static]
    return static if default is REQUIRED else f"{static}={default!r}"


def _belongs(obj: Any, library: Library) -> bool:
    """Whether `obj` is an array or Tensor of the library."""
    if isinstance(obj, Tensor):
        found = library_of(obj.value)
        if found is not library:
            raise MixedBackendsError(
                f"asarray: expected a Tensor with {library.name} values, got one with {found.name} values; "
                f"move it with Tensor.to({library.name!r})"
            )
        return True
    try:
        return library_of(obj) is library
    except ArgumentError:
        return False


def _converted(tensor: Tensor, dtype: Any, device: Any, copy: bool | None) -> Tensor:
    moves = device is not None and tensor.device != device
    converts = dtype is not None and tensor.dtype != dtype
    if copy is False and (moves or converts):
        raise ArgumentError(
            f"copy: asarray cannot avoid a copy from {tensor.dtype} on {tensor.device} "
            f"to {dtype or tensor.dtype} on {device or tensor.device}; leave copy out"
        )
    if moves:
        tensor = operations.to_device(tensor, device)
    if converts or (copy and not moves):
        tensor = operations.astype(tensor, tensor.dtype if dtype is None else dtype)
    return tensor


def _dtype_of(x: Any) -> Any:
    return x.dtype if isinstance(x, Tensor) else x
