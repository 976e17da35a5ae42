"""The threads of BLAS that a command uses."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NAMES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
CODE = "import os; from portml.cli import main; main(['info']); print(os.environ.get('OPENBLAS_NUM_THREADS'))"


@pytest.mark.parametrize(
    ("chosen", "expected"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "2"}, "2"), ({"OMP_NUM_THREADS": "2"}, "None")]
)
def test_a_command_uses_one_thread_unless_told_otherwise(chosen: dict[str, str], expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | chosen
    run = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == expected
