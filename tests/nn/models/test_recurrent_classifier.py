"""The recurrent classifier: padding, pooling, learning, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn, optim
from portml.autograd import no_grad
from portml.backends import to_numpy
from portml.errors import ArgumentError, ShapeError
from portml.nn.models import RecurrentClassifier

POOLINGS = ("mean", "max", "last")
TOKENS = [[4, 2, 7], [3, 6]]


def padded(backend, rows, width):
    return backend.asarray(np.asarray([row + [0] * (width - len(row)) for row in rows]))


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_padding_changes_nothing(backend, cell, pooling):
    model = RecurrentClassifier(9, 3, 4, 5, 2, cell, True, pooling, rng=0, backend=backend)
    with no_grad():
        together = to_numpy(model(padded(backend, TOKENS, 3)))
        np.testing.assert_allclose(to_numpy(model(padded(backend, TOKENS, 7))), together, rtol=1e-5, atol=1e-6)
        for row, expected in zip(TOKENS, together, strict=True):
            alone = to_numpy(model(padded(backend, [row], len(row))))
            np.testing.assert_allclose(alone, expected[None], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_is_pooled_are_the_states_of_the_steps_that_count(backend, pooling):
    model = RecurrentClassifier(9, 2, 4, 5, bidirectional=True, pooling=pooling, rng=0, backend=backend)
    with no_grad():
        logits = to_numpy(model(padded(backend, TOKENS, 4)))
        for row, result in zip(TOKENS, logits, strict=True):
            states = to_numpy(model.recurrent(model.embedding(padded(backend, [row], len(row))))[0])[0]
            ends = np.concatenate([states[-1, :5], states[0, 5:]])
            pooled = {"mean": states.mean(axis=0), "max": states.max(axis=0), "last": ends}[pooling]
            weight, bias = to_numpy(model.classifier.weight), to_numpy(model.classifier.bias)
            np.testing.assert_allclose(result, weight @ pooled + bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_alone_gives_the_bias_and_finite_gradients(backend, pooling):
    model = RecurrentClassifier(9, 2, 4, 5, pooling=pooling, rng=0, backend=backend)
    logits = model(padded(backend, [[], [5, 5]], 3))
    np.testing.assert_allclose(to_numpy(logits)[0], to_numpy(model.classifier.bias), rtol=1e-6)
    logits.backward(backend.full(logits.shape, 1.0))
    for parameter in model.parameters():
        assert np.isfinite(to_numpy(parameter.grad)).all()


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_symbols_behind_padding_are_read_too(backend, pooling):
    model = RecurrentClassifier(9, 2, 4, 5, pooling=pooling, rng=0, backend=backend)
    with no_grad():
        one, other = (to_numpy(model(backend.asarray(np.asarray([[3, 0, 0, last]])))) for last in (5, 6))
    assert np.abs(one - other).max() > 1e-4


def test_without_padding_the_first_symbol_is_one_like_others(backend):
    model = RecurrentClassifier(9, 2, 4, 5, padding_idx=None, pooling="max", rng=0, backend=backend)
    with no_grad():
        one, other = (to_numpy(model(backend.asarray(np.asarray([row])))) for row in ([3, 0], [3]))
    assert np.abs(one - other).max() > 1e-4


def test_it_learns_which_of_two_symbols_comes_first(backend):
    rng = np.random.default_rng(0)
    rows = [rng.permutation([1, 2, 3, 4]).tolist() for _ in range(24)]
    labels = backend.asarray(np.asarray([int(row.index(1) < row.index(2)) for row in rows]))
    tokens = padded(backend, rows, 6)
    model = RecurrentClassifier(5, 2, 8, 12, rng=0, backend=backend)
    adam, loss = optim.Adam(model.parameters(), lr=0.05), nn.CrossEntropyLoss()
    for _ in range(25):
        adam.zero_grad()
        loss(model(tokens), labels).backward()
        adam.step()
    probability = to_numpy(model.predict_proba(tokens))
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    assert (probability.argmax(axis=1) == to_numpy(labels)).all()
    assert model.training


def test_dropout_acts_in_training_alone(backend):
    model = RecurrentClassifier(9, 2, 8, 8, 2, dropout=0.5, rng=0, backend=backend)
    tokens = padded(backend, TOKENS, 3)
    with no_grad():
        assert np.abs(to_numpy(model(tokens)) - to_numpy(model(tokens))).max() > 1e-4
        model.eval()
        np.testing.assert_array_equal(to_numpy(model(tokens)), to_numpy(model(tokens)))


def test_what_does_not_exist_is_refused(backend):
    with pytest.raises(ArgumentError, match="cell: expected one of 'lstm', 'gru', 'rnn', got 'elman'"):
        RecurrentClassifier(9, cell="elman")
    with pytest.raises(ArgumentError, match="pooling: expected one of 'mean', 'max', 'last', got 'sum'"):
        RecurrentClassifier(9, pooling="sum")
    model = RecurrentClassifier(9, dim=2, hidden_size=2, rng=0, backend=backend)
    with pytest.raises(ShapeError, match=r"tokens: expected integers \(N, L\).*, got \(3,\)"):
        model(backend.asarray(np.asarray([1, 2, 3])))
    with pytest.raises(ShapeError, match=r"tokens: expected integers \(N, L\) of at least one symbol, got \(2, 0\)"):
        model(backend.asarray(np.zeros((2, 0), dtype="int64")))
    with pytest.raises(ArgumentError, match=r"tokens: expected an array of integers \(N, L\), got list"):
        model([[1, 2, 3]])
