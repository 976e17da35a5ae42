"""What a run ran on: versions, device, machine."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

from portml import __version__
from portml.backends import Backend, get_backend

__all__ = ["describe_backend", "versions"]

_LIBRARIES = {"numpy": "numpy", "cupy": "cupy", "strict": "array_api_strict"}


def versions() -> dict[str, str]:
    """Versions of portml, Python and NumPy, and the system; plain strings."""
    return {
        "portml": __version__,
        "python": platform.python_version(),
        "numpy": str(get_backend("numpy").xp.__version__),
        "system": platform.platform(),
    }


def describe_backend(backend: Backend) -> dict[str, Any]:
    """A backend, its library with its version, its device and which kernels run there; values that JSON takes.

    ``blas_threads`` is what the environment sets, which decides how sums round on the host.
    """
    library = _LIBRARIES.get(backend.name, backend.name)
    return {
        "name": backend.name,
        "library": library,
        "version": str(getattr(sys.modules.get(library), "__version__", "unknown")),
        "device": _device(backend),
        "kernels": backend.kernels,
        "blas_threads": os.environ.get("OPENBLAS_NUM_THREADS", "not set"),
    }


def _device(backend: Backend) -> str:
    """The device in its library's words; of the host, the processor too."""
    if not backend.host:
        return str(backend.device)
    return f"{backend.device} ({os.cpu_count() or 1} × {platform.machine() or 'unknown'})"
