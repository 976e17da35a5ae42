from __future__ import annotations

from collections.abc import Iterator

from portml.backends.kernels.dropout import dropout
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(dropout)
def dropout_cases(draw: Draw) -> Iterator[Case]:
    key = draw.integers(0, 2**63 - 1, 2, dtype="uint64")
    for p in (0.0, 0.25, 0.7, 1.0):
        yield case(draw.normal(3, 7), key, draw.integers(0, 2**63 - 1, 4, dtype="uint64"), p=p)
    yield case(draw.normal(2, 3, 257), key, draw.integers(0, 4, 5, dtype="uint64"), p=0.5)
    yield case(draw.normal(0, 3), key, draw.integers(0, 4, 4, dtype="uint64"), p=0.5)
    yield case(draw.normal(), key, draw.integers(0, 4, 4, dtype="uint64"), p=0.5)
    yield case(draw.normal(6, 5).T, key, draw.integers(0, 4, 4, dtype="uint64"), p=0.5)
