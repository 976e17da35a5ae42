from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from portml.cli import main
from portml.errors import CheckpointError
from portml.train.table_run import TableRun


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """60 rows: "buys" follows from the age, of which some are missing; a column without values."""
    cities = ["Oslo", "Rome", "Bonn", ""]
    lines = ["city,age,empty,buys,price"]
    for row in range(60):
        age = 20 + (row * 7) % 50
        written = "" if row % 15 == 0 else str(age)
        lines.append(f"{cities[row % 4]},{written},,{'yes' if age > 44 else 'no'},{age * 1.5 + row % 4}")
    path = tmp_path / "shop.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def fit(shop: Path, *more: str) -> tuple[int, Path]:
    out = shop.parent / "run"
    return main(["fit", str(shop), "--out", str(out), "--folds", "3", *more]), out


@pytest.mark.parametrize(
    ("target", "model", "more"),
    [
        ("buys", "random-forest", ("--set", "n_estimators=5")),
        ("buys", "multinomial-naive-bayes", ()),
        ("price", "ridge", ()),
        ("price", "decision-tree", ("--set", "max_depth=None")),
    ],
)
def test_a_fitted_table_predicts_another(
    shop: Path, target: str, model: str, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = fit(shop, "--target", target, "--model", model, *more)
    said = capsys.readouterr()
    assert status == 0
    assert "baseline" in said.out
    assert "left out, as they have no values: empty" in said.err
    assert {"run.json", "model.safetensors"} <= {path.name for path in out.iterdir()}
    assert json.loads((out / "run.json").read_text())["format"] == "table 1"
    other = shop.parent / "more.csv"
    other.write_text("buys,price,age,extra,city\nyes,91,60,1,Paris\nno,32,21,1,Oslo\n")  # another order, and a new city
    assert main(["predict", str(out), str(other)]) == 0
    said = capsys.readouterr()
    rows = [*csv.reader(said.out.splitlines())]
    assert rows[0][0] == target
    assert len(rows) == 3
    assert "column 'city' has 1 values" in said.err


def test_the_same_seed_gives_the_same_scores(shop: Path) -> None:
    runs = [TableRun.fit(shop, "buys", "decision-tree", folds=3, folder=shop.parent / name) for name in "ab"]
    assert runs[0].record["scores"] == runs[1].record["scores"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "colour"], "no column 'colour'"),
        (["--target", "buys", "--set", "tall=3"], "no parameter 'tall'"),
        (["--target", "buys", "--model", "ridge"], "ridge does no classification"),
        (["--target", "buys", "--task", "regression"], "is text"),
        (["--target", "empty"], "has 0 values"),
        (["--target", "buys", "--set", "n_estimators"], "expected NAME=VALUE"),
    ],
)
def test_what_cannot_be_fitted_is_refused_by_name(
    shop: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = fit(shop, *arguments)
    assert status == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_missing_column_is_refused_by_name(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = fit(shop, "--target", "buys", "--model", "decision-tree")
    other = shop.parent / "more.csv"
    other.write_text("city,price\nOslo,3\n")
    assert main(["predict", str(out), str(other)]) == 1
    assert "lacks the column 'age'" in capsys.readouterr().err


def test_a_folder_of_something_else_is_no_table_run(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 1}')
    with pytest.raises(CheckpointError, match="fitted to a table"):
        TableRun(tmp_path)
