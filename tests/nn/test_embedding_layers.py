"""Tables of vectors: bags on small numbers, rows kept short, gradients by frequency, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn
from portml.autograd import check_gradients, no_grad
from portml.backends import operations, to_numpy
from portml.errors import ArgumentError, DtypeError, GradientError, RangeError, ShapeError

TABLE = np.arange(1.0, 13.0).reshape(4, 3) * [1, -1, 0.5]


def bags(backend, **options):
    return nn.EmbeddingBag.from_pretrained(backend.asarray(TABLE), freeze=False, **options)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_given_by_rows_and_by_offsets_are_alike(backend, mode):
    layer, indices = bags(backend, mode=mode), np.asarray([[0, 2, 2], [3, 1, 0]])
    expected = getattr(TABLE[indices], mode)(axis=1)
    with no_grad():
        by_rows = to_numpy(layer(backend.asarray(indices)))
        by_offsets = to_numpy(layer(backend.asarray(indices.reshape(-1)), backend.asarray([0, 3])))
    np.testing.assert_allclose(by_rows, expected, rtol=1e-12)
    np.testing.assert_allclose(by_offsets, expected, rtol=1e-12)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_padding_counts_for_nothing_and_a_bag_without_symbols_is_zero(backend, mode):
    layer = bags(backend, mode=mode, padding_idx=1)
    indices, offsets = backend.asarray([1, 0, 2, 1, 1, 3]), backend.asarray([0, 3, 3, 5])
    y = layer(indices, offsets)
    expected = [getattr(TABLE[[0, 2]], mode)(axis=0), np.zeros(3), np.zeros(3), TABLE[3]]
    np.testing.assert_allclose(to_numpy(y), expected, rtol=1e-12)
    operations.sum(y).backward()
    assert not to_numpy(layer.weight.grad)[1].any()


def test_the_last_offset_may_be_the_length(backend):
    layer, indices = bags(backend, include_last_offset=True), backend.asarray([0, 1, 2])
    with no_grad():
        y = to_numpy(layer(indices, backend.asarray([0, 1, 3])))
    np.testing.assert_allclose(y, [TABLE[0], TABLE[1:3].mean(axis=0)], rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_gradients_of_bags_are_right(backend, mode, order):
    layer, indices, offsets = bags(backend, mode=mode), backend.asarray([0, 2, 2, 1]), backend.asarray([0, 1, 3])

    def of_weight(weight):
        vars(layer)["weight"] = weight
        return layer(indices, offsets)

    check_gradients(of_weight, backend.asarray(TABLE), order=order)
    if mode == "sum":
        layer = bags(backend, mode=mode)
        factors = backend.asarray([0.5, -1.0, 2.0, 3.0])
        check_gradients(lambda given: layer(indices, offsets, given), factors, order=order)


def test_equal_maxima_hand_their_gradient_to_the_first(backend):
    layer = nn.EmbeddingBag.from_pretrained(backend.full((2, 2), 5.0), freeze=False, mode="max")
    operations.sum(layer(backend.asarray([[1, 0, 1]]))).backward()
    np.testing.assert_array_equal(to_numpy(layer.weight.grad), [[0, 0], [1, 1]])


def test_rows_that_are_looked_up_are_kept_short_and_others_are_not(backend):
    layer = nn.Embedding.from_pretrained(backend.asarray(TABLE), freeze=False, max_norm=2.0)
    with no_grad():
        layer(backend.asarray([2, 0]))
    lengths = np.linalg.norm(to_numpy(layer.weight), axis=1)
    np.testing.assert_allclose(lengths[[0, 2]], 2.0, rtol=1e-6)
    np.testing.assert_allclose(lengths[[1, 3]], np.linalg.norm(TABLE, axis=1)[[1, 3]], rtol=1e-12)


def test_a_table_shortened_before_backward_is_noticed(backend):
    layer = nn.Embedding(4, 3, max_norm=1.0, rng=0, backend=backend)
    first = operations.sum(layer(backend.asarray([0])))
    layer(backend.asarray([1]))
    with pytest.raises(GradientError, match="written in place"):
        first.backward()


@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag], ids=["one by one", "in bags"])
def test_gradients_may_be_divided_by_frequency_and_values_stay(backend, kind):
    options = {} if kind is nn.Embedding else {"mode": "sum"}
    layer = kind(4, 3, scale_grad_by_freq=True, rng=0, backend=backend, **options)
    y = layer(backend.asarray([[3, 3, 3, 1]]))
    rows = to_numpy(layer.weight)[[3, 3, 3, 1]]
    if kind is nn.Embedding:
        np.testing.assert_array_equal(to_numpy(y)[0], rows)
    else:
        np.testing.assert_allclose(to_numpy(y)[0], rows.sum(axis=0), rtol=1e-6)
    operations.sum(y).backward()
    np.testing.assert_allclose(to_numpy(layer.weight.grad)[:, 0], [0, 1, 0, 1], rtol=1e-6)


def test_a_row_of_padding_starts_at_zero_and_a_given_one_stays(backend):
    assert not to_numpy(nn.EmbeddingBag(4, 3, padding_idx=-1, rng=0, backend=backend).weight)[3].any()
    assert to_numpy(nn.Embedding.from_pretrained(backend.asarray(TABLE), padding_idx=1).weight)[1].any()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.EmbeddingBag(4, 3, mode="median"), ArgumentError, "mode: expected 'mean', 'sum' or 'max'"),
        (lambda: nn.EmbeddingBag(4, 3, padding_idx=-5), ArgumentError, "padding_idx: expected a row of 4, got -5"),
        (lambda: nn.EmbeddingBag(4, 3, mode="max", scale_grad_by_freq=True), ArgumentError, "scale_grad_by_freq"),
        (lambda: nn.Embedding(4, -3), ArgumentError, "embedding_dim: expected an integer of at least 0"),
        (lambda: nn.Embedding(4, 3, max_norm=0.0), RangeError, "max_norm: expected a number above 0, got 0.0"),
        (
            lambda: nn.Embedding.from_pretrained(np.ones(3)),
            ShapeError,
            r"\(num_embeddings, embedding_dim\), got \(3,\)",
        ),
    ],
)
def test_settings_out_of_range_are_refused_by_name(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 1],), ShapeError, r"got \(2,\) and offsets None"),
        (([[0, 1]], [0]), ShapeError, r"expected None for indices of shape \(1, 2\)"),
        (([0, 1], [1]), ArgumentError, r"ascend from 0 to at most 2, got \[1\]"),
        (([0, 1], [0, 2, 1]), ArgumentError, "ascend from 0"),
        (([0, 1], [0, 3]), ArgumentError, "ascend from 0"),
        (([0, 1], [0.0]), DtypeError, "offsets: expected integers, got float64"),
        (([[0, 1]], None, [1.0]), ArgumentError, "per_sample_weights: expected None for mode='mean'"),
    ],
)
def test_bags_that_do_not_fit_are_refused(arguments, error, message):
    given = [None if each is None else np.asarray(each) for each in arguments]
    with pytest.raises(error, match=message):
        bags_on_host()(*given)


def test_factors_of_another_shape_are_refused():
    layer = nn.EmbeddingBag.from_pretrained(TABLE, mode="sum")
    with pytest.raises(
        ShapeError, match=r"per_sample_weights: expected the shape of the indices, \(1, 2\), got \(2,\)"
    ):
        layer(np.asarray([[0, 1]]), per_sample_weights=np.ones(2))


def bags_on_host():
    return nn.EmbeddingBag.from_pretrained(TABLE)
