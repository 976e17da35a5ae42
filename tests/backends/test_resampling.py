"""Resampling: what every mode does to images that say it, transposes, derivatives, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.autograd import check_gradients
from portml.backends import Backend, kernels_switched, to_numpy
from portml.backends.kernels.resampling import RESAMPLING_MODES, resample, resample_backward
from portml.errors import ArgumentError, DtypeError, ShapeError


def statics(*size: int, mode: str = "linear", align_corners: bool = False, scale: Any = None) -> dict[str, Any]:
    no_scale = (None,) * len(size)
    return {"size": size, "mode": mode, "align_corners": align_corners, "scale": scale or no_scale}


def line(backend: Backend, *numbers: float) -> Any:
    return backend.asarray(np.asarray([[numbers]], dtype="float64"))


@pytest.mark.parametrize(
    ("numbers", "settings", "expected"),
    [
        ((0, 4), statics(4, mode="nearest"), [0, 0, 4, 4]),
        ((0, 1, 2, 3, 4), statics(2, mode="nearest"), [0, 2]),
        ((0, 1, 2, 3, 4), statics(2, mode="nearest-exact"), [1, 3]),
        ((0, 4), statics(4), [0, 1, 3, 4]),
        ((0, 3), statics(4, align_corners=True), [0, 1, 2, 3]),
        ((5,), statics(3, align_corners=True), [5, 5, 5]),
        ((0, 3, 6, 9), statics(2, align_corners=True), [0, 9]),
        ((0, 2, 4), statics(2, mode="area"), [1, 3]),
        ((0, 2, 4), statics(5, mode="area"), [0, 1, 2, 3, 4]),
        ((0, 4), statics(5, scale=(2.5,)), [0, 0.4, 2, 3.6, 4]),
        ((0, 4), statics(4, scale=(2.5,)), [0, 0.4, 2, 3.6]),
    ],
    ids=str,
)
def test_a_line_becomes_what_the_mode_says(
    backend: Backend, numbers: Any, settings: dict[str, Any], expected: list[float]
) -> None:
    np.testing.assert_allclose(to_numpy(resample(line(backend, *numbers), **settings))[0, 0], expected, atol=1e-12)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("align_corners", [True, False])
def test_a_constant_stays_and_aligned_corners_keep_theirs(backend: Backend, mode: str, align_corners: bool) -> None:
    x = np.random.default_rng(0).standard_normal((1, 1, 4, 5))
    settings = statics(7, 3, mode=mode, align_corners=align_corners)
    np.testing.assert_allclose(to_numpy(resample(backend.asarray(np.ones_like(x)), **settings)), 1, rtol=1e-12)
    if align_corners:
        y = to_numpy(resample(backend.asarray(x), **settings))
        np.testing.assert_allclose(y[..., ::6, ::2], x[..., ::3, ::4], rtol=1e-12)


def test_a_cubic_weights_four_neighbours_as_keys_does(backend: Backend) -> None:
    impulse = line(backend, 0, 0, 0, 1, 0, 0, 0)
    y = to_numpy(resample(impulse, **statics(14, mode="cubic")))[0, 0]
    near, far = (0.87890625, 0.26171875), (-0.10546875, -0.03515625)  # at ¼, ¾, and at 1¼, 1¾ from the impulse
    half = [0, 0, 0, far[1], far[0], near[1], near[0]]
    np.testing.assert_allclose(y, [*half, *half[::-1]], atol=1e-15)


def test_what_is_not_taken_does_not_come_through(backend: Backend) -> None:
    x = line(backend, 1, np.nan, 3, np.inf, 5)
    assert to_numpy(resample(x, **statics(5, mode="area"))).tolist()[0][0][2:] == [3, np.inf, 5]
    assert to_numpy(resample(x, **statics(3, align_corners=True))).tolist() == [[[1, 3, 5]]]
    x = line(backend, 1, 2, 3, 4, np.nan)
    assert to_numpy(resample(x, **statics(3, mode="area")))[0, 0, :2].tolist() == [1.5, 3]


@given(data=st.data())
def test_the_gradient_is_the_transpose_with_and_without_overrides(data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(RESAMPLING_MODES))
    lengths = data.draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    size = data.draw(st.tuples(st.integers(1, 15), st.integers(1, 15)))
    scale = tuple(data.draw(st.one_of(st.none(), st.floats(0.3, 4))) for _ in range(2))
    align = data.draw(st.booleans()) and mode in ("linear", "cubic")
    settings: dict[str, Any] = {"size": size, "mode": mode, "align_corners": align, "scale": scale}
    generator = np.random.default_rng(0)
    x = generator.standard_normal((2, 1, *lengths))
    y = resample(x, **settings)
    with kernels_switched("agnostic", "numpy"):
        np.testing.assert_allclose(resample(x, **settings), y, rtol=1e-12, atol=1e-12)
    g = generator.standard_normal(y.shape)
    (dx,) = resample_backward(g, (), x, needs=(True,), **settings)
    np.testing.assert_allclose(np.sum(x * dx), np.sum(g * y), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("mode", RESAMPLING_MODES)
def test_gradients_of_both_orders_are_right(backend: Backend, mode: str, order: int) -> None:
    x = backend.asarray(np.random.default_rng(0).standard_normal((1, 2, 3, 4)))
    settings = statics(5, 3, mode=mode)
    check_gradients(lambda x: resample(x * x, **settings), x, order=order, directional=True)


@pytest.mark.parametrize(
    ("shape", "settings", "error", "says"),
    [
        ((1, 1, 4), statics(0), ArgumentError, r"size=\(0,\)"),
        ((1, 1, 4), statics(3, 3), ArgumentError, r"size=\(3, 3\)"),
        ((1, 1, 4), statics(3, scale=(-1.0,)), ArgumentError, r"scale=\(-1.0,\)"),
        ((1, 1, 4), statics(3, mode="best"), ArgumentError, "mode must be one of"),
        ((1, 1, 4), statics(3, mode="area", align_corners=True), ArgumentError, "align_corners is for"),
        ((1, 4), statics(3), ShapeError, r"x has shape \(1, 4\)"),
        ((1, 1, 0), statics(3), ShapeError, "none of them empty"),
    ],
)
def test_what_does_not_fit_is_refused(
    backend: Backend, shape: tuple[int, ...], settings: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        resample(backend.asarray(np.zeros(shape)), **settings)


def test_integers_are_refused(backend: Backend) -> None:
    with pytest.raises(DtypeError, match="expected float32 or float64"):
        resample(backend.asarray([[[1, 2]]]), **statics(4))


def test_one_result_with_aligned_corners_is_the_first_element(backend: Backend) -> None:
    x = backend.asarray([[[1.0, 2.0, 5.0]]])
    for mode in ("linear", "cubic"):
        y = resample(x, size=(1,), mode=mode, align_corners=True, scale=(None,))
        assert to_numpy(y).tolist() == [[[1.0]]]


def test_a_tap_of_weight_zero_makes_no_nan_of_what_is_infinite(backend: Backend) -> None:
    # The first and last windows have two elements, the middle one three.
    x = backend.asarray([[[1.0, np.inf, 3.0, 4.0, 6.0]]])
    y = to_numpy(resample(x, size=(3,), mode="area", align_corners=False, scale=(None,)))
    assert y.tolist() == [[[np.inf, np.inf, 5.0]]]
    x = backend.asarray([[[np.inf, 1.0, 3.0, 5.0]]])
    y = to_numpy(resample(x, size=(7,), mode="linear", align_corners=True, scale=(None,)))
    assert y.tolist() == [[[np.inf, np.inf, 1.0, 2.0, 3.0, 4.0, 5.0]]]
