"""Images in files: folders with one sub-folder per class, and single pictures to predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from portml.data.classification import ClassificationData
from portml.data.files import UNREADABLE, naming
from portml.data.pixels import channels_first, levels, to_image_shape
from portml.errors import DataError, MissingDependencyError

__all__ = ["load_image", "load_image_folder"]

HostArray = np.ndarray[Any, Any]

_FOLDERS = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}
_PICTURES = (".png", ".jpg", ".jpeg")
_SUFFIXES = (*_PICTURES, ".npy")


def load_image_folder(
    folder: str | Path,
    *,
    image_shape: tuple[int, int, int] | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> ClassificationData:
    """A classification task from a folder with one sub-folder of images for each class.

    Parameters
    ----------
    folder : path
        The classes are its sub-folders in alphabetical order, the samples their PNG, JPEG and ``.npy`` files in
        alphabetical order; other files are passed over.  Or it has sub-folders "train" and, if wanted, "test" and
        "validation", and each of them the sub-folders of the classes.  Without a test set every fifth sample of each
        class is set aside.
    image_shape : (channels, height, width), optional
        What every image is converted to (see `to_image_shape`).  Without it all have to have the same shape.
    validation_fraction, seed
        As in `load_npz`.

    Raises
    ------
    DataError
        If a folder is missing or empty, an image cannot be read, or the shapes differ.
    MissingDependencyError
        If there are PNG or JPEG files and Pillow is not installed.
    """
    folder = Path(folder)
    roots = _find_parts(folder)
    class_names = tuple(entry.name for entry in _subfolders(roots["train"]))
    if not class_names:
        raise DataError(f"{folder}: expected one sub-folder of images for each class, got none")
    parts = {role: _read_class_folders(root, class_names, image_shape) for role, root in roots.items()}
    return ClassificationData.from_arrays(
        str(folder),
        parts["train"],
        test=parts.get("test"),
        validation=parts.get("validation"),
        class_names=class_names,
        validation_fraction=validation_fraction,
        seed=seed,
    )


def load_image(path: str | Path, image_shape: tuple[int, int, int] | None = None) -> HostArray:
    """One image for prediction.

    Parameters
    ----------
    path : path
        A PNG or JPEG file, or a ``.npy`` file of an array (height, width), (channels, height, width) or (height, width,
        channels) with 1 or 3 channels.  Transparent pixels count as black.
    image_shape : (channels, height, width), optional
        What the image is converted to (see `to_image_shape`).

    Returns
    -------
    numpy.ndarray of float32, (channels, height, width)

    Raises
    ------
    DataError
        If the file cannot be read as an image, or holds no pixel or NaN.
    MissingDependencyError
        If Pillow is needed and not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in _SUFFIXES:
        raise DataError(f"{path}: expected an image file ending in {', '.join(_SUFFIXES)}")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with naming(path):
        image = _read_array(path) if path.suffix.lower() == ".npy" else _read_picture(path)
        return image if image_shape is None else to_image_shape(image, image_shape)


def _find_parts(folder: Path) -> dict[str, Path]:
    """The folders of the parts: the folder itself, or its sub-folders "train", "test", ... if there is a "train"."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    train = folder / "train"
    if not (train.is_dir() and _subfolders(train)):
        return {"train": folder}
    return {
        role: next(folder / name for name in names if (folder / name).is_dir())
        for role, names in _FOLDERS.items()
        if any((folder / name).is_dir() for name in names)
    }


def _subfolders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _read_class_folders(
    folder: Path, class_names: tuple[str, ...], image_shape: tuple[int, int, int] | None
) -> tuple[HostArray, HostArray]:
    unknown = sorted({entry.name for entry in _subfolders(folder)} - set(class_names))
    if unknown:
        raise DataError(f"{folder / unknown[0]}: is no class of the training set, which has {', '.join(class_names)}")
    images: list[HostArray] = []
    labels: list[int] = []
    for label, name in enumerate(class_names):
        files = _image_files(folder / name)
        if not files:
            raise DataError(f"{folder / name}: expected images ending in {', '.join(_SUFFIXES)}, got none")
        for file in files:
            image = load_image(file, image_shape)
            if images and image.shape != images[0].shape:
                raise DataError(
                    f"{file}: expected an image of shape {images[0].shape} as the ones before, got {image.shape}; "
                    "give image_shape to convert them all"
                )
            images.append(image)
            labels.append(label)
    return np.stack(images), np.asarray(labels, dtype=np.int64)


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        file
        for file in folder.iterdir()
        if file.is_file() and file.suffix.lower() in _SUFFIXES and not file.name.startswith(".")
    )


def _read_array(path: Path) -> HostArray:
    try:
        image = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        raise DataError(f"expected a .npy file of one array of numbers, but it cannot be read: {error}") from error
    if not isinstance(image, np.ndarray):
        raise DataError("expected one array, got an archive of several")
    if image.ndim not in (2, 3):
        raise DataError(
            f"expected an image (height, width), with channels before or after them, got shape {image.shape}"
        )
    image = levels(image, "image")
    if not np.all(np.isfinite(image)):
        raise DataError("expected finite numbers, got NaN or infinity")
    return channels_first(image, image.ndim, "image")


def _read_picture(path: Path) -> HostArray:
    """Decode a PNG or JPEG file: (1 or 3, height, width) in [0, 1], turned as the camera says."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingDependencyError(
            f"{path} is read by Pillow, which is not installed: pip install 'portml[cli]', or save the image as .npy"
        ) from error
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as opened:
            picture = ImageOps.exif_transpose(opened)
            if picture.mode.startswith("I"):
                return np.asarray(picture).astype(np.float32)[None] / np.float32(65535)
            if picture.mode in ("1", "L"):
                return _picture_levels(picture.convert("L"))[None]
            has_alpha = "A" in picture.getbands() or "transparency" in picture.info
            pixels = _picture_levels(picture.convert("RGBA" if has_alpha else "RGB")).transpose(2, 0, 1)
            colours = pixels[:3] * pixels[3:] if has_alpha else pixels
            return colours[:1] if picture.mode == "LA" else colours
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise DataError(f"expected a PNG or JPEG image, but it cannot be read: {error}") from error


def _picture_levels(picture: Any) -> HostArray:
    return np.asarray(picture).astype(np.float32) / np.float32(255)
