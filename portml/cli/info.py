"""``portml info``."""

from __future__ import annotations

import argparse
from typing import Any

from portml.backends import get_backend
from portml.cli.output import byte_count, print_json
from portml.errors import BackendUnavailableError, MissingDependencyError
from portml.train.environment import describe_backend, versions

__all__ = ["run"]

_BACKENDS = ("numpy", "cupy", "strict")


def run(arguments: argparse.Namespace) -> int:
    """Show versions, and each backend with its device, or why it does not answer."""
    found = {"versions": versions(), "backends": {name: _backend(name) for name in _BACKENDS}}
    if arguments.json:
        print_json(found)
    else:
        _print(found)
    return 0


def _backend(name: str) -> dict[str, Any]:
    try:
        backend = get_backend(name)
    except (BackendUnavailableError, MissingDependencyError) as error:
        return {"available": False, "reason": str(error)}
    memory = backend.memory()
    return {
        "available": True,
        **describe_backend(backend),
        "memory_used": memory.used,
        "memory_total": memory.total,
    }


def _print(found: dict[str, Any]) -> None:
    print("  ".join(f"{name} {version}" for name, version in found["versions"].items()))
    for name, backend in found["backends"].items():
        if not backend["available"]:
            print(f"{name:8}not available: {backend['reason']}")
            continue
        memory = (
            f", memory {byte_count(backend['memory_used'])} used of {byte_count(backend['memory_total'])}"
            if backend["memory_total"]
            else ""
        )
        print(
            f"{name:8}{backend['library']} {backend['version']} on {backend['device']}{memory}, "
            f"{backend['kernels']} kernels"
        )
