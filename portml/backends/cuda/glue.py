"""Between a kernel's arrays, as they come, and the C-contiguous ones of one dtype that a CUDA kernel takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import numpy as np

from portml.backends.cuda.launch import check_out, contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernel import KernelFunction
from portml.backends.namespaces import Array
from portml.errors import ShapeError

__all__ = ["contiguous", "deliver", "destination", "elementwise", "outputs", "override", "store"]

_SUPPORTED = {np.dtype(np.float32), np.dtype(np.float64)}


def override(kernel: KernelFunction) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register glue, a function with the kernel's signature and, but for kind "write", ``out=None``, for CuPy's arrays.

    Where the floating-point arrays are not all float32 or all float64 the agnostic twin runs instead: CUDA kernels are
    compiled for these two.
    """

    def register(glue: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(glue)
        def chosen(*arguments: Any, out: Any = None, **statics: Any) -> Any:
            if not _is_supported(arguments):
                return store(kernel.agnostic(*arguments, **statics), out)
            return glue(*arguments, **statics) if out is None else glue(*arguments, **statics, out=out)

        return kernel.on("cupy")(chosen)

    return register


def elementwise(
    kernel: CudaKernel, arrays: tuple[Array, ...], scalars: tuple[float, ...] = (), out: Any = None
) -> Array:
    """Run an elementwise kernel with parameters (arrays..., scalars..., result) on arrays of one shape and dtype."""
    given = [contiguous(array) for array in arrays]
    first = given[0]
    result = destination(out, first.shape, first.dtype, first)
    launch(kernel, *given, *scalars, result, size=result.size)
    return deliver(result, out)


def outputs(out: Any, count: int) -> tuple[Any, ...]:
    """What `out` holds for each of several results; None for each if there is no `out`."""
    if out is None:
        return (None,) * count
    if len(out) != count:
        raise ShapeError(f"out= has {len(out)} arrays, but the kernel gives {count}; pass as many")
    return tuple(out)


def store(result: Any, out: Any) -> Any:
    """The twin's result, copied into `out` where it is given."""
    if isinstance(result, tuple):
        return tuple(store(*pair) for pair in zip(result, outputs(out, len(result)), strict=True))
    if result is not None and out is not None:
        check_out(out, result.shape, result.dtype)
    return deliver(result, out)


def _is_supported(arguments: tuple[Any, ...]) -> bool:
    """Whether there are floating-point arrays, and all of one data type that kernels are compiled for."""
    found = set(_inexact_dtypes(arguments))
    return len(found) == 1 and found <= _SUPPORTED


def _inexact_dtypes(arguments: tuple[Any, ...]) -> Iterator[Any]:
    for argument in arguments:
        if isinstance(argument, tuple):
            yield from _inexact_dtypes(argument)
        elif hasattr(argument, "dtype") and argument.dtype.kind in "fc":
            yield argument.dtype
