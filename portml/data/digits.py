"""The handwritten digits that travel with portml."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np

from portml.data.classification import ClassificationData
from portml.data.resize import resize_bilinear

__all__ = ["load_digits"]

ATTRIBUTION = (
    "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, "
    "doi 10.24432/C50P49, CC BY 4.0"
)
_DARKEST = 16


def load_digits(
    size: tuple[int, int] = (28, 28), *, validation_fraction: float = 0.1, seed: int = 0
) -> ClassificationData:
    """1,797 handwritten digits of 13 writers, 8x8 pixels, resized bilinearly.

    The test set, 355 images, is every fifth image of each digit in the order of the file: the images 4, 9, 14, ... of
    the zeros, of the ones, and so on.  It depends on no seed.

    Parameters
    ----------
    size : (int, int), default (28, 28)
        Height and width; (8, 8) leaves the images as they are.
    validation_fraction : float, default 0.1
        Part of each digit's other images held out to choose settings by; 0 for none.
    seed : int
        Of the validation part.

    Returns
    -------
    ClassificationData
        Inputs (n_samples, 1, height, width) float32 in [0, 1], ink high; labels int64.

    Notes
    -----
    Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository,
    https://doi.org/10.24432/C50P49, licensed CC BY 4.0.  The test part of that data set, its values unchanged; see
    ``optical_digits.txt`` beside this file.
    """
    images, labels = _read()
    inputs = resize_bilinear(images, size)[:, None] / np.float32(_DARKEST)
    return ClassificationData.from_arrays(
        "digits",
        (inputs, labels.astype(np.int64)),
        class_names=tuple("0123456789"),
        validation_fraction=validation_fraction,
        seed=seed,
        attribution=ATTRIBUTION,
    )


def _read() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images (1797, 8, 8) of values 0 to 16 and labels (1797,), both unsigned bytes."""
    file = resources.files("portml.data") / "optical_digits.npz"
    with file.open("rb") as opened, np.load(opened) as arrays:
        return arrays["images"], arrays["labels"]
