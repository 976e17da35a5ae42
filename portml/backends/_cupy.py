"""CuPy: arrays on NVIDIA GPUs.  The only file that imports CuPy.

Importing it needs the library alone; `open_backend` asks the device.  Kernels are compiled from their sources on first
use, one function for each kernel, type and device, and CuPy keeps the compiled binaries on disk.
"""

from __future__ import annotations

import math
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np

from portml.backends.backend import Backend, Memory
from portml.backends.cuda import load_overrides
from portml.backends.cuda.launch import blocks_for, register_launcher
from portml.backends.cuda.source import CudaKernel
from portml.backends.namespaces import Library, register_library
from portml.errors import BackendUnavailableError, DtypeError, OutOfMemoryError

INSTALL = 'pip install "portml[cupy]" for CUDA 13, or "portml[cupy-cuda12]" for CUDA 12'

try:
    import cupy
    from array_api_compat import cupy as namespace_of_cupy
except ModuleNotFoundError as error:
    raise BackendUnavailableError(f"the cupy backend needs CuPy, which is not installed: {INSTALL}") from error
except ImportError as error:
    reason = next(filter(None, map(str.strip, str(error).splitlines())), "no reason given")
    raise BackendUnavailableError(
        f"the cupy backend needs CuPy, which is installed but does not load ({reason}): reinstall it with {INSTALL}"
    ) from error

__all__ = ["CupyBackend", "open_backend"]

# No --use_fast_math, which would round divisions and roots more coarsely.  CuPy itself adds -ftz=true: float32 numbers
# below 1.2e-38 count as zero in its kernels and in these.
OPTIONS = ("-std=c++17",)

# Of the CUDA runtime's errors, those that say why no device answers.
INSUFFICIENT_DRIVER = 35
NO_DEVICE = 100


class CupyBackend(Backend):
    """Arrays of CuPy on one GPU.

    Work runs in the order of CuPy's current stream and nothing here waits for it, but `to_numpy` and `synchronize`.
    CuPy makes new arrays on the current device: with several GPUs, work on another than the first inside
    ``with backend.device:``.

    Parameters
    ----------
    device : cupy.cuda.Device
    """

    name = "cupy"
    xp = namespace_of_cupy

    def __init__(self, device: Any) -> None:
        self.device = device

    def to_numpy(self, x: Any) -> np.ndarray[Any, Any]:
        """Copy to the host; waits for the device."""
        return np.asarray(cupy.asnumpy(x))

    def synchronize(self) -> None:
        """Wait until the device has done all it was given, on every stream."""
        self.device.synchronize()

    def mark(self) -> Any:
        """An event in the current stream."""
        event = cupy.cuda.Event()
        event.record()
        return event

    def seconds_between(self, first: Any, second: Any) -> float:
        """Seconds of the device between two events; waits for the second."""
        second.synchronize()
        return float(cupy.cuda.get_elapsed_time(first, second)) / 1e3

    def memory(self) -> Memory:
        """Bytes that arrays occupy, and bytes of the device."""
        with self.device:
            return Memory(int(cupy.get_default_memory_pool().used_bytes()), int(self.device.mem_info[1]))

    def view(self, flat: Any, offset: int, shape: tuple[int, ...]) -> Any:
        """A view of ``flat[offset:offset + prod(shape)]`` in that shape."""
        return flat[offset : offset + math.prod(shape)].reshape(shape)

    def asarray(self, data: Any, dtype: Any = None, copy: bool | None = None) -> Any:
        """Bring `data` to this device; see `Backend.asarray`.

        A host array goes through page-locked memory, so that the copy runs behind the work that is queued already.
        """
        with self.device:
            if isinstance(data, cupy.ndarray) and data.device != self.device:
                data = data.copy()  # to the current device
            return super().asarray(data, dtype, copy)

    def empty(self, shape: int | tuple[int, ...], dtype: Any = "float32") -> Any:
        """An array of that shape with no particular values."""
        with self.device:
            return super().empty(shape, dtype)

    def zeros(self, shape: int | tuple[int, ...], dtype: Any = "float32") -> Any:
        """An array of zeros."""
        with self.device:
            return super().zeros(shape, dtype)

    def full(self, shape: int | tuple[int, ...], value: float, dtype: Any = "float32") -> Any:
        """An array full of one value."""
        with self.device:
            return super().full(shape, value, dtype)

    def _owns(self, data: Any) -> bool:
        return isinstance(data, cupy.ndarray)

    def _from_host(self, data: np.ndarray[Any, Any], dtype: Any) -> Any:
        if data.dtype.kind not in "biufc":
            raise DtypeError(f"data: a GPU holds numbers, got an array of dtype {data.dtype}; encode it first")
        return cupy.asarray(data, dtype=dtype)


