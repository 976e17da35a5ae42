"""Classification tasks in ``.npz`` archives."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from portml.data.classification import ClassificationData
from portml.data.files import UNREADABLE, naming
from portml.data.pixels import channels_first, levels
from portml.errors import DataError

__all__ = ["load_npz"]

HostArray = np.ndarray[Any, Any]

# Names under which archives hold their parts, in the order in which they are looked for.
_PAIRS = {
    "train": [("x_train", "y_train"), ("X_train", "y_train"), ("train_images", "train_labels"), ("images", "labels"),
              ("x", "y"), ("X", "y"), ("data", "target"), ("inputs", "targets")],
    "validation": [("x_validation", "y_validation"), ("x_val", "y_val"), ("X_val", "y_val"),
                   ("validation_images", "validation_labels"), ("val_images", "val_labels")],
    "test": [("x_test", "y_test"), ("X_test", "y_test"), ("test_images", "test_labels")],
}  # fmt: skip


def load_npz(path: str | Path, *, validation_fraction: float = 0.1, seed: int = 0) -> ClassificationData:
    """A classification task from a ``.npz`` archive.

    Parameters
    ----------
    path : path
        The archive holds images and labels as ``images`` and ``labels``, ``x`` and ``y``, ``X`` and ``y``, ``data``
        and ``target``, ``inputs`` and ``targets``, ``x_train`` and ``y_train`` or ``train_images`` and
        ``train_labels``.  It may hold a test set (``x_test`` and ``y_test``, ``test_images`` and ``test_labels``),
        likewise a validation set (``x_val``, ``val_images``, ...), and ``class_names``.  Without a test set every
        fifth sample of each class is set aside.

        Images have the shape (n_samples, height, width), (n_samples, channels, height, width), (n_samples, height,
        width, channels) with 1 or 3 channels, or (n_samples, n_features).  Labels (n_samples,) are integers from 0 or
        strings.
    validation_fraction : float, default 0.1
        Part of the training set held out to choose settings by, where the archive has none; 0 for none.
    seed : int
        Of the validation part.

    Returns
    -------
    ClassificationData
        Inputs (n_samples, channels, height, width) or (n_samples, n_features) float32, labels int64.

    Raises
    ------
    DataError
        If the archive cannot be read, lacks these arrays (the message lists those it has), or they are empty,
        malformed, NaN, or do not fit each other.
    """
    path = Path(path)
    arrays = _read_archive(path)
    pairs = {role: _find_pair(arrays, names) for role, names in _PAIRS.items()}
    if pairs["train"] is None:
        expected = ", ".join(f"{images}/{labels}" for images, labels in _PAIRS["train"])
        raise DataError(
            f"{path}: expected images and labels as one of {expected}, got the arrays {', '.join(arrays) or '(none)'}"
        )
    with naming(path):
        labels, class_names = _encode_labels(
            {role: arrays[names[1]] for role, names in pairs.items() if names is not None}, arrays.get("class_names")
        )
        parts = {
            role: (_batch_of_images(arrays[names[0]], names[0]), labels[role])
            for role, names in pairs.items()
            if names is not None
        }
    return ClassificationData.from_arrays(
        str(path),
        parts["train"],
        test=parts.get("test"),
        validation=parts.get("validation"),
        class_names=class_names,
        validation_fraction=validation_fraction,
        seed=seed,
    )


def _read_archive(path: Path) -> dict[str, HostArray]:
    try:
        # Opened here, as NumPy leaves the file open where it finds no archive in it.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            arrays = None if isinstance(archive, np.ndarray) else {name: archive[name] for name in archive.files}
    except (*UNREADABLE, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: expected a .npz archive of numbers, but it cannot be read: {error}") from error
    if arrays is None:
        raise DataError(f"{path}: expected a .npz archive of named arrays, got a single array")
    return arrays


def _find_pair(arrays: Mapping[str, HostArray], names: list[tuple[str, str]]) -> tuple[str, str] | None:
    return next((pair for pair in names if pair[0] in arrays and pair[1] in arrays), None)


def _encode_labels(
    labels: Mapping[str, HostArray], class_names: HostArray | None
) -> tuple[dict[str, HostArray], tuple[str, ...]]:
    """Labels of every part as int64 from 0, and the names of the classes."""
    labels = {role: _label_column(part) for role, part in labels.items()}
    if any(part.dtype.kind in "US" for part in labels.values()):
        return _encode_words({role: part.astype(str) for role, part in labels.items()})
    for role, part in labels.items():
        if part.dtype.kind not in "iu":
            raise DataError(f"labels: expected integers or strings, got {part.dtype} in the {role} set")
        if len(part) and part.min() < 0:
            raise DataError(f"labels: expected integers from 0, got {part.min()} in the {role} set")
    names = _numbered_classes(labels) if class_names is None else tuple(str(name) for name in class_names.ravel())
    return {role: part.astype(np.int64) for role, part in labels.items()}, names


def _encode_words(words: Mapping[str, HostArray]) -> tuple[dict[str, HostArray], tuple[str, ...]]:
    """Positions of the words among those of the training set in alphabetical order, and these."""
    names = np.unique(words["train"])
    for role, part in words.items():
        unknown = np.setdiff1d(part, names)
        if len(unknown):
            raise DataError(f"labels: {str(unknown[0])!r} of the {role} set is no class of the training set")
    encoded = {role: np.searchsorted(names, part).astype(np.int64) for role, part in words.items()}
    return encoded, tuple(names.tolist())


def _numbered_classes(labels: Mapping[str, HostArray]) -> tuple[str, ...]:
    """Names "0", "1", ... up to the largest label."""
    largest = max((int(part.max()) for part in labels.values() if len(part)), default=0)
    n_samples = sum(len(part) for part in labels.values())
    # Labels that are codes of something else, such as years, would ask for a huge output layer.
    if largest >= max(n_samples, 1):
        raise DataError(
            f"labels: expected classes numbered from 0, got {largest} among {n_samples} samples; "
            "number the classes, or add class_names to the archive"
        )
    return tuple(str(label) for label in range(largest + 1))


def _label_column(labels: HostArray) -> HostArray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(f"labels: expected one for each sample, (n_samples,), got shape {labels.shape}")
    return labels


def _batch_of_images(images: HostArray, name: str) -> HostArray:
    """Images as (n_samples, channels, height, width), or features as (n_samples, n_features)."""
    images = levels(images, name)
    if images.ndim == 2:
        return images
    if images.ndim not in (3, 4):
        raise DataError(
            f"{name}: expected (n_samples, height, width), with channels before or after the sides, or "
            f"(n_samples, n_features), got shape {images.shape}"
        )
    return channels_first(images, images.ndim - 1, name)
