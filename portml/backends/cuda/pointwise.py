"""Activations of CuPy's arrays from two lines of CUDA each: the value and the slope."""

from __future__ import annotations

from typing import Any, NamedTuple

from portml.backends.cuda.glue import elementwise, outputs, override
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernel import KernelFunction
from portml.backends.namespaces import Array
from portml.backends.overriding import under_signature_of

__all__ = ["Pointwise", "pointwise", "register_pointwise"]


class Pointwise(NamedTuple):
    """The kernels of an activation and its gradient."""

    forward: CudaKernel
    backward: CudaKernel


def pointwise(name: str, value: str, slope: str, scalars: tuple[str, ...] = (), preamble: str = "") -> Pointwise:
    """The kernels of an activation.

    Parameters
    ----------
    name : str
    value : str
        Expression of ``z``, the argument, and the scalars.
    slope : str
        Expression of ``z``, of ``r``, which is what was saved or else the result, and the scalars.
    scalars : tuple of str
        Names of the statics, as the twin has them.
    preamble : str
    """
    declared = "".join(f", T {scalar}" for scalar in scalars)
    return Pointwise(
        CudaKernel(name, f"const T* x{declared}, T* y", f"const T z = x[i];\ny[i] = {value};", preamble),
        CudaKernel(
            f"{name}_backward",
            f"const T* g, const T* saved, const T* x{declared}, T* dx",
            f"const T z = x[i], r = saved[i];\n(void)r;\ndx[i] = g[i] * ({slope});",
            preamble,
        ),
    )


def register_pointwise(twin: KernelFunction, kernels: Pointwise, scalars: tuple[str, ...] = ()) -> None:
    """Register both kernels for a twin whose statics are these scalars."""
    backward_twin = twin.kernel.backward
    assert backward_twin is not None

    @under_signature_of(twin, __name__)
    def forward(x: Array, *, out: Any = None, **statics: Any) -> Array:
        return elementwise(kernels.forward, (x,), tuple(statics[scalar] for scalar in scalars), out)

    @under_signature_of(backward_twin, __name__)
    def backward(g: Array, saved: Array, x: Array, *, needs: Any, out: Any = None, **statics: Any) -> tuple[Array]:
        given = tuple(statics[scalar] for scalar in scalars)
        return (elementwise(kernels.backward, (g, saved, x), given, outputs(out, 1)[0]),)

    override(twin)(forward)
    override(backward_twin)(backward)
