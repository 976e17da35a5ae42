"""Run a CUDA kernel on arrays: check them, choose the variant, hand over to the launcher of their library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

import numpy as np

from portml.backends.cuda.source import DTYPES, CudaKernel
from portml.backends.namespaces import Array, device_of, library_of, namespace
from portml.errors import ArgumentError, BackendUnavailableError, DtypeError, MixedBackendsError, ShapeError

__all__ = [
    "Launcher",
    "blocks_for",
    "check_out",
    "contiguous",
    "deliver",
    "destination",
    "launch",
    "launcher_registered",
    "register_launcher",
]

# Enough to fill any device; kernels step over what lies beyond.
MOST_BLOCKS = 1 << 20

_REALS = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
_SCALARS = frozenset({bool, int, float})


class Launcher(Protocol):
    """What a library registers to run kernels on its arrays."""

    def __call__(self, kernel: CudaKernel, T: str | None, arguments: list[Any], count: int) -> None:
        """Run one variant; the arguments are checked arrays, None and NumPy scalars, and do not hold the count yet."""


_LAUNCHERS: dict[str, Launcher] = {}


def launch(kernel: CudaKernel, *arguments: Any, size: int | None = None, blocks: int | None = None) -> None:
    """Run a kernel on arrays of one library and device.

    Parameters
    ----------
    kernel : CudaKernel
    *arguments : C-contiguous arrays, Python numbers or None
        One for each of the kernel's parameters.  None is a null pointer.
    size : int
        How many indices an elementwise kernel runs over.
    blocks : int
        How many rows a block kernel runs over, a block for each.

    With nothing to run over nothing is launched.  The kernel runs in the order of the device's current stream; nothing
    waits for it.

    Raises
    ------
    ArgumentError
        If the number of arguments or the extent does not fit the kernel, or an array is not C-contiguous.
    DtypeError
        If an array's data type is not its parameter's; all those of ``T`` must have the same.
    MixedBackendsError
        If the arrays belong to different libraries or devices.
    BackendUnavailableError
        If no launcher is registered for the arrays' library.
    """
    count = _count(kernel, size, blocks)
    T = _variant(kernel, arguments)
    prepared: list[Any] = []
    first: Any = None
    for (is_pointer, dtype), argument in zip(_forms(kernel, T), arguments, strict=True):
        if argument is None and is_pointer:
            prepared.append(None)
        elif not is_pointer:
            plain = type(argument) in _SCALARS
            prepared.append(dtype.type(argument) if plain else _scalar(kernel, argument, dtype, len(prepared)))
        else:
            if type(argument) is not type(first):
                first = _first(kernel, argument, first, len(prepared))
            if argument.dtype != dtype or not argument.flags.c_contiguous:
                _refuse(kernel, argument, dtype, len(prepared))
            prepared.append(argument)
    launcher = _launcher(kernel, first, prepared)
    if count > 0:
        launcher(kernel, T, prepared, count)


def contiguous(array: Array, dtype: Any = None) -> Array:
    """`array` itself if it is C-contiguous and of that data type, else a copy that is; None stays None."""
    if array is None:
        return None
    if isinstance(array, np.generic):  # what NumPy's reductions give where the standard has zero-dimensional arrays
        array = np.asarray(array)
    if dtype is not None and array.dtype != dtype:
        array = namespace(array).astype(array, dtype)
    if array.flags.c_contiguous:
        return array
    return namespace(array).ascontiguousarray(array)


def destination(out: Array | None, shape: tuple[int, ...], dtype: Any, like: Array) -> Array:
    """An array for a kernel to write: `out` itself where it is C-contiguous, else a new one on the device of `like`.

    Follow with ``return deliver(result, out)``.

    Raises
    ------
    ShapeError, DtypeError
        If `out` has another shape or data type than the result.
    """
    if out is not None:
        check_out(out, shape, dtype)
        if out.flags.c_contiguous:
            return out
    return namespace(like).empty(shape, dtype=dtype, device=device_of(like))


def deliver(result: Array | None, out: Array | None) -> Array:
    """`result`, copied into `out` if that is another array; a result that is None stays None."""
    if out is None or out is result or result is None:
        return result
    out[...] = result
    return out


def check_out(out: Array, shape: tuple[int, ...], dtype: Any) -> None:
    """Raise ShapeError or DtypeError unless `out` can take a result of this shape and data type."""
    if tuple(out.shape) != tuple(shape):
        raise ShapeError(f"out= has shape {out.shape}, but the result has {shape}; pass one that fits")
    if out.dtype != dtype:
        raise DtypeError(f"out= has dtype {out.dtype}, but the result has {dtype}; pass one that fits")


def blocks_for(kernel: CudaKernel, count: int) -> int:
    """How many blocks to launch for that many indices or rows."""
    wanted = count if kernel.style == "block" else -(-count // kernel.threads)
    return min(wanted, MOST_BLOCKS)


def register_launcher(library: str, launcher: Launcher) -> None:
    """Say what runs kernels on the arrays of a library."""
    _LAUNCHERS[library] = launcher


@contextmanager
def launcher_registered(library: str, launcher: Launcher) -> Iterator[None]:
    """Run kernels on the arrays of a library through `launcher` for a while; for tests."""
    before = _LAUNCHERS.get(library)
    _LAUNCHERS[library] = launcher
    try:
        yield
    finally:
        if before is None:
            del _LAUNCHERS[library]
        else:
            _LAUNCHERS[library] = before


def _count(kernel: CudaKernel, size: int | None, blocks: int | None) -> int:
    expected, given, other = ("blocks", blocks, size) if kernel.style == "block" else ("size", size, blocks)
    if given is None or other is not None:
        raise ArgumentError(f"{kernel.name} is a kernel of style {kernel.style}: launch it with {expected}= alone")
    if given < 0:
        raise ArgumentError(f"{expected}: expected a number of at least 0 for {kernel.name}, got {given}")
    return given


def _variant(kernel: CudaKernel, arguments: tuple[Any, ...]) -> str | None:
    """What ``T`` is: the data type of the first array that has it."""
    if len(arguments) != len(kernel.parsed):
        raise ArgumentError(
            f"{kernel.name} takes {len(kernel.parsed)} arguments ({kernel.parameters}), got {len(arguments)}"
        )
    if not kernel.types:
        return None
    for place in _typed_pointers(kernel):
        argument = arguments[place]
        if argument is not None:
            T = _REALS.get(getattr(argument, "dtype", None))
            if T not in kernel.types:
                _refuse(kernel, argument, ", ".join(DTYPES[each] for each in kernel.types), place)
            return T
    raise ArgumentError(f"{kernel.name}: no array of type T is given, so its type is unknown")


@cache
def _typed_pointers(kernel: CudaKernel) -> tuple[int, ...]:
    """The places of the arrays of type ``T``."""
    return tuple(place for place, each in enumerate(kernel.parsed) if each.type == "T" and each.is_pointer)


@cache
def _forms(kernel: CudaKernel, T: str | None) -> tuple[tuple[bool, Any], ...]:
    """For each parameter, whether it is a pointer, and its data type."""
    return tuple(
        (each.is_pointer, np.dtype(DTYPES[T if each.type == "T" and T is not None else each.type]))
        for each in kernel.parsed
    )


def _scalar(kernel: CudaKernel, argument: Any, dtype: Any, place: int) -> Any:
    """A scalar that is none of Python's: NumPy's are taken, arrays are not."""
    if not isinstance(argument, np.generic):
        raise DtypeError(
            f"{kernel.name}: {kernel.parsed[place].name} is a scalar, expected a Python number, got "
            f"{type(argument).__name__}; arrays are for pointers"
        )
    return dtype.type(argument)


def _first(kernel: CudaKernel, argument: Any, first: Any, place: int) -> Any:
    """The first array, of whose type all others must be."""
    if isinstance(argument, np.generic) or not hasattr(argument, "flags"):
        raise DtypeError(f"{kernel.name}: {kernel.parsed[place].name} expected an array, got {type(argument).__name__}")
    if first is not None and library_of(argument) is not library_of(first):
        raise MixedBackendsError(
            f"{kernel.name}: the arguments mix {library_of(first).name} and {library_of(argument).name} arrays; "
            "move one with portml.backends.to"
        )
    return argument if first is None else first


def _refuse(kernel: CudaKernel, argument: Any, dtype: Any, place: int) -> None:
    name = kernel.parsed[place].name
    if not hasattr(argument, "dtype"):
        raise DtypeError(f"{kernel.name}: {name} expected an array, got {type(argument).__name__}")
    if argument.dtype != dtype:
        raise DtypeError(f"{kernel.name}: {name} has dtype {argument.dtype}, expected {dtype}; convert it with astype")
    raise ArgumentError(f"{kernel.name}: {name} of shape {argument.shape} is not C-contiguous; pass contiguous(x)")


def _launcher(kernel: CudaKernel, first: Any, prepared: list[Any]) -> Launcher:
    """The launcher of the arrays' library, after a look that all are on one device."""
    if first is None:
        raise ArgumentError(f"{kernel.name}: expected at least one array")
    library = library_of(first)
    if library.has_devices:
        device = first.device
        for argument in prepared:
            if hasattr(argument, "device") and not isinstance(argument, np.generic) and argument.device != device:
                raise MixedBackendsError(
                    f"{kernel.name}: the arrays are on {device} and {argument.device}; move one with portml.backends.to"
                )
    launcher = _LAUNCHERS.get(library.name)
    if launcher is None:
        raise BackendUnavailableError(
            f"{kernel.name} is a CUDA kernel, and nothing runs those on {library.name} arrays; "
            "move them with portml.backends.to(x, 'cupy')"
        )
    return launcher
