"""The IDX format, and the two data sets that come in it: MNIST and Fashion-MNIST.

An IDX file is two zero bytes, one byte for the type, one for the number of dimensions, each dimension as four bytes,
and then the values; all numbers big-endian.  [LeCun, Cortes & Burges, "The MNIST database of handwritten digits", file
formats]
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from portml.data.classification import ClassificationData
from portml.errors import DataError, MissingDependencyError

__all__ = ["load_fashion_mnist", "load_mnist", "read_idx"]

HostArray = np.ndarray[Any, Any]

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def load_mnist(
    data_dir: str | Path | None = None, *, validation_fraction: float = 0.1, seed: int = 0
) -> ClassificationData:
    """MNIST: 60,000 and 10,000 images of handwritten digits, 28x28.  [LeCun, Bottou, Bengio & Haffner 1998]

    Parameters
    ----------
    data_dir : path, optional
        Folder of the four IDX files, gzipped or not, or one that has them in a sub-folder "mnist".  Without it they are
        fetched once, checked against their checksums, and kept in the user's cache folder.
    validation_fraction : float, default 0.1
        Part of the training set held out to choose settings by; 0 for none.
    seed : int
        Of the validation part.

    Returns
    -------
    ClassificationData
        Inputs (n_samples, 1, 28, 28) float32 in [0, 1], labels int64.

    Raises
    ------
    DataError
        If a file is missing, malformed or cannot be fetched.
    MissingDependencyError
        If files are to be fetched and `pooch` is not installed.
    """
    return _load(MNIST, data_dir, validation_fraction, seed)


def load_fashion_mnist(
    data_dir: str | Path | None = None, *, validation_fraction: float = 0.1, seed: int = 0
) -> ClassificationData:
    """Fashion-MNIST: 60,000 and 10,000 images of garments, 28x28.  [Xiao, Rasul & Vollgraf 2017]

    As `load_mnist`, but without `data_dir` the folder of Debian's package ``dataset-fashion-mnist`` is taken, where it
    is installed, before anything is fetched.
    """
    return _load(FASHION_MNIST, data_dir, validation_fraction, seed)


def read_idx(path: str | Path) -> HostArray:
    """Read an IDX file, gzipped or not.

    Parameters
    ----------
    path : path

    Returns
    -------
    numpy.ndarray
        In the machine's byte order.

    Raises
    ------
    DataError
        If the file is missing, is no IDX file, or has another length than its head says.
    """
    content = _read_bytes(Path(path))
    if len(content) < 4:
        raise DataError(f"{path}: expected an IDX file, got only {len(content)} bytes; the file is truncated")
    if content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise DataError(
            f"{path}: expected an IDX file, which begins with 0, 0 and a type among "
            f"{', '.join(f'0x{code:02X}' for code in _TYPES)}, got the bytes {content[:4].hex(' ')}"
        )
    dtype, n_dimensions = np.dtype(_TYPES[content[2]]), content[3]
    head = 4 + 4 * n_dimensions
    if len(content) < head:
        raise DataError(
            f"{path}: expected a head of {head} bytes for {n_dimensions} dimensions, got {len(content)} bytes; "
            "the file is truncated"
        )
    shape = struct.unpack(f">{n_dimensions}I", content[4:head])
    expected = math.prod(shape) * dtype.itemsize
    if len(content) - head != expected:
        trouble = "the file is truncated" if len(content) - head < expected else "bytes follow the last value"
        raise DataError(
            f"{path}: expected {expected} bytes of values for shape {shape}, got {len(content) - head}; {trouble}"
        )
    return np.frombuffer(content, dtype, offset=head).reshape(shape).astype(dtype.newbyteorder("="))


@dataclass(frozen=True)
class IdxSource:
    """A data set of four IDX files: where it lies and where it is fetched.

    Attributes
    ----------
    name : str
    class_names : tuple of str
    attribution : str
    sha256 : dict of str
        Of each gzipped file, by its name.
    mirrors : tuple of str
        Addresses of folders that hold these files.
    installed : Path or None
        The folder into which a system package puts them.
    """

    name: str
    class_names: tuple[str, ...]
    attribution: str
    sha256: dict[str, str]
    mirrors: tuple[str, ...]
    installed: Path | None = None


# The published SHA-256 sums of the files whose MD5 sums torchvision gives for the first mirror (f68b3c2d...,
# d53e105e..., 9fb629c4..., ec29112d...).
MNIST = IdxSource(
    name="mnist",
    class_names=tuple("0123456789"),
    attribution="Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits",
    sha256={
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
)

# Computed from files with the MD5 sums that the data set's authors publish (8d4fb7e6..., 25c81989..., bef4ecab...,
# bb300cfd...).  Debian's package holds the same values behind another gzip head, so that its files have other sums.
FASHION_MNIST = IdxSource(
    name="fashion-mnist",
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    attribution="Fashion-MNIST, Copyright 2017 Zalando SE, https://tech.zalando.com, MIT licence",
    sha256={
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    installed=Path("/usr/share/datasets/fashion-mnist"),
)


def _load(source: IdxSource, data_dir: str | Path | None, validation_fraction: float, seed: int) -> ClassificationData:
    files = _locate(source, data_dir)
    train_images, train_labels, test_images, test_labels = (files[name] for name in source.sha256)
    return ClassificationData.from_arrays(
        source.name,
        _read_pair(train_images, train_labels, len(source.class_names)),
        test=_read_pair(test_images, test_labels, len(source.class_names)),
        class_names=source.class_names,
        validation_fraction=validation_fraction,
        seed=seed,
        attribution=source.attribution,
    )


def _read_pair(image_file: Path, label_file: Path, n_classes: int) -> tuple[HostArray, HostArray]:
    """Images (n_samples, 1, height, width) in [0, 1] and their labels, from two IDX files that belong together."""
    images, labels = read_idx(image_file), read_idx(label_file)
    for file, array, n_dimensions in ((image_file, images, 3), (label_file, labels, 1)):
        if array.dtype != np.uint8 or array.ndim != n_dimensions:
            raise DataError(
                f"{file}: expected unsigned bytes in {n_dimensions} dimensions, got {array.dtype}, {array.shape}"
            )
    if len(images) != len(labels):
        raise DataError(
            f"{label_file}: expected {len(images)} labels, one for each image of {image_file.name}, got {len(labels)}"
        )
    if len(images) == 0:
        raise DataError(f"{image_file}: expected at least one image, got none")
    if labels.max() >= n_classes:
        raise DataError(f"{label_file}: expected labels in 0..{n_classes - 1}, got {labels.max()}")
    return images[:, None].astype(np.float32) / np.float32(255), labels.astype(np.int64)


def _locate(source: IdxSource, data_dir: str | Path | None) -> dict[str, Path]:
    """The four files, by the names of their gzipped form."""
    if data_dir is not None:
        folders = [Path(data_dir), Path(data_dir) / source.name]
        found = _in_folders(source, folders)
        if found is None:
            raise DataError(_missing(source, folders))
        return found
    if source.installed is not None:
        found = _in_folders(source, [source.installed])
        if found is not None:
            return found
    return {name: _fetch(source, name) for name in source.sha256}


def _in_folders(source: IdxSource, folders: Sequence[Path]) -> dict[str, Path] | None:
    """The files of the first folder that has all four, gzipped or not."""
    for folder in folders:
        files = {name: _gzipped_or_not(folder / name) for name in source.sha256}
        if all(file.is_file() for file in files.values()):
            return files
    return None


def _gzipped_or_not(file: Path) -> Path:
    return file if file.is_file() else file.with_suffix("")


def _missing(source: IdxSource, folders: Sequence[Path]) -> str:
    folder = folders[-1] if folders[-1].is_dir() else folders[0]
    absent = [name for name in source.sha256 if not _gzipped_or_not(folder / name).is_file()]
    present = sorted(entry.name for entry in folder.iterdir())[:10] if folder.is_dir() else "no such folder"
    return (
        f"data_dir: expected the IDX files of {source.name} in {folder}, but {', '.join(absent)} are missing "
        f"(with or without .gz); it has {present or 'nothing'}"
    )


def _fetch(source: IdxSource, name: str) -> Path:
    """Fetch one file into the user's cache, from the first mirror that gives it with the right checksum."""
    try:
        import pooch
    except ImportError as error:
        raise MissingDependencyError(
            f"{source.name} is fetched by pooch, which is not installed: pip install 'portml[cli]', "
            "or put the four IDX files into a folder and give it as data_dir (--data-dir)"
        ) from error
    folder = Path(pooch.os_cache("portml")) / source.name
    failures = []
    for mirror in source.mirrors:
        try:
            return Path(
                pooch.retrieve(mirror + name, known_hash=f"sha256:{source.sha256[name]}", fname=name, path=folder)
            )
        except (OSError, ValueError) as error:
            # Connection errors are OSErrors, and a wrong checksum is a ValueError.
            failures.append(f"{mirror}: {_first_line(error)}")
    raise DataError(
        f"{name} of {source.name} could not be fetched ({'; '.join(failures)}); "
        "put the four IDX files into a folder and give it as data_dir (--data-dir)"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _read_bytes(path: Path) -> bytes:
    """The file's content, unpacked if it begins as gzip does."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected an IDX file, but it cannot be read: {error.strerror}") from error
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: expected a gzipped IDX file, but it does not unpack: {error}; fetch it anew"
        ) from error
