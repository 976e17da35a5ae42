"""Cases of transposed convolution: one to three spatial axes, groups, output paddings below and above the stride."""

from __future__ import annotations

from collections.abc import Iterator

from portml.backends.kernels.convolution_transpose import convolution_transpose
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(convolution_transpose, tolerance="reduction")
def convolution_transpose_cases(draw: Draw) -> Iterator[Case]:
    def drawn(
        x: tuple[int, ...], weight: tuple[int, ...], *, bias: bool = True, groups: int = 1, **sizes: object
    ) -> Case:
        spatial = len(x) - 2
        ones, zeros = (1,) * spatial, (0,) * spatial
        statics = {"stride": ones, "padding": ((0, 0),) * spatial, "output_padding": zeros, "dilation": ones} | sizes
        given = draw.normal(weight[1] * groups) if bias else None
        return case(draw.normal(*x), draw.normal(*weight), given, groups=groups, **statics)

    yield drawn((2, 3, 4, 5), (3, 2, 3, 2), stride=(2, 3), padding=((1, 1), (0, 1)), output_padding=(1, 2))
    yield drawn((2, 3, 4, 5), (3, 2, 3, 3), bias=False)
    yield drawn((3, 4, 5, 4), (4, 3, 2, 3), groups=2, stride=(1, 2), padding=((0, 0), (2, 1)))
    yield drawn((2, 4, 3, 3), (4, 1, 3, 3), groups=4, stride=(2, 2), padding=((1, 1), (1, 1)), output_padding=(1, 1))
    yield drawn((2, 2, 4, 3), (2, 2, 2, 2), dilation=(3, 2), output_padding=(2, 1))
    yield drawn((2, 2, 4, 3), (2, 3, 1, 1), stride=(2, 2))
    yield drawn((2, 3, 5), (3, 2, 4), stride=(3,), padding=((2, 1),), output_padding=(2,))
    yield drawn((2, 2, 3, 2, 3), (2, 1, 2, 2, 3), stride=(2, 1, 2), padding=((1, 0), (0, 0), (1, 1)))
    yield drawn((0, 2, 3, 3), (2, 3, 2, 2))
