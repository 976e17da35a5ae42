"""Every function of the Array API standard as one polymorphic function.

``operations.matmul(a, b)`` takes raw arrays of any library, or Tensors, and follows them; so the rules of
differentiation are written once.  Each is a kernel without a body of ours: the arrays' own library has it.  They are
made from one table when first asked for.

Functions that create arrays out of nothing need a library to create on: `creation` gives one of them.  Code that
follows an array uses ``namespace(x).zeros(...)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from portml.backends.kernel import REQUIRED, Kernel, KernelFunction, Signature, kernel
from portml.backends.namespaces import NUMPY, Array, Library, dtype_kind
from portml.backends.numpy_standard import NUMPY_STANDARD

__all__ = [
    "creation",
    "creation_names",
    "operation",
    "operation_names",
    "operation_table",
    "raw_function",
    "write_into",
]


class Row(NamedTuple):
    """One function of the standard: its array parameters, its statics, and what a recording must know."""

    signature: Signature
    kind: str = "out"
    differentiable: bool = True


def _row(arrays: str, *positional: str, kind: str = "out", differentiable: bool = True, **statics: Any) -> Row:
    """`positional` names required statics that may be given by position."""
    every = dict.fromkeys(positional, REQUIRED) | statics
    return Row(Signature(tuple(arrays.split()), every, positional), kind, differentiable)


def _index(arrays: str, *positional: str, **statics: Any) -> Row:
    """A function whose result is no differentiable number: an index, a truth value, an integer."""
    return _row(arrays, *positional, differentiable=False, **statics)


def _view(arrays: str, *positional: str, **statics: Any) -> Row:
    return _row(arrays, *positional, kind="view", **statics)


def _creates(*positional: str, **statics: Any) -> Row:
    """A function that makes an array out of nothing; the library takes the `positional` statics by position."""
    every = dict.fromkeys(positional, REQUIRED) | statics | {"dtype": None, "device": None}
    return Row(Signature(("*arrays",), every), "fresh", False)


_UNARY = """abs acos acosh asin asinh atan atanh ceil conj cos cosh exp expm1 floor imag log log1p log2 log10 negative
    positive real reciprocal round sign sin sinh square sqrt tan tanh trunc"""
_BINARY = """add atan2 copysign divide floor_divide hypot logaddexp maximum minimum multiply nextafter pow
    remainder subtract"""
_UNARY_INDEX = "bitwise_invert isfinite isinf isnan logical_not signbit"
_BINARY_INDEX = """bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor equal greater greater_equal
    less less_equal logical_and logical_or logical_xor not_equal"""
_REDUCED: dict[str, Any] = {"axis": None, "keepdims": False}
_SORTED: dict[str, Any] = {"axis": -1, "descending": False, "stable": True}
_FFT: dict[str, Any] = {"n": None, "axis": -1, "norm": "backward"}
_FFTN: dict[str, Any] = {"s": None, "axes": None, "norm": "backward"}

_TABLE: dict[str, Row] = {
    **{name: _row("x") for name in _UNARY.split()},
    **{name: _row("x1 x2") for name in _BINARY.split()},
    **{name: _index("x") for name in _UNARY_INDEX.split()},
    **{name: _index("x1 x2") for name in _BINARY_INDEX.split()},
    # Array parameters that may be left out are given their None in the functions below.
    "clip": _row("x min max"),
    "where": _row("condition x1 x2"),
    # Types and shapes
    "alias": _view("x"),
    "astype": _row("x", "dtype", copy=True, device=None),
    "cast": _index("x", "dtype", copy=True, device=None),
    "broadcast_to": _view("x", "shape"),
    "broadcast_arrays": _view("*arrays"),
    "concat": _row("*arrays", axis=0),
    "expand_dims": _view("x", "axis"),
    "flip": _row("x", axis=None),
    "meshgrid": _view("*arrays", indexing="xy"),
    "moveaxis": _view("x", "source", "destination"),
    "permute_dims": _view("x", "axes"),
    "repeat": _row("x repeats", axis=None),
    "reshape": _view("x", "shape", copy=None),
    "roll": _row("x", "shift", axis=None),
    "squeeze": _view("x", "axis"),
    "stack": _row("*arrays", axis=0),
    "tile": _row("x", "repetitions"),
    "tril": _row("x", k=0),
    "triu": _row("x", k=0),
    "unstack": _view("x", axis=0),
    "to_device": _row("x", "device"),
    # Like another array
    "empty_like": _row("x", kind="fresh", differentiable=False, dtype=None, device=None),
    "full_like": _row("x", "fill_value", kind="fresh", differentiable=False, dtype=None, device=None),
    "ones_like": _row("x", kind="fresh", differentiable=False, dtype=None, device=None),
    "zeros_like": _row("x", kind="fresh", differentiable=False, dtype=None, device=None),
    # Searching, sorting, sets
    "argmax": _index("x", axis=None, keepdims=False),
    "argmin": _index("x", axis=None, keepdims=False),
    "argsort": _index("x", **_SORTED),
    "count_nonzero": _index("x", axis=None, keepdims=False),
    "isin": _index("x1 x2", invert=False),
    "nonzero": _index("x"),
    "searchsorted": _index("x1 x2 sorter", side="left"),
    "sort": _row("x", **_SORTED),
    "take": _row("x indices", axis=None),
    "take_along_axis": _row("x indices", axis=-1),
    "unique_all": _row("x"),
    "unique_counts": _row("x"),
    "unique_inverse": _row("x"),
    "unique_values": _row("x"),
    # Reductions
    "all": _index("x", **_REDUCED),
    "any": _index("x", **_REDUCED),
    "cumulative_prod": _row("x", axis=None, dtype=None, include_initial=False),
    "cumulative_sum": _row("x", axis=None, dtype=None, include_initial=False),
    "diff": _row("x prepend append", axis=-1, n=1),
    "max": _row("x", **_REDUCED),
    "mean": _row("x", **_REDUCED),
    "min": _row("x", **_REDUCED),
    "prod": _row("x", axis=None, dtype=None, keepdims=False),
    "std": _row("x", axis=None, correction=0.0, keepdims=False),
    "sum": _row("x", axis=None, dtype=None, keepdims=False),
    "var": _row("x", axis=None, correction=0.0, keepdims=False),
    # Linear algebra
    "matmul": _row("x1 x2"),
    "matrix_transpose": _view("x"),
    "tensordot": _row("x1 x2", axes=2),
    "vecdot": _row("x1 x2", axis=-1),
    "linalg_cholesky": _row("x", upper=False),
    "linalg_cross": _row("x1 x2", axis=-1),
    "linalg_det": _row("x"),
    "linalg_diagonal": _view("x", offset=0),
    "linalg_eig": _row("x"),
    "linalg_eigh": _row("x"),
    "linalg_eigvals": _row("x"),
    "linalg_eigvalsh": _row("x"),
    "linalg_inv": _row("x"),
    "linalg_matrix_norm": _row("x", keepdims=False, ord="fro"),
    "linalg_matrix_power": _row("x", "n"),
    "linalg_matrix_rank": _index("x rtol"),
    "linalg_outer": _row("x1 x2"),
    "linalg_pinv": _row("x rtol"),
    "linalg_qr": _row("x", mode="reduced"),
    "linalg_slogdet": _row("x"),
    "linalg_solve": _row("x1 x2"),
    "linalg_svd": _row("x", full_matrices=True),
    "linalg_svdvals": _row("x"),
    "linalg_trace": _row("x", offset=0, dtype=None),
    "linalg_vector_norm": _row("x", axis=None, keepdims=False, ord=2),
    # Fourier transforms
    **{f"fft_{name}": _row("x", **_FFT) for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")},
    **{f"fft_{name}": _row("x", **_FFTN) for name in ("fftn", "ifftn", "rfftn", "irfftn")},
    "fft_fftshift": _row("x", axes=None),
    "fft_ifftshift": _row("x", axes=None),
}

# What makes an array out of nothing.
_CREATION: dict[str, Row] = {
    "arange": _creates("start", "stop", "step"),
    "asarray": _creates("obj", copy=None),
    "empty": _creates("shape"),
    "eye": _creates("n_rows", "n_cols", k=0),
    "from_dlpack": Row(Signature(("*arrays",), {"x": REQUIRED, "device": None, "copy": None}), "fresh", False),
    "full": _creates("shape", "fill_value"),
    "linspace": _creates("start", "stop", "num", endpoint=True),
    "ones": _creates("shape"),
    "zeros": _creates("shape"),
    "fft_fftfreq": _creates("n", d=1.0),
    "fft_rfftfreq": _creates("n", d=1.0),
}

# Raw calls that differ from ``f(*arrays, **statics)``.
_CALLS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "alias": lambda xp: lambda x: x,
    # array-api-strict takes a device of None for its first one, not for that of the array.
    "astype": lambda xp: lambda x, dtype, copy, device: xp.astype(x, dtype, copy=copy, **_given(device=device)),
    "broadcast_arrays": lambda xp: lambda *arrays: tuple(xp.broadcast_arrays(*arrays)),
    "concat": lambda xp: lambda *arrays, axis: xp.concat(arrays, axis=axis),
    "diff": lambda xp: (
        lambda x, prepend, append, axis, n: xp.diff(x, axis=axis, n=n, **_given(prepend=prepend, append=append))
    ),
    "full_like": lambda xp: (
        lambda x, fill_value, dtype, device: xp.full_like(x, fill_value, dtype=dtype, device=device)
    ),
    "linalg_matrix_power": lambda xp: lambda x, n: xp.linalg.matrix_power(x, n),
    # NumPy's own default of rtol differs from the standard's, which it takes where None is given.
    "linalg_matrix_rank": lambda xp: lambda x, rtol: xp.linalg.matrix_rank(x, rtol=rtol),
    "linalg_pinv": lambda xp: lambda x, rtol: xp.linalg.pinv(x, rtol=rtol),
    "meshgrid": lambda xp: lambda *arrays, indexing: tuple(xp.meshgrid(*arrays, indexing=indexing)),
    "moveaxis": lambda xp: lambda x, source, destination: xp.moveaxis(x, source, destination),
    "searchsorted": lambda xp: lambda x1, x2, sorter, side: xp.searchsorted(x1, x2, side=side, sorter=sorter),
    "stack": lambda xp: lambda *arrays, axis: xp.stack(arrays, axis=axis),
    "tile": lambda xp: lambda x, repetitions: xp.tile(x, repetitions),
    "to_device": lambda xp: _move,
    "unstack": lambda xp: lambda x, axis: tuple(xp.unstack(x, axis=axis)),
}
_CALLS["cast"] = _CALLS["astype"]
# Libraries name the results of these; the tape knows plain tuples only, a namespace gives them their names again.
_NAMED_RESULTS = frozenset(
    {"linalg_eig", "linalg_eigh", "linalg_qr", "linalg_slogdet", "linalg_svd"}
    | {"unique_all", "unique_counts", "unique_inverse"}
)
_MADE: dict[str, Kernel] = {}
_CREATING: dict[tuple[str, str], Kernel] = {}


def operation(name: str) -> Kernel:
    """The kernel of a function of the standard; those of ``linalg`` and ``fft`` are named as in ``linalg_solve``."""
    made = _MADE.get(name)
    if made is None:
        signature, kind, differentiable = _TABLE[name]
        made = Kernel(
            name, None, signature, kind=kind, differentiable=differentiable, primitive=lambda xp: raw_function(xp, name)
        )
        made.function.__module__ = __name__
        _MADE[name] = made
    return made


def operation_names() -> tuple[str, ...]:
    """Names of all operations."""
    return tuple(_TABLE)


def operation_table() -> dict[str, Kernel]:
    """Every operation by name, all of them made."""
    return {name: operation(name) for name in _TABLE}


def creation(name: str, library: Library) -> Kernel:
    """The kernel that creates arrays of a library: ``zeros``, ``asarray``, …; it takes no arrays, statics only."""
    made = _CREATING.get((name, library.name))
    if made is None:
        made = _CREATING[name, library.name] = _Creation(name, library)
    return made


def creation_names() -> tuple[str, ...]:
    """Names of the functions that create arrays out of nothing."""
    return tuple(_CREATION)


class _Creation(Kernel):
    """A kernel without array arguments, bound to the library on which it creates."""

    def __init__(self, name: str, library: Library) -> None:
        self.library = library
        signature, kind, differentiable = _CREATION[name]
        super().__init__(name, None, signature, kind=kind, differentiable=differentiable)

    def implementation(self, *arguments: Any) -> Callable[..., Any]:
        """The library's own function, taking all statics by name."""
        statics = self.signature.statics
        given = ", ".join(name if default is REQUIRED else f"{name}={name}" for name, default in statics.items())
        scope = {"function": raw_function(self.library.xp, self.name)}
        made: Callable[..., Any] = eval(f"lambda {', '.join(statics)}: function({given})", scope)
        return made


