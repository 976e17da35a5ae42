"""Cases of frames made of an array's own elements."""

from __future__ import annotations

from collections.abc import Iterator

from portml.backends.kernels.padding import PADDING_MODES, pad_with_itself
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(pad_with_itself, tolerance="exact")
def padding_cases(draw: Draw) -> Iterator[Case]:
    for mode in PADDING_MODES:
        yield case(draw.normal(2, 3, 5, 4), widths=((0, 0), (0, 0), (2, 4), (3, 1)), mode=mode)
        yield case(draw.normal(2, 1, 7), widths=((0, 0), (0, 0), (0, 3)), mode=mode)
        yield case(draw.normal(1, 2, 3, 2, 4), widths=((0, 0), (0, 0), (1, 2), (1, 0), (0, 0)), mode=mode)
        yield case(draw.normal(0, 2, 3), widths=((0, 0), (0, 0), (1, 1)), mode=mode)
        yield case(draw.normal(2, 3), widths=((0, 0), (0, 0)), mode=mode)
