from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from portml.data import load_image, load_image_folder, load_npz, resize_bilinear, to_image_shape
from portml.errors import ArgumentError, DataError, MissingDependencyError
from tests.data.files import write_png

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)
LABELS = np.arange(20) % 2
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 5), dtype=np.uint8)


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path / "data.npz", **arrays)
    return path / "data.npz"


# Archives


@pytest.mark.parametrize(
    ("images_key", "labels_key"),
    [("images", "labels"), ("x", "y"), ("X", "y"), ("data", "target"), ("x_train", "y_train")],
)
def test_an_archive_is_read_under_any_of_the_usual_names(images_key: str, labels_key: str, tmp_path: Path) -> None:
    data = load_npz(npz(tmp_path, **{images_key: IMAGES, labels_key: LABELS}), validation_fraction=0.25)
    assert {role: len(part) for role, part in data.parts().items()} == {"train": 12, "validation": 4, "test": 4}
    assert data.input_shape == (1, 6, 5)
    assert data.class_names == ("0", "1")
    np.testing.assert_array_equal(data.test.inputs[:, 0], IMAGES[[8, 9, 18, 19]].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(data.test.targets, [0, 1, 0, 1])


def test_parts_of_an_archive_are_taken_as_they_are(tmp_path: Path) -> None:
    path = npz(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:2], y_test=LABELS[:2], x_val=IMAGES[:3],
               y_val=LABELS[:3], class_names=np.array(["cat", "dog"]))  # fmt: skip
    data = load_npz(path)
    assert {role: len(part) for role, part in data.parts().items()} == {"train": 20, "validation": 3, "test": 2}
    assert data.class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((20, 6, 5), (1, 6, 5)), ((20, 3, 6, 5), (3, 6, 5)), ((20, 6, 5, 3), (3, 6, 5)), ((20, 30), (30,))],
)
def test_images_may_be_laid_out_in_the_usual_ways(shape, expected, tmp_path: Path) -> None:
    images = np.arange(np.prod(shape)).reshape(shape) % 256
    data = load_npz(npz(tmp_path, images=images, labels=LABELS), validation_fraction=0)
    assert data.input_shape == expected
    first = images[0] / 255
    first = first[None] if len(shape) == 3 else first.transpose(2, 0, 1) if shape[-1] == 3 else first
    np.testing.assert_allclose(data.train.inputs[0], first, atol=1e-7)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 255]], np.uint8), [[0, 1]]),
        (np.array([[0, 51]], np.int64), [[0, 0.2]]),
        (np.array([[0, 65535]], np.uint16), [[0, 1]]),
        (np.array([[False, True]]), [[0, 1]]),
        (np.array([[-1.5, 2.5]]), [[-1.5, 2.5]]),
    ],
)
def test_integers_are_scaled_to_0_to_1_and_floats_are_not(values, expected, tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", values)
    image = load_image(tmp_path / "image.npy")
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[0], expected, rtol=1e-7)


@pytest.mark.parametrize("dtype", ["U5", "S5"])
def test_labels_that_are_words_become_the_class_names(dtype: str, tmp_path: Path) -> None:
    words = np.array(["dog", "cat"] * 10).astype(dtype)
    data = load_npz(npz(tmp_path, images=IMAGES, labels=words), validation_fraction=0)
    assert data.class_names == ("cat", "dog")
    np.testing.assert_array_equal(data.train.targets[:2], [1, 0])


