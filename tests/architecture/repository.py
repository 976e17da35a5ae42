"""The repository as the tests of its architecture read it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "portml"
TEXTS = ("portml", "tests", "benchmarks", "examples", "docs", ".ci", ".github")


def modules() -> list[Path]:
    """Every Python file of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def texts() -> Iterator[Path]:
    """Every text file of the repository that is not generated."""
    suffixes = {".cu", ".h", ".md", ".py", ".pyi", ".toml", ".txt", ".yml", ""}
    for folder in TEXTS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in suffixes and not {"__pycache__", ".ipynb_checkpoints"} & {*path.parts}:
                yield path
    yield from (path for path in sorted(ROOT.iterdir()) if path.suffix in suffixes and path.is_file())


def name_of(path: Path) -> str:
    """A file's path from the root, with forward slashes."""
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    """The room of the package in which a module stands; the public face itself is in none."""
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a module imports, now, later, or only for type checkers.

    Modules that are imported by name when they are needed count too: a string that is nothing but the dotted name of a
    module of portml, or what `import_module` is called with.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = [*path.relative_to(ROOT).with_suffix("").parts][:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = node.value.split(".")
            if parts[0] == "portml" and len(parts) > 1 and all(part.isidentifier() for part in parts):
                yield node.lineno, node.value
        elif isinstance(node, ast.Call) and _is_import_module(node.func):
            yield from (
                (node.lineno, argument.value)
                for argument in node.args[:1]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            )


def _is_import_module(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in {"import_module", "__import__"}
