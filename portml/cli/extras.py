"""Optional packages, asked for before any work is done."""

from __future__ import annotations

from importlib.util import find_spec

from portml.errors import MissingDependencyError

__all__ = ["require"]


def require(command: str, *packages: str) -> None:
    """Refuse a command whose packages are not installed.

    Raises
    ------
    MissingDependencyError
        Naming those that are missing, and the extra that brings them.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise MissingDependencyError(
            f'portml {command} needs {" and ".join(missing)}, which {verb} not installed: pip install "portml[cli]"'
        )
