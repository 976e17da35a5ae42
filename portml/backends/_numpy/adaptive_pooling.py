"""Adaptive pooling on NumPy: windows that all have one size and touch are those of ordinary pooling."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from portml.backends.kernels.adaptive_pooling import adaptive_max_pool, refuse_unfit_adaptive
from portml.backends.kernels.pooling import max_pool_with_indices

__all__: list[str] = []

Numbers = NDArray[Any]


@adaptive_max_pool.on("numpy")
def _(x: Numbers, *, output_size: tuple[int, ...]) -> tuple[Numbers, Numbers]:
    refuse_unfit_adaptive(x, output_size)
    if any(length % size for length, size in zip(x.shape[2:], output_size, strict=True)):
        return adaptive_max_pool.agnostic(x, output_size=output_size)  # type: ignore[no-any-return]
    size = tuple(length // size for length, size in zip(x.shape[2:], output_size, strict=True))
    zeros, ones = (0,) * len(size), (1,) * len(size)
    return max_pool_with_indices(  # type: ignore[no-any-return]
        x, kernel_size=size, stride=size, padding=zeros, dilation=ones, ceil_mode=False
    )
