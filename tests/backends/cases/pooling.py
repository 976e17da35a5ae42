"""Cases of pooling: windows that touch, overlap, leave gaps, reach over the end; ties, infinities, NaN."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portml.backends.kernels.adaptive_pooling import adaptive_max_pool
from portml.backends.kernels.pooling import avg_pool, max_pool, max_pool_with_indices
from tests.backends.kernel_cases import Case, Draw, case, cases

SIZES: tuple[dict[str, tuple[int, ...]], ...] = (
    {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0)},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0)},
    {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1)},
    {"kernel_size": (2, 1), "stride": (3, 3), "padding": (1, 0)},
)


@cases(max_pool, max_pool_with_indices, tolerance="exact")
def max_pool_cases(draw: Draw) -> Iterator[Case]:
    for sizes in SIZES:
        for ceil_mode in (False, True):
            yield case(draw.permutation(3, 2, 7, 6), dilation=(1, 1), ceil_mode=ceil_mode, **sizes)
    yield case(draw.permutation(2, 3, 9, 8), **SIZES[2], dilation=(2, 1), ceil_mode=True)
    touching = {"dilation": (1, 1), "ceil_mode": False, **SIZES[0]}
    yield case(draw.permutation(33, 1, 4, 6), **touching)
    yield case(draw.permutation(0, 2, 4, 6), **touching)
    yield case(draw.integers(0, 2, 3, 2, 6, 8).astype(draw.dtype), **touching)
    yield case(np.full((1, 2, 4, 4), -np.inf, draw.dtype), **touching)
    overlapping = {"dilation": (1, 1), "ceil_mode": True, **SIZES[2]}
    yield case(draw.integers(0, 2, 3, 2, 6, 8).astype(draw.dtype), **overlapping)
    yield case(np.full((1, 2, 4, 4), -np.inf, draw.dtype), **overlapping)
    scattered = draw.permutation(2, 2, 9, 9)
    scattered[draw.booleans(2, 2, 9, 9) & draw.booleans(2, 2, 9, 9)] = np.nan
    yield case(scattered, **overlapping)
    yield case(draw.permutation(2, 3, 9), kernel_size=(3,), stride=(2,), padding=(1,), dilation=(2,), ceil_mode=False)
    cube = {"kernel_size": (2, 2, 3), "stride": (2, 1, 3), "padding": (1, 0, 1), "dilation": (1, 1, 1)}
    yield case(draw.permutation(2, 1, 4, 3, 6), ceil_mode=True, **cube)
    yield case(draw.permutation(1, 1, 13, 12), **touching | {"kernel_size": (12, 12), "stride": (1, 1)})


@cases(avg_pool, tolerance="reduction")
def avg_pool_cases(draw: Draw) -> Iterator[Case]:
    for sizes in SIZES:
        for ceil_mode in (False, True):
            for count in (False, True):
                yield case(draw.normal(3, 2, 7, 6), ceil_mode=ceil_mode, count_include_pad=count, **sizes)
    yield case(draw.normal(33, 1, 4, 6), ceil_mode=False, count_include_pad=True, **SIZES[0])
    yield case(draw.normal(0, 2, 4, 6), ceil_mode=False, count_include_pad=True, **SIZES[0])
    line = {"kernel_size": (3,), "stride": (2,), "padding": (1,)}
    yield case(draw.normal(2, 3, 9), ceil_mode=True, count_include_pad=False, **line)
    cube = {"kernel_size": (2, 2, 3), "stride": (2, 1, 3), "padding": (1, 0, 1)}
    yield case(draw.normal(2, 1, 4, 3, 6), ceil_mode=True, count_include_pad=True, **cube)
    for divisor in (7, -2):
        uneven = {"ceil_mode": True, "count_include_pad": False, "divisor_override": divisor}
        yield case(draw.normal(2, 1, 7, 6), **uneven, **SIZES[2])


@cases(adaptive_max_pool, tolerance="exact")
def adaptive_max_pool_cases(draw: Draw) -> Iterator[Case]:
    for size in ((3, 2), (1, 1), (7, 6), (5, 4), (9, 6)):
        yield case(draw.permutation(3, 2, 7, 6), output_size=size)
    yield case(draw.integers(0, 2, 3, 2, 6, 8).astype(draw.dtype), output_size=(4, 3))
    yield case(draw.integers(0, 2, 3, 2, 6, 8).astype(draw.dtype), output_size=(3, 4))
    yield case(np.full((1, 2, 4, 4), -np.inf, draw.dtype), output_size=(3, 2))
    scattered = draw.permutation(2, 2, 9, 9)
    scattered[draw.booleans(2, 2, 9, 9) & draw.booleans(2, 2, 9, 9)] = np.nan
    yield case(scattered, output_size=(4, 5))
    yield case(draw.permutation(0, 2, 4, 6), output_size=(3, 2))
    yield case(draw.permutation(2, 3, 9), output_size=(4,))
    yield case(draw.permutation(2, 1, 4, 3, 6), output_size=(3, 2, 4))
