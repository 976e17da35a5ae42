"""Data sets held in arrays: samples with their targets."""

from __future__ import annotations

import operator
from typing import Any, Protocol

import numpy as np

from portml.backends import Array, Backend, backend_of, get_backend, namespace, operations, to_numpy
from portml.data.split import random_split, stratified_split
from portml.errors import ArgumentError, DataError, DtypeError, RangeError, ShapeError, UnknownBackendError
from portml.random import Generator

__all__ = ["ArrayDataset", "Dataset"]

HostArray = np.ndarray[Any, Any]


class Dataset(Protocol):
    """What a `DataLoader` asks of a data set: how many samples it has, and some of them at once."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, index: Any, /) -> tuple[Array, ...]:
        """Arrays of the samples at a slice, or at an integer array of positions (n_chosen,)."""
        ...


class ArrayDataset:
    """Samples and their targets, held in two arrays of one backend.

    ``dataset[i]`` is one sample and its target, ``dataset[start:stop]`` some as views, and ``dataset[positions]``,
    with an integer array on the same backend, some as copies.

    Parameters
    ----------
    inputs : array or nested sequence, (n_samples, ...)
        Floating-point inputs must be finite.
    targets : array or nested sequence, (n_samples, ...)
        Labels, (n_samples,) of integers in [0, n_classes), if `n_classes` is given; else anything finite.
    n_classes : int, optional
        Number of classes of a classification task.

    Raises
    ------
    DataError
        If there is no sample, or a value is NaN or infinite.
    ShapeError
        If the lengths differ, or labels are not one-dimensional.
    DtypeError
        If labels are no integers, or an array holds no numbers.
    RangeError
        If a label lies outside [0, n_classes).
    MixedBackendsError
        If the two arrays live on different backends or devices.

    Notes
    -----
    The checks read a few numbers from the device, once, here.
    """

    inputs: Array
    targets: Array
    n_classes: int | None

    def __init__(self, inputs: Any, targets: Any, *, n_classes: int | None = None) -> None:
        self.inputs = _array("inputs", inputs)
        self.targets = _array("targets", targets)
        self.n_classes = n_classes
        namespace(self.inputs, self.targets)
        if self.inputs.shape[0] != self.targets.shape[0]:
            raise ShapeError(
                f"targets: expected one for each of the {self.inputs.shape[0]} inputs, got {self.targets.shape[0]}"
            )
        if self.inputs.shape[0] == 0:
            raise DataError("inputs: expected at least one sample, got an empty data set")
        _check_finite("inputs", self.inputs)
        if n_classes is None:
            _check_finite("targets", self.targets)
        else:
            _check_labels(self.targets, n_classes)

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    def __getitem__(self, index: Any, /) -> tuple[Array, Array]:
        """Samples and targets at an integer, a slice or an integer array of positions.

        Raises
        ------
        RangeError
            If a position lies outside the data set.  On a device the positions of an array are not read, hence not
            checked.
        DtypeError
            If the index is nothing of that.
        """
        if isinstance(index, slice):
            return self.inputs[index, ...], self.targets[index, ...]
        if getattr(index, "ndim", 0) > 0:
            namespace(self.inputs, index)  # both on one backend
            _check_positions(index, len(self))
            # Not the library's own: CuPy's wraps an index out of range silently.
            return operations.take(self.inputs, index, axis=0), operations.take(self.targets, index, axis=0)
        try:
            position = operator.index(index)
        except TypeError as error:
            raise DtypeError(f"index: expected an integer, a slice or an integer array, got {index!r}") from error
        if not -len(self) <= position < len(self):
            raise RangeError(f"index: expected a position among {len(self)} samples, got {position}")
        return self.inputs[position, ...], self.targets[position, ...]

    def __repr__(self) -> str:
        classes = "" if self.n_classes is None else f", {self.n_classes} classes"
        return f"<{len(self)} samples of shape {self.sample_shape}{classes}>"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.inputs.shape[1:])

    @property
    def backend(self) -> Backend | None:
        """Where the arrays live; None for a library that portml only knows by the standard."""
        try:
            return backend_of(self.inputs)
        except UnknownBackendError:
            return None

    def to(self, backend: str | Backend) -> ArrayDataset:
        """The same samples on another backend: a `DataLoader` then gathers its batches there, and nothing is copied."""
        place = get_backend(backend)
        return _of_checked(place.asarray(self.inputs), place.asarray(self.targets), self.n_classes)

    def subset(self, positions: HostArray) -> ArrayDataset:
        """The samples at some positions (n_chosen,) of the host, in that order, as a data set of their own."""
        positions = np.asarray(positions)
        if positions.ndim != 1 or len(positions) == 0 or positions.dtype.kind not in "iu":
            raise DataError(
                f"positions: expected shape (n_chosen,) of integers with at least one, "
                f"got {positions.shape} of {positions.dtype}"
            )
        _check_positions(positions, len(self))
        place = self.backend
        return _of_checked(*self[positions if place is None else place.asarray(positions)], self.n_classes)

    def split(
        self, fraction: float, seed: int | Generator = 0, *, stratified: bool | None = None
    ) -> tuple[ArrayDataset, ArrayDataset]:
        """Divide at random into the rest and a part of about ``fraction * len(self)`` samples.

        Parameters
        ----------
        fraction : float
            Strictly between 0 and 1.
        seed : int or portml.random.Generator
            The same seed gives the same split on every backend.
        stratified : bool, optional
            Whether each class is divided in that proportion; by default, if the targets are labels.

        Returns
        -------
        rest, part : ArrayDataset
            Both in the order of this one.

        Raises
        ------
        RangeError
            If `fraction` is not between 0 and 1.
        DataError
            If there are too few samples for two parts.
        """
        if stratified is None:
            stratified = self.n_classes is not None
        if stratified and self.targets.ndim != 1:
            raise ShapeError(
                f"targets: expected labels (n_samples,) for a stratified split, got shape {self.targets.shape}"
            )
        if stratified:
            rest, part = stratified_split(to_numpy(self.targets), fraction, seed)
        else:
            rest, part = random_split(len(self), fraction, seed)
        if len(rest) == 0 or len(part) == 0:
            raise DataError(f"cannot split {self!r}: expected at least two samples in one class")
        return self.subset(rest), self.subset(part)

    def concatenate(self, other: ArrayDataset) -> ArrayDataset:
        """The samples of this data set followed by those of another one of the same task and backend."""
        if self.sample_shape != other.sample_shape or self.n_classes != other.n_classes:
            raise ShapeError(f"other: expected samples of the same shape and classes, got {self!r} and {other!r}")
        xp = namespace(self.inputs, other.inputs)
        return _of_checked(
            xp.concat([self.inputs, other.inputs], axis=0),
            xp.concat([self.targets, other.targets], axis=0),
            self.n_classes,
        )


def _of_checked(inputs: Array, targets: Array, n_classes: int | None) -> ArrayDataset:
    """A data set of arrays whose values were checked before."""
    made = ArrayDataset.__new__(ArrayDataset)
    made.inputs, made.targets, made.n_classes = inputs, targets, n_classes
    return made


def _array(name: str, values: Any) -> Array:
    """`values` as an array of at least one dimension that holds numbers."""
    if isinstance(values, list | tuple):
        try:
            values = np.asarray(values)
        except ValueError as error:
            raise ShapeError(f"{name}: expected a regular nested sequence of numbers, got a ragged one") from error
    xp = namespace(values)
    if not xp.isdtype(values.dtype, ("bool", "numeric")):
        raise DtypeError(f"{name}: expected an array of numbers, got {values.dtype}")
    if values.ndim == 0:
        raise ShapeError(f"{name}: expected shape (n_samples, ...), got a single number")
    return values


def _check_finite(name: str, array: Array) -> None:
    xp = namespace(array)
    if not xp.isdtype(array.dtype, ("real floating", "complex floating")):
        return
    # One number tells whether to look closer; the positions are read only where something is wrong.
    finite = xp.isfinite(array)
    if not to_numpy(xp.all(finite)):
        bad = np.argwhere(~to_numpy(finite))
        first = tuple(int(position) for position in bad[0])
        value = to_numpy(array[first])
        raise DataError(
            f"{name}: expected finite numbers, got {value} at {first} ({len(bad)} such values); "
            "leave the samples out or fill the gaps"
        )


def _check_labels(labels: Array, n_classes: int) -> None:
    if not isinstance(n_classes, int) or n_classes < 1:
        raise ArgumentError(f"n_classes: expected a positive integer, got {n_classes!r}")
    xp = namespace(labels)
    if labels.ndim != 1:
        raise ShapeError(f"targets: expected labels of shape (n_samples,), got {tuple(labels.shape)}")
    if not xp.isdtype(labels.dtype, "integral"):
        raise DtypeError(f"targets: expected labels of an integer type, got {labels.dtype}; cast them to int64")
    for extreme in (xp.min(labels), xp.max(labels)):
        value = int(to_numpy(extreme))
        if not 0 <= value < n_classes:
            raise RangeError(f"targets: expected labels in 0..{n_classes - 1}, got {value}")


def _check_positions(positions: Array, n_samples: int) -> None:
    """Refuse positions that are no integers and, where looking costs nothing, those outside the data set."""
    if positions.ndim != 1 or not namespace(positions).isdtype(positions.dtype, "integral"):
        raise DtypeError(
            f"index: expected integers of shape (n_chosen,), got {positions.dtype} of shape {tuple(positions.shape)}"
        )
    if not isinstance(positions, np.ndarray) or positions.size == 0:
        return
    if positions.min() < 0 or positions.max() >= n_samples:
        raise RangeError(
            f"index: expected positions in 0..{n_samples - 1}, got values from {positions.min()} to {positions.max()}"
        )
