from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portml
from portml.backends import kernels_in_use, to_numpy
from portml.errors import (
    ArgumentError,
    CheckpointError,
    DataError,
    DivergenceError,
    PortmlError,
    ShapeError,
    WriteError,
)
from portml.train import Callback, Recipe, Run, Trainer, files
from portml.train.files import read_arrays
from tests.train.test_recipe import bars

FILES = ["history.csv", "model.safetensors", "run.json"]


class StopAfter(Callback):
    """Stops in the midst of an epoch."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.place = epoch, batch

    def on_batch_end(self, trainer: Trainer, epoch: int, batch: int) -> None:
        if (epoch, batch) == self.place:
            trainer.stop()


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def recipe(**chosen: Any) -> Recipe:
    """Three epochs of a small model on a small archive."""
    path = Path("bars.npz") if Path("bars.npz").exists() else bars(Path())
    settings = {"model": "mlp", "epochs": 3, "batch_size": 5, "shift": 1.0, "lr": 0.01}
    return Recipe.of(path, **{**settings, **chosen})


def names(run: Run) -> list[str]:
    return sorted(path.name for path in run.folder.iterdir())


def test_a_run_leaves_its_folder_with_everything_in_it() -> None:
    run = Run.create(recipe(seed=4), "out").train()
    assert names(run) == FILES
    assert run.finished
    record = json.loads(Path("out/run.json").read_text())
    assert record["status"] == "finished"
    assert record["settings"] == {**recipe(seed=4).to_dict(), "data": str(Path("bars.npz").resolve()),
                                  "backend": "numpy", "kernels": kernels_in_use("numpy")}  # fmt: skip
    assert record["versions"]["portml"] == portml.__version__
    assert record["versions"]["numpy"] == np.__version__
    assert record["backend"]["name"] == "numpy"
    assert record["backend"]["version"] == np.__version__
    assert record["data"]["samples"] == {"train": 28, "validation": 4, "test": 8}
    assert record["model"]["parameters"] == sum(
        array.size for array in read_arrays("out/model.safetensors")[0].values()
    )
    assert record["times"]["seconds"] > 0
    assert record["epochs_done"] == len(run.history) == 3
    assert record["test_accuracy"] == run.metrics["test_accuracy"]
    assert set(run.metrics) == {"validation_loss", "validation_accuracy", "test_loss", "test_accuracy"}
    assert run.history["validation_loss"][-1] == run.metrics["validation_loss"]


def test_the_metrics_of_the_record_are_those_of_the_weights_in_the_file() -> None:
    run = Run.create(recipe(), "out").train()
    data = Run("out").load_data()
    again = Run("out").evaluate(data.test)
    assert {f"test_{name}": value for name, value in again.items()} == {
        name: value for name, value in run.metrics.items() if name.startswith("test_")
    }


def test_the_same_seed_gives_the_same_files_and_another_one_others() -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        Run.create(recipe(seed=seed), name).train()
    for file in ("model.safetensors", "history.csv"):
        content = {name: (Path(name) / file).read_bytes() for name in ("one", "two", "three")}
        assert content["one"] == content["two"] != content["three"]


@pytest.mark.parametrize("place", [(1, 1), (1, 6), (2, 3), (3, 5)])
def test_a_stopped_run_goes_on_to_the_same_files(place: tuple[int, int]) -> None:
    Run.create(recipe(), "whole").train()
    stopped = Run.create(recipe(), "stopped").train(callbacks=[StopAfter(*place)])
    assert not stopped.finished
    assert stopped.record["status"] == "interrupted"
    done = place[0] if place[1] == 6 else place[0] - 1
    assert stopped.record["epochs_done"] == len(stopped.history) == done
    assert names(stopped) == ["checkpoint.safetensors", "history.csv", "run.json"]
    with pytest.raises(CheckpointError, match=r"interrupted and has no model yet; .*--resume stopped"):
        Run("stopped").load_model()
    resumed = Run("stopped").train()
    assert names(resumed) == FILES
    for file in ("model.safetensors", "history.csv"):
        assert Path("stopped", file).read_bytes() == Path("whole", file).read_bytes()


def test_a_run_that_never_began_begins() -> None:
    created = Run.create(recipe(), "out")
    assert created.record["status"] == "created"
    assert Run("out").train().finished


def test_a_finished_run_stays_as_it_is() -> None:
    Run.create(recipe(), "out").train()
    before = Path("out/run.json").read_bytes()
    assert Run("out").train().finished
    assert Path("out/run.json").read_bytes() == before


def test_what_a_killed_process_left_half_written_is_removed() -> None:
    Run.create(recipe(), "out")
    Path("out/.checkpoint.safetensors.00000000.partial").write_bytes(b"half")
    assert names(Run("out").train()) == FILES


def test_data_that_changed_in_between_are_refused() -> None:
    Run.create(recipe(), "out").train(callbacks=[StopAfter(2, 1)])
    with np.load("bars.npz") as arrays:
        np.savez("bars.npz", images=arrays["images"][::-1], labels=arrays["labels"])
    with pytest.raises(DataError, match=r"data: .*bars\.npz is not what the run out began with"):
        Run("out").train()


def test_data_that_moved_are_found() -> None:
    Run.create(recipe(), "out").train(callbacks=[StopAfter(2, 1)])
    Path("bars.npz").rename("moved.npz")
    with pytest.raises(DataError, match="no such path"):
        Run("out").train()
    assert Run("out").train(data="moved.npz").recipe.data == str(Path("moved.npz").resolve())


def test_a_run_begun_on_one_backend_is_used_on_another() -> None:
    run = Run.create(recipe(backend="strict"), "out").train(callbacks=[StopAfter(2, 1)])
    run = Run("out").train(backend="numpy")
    assert run.record["backend"]["name"] == "numpy"
    assert run.evaluate(run.load_data().test, run.load_model("strict"))["loss"] == pytest.approx(
        run.metrics["test_loss"], rel=1e-4
    )


def test_kernels_are_chosen_for_the_training_alone() -> None:
    before = kernels_in_use("numpy")
    seen: list[str] = []

    class Looks(Callback):
        def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
            seen.append(kernels_in_use("numpy"))

    run = Run.create(recipe(kernels="agnostic", epochs=1), "out").train(callbacks=[Looks()])
    assert seen == ["agnostic"]
    assert kernels_in_use("numpy") == before
    assert run.record["backend"]["kernels"] == "agnostic"


def test_probabilities_sum_to_one() -> None:
    run = Run.create(recipe(), "out").train()
    probabilities = to_numpy(run.predict_proba(run.load_data().test.inputs))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    with pytest.raises(ShapeError, match=r"inputs: expected \(n_samples, 1, 6, 6\), got \(1, 5, 6\)"):
        run.predict_proba(np.zeros((1, 5, 6), np.float32))


def test_folders_are_numbered_and_none_is_written_over() -> None:
    folders = [Run.create(recipe(seed=7)).folder for _ in range(3)]
    assert [str(folder) for folder in folders] == [f"runs/bars-mlp-seed7{end}" for end in ("", "-2", "-3")]
    with pytest.raises(ArgumentError, match="out: expected a new or empty folder, got runs"):
        Run.create(recipe(), "runs")
    Path("empty").mkdir()
    assert Run.create(recipe(), "empty").folder == Path("empty")
    Path("file").write_text("")
    with pytest.raises(ArgumentError, match="out: "):
        Run.create(recipe(), "file")


def test_a_run_that_cannot_begin_leaves_no_folder() -> None:
    for bad in (Recipe.of("nowhere.npz"), recipe(image_shape=(1, 5, 5), model="lenet5")):
        with pytest.raises(PortmlError):
            Run.create(bad, "out")
    assert not Path("out").exists()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_run_that_leaves_the_numbers_fails_and_says_so() -> None:
    run = Run.create(recipe(optimizer="sgd", lr=1e30), "out")
    with pytest.raises(DivergenceError):
        run.train()
    assert names(run) == ["run.json"]
    record = Run("out").record
    assert record["status"] == "failed"
    assert "try a learning rate below" in record["error"]


@pytest.mark.parametrize("succeeding", range(7))  # run.json, three checkpoints, history, weights, run.json
def test_a_disk_that_fills_at_any_file_leaves_only_whole_ones_and_a_run_that_goes_on(
    succeeding: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run.create(recipe(), "whole").train()
    run = Run.create(recipe(), "full")
    left = succeeding

    def fsync(handle: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fsync", fsync)
        patched.setattr(files, "_sync_folder", lambda folder: None)
        with pytest.raises(WriteError, match="No space left on device"):
            run.train()
    assert not any(name.startswith(".") for name in names(run))
    for path in run.folder.glob("*.safetensors"):
        read_arrays(path)
    resumed = Run("full").train()
    assert "error" not in resumed.record
    for file in ("model.safetensors", "history.csv"):
        assert Path("full", file).read_bytes() == Path("whole", file).read_bytes()


def test_a_folder_without_a_run_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"run: .*got nothing, but there is no such folder"):
        Run("nothing")
    Path("empty").mkdir()
    with pytest.raises(CheckpointError, match=r"there is no run\.json in it"):
        Run("empty")


@pytest.mark.parametrize("change", [{"format": 99}, {"settings": {}}, {"settings": None}, {"data": {}}, {"times": {}}])
def test_a_record_that_is_none_is_refused(change: dict[str, Any]) -> None:
    run = Run.create(recipe(), "out")
    Path("out/run.json").write_text(json.dumps({**run.record, **change}))
    with pytest.raises(CheckpointError, match=r"run: out/run\.json"):
        Run("out")
    Path("out/run.json").write_text("[1, 2]")
    with pytest.raises(CheckpointError, match=r"run: out/run\.json"):
        Run("out")


def test_damaged_and_foreign_weights_are_refused() -> None:
    run = Run.create(recipe(), "out").train()
    weights = Path("out/model.safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-7])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: expected a whole safetensors file"):
        run.load_model()
    Run.create(recipe(image_shape=(1, 4, 4)), "other").train()
    weights.write_bytes(Path("other/model.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match=r"model\.safetensors: .*does not fit MLP"):
        run.load_model()
    weights.unlink()
    with pytest.raises(CheckpointError, match="there is none"):
        run.load_model()


def test_a_checkpoint_that_is_none_is_refused() -> None:
    Run.create(recipe(), "done").train()
    Run.create(recipe(), "out").train(callbacks=[StopAfter(2, 1)])
    checkpoint = Path("out/checkpoint.safetensors")
    whole = checkpoint.read_bytes()
    for content in (whole[: len(whole) // 2], b"", Path("done/model.safetensors").read_bytes()):
        checkpoint.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors: expected a "):
            Run("out").train()
    checkpoint.write_bytes(whole)
    assert Run("out").train().finished


def test_data_of_other_classes_are_refused() -> None:
    run = Run.create(recipe(), "out").train()
    with pytest.raises(DataError, match="data: expected the classes 0, 1 of this run, got 0, 1, 2, 3"):
        run.load_data("digits")
    assert run.load_data("bars.npz").input_shape == (1, 6, 6)
