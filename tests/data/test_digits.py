from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest

from portml.data import every_fifth_of_each_class, load_digits, resize_bilinear


@pytest.fixture(scope="module")
def stored() -> tuple[np.ndarray, np.ndarray]:
    with np.load(str(resources.files("portml.data") / "optical_digits.npz")) as arrays:
        return arrays["images"], arrays["labels"]


def test_the_stored_digits_are_the_published_ones(stored) -> None:
    images, labels = stored
    assert images.shape == (1797, 8, 8)
    assert images.dtype == labels.dtype == np.uint8
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # The first line of optdigits.tes, a zero.
    assert images[0].tolist()[0] == [0, 0, 5, 13, 9, 1, 0, 0]
    assert hashlib.sha256(images.tobytes()).hexdigest().startswith("8f26b2bd9d135c25")
    assert hashlib.sha256(labels.tobytes()).hexdigest().startswith("8ba4f891220f5e4c")


def test_inputs_are_resized_and_scaled_to_0_to_1(stored) -> None:
    digits = load_digits(validation_fraction=0)
    inputs = digits.test.inputs
    assert digits.input_shape == (1, 28, 28)
    assert inputs.dtype == np.float32
    assert inputs.min() == 0
    assert inputs.max() == 1
    expected = resize_bilinear(stored[0][every_fifth_of_each_class(stored[1])[1]] / 16, (28, 28))
    np.testing.assert_allclose(inputs[:, 0], expected, atol=1e-7)


def test_the_test_set_is_every_fifth_image_of_each_digit(stored) -> None:
    digits = load_digits((8, 8))
    images, labels = stored
    chosen = np.concatenate([np.flatnonzero(labels == digit)[4::5] for digit in range(10)])
    chosen.sort()
    assert len(digits.test) == len(chosen) == 355
    np.testing.assert_array_equal(digits.test.inputs[:, 0] * 16, images[chosen])
    np.testing.assert_array_equal(digits.test.targets, labels[chosen])


def test_the_validation_part_depends_on_the_seed_and_the_test_set_does_not() -> None:
    first, again, other = load_digits(seed=0), load_digits(seed=0), load_digits(seed=1)
    assert first.validation is not None
    np.testing.assert_array_equal(first.validation.inputs, again.validation.inputs)
    assert not np.array_equal(first.validation.inputs, other.validation.inputs)
    np.testing.assert_array_equal(first.test.inputs, other.test.inputs)


def test_no_image_is_in_two_parts() -> None:
    digits = load_digits(validation_fraction=0.2)
    assert {role: len(part) for role, part in digits.parts().items()} == {"train": 1154, "validation": 288, "test": 355}
    images = [image.tobytes() for part in digits.parts().values() for image in part.inputs]
    assert len(set(images)) == len(images) == 1797


def test_authors_and_licence_are_named() -> None:
    for text in (load_digits().attribution, (resources.files("portml.data") / "optical_digits.txt").read_text()):
        for word in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0"):
            assert word in text


def test_loading_the_digits_needs_numpy_alone() -> None:
    code = (
        "import sys; from portml.data import load_digits; load_digits();"
        "print(*{'PIL', 'pooch', 'sklearn', 'scipy', 'cupy'} & set(sys.modules))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == ""
