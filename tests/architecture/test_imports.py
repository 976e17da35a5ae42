"""Rooms stand on one another, and imports only go down."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture.repository import ROOT, imports_of, modules, name_of, room_of

# What each room may import besides itself.
MAY_IMPORT = {
    "errors": "",
    "backends": "errors",
    "random": "errors backends",
    "autograd": "errors backends random",
    "recording": "errors backends random autograd",
    "optim": "errors backends random autograd",
    "nn": "errors backends random autograd optim",
    "metrics": "errors backends",
    "data": "errors backends random",
    "classical": "errors backends random optim metrics data",
    "train": "errors backends random autograd recording nn optim metrics data classical",
    "plots": "errors backends random autograd recording nn optim metrics data classical train",
    "cli": "errors backends random autograd recording nn optim metrics data classical train plots",
    "__main__": "cli",
}
NUMPY_MAY_BE_IMPORTED_IN = (
    "portml/backends/",
    "portml/classical/host.py",
    "portml/data/",
    "portml/cli/",
    "portml/plots/",
    "portml/train/checkpoint.py",
)
CUPY_MAY_BE_IMPORTED_IN = ("portml/backends/_cupy.py",)
NOT_LOADED_BY_IMPORTING_PORTML = (
    "PIL",
    "array_api_compat",
    "array_api_strict",
    "cupy",
    "matplotlib",
    "numba",
    "pooch",
    "rich",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_only_go_down(path: Path) -> None:
    room = room_of(path)
    if room:
        assert upward_arrows(path, room) == []


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_numpy_is_imported_only_on_the_host_side(path: Path) -> None:
    if not name_of(path).startswith(NUMPY_MAY_BE_IMPORTED_IN):
        assert imports_from(path, "numpy") == []


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_cupy_is_imported_only_in_its_own_file(path: Path) -> None:
    if name_of(path) not in CUPY_MAY_BE_IMPORTED_IN:
        assert imports_from(path, "cupy", "cupyx", "array_api_compat.cupy") == []


@pytest.mark.parametrize(
    ("room", "line", "find"),
    [
        ("backends", "from portml.autograd import Tensor", lambda path: upward_arrows(path, "backends")),
        ("backends", "from portml import autograd", lambda path: upward_arrows(path, "backends")),
        ("backends", "from ..nn import Module", lambda path: upward_arrows(path, "backends")),
        ("metrics", "import portml.nn.layers", lambda path: upward_arrows(path, "metrics")),
        ("data", "LATER = {'tensor': 'portml.autograd'}", lambda path: upward_arrows(path, "data")),
        ("nn", "from portml import Tensor", lambda path: upward_arrows(path, "nn")),
        ("optim", "def step():\n    import numpy as np", lambda path: imports_from(path, "numpy")),
        ("optim", "import importlib\nimportlib.import_module('numpy')", lambda path: imports_from(path, "numpy")),
        ("backends", "from cupy import ndarray", lambda path: imports_from(path, "cupy")),
        ("backends", "import array_api_compat.cupy as xp", lambda path: imports_from(path, "array_api_compat.cupy")),
        ("backends", "from array_api_compat import cupy", lambda path: imports_from(path, "array_api_compat.cupy")),
    ],
)
def test_the_walk_finds_every_way_to_import(
    room: str, line: str, find: Callable[[Path], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.architecture.repository.ROOT", tmp_path)
    path = tmp_path / "portml" / room / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert len(find(path)) == 1


def test_every_room_has_its_place() -> None:
    rooms = {room_of(path) for path in modules()} - {""}
    assert rooms <= MAY_IMPORT.keys(), "a new room: say in MAY_IMPORT what stands under it"


def test_the_order_of_the_rooms_has_no_cycle() -> None:
    seen: set[str] = set()
    for room, below in MAY_IMPORT.items():
        assert set(below.split()) <= seen
        seen.add(room)


def test_importing_portml_loads_no_heavy_library() -> None:
    assert loaded_after("import portml") == ""


def test_touching_every_public_name_loads_no_heavy_library() -> None:
    assert loaded_after("import portml\nfor name in dir(portml): getattr(portml, name)") == ""


def upward_arrows(path: Path, room: str) -> list[str]:
    """Imports of rooms that do not stand under this one."""
    below = {room, *MAY_IMPORT[room].split()}
    found = []
    for line, name in imports_of(path):
        root, *rest = name.split(".")
        if root == "portml" and not (rest and rest[0] in below) and rest[:1] != ["__version__"]:
            found.append(f"line {line}: {room} imports {name}")
    return found


def imports_from(path: Path, *packages: str) -> list[str]:
    """Imports of these packages or of something in them."""
    return [
        f"line {line}: {name}"
        for line, name in imports_of(path)
        if any(name == package or name.startswith(f"{package}.") for package in packages)
    ]


def loaded_after(code: str) -> str:
    """Which of the heavy libraries a fresh process has loaded after running `code`."""
    code += f"\nimport sys; print(*(name for name in {NOT_LOADED_BY_IMPORTING_PORTML} if name in sys.modules))"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()