@kernel(kind="write", differentiable=False)
def write_into(destination: Array, source: Array) -> Array:
    """Write `source` into `destination`, an array of the same shape and library, in place."""
    destination[...] = source
    return destination


def broadcast_arrays(*arrays: Array) -> tuple[Array, ...]:
    """Broadcast the arrays against each other."""
    return _called("broadcast_arrays")(*arrays)  # type: ignore[no-any-return]


def concat(arrays: Sequence[Array], /, *, axis: int | None = 0) -> Array:
    """Join arrays along an existing axis."""
    return _called("concat")(*arrays, axis=axis)


def stack(arrays: Sequence[Array], /, *, axis: int = 0) -> Array:
    """Join arrays along a new axis."""
    return _called("stack")(*arrays, axis=axis)


def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:
    """Bound the values of `x` from below and above; None bounds nothing."""
    return _called("clip")(x, min, max)


def diff(
    x: Array, /, *, axis: int = -1, n: int = 1, prepend: Array | None = None, append: Array | None = None
) -> Array:
    """Differences of neighbours along an axis, taken `n` times."""
    return _called("diff")(x, prepend, append, axis=axis, n=n)


def searchsorted(x1: Array, x2: Array, /, *, side: str = "left", sorter: Array | None = None) -> Array:
    """Where the values `x2` would have to be inserted in the sorted `x1`."""
    return _called("searchsorted")(x1, x2, sorter, side=side)


