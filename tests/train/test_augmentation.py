from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from portml.autograd import no_grad
from portml.backends import Backend, backend_of, get_backend, to_numpy
from portml.errors import RangeError, ShapeError
from portml.random import Generator
from portml.train import RandomAffine, RandomHorizontalFlip
from portml.train.augmentation import resample_affine

IDENTITY = np.array([1.0, 0.0, 0.0, 1.0], np.float32)
QUARTER_TURN = np.array([0.0, -1.0, 1.0, 0.0], np.float32)


def pictures(n: int = 3, channels: int = 2, height: int = 5, width: int = 5) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).random((n, channels, height, width)).astype(np.float32)


def resampled(
    images: np.ndarray[Any, Any], matrix: np.ndarray[Any, Any], shift: tuple[float, float], backend: str = "numpy"
) -> np.ndarray[Any, Any]:
    place = get_backend(backend)
    matrices = place.asarray(np.tile(matrix, (len(images), 1)))
    shifts = place.asarray(np.tile(np.array(shift, np.float32), (len(images), 1)))
    return to_numpy(resample_affine(place.asarray(images), matrices, shifts))


def test_the_identity_changes_nothing(backend: Backend) -> None:
    np.testing.assert_array_equal(resampled(pictures(), IDENTITY, (0, 0), backend.name), pictures())


@pytest.mark.parametrize(("down", "right"), [(1, 0), (0, 2), (-2, 1), (4, -3)])
def test_a_shift_moves_the_content_and_fills_with_zeros(down: int, right: int, backend: Backend) -> None:
    images = pictures(height=6, width=7)
    padded = np.pad(images, [(0, 0), (0, 0), (9, 9), (9, 9)])
    expected = padded[:, :, 9 - down : 15 - down, 9 - right : 16 - right]
    np.testing.assert_allclose(resampled(images, IDENTITY, (down, right), backend.name), expected, atol=1e-6)


def test_half_a_pixel_is_the_mean_of_two() -> None:
    images = pictures(height=4, width=4)
    expected = images / 2
    expected[:, :, 1:] += images[:, :, :-1] / 2
    np.testing.assert_allclose(resampled(images, IDENTITY, (0.5, 0)), expected, atol=1e-6)


def test_a_quarter_turn_turns(backend: Backend) -> None:
    turned = resampled(pictures(), QUARTER_TURN, (0, 0), backend.name)
    np.testing.assert_allclose(turned, np.rot90(pictures(), -1, axes=(2, 3)), atol=1e-5)


def test_what_is_far_outside_is_zero() -> None:
    assert not resampled(pictures(), IDENTITY, (1e6, -1e6)).any()


def test_each_image_is_changed_in_its_own_way_the_same_for_all_channels() -> None:
    same = np.broadcast_to(pictures(1, 1, 9, 9), (6, 2, 9, 9)).copy()
    with no_grad():
        changed = RandomAffine(2.0, 0.2, 20.0, rng=1)(same)
    np.testing.assert_array_equal(changed[:, 0], changed[:, 1])
    assert len({image.tobytes() for image in changed}) == 6


def test_changes_are_those_of_numpy_on_every_backend(backend: Backend) -> None:
    images = pictures(8, 1, 12, 12)
    with no_grad():
        here = RandomAffine(2.0, 0.1, 15.0, rng=Generator(5, backend))(backend.asarray(images))
        numpy = RandomAffine(2.0, 0.1, 15.0, rng=Generator(5, "numpy"))(images)
    assert backend_of(here) is backend
    np.testing.assert_allclose(to_numpy(here), numpy, atol=1e-5)


def test_amounts_stay_within_their_bounds() -> None:
    spot = np.zeros((200, 1, 21, 21), np.float32)
    spot[:, :, 10, 10] = 1.0
    with no_grad():
        moved = RandomAffine(shift=3.0, rng=0)(spot)[:, 0]
    rows = (moved.sum(2) * np.arange(21)).sum(1) - 10
    assert 2.5 < np.abs(rows).max() <= 3.0 + 1e-4
    assert abs(rows.mean()) < 0.5


def test_nothing_happens_in_evaluation_or_without_amounts() -> None:
    images = pictures()
    with no_grad():
        assert RandomAffine(2.0, rng=0).eval()(images) is images
        assert RandomAffine(rng=0)(images) is images


def test_bad_amounts_and_shapes_are_refused() -> None:
    for name in ("shift", "scale", "rotation"):
        for bad in (-1.0, math.nan, math.inf):
            with pytest.raises(RangeError, match=f"{name}: "):
                RandomAffine(**{name: bad})
    with pytest.raises(RangeError, match="scale: expected a fraction below 1"):
        RandomAffine(scale=1.0)
    with pytest.raises(ShapeError, match=r"images: expected shape \(N, C, H, W\)"):
        RandomAffine(shift=1.0)(np.zeros((3, 4), np.float32))


def test_flipping_mirrors_some_images_and_leaves_the_others(backend: Backend) -> None:
    images = backend.asarray(pictures(n=40))
    flip = RandomHorizontalFlip(0.3, rng=1, backend=backend)
    flipped, original = to_numpy(flip(images)), pictures(n=40)
    mirrored = [np.array_equal(one, other[:, :, ::-1]) for one, other in zip(flipped, original, strict=True)]
    kept = [np.array_equal(one, other) for one, other in zip(flipped, original, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 4 <= sum(mirrored) <= 20
    assert not np.array_equal(to_numpy(flip(images)), flipped)


def test_flipping_always_mirrors_never_keeps_and_evaluation_rests() -> None:
    images = pictures()
    np.testing.assert_array_equal(RandomHorizontalFlip(1.0)(images), images[:, :, :, ::-1])
    assert RandomHorizontalFlip(0.0)(images) is images
    assert RandomHorizontalFlip(1.0).eval()(images) is images


def test_flipping_refuses_what_is_no_probability_or_no_image() -> None:
    with pytest.raises(RangeError, match="p: expected a probability"):
        RandomHorizontalFlip(1.5)
    with pytest.raises(ShapeError, match="to mirror, got"):
        RandomHorizontalFlip()(pictures()[0])
