from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portml.backends.kernels.positions import rotary_embedding
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(rotary_embedding, tolerance="reduction")
def rotary_embedding_cases(draw: Draw) -> Iterator[Case]:
    for interleaved in (False, True):
        for shape, pairs in (((2, 3, 5, 8), 4), ((5, 7), 2), ((2, 0, 4), 2)):
            angles = draw.normal(shape[-2], pairs)
            yield case(draw.normal(*shape), np.cos(angles), np.sin(angles), interleaved=interleaved)
