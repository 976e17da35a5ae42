"""What columns of CSV files can hold, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portml.cli import main
from portml.train.table_run import TableRun
from tests.cli.tables import fit, saved, shop

QUICK = ("--model", "decision-tree")
ROWS = "".join(f"{row},{'ab'[row % 2]}\n" for row in range(8))


def fitted(data: Path, target: str = "y", model: str = "decision-tree", **more: object) -> TableRun:
    return TableRun.fit(data, target, model, folds=2, folder=data.parent / f"run of {data.stem}", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "x,y\n" + ROWS,
        "\ufeffx,y\n" + ROWS,
        "x;y\n" + ROWS.replace(",", ";"),
        ("x,y\n" + ROWS).replace("\n", "\r\n"),
        'x,"y"\n' + ROWS.replace("b", '"b"'),
    ],
    ids=["plain", "byte-order-mark", "semicolons", "carriage-returns", "quoted"],
)
def test_files_are_read_however_they_were_written(tmp_path: Path, text: str) -> None:
    data = saved(tmp_path / "data.csv", text)
    run = fitted(data)
    assert run.record["columns"]["numbers"] == ["x"]
    assert run.predict(data).values == ["a", "b"] * 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "data.csv: the file is empty"),
        ("x,y\n", "there are no rows"),
        ("x,y\n1,a\n2\n", "data.csv, line 3: expected 2 values"),
        ("x,y,x\n1,a,2\n", "are both named 'x'"),
        ("x,y\n1,a\n2,a\n", "column 'y' has one class only, 'a'"),
        ("x,y\n1,7\n2,7\n", "column 'y' has one class only, 7"),
        ("x,y\n1,7.5\n2,7.5\n", "column 'y' has one value only, 7.5"),
        ("x,y\n1,NA\n2,\n3,7.5\n", "column 'y' has 1 values; expected at least 2"),
        ("x,y\n1,inf\n2,7.5\n", "column 'y', which is to be predicted, holds infinite numbers"),
        ("x,y\n1,a\ninf,b\n2,a\n3,b\n", "column 'x', row 2: expected a finite number, got inf"),
        ("x,y\n1,a\n1e308,b\n2,a\n3,b\n", "column 'x', row 2: expected a number of at most 1e+38, got 1e+308"),
        ("x,y\nNA,a\n,b\n", "no column with values to learn from"),
        ("y\na\nb\n", "no column with values to learn from"),
        ("x,y\n1,a\n2,a\n3,a\n4,b\n", "a fold would leave one class only"),
    ],
)
def test_what_holds_nothing_to_learn_is_refused_by_name(
    tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = fit(saved(tmp_path / "data.csv", text), "--target", "y", *QUICK)
    assert status == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(tmp_path / "nowhere.csv", "--target", "y")[0] == 1
    assert "nowhere.csv: there is no such file" in capsys.readouterr().err


def test_rows_without_the_target_are_left_out_and_counted(tmp_path: Path) -> None:
    data = saved(tmp_path / "data.csv", "x,y\n" + ROWS + "9,NA\n10,\n")
    run = fitted(data)
    assert "left out 2 of 10 rows, which lack the target" in run.notes
    assert run.record["data"]["rows"] == 8
    assert run.evaluate(data)[1] == 8


@pytest.mark.parametrize(("first", "second"), [("true", "false"), ("True", "FALSE"), ("2025-01-01", "2025-02-01")])
def test_truth_values_and_days_can_be_classes(tmp_path: Path, first: str, second: str) -> None:
    data = saved(tmp_path / "data.csv", "x,y\n" + ROWS.replace("a", first).replace("b", second))
    assert fitted(data).predict(data).values == [first, second] * 4


def test_truth_values_are_categories(tmp_path: Path) -> None:
    data = saved(tmp_path / "data.csv", "x,y\n" + "".join(f"{row % 2 == 0},{row % 2}\n" for row in range(8)))
    run = fitted(data)
    assert run.record["columns"]["text"] == {"x": ["False", "True"]}
    assert run.predict(data).values == [0, 1] * 4


@pytest.mark.parametrize("model", ["decision-tree", "gaussian-naive-bayes"])
def test_missing_values_are_filled_in_or_a_category(tmp_path: Path, model: str) -> None:
    rows = "".join(f"{'NA' if row % 5 == 0 else row % 2},{('', 'n', 'm')[row % 3]},{row % 2}\n" for row in range(12))
    data = saved(tmp_path / "data.csv", "number,word,y\n" + rows)
    run = fitted(data, model=model)
    assert run.record["columns"]["text"] == {"word": ["", "m", "n"]}
    gone = saved(tmp_path / "gone.csv", "number,word\n,\nNA,?\n")
    assert run.predict(gone).unseen == {}


def test_quoted_commas_and_lines_are_part_of_a_value(tmp_path: Path) -> None:
    rows = "".join('"Oslo, ""north""\nside",a\n' if row % 2 else "Rome,b\n" for row in range(8))
    data = saved(tmp_path / "data.csv", "x,y\n" + rows)
    run = fitted(data)
    assert run.record["columns"]["text"] == {"x": ['Oslo, "north"\nside', "Rome"]}
    assert run.predict(data).values == ["b", "a"] * 4


def test_dates_are_days_and_what_is_no_date_later_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"2025-{row + 1:02}-03,{'early' if row < 6 else 'late'}\n" for row in range(12))
    status, out = fit(saved(tmp_path / "data.csv", "when,y\n" + rows), "--target", "y", *QUICK)
    assert status == 0
    assert "dates, taken as days: when" in capsys.readouterr().err
    between = saved(tmp_path / "between.csv", "when\n2025-02-14 12:30\n2031-01-01\n\n")
    assert main(["predict", str(out), str(between)]) == 0
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == ["y", "early", "late"]
    assert main(["predict", str(out), str(saved(tmp_path / "wrong.csv", "when\n2025-02-14\nMonday\n"))]) == 1
    assert "column 'when', row 2: expected a date such as 2026-11-23" in capsys.readouterr().err
    assert main(["predict", str(out), str(saved(tmp_path / "numbers.csv", "when\n2025\n"))]) == 1
    assert "column 'when', row 1: expected a date" in capsys.readouterr().err


def test_text_of_digits_stays_text_in_another_file(tmp_path: Path) -> None:
    codes = ("01234", "1234", "K1A")
    rows = "".join(f"{codes[row % 3]},{'xyz'[row % 3]}\n" for row in range(12))
    run = fitted(saved(tmp_path / "data.csv", "zip,y\n" + rows))
    found = run.predict(saved(tmp_path / "digits.csv", "zip\n1234\n01234\n"))
    assert found.values == ["y", "x"]
    assert found.unseen == {}


def test_numbers_are_categories_where_the_user_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{('01234', '1234', '5')[row % 3]},{'xyz'[row % 3]}\n" for row in range(12))
    data = saved(tmp_path / "data.csv", "zip,y\n" + rows)
    status, out = fit(data, "--target", "y", "--text", "zip", *QUICK)
    assert status == 0
    assert json.loads((out / "run.json").read_text())["columns"]["text"] == {"zip": ["01234", "1234", "5"]}
    capsys.readouterr()
    assert main(["predict", str(out), str(data)]) == 0
    assert [line[0] for line in capsys.readouterr().out.splitlines()[1:4]] == ["x", "y", "z"]


def test_classes_that_look_like_numbers_elsewhere_are_measured_as_text(tmp_path: Path) -> None:
    rows = "".join(f"{row % 3},{('01', '2', 'x')[row % 3]}\n" for row in range(12))
    run = fitted(saved(tmp_path / "data.csv", "x,y\n" + rows))
    assert run.evaluate(saved(tmp_path / "digits.csv", "x,y\n0,01\n1,2\n0,1\n"))[0]["accuracy"] == pytest.approx(2 / 3)


def test_columns_are_left_out_on_request(tmp_path: Path) -> None:
    run = fitted(shop(tmp_path), "buys", without=["age", "empty"])
    assert run.record["columns"]["numbers"] == ["price"]
    assert run.record["columns"]["left_out"] == []


def test_a_column_that_counts_the_rows_is_told(tmp_path: Path) -> None:
    run = fitted(saved(tmp_path / "data.csv", "x,y\n" + ROWS))
    assert any("column 'x' counts the rows" in note for note in run.notes)
    assert not any("counts the rows" in note for note in fitted(shop(tmp_path), "buys").notes)


def test_postal_codes_keep_their_zeros_as_features_and_as_what_is_predicted(tmp_path: Path) -> None:
    codes = ("01234", "1234", "10001")
    rows = "".join(f"{codes[row % 3]},{'xyz'[row % 3]}\n" for row in range(12))
    data = saved(tmp_path / "data.csv", "zip,y\n" + rows)
    run = fitted(data)
    assert "column 'zip' is read as text, as '01234' would lose its zero as a number" in run.notes
    assert run.predict(saved(tmp_path / "more.csv", "zip\n1234\n10001\n")).values == ["y", "z"]
    back = TableRun.fit(data, "zip", "decision-tree", folds=2, folder=tmp_path / "back")
    assert back.predict(saved(tmp_path / "letters.csv", "y\nx\nz\n")).values == ["01234", "10001"]


def test_the_target_of_a_regression_loses_its_zeros(tmp_path: Path) -> None:
    data = saved(tmp_path / "data.csv", "x,y\n" + "".join(f"{row},{7 * row:03d}\n" for row in range(8)))
    run = TableRun.fit(data, "y", "linear-regression", task="regression", folds=2, folder=tmp_path / "run")
    assert run.predict(saved(tmp_path / "more.csv", "x\n3\n")).values == [pytest.approx(21.0)]


def test_zeros_and_fractions_are_numbers(tmp_path: Path) -> None:
    rows = "".join(f"{row % 2},0.{row % 2}5,{'ab'[row % 2]}\n" for row in range(8))
    run = fitted(saved(tmp_path / "data.csv", "x,z,y\n" + rows))
    assert run.record["columns"]["numbers"] == ["x", "z"]
    assert not any("read as text" in note for note in run.notes)


def test_decimal_commas_are_told(tmp_path: Path) -> None:
    rows = "".join(f"{row},5;0{row};{'ab'[row % 2]}\n" for row in range(8))
    run = fitted(saved(tmp_path / "data.csv", "x;z;y\n" + rows), text=["z"])
    assert "column 'x' has numbers with decimal commas, which are taken as text; write points" in run.notes
    assert not any("column 'z'" in note for note in run.notes)


def test_rare_categories_are_not_told_apart(tmp_path: Path) -> None:
    rows = "".join(f"name {row},{'ab'[row % 2]}\n" for row in range(60))
    data = saved(tmp_path / "data.csv", "x,y\n" + rows)
    run = fitted(data)
    assert "column 'x' has 60 different texts; the 50 most frequent are told apart" in run.notes
    assert run.predict(data).unseen == {"x": 10}


def test_text_and_infinity_where_numbers_were_are_refused_by_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = fit(saved(tmp_path / "data.csv", "x,y\n" + ROWS), "--target", "y", *QUICK)
    capsys.readouterr()
    assert main(["predict", str(out), str(saved(tmp_path / "text.csv", "x\n1\ntwo\n"))]) == 1
    assert "column 'x', row 2: expected a number, as the model was fitted on, got the text 'two'" in (
        capsys.readouterr().err
    )
    assert main(["predict", str(out), str(saved(tmp_path / "infinite.csv", "x\n1\n-inf\n"))]) == 1
    assert "column 'x', row 2: expected a finite number, got -inf" in capsys.readouterr().err


def test_a_missing_column_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = fit(saved(tmp_path / "data.csv", "x,z,y\n" + ROWS.replace(",", ",k,")), "--target", "y", *QUICK)
    assert main(["predict", str(out), str(saved(tmp_path / "more.csv", "x,price\n1,3\n"))]) == 1
    assert "lacks the column 'z'" in capsys.readouterr().err
    assert main(["predict", str(out), str(saved(tmp_path / "more.csv", "price\n3\n"))]) == 1
    assert "lacks the columns 'x', 'z'" in capsys.readouterr().err


def test_a_class_of_too_few_rows_is_told(tmp_path: Path) -> None:
    run = fitted(saved(tmp_path / "data.csv", "x,y\n" + ROWS + "9,c\n"))
    assert any("the rarest class has 1 row, too few" in note for note in run.notes)
    assert run.record["classes"] == ["a", "b", "c"]
