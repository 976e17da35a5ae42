"""Cases of resampling: every mode; larger, smaller and the same; whole and broken factors."""

from __future__ import annotations

from collections.abc import Iterator

from portml.backends.kernels.resampling import RESAMPLING_MODES, resample
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(resample, tolerance="reduction")
def resampling_cases(draw: Draw) -> Iterator[Case]:
    for mode in RESAMPLING_MODES:
        for size in ((10, 12), (7, 3), (5, 9), (1, 1), (2, 11)):
            plain = {"size": size, "mode": mode, "scale": (None, None)}
            yield case(draw.normal(2, 3, 5, 6), align_corners=False, **plain)
            if mode in ("linear", "cubic"):
                yield case(draw.normal(2, 3, 5, 6), align_corners=True, **plain)
        sizes = {"size": (8, 9), "mode": mode, "align_corners": False}
        yield case(draw.normal(1, 2, 5, 6), scale=(1.7, 1.5), **sizes)
        yield case(draw.normal(0, 2, 5, 6), scale=(None, 2.0), **sizes)
        yield case(draw.normal(33, 1, 7), size=(17,), mode=mode, align_corners=False, scale=(2.5,))
        cube = {"size": (4, 3, 2), "scale": (None, None, None)}
        yield case(draw.normal(1, 2, 2, 3, 5), mode=mode, align_corners=False, **cube)
    yield case(draw.normal(1, 2, 1, 1), size=(3, 1), mode="linear", align_corners=True, scale=(None, None))
