"""Execute CUDA kernels on NumPy arrays: their sources compiled as C++ for the host.

Every run is done twice, with other numbers of blocks, with threads and blocks in the opposite order, and with other
values around the arrays, and must give the same bits.  So a kernel that reads or writes beyond an array, writes what it
declared const, or depends on the order of threads is found out.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portml.backends.cuda import CudaKernel

__all__ = ["HostLibrary", "KernelFault"]

HEADER = Path(__file__).with_name("cuda_on_host.h")
# -O1 takes half the time of -O2.  Without contraction and aliasing rules the host computes what is written.
OPTIONS = ("-std=c++17", "-O1", "-fPIC", "-shared", "-ffp-contract=off", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE")
GUARD = 256
# What stands before and behind each array: NaN and -1 in one run, 0 in the other.
GUARD_BYTES = (0xFF, 0x00)

Variant = tuple[CudaKernel, str | None]


class KernelFault(AssertionError):
    """A kernel did on the host what it must not do on a GPU."""


class HostLibrary:
    """Kernels compiled for the host; called as a launcher.

    Parameters
    ----------
    folder : Path
        Where compiled libraries are kept; they are found again by the hash of their sources.
    variants : sequence of (CudaKernel, str or None)
        Compiled together and in parallel.  A kernel that is not among them is compiled when it is first launched.
    """

    def __init__(self, folder: Path, variants: Sequence[Variant] = ()) -> None:
        self.folder = folder
        self.executed: set[str] = set()
        self._functions: dict[str, Any] = {}
        self._sources: dict[str, str] = {}
        self.add(variants)

    def add(self, variants: Sequence[Variant]) -> None:
        """Compile and load more kernels."""
        shards = min(os.cpu_count() or 1, len(variants)) or 1
        units = [variants[shard::shards] for shard in range(shards)]
        for unit, library in zip(units, compile_units(self.folder, units), strict=True):
            for kernel, T in unit:
                entry = kernel.entry(T)
                self._functions[entry] = getattr(library, f"run_{entry}")
                self._sources[entry] = kernel.source(T)

    def __call__(self, kernel: CudaKernel, T: str | None, arguments: list[Any], count: int) -> None:
        """Run a kernel on NumPy arrays."""
        entry = kernel.entry(T)
        if self._sources.get(entry) != kernel.source(T):
            self.add([(kernel, T)])
        self.executed.add(entry)
        first = self._run(kernel, entry, arguments, count, blocks=2, backwards=False)
        second = self._run(kernel, entry, arguments, count, blocks=3, backwards=True)
        for parameter, argument, one, other in zip(kernel.parsed, arguments, first, second, strict=True):
            if one is None:
                continue
            if one.tobytes() != other.tobytes():
                raise KernelFault(
                    f"{entry}: {parameter.name} depends on the order of threads or blocks, or on what stands around "
                    "the arrays; is a __syncthreads() missing, a floating-point atomic used, or an index out of range?"
                )
            if not parameter.is_constant:
                _bytes(argument)[:] = one

    def _run(
        self, kernel: CudaKernel, entry: str, arguments: list[Any], count: int, *, blocks: int, backwards: bool
    ) -> list[Any]:
        """One run on guarded copies; gives the bytes of each array afterwards, None for what is no array."""
        guarded = GuardedCopies(entry, GUARD_BYTES[backwards])
        held = [guarded.passed(value) for value in (*arguments, np.int64(count))]
        pointers = (ctypes.c_void_p * len(held))(*(value.ctypes.data for value in held))
        has_barriers = kernel.style == "block"
        threads = kernel.threads if has_barriers else 32
        status = self._functions[entry](pointers, min(blocks, count), threads, int(has_barriers), int(backwards))
        if status == 1:
            raise KernelFault(f"{entry}: some threads of a block wait at a __syncthreads() that others never reach")
        if status != 0:
            raise MemoryError(f"{entry}: no memory for the threads' stacks")
        guarded.check(kernel, arguments)
        return [guarded.after(argument) for argument in arguments]


class GuardedCopies:
    """Copies of the arrays of one launch, each between guards; an array given twice has one copy."""

    def __init__(self, entry: str, guard_byte: int) -> None:
        self.entry = entry
        self.guard_byte = guard_byte
        self._copies: dict[tuple[int, int], np.ndarray[Any, Any]] = {}

    def passed(self, value: Any) -> np.ndarray[Any, Any]:
        """An array of one element whose address a launch takes: a scalar, or the address of a copy."""
        if value is None:
            return np.zeros((1,), dtype=np.uintp)
        if not isinstance(value, np.ndarray):
            return np.asarray([value])
        start, stop = extent = _extent(value)
        copy = self._copies.get(extent)
        if copy is None:
            if any(start < other_stop and other_start < stop for other_start, other_stop in self._copies):
                raise KernelFault(f"{self.entry}: two arguments overlap without being the same array")
            copy = np.full((GUARD + value.nbytes + GUARD,), self.guard_byte, dtype=np.uint8)
            _inside(copy)[:] = _bytes(value)
            self._copies[extent] = copy
        return np.asarray([copy.ctypes.data + GUARD], dtype=np.uintp)

    def after(self, argument: Any) -> np.ndarray[Any, Any] | None:
        """The bytes of an argument's copy."""
        return _inside(self._copies[_extent(argument)]) if isinstance(argument, np.ndarray) else None

    def check(self, kernel: CudaKernel, arguments: list[Any]) -> None:
        """Raise KernelFault if a guard, or an array that is declared const everywhere, was written."""
        arrays = [
            (parameter, argument)
            for parameter, argument in zip(kernel.parsed, arguments, strict=True)
            if isinstance(argument, np.ndarray)
        ]
        written = {_extent(argument) for parameter, argument in arrays if not parameter.is_constant}
        for parameter, argument in arrays:
            extent = _extent(argument)
            copy = self._copies[extent]
            for side, guard in (("before", copy[:GUARD]), ("behind", copy[copy.size - GUARD :])):
                if np.any(guard != self.guard_byte):
                    raise KernelFault(f"{self.entry}: wrote {side} {parameter.name}")
            if extent not in written and _inside(copy).tobytes() != argument.tobytes():
                raise KernelFault(f"{self.entry}: wrote into {parameter.name}, which it declares const")


