"""Lines and JSON on standard output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["byte_count", "percent", "print_json", "scores"]


def print_json(content: Any) -> None:
    """Print one JSON document; numbers that JSON does not have are null."""
    print(json.dumps(content, indent=2, ensure_ascii=False))


def scores(measured: Mapping[str, float]) -> str:
    """Loss and metrics as in "loss 0.0312  accuracy 99.15%"."""
    return "  ".join(
        f"{name} {percent(value) if name == 'accuracy' else f'{value:.4f}'}" for name, value in measured.items()
    )


def percent(part: float) -> str:
    """A part of one as "99.15%"."""
    return f"{part:.2%}"


def byte_count(count: int) -> str:
    """Bytes as "3.5 GiB"."""
    return f"{count / 2**30:.1f} GiB"
