from __future__ import annotations

from collections.abc import Iterator

from portml.backends.kernels.group_normalisation import group_norm
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(group_norm, tolerance="reduction")
def group_norm_cases(draw: Draw) -> Iterator[Case]:
    for shape, groups in (
        ((5, 6), 3), ((3, 4, 7), 1), ((2, 6, 5, 7), 3), ((2, 3, 4, 2), 3), ((1, 4, 2, 3, 2), 2), ((2, 4, 33), 2)
    ):  # fmt: skip
        channels = shape[1]
        yield case(draw.normal(*shape) + 3, draw.normal(channels), draw.normal(channels), groups=groups, eps=1e-5)
        yield case(draw.normal(*shape), None, None, groups=groups, eps=1e-3)
    yield case(draw.normal(2, 4, 300), draw.normal(4), None, groups=2, eps=1e-5)
    yield case(draw.normal(0, 4, 3), draw.normal(4), draw.normal(4), groups=2, eps=1e-5)
    yield case(draw.normal(2, 4, 0), draw.normal(4), draw.normal(4), groups=2, eps=1e-5)
    yield case(draw.normal(3, 6, 5, 4).transpose(3, 1, 0, 2), draw.normal(6), None, groups=2, eps=1e-5)
