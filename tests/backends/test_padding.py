"""Frames of an array's own elements: that they are NumPy's, derivatives, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.autograd import check_gradients
from portml.backends import Backend, to_numpy
from portml.backends.kernels.padding import PADDING_MODES, pad_with_itself, pad_with_itself_backward
from portml.errors import ArgumentError, ShapeError

NAMES: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@given(data=st.data())
def test_a_frame_is_numpys_and_its_gradient_the_transpose(data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(PADDING_MODES))
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    most = [n - 1 if mode == "reflect" else n for n in shape]
    widths = tuple((data.draw(st.integers(0, m)), data.draw(st.integers(0, m))) for m in most)
    generator = np.random.default_rng(0)
    x = generator.standard_normal(shape)
    y = pad_with_itself(x, widths=widths, mode=mode)
    np.testing.assert_array_equal(y, np.pad(x, widths, mode=NAMES[mode]))
    g = generator.standard_normal(y.shape)
    (dx,) = pad_with_itself_backward(g, (), x, needs=(True,), widths=widths, mode=mode)
    np.testing.assert_allclose(np.sum(x * dx), np.sum(g * y), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("mode", PADDING_MODES)
def test_gradients_of_both_orders_are_right(backend: Backend, mode: str, order: int) -> None:
    x = backend.asarray(np.random.default_rng(0).standard_normal((1, 2, 3, 4)))
    widths = ((0, 0), (0, 0), (2, 1), (0, 3))
    check_gradients(lambda x: pad_with_itself(x * x, widths=widths, mode=mode), x, order=order, directional=True)


def test_integers_are_framed_too(backend: Backend) -> None:
    y = pad_with_itself(backend.asarray([1, 2, 3]), widths=((2, 1),), mode="reflect")
    assert to_numpy(y).tolist() == [3, 2, 1, 2, 3, 2]


@pytest.mark.parametrize(
    ("widths", "mode", "error", "says"),
    [
        (((0, 3), (0, 0)), "reflect", ShapeError, r"axis 0 of \(3, 4\) must have at least 4"),
        (((0, 0), (5, 0)), "circular", ShapeError, r"axis 1 of \(3, 4\) must have at least 5"),
        (((0, 0), (-1, 0)), "replicate", ShapeError, "at least 0 for each axis"),
        (((0, 0),), "replicate", ShapeError, "a pair of integers"),
        (((0, 0), (1, 0)), "mirror", ArgumentError, "mode: expected one of"),
    ],
)
def test_what_does_not_fit_is_refused(
    backend: Backend, widths: Any, mode: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        pad_with_itself(backend.asarray(np.zeros((3, 4))), widths=widths, mode=mode)
