from __future__ import annotations

import gzip
import shutil
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from portml.data import idx, load_fashion_mnist, load_mnist, read_idx
from portml.errors import DataError, MissingDependencyError
from tests.data.files import IDX_NAMES, idx_bytes, write_idx_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_idx_folder(tmp_path_factory.mktemp("idx"))


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("gzipped", [False, True])
def test_an_array_of_each_type_comes_back_as_it_was_written(dtype: str, gzipped: bool, tmp_path: Path) -> None:
    array = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    content = idx_bytes(array)
    (tmp_path / "file").write_bytes(gzip.compress(content) if gzipped else content)
    read = read_idx(tmp_path / "file")
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype
    assert read.flags.writeable


WHOLE = idx_bytes(np.arange(6, dtype=np.uint8).reshape(2, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated"),
        (WHOLE[:3], "truncated"),
        (WHOLE[:9], "expected a head of 12 bytes"),
        (WHOLE[:-1], r"expected 6 bytes of values for shape \(2, 3\), got 5; the file is truncated"),
        (WHOLE + b"x", "bytes follow the last value"),
        (b"\x89PNG" + WHOLE, "got the bytes 89 50 4e 47"),
        (b"\0\0\x07" + WHOLE[3:], "a type among 0x08"),
        (gzip.compress(WHOLE, mtime=0)[:-9], "does not unpack"),
        (gzip.compress(WHOLE, mtime=0)[:10] + b"broken", "does not unpack"),
        (struct.pack(">BBBBI", 0, 0, 8, 1, 2**32 - 1), "expected 4294967295 bytes"),
    ],
)
def test_a_broken_file_is_refused_by_name(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "broken-idx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent.*cannot be read"):
        read_idx(tmp_path / "absent")


def test_mnist_is_read_from_a_folder(folder: Path) -> None:
    mnist = load_mnist(folder, validation_fraction=0.25)
    assert mnist.input_shape == (1, 28, 28)
    assert (len(mnist.train), len(mnist.validation), len(mnist.test)) == (30, 10, 10)
    assert mnist.train.inputs.dtype == np.float32
    assert mnist.train.targets.dtype == np.int64
    np.testing.assert_array_equal(mnist.test.targets, np.arange(10))
    raw = read_idx(folder / "t10k-images-idx3-ubyte.gz")
    np.testing.assert_array_equal(np.rint(mnist.test.inputs[:, 0] * 255), raw)


def test_files_may_be_unpacked_and_in_a_sub_folder_of_the_name(tmp_path: Path) -> None:
    write_idx_folder(tmp_path / "fashion-mnist", gzipped=False)
    fashion = load_fashion_mnist(tmp_path)
    assert fashion.class_names[9] == "Ankle boot"
    assert fashion.name == "fashion-mnist"


def test_a_folder_without_the_files_is_refused_by_what_is_missing(folder: Path, tmp_path: Path) -> None:
    for name in IDX_NAMES[:3]:
        shutil.copy(folder / f"{name}.gz", tmp_path)
    with pytest.raises(DataError, match=r"data_dir: .*t10k-labels-idx1-ubyte.gz are missing .*it has .*train-images"):
        load_mnist(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        load_mnist(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train-images-idx3-ubyte", np.zeros((39, 28, 28), np.uint8), "expected 39 labels.*got 40"),
        ("train-images-idx3-ubyte", np.zeros((40, 784), np.uint8), "in 3 dimensions"),
        ("train-images-idx3-ubyte", np.zeros((40, 28, 28), np.int16), "unsigned bytes"),
        ("t10k-labels-idx1-ubyte", np.arange(1, 11, dtype=np.uint8), r"labels in 0\.\.9, got 10"),
        ("t10k-labels-idx1-ubyte", np.zeros((0,), np.uint8), "got 0"),
        ("t10k-images-idx3-ubyte", np.zeros((10, 20, 28), np.uint8), "test: expected samples of shape"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    name: str, array: np.ndarray, message: str, tmp_path: Path
) -> None:
    write_idx_folder(tmp_path, gzipped=False)
    (tmp_path / name).write_bytes(idx_bytes(array))
    with pytest.raises(DataError, match=message):
        load_mnist(tmp_path)


def test_files_without_samples_are_refused(tmp_path: Path) -> None:
    write_idx_folder(tmp_path, n_test=0)
    with pytest.raises(DataError, match=r"t10k-images.*at least one image"):
        load_mnist(tmp_path)


def test_fashion_mnist_finds_the_folder_of_the_system_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert idx.FASHION_MNIST.installed == Path("/usr/share/datasets/fashion-mnist")
    monkeypatch.setattr(idx, "FASHION_MNIST", replace(idx.FASHION_MNIST, installed=folder))
    assert len(load_fashion_mnist().test) == 10


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "FASHION_MNIST", replace(idx.FASHION_MNIST, installed=None))


@pytest.mark.usefixtures("nothing_installed")
def test_without_pooch_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    for load in (load_mnist, load_fashion_mnist):
        with pytest.raises(MissingDependencyError, match=r"pip install 'portml\[cli\]'"):
            load()


class FakePooch:
    """Stands in for pooch: gives the files of a folder where the address holds a word, else a wrong checksum."""

    def __init__(self, folder: Path, answers: str) -> None:
        self.folder, self.answers, self.asked = folder, answers, []

    def os_cache(self, name: str) -> str:
        return f"/cache/{name}"

    def retrieve(self, url: str, *, known_hash: str, fname: str, path: Path) -> str:
        self.asked.append((url, known_hash, path))
        if self.answers not in url:
            raise ValueError(f"hash of {fname} does not match\nmore lines")
        return str(self.folder / fname)


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(("load", "second"), [(load_mnist, "storage.googleapis"), (load_fashion_mnist, "s3-website")])
def test_files_are_fetched_with_checksums_from_the_next_mirror_if_one_fails(
    load, second: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakePooch(folder, second)
    monkeypatch.setitem(sys.modules, "pooch", fake)
    assert len(load().test) == 10
    assert len(fake.asked) == 8
    for url, known_hash, path in fake.asked:
        source = idx.MNIST if load is load_mnist else idx.FASHION_MNIST
        assert known_hash == f"sha256:{source.sha256[url.rpartition('/')[2]]}"
        assert path == Path("/cache/portml") / source.name


def test_what_cannot_be_fetched_is_said_with_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pooch", FakePooch(tmp_path, "nobody"))
    with pytest.raises(DataError, match=r"could not be fetched .*does not match.*--data-dir") as caught:
        load_mnist()
    assert "more lines" not in str(caught.value)


def test_pooch_takes_the_arguments_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A file that is already in the cache with the right checksum is not fetched again, so no network is needed.
    import pooch

    content = gzip.compress(idx_bytes(np.zeros(3, np.uint8)))
    (tmp_path / "portml" / "mnist").mkdir(parents=True)
    cached = tmp_path / "portml" / "mnist" / "file.gz"
    cached.write_bytes(content)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    source = replace(idx.MNIST, sha256={"file.gz": pooch.file_hash(str(cached))})
    assert idx._fetch(source, "file.gz") == cached


@pytest.mark.parametrize("source", [idx.MNIST, idx.FASHION_MNIST], ids=lambda source: source.name)
def test_each_of_the_four_files_has_a_checksum(source: idx.IdxSource) -> None:
    assert tuple(source.sha256) == tuple(f"{name}.gz" for name in IDX_NAMES)
    assert all(len(value) == 64 and int(value, 16) for value in source.sha256.values())
