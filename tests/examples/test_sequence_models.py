"""The comparison of sequence models measures what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import sequence_models as comparison
from portml import no_grad, to_numpy


@pytest.mark.parametrize("length", [2, 3, 10, 51])
def test_the_adding_problem_marks_one_number_in_each_half(length: int) -> None:
    x, y = comparison.adding_problem(200, length, np.random.default_rng(0))
    numbers, marks = x[..., 0], x[..., 1]
    assert x.shape == (200, length, 2)
    assert x.dtype == y.dtype == np.float32
    assert (marks[:, : length // 2].sum(axis=1) == 1).all()
    assert (marks[:, length // 2 :].sum(axis=1) == 1).all()
    np.testing.assert_allclose(y, (numbers * marks).sum(axis=1), rtol=1e-6)
    if length == 51:
        assert len({*np.flatnonzero(marks) % length}) > 45  # everywhere


@pytest.mark.parametrize("kind", comparison.KINDS)
def test_every_model_reads_from_left_to_right_and_reaches_the_first_number(kind: str) -> None:
    model = comparison.Reader(kind, 0, dtype="float64")
    x = np.random.default_rng(0).random((3, 6, 2))
    with no_grad():
        answer = to_numpy(model(x))
        assert answer.shape == (3,)
        changed = x.copy()
        changed[:, 0] += 1
        assert (to_numpy(model(changed)) != answer).all()


@pytest.mark.parametrize("kind", comparison.KINDS)
def test_gradient_norms_are_by_lag_from_the_end(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "LAGS", 8)
    norms = comparison.gradient_norms(kind, n_models=1)
    assert len(norms) == 8
    # Against differences of the loss: the input of the last step, which has lag 1, and of the first, which has lag 8.
    model = comparison.Reader(kind, 0, dtype="float64")
    x, y = comparison.adding_problem(64, 8, np.random.default_rng(0))
    x = x.astype("float64")

    def loss(x: Any) -> Any:
        with no_grad():
            return (to_numpy(model(x)) - y) ** 2 / 64

    for lag in (1, 8):
        squares = 0.0
        for feature in range(2):
            up, down = x.copy(), x.copy()
            up[:, -lag, feature] += 1e-5
            down[:, -lag, feature] -= 1e-5
            squares += (((loss(up) - loss(down)) / 2e-5) ** 2).sum()
        assert norms[lag - 1] == pytest.approx(squares**0.5, rel=1e-3)


def test_multiply_adds_are_those_of_the_weights_and_of_attention_those_of_pairs() -> None:
    size = comparison.SIZE
    assert comparison.multiply_adds("LSTM", 10) == 10 * 4 * (2 * size + size * size) + size
    pairs = comparison.multiply_adds("attention", 20) - 2 * comparison.multiply_adds("attention", 10)
    assert pairs == 2 * size * (210 - 2 * 55) - size


def test_the_table_and_the_figure_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(comparison, "RATES", (1e-3, 1e-2))
    monkeypatch.setattr(comparison, "CHOOSING_LENGTHS", (3,))
    monkeypatch.setattr(comparison, "LAGS", 12)
    monkeypatch.setattr(
        comparison,
        "cost",
        lambda kind, n: {"length": n, "milliseconds": 1.0, "peak_mebibytes": 2.0, "multiply_adds": 3},
    )
    models = comparison.main(2, 1, (4, 6, 12), tmp_path)
    assert [*models] == [*comparison.KINDS]
    written = json.loads((tmp_path / "measurements.json").read_text())
    assert written["models"]["GRU"]["learning_rate"] in (1e-3, 1e-2)
    # Two lengths that nobody solved are enough.
    assert [row["length"] for row in written["models"]["RNN"]["runs"]] == [4, 6]
    lines = (tmp_path / "README.md").read_text().splitlines()
    assert "| aspect | RNN | LSTM | GRU | attention |" in lines
    assert {line[2] for line in lines if line.startswith("| ") and line[2].isdigit()} == {*"1234567"}
    assert (tmp_path / "comparison.png").stat().st_size > 20_000
    # A model measured anew takes the place of what was recorded of it; the others stay.
    written["models"]["LSTM"]["learning_rate"] = 7
    (tmp_path / "measurements.json").write_text(json.dumps(written))
    again = comparison.main(2, 1, (4,), tmp_path, ["GRU"])
    assert [*again] == [*comparison.KINDS]
    assert again["LSTM"]["learning_rate"] == 7
    assert [row["length"] for row in again["GRU"]["runs"]] == [4]
