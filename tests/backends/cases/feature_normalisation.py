from __future__ import annotations

from collections.abc import Iterator

from portml.backends.kernels import feature_normalisation as kernels
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(kernels.rms_norm, tolerance="reduction")
def rms_norm_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(5, 7), draw.normal(7), axes=(1,), eps=1e-5)
    yield case(draw.normal(5, 7), None, axes=-1, eps=1e-5)
    yield case(draw.normal(5, 257), None, axes=(1,), eps=1e-3)
    yield case(draw.normal(2, 3, 33), draw.normal(33), axes=(-1,), eps=1e-5)
    yield case(draw.normal(2, 3, 5), draw.normal(3, 5), axes=(1, 2), eps=1e-5)
    yield case(draw.normal(2, 3, 5), draw.normal(3, 1), axes=1, eps=1e-5)
    yield case(draw.normal(7), draw.normal(7), axes=0, eps=1e-5)
    yield case(draw.normal(0, 7), draw.normal(7), axes=(1,), eps=1e-5)
    yield case(draw.normal(7, 0), draw.normal(0), axes=(1,), eps=1e-5)
    yield case(draw.normal(6, 5).T, draw.normal(12)[::2], axes=(1,), eps=1e-5)


@cases(kernels.layer_norm_by_deviation, tolerance="reduction")
def layer_norm_by_deviation_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(5, 7), draw.normal(7), draw.normal(7), axes=(1,), eps=1e-6)
    yield case(draw.normal(5, 7) + 100, draw.normal(7), None, axes=-1, eps=1e-6)
    yield case(draw.normal(2, 3, 5), draw.normal(3, 5), draw.normal(3, 5), axes=(1, 2), eps=1e-3)
    yield case(draw.normal(2, 3, 5), draw.normal(3, 1), draw.normal(3, 1), axes=1, eps=1e-6)
    yield case(draw.normal(4, 3), None, None, axes=(1,), eps=1e-6)
    yield case(draw.normal(0, 7), draw.normal(7), draw.normal(7), axes=(1,), eps=1e-6)
    yield case(draw.normal(7, 0), draw.normal(0), draw.normal(0), axes=(1,), eps=1e-6)


@cases(kernels.local_response_norm)
def local_response_norm_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(2, 7, 3), size=3, alpha=0.5, beta=0.75, k=1.0)
    yield case(draw.normal(2, 5, 3, 2), size=4, alpha=1e-1, beta=0.5, k=2.0)
    yield case(draw.normal(3, 33), size=1, alpha=1.0, beta=1.0, k=1.0)
    yield case(draw.normal(2, 3, 5), size=9, alpha=0.3, beta=0.75, k=1.0)
    yield case(draw.normal(0, 3, 5), size=3, alpha=0.3, beta=0.75, k=1.0)
    yield case(draw.normal(4, 5, 6).transpose(2, 1, 0), size=3, alpha=0.3, beta=0.75, k=1.0)
