"""Cases of what writes into an array: another array, or a slot's next values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portml.backends.operations import write_into
from portml.backends.slots import fill_slot
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(write_into, tolerance="exact", in_place=(0,))
def write_into_cases(draw: Draw) -> Iterator[Case]:
    for shape in ((), (0,), (7,), (3, 5)):
        yield case(draw.normal(*shape), draw.normal(*shape))


@cases(fill_slot, tolerance="exact", nan=False, in_place=(0,))
def fill_slot_cases(draw: Draw) -> Iterator[Case]:
    for n in (1, 3):
        yield case(draw.normal(n), values=lambda n=n: np.linspace(0.25, 0.75, n).tolist())