def compile_units(folder: Path, units: Sequence[Sequence[Variant]]) -> list[ctypes.CDLL]:
    """Compile each unit to a shared library, all at once, unless the folder holds it already."""
    compiler = os.environ.get("CXX") or shutil.which("g++")
    if compiler is None:
        raise RuntimeError(
            "no C++ compiler was found: these tests execute the CUDA kernels on the host; install g++ "
            "(apt-get install g++), or name another in the environment variable CXX"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        # Of several processes that run tests one compiles, and the others find what it made.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return [ctypes.CDLL(str(path)) for path in _compiled(compiler, folder, units)]


def _compiled(compiler: str, folder: Path, units: Sequence[Sequence[Variant]]) -> list[Path]:
    running = []
    paths = []
    for unit in units:
        text = _translation_unit(unit)
        digest = hashlib.sha256("\0".join((compiler, *OPTIONS, HEADER.read_text(), text)).encode()).hexdigest()[:24]
        path = folder / f"{digest}.so"
        paths.append(path)
        if not path.exists():
            running.append((path, *_start(compiler, folder, text)))
    errors = ""
    for path, process, built in running:
        _, messages = process.communicate()
        if process.returncode == 0:
            os.replace(built, path)
        else:
            os.unlink(built)
            errors += messages
    if errors:
        raise KernelFault(f"a kernel is no C++ that the host can compile:\n{errors}")
    return paths


def _start(compiler: str, folder: Path, text: str) -> tuple[subprocess.Popen[str], str]:
    handle, built = tempfile.mkstemp(suffix=".part", dir=folder)
    os.close(handle)
    process = subprocess.Popen(
        [compiler, *OPTIONS, f"-I{HEADER.parent}", "-x", "c++", "-", "-o", built],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.close()
    process.stdin = None  # so that communicate() does not flush it again
    return process, built


def _translation_unit(unit: Sequence[Variant]) -> str:
    parts = [f'#include "{HEADER.name}"']
    for kernel, T in unit:
        entry = kernel.entry(T)
        parts += [f"namespace in_{entry} {{", kernel.source(T), f"ON_HOST_ENTRY({entry})", "}"]
    return "\n".join(parts) + "\n"


def _extent(array: np.ndarray[Any, Any]) -> tuple[int, int]:
    start = array.__array_interface__["data"][0]
    return start, start + array.nbytes


def _bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array.reshape(-1).view(np.uint8)


def _inside(copy: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return copy[GUARD : copy.size - GUARD]
