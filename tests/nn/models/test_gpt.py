"""Language model and classifier: what they may see, what they write, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn, optim
from portml.autograd import no_grad
from portml.backends import get_backend, operations, to_numpy
from portml.errors import ArgumentError, DtypeError, GradientError, RangeError, ShapeError
from portml.nn.models.transformer_classifier import masked_mean

TOKENS = np.asarray([[1, 4, 2, 0, 3], [5, 5, 1, 6, 2]])
SIZES = {"dim": 8, "n_heads": 2, "n_layers": 2}


def model(backend, **options):
    made = nn.models.GPT(7, 12, **SIZES, rng=0, backend=backend, dtype="float64", **options)
    for parameter in made.parameters():  # larger weights than a model starts from, so that what it says differs
        parameter.assign(parameter.value * 20)
    return made


def smaller():
    return nn.models.GPT(7, 12, dim=8, n_heads=2, n_layers=1)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@pytest.mark.parametrize("tied", [True, False])
def test_no_place_sees_a_later_one(backend, positions, tied):
    gpt = model(backend, positions=positions, tied=tied)
    changed = TOKENS.copy()
    changed[:, 3:] = 6
    with no_grad():
        one, other = (to_numpy(gpt(backend.asarray(each))) for each in (TOKENS, changed))
    np.testing.assert_allclose(one[:, :3], other[:, :3], rtol=1e-10, atol=1e-12)
    assert one.shape == (2, 5, 7)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_a_cache_changes_nothing(backend, positions):
    gpt = model(backend, positions=positions)
    for options in ({"temperature": 0}, {"rng": 3}, {"rng": 3, "top_k": 3}, {"rng": 3, "top_p": 0.7}):
        one, other = (to_numpy(gpt.generate(TOKENS, 7, use_cache=use, **options)) for use in (True, False))
        np.testing.assert_array_equal(one, other)
    cache = gpt.new_cache(2)
    with no_grad():
        parts = [to_numpy(gpt(backend.asarray(TOKENS[:, part]), cache)) for part in (slice(0, 2), slice(2, 5))]
        whole = to_numpy(gpt(backend.asarray(TOKENS)))
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-9, atol=1e-11)


def test_every_backend_writes_the_same(backend):
    for options in ({"rng": 5}, {"rng": 5, "temperature": 0.5, "top_k": 4, "top_p": 0.9}):
        ours = to_numpy(model(backend).generate(TOKENS, 6, **options))
        np.testing.assert_array_equal(ours, model(get_backend("numpy")).generate(TOKENS, 6, **options))
    one, other = (to_numpy(model(backend).generate(TOKENS, 6, rng=seed, temperature=9.0)) for seed in (5, 6))
    assert not np.array_equal(one, other)


def test_a_stream_is_what_is_generated(backend):
    gpt = model(backend).train()
    steps = [to_numpy(each) for each in gpt.stream(TOKENS, 4, rng=1)]
    np.testing.assert_array_equal(np.stack(steps, axis=1), to_numpy(gpt.generate(TOKENS, 4, rng=1))[:, 5:])
    assert gpt.training


def test_top_k_of_one_and_a_small_top_p_are_greedy(backend):
    gpt = model(backend)
    greedy = to_numpy(gpt.generate(TOKENS[0], 5, temperature=0))
    assert greedy.shape == (10,)
    for options in ({"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-6}):
        np.testing.assert_array_equal(to_numpy(gpt.generate(TOKENS[0], 5, rng=0, **options)), greedy)
    everything = to_numpy(gpt.generate(TOKENS[0], 5, rng=0))
    for options in ({"top_k": 7}, {"top_k": 100}, {"top_p": 1.0}):
        np.testing.assert_array_equal(to_numpy(gpt.generate(TOKENS[0], 5, rng=0, **options)), everything)


def test_drawn_symbols_have_the_probabilities_of_the_model():
    gpt = model("numpy")
    with no_grad():
        logits = gpt(TOKENS[:1])[0, -1]
    probability = np.exp(logits - logits.max())
    probability /= probability.sum()
    drawn = gpt.generate(np.repeat(TOKENS[:1], 4000, axis=0), 1, rng=0)[:, -1]
    np.testing.assert_allclose(np.bincount(drawn, minlength=7) / 4000, probability, atol=0.03)


def test_a_beam_as_wide_as_the_tree_finds_the_best_of_all(backend):
    gpt = model(backend)
    tokens, score = gpt.beam_search(TOKENS, 2, width=7)
    every = np.stack(np.meshgrid(np.arange(7), np.arange(7), indexing="ij"), axis=-1).reshape(-1, 2)
    for row in range(2):
        whole = np.concatenate([np.repeat(TOKENS[row : row + 1], 49, axis=0), every], axis=1)
        with no_grad():
            logits = to_numpy(gpt(backend.asarray(whole)))[:, 4:6]
        logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        sums = np.take_along_axis(logs, every[:, :, None], axis=-1)[..., 0].sum(axis=1)
        np.testing.assert_array_equal(to_numpy(tokens)[row, 5:], every[sums.argmax()])
        np.testing.assert_allclose(to_numpy(score)[row], sums.max(), rtol=1e-8)


def test_a_sequence_that_has_ended_repeats_the_stop(backend):
    gpt = model(backend)
    greedy = to_numpy(gpt.generate(TOKENS[:1], 7, temperature=0))[0, 5:]
    stopped = to_numpy(gpt.generate(TOKENS[:1], 7, temperature=0, stop=int(greedy[0])))
    assert stopped.shape == (1, 6)


def test_sequences_end_one_by_one_and_the_others_go_on(backend):
    gpt, prompts = model(backend), np.repeat(TOKENS, 4, axis=0)
    free = to_numpy(gpt.generate(prompts, 7, rng=3))[:, 5:]
    stop = int(np.bincount(free[:, 1]).argmax())
    ended = np.maximum.accumulate(free == stop, axis=1)
    expected = np.where(ended, stop, free)
    assert 0 < ended[:, 1].sum() < ended[:, -1].sum()
    written = to_numpy(gpt.generate(prompts, 7, rng=3, stop=stop))[:, 5:]
    np.testing.assert_array_equal(written, expected[:, : written.shape[1]])


def test_weights_before_a_residual_sum_start_smaller():
    gpt = nn.models.GPT(50, 12, dim=64, n_heads=2, n_layers=8, rng=0)
    for name, parameter in gpt.named_parameters():
        if len(parameter.shape) == 2:
            expected = 0.005 if name.endswith("out.weight") else 0.02  # 0.02 / √(2 · 8)
            np.testing.assert_allclose(to_numpy(parameter).std(), expected, rtol=0.1)


def test_a_model_learns_to_count(backend):
    gpt = nn.models.GPT(5, 8, **SIZES, rng=0, backend=backend)
    tokens = backend.asarray((np.arange(9) + np.arange(5)[:, None]) % 5)
    adam, loss = optim.Adam(gpt.parameters(), lr=1e-2), nn.CrossEntropyLoss()
    for _ in range(30):
        adam.zero_grad()
        logits = gpt(tokens[:, :-1])
        loss(operations.reshape(logits, (-1, 5)), backend.xp.reshape(tokens[:, 1:], (-1,))).backward()
        adam.step()
    np.testing.assert_array_equal(to_numpy(gpt.generate([3], 6, temperature=0)), [3, 4, 0, 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda gpt: gpt.generate([], 3), ShapeError, "prompt: it is empty"),
        (lambda gpt: gpt.generate(TOKENS, 9), RangeError, "beyond the context of 12"),
        (lambda gpt: gpt(np.zeros((1, 13), int)), RangeError, "13 symbols are more than the context of 12"),
        (lambda gpt: gpt.generate([7], 1), RangeError, "indices: got 7"),
        (lambda gpt: gpt.stream([1], 1, temperature=-1), RangeError, "temperature: expected"),
        (lambda gpt: gpt.stream([1], 1, temperature=float("nan")), RangeError, "temperature: expected"),
        (lambda gpt: gpt.stream([1], 1, temperature="hot"), ArgumentError, "temperature: expected a number"),
        (lambda gpt: gpt.generate([1], 1, top_k=0), RangeError, "top_k: expected at least 1"),
        (lambda gpt: gpt.generate([1], 1, top_k=1.5), ArgumentError, "top_k: expected an integer"),
        (lambda gpt: gpt.generate([1], 1, top_p=0), RangeError, "top_p: expected a share"),
        (lambda gpt: gpt.generate([1], 1, top_p=1.1), RangeError, "top_p: expected a share"),
        (lambda gpt: gpt.generate([1], 1, top_p=float("nan")), RangeError, "top_p: expected a share"),
        (lambda gpt: gpt.generate([1], 1, stop=7), RangeError, "stop: expected a symbol from 0 to 6"),
        (lambda gpt: gpt.generate([1], -1), RangeError, "max_new_tokens: expected at least 0"),
        (lambda gpt: gpt.generate([1], 1.5), ArgumentError, "max_new_tokens: expected an integer"),
        (lambda gpt: gpt.generate([-1], 1), RangeError, "indices: got -1"),
        (lambda gpt: gpt.generate([1.5], 1), DtypeError, "prompt: expected integers"),
        (lambda gpt: gpt.generate("amen", 1), DtypeError, "prompt: expected integers, got the text 'amen'; encode it"),
        (lambda gpt: gpt.generate([[[1]]], 1), ShapeError, "prompt: expected"),
        (lambda gpt: gpt([[1]]), ArgumentError, "tokens: expected an array of integers .* got list"),
        (lambda gpt: gpt(TOKENS[0]), ShapeError, "tokens: expected integers"),
        (lambda gpt: gpt(TOKENS, gpt.new_cache(3)), ShapeError, "cache: expected 2 layers of .*new_cache"),
        (lambda gpt: gpt(TOKENS, smaller().new_cache(2)), ShapeError, "cache: expected 2 layers of .* got 1 of"),
        (lambda gpt: gpt(TOKENS, gpt.new_cache(2)), GradientError, "cache: it is written in place"),
        (lambda gpt: gpt.generate([1], 1, temperature=0, top_k=2), ArgumentError, "leave top_k and top_p out"),
        (lambda gpt: gpt.beam_search([1], 1, width=0), RangeError, "width: expected at least 1"),
        (lambda gpt: nn.models.GPT(7, 12, dim=9, n_heads=2), ArgumentError, "n_heads: expected a divisor of dim=9"),
        (lambda gpt: nn.models.GPT(7, 12, dim=8, n_heads=0), ArgumentError, "n_heads: expected at least 1"),
        (lambda gpt: nn.models.GPT(0, 12), ArgumentError, "vocabulary: expected at least 1"),
        (lambda gpt: nn.models.GPT(7, 0), ArgumentError, "context: expected at least 1"),
        (lambda gpt: nn.models.GPT(7, 12, n_layers=-1), ArgumentError, "n_layers: expected an integer of at least 0"),
        (lambda gpt: nn.models.GPT(7, 12, positions="none"), ArgumentError, "positions: expected"),
    ],
)
def test_what_cannot_be_written_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(model("numpy"))


def test_the_mean_is_over_what_is_no_padding(backend):
    x = np.arange(12.0).reshape(2, 3, 2)
    padding = backend.asarray(np.asarray([[False, True, True], [True, True, True]]))
    mean = to_numpy(masked_mean(backend.asarray(x), padding))
    np.testing.assert_array_equal(mean, [x[0, 0], [0, 0]])


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_padding_changes_no_class(backend, positions, norm_first):
    classifier = nn.models.TransformerClassifier(
        7, 3, 8, 2, 2, 16, 20, positions=positions, norm_first=norm_first, rng=0, backend=backend, dtype="float64"
    )
    short = backend.asarray(np.asarray([[1, 2, 3]]))
    padded = backend.asarray(np.asarray([[1, 2, 3, 0, 0], [0, 0, 0, 0, 0], [4, 0, 0, 0, 0]]))
    one, other = (to_numpy(classifier.predict_proba(each)) for each in (short, padded))
    np.testing.assert_allclose(one[0], other[0], rtol=1e-9)
    single = to_numpy(classifier.predict_proba(backend.asarray(np.asarray([[4]]))))
    np.testing.assert_allclose(single[0], other[2], rtol=1e-9)
    assert np.isfinite(other).all()
    logits, weights = classifier.eval()(padded, need_weights=True)
    assert len(weights) == 2
    assert weights[0].shape == (3, 2, 5, 5)
    np.testing.assert_allclose(to_numpy(weights[1])[0].sum(axis=-1), 1, rtol=1e-9)
    assert not to_numpy(weights[1])[..., 3:].any()
    assert logits.shape == (3, 3)
