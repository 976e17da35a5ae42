"""Execute CUDA kernels on NumPy arrays: their sources compiled as C++ for the host.

Every run is done twice, with other numbers of blocks and with threads and blocks in the opposite order, and must give
the same bits.  Arrays are handed over as copies between guards, so that a kernel that reads or writes beyond an array,
writes what it declared const, or depends on the order of threads is found out.
"""

from __future__ import annotations

import ctypes
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
GUARD_BYTE = 0xFF  # a NaN in every floating-point type, -1 in every integer

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
            if not parameter.is_pointer or argument is None:
                continue
            if not np.array_equal(one, other):
                raise KernelFault(
                    f"{entry}: {parameter.name} depends on the order of threads or blocks; "
                    "is a __syncthreads() missing, or a floating-point atomic used?"
                )
            if not parameter.is_constant and argument.size:
                argument.reshape(-1).view(np.uint8)[:] = one

    def _run(
        self, kernel: CudaKernel, entry: str, arguments: list[Any], count: int, *, blocks: int, backwards: bool
    ) -> list[np.ndarray[Any, Any] | None]:
        """One run on guarded copies; gives the bytes of each array afterwards."""
        copies: dict[tuple[int, int], np.ndarray[Any, Any]] = {}
        values = [*arguments, np.int64(count)]
        held = [self._passed(entry, value, copies) for value in values]
        pointers = (ctypes.c_void_p * len(held))(*(value.ctypes.data for value in held))
        threads = kernel.threads if kernel.style == "block" else 32
        status = self._functions[entry](pointers, min(blocks, count), threads, int(backwards))
        if status == 1:
            raise KernelFault(f"{entry}: some threads of a block wait at a __syncthreads() that others never reach")
        if status != 0:
            raise MemoryError(f"{entry}: no memory for the threads' stacks")
        after = []
        for parameter, argument in zip(kernel.parsed, arguments, strict=True):
            copy = copies[_extent(argument)] if isinstance(argument, np.ndarray) else None
            if copy is not None:
                self._check_guards(entry, parameter.name, copy)
                aliased = any(
                    _extent(argument) == _extent(other)
                    for twin, other in zip(kernel.parsed, arguments, strict=True)
                    if isinstance(other, np.ndarray) and not twin.is_constant
                )
                if parameter.is_constant and not aliased and not np.array_equal(_inside(copy), _bytes(argument)):
                    raise KernelFault(f"{entry}: wrote into {parameter.name}, which it declares const")
            after.append(None if copy is None else _inside(copy))
        return after

    @staticmethod
    def _passed(entry: str, value: Any, copies: dict[tuple[int, int], np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        """An array of one element whose address is given to the kernel: a scalar, or a pointer to a guarded copy."""
        if value is None:
            return np.zeros((1,), dtype=np.uintp)
        if not isinstance(value, np.ndarray):
            return np.asarray([value])
        start, stop = _extent(value)
        copy = copies.get((start, stop))
        if copy is None:
            for other_start, other_stop in copies:
                if value.nbytes and start < other_stop and other_start < stop:
                    raise KernelFault(f"{entry}: two arguments overlap without being the same array")
            copy = np.full((GUARD + value.nbytes + GUARD,), GUARD_BYTE, dtype=np.uint8)
            _inside(copy)[:] = _bytes(value)
            copies[start, stop] = copy
        return np.asarray([copy.ctypes.data + GUARD], dtype=np.uintp)

    @staticmethod
    def _check_guards(entry: str, name: str, copy: np.ndarray[Any, Any]) -> None:
        for side, guard in (("before", copy[:GUARD]), ("behind", copy[-GUARD:])):
            if not np.all(guard == GUARD_BYTE):
                raise KernelFault(f"{entry}: wrote {side} {name}")


def compile_units(folder: Path, units: Sequence[Sequence[Variant]]) -> list[ctypes.CDLL]:
    """Compile each unit to a shared library, all at once, unless the folder holds it already."""
    compiler = os.environ.get("CXX") or shutil.which("g++")
    if compiler is None:
        raise RuntimeError(
            "no C++ compiler was found: these tests execute the CUDA kernels on the host; install g++ "
            "(apt-get install g++), or name another in the environment variable CXX"
        )
    folder.mkdir(parents=True, exist_ok=True)
    running = []
    paths = []
    for unit in units:
        text = _translation_unit(unit)
        digest = hashlib.sha256("\0".join((compiler, *OPTIONS, HEADER.read_text(), text)).encode()).hexdigest()[:24]
        path = folder / f"{digest}.so"
        paths.append(path)
        if not path.exists():
            running.append((path, *_start(compiler, folder, text)))
    for path, process, built in running:
        _, errors = process.communicate()
        if process.returncode != 0:
            raise KernelFault(f"a kernel is no C++ that the host can compile:\n{errors}")
        os.replace(built, path)
    return [ctypes.CDLL(str(path)) for path in paths]


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
    start = int(array.ctypes.data)
    return start, start + array.nbytes


def _bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array.reshape(-1).view(np.uint8)


def _inside(copy: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return copy[GUARD : copy.size - GUARD]