class CupyOutOfMemoryError(OutOfMemoryError, cupy.cuda.memory.OutOfMemoryError):  # type: ignore[misc]  # CuPy has no types
    """Both portml's and CuPy's error, so that whoever catches either is served."""

    def __init__(self, message: str) -> None:
        MemoryError.__init__(self, message)

    def __reduce__(self) -> Any:
        return type(self), self.args


def open_backend(device: Any = None) -> Backend:
    """The CuPy backend on a device: its number, a `cupy.cuda.Device`, or None for the current one.

    Raises
    ------
    BackendUnavailableError
        If there is no such device, or it does not answer; one line says what is missing and what to install.
    """
    _refuse_without_device(device)
    _refuse_without_compiler()
    _explain_memory_errors()
    return CupyBackend(cupy.cuda.Device(device))


def launch_on_cupy(kernel: CudaKernel, T: str | None, arguments: list[Any], count: int) -> None:
    """Run one variant of a kernel on checked CuPy arrays, in the order of their device's current stream."""
    device = next(argument.device for argument in arguments if isinstance(argument, cupy.ndarray))
    with device:
        _compiled(kernel, T)((blocks_for(kernel, count),), (kernel.threads,), (*arguments, np.int64(count)))


@cache
def _compiled(kernel: CudaKernel, T: str | None) -> Any:
    """A function that CuPy compiles at its first call on each device."""
    return cupy.RawKernel(kernel.source(T), kernel.entry(T), OPTIONS)


def _refuse_without_device(device: Any) -> None:
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        raise BackendUnavailableError(f"the cupy backend needs an NVIDIA GPU: {_why(error)}") from error
    if count == 0:
        raise BackendUnavailableError(f"the cupy backend needs an NVIDIA GPU: {_NO_GPU}")
    if device is not None and not 0 <= int(device) < count:
        raise BackendUnavailableError(f"device: this machine has {count} GPUs, numbered from 0, got {device}")


_NO_GPU = (
    "none answers on this machine; see whether nvidia-smi lists one and CUDA_VISIBLE_DEVICES hides it, "
    "or use the numpy backend"
)


def _why(error: Any) -> str:
    """Why no device answers."""
    status = getattr(error, "status", None)
    driver = cupy.cuda.runtime.driverGetVersion()
    built = cupy.cuda.runtime.runtimeGetVersion()
    if status == NO_DEVICE:
        return _NO_GPU
    if status == INSUFFICIENT_DRIVER and driver == 0:
        return (
            f"no NVIDIA driver is installed on this machine; install one for CUDA {_version(built)}, "
            "or use the numpy backend"
        )
    if status == INSUFFICIENT_DRIVER:
        return (
            f"its driver is for CUDA {_version(driver)}, but this CuPy needs {_version(built)}; "
            f"update the driver, or install the CuPy that fits it: {INSTALL}"
        )
    return f"the driver says {error}; see whether nvidia-smi works"


def _version(number: int) -> str:
    """13020 is CUDA 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _refuse_without_compiler() -> None:
    """CuPy compiles at run time, with libraries of the CUDA toolkit that it looks for when they are first needed."""
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:
        raise BackendUnavailableError(
            f"the cupy backend needs the libraries of the CUDA toolkit, and libnvrtc is not found: {INSTALL}"
        ) from error


def _explain_memory_errors() -> None:
    """Say how much memory there is wherever CuPy runs out of it: put a translation around its allocator, once."""
    allocator = cupy.cuda.get_allocator()
    if getattr(allocator, "explains", False):
        return

    def allocate(size: int) -> Any:
        try:
            return allocator(size)
        except cupy.cuda.memory.OutOfMemoryError as error:
            raise CupyOutOfMemoryError(_memory_message(size)) from error

    allocate.explains = True  # type: ignore[attr-defined]  # a mark that is looked for above
    with suppress(ValueError):  # inside `using_allocator` the choice is the caller's
        cupy.cuda.set_allocator(allocate)


def _memory_message(size: int) -> str:
    pool = cupy.get_default_memory_pool()
    free, total = cupy.cuda.runtime.memGetInfo()
    return (
        f"the GPU has no room for {_bytes(size)}: arrays hold {_bytes(pool.used_bytes())} and CuPy's pool "
        f"{_bytes(pool.total_bytes())} of {_bytes(total)}, {_bytes(free)} are free; take a smaller batch or model"
    )


def _bytes(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**27 else f"{count / 2**20:.2f} MiB"


register_library(cupy.ndarray, Library("cupy", namespace_of_cupy, has_devices=True))
register_launcher("cupy", launch_on_cupy)
load_overrides()
