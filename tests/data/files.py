"""Small files of each kind, written into a temporary folder, and where an array lives."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np

from portml.backends import Array, Backend, device_of, library_of

__all__ = ["IDX_NAMES", "idx_bytes", "lives_on", "write_idx_folder", "write_png"]

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """`array` in the IDX format."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, _CODES[array.dtype.str[1:]], array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_idx_folder(folder: Path, *, n_train: int = 40, n_test: int = 10, gzipped: bool = True) -> Path:
    """Four IDX files as MNIST has them, of random images 28x28 and the labels 0, 1, ..., 9, 0, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for name, n in zip(IDX_NAMES, (n_train, n_train, n_test, n_test), strict=True):
        images = random.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        content = idx_bytes(images if "images" in name else np.arange(n, dtype=np.uint8) % 10)
        if gzipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def write_png(path: Path, pixels: np.ndarray[Any, Any], mode: str | None = None) -> Path:
    """`pixels` as a PNG file, converted to a Pillow mode if one is given."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels)
    (picture if mode is None else picture.convert(mode)).save(path)
    return path


def lives_on(backend: Backend, *arrays: Array) -> bool:
    """Whether all arrays are of that backend's library and device."""
    return all(library_of(array).name == backend.name and device_of(array) == backend.device for array in arrays)
