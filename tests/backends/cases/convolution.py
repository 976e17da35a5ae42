"""Cases of convolution: one to three spatial axes, groups, unequal padding, strides and dilations that leave a rest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portml.backends.kernels.convolution import convolution
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(convolution, tolerance="reduction")
def convolution_cases(draw: Draw) -> Iterator[Case]:
    def drawn(
        x: tuple[int, ...], weight: tuple[int, ...], *, bias: bool = True, groups: int = 1, **sizes: object
    ) -> Case:
        spatial = len(x) - 2
        statics = {"stride": (1,) * spatial, "padding": ((0, 0),) * spatial, "dilation": (1,) * spatial} | sizes
        given = draw.normal(weight[0]) if bias else None
        return case(draw.normal(*x), draw.normal(*weight), given, groups=groups, **statics)

    yield drawn((3, 2, 7, 6), (4, 2, 3, 3), padding=((1, 1), (1, 1)))
    yield drawn((3, 2, 7, 6), (4, 2, 3, 3), bias=False)
    yield drawn((2, 4, 8, 9), (6, 2, 2, 3), groups=2, stride=(2, 3), padding=((0, 1), (2, 0)))
    yield drawn((2, 3, 9, 8), (6, 1, 3, 3), groups=3, padding=((2, 2), (2, 2)), dilation=(2, 2))
    yield drawn((2, 2, 10, 11), (3, 2, 3, 2), stride=(2, 1), dilation=(3, 2), padding=((1, 0), (0, 1)))
    yield drawn((1, 3, 5, 5), (2, 3, 5, 5))
    yield drawn((1, 3, 5, 5), (2, 3, 1, 1), stride=(2, 2), padding=((1, 1), (0, 0)))
    yield drawn((33, 1, 4, 3), (2, 1, 2, 2))
    yield drawn((2, 3, 9), (4, 3, 4), stride=(2,), padding=((2, 1),))
    yield drawn((8, 32, 6, 9), (33, 32, 3, 3), padding=((1, 1), (2, 0)))
    yield drawn((9, 33, 9, 6), (32, 33, 3, 3), bias=False)
    yield drawn((8, 3, 6, 9), (3, 1, 3, 2), groups=3, padding=((1, 3), (2, 0)))
    spoilt = drawn((8, 32, 9, 9), (32, 32, 3, 3), padding=((1, 1), (1, 1)))
    spoilt.arguments[0][2, 3, 4, 4], spoilt.arguments[0][5, 3, 8, 0] = np.inf, np.nan
    yield spoilt
    yield drawn((2, 2, 4, 5, 3), (2, 2, 2, 3, 1), padding=((1, 0), (1, 1), (0, 0)), stride=(2, 1, 1))
    yield drawn((0, 2, 5, 5), (3, 2, 3, 3), padding=((1, 1), (1, 1)))
    yield drawn((2, 2, 1, 3, 4), (3, 2, 3, 2, 2), padding=((2, 1), (0, 0), (1, 0)), stride=(2, 1, 1))
    yield drawn((2, 4, 5, 3, 4), (4, 1, 2, 2, 2), groups=4, dilation=(2, 1, 2), stride=(3, 1, 1), bias=False)
