from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.data import resize_bilinear
from portml.errors import ArgumentError, DtypeError, ShapeError

sides = st.integers(1, 12)


def bilinear_by_definition(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Each output pixel from the four input pixels around its centre, the edge repeated; one pixel at a time."""

    def neighbours(o: int, n_in: int, n_out: int) -> tuple[int, int, float]:
        centre = min(max((o + 0.5) * n_in / n_out - 0.5, 0.0), n_in - 1.0)
        low = int(centre)
        return low, min(low + 1, n_in - 1), centre - low

    resized = np.empty(size)
    for row in range(size[0]):
        top, bottom, down = neighbours(row, image.shape[0], size[0])
        for column in range(size[1]):
            left, right, along = neighbours(column, image.shape[1], size[1])
            above = (1 - along) * image[top, left] + along * image[top, right]
            below = (1 - along) * image[bottom, left] + along * image[bottom, right]
            resized[row, column] = (1 - down) * above + down * below
    return resized


@given(sides, sides, sides, sides, st.integers(0, 99))
def test_every_pixel_is_the_bilinear_value_at_its_centre(h_in: int, w_in: int, h: int, w: int, seed: int) -> None:
    image = np.random.default_rng(seed).random((h_in, w_in))
    np.testing.assert_allclose(resize_bilinear(image, (h, w)), bilinear_by_definition(image, (h, w)), atol=1e-14)


def test_values_are_those_of_pytorchs_interpolate() -> None:
    # torch.nn.functional.interpolate(torch.tensor([[[[1., 2.], [4., 8.]]]]), (3, 4), mode="bilinear")
    expected = [[1.0, 1.25, 1.75, 2.0], [2.5, 3.125, 4.375, 5.0], [4.0, 5.0, 7.0, 8.0]]
    assert resize_bilinear(np.array([[1.0, 2.0], [4.0, 8.0]]), (3, 4)).tolist() == expected


def test_antialiased_values_are_those_of_pytorchs_interpolate() -> None:
    # torch.nn.functional.interpolate(torch.tensor([[[[0., 1., 5., 2., 4.]]]]), (1, 2), mode="bilinear", antialias=True)
    got = resize_bilinear(np.array([[0.0, 1.0, 5.0, 2.0, 4.0]]), (1, 2), antialias=True)
    # The centres are 0.75 and 3.25, the triangles reach 2.5 pixels to either side.
    np.testing.assert_allclose(
        got, [[(0.9 * 1 + 0.5 * 5 + 0.1 * 2) / 2.2, (0.1 * 1 + 0.5 * 5 + 0.9 * 2 + 0.7 * 4) / 2.2]]
    )


@given(sides, sides, sides, sides, st.booleans())
def test_a_grey_image_stays_grey(h_in: int, w_in: int, h: int, w: int, antialias: bool) -> None:
    resized = resize_bilinear(np.full((h_in, w_in), 0.7), (h, w), antialias=antialias)
    np.testing.assert_allclose(resized, np.full((h, w), 0.7), rtol=1e-14)


def test_an_image_of_that_size_is_left_as_it_is() -> None:
    image = np.random.default_rng(0).random((2, 5, 7), dtype=np.float32)
    np.testing.assert_array_equal(resize_bilinear(image, (5, 7)), image)


def test_when_shrinking_with_antialiasing_every_pixel_counts() -> None:
    for row in range(9):
        image = np.zeros((9, 1))
        image[row] = 1.0
        assert resize_bilinear(image, (3, 1), antialias=True).max() > 0
    assert resize_bilinear(np.eye(9)[:, :1], (3, 1)).max() == 0


@pytest.mark.parametrize(("dtype", "expected"), [("uint8", "float32"), ("float32", "float32"), ("float64", "float64")])
def test_the_result_has_the_floating_type_of_the_images(dtype: str, expected: str) -> None:
    assert resize_bilinear(np.ones((2, 2), dtype=dtype), (3, 3)).dtype == expected


@pytest.mark.parametrize(
    ("images", "size", "error", "message"),
    [
        (np.ones(3), (2, 2), ShapeError, "images"),
        (np.ones((2, 0, 3)), (2, 2), ShapeError, "no side of length 0"),
        (np.ones((2, 2)), (0, 2), ArgumentError, "size"),
        (np.ones((2, 2)), (2.5, 2), ArgumentError, "size"),
        (np.ones((2, 2), dtype=complex), (2, 2), DtypeError, "complex128"),
    ],
)
def test_what_is_no_image_or_no_size_is_refused(images, size, error, message) -> None:
    with pytest.raises(error, match=message):
        resize_bilinear(images, size)
