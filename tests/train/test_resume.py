from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from portml.backends import Backend
from portml.errors import ArgumentError, CheckpointError
from portml.optim import SGD, Adam
from portml.random import Generator
from portml.train import Callback, Trainer
from portml.train.files import remove_partial_files
from tests.train.small import BATCH_SIZE, BATCHES, EPOCHS, final_bits, images, small_fit, small_trainer

ROOT = Path(__file__).parents[2]

# (kind, first, second): after a batch of an epoch, or in the midst of writing the n-th file of the process.
KILLS = [("batch", 1, 1), ("file", 2, 0), ("batch", 2, BATCHES)]


class StopAt(Callback):
    """Stops after a batch counted from the beginning of the process."""

    def __init__(self, batch: int) -> None:
        self.left = batch

    def on_batch_end(self, trainer: Trainer, epoch: int, batch: int) -> None:
        self.left -= 1
        if self.left == 0:
            trainer.stop()


@cache
def uninterrupted(name: str) -> dict[str, Any]:
    return final_bits(small_fit(small_trainer(name)))


def test_a_run_killed_again_and_again_ends_with_the_weights_of_one_that_was_not(
    backend: Backend, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    for kill in KILLS if backend.name == "numpy" else KILLS[1:2]:
        killed = run_until_killed(tmp_path, backend.name, checkpoint.exists(), kill)
        assert killed == -9, f"{kill}: the process ended by itself"
    remove_partial_files(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.name]
    trainer = small_fit(small_trainer(backend), checkpoint=checkpoint, resume=True)
    assert final_bits(trainer) == uninterrupted(backend.name)


@pytest.mark.parametrize("batch", range(1, EPOCHS * BATCHES + 1))
def test_a_run_stopped_after_any_batch_goes_on_to_the_same_bits(batch: int, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    stopped = small_fit(small_trainer("numpy", StopAt(batch)), checkpoint=checkpoint)
    assert len(stopped.history) == batch // BATCHES
    resumed = small_fit(small_trainer("numpy"), checkpoint=checkpoint, resume=True)
    assert final_bits(resumed) == uninterrupted("numpy")


def test_checkpoints_change_nothing(tmp_path: Path) -> None:
    trainer = small_fit(small_trainer(), checkpoint=tmp_path / "checkpoint.safetensors", checkpoint_every=1)
    assert final_bits(trainer) == uninterrupted("numpy")


def test_a_run_at_its_end_resumes_to_itself(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    small_fit(small_trainer(), checkpoint=checkpoint)
    assert final_bits(small_fit(small_trainer(), checkpoint=checkpoint, resume=True)) == uninterrupted("numpy")


def test_equal_runs_write_equal_checkpoints(tmp_path: Path) -> None:
    for name in ("first", "second"):
        small_fit(small_trainer("numpy", StopAt(7)), checkpoint=tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_run_goes_on_on_another_backend(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    small_fit(small_trainer("numpy", StopAt(7)), checkpoint=checkpoint)
    history = small_fit(small_trainer("strict"), checkpoint=checkpoint, resume=True).history
    plain = small_fit(small_trainer("numpy")).history
    assert history["validation_loss"] == pytest.approx(plain["validation_loss"], rel=1e-4)


def test_resuming_without_a_file_to_go_on_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"resume: .*checkpoint="):
        small_fit(small_trainer(), resume=True)
    with pytest.raises(CheckpointError, match=r"missing\.safetensors: .*there is none"):
        small_fit(small_trainer(), checkpoint=tmp_path / "missing.safetensors", resume=True)


def test_a_checkpoint_of_other_settings_is_refused_and_named(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    small_fit(small_trainer("numpy", StopAt(7)), checkpoint=checkpoint)

    def refused(trainer: Trainer, match: str, **options: Any) -> None:
        before = final_bits(trainer)
        with pytest.raises(CheckpointError, match=f"checkpoint.safetensors: .*{match}"):
            small_fit_with(trainer, checkpoint, **options)
        assert final_bits(trainer) == before

    other = small_trainer()
    other.optimizer = SGD(other.model.parameters(), lr=0.1)
    other.schedule = None
    refused(other, "optimizer: was 'Adam' when it was saved and is 'SGD' now")
    other = small_trainer()
    other.schedule = None
    refused(other, "schedule: was True .* is False now")
    other = small_trainer()
    other.transform = None
    refused(other, "generators: was .*transform.rng.* is ")
    refused(small_trainer(), "batch_size was 8 .* is 4 now", batch_size=4)
    wider = small_trainer()
    wider.model[1].weight.rebind(wider.backend.zeros((5, 16)))
    wider.optimizer = Adam(wider.model.parameters())
    refused(wider, r"1\.weight: expected \(5, 16\), got \(12, 16\)")


def test_a_generator_given_as_seed_draws_the_order(tmp_path: Path) -> None:
    first = small_fit_with(small_trainer(), tmp_path / "one", seed=Generator(9), resume=False)
    second = small_fit_with(small_trainer(), tmp_path / "two", seed=Generator(9), resume=False)
    third = small_fit_with(small_trainer(), tmp_path / "three", seed=Generator(8), resume=False)
    assert final_bits(first) == final_bits(second)
    assert final_bits(first) != final_bits(third)


def small_fit_with(trainer: Trainer, checkpoint: Path, **options: Any) -> Trainer:
    settings: dict[str, Any] = {"epochs": EPOCHS, "batch_size": BATCH_SIZE, "seed": 3, "resume": True}
    trainer.fit(images(), checkpoint=checkpoint, **{**settings, **options})
    return trainer


def run_until_killed(folder: Path, backend: str, resume: bool, kill: tuple[str, int, int]) -> int:
    command = [sys.executable, "-m", "tests.train.small", str(folder), backend, "yes" if resume else "no"]
    return subprocess.run([*command, *map(str, kill)], cwd=ROOT, check=False, timeout=60).returncode