def with_nan(images: np.ndarray) -> np.ndarray:
    images = images.astype(np.float32)
    images[3, 1, 2] = np.nan
    return images


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": IMAGES, "labels": LABELS}, r"images/labels.*got the arrays pictures, labels"),
        ({}, r"got the arrays \(none\)"),
        ({"images": IMAGES, "labels": LABELS[:-1]}, "one for each of the 20 inputs, got 19"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "at least one image"),
        ({"images": with_nan(IMAGES), "labels": LABELS}, r"finite numbers, got nan at \(3, 0, 1, 2\)"),
        ({"images": IMAGES, "labels": LABELS - 1}, "integers from 0, got -1"),
        ({"images": IMAGES, "labels": LABELS + 5, "class_names": np.array(["a", "b"])}, r"labels in 0\.\.1"),
        ({"images": IMAGES, "labels": LABELS + 1990}, "numbered from 0"),
        ({"images": IMAGES, "labels": LABELS / 2}, "integers or strings, got float64"),
        ({"images": IMAGES, "labels": np.eye(20)}, r"one for each sample.*\(20, 20\)"),
        ({"images": IMAGES.astype(np.int32) * 300, "labels": LABELS}, "integers of 0 to 255"),
        ({"images": IMAGES[:, None, None], "labels": LABELS}, r"got shape \(20, 1, 1, 6, 5\)"),
        ({"images": np.zeros((20, 4, 6, 5)), "labels": LABELS}, "1 or 3 channels"),
        ({"images": IMAGES.astype(str), "labels": LABELS}, "real numbers"),
        ({"images": IMAGES[:4], "labels": LABELS[:4]}, "no class has five samples"),
        ({"images": IMAGES, "labels": LABELS, "x_test": IMAGES[:, :5], "y_test": LABELS}, "test: expected samples of"),
        ({"images": IMAGES, "labels": LABELS.astype(str), "x_test": IMAGES, "y_test": (LABELS + 1).astype(str)},
         "'2' of the test set is no class"),
    ],
)  # fmt: skip
def test_a_malformed_archive_is_refused_by_name(arrays, message: str, tmp_path: Path) -> None:
    path = npz(tmp_path, **arrays)
    with pytest.raises(DataError, match=message) as caught:
        load_npz(path)
    assert str(caught.value).startswith(str(path))


def test_a_truncated_or_foreign_archive_is_refused_by_name(tmp_path: Path) -> None:
    path = npz(tmp_path, images=IMAGES, labels=LABELS)
    whole = path.read_bytes()
    np.save(tmp_path / "single.npy", IMAGES)
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, images=np.array([{}, {}]), labels=LABELS)
    for content in (whole[:-30], whole[:100], b"", b"not an archive", (tmp_path / "single.npy").read_bytes(),
                    whole.replace(IMAGES.tobytes()[:8], b"\0" * 8), pickled.read_bytes()):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(DataError, match="archive") as caught:
            load_npz(path)
        assert str(path) in str(caught.value)


# Folders


def class_folders(root: Path, n: int = 5) -> Path:
    for name, level in (("dark", 10), ("bright", 200)):
        for index in range(n):
            write_png(root / name / f"{index}.png", np.full((4, 4), level + index, np.uint8))
    return root


def test_sub_folders_are_the_classes_and_files_the_samples(tmp_path: Path) -> None:
    class_folders(tmp_path)
    np.save(tmp_path / "bright" / "5.npy", np.full((4, 4), 255, np.uint8))
    (tmp_path / "bright" / "notes.txt").write_text("passed over")
    (tmp_path / ".hidden").mkdir()
    data = load_image_folder(tmp_path, validation_fraction=0)
    assert data.class_names == ("bright", "dark")
    assert (len(data.train), len(data.test)) == (9, 2)
    assert data.input_shape == (1, 4, 4)
    np.testing.assert_allclose(
        data.train.inputs[:, 0, 0, 0] * 255, [200, 201, 202, 203, 255, 10, 11, 12, 13], rtol=1e-6
    )


def test_a_folder_may_bring_its_own_parts(tmp_path: Path) -> None:
    for part, n in (("train", 5), ("val", 1), ("test", 2)):
        class_folders(tmp_path / part, n)
    data = load_image_folder(tmp_path)
    assert {role: len(part) for role, part in data.parts().items()} == {"train": 10, "validation": 2, "test": 4}


def test_images_are_converted_to_the_shape_asked_for(tmp_path: Path) -> None:
    class_folders(tmp_path)
    write_png(tmp_path / "bright" / "wide.png", COLOUR)
    assert load_image_folder(tmp_path, image_shape=(1, 8, 8)).input_shape == (1, 8, 8)
    with pytest.raises(DataError, match=r"wide.png: expected an image of shape \(1, 4, 4\).*image_shape"):
        load_image_folder(tmp_path)


