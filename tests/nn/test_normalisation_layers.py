"""Normalisation layers: formulas on small numbers, running statistics, the textbook's variants, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn
from portml.autograd import no_grad
from portml.backends import to_numpy
from portml.errors import ArgumentError, ShapeError


def drawn(backend, *shape, dtype="float64"):
    return backend.asarray(np.random.default_rng(0).normal(1, 2, shape), dtype=dtype)


def test_layer_norm_by_the_deviation_divides_by_it_plus_epsilon(backend):
    layer = nn.LayerNorm(6, 1e-6, eps_on="deviation", backend=backend, dtype="float64")
    layer.load_state_dict({"weight": np.arange(6.0), "bias": np.arange(6.0)})
    x = drawn(backend, 4, 6)
    host = to_numpy(x)
    std = host.std(axis=1, keepdims=True)
    expected = np.arange(6.0) * (host - host.mean(axis=1, keepdims=True)) / (std + 1e-6) + np.arange(6.0)
    with no_grad():
        np.testing.assert_allclose(to_numpy(layer(x)), expected, rtol=1e-12)


def test_batch_norm_with_the_textbooks_momentum_follows_with_the_biased_variance(backend):
    layer = nn.BatchNorm1d(3, momentum=1 - 0.9, unbiased=False, backend=backend, dtype="float64")
    mean, var = np.zeros(3), np.ones(3)
    for _ in range(3):
        x = drawn(backend, 8, 3)
        layer(x)
        mean = 0.9 * mean + 0.1 * to_numpy(x).mean(axis=0)
        var = 0.9 * var + 0.1 * to_numpy(x).var(axis=0)
    np.testing.assert_allclose(to_numpy(layer.running_mean), mean, rtol=1e-12)
    np.testing.assert_allclose(to_numpy(layer.running_var), var, rtol=1e-12)


def test_group_norm_normalises_each_group_of_each_sample(backend):
    y = to_numpy(nn.GroupNorm(2, 6, backend=backend, dtype="float64")(drawn(backend, 3, 6, 5))).reshape(3, 2, -1)
    np.testing.assert_allclose(y.mean(axis=2), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=2), 1, rtol=1e-4)


def test_one_group_is_layer_norm_and_a_group_for_each_channel_instance_norm(backend):
    x = drawn(backend, 3, 4, 5)
    with no_grad():
        one = nn.GroupNorm(1, 4, affine=False)(x)
        np.testing.assert_allclose(
            to_numpy(one), to_numpy(nn.LayerNorm((4, 5), elementwise_affine=False)(x)), rtol=1e-10
        )
        each = nn.GroupNorm(4, 4, affine=False)(x)
        np.testing.assert_allclose(to_numpy(each), to_numpy(nn.InstanceNorm1d(4)(x)), rtol=1e-10)


def test_instance_norm_with_running_statistics_normalises_as_without(backend):
    x = drawn(backend, 3, 4, 5, 2)
    plain = nn.InstanceNorm2d(4, affine=True, backend=backend, dtype="float64")
    tracking = nn.InstanceNorm2d(4, affine=True, track_running_stats=True, backend=backend, dtype="float64")
    np.testing.assert_allclose(to_numpy(tracking(x)), to_numpy(plain(x)), rtol=1e-10)
    host = to_numpy(x)
    np.testing.assert_allclose(to_numpy(tracking.running_mean), 0.1 * host.mean(axis=(2, 3)).mean(axis=0), rtol=1e-10)
    var = host.var(axis=(2, 3), ddof=1).mean(axis=0)
    np.testing.assert_allclose(to_numpy(tracking.running_var), 0.9 + 0.1 * var, rtol=1e-10)
    assert int(to_numpy(tracking.num_batches_tracked)) == 0, "as in PyTorch, nothing counts them"


def test_one_sample_without_a_batch_is_normalised_as_in_one(backend):
    layer, x = nn.InstanceNorm2d(4), drawn(backend, 4, 5, 2)
    batch = backend.asarray(to_numpy(x)[None])
    with no_grad():
        np.testing.assert_array_equal(to_numpy(layer(x)), to_numpy(layer(batch))[0])


def test_rms_norm_takes_epsilon_from_the_data_type_of_its_input(backend):
    tiny = 1e-4
    for dtype in ("float32", "float64"):
        x = backend.full((1, 3), tiny, dtype)
        with no_grad():
            y = to_numpy(nn.RMSNorm(3, backend=backend, dtype=dtype)(x))
        np.testing.assert_allclose(y, tiny / np.sqrt(tiny**2 + np.finfo(dtype).eps), rtol=1e-5)


def test_local_response_norm_damps_by_the_neighbours(backend):
    x = drawn(backend, 2, 5, 3)
    host = to_numpy(x)
    expected = np.empty_like(host)
    for c in range(5):
        near = host[:, max(c - 1, 0) : c + 2]
        expected[:, c] = host[:, c] / (2 + 0.5 / 3 * (near**2).sum(axis=1)) ** 0.7
    with no_grad():
        y = nn.LocalResponseNorm(3, alpha=0.5, beta=0.7, k=2.0)(x)
    np.testing.assert_allclose(to_numpy(y), expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 2, 2, 2), (1, 3, 2, 1, 1)])
def test_batch_norm_of_volumes_normalises_each_channel(backend, shape):
    y = to_numpy(nn.BatchNorm3d(3, backend=backend, dtype="float64")(drawn(backend, *shape)))
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3, 4)), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.GroupNorm(4, 6), "num_groups: expected a divisor of num_channels=6, got 4"),
        (lambda: nn.GroupNorm(0, 6), "num_groups: expected a divisor of num_channels=6, got 0"),
        (lambda: nn.LayerNorm(3, eps_on="std"), "eps_on: expected 'variance' or 'deviation', got 'std'"),
        (lambda: nn.LocalResponseNorm(0), "size: expected a number of channels of at least 1"),
        (lambda: nn.RMSNorm(()), "at least one axis"),
        (lambda: nn.InstanceNorm1d(-1), "num_features: expected an integer of at least 0"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda: nn.GroupNorm(2, 4), (3, 5), r"\(N, 4, \*\), got \(3, 5\)"),
        (lambda: nn.RMSNorm((2, 3)), (4, 3), r"\(\.\.\., \(2, 3\)\), got \(4, 3\)"),
        (lambda: nn.InstanceNorm1d(4), (3, 4, 1), r"no variance; expected more places than one.*\(3, 4, 1\)"),
        (lambda: nn.InstanceNorm2d(4), (3, 4), r"\(N, 4, H, W\) or \(4, H, W\), got \(3, 4\)"),
        (lambda: nn.InstanceNorm2d(4), (3, 4, 2), r"\(N, 4, H, W\) or \(4, H, W\), got \(3, 4, 2\)"),
        (lambda: nn.BatchNorm3d(4), (3, 4, 2, 2), r"\(N, 4, D, H, W\), got \(3, 4, 2, 2\)"),
        (lambda: nn.LocalResponseNorm(3), (4,), r"\(n, channels, \.\.\.\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_with_their_shape(make, shape, message):
    with pytest.raises(ShapeError, match=message):
        make()(np.ones(shape, np.float32))
