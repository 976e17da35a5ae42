"""What the tests of the commands share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
SMALL = ("--model", "mlp", "--epochs", "2", "--batch-size", "8")


def archive(folder: Path, name: str = "halves.npz", n: int = 60) -> Path:
    """Images of 8x8 of two classes, "left" and "right" bright."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    images = rng.random((n, 8, 8)).astype(np.float32) * 0.4
    images[labels == 0, :, :4] += 0.6
    images[labels == 1, :, 4:] += 0.6
    path = folder / name
    np.savez(path, images=images, labels=np.array(["left", "right"])[labels])
    return path


def environment(**more: str) -> dict[str, str]:
    """For a process that runs this checkout, from any folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **more}


def portml(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "portml", *map(str, arguments)]
    settings: dict[str, Any] = {"env": environment(), "capture_output": True, "text": True, "timeout": 120}
    return subprocess.run(command, check=False, **{**settings, **options})
