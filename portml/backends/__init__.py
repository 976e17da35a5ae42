"""The shim: namespaces, devices, transfer, and kernels.

Algorithms are plain Array API code on whatever array they are given.  What the standard lacks, or what is worth fusing,
is a named kernel here, with an agnostic body that runs everywhere and overrides that are faster ways to the same
numbers.
"""

from __future__ import annotations

if __name__ != "portml.backends":
    raise ImportError(
        f"the folder portml/backends was imported as {__name__!r}; import it as portml.backends "
        "(the link `backends` at the top of the repository is for readers, not for Python)"
    )

from portml.backends.backend import (
    Backend,
    Memory,
    available_backends,
    backend_of,
    get_backend,
    register_generator,
    to,
    to_numpy,
)
from portml.backends.doorway import Call, observe
from portml.backends.kernel import Kernel, kernel, kernel_table, kernels_in_use, kernels_switched, use_kernels
from portml.backends.namespaces import Array, device_of, dtype_kind, is_tensor, library_of, namespace
from portml.backends.slots import Slot, fill_slot

__all__ = [
    "Array",
    "Backend",
    "Call",
    "Kernel",
    "Memory",
    "Slot",
    "available_backends",
    "backend_of",
    "device_of",
    "dtype_kind",
    "fill_slot",
    "get_backend",
    "is_tensor",
    "kernel",
    "kernel_table",
    "kernels_in_use",
    "kernels_switched",
    "library_of",
    "namespace",
    "observe",
    "register_generator",
    "to",
    "to_numpy",
    "use_kernels",
]
