from __future__ import annotations

from pathlib import Path

import pytest

from portml.errors import CheckpointError
from portml.train import History

ROWS = [
    {"epoch": 1, "lr": 0.1, "loss": 1 / 3, "accuracy": 5e-324},
    {"epoch": 2, "lr": 0.05, "loss": 1e300, "accuracy": 0.5, "validation_loss": 0.25},
]


def test_a_column_is_a_list_over_the_epochs_that_have_it() -> None:
    history = History(ROWS)
    assert history["loss"] == [1 / 3, 1e300]
    assert history["validation_loss"] == [0.25]
    assert history["nothing"] == []
    assert (len(history), list(history), history.columns[-1]) == (2, ROWS, "validation_loss")


def test_a_history_read_from_its_file_is_the_same_to_the_bit(tmp_path: Path) -> None:
    path = History(ROWS).to_csv(tmp_path / "history.csv")
    assert path.read_text().splitlines()[0] == "epoch,lr,loss,accuracy,validation_loss"
    read = History.from_csv(path)
    assert read.rows == ROWS
    assert isinstance(read.rows[0]["epoch"], int)


def test_a_history_without_epochs_has_a_file_too(tmp_path: Path) -> None:
    assert History.from_csv(History().to_csv(tmp_path / "history.csv")).rows == []


@pytest.mark.parametrize("content", ["epoch,loss\n1,abc\n", "epoch,loss\n1\n", "epoch,loss\n1,2,3\n", '"\n', "\0"])
def test_what_is_no_table_of_numbers_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(content)
    with pytest.raises(CheckpointError, match=r"history\.csv: expected a history"):
        History.from_csv(tmp_path / "history.csv")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="none"):
        History.from_csv(tmp_path / "none")
