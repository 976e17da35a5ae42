from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from portml.classical.table_models import MODELS
from portml.cli import main
from portml.errors import ArgumentError, CheckpointError
from portml.train.table_run import TableRun
from tests.cli.commands import environment
from tests.cli.tables import fit, saved, shop

QUICK = ("--model", "gaussian-naive-bayes")
TREE = ("--model", "decision-tree")


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    return shop(tmp_path)


@pytest.mark.parametrize(
    ("target", "model", "more"),
    [
        ("buys", "random-forest", ("--set", "n_estimators=2")),
        ("buys", "multinomial-naive-bayes", ()),
        ("price", "ridge", ()),
        ("price", "decision-tree", ("--set", "max_depth=None")),
    ],
)
def test_a_fitted_table_predicts_another(
    customers: Path, target: str, model: str, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = fit(customers, "--target", target, "--model", model, *more)
    said = capsys.readouterr()
    assert status == 0
    assert "baseline" in said.out
    assert "left out, as they have no values: empty" in said.err
    assert "dates, taken as days: since" in said.err
    assert {path.name for path in out.iterdir()} == {"run.json", "model.safetensors"}
    assert json.loads((out / "run.json").read_text())["format"] == "table 1"
    # another order of the columns, and a new city
    rows = "buys,size,price,age,extra,city,since,zip\nyes,1,91,60,1,Paris,2025-01-05,1\nno,1,32,21,1,Oslo,,1\n"
    other = saved(customers.parent / "more.csv", rows)
    assert main(["predict", str(out), str(other)]) == 0
    said = capsys.readouterr()
    predicted = [*csv.reader(said.out.splitlines())]
    assert predicted[0][0] == target
    assert len(predicted) == 3
    assert "column 'city' has 1 values" in said.err
    assert "does not look at 'extra'" in said.err


@pytest.mark.parametrize(
    ("target", "model", "figures"),
    [
        ("size", "random-forest", {"confusion.png", "tree.png", "learning_curve.png"}),
        ("price", "decision-tree", {"fit.png", "tree.png", "learning_curve.png"}),
    ],
)
def test_a_run_has_the_figures_of_its_task_and_model(
    customers: Path, target: str, model: str, figures: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--set", "n_estimators=2") if model == "random-forest" else ()
    status, out = fit(customers, "--target", target, "--model", model, *few, figures=True)
    assert status == 0
    assert {path.name for path in out.glob("*.png")} == figures
    assert all(path.stat().st_size > 5_000 for path in out.glob("*.png"))
    assert "no learning curve" not in capsys.readouterr().err


def test_what_is_not_drawn_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{row},class {row // 2}\n" for row in range(90))
    assert fit(saved(tmp_path / "data.csv", "x,y\n" + rows), "--target", "y", *QUICK, figures=True)[0] == 0
    assert "no confusion matrix is drawn of 45 classes, more than 40" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "run").glob("*.png")} == {"learning_curve.png"}


def test_the_learning_curve_ends_at_the_scores_of_cross_validation(customers: Path) -> None:
    run = TableRun.fit(customers, "buys", "gaussian-naive-bayes", folds=2, folder=customers.parent / "run")
    curve = run.learning_curve()
    assert curve.sizes == sorted(curve.sizes)
    assert curve.test_scores[-1] == pytest.approx([each["accuracy"] for each in run.record["scores"]])
    with pytest.raises(ArgumentError, match="right after fitting only"):
        TableRun(run.folder).learning_curve()


def test_the_same_seed_gives_the_same_scores(customers: Path) -> None:
    runs = [TableRun.fit(customers, "buys", "decision-tree", folds=3, folder=customers.parent / name) for name in "ab"]
    assert runs[0].record["scores"] == runs[1].record["scores"]
    other = TableRun.fit(customers, "price", "decision-tree", folds=3, folder=customers.parent / "c")
    again = TableRun.fit(customers, "price", "decision-tree", folds=3, seed=1, folder=customers.parent / "d")
    assert other.record["scores"] != again.record["scores"]


def test_the_area_of_several_classes_is_that_of_each_against_the_rest(customers: Path) -> None:
    run = TableRun.fit(customers, "size", "gaussian-naive-bayes", folds=2, folder=customers.parent / "run")
    assert run.fitted is not None
    measured, rows = run.evaluate(customers)
    probabilities = run.fitted.pipeline.predict_proba(run.fitted.table)
    expected = roc_auc_score(run.fitted.targets.astype(str), probabilities, multi_class="ovr")
    assert rows == 40
    assert measured["ROC-AUC"] == pytest.approx(expected)
    assert 0.5 < run.record["score"]["ROC-AUC"]["mean"] <= 1


def test_the_area_of_two_classes_is_by_the_probability_of_the_second(customers: Path) -> None:
    run = TableRun.fit(customers, "buys", "gaussian-naive-bayes", folds=2, folder=customers.parent / "run")
    assert run.fitted is not None
    second = run.fitted.pipeline.predict_proba(run.fitted.table)[:, 1]  # type: ignore[index]
    assert run.evaluate(customers)[0]["ROC-AUC"] == pytest.approx(roc_auc_score(run.fitted.targets == "yes", second))


def test_folds_hold_each_class_in_proportion_and_the_guess_knows_only_the_others(tmp_path: Path) -> None:
    rows = "".join(f"{row % 7},{'rare' if row % 4 == 0 else 'common'}\n" for row in range(16))
    run = TableRun.fit(
        saved(tmp_path / "data.csv", "x,y\n" + rows), "y", "decision-tree", folds=4, folder=tmp_path / "a"
    )
    assert run.record["baseline"]["accuracy"] == {"mean": 0.75, "std": 0.0}
    numbers = "".join(f"{row},{row * 1.5}\n" for row in range(4))
    data = saved(tmp_path / "numbers.csv", "x,y\n" + numbers)
    found = TableRun.fit(data, "y", "ridge", folds=4, folder=tmp_path / "b").record["baseline"]["MAE"]
    assert found["mean"] == pytest.approx(2.0)  # to the mean of the three others: 3, 1, 1 and 3


def test_the_result_comes_as_json(customers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = fit(customers, "--target", "price", "--model", "ridge", "--json")
    record = json.loads(capsys.readouterr().out)
    assert (record["run"], record["target"], record["task"]) == (str(out), "price", "regression")
    assert record["columns"]["numbers"] == ["age"]
    assert record["columns"]["dates"] == ["since"]
    assert record["columns"]["text"]["city"] == ["", "Bonn", "Oslo", "Rome"]
    assert [*record["score"]] == ["R2", "MAE"]
    assert record["status"] == "finished"
    assert main(["predict", str(out), str(customers), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["target"] == "price"
    assert len(found["predictions"]) == 40
    assert found["probabilities"] is None
    assert main(["evaluate", str(out), str(customers), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["rows"] == 40
    assert measured["R2"] > record["score"]["R2"]["mean"]


def test_whole_numbers_are_classes_or_numbers_as_the_task_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = saved(tmp_path / "data.csv", "x,y\n" + "".join(f"{row},{row // 8}\n" for row in range(16)))
    assert fit(data, "--target", "y", *TREE)[0] == 0
    assert "task: classification, as the target has 2 different whole numbers" in capsys.readouterr().err
    assert main(["predict", str(tmp_path / "run"), str(data)]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "0,1.000000"
    run = TableRun.fit(data, "y", "decision-tree", task="regression", folds=2, folder=tmp_path / "numbers")
    assert run.record["task"] == "regression"
    assert run.predict(data).values[:2] == [0.0, 0.0]


def test_folds_of_one_row_have_no_r2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = saved(tmp_path / "data.csv", "x,y\n" + "".join(f"{row},{row + 0.5}\n" for row in range(6)))
    arguments = ["--target", "y", "--model", "ridge", "--folds", "6", "--out", str(tmp_path / "run")]
    assert main(["fit", str(data), *arguments]) == 0
    said = capsys.readouterr()
    assert "MAE" in said.out
    assert "R2" not in said.out
    assert "no learning curve is drawn, as folds of one row have no R2" in said.err
    assert (tmp_path / "run" / "fit.png").exists()


def test_a_table_run_is_evaluated_on_a_file_with_the_target(
    customers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = fit(customers, "--target", "buys", *TREE)
    capsys.readouterr()
    assert main(["evaluate", str(out), str(customers)]) == 0
    assert "40 rows:  accuracy 100.00%" in capsys.readouterr().out
    refused = {
        "data: expected a CSV file with the column 'buys'": [],
        "has no column 'buys'": [str(saved(customers.parent / "without.csv", "age\n3\n"))],
        "lacks the columns": [str(saved(customers.parent / "short.csv", "buys,age\nyes,3\n"))],
        "column 'buys' has 0 values": [str(saved(customers.parent / "none.csv", "buys,age\n,3\n"))],
    }
    for message, more in refused.items():
        assert main(["evaluate", str(out), *more]) == 1
        assert message in capsys.readouterr().err


def test_labels_of_another_kind_are_refused_in_evaluation(tmp_path: Path) -> None:
    numbers = saved(tmp_path / "numbers.csv", "x,y\n1,0\n2,1\n3,0\n4,1\n")
    run = TableRun.fit(numbers, "y", "gaussian-naive-bayes", folds=2, folder=tmp_path / "run")
    for text, message in (("x,y\n1,no\n", "'y' has text"), ("x,y\n1,.5\n", "not whole"), ("x,y\n1,inf\n", "infinite")):
        with pytest.raises(ValueError, match=message):
            run.evaluate(saved(tmp_path / "other.csv", text))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "colour"], "no column 'colour'"),
        (["--target", "buys", "--text", "colour"], "text: "),
        (["--target", "buys", "--without", "colour"], "without: "),
        (["--target", "buys", "--without", "buys"], "'buys' is the target"),
        (["--target", "buys", "--set", "tall=3"], "no parameter 'tall'"),
        (["--target", "buys", "--set", "n_estimators=0"], "n_estimators"),
        (["--target", "buys", "--model", "ridge"], "ridge does no classification"),
        (["--target", "price", "--model", "perceptron"], "perceptron does no regression"),
        (["--target", "buys", "--task", "regression"], "'buys' is text"),
        (["--target", "price", "--task", "classification"], "numbers that are not whole"),
        (["--target", "empty"], "'empty' has 0 values"),
        (["--target", "buys", "--set", "n_estimators"], "expected NAME=VALUE"),
        (["--target", "buys", "--folds", "41"], "folds: expected from 2 to the number of rows, 40, got 41"),
        (["--target", "buys", "--seed", "-1"], "at least 0"),
    ],
)
def test_what_cannot_be_fitted_is_refused_by_name(
    customers: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = fit(customers, *arguments)
    said = capsys.readouterr().err
    assert status == 1
    assert message in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_a_folder_with_something_in_it_is_left_alone(customers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(customers.parent / "mine.txt", "mine")
    assert main(["fit", str(customers), "--target", "buys", "--out", str(customers.parent)]) == 1
    assert "expected a new or empty folder" in capsys.readouterr().err


def test_runs_without_a_place_of_their_own_are_numbered(customers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(customers.parent)
    names = [TableRun.fit(customers, "buys", "gaussian-naive-bayes", folds=2).folder for _ in range(2)]
    assert [str(name) for name in names] == [
        "runs/shop-gaussian-naive-bayes-seed0",
        "runs/shop-gaussian-naive-bayes-seed0-2",
    ]


def test_a_folder_of_something_else_is_no_table_run(tmp_path: Path) -> None:
    saved(tmp_path / "run.json", '{"format": 1}')
    with pytest.raises(CheckpointError, match="fitted to a table"):
        TableRun(tmp_path)
    saved(tmp_path / "run.json", '{"format": "table 1"}')
    with pytest.raises(CheckpointError, match="damaged: it lacks target, task"):
        TableRun(tmp_path)


def test_images_and_several_files_are_no_tables(customers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = fit(customers, "--target", "buys", *QUICK)
    assert main(["predict", str(out), "a.csv", "b.csv"]) == 1
    assert "expected one CSV file, got 2 files" in capsys.readouterr().err
    assert main(["predict", str(out), str(customers), "--invert"]) == 1
    assert "invert: is for images" in capsys.readouterr().err


def test_a_run_answers_on_another_backend(customers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = fit(customers, "--target", "size", *QUICK)
    capsys.readouterr()
    said = []
    for backend in ("numpy", "strict"):
        assert main(["predict", str(out), str(customers), "--backend", backend]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


@pytest.mark.parametrize("model", ["gaussian-naive-bayes", "ridge"])
def test_a_table_is_fitted_on_another_backend(customers: Path, model: str) -> None:
    target = "price" if model == "ridge" else "size"
    runs = [
        TableRun.fit(customers, target, model, folds=2, backend=backend, folder=customers.parent / backend)
        for backend in ("numpy", "strict")
    ]
    assert runs[1].record["backend"]["name"] == "strict"
    for ours, other in zip(runs[0].record["scores"], runs[1].record["scores"], strict=True):
        assert ours == pytest.approx(other)


def test_help_loads_no_array_library() -> None:
    code = (
        "import sys\n"
        "from portml.cli import main\n"
        "try:\n"
        "    main(['fit', '--help'])\n"
        "finally:\n"
        "    print([name for name in ('numpy', 'matplotlib', 'portml.backends') if name in sys.modules])\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False
    )
    assert process.stdout.startswith("usage: portml fit")
    assert process.stdout.endswith("[]\n")


def test_every_model_that_is_offered_has_its_estimators() -> None:
    from portml import classical

    names = {name for model in MODELS.values() for name in (model.classifier, model.regressor) if name}
    assert names <= {*classical.__all__}
