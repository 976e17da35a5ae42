"""A classification task as a whole: training, validation and test set, and the names of the classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from portml.backends import Backend, to_numpy
from portml.data.dataset import ArrayDataset
from portml.data.split import every_fifth_of_each_class
from portml.errors import DataError, PortmlError, RangeError, ShapeError

__all__ = ["ClassificationData"]


@dataclass(frozen=True)
class ClassificationData:
    """A classification task: what to learn from, what to choose settings by, and what to report.

    Attributes
    ----------
    name : str
        Name or path of the data.
    train : ArrayDataset
        To learn from.
    validation : ArrayDataset or None
        A part of the training set, to choose settings and to stop by.  None if nothing was set aside.
    test : ArrayDataset
        To report the result by, once; nothing is chosen by it.
    class_names : tuple of str, (n_classes,)
    attribution : str
        Authors and licence, where the data asks for naming them.

    Raises
    ------
    ShapeError
        If the parts differ in the shape of a sample or in their classes.
    """

    name: str
    train: ArrayDataset
    validation: ArrayDataset | None
    test: ArrayDataset
    class_names: tuple[str, ...]
    attribution: str = ""

    def __post_init__(self) -> None:
        for role, part in self.parts().items():
            if part.sample_shape != self.input_shape or part.n_classes != len(self.class_names):
                raise ShapeError(
                    f"{role}: expected samples of shape {self.input_shape} in {self.n_classes} classes, got {part!r}"
                )

    @classmethod
    def from_arrays(
        cls,
        name: str,
        train: tuple[Any, Any],
        *,
        test: tuple[Any, Any] | None = None,
        validation: tuple[Any, Any] | None = None,
        class_names: tuple[str, ...],
        validation_fraction: float = 0.1,
        seed: int = 0,
        attribution: str = "",
    ) -> ClassificationData:
        """Make the parts from arrays.

        Parameters
        ----------
        name : str
        train : (inputs, labels)
            (n_samples, ...) and (n_samples,).
        test : (inputs, labels), optional
            Without it every fifth sample of each class of `train` is set aside (`every_fifth_of_each_class`).
        validation : (inputs, labels), optional
            Without it `validation_fraction` of each class of what is then left of `train` is drawn.
        class_names : tuple of str
        validation_fraction : float, default 0.1
            0 draws nothing.
        seed : int
            Of the drawing; the test set does not depend on it.
        attribution : str

        Raises
        ------
        DataError
            If the data are empty, malformed or too few for the parts; the message begins with `name`.
        RangeError
            If `validation_fraction` lies outside [0, 1).
        """
        if not 0 <= validation_fraction < 1:
            raise RangeError(f"validation_fraction: expected a number from 0 to below 1, got {validation_fraction!r}")
        try:
            known = len(class_names)
            rest = _labelled("train", train, known)
            if test is None:
                rest, tested = _set_aside_fifths(rest)
            else:
                tested = _labelled("test", test, known)
            if validation is not None:
                held_out: ArrayDataset | None = _labelled("validation", validation, known)
            elif validation_fraction == 0:
                held_out = None
            else:
                rest, held_out = rest.split(validation_fraction, seed)
            return cls(name, rest, held_out, tested, class_names, attribution)
        except PortmlError as error:
            raise DataError(f"{name}: {error}") from error

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, such as (1, 28, 28): channels, height, width."""
        return self.train.sample_shape

    def parts(self) -> dict[str, ArrayDataset]:
        """The parts there are, by name: "train", "validation", "test"."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {role: part for role, part in named.items() if part is not None}

    def to(self, backend: str | Backend) -> ClassificationData:
        """The same data on another backend."""
        moved = {role: part.to(backend) for role, part in self.parts().items()}
        return replace(self, train=moved["train"], validation=moved.get("validation"), test=moved["test"])

    def train_on_everything(self) -> ClassificationData:
        """Join the validation part to the training set again, for a last run with the settings already chosen."""
        if self.validation is None:
            return self
        return replace(self, train=self.train.concatenate(self.validation), validation=None)

    def summary(self) -> dict[str, Any]:
        """What a record of a run says of its data; plain values that JSON takes."""
        return {
            "name": self.name,
            "samples": {role: len(part) for role, part in self.parts().items()},
            "input_shape": list(self.input_shape),
            "class_names": list(self.class_names),
            "attribution": self.attribution,
        }


def _labelled(role: str, arrays: tuple[Any, Any], n_classes: int) -> ArrayDataset:
    """One part of a classification task; what is wrong with it is said under its name."""
    try:
        return ArrayDataset(*arrays, n_classes=n_classes)
    except PortmlError as error:
        raise DataError(f"{role}: {error}") from error


def _set_aside_fifths(dataset: ArrayDataset) -> tuple[ArrayDataset, ArrayDataset]:
    rest, fifths = every_fifth_of_each_class(to_numpy(dataset.targets))
    if len(fifths) == 0:
        raise DataError("no class has five samples, so that no test set can be set aside; give one, or more samples")
    return dataset.subset(rest), dataset.subset(fifths)
