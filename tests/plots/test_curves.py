from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from portml.errors import ArgumentError, MissingDependencyError, WriteError
from portml.plots import TrainingCurves
from portml.train import History, files

ROWS = [
    {"epoch": 1, "lr": 0.1, "loss": 2.0, "accuracy": 0.4, "validation_loss": 1.5, "validation_accuracy": 0.5},
    {"epoch": 2, "lr": 0.1, "loss": 1.0, "accuracy": 0.8, "validation_loss": 0.9, "validation_accuracy": 0.85},
    {"epoch": 3, "lr": 0.1, "loss": 0.5, "accuracy": 0.9, "validation_loss": 0.7, "validation_accuracy": 0.95},
]


def without(*ends: str) -> History:
    return History([{name: value for name, value in row.items() if not name.endswith(ends)} for row in ROWS])


def test_loss_and_accuracy_have_a_panel_each_with_training_and_validation() -> None:
    curves = TrainingCurves.from_history(History(ROWS), title="digits", loss_label="nats")
    assert list(curves.axes) == ["loss", "accuracy"]
    for name, axes in curves.axes.items():
        training, validation = axes.get_lines()
        assert [*training.get_xdata()] == [1, 2, 3]
        assert [*training.get_ydata()] == [row[name] for row in ROWS]
        assert [*validation.get_ydata()] == [row[f"validation_{name}"] for row in ROWS]
        legend = axes.get_legend()
        assert legend is not None
        shown = [text.get_text() for text in legend.get_texts()]
        assert [text.split(",")[0] for text in shown] == ["training", "validation"]
        low, high = axes.get_ylim()
        assert low <= min(training.get_ydata())
        assert high >= max(training.get_ydata())
        assert axes.get_xlabel() == "epoch"
    assert curves.figure.get_suptitle() == "digits"
    assert curves.axes["loss"].get_ylabel() == "nats"


def test_what_a_history_does_not_have_is_not_drawn() -> None:
    assert list(TrainingCurves.from_history(without("accuracy")).axes) == ["loss"]
    (line,) = TrainingCurves.from_history(History([{"epoch": 1, "loss": 1.0}])).axes["loss"].get_lines()
    assert line.get_label() == "training, 1.000 at the end"


def test_curves_are_drawn_where_they_are_told_to_be() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots(1, 2)
    curves = TrainingCurves.from_history(History(ROWS), ax=axes)
    assert curves.figure is figure
    assert curves.axes["accuracy"] is axes[1]
    with pytest.raises(ArgumentError, match="ax: expected 2 axes for loss and accuracy, got 1"):
        TrainingCurves.from_history(History(ROWS), ax=[axes[0]])


def test_the_picture_is_a_png_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        TrainingCurves.from_history(History(ROWS)).save(tmp_path / name)
    content = (tmp_path / "one.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert content == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_the_ending_names_the_format(ending: str, tmp_path: Path) -> None:
    head = {"svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert TrainingCurves.from_history(History(ROWS)).save(tmp_path / f"c.{ending}").read_bytes().startswith(head)


def test_no_global_state_of_matplotlib_is_touched(tmp_path: Path) -> None:
    TrainingCurves.from_history(History(ROWS)).save(tmp_path / "curves.png")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_a_full_disk_leaves_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(WriteError, match=r"curves\.png could not be written: No space left"):
        TrainingCurves.from_history(History(ROWS)).save(tmp_path / "curves.png")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_history_is_refused() -> None:
    with pytest.raises(ArgumentError, match="history: expected at least one epoch, got none"):
        TrainingCurves.from_history(History())


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked: Any = None
    monkeypatch.setitem(sys.modules, "matplotlib.figure", blocked)
    with pytest.raises(MissingDependencyError, match=r'pip install "portml\[plot\]"'):
        TrainingCurves.from_history(History(ROWS))
