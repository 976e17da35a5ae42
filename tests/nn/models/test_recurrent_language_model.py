"""The recurrent language model: what it remembers, what it writes, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn, optim
from portml.autograd import no_grad
from portml.backends import get_backend, operations, to_numpy
from portml.errors import ArgumentError, DtypeError, RangeError, ShapeError

TOKENS = np.asarray([[1, 4, 2, 0, 3], [5, 5, 1, 6, 2]])
CELLS = ["lstm", "gru", "rnn"]


def model(backend, cell="lstm", **options):
    made = nn.models.RecurrentLanguageModel(7, 6, 8, 2, cell, rng=0, backend=backend, dtype="float64", **options)
    for parameter in made.parameters():  # larger weights than a model starts from, so that what it says differs
        parameter.assign(parameter.value * 3)
    return made


@pytest.mark.parametrize("cell", CELLS)
def test_no_place_sees_a_later_one(backend, cell):
    recurrent = model(backend, cell)
    changed = TOKENS.copy()
    changed[:, 3:] = 6
    with no_grad():
        one, other = (to_numpy(recurrent(backend.asarray(each))) for each in (TOKENS, changed))
    np.testing.assert_allclose(one[:, :3], other[:, :3], rtol=1e-12)
    assert np.abs(one[:, 3:] - other[:, 3:]).max() > 1e-3
    assert one.shape == (2, 5, 7)


@pytest.mark.parametrize("cell", CELLS)
def test_reading_in_parts_is_reading_at_once(backend, cell):
    recurrent = model(backend, cell)
    cache = recurrent.new_cache(2)
    with no_grad():
        parts = [to_numpy(recurrent(backend.asarray(TOKENS[:, part]), cache)) for part in (slice(0, 2), slice(2, 5))]
        whole = to_numpy(recurrent(backend.asarray(TOKENS)))
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_remembering_writes_what_reading_all_again_writes(backend, cell):
    recurrent = model(backend, cell)
    for options in ({"temperature": 0}, {"rng": 3}, {"rng": 3, "top_k": 3}, {"rng": 3, "top_p": 0.7}):
        one, other = (to_numpy(recurrent.generate(TOKENS, 9, use_cache=use, **options)) for use in (True, False))
        np.testing.assert_array_equal(one, other)
    steps = [to_numpy(each) for each in recurrent.stream(TOKENS, 9, rng=3, top_p=0.7)]
    np.testing.assert_array_equal(np.stack(steps, axis=1), one[:, 5:])


def test_every_backend_writes_the_same(backend):
    ours = to_numpy(model(backend).generate(TOKENS, 30, rng=5, temperature=0.8, top_p=0.9))
    np.testing.assert_array_equal(
        ours, model(get_backend("numpy")).generate(TOKENS, 30, rng=5, temperature=0.8, top_p=0.9)
    )
    assert ours.shape == (2, 35)


@pytest.mark.parametrize("cell", CELLS)
def test_a_beam_as_wide_as_the_tree_finds_the_best_of_all(backend, cell):
    recurrent = model(backend, cell)
    tokens, score = recurrent.beam_search(TOKENS[:1], 2, width=7)
    every = np.stack(np.meshgrid(np.arange(7), np.arange(7), indexing="ij"), axis=-1).reshape(-1, 2)
    whole = np.concatenate([np.repeat(TOKENS[:1], 49, axis=0), every], axis=1)
    with no_grad():
        logits = to_numpy(recurrent(backend.asarray(whole)))[:, 4:6]
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    sums = np.take_along_axis(logs, every[:, :, None], axis=-1)[..., 0].sum(axis=1)
    np.testing.assert_array_equal(to_numpy(tokens)[0, 5:], every[sums.argmax()])
    np.testing.assert_allclose(to_numpy(score)[0], sums.max(), rtol=1e-8)


def test_what_a_cache_held_before_gets_no_gradient(backend):
    recurrent, loss = model(backend), nn.CrossEntropyLoss()
    cache, first, second = recurrent.new_cache(2), backend.asarray(TOKENS[:, :3]), backend.asarray(TOKENS[:, 3:])
    recurrent(first, cache)
    logits = recurrent(second, cache)
    loss(operations.reshape(logits, (-1, 7)), operations.reshape(second, (-1,))).backward()
    moved = np.abs(to_numpy(recurrent.embedding.weight.grad)).sum(axis=1) > 0
    np.testing.assert_array_equal(np.flatnonzero(moved), [0, 2, 3, 6])  # the symbols of the second window alone


@pytest.mark.parametrize("cell", CELLS)
def test_a_model_learns_to_count(backend, cell):
    recurrent = nn.models.RecurrentLanguageModel(5, 8, 16, cell=cell, rng=0, backend=backend)
    tokens = backend.asarray((np.arange(7) + np.arange(5)[:, None]) % 5)
    adam, loss = optim.Adam(recurrent.parameters(), lr=3e-2), nn.CrossEntropyLoss()
    for _ in range(25):
        adam.zero_grad()
        logits = recurrent(tokens[:, :-1])
        loss(operations.reshape(logits, (-1, 5)), backend.xp.reshape(tokens[:, 1:], (-1,))).backward()
        adam.step()
    # It goes on past the lengths it was trained on: a state has no end.
    np.testing.assert_array_equal(
        to_numpy(recurrent.generate([3], 10, temperature=0)), [3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3]
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda made: made.generate([], 3), ShapeError, "prompt: it is empty"),
        (lambda made: made.generate([7], 1), RangeError, "indices: got 7"),
        (lambda made: made.generate([0.5], 1), DtypeError, "prompt: expected integers"),
        (lambda made: made.stream([1], 1, temperature=-1), RangeError, "temperature: expected"),
        (lambda made: made(np.zeros(3, int)), ShapeError, r"tokens: expected integers \(N, L\)"),
        (lambda made: model("numpy", "transformer"), ArgumentError, "cell: expected one of 'lstm', 'gru', 'rnn'"),
        (lambda made: model("numpy", dropout=1.5), RangeError, "dropout: expected"),
    ],
)
def test_what_cannot_be_written_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(model("numpy"))
