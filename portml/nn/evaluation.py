"""Evaluation for a while: what dropout and batch normalisation do there, without records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from portml.autograd import no_grad
from portml.nn.module import Module

__all__ = ["evaluating"]


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Evaluation mode and no gradients inside; after it, and after an error, each module has its own mode back.

    Parameters
    ----------
    model : Module
        A part that was in evaluation before, such as frozen layers below a head that learns, stays so.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
