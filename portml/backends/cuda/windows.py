"""Windows that slide over up to three spatial axes, as CUDA sees them: fewer axes are led by axes of length one.

A kernel takes a window as eighteen scalars (`PARAMETERS`, made by `window_scalars`) and its body begins with `WINDOW`,
after which ``w`` holds, for each of three axes, the lengths of the input ``d`` and of the positions ``p``, the size
``k``, the stride ``s``, the padding before ``a`` and the dilation ``e``.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["MOST_AXES", "PARAMETERS", "PREAMBLE", "WINDOW", "window_scalars"]

MOST_AXES = 3

PARAMETERS = ", ".join(f"int64 {letter}{axis}" for letter in "dpksae" for axis in range(MOST_AXES))

PREAMBLE = """
struct Window { int64 d[3], p[3], k[3], s[3], a[3], e[3]; };
// Where an element of the window lies on an axis; outside the input in the padding.
__device__ int64 seen_at(const Window& w, int axis, int64 position, int64 offset) {
  return position * w.s[axis] - w.a[axis] + offset * w.e[axis];
}
// The position at which an element of the window lies on this coordinate, or -1 if there is none.
__device__ int64 position_of(const Window& w, int axis, int64 coordinate, int64 offset) {
  const int64 moved = coordinate + w.a[axis] - offset * w.e[axis];
  if (moved < 0 || moved % w.s[axis] != 0) return -1;
  return moved / w.s[axis] < w.p[axis] ? moved / w.s[axis] : -1;
}
"""

WINDOW = "const Window w = {{d0, d1, d2}, {p0, p1, p2}, {k0, k1, k2}, {s0, s1, s2}, {a0, a1, a2}, {e0, e1, e2}};"


def window_scalars(
    lengths: Sequence[int],
    positions: Sequence[int],
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> tuple[int, ...]:
    """What `PARAMETERS` stand for; an added axis has length, size, stride and dilation 1 and no padding."""
    missing = MOST_AXES - len(lengths)
    described = ((lengths, 1), (positions, 1), (kernel_size, 1), (stride, 1), (padding, 0), (dilation, 1))
    return tuple(number for values, filler in described for number in (*(filler,) * missing, *values))
