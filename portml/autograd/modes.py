"""Whether operations are recorded for differentiation: context variables, so that no mode leaks into another thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["enable_grad", "grad_depth", "grad_enabled", "no_grad"]

_enabled: ContextVar[bool] = ContextVar("portml_grad_enabled", default=True)
grad_enabled = _enabled.get
"""``grad_enabled()`` says whether operations are being recorded here."""

grad_depth: ContextVar[int] = ContextVar("portml_grad_depth", default=0)
"""How many functional gradients (`grad`, `vjp`, …) are being evaluated around this point."""


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside: results need no gradient, and calls cost what their kernels cost."""
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)


@contextmanager
def enable_grad() -> Iterator[None]:
    """Record again inside a `no_grad`."""
    token = _enabled.set(True)
    try:
        yield
    finally:
        _enabled.reset(token)
