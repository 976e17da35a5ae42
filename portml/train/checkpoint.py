"""Checkpoints: everything that a training run needs to go on, in one safetensors file.

The arrays (parameters, buffers, optimizer state, sums of the epoch under way) are its tensors; the rest (positions of
the generators, of the loader and of the schedule, the history) is JSON in its metadata.  Both give back the very bits
that were written, so that a resumed run ends with the weights of one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portml.backends import Array, Backend
from portml.data import DataLoader
from portml.errors import CheckpointError, PortmlError
from portml.nn import Module
from portml.optim import Optimizer, Schedule
from portml.random import Generator
from portml.train.files import read_arrays, write_arrays
from portml.train.history import History
from portml.train.means import RunningMeans

__all__ = ["Progress"]

_FORMAT = "checkpoint 1"


@dataclass
class Progress:
    """The moving parts of a training run, as a checkpoint holds them.

    Attributes
    ----------
    model, optimizer, loader
        As `Trainer` has them.
    schedule : Schedule or None
    transform : Module or None
        What the inputs go through in training; its generators move.
    history : History
        Of the epochs that are over.
    means : RunningMeans
        Of the epoch under way.
    """

    model: Module
    optimizer: Optimizer
    loader: DataLoader
    schedule: Schedule | None
    transform: Module | None
    history: History
    means: RunningMeans

    def save(self, path: str | Path) -> Path:
        """Write a checkpoint, atomically.

        Raises
        ------
        WriteError
            If the disk is full, or the place cannot be written; the checkpoint before is untouched.
        """
        arrays: dict[str, Array] = {f"model.{name}": array for name, array in self.model.state_dict().items()}
        state = self.optimizer.state_dict()
        for index, parts in state["state"].items():
            # Plain numbers beside the arrays follow from the count of steps.
            arrays |= {f"optimizer.{index}.{name}": part for name, part in parts.items() if hasattr(part, "dtype")}
        arrays |= {f"means.{name}": total for name, total in self.means.sums.items()}
        metadata = {
            "format": _FORMAT,
            "optimizer": type(self.optimizer).__name__,
            "steps": {str(index): parts["step"] for index, parts in state["state"].items()},
            "param_groups": state["param_groups"],
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "generators": {name: generator.state() for name, generator in self._generators()},
            "loader": self.loader.state_dict(),
            "history": self.history.rows,
            "means": {"samples": self.means.samples, "names": list(self.means.sums)},
        }
        return write_arrays(path, arrays, metadata)

    def load(self, path: str | Path, backend: Backend) -> None:
        """Take up what `save` wrote, on the backend of the model.

        Raises
        ------
        CheckpointError
            If the file is missing, damaged, foreign, or of another model or other settings.
        """
        arrays, saved = read_arrays(path)
        if not isinstance(saved, dict) or saved.get("format") != _FORMAT:
            raise CheckpointError(
                f"{path}: expected a checkpoint of a training run ({_FORMAT}), got another safetensors file"
            )
        try:
            self._restore(arrays, saved, backend)
        except PortmlError as error:
            raise CheckpointError(f"{path}: does not fit this run: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                f"{path}: expected a checkpoint of a training run, but a part is missing or malformed ({error!r})"
            ) from error

    def _restore(self, arrays: dict[str, Any], saved: dict[str, Any], backend: Backend) -> None:
        """Checks that need no writing come first, then the parts that check themselves."""
        self._check(saved)
        model, state, sums = _sorted(arrays, saved["steps"])
        rows = [{str(name): number for name, number in row.items()} for row in saved["history"]]
        self.loader.load_state_dict(saved["loader"])
        self.model.load_state_dict(model)
        self.optimizer.load_state_dict({"state": state, "param_groups": saved["param_groups"]})
        if self.schedule is not None:
            self.schedule.load_state_dict(saved["schedule"])
        for name, generator in self._generators():
            generator.set_state(saved["generators"][name])
        # A file keeps its tensors in an order of its own; the history has its columns in that of the names.
        means = saved["means"]
        self.means.restore(int(means["samples"]), {name: sums[name] for name in means["names"]}, backend)
        self.history.rows[:] = rows

    def _check(self, saved: dict[str, Any]) -> None:
        expected = {
            "optimizer": type(self.optimizer).__name__,
            "schedule": self.schedule is not None,
            "generators": sorted(name for name, _ in self._generators()),
        }
        found = {
            "optimizer": saved["optimizer"],
            "schedule": saved["schedule"] is not None,
            "generators": sorted(saved["generators"]),
        }
        for name, value in expected.items():
            if found[name] != value:
                raise CheckpointError(f"{name}: was {found[name]!r} when it was saved and is {value!r} now")

    def _generators(self) -> Iterator[tuple[str, Generator]]:
        yield from self.model.named_generators()
        if self.transform is not None:
            yield from ((f"transform.{name}", generator) for name, generator in self.transform.named_generators())


def _sorted(
    arrays: dict[str, Any], steps: dict[str, int]
) -> tuple[dict[str, Any], dict[int, dict[str, Any]], dict[str, Any]]:
    """The tensors of a checkpoint: the model's, the optimizer's by parameter, and the sums of the epoch."""
    model: dict[str, Any] = {}
    sums: dict[str, Any] = {}
    state: dict[int, dict[str, Any]] = {int(index): {"step": int(step)} for index, step in steps.items()}
    for name, array in arrays.items():
        owner, _, rest = name.partition(".")
        if owner == "model":
            model[rest] = array
        elif owner == "means":
            sums[rest] = array
        else:
            index, _, part = rest.partition(".")
            state[int(index)][part] = array
    return model, state, sums
