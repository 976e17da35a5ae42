from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from portml.backends.kernels.gated_recurrent_unit import gru
from portml.backends.kernels.long_short_term_memory import lstm
from portml.backends.kernels.projected_memory import projected_lstm
from portml.backends.kernels.recurrent import recurrent
from tests.backends.kernel_cases import Case, Draw, case, cases

SHAPES = ((1, 3, 2, 5), (4, 5, 3, 7), (3, 1, 1, 1), (2, 33, 9, 8), (3, 0, 2, 4))
"""Steps, samples, features of the input, size of the state."""


def _arrays(draw: Draw, shape: tuple[int, ...], gates: int, states: int, biases: str = "both") -> tuple[Any, ...]:
    n_steps, n_samples, n_in, size = shape
    rows = gates * size
    return (
        draw.normal(n_steps, n_samples, n_in),
        *(draw.normal(n_samples, size) for _ in range(states)),
        draw.normal(rows, n_in) / 2,
        draw.normal(rows, size) / 2,
        draw.normal(rows) if biases in ("both", "input") else None,
        draw.normal(rows) if biases in ("both", "state") else None,
    )


def _sequences(draw: Draw, gates: int, states: int, **statics: Any) -> Iterator[Case]:
    for shape in SHAPES:
        for reverse in (False, True):
            yield case(*_arrays(draw, shape, gates, states), None, reverse=reverse, **statics)
    for biases in ("none", "input", "state"):
        yield case(*_arrays(draw, (3, 2, 3, 4), gates, states, biases), None, reverse=False, **statics)
    for reverse in (False, True):
        lengths = draw.integers(0, 5, 6)
        lengths[:2] = 0, 4
        lengths = lengths.astype("int32") if reverse else lengths
        yield case(*_arrays(draw, (4, 6, 3, 5), gates, states), lengths, reverse=reverse, **statics)


@cases(recurrent, tolerance="reduction")
def recurrent_cases(draw: Draw) -> Iterator[Case]:
    yield from _sequences(draw, 1, 1, nonlinearity="tanh")
    yield from _sequences(draw, 1, 1, nonlinearity="relu")
    x, *others = _arrays(draw, (3, 2, 3, 4), 1, 1)
    x[1, 0, 2] = np.nan  # from here on this sample is NaN, which no rectifier hides
    yield case(x, *others, None, nonlinearity="relu", reverse=False)


@cases(lstm, tolerance="reduction")
def lstm_cases(draw: Draw) -> Iterator[Case]:
    yield from _sequences(draw, 4, 2)


@cases(projected_lstm, tolerance="reduction")
def projected_lstm_cases(draw: Draw) -> Iterator[Case]:
    for reverse in (False, True):
        for lengths, biases in ((None, "both"), (np.asarray([0, 4, 2]), "both"), (None, "none")):
            x, _, c, weight_ih, _, bias_ih, bias_hh = _arrays(draw, (4, 3, 2, 5), 4, 2, biases)
            h, weight_hh, weight_hr = draw.normal(3, 2), draw.normal(20, 2) / 2, draw.normal(2, 5)
            yield case(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh, weight_hr, lengths, reverse=reverse)


@cases(gru, tolerance="reduction")
def gru_cases(draw: Draw) -> Iterator[Case]:
    yield from _sequences(draw, 3, 1)
