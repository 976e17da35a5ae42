"""Cases of what keeps gradients within bounds."""

from __future__ import annotations

from collections.abc import Iterator

from portml.backends.kernels import gradient_clipping
from tests.backends.kernel_cases import Case, Draw, case, cases

SHAPES = ((7,), (3, 5), (257,), (0,), ())


@cases(gradient_clipping.sum_of_squares, tolerance="reduction")
def sum_of_squares_cases(draw: Draw) -> Iterator[Case]:
    for shape in SHAPES:
        yield case(draw.normal(*shape))


@cases(gradient_clipping.scale_to_norm)
def scale_to_norm_cases(draw: Draw) -> Iterator[Case]:
    for shape in SHAPES:
        for norm in (0.5, 4.0):
            yield case(draw.normal(*shape), draw.values(norm)[0, ...], max_norm=2.0)


@cases(gradient_clipping.clip_value)
def clip_value_cases(draw: Draw) -> Iterator[Case]:
    for shape in SHAPES:
        yield case(draw.normal(*shape), limit=0.5)
