"""Recurrent kernels whose slopes are summed in windows of steps, however long these are."""

from __future__ import annotations

import numpy as np
import pytest

from portml.backends import get_backend, kernel_table
from portml.backends._numba import installed, load
from portml.backends._numpy import recurrence
from tests.backends.kernel_cases import DTYPES, all_kernel_cases
from tests.backends.test_kernel_parity import noting, twin_results
from tests.tolerances import assert_close

CASES = all_kernel_cases()
KERNELS = kernel_table()
VERSIONS = [("recurrent_backward", "numpy"), ("lstm_backward", "numpy"), ("gru_backward", "numpy")]
if installed():
    load("long_short_term_memory")
    load("gated_recurrent_unit")
    VERSIONS += [("lstm_backward", "numba"), ("gru_backward", "numba")]


@pytest.mark.parametrize("rows", [1, 12])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_the_length_of_the_windows_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, name: str, dtype: str, rows: int, version: str
) -> None:
    override = KERNELS[name].table[version]
    monkeypatch.setattr(recurrence, "WINDOW", 1)
    monkeypatch.setattr(recurrence, "FEW_ROWS", rows)
    for case, expected in twin_results(name, dtype):
        with noting(case):
            given = case.on(get_backend("numpy"))
            assert_close(override(*given.arguments, **given.statics), expected, CASES[name].tolerance)


@pytest.mark.parametrize("name", ["recurrent", "lstm", "gru"])
def test_whoever_writes_into_the_last_state_leaves_the_results_alone(name: str) -> None:
    for case in CASES[name].drawn("float32"):
        y, *ends = KERNELS[name].function(*case.on(get_backend("numpy")).arguments, **case.statics)
        assert not any(np.shares_memory(y, end) for end in ends)


def test_windows_walk_back_over_all_steps_and_hold_rows_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [[*each] for each in recurrence.windows_back(5, False, (4, 200, 3))] == [[4, 3, 2, 1, 0]]
    monkeypatch.setattr(recurrence, "WINDOW", 4800)
    assert [[*each] for each in recurrence.windows_back(5, False, (4, 200, 3))] == [[4, 3], [2, 1], [0]]
    assert [[*each] for each in recurrence.windows_back(5, True, (4, 200, 3))] == [[0, 1], [2, 3], [4]]
    assert [len(each) for each in recurrence.windows_back(500, True, (4, 1, 10**6))] == [256, 244]
    assert np.concatenate(recurrence.windows_back(7, True, (1, 0, 3))).tolist() == [*range(7)]
