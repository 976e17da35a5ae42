"""Functions of each number by itself: what is written on one block, run over all blocks and registered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import flat_blocks
from portml.backends.kernel import KernelFunction
from portml.backends.kernels.real_numbers import refuse_unless_real
from portml.backends.overriding import under_signature_of

__all__ = ["pointwise", "pointwise_backward", "pointwise_saving"]

Floats = NDArray[Any]
Write = Callable[..., None]


def pointwise(twin: KernelFunction) -> Callable[[Write], Write]:
    """Register ``write(x, y, **statics)``, which writes the result of a block, as the override of ``twin(x)``."""

    def register(write: Write) -> Write:
        def override(x: Floats, *, out: Floats | None = None, **statics: Any) -> Floats:
            refuse_unless_real(twin.kernel.name, x)
            y = _room(out, x)
            for xs, ys in flat_blocks(x, y):
                write(xs, ys, **statics)
            return y

        twin.on("numpy")(under_signature_of(twin, write.__module__)(override))
        return write

    return register


def pointwise_saving(twin: KernelFunction) -> Callable[[Write], Write]:
    """The same for ``write(x, y, saved, **statics)`` of a kernel that keeps an array of the shape of x."""

    def register(write: Write) -> Write:
        def override(x: Floats, *, out: tuple[Floats, Floats] | None = None, **statics: Any) -> tuple[Floats, Floats]:
            refuse_unless_real(twin.kernel.name.removesuffix("_saving"), x)
            to_y, to_saved = (None, None) if out is None else out
            y, saved = _room(to_y, x), _room(to_saved, x)
            for xs, ys, kept in flat_blocks(x, y, saved):
                write(xs, ys, kept, **statics)
            return y, saved

        twin.on("numpy")(under_signature_of(twin, write.__module__)(override))
        return write

    return register


def pointwise_backward(twin: KernelFunction) -> Callable[[Write], Write]:
    """The same for ``write(saved, x, slope, **statics)``, which writes what the gradient is multiplied with."""

    def register(write: Write) -> Write:
        def override(
            g: Floats, saved: Floats, x: Floats, *, needs: Any, out: tuple[Floats] | None = None, **statics: Any
        ) -> tuple[Floats]:
            dx = _room(None if out is None else out[0], g)
            for gs, kept, xs, ds in flat_blocks(g, saved, x, dx):
                slope = np.empty(xs.shape, xs.dtype)
                write(kept, xs, slope, **statics)
                np.multiply(gs, slope, out=ds)
            return (dx,)

        twin.on("numpy")(under_signature_of(twin, write.__module__)(override))
        return write

    return register


def _room(out: Floats | None, like: Floats) -> Floats:
    """A new array keeps the order of memory, in which a convolution may have put the batch last."""
    return np.empty_like(like) if out is None else out
