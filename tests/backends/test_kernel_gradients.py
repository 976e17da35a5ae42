"""Every declared gradient is the derivative of its kernel, by central differences in a random direction, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from portml.backends import kernel_table
from portml.errors import RangeError
from tests.backends.kernel_cases import Case, all_kernel_cases

CASES = all_kernel_cases()
KERNELS = kernel_table()
WITH_GRADIENT = sorted(name for name, kernel in KERNELS.items() if kernel.backward is not None and name in CASES)
STEP = 1e-6
RELATIVE, ABSOLUTE = 1e-4, 1e-5
KINK = 1e-2


@pytest.mark.parametrize("name", WITH_GRADIENT)
def test_a_backward_kernel_gives_the_derivative_of_its_kernel(name: str) -> None:
    checked = sum(_agrees(name, case) for case in CASES[name].drawn("float64") if _is_ordinary(case))
    assert checked > 0, "no case is smooth"


def _agrees(name: str, case: Case) -> bool:
    """Compare along one direction; False where the kernel has a kink so near that differences say nothing."""
    generator = np.random.default_rng(0)
    directions = [generator.standard_normal(each.shape) if _is_real(each) else None for each in case.arguments]
    y, saved = _with_saved(name, case)
    g = tuple(generator.standard_normal(np.shape(each)) for each in y) if isinstance(y, tuple) else None
    if g is None:
        g = generator.standard_normal(np.shape(y))
    try:
        ahead, behind = (_slope(name, case, directions, g, step) for step in (STEP, -STEP))
    except RangeError:
        return False  # a probability at the edge of its range
    if not abs(ahead - behind) <= KINK * max(abs(ahead), 1.0):
        return False  # a kink, or the mean of nothing
    backward, needs = KERNELS[name].backward, tuple(direction is not None for direction in directions)
    assert backward is not None
    gradients = backward(g, saved, *case.arguments, needs=needs, **case.statics)
    pairs = [pair for pair in zip(gradients, directions, strict=True) if pair[0] is not None and pair[1] is not None]
    if len(pairs) < sum(needs):
        return False  # an argument has no gradient although it is real: nothing to compare with
    total = sum(float(np.sum(gradient * direction)) for gradient, direction in pairs)
    assert total == pytest.approx((ahead + behind) / 2, rel=RELATIVE, abs=ABSOLUTE), f"in the case {case}"
    return True


def _with_saved(name: str, case: Case) -> tuple[Any, Any]:
    kernel = KERNELS[name]
    if kernel.saving is not None:
        return kernel.saving(*case.arguments, **case.statics)  # type: ignore[no-any-return]
    y = kernel.function(*case.arguments, **case.statics)
    return y, y


def _slope(name: str, case: Case, directions: list[Any], g: Any, step: float) -> float:
    """How the result, weighed by `g`, changes along the directions."""

    def weighed(distance: float) -> float:
        moved = [
            each if direction is None else each + distance * direction
            for each, direction in zip(case.arguments, directions, strict=True)
        ]
        y = KERNELS[name].function(*moved, **case.statics)
        return sum(float(np.sum(weight * part)) for weight, part in _parts(g, y))

    return (weighed(step) - weighed(0)) / step


def _parts(g: Any, y: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(y, tuple):
        yield from zip(g, y, strict=True)
    else:
        yield g, y


def _is_ordinary(case: Case) -> bool:
    """Whether there is something to move, and no infinity, NaN or number so large that a step would not be seen."""
    if case.statics.get("padding_idx") is not None:
        return False  # no gradient flows to the row that stands for padding, although the result depends on it
    real = [each for each in case.arguments if _is_real(each)]
    return any(each.size for each in real) and all(bool(np.all(np.abs(each) < 1e3)) for each in real)


def _is_real(argument: Any) -> bool:
    return isinstance(argument, np.ndarray) and argument.dtype.kind == "f"
