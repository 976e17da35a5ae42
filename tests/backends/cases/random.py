from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from portml.backends.kernels import random
from tests.backends.kernel_cases import Case, Draw, case, cases

SHAPES = ((), (1,), (2,), (3,), (7, 37), (2, 3, 5), (0, 4))
LARGEST = 2**64 - 1


def draw_words(draw: Draw, n: int) -> np.ndarray:
    """Words from all of the range, its ends among them."""
    halves = draw.integers(0, 2**32, 2, n, dtype="uint64")
    words = halves[0] << np.uint64(32) | halves[1]
    words[:3] = np.asarray([LARGEST, 0, 2**63], dtype=np.uint64)[:n]
    return words


@cases(random.philox_words, tolerance="exact")
def philox_words_cases(draw: Draw) -> Iterator[Case]:
    counters = [
        [0, 0, 0, 0],
        [LARGEST - 2, 4, 5, 6],
        [LARGEST, LARGEST, 5, 6],
        [LARGEST - 1, LARGEST, LARGEST, 7],
        [LARGEST, LARGEST, LARGEST, LARGEST],
    ]
    for n, skipped in ((0, []), (1, [3]), (3, [1]), (4, []), (5, [0]), (67, [2])):
        for counter in counters:
            yield case(draw_words(draw, 2), np.asarray(counter + skipped, dtype=np.uint64), n=n)
    yield case(draw_words(draw, 2), np.asarray(counters[1], dtype=np.uint64), n=1031)


@cases(random.uniform_from_words, tolerance="exact")
def uniform_from_words_cases(draw: Draw) -> Iterator[Case]:
    for shape in SHAPES:
        words = draw_words(draw, random.words_for_uniforms(math.prod(shape), draw.dtype))
        yield case(words, shape=shape, dtype=draw.dtype, low=0.0, high=1.0)
        yield case(words, shape=shape, dtype=draw.dtype, low=-0.3, high=0.9)
        yield case(words, shape=shape, dtype=draw.dtype, low=0.1, high=0.1)


@cases(random.normal_from_words)
def normal_from_words_cases(draw: Draw) -> Iterator[Case]:
    for shape in SHAPES:
        words = draw_words(draw, random.words_for_normals(math.prod(shape), draw.dtype))
        yield case(words, shape=shape, dtype=draw.dtype, mean=0.0, std=1.0)
        yield case(words, shape=shape, dtype=draw.dtype, mean=-0.3, std=0.02)


@cases(random.truncated_normal_from_words)
def truncated_normal_from_words_cases(draw: Draw) -> Iterator[Case]:
    for low, high in ((-2.0, 2.0), (0.1, 0.5), (3.0, math.inf), (-math.inf, -5.0)):
        for shape in SHAPES:
            words = draw_words(draw, math.prod(shape))
            yield case(words, shape=shape, dtype=draw.dtype, mean=0.2, std=0.7, low=low, high=high)


@cases(random.integers_from_words, tolerance="exact")
def integers_from_words_cases(draw: Draw) -> Iterator[Case]:
    ranges = (
        ("int64", 0, 10),
        ("int64", -(2**63), 2**63),
        ("int64", -(2**63), -(2**62)),
        ("int64", -5, 2**62),
        ("int64", 2**62, 2**62 + 1),
        ("int32", -(2**31), 2**31),
        ("int8", -128, 128),
        ("uint8", 3, 256),
        ("uint32", 0, 2**32),
        ("uint64", 0, 2**64),
        ("uint64", 2**63, 2**64 - 1),
    )
    for dtype, low, high in ranges:
        for shape in SHAPES:
            yield case(draw_words(draw, math.prod(shape)), shape=shape, dtype=dtype, low=low, high=high)


@cases(random.bernoulli_from_words, tolerance="exact")
def bernoulli_from_words_cases(draw: Draw) -> Iterator[Case]:
    for p in (0.0, 1.0, 0.3, 2.0**-60, 1.0 - 2.0**-53, 5e-324):
        for shape in SHAPES:
            yield case(draw_words(draw, math.prod(shape)), shape=shape, p=p)


@cases(random.categories_from_words, tolerance="exact", nan=False)
def categories_from_words_cases(draw: Draw) -> Iterator[Case]:
    for cumulative in ([1.0], [0.0, 0.25, 0.25, 1.0, 1.0]):
        for shape in SHAPES:
            yield case(draw_words(draw, math.prod(shape)), np.asarray(cumulative), shape=shape)


@cases(random.permutation_from_words, tolerance="exact")
def permutation_from_words_cases(draw: Draw) -> Iterator[Case]:
    for n_words in (0, 1, 2, 3, 257):
        for n in {0, n_words // 2, n_words}:
            yield case(draw_words(draw, n_words), n=n)
    yield case(draw_words(draw, 257) & np.uint64(0b111), n=257)


@cases(random.normal_quantile, nan=False)
def normal_quantile_cases(draw: Draw) -> Iterator[Case]:
    yield case(10.0 ** -np.linspace(0.01, 300.0, 301))
    yield case(1.0 - 10.0 ** -np.linspace(0.01, 15.9, 33))
    yield case(np.zeros((0, 3)))