def astype(x: Array, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Array:
    """Convert to a data type; no gradient flows through one that holds no fractions."""
    name = "astype" if dtype_kind(dtype) in ("float", "complex") else "cast"
    return _called(name)(x, dtype, copy=copy, device=device)


def linalg_matrix_rank(x: Array, /, *, rtol: Any = None) -> Array:
    """Rank of matrices: the number of singular values above ``rtol`` times the largest."""
    return _called("linalg_matrix_rank")(x, rtol)


def linalg_pinv(x: Array, /, *, rtol: Any = None) -> Array:
    """Moore–Penrose inverse of matrices."""
    return _called("linalg_pinv")(x, rtol)


def __getattr__(name: str) -> KernelFunction:
    if name not in _TABLE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    function: KernelFunction = operation(name).function
    globals()[name] = function
    return function


def _called(name: str) -> Any:
    return operation(name).function


def raw_function(xp: Any, name: str) -> Callable[..., Any]:
    """The function of a library's namespace that does an operation on raw arrays, called as the operation's row says.

    Raises
    ------
    AttributeError
        If the library does not have it.
    """
    if name in _CALLS:
        return _CALLS[name](xp)
    found = _standard_function(xp, name)
    if name in _NAMED_RESULTS:
        return lambda x, **statics: tuple(found(x, **statics))
    return found


def _standard_function(xp: Any, name: str) -> Callable[..., Any]:
    if xp is NUMPY.xp and name in NUMPY_STANDARD:
        return NUMPY_STANDARD[name]
    group, _, rest = name.partition("_")
    found: Callable[..., Any] = getattr(getattr(xp, group), rest) if group in ("linalg", "fft") else getattr(xp, name)
    return found


def _move(x: Array, device: Any) -> Array:
    if hasattr(x, "to_device"):
        return x.to_device(device)
    from array_api_compat import to_device  # for CuPy's arrays, which have no such method

    return to_device(x, device)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
