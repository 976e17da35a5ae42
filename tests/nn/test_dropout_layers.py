"""Dropout of channels and with saturation: what stays, what is the same everywhere, and evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn
from portml.autograd import Tensor, no_grad
from portml.backends import operations, to_numpy
from portml.errors import RangeError, ShapeError

EVERY = [
    (nn.Dropout, (3, 4)),
    (nn.Dropout1d, (3, 4, 5)),
    (nn.Dropout2d, (3, 4, 2, 3)),
    (nn.Dropout3d, (3, 4, 2, 2, 2)),
    (nn.AlphaDropout, (3, 4)),
    (nn.FeatureAlphaDropout, (3, 4, 5)),
]


@pytest.mark.parametrize(
    ("kind", "shape"), [*EVERY[1:4], (nn.Dropout1d, (7, 5)), (nn.Dropout3d, (7, 2, 2, 2))], ids=str
)
def test_spatial_dropout_zeroes_whole_channels_and_lets_the_others_grow(backend, kind, shape):
    x = backend.full(shape, 1.0, "float64")
    y = to_numpy(kind(0.5, rng=1, backend=backend)(x))
    channels = y.reshape(*shape[: 2 if len(shape) > 2 and shape[0] == 3 else 1], -1)
    assert set(np.unique(y)) == {0.0, 2.0}
    assert (channels == channels[..., :1]).all()


@pytest.mark.parametrize(("kind", "shape"), EVERY, ids=str)
def test_masks_of_one_seed_are_the_same_on_every_backend_and_differ_between_calls(backend, kind, shape):
    x = np.random.default_rng(0).normal(size=(20, *shape[1:]))
    here, host = kind(0.4, rng=5, backend=backend), kind(0.4, rng=5, backend="numpy")
    for _ in range(2):
        first = to_numpy(here(backend.asarray(x)))
        np.testing.assert_allclose(first, host(x), rtol=1e-12)
    assert np.any(to_numpy(here(backend.asarray(x))) != first)


@pytest.mark.parametrize(("kind", "shape"), EVERY, ids=str)
def test_dropout_rests_in_evaluation_and_with_a_probability_of_zero(backend, kind, shape):
    x = backend.full(shape, 1.0)
    with no_grad():
        assert kind(0.5, rng=0, backend=backend).eval()(x) is x
        assert kind(0.0, rng=0, backend=backend)(x) is x


@pytest.mark.parametrize(("kind", "shape"), EVERY, ids=str)
def test_dropout_of_everything_leaves_nothing(backend, kind, shape):
    assert not to_numpy(kind(1.0, rng=0, backend=backend)(backend.full(shape, 1.0))).any()


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(p):
    x = np.random.default_rng(0).normal(size=(400, 500))
    y = nn.AlphaDropout(p, rng=0)(x)
    assert abs(y.mean()) < 0.01
    assert abs(y.var() - 1) < 0.01
    _, counts = np.unique(y, return_counts=True)
    assert abs(counts.max() / y.size - p) < 0.01, "all that are dropped become one number"


def test_feature_alpha_dropout_saturates_whole_channels():
    x = np.random.default_rng(0).normal(size=(50, 8, 6))
    y = nn.FeatureAlphaDropout(0.3, rng=0)(x)
    alike = np.ptp(y, axis=2) == 0
    assert 0.2 < alike.mean() < 0.4
    assert np.unique(y[alike]).size == 1


@pytest.mark.parametrize(("kind", "shape"), EVERY, ids=str)
def test_gradients_go_through_what_was_kept(backend, kind, shape):
    x = Tensor(backend.full(shape, 1.0, "float64"), requires_grad=True)
    y = kind(0.5, rng=3, backend=backend)(x)
    operations.sum(y).backward()
    changed = to_numpy(x.grad)
    kept = to_numpy(y) == to_numpy(y).max()
    assert (changed[kept] > 0).all()
    assert not changed[~kept].any()


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        (nn.Dropout1d, (3,), r"\(N, C, L\) or \(C, L\), got \(3,\)"),
        (nn.Dropout2d, (3, 4, 5), r"\(N, C, H, W\), got \(3, 4, 5\)"),
        (nn.Dropout3d, (3, 4, 5), r"\(N, C, D, H, W\) or \(C, D, H, W\)"),
        (nn.FeatureAlphaDropout, (3,), r"\(N, C, \*\)"),
    ],
)
def test_inputs_without_channels_are_refused(kind, shape, message):
    with pytest.raises(ShapeError, match=message):
        kind()(np.ones(shape, np.float32))


@pytest.mark.parametrize(("kind", "shape"), EVERY, ids=str)
def test_no_probability_is_refused(kind, shape):
    with pytest.raises(RangeError, match=r"p: expected a probability in \[0, 1\], got -0.1"):
        kind(-0.1)
