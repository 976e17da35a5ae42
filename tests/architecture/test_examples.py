"""What documentation shows is true: docstrings and README run as they stand."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

from tests.architecture.repository import ROOT, modules

SHOWN = [path for path in modules() if ">>> " in path.read_text(encoding="utf-8")]


def test_some_docstrings_show_examples() -> None:
    assert SHOWN


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples_in_docstrings_give_what_they_say(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


def test_the_examples_of_the_readme_run(capsys: pytest.CaptureFixture[str]) -> None:
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        exec(compile(example.replace("epochs=10", "epochs=1"), "README.md", "exec"), {})
    assert "'accuracy': 0." in capsys.readouterr().out
