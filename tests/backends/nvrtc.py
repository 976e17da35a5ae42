"""Compile CUDA C++ without a GPU, through the NVRTC library of the wheel ``nvidia-cuda-nvrtc``."""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["NvrtcError", "compile_to_cubin", "version"]

OPTIONS = ("-std=c++17",)  # those of portml.backends._cupy
SUCCESS = 0


class NvrtcError(RuntimeError):
    """A source that NVRTC refuses, with its log."""


def compile_to_cubin(source: str, architecture: str, name: str = "kernel.cu") -> bytes:
    """Compile to machine code for an architecture such as ``"sm_80"``.

    Raises
    ------
    NvrtcError
        With the compiler's errors, each with its line.
    """
    library = _library()
    program = ctypes.c_void_p()
    _check(library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name.encode(), 0, None, None))
    try:
        options = [option.encode() for option in (*OPTIONS, f"-arch={architecture}")]
        status = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        log = _text(program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog").decode(errors="replace").strip("\0\n")
        if status != SUCCESS:
            raise NvrtcError(f"{name} does not compile for {architecture}:\n{log}")
        if log:
            raise NvrtcError(f"{name} compiles for {architecture}, but not without warnings:\n{log}")
        return _text(program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN")
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def version() -> tuple[int, int]:
    """The version of NVRTC."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(_library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return major.value, minor.value


@cache
def _library() -> Any:
    """The library of the wheel; its helper library lies beside it and is loaded first, as no path leads to it."""
    found = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in (found.submodule_search_locations or ())] if found is not None else []
    for folder in folders:
        for path in sorted(folder.glob("**/libnvrtc.so.*"), reverse=True):
            for builtins in path.parent.glob("libnvrtc-builtins.so.*"):
                ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
            library = ctypes.CDLL(str(path))
            library.nvrtcGetErrorString.restype = ctypes.c_char_p
            return library
    raise NvrtcError(
        "libnvrtc was not found: these tests compile the CUDA kernels; pip install nvidia-cuda-nvrtc==13.* "
        "or run the nox session `kernels`, which installs it"
    )


def _text(program: ctypes.c_void_p, size_function: str, function: str) -> bytes:
    size = ctypes.c_size_t()
    _check(getattr(_library(), size_function)(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(_library(), function)(program, buffer))
    return buffer.raw


def _check(status: int) -> None:
    if status != SUCCESS:
        raise NvrtcError(_library().nvrtcGetErrorString(status).decode())
