from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_digits.py"


def test_the_example_trains(capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = runpy.run_path(str(EXAMPLE))["main"]("numpy", 3)
    assert accuracy > 0.8
    assert capsys.readouterr().out.splitlines()[-1] == f"test accuracy {accuracy:.2%}"
