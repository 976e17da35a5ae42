from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from portml.data import DATASETS, load_dataset, load_digits
from portml.errors import ArgumentError, DataError
from tests.data.files import write_idx_folder, write_png


def test_the_digits_need_a_name_alone() -> None:
    loaded = load_dataset("digits", seed=3, validation_fraction=0.2)
    expected = load_digits(seed=3, validation_fraction=0.2)
    np.testing.assert_array_equal(loaded.validation.inputs, expected.validation.inputs)
    assert loaded.name == "digits"


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_files_are_found_by_name_and_folder(name: str, tmp_path: Path) -> None:
    assert load_dataset(name, write_idx_folder(tmp_path)).name == name


def test_an_archive_and_a_folder_are_found_by_their_path(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((20, 8, 8)), y=np.arange(20) % 2)
    for index in range(20):
        write_png(tmp_path / "pictures" / f"class {index % 2}" / f"{index}.png", np.zeros((8, 8), np.uint8))
    for path in (tmp_path / "data.npz", tmp_path / "pictures"):
        assert load_dataset(path).input_shape == (1, 8, 8)
        assert load_dataset(str(path), image_shape=(3, 28, 28)).input_shape == (3, 28, 28)


def test_named_images_are_converted_too() -> None:
    assert load_dataset("digits", image_shape=(1, 28, 28)).input_shape == (1, 28, 28)
    data = load_dataset("digits", image_shape=(3, 14, 14), validation_fraction=0)
    assert data.input_shape == (3, 14, 14)
    assert data.n_classes == 10


def test_an_unknown_name_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="digitz is no such path; expected one of digits, mnist, fashion-mnist"):
        load_dataset("digitz")
    (tmp_path / "data.txt").write_text("words")
    with pytest.raises(DataError, match=r"neither a \.npz archive nor a folder"):
        load_dataset(tmp_path / "data.txt")
    with pytest.raises(DataError, match="no such path"):
        load_dataset(Path("digits"))
    assert list(DATASETS) == ["digits", "mnist", "fashion-mnist"]


def test_a_folder_that_does_not_go_with_the_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="data_dir: the digits travel with portml"):
        load_dataset("digits", tmp_path)
    with pytest.raises(ArgumentError, match="data_dir: expected for mnist"):
        load_dataset(tmp_path, tmp_path)
    data = tmp_path / "table.npz"
    np.savez(data, x=np.zeros((20, 4)), y=np.arange(20) % 2)
    with pytest.raises(DataError, match="images: expected shape"):
        load_dataset(data, image_shape=(1, 2, 2))
