"""Data sets by name or path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from portml.data.archive import load_npz
from portml.data.classification import ClassificationData
from portml.data.dataset import ArrayDataset
from portml.data.digits import load_digits
from portml.data.idx import load_fashion_mnist, load_mnist
from portml.data.images import load_image_folder
from portml.data.pixels import to_image_shape
from portml.errors import ArgumentError, DataError

__all__ = ["DATASETS", "load_dataset"]


def _digits(data_dir: str | Path | None, *, validation_fraction: float, seed: int) -> ClassificationData:
    if data_dir is not None:
        raise ArgumentError("data_dir: the digits travel with portml, expected no folder for them")
    return load_digits(validation_fraction=validation_fraction, seed=seed)


DATASETS: dict[str, Callable[..., ClassificationData]] = {
    "digits": _digits,
    "mnist": load_mnist,
    "fashion-mnist": load_fashion_mnist,
}
"""Loader of each named data set, called as ``loader(data_dir, validation_fraction=..., seed=...)``."""


def load_dataset(
    name_or_path: str | Path,
    data_dir: str | Path | None = None,
    seed: int = 0,
    *,
    validation_fraction: float = 0.1,
    image_shape: tuple[int, int, int] | None = None,
) -> ClassificationData:
    """A classification task by name or path.

    Parameters
    ----------
    name_or_path : str or path
        One of the names "digits", "mnist", "fashion-mnist", or the path of a ``.npz`` archive (`load_npz`) or of a
        folder with one sub-folder of images for each class (`load_image_folder`).  A `pathlib.Path` is never taken for
        a name.
    data_dir : path, optional
        Folder of the IDX files of "mnist" or "fashion-mnist".
    seed : int, default 0
        Of the validation part.
    validation_fraction : float, default 0.1
        Part of each class of the training set held out to choose settings by; 0 for none.
    image_shape : (channels, height, width), optional
        What the images are converted to (`to_image_shape`).

    Returns
    -------
    ClassificationData

    Raises
    ------
    DataError
        If there is no such data set or path, or it is empty or malformed.
    ArgumentError
        If an argument does not go with the data set.
    MissingDependencyError
        If Pillow or pooch is needed and not installed.
    """
    loader = DATASETS.get(name_or_path) if isinstance(name_or_path, str) else None
    path = Path(name_or_path)
    if loader is not None:
        loaded = loader(data_dir, validation_fraction=validation_fraction, seed=seed)
        return _of_image_shape(loaded, image_shape)
    if data_dir is not None:
        raise ArgumentError(f"data_dir: expected for mnist and fashion-mnist only, {name_or_path} is a path of its own")
    if path.is_dir():
        return load_image_folder(path, image_shape=image_shape, validation_fraction=validation_fraction, seed=seed)
    if path.is_file() and path.suffix.lower() == ".npz":
        loaded = load_npz(path, validation_fraction=validation_fraction, seed=seed)
        return _of_image_shape(loaded, image_shape)
    trouble = "is neither a .npz archive nor a folder" if path.exists() else "is no such path"
    raise DataError(f"dataset: {name_or_path} {trouble}; expected one of {', '.join(DATASETS)}, or a path of that kind")


def _of_image_shape(data: ClassificationData, image_shape: tuple[int, int, int] | None) -> ClassificationData:
    if image_shape is None or image_shape == data.input_shape:
        return data
    converted = {
        role: ArrayDataset(to_image_shape(part.inputs, image_shape), part.targets, n_classes=part.n_classes)
        for role, part in data.parts().items()
    }
    return replace(data, train=converted["train"], validation=converted.get("validation"), test=converted["test"])
