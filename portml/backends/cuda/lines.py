"""Kernels that run along an axis: softmax, norms, losses over classes.

An array is seen as (outer, length, inner) with the axis in the middle.  A *line* is what the axis runs along; its
elements are ``x[start + j * inner]`` for ``0 <= j < length``.  A short line takes one thread, a long one a block, and
the same body serves both.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from portml.backends.cuda.launch import launch
from portml.backends.cuda.source import CudaKernel

__all__ = ["Lines", "launch_lines", "line_kernels"]

SHORT = 64

_ONE_THREAD = """
__device__ T line_sum(T value, T*) { return value; }
__device__ T line_maximum(T value, T*) { return value; }
"""
_ONE_BLOCK = """
__device__ T line_sum(T value, T* scratch) { return block_sum(value, scratch); }
__device__ T line_maximum(T value, T* scratch) { return block_maximum(value, scratch); }
"""
_THREAD_BODY = """\
  const int64 line = i, start = line / inner * length * inner + line % inner;
  const int lane = 0, lanes = 1;
  T* scratch = nullptr;
"""
_BLOCK_BODY = """\
  __shared__ T scratch[THREADS];
  const int64 line = row, start = line / inner * length * inner + line % inner;
  const int lane = threadIdx.x, lanes = THREADS;
"""


class Lines(NamedTuple):
    """How an axis lies in an array."""

    number: int
    length: int
    inner: int

    @classmethod
    def along(cls, shape: tuple[int, ...], axis: int) -> Lines:
        """The lines along one axis of a C-contiguous array."""
        axis %= len(shape)
        inner = math.prod(shape[axis + 1 :])
        return cls(math.prod(shape[:axis]) * inner, shape[axis], inner)


def line_kernels(name: str, parameters: str, body: str, preamble: str = "") -> tuple[CudaKernel, CudaKernel]:
    """The two kernels, a thread a line and a block a line, of one body.

    The body may use ``line``, ``start``, ``length``, ``inner``, and goes over a line by
    ``for (int64 j = lane; j < length; j += lanes)``; ``line_sum(value, scratch)`` and ``line_maximum(value, scratch)``
    gather what the threads of a line found and must be reached by all of them.
    """
    parameters = f"{parameters}, int64 length, int64 inner"
    return (
        CudaKernel(f"{name}_by_thread", parameters, _quiet(_THREAD_BODY) + body, preamble + _ONE_THREAD),
        CudaKernel(f"{name}_by_block", parameters, _quiet(_BLOCK_BODY) + body, preamble + _ONE_BLOCK, style="block"),
    )


def launch_lines(kernels: tuple[CudaKernel, CudaKernel], lines: Lines, *arguments: Any) -> None:
    """Run the one of the two kernels that suits the length of the lines."""
    by_thread, by_block = kernels
    if lines.length <= SHORT:
        launch(by_thread, *arguments, lines.length, lines.inner, size=lines.number)
    else:
        launch(by_block, *arguments, lines.length, lines.inner, blocks=lines.number)


def _quiet(declarations: str) -> str:
    """Declarations that a body need not use, without a compiler's warning."""
    return declarations + "  (void)line; (void)start; (void)lane; (void)lanes; (void)scratch;\n"