def test_a_folder_that_is_none_of_classes_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        load_image_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="one sub-folder of images for each class"):
        load_image_folder(tmp_path)
    class_folders(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: expected images ending in \.png"):
        load_image_folder(tmp_path)


def test_a_class_that_the_training_set_lacks_is_refused(tmp_path: Path) -> None:
    class_folders(tmp_path / "train")
    class_folders(tmp_path / "test")
    (tmp_path / "test" / "unheard").mkdir()
    with pytest.raises(DataError, match="unheard: is no class"):
        load_image_folder(tmp_path)


# Single images


@pytest.mark.parametrize(
    ("pixels", "mode", "expected"),
    [
        (GREY, None, GREY[None] / 255),
        (COLOUR, None, COLOUR.transpose(2, 0, 1) / 255),
        (GREY > 100, None, (GREY > 100)[None]),
        (GREY.astype(np.uint16) * 257, None, GREY[None] / 255),
        (COLOUR, "RGBA", COLOUR.transpose(2, 0, 1) / 255),
        (GREY, "LA", GREY[None] / 255),
    ],
)
def test_pictures_of_every_mode_are_read(pixels, mode, expected, tmp_path: Path) -> None:
    image = load_image(write_png(tmp_path / "image.PNG", pixels, mode))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, expected, atol=1e-6)


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    image = load_image(write_png(tmp_path / "image.png", COLOUR // 128 * 255, "P"))
    assert image.shape == (3, 3, 4)
    np.testing.assert_allclose(image, (COLOUR // 128 * 255).transpose(2, 0, 1) / 255)


def test_transparent_pixels_are_black(tmp_path: Path) -> None:
    transparent = np.dstack([COLOUR, np.zeros_like(GREY)])
    transparent[0, :, 3] = 255
    image = load_image(write_png(tmp_path / "image.png", transparent))
    assert np.all(image[:, 1:] == 0)
    np.testing.assert_allclose(image[:, 0], COLOUR[0].T / 255, atol=1e-6)


@pytest.mark.parametrize("layout", [(6, 5), (1, 6, 5), (6, 5, 1), (3, 6, 5), (6, 5, 3)])
def test_arrays_of_every_layout_become_the_shape_of_the_model(layout, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).random(layout)
    np.save(tmp_path / "image.npy", pixels)
    image = load_image(tmp_path / "image.npy", (1, 6, 5))
    grey = pixels if len(layout) == 2 else np.moveaxis(pixels, layout.index(min(layout)), 0)
    expected = grey if grey.ndim == 2 else grey[0] if len(grey) == 1 else np.tensordot([0.299, 0.587, 0.114], grey, 1)
    np.testing.assert_allclose(image[0], expected, atol=1e-6)


def test_an_image_is_resized_and_given_the_channels_of_the_model() -> None:
    image = np.random.default_rng(0).random((1, 30, 40), dtype=np.float32)
    converted = to_image_shape(image, (3, 28, 28))
    np.testing.assert_array_equal(converted[1], resize_bilinear(image[0], (28, 28), antialias=True))
    np.testing.assert_array_equal(converted[0], converted[2])


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((4, 4), np.nan), "finite"),
        (np.full((4, 4), 1e300), "finite"),
        (np.zeros((0, 4)), "at least one"),
        (np.zeros(4), r"got shape \(4,\)"),
        (np.zeros((2, 1, 4, 4)), r"got shape \(2, 1, 4, 4\)"),
        (np.zeros((2, 4, 4)), "1 or 3 channels"),
        (np.array([["a"]]), "real numbers"),
        (np.array([[{}]]), "cannot be read"),
        (np.array([[-1, 3]]), "integers of 0 to 255"),
    ],
)
def test_an_array_that_is_no_image_is_refused_by_name(array, message: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "image.npy", array)
    with pytest.raises(DataError, match=message) as caught:
        load_image(path, (1, 28, 28))
    assert str(caught.value).startswith(str(path))


def test_files_that_are_no_images_are_refused_by_name(tmp_path: Path) -> None:
    whole = write_png(tmp_path / "whole.png", COLOUR).read_bytes()
    broken = {
        "cut.png": whole[:-40],
        "head.png": whole[:20],
        "empty.png": b"",
        "text.jpg": b"words",
        "a.npy": b"\x93NUM",
        "empty.npy": b"",
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}: .*cannot be read"):
            load_image(tmp_path / name)
    with pytest.raises(DataError, match="no such file"):
        load_image(tmp_path / "absent.png")
    with pytest.raises(DataError, match=r"ending in \.png"):
        load_image(tmp_path / "sound.wav")
    with pytest.raises(DataError, match="archive"):
        load_image(saved_archive(tmp_path))


def saved_archive(folder: Path) -> Path:
    with (folder / "several.npy").open("wb") as file:
        np.savez(file, a=GREY, b=GREY)
    return folder / "several.npy"


def test_an_image_shape_that_is_none_is_refused() -> None:
    with pytest.raises(ArgumentError, match="image_shape"):
        to_image_shape(np.zeros((1, 4, 4), np.float32), (28, 28))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="of 2 channels to 3"):
        to_image_shape(np.zeros((2, 4, 4), np.float32), (3, 4, 4))


def test_without_pillow_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_png(tmp_path / "image.png", GREY)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'portml\[cli\]'"):
        load_image(path)
