"""What every file of the repository keeps to."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.repository import PACKAGE, ROOT, modules, name_of, texts

# Put together from pieces, so that this file does not contain what it looks for.
MACHINE_PATH = re.compile(
    "|".join(rf"(?<![\w.\"'<}}])/{folder}/\w" for folder in ("home", "root", "tmp", "work", "Users"))
)
LONGEST = 500


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_says_what_it_is_and_is_no_longer_than_two_screens_of_one_idea(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module begins with a docstring"
    assert text.count("\n") <= LONGEST, "one file, one idea: split it"


@pytest.mark.parametrize("path", list(texts()), ids=name_of)
def test_no_text_names_a_path_of_some_machine(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if MACHINE_PATH.search(line)] == []


@pytest.mark.parametrize("line", ["see /" + "tmp/results", "cd /" + "work/main", "(/" + "home/me/data)"])
def test_a_path_of_some_machine_is_recognised(line: str) -> None:
    assert MACHINE_PATH.search(line)


def test_backends_at_the_top_is_a_link_into_the_package() -> None:
    link = ROOT / "backends"
    # A checkout without links holds the target as text.
    target = link.readlink().as_posix() if link.is_symlink() else link.read_text(encoding="utf-8")
    assert target == "portml/backends"


def test_the_shim_refuses_to_be_imported_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "backends").symlink_to(PACKAGE / "backends", target_is_directory=True)
    for folder in (tmp_path, ROOT):
        process = subprocess.run(
            [sys.executable, "-c", "import backends"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert process.returncode != 0
    assert "import it as portml.backends" in process.stderr


def test_readme_lists_every_room_and_nothing_that_is_not_there() -> None:
    listed = files_listed_in_readme()
    missing = [path for path in listed if not (ROOT / path).exists()]
    assert missing == [], "README names what does not exist"
    assert rooms() - listed == set(), "README's table of files leaves these out"


def files_listed_in_readme() -> set[str]:
    """First column of the table of files."""
    rows = re.findall(r"^\| `([^`]+)` *\|", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {row.rstrip("/") for row in rows}


def rooms() -> set[str]:
    """What stands at the top level and in the package, without what is generated or hidden."""
    generated = {"build", "dist", "runs", "__pycache__"}
    top = {path for path in ROOT.iterdir() if path.suffix not in {".egg-info", ".md"} and path.name != "LICENSE"}
    inside = {path for path in PACKAGE.iterdir() if path.name not in {"__init__.py", "py.typed"}}
    return {name_of(path) for path in top | inside if path.name not in generated and not path.name.startswith(".")}
