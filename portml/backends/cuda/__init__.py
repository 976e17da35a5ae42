"""CUDA kernels as data, and the glue that calls them.

`source` says what a kernel is, `launch` runs one on arrays, `glue` brings arrays into the form that kernels take, and
each other module holds the kernels of one topic and the overrides for CuPy's arrays.  Nothing here imports CuPy:
`portml.backends._cupy` registers a launcher for its arrays, and tests register one for NumPy's, which executes the very
same sources on the host.

A kernel and its glue::

    SCALE = CudaKernel("scale", "const T* x, T factor, T* y", "y[i] = factor * x[i];")

    @override(scale)
    def _scale(x, *, factor, out=None):
        return elementwise(SCALE, (x,), (factor,), out)
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from portml.backends.cuda.glue import elementwise, outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch, launcher_registered
from portml.backends.cuda.source import CudaKernel, Parameter
from portml.errors import ArgumentError

__all__ = [
    "CudaKernel",
    "Parameter",
    "all_cuda_kernels",
    "contiguous",
    "deliver",
    "destination",
    "elementwise",
    "launch",
    "launcher_registered",
    "load_overrides",
    "outputs",
    "override",
]


def load_overrides() -> list[ModuleType]:
    """Import every topic, which registers its overrides for CuPy's arrays."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [importlib.import_module(f"{__name__}.{name}") for name in names]


def all_cuda_kernels() -> list[tuple[CudaKernel, str | None]]:
    """Every kernel with every type it is written for.

    A kernel is found as a module's attribute, or as a value of a dictionary or tuple that is one.

    Returns
    -------
    list of (CudaKernel, str or None)
        What ``kernel.source(T)`` takes.

    Raises
    ------
    ArgumentError
        If two different kernels have the same name.
    """
    kernels: dict[str, CudaKernel] = {}
    for module in load_overrides():
        for found in _kernels_in(module):
            if kernels.setdefault(found.name, found) is not found:
                raise ArgumentError(f"two CUDA kernels are named {found.name!r}, one of them in {module.__name__}")
    return [(kernel, T) for _, kernel in sorted(kernels.items()) for T in kernel.variants]


def _kernels_in(module: ModuleType) -> list[CudaKernel]:
    found: list[CudaKernel] = []
    for value in vars(module).values():
        family = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else (value,)
        found.extend(each for each in family if isinstance(each, CudaKernel))
    return found
