"""Encoder and decoder: what they see, what they learn from, what they write, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from portml import nn, optim
from portml.autograd import no_grad
from portml.backends import get_backend, operations, to_numpy
from portml.errors import ArgumentError, DtypeError, RangeError, ShapeError
from tests.tolerances import assert_close

SOURCE = np.asarray([[3, 4, 5, 0, 0], [8, 1, 2, 3, 4], [7, 7, 0, 0, 0]])
TARGET = np.asarray([[1, 3, 4, 2], [1, 5, 2, 0], [1, 6, 5, 4]])
VARIANTS = [
    {"positions": "learned"},
    {"norm_first": False},
    {"target_vocabulary": None, "activation": "swiglu"},
]


def model(backend, **options):
    options = {"target_vocabulary": 7, "n_layers": (1, 2), "max_len": 12, "rng": 0, "dtype": "float64", **options}
    made = nn.models.EncoderDecoder(9, dim=8, n_heads=2, backend=backend, **options)
    for name, parameter in made.named_parameters():  # larger weights, so that what it says differs
        parameter.assign(parameter.value * (1 if "norm" in name else 3))
    return made.eval()


def logits_of(made, source, target, **options):
    backend = get_backend("numpy" if isinstance(made.source_embedding.weight.value, np.ndarray) else "strict")
    with no_grad():
        return to_numpy(made(backend.asarray(source), backend.asarray(target), **options))


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_no_place_sees_a_later_one(backend, options):
    made = model(backend, **options)
    changed = TARGET.copy()
    changed[:, 2:] = 6
    one, other = logits_of(made, SOURCE, TARGET), logits_of(made, SOURCE, changed)
    np.testing.assert_allclose(one[:, :2], other[:, :2], rtol=1e-10, atol=1e-12)
    assert one.shape == (3, 4, options.get("target_vocabulary", 7) or 9)


def test_every_place_sees_the_whole_source(backend):
    made, changed = model(backend), SOURCE.copy()
    changed[1, 4] = 6
    difference = np.abs(logits_of(made, SOURCE, TARGET) - logits_of(made, changed, TARGET)).max(axis=-1)
    assert (difference[1] > 1e-6).all()
    assert not difference[0].any()


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_padding_changes_nothing(backend, options):
    made = model(backend, **options)
    alone = logits_of(made, SOURCE[:1, :3], TARGET[:1])
    np.testing.assert_allclose(logits_of(made, SOURCE, TARGET)[:1], alone, rtol=1e-9, atol=1e-11)
    expected = logits_of(made, SOURCE, TARGET)
    row = to_numpy(made.source_embedding.weight.value).copy()
    row[0] = 50.0  # what padding would say, were it heard
    made.source_embedding.weight.assign(backend.asarray(row))
    found = logits_of(made, SOURCE, TARGET)
    symbols = slice(1, None)  # with one table for both, the output layer has padding's row too
    np.testing.assert_allclose(found[0, :, symbols], expected[0, :, symbols], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(found[1, :3, symbols], expected[1, :3, symbols], rtol=1e-9, atol=1e-11)


def test_padding_before_a_target_is_not_seen_either(backend):
    made = model(backend, positions="learned")
    made.target_positions.weight.assign(0 * made.target_positions.weight.value)
    moved = np.concatenate([np.zeros((3, 2), int), TARGET], axis=1)
    np.testing.assert_allclose(logits_of(made, SOURCE, moved)[:, 2:], logits_of(made, SOURCE, TARGET), rtol=1e-9)


def test_a_source_of_padding_alone_says_nothing_and_stays_finite(backend):
    made, source = model(backend), SOURCE.copy()
    source[1] = 0
    logits = logits_of(made, source, TARGET)
    assert np.isfinite(logits).all()
    wider = logits_of(made, np.pad(source, ((0, 0), (0, 2))), TARGET)
    np.testing.assert_allclose(logits[1], wider[1], rtol=1e-9)
    assert np.isfinite(to_numpy(made.beam_search(source, start=1, stop=2, width=2)[1])).all()


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_decoding_further_is_decoding_everything(backend, options):
    made = model(backend, **options)
    cache = made.new_cache(backend.asarray(SOURCE))
    parts = [
        made.decode_further(backend.asarray(TARGET[:, part]), cache) for part in (slice(1), slice(1, 3), slice(3, 4))
    ]
    expected = logits_of(made, SOURCE, TARGET)
    found = np.concatenate([to_numpy(part) for part in parts], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
    assert cache.length == 4


def greedy(made, source, n):
    """Without a cache, by the definition."""
    written = np.full((len(source), 1), 1)
    for _ in range(n):
        logits = logits_of(made, source, written)[:, -1]
        logits[:, 0] = -np.inf  # padding is never said
        said = np.where((written == 2).any(axis=1), 0, logits.argmax(axis=-1))
        written = np.concatenate([written, said[:, None]], axis=1)
    return written[:, 1:]


@pytest.mark.parametrize("seed", range(4))
def test_a_translation_is_the_most_probable_symbol_again_and_again(backend, seed):
    made = model(backend, rng=seed)
    expected = greedy(made, SOURCE, 9)
    found = to_numpy(made.translate(SOURCE, start=1, stop=2, max_new_tokens=9))
    np.testing.assert_array_equal(found, expected[:, : found.shape[1]])
    assert not expected[:, found.shape[1] :].any()
    tokens, _ = made.beam_search(SOURCE, start=1, stop=2, max_new_tokens=9, width=1)
    np.testing.assert_array_equal(to_numpy(tokens), found)
    one = to_numpy(made.translate(SOURCE[0], start=1, stop=2, max_new_tokens=9))
    np.testing.assert_array_equal(one, found[0, : len(one)])


def test_every_backend_writes_the_same(backend):
    ours, theirs = (
        made.beam_search(SOURCE, start=1, stop=2, width=3) for made in (model(backend), model(get_backend("numpy")))
    )
    np.testing.assert_array_equal(to_numpy(ours[0]), theirs[0])
    np.testing.assert_allclose(to_numpy(ours[1]), theirs[1], rtol=1e-9)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_a_beam_as_wide_as_the_tree_finds_the_best_of_all_that_end(backend, length_penalty):
    made = model(backend)
    tokens, scores = made.beam_search(
        SOURCE[:2], start=1, stop=2, max_new_tokens=3, width=60, length_penalty=length_penalty
    )
    inner = [(), *((a,) for a in (1, 3, 4, 5, 6)), *((a, b) for a in (1, 3, 4, 5, 6) for b in (1, 3, 4, 5, 6))]
    for row in range(2):
        sums = {(*said, 2): model_sum(made, SOURCE[row : row + 1], (*said, 2)) for said in inner}
        best = max(sums, key=lambda said: sums[said] / ((5 + len(said)) / 6) ** length_penalty)
        assert tuple(to_numpy(tokens)[row][to_numpy(tokens)[row] != 0]) == best
        np.testing.assert_allclose(to_numpy(scores)[row], sums[best], rtol=1e-8)


def model_sum(made, source, written):
    logits = logits_of(made, source, np.asarray([[1, *written[:-1]]]))[0]
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return sum(row[symbol] for row, symbol in zip(logs, written, strict=True))


def test_what_is_written_ends_in_padding_and_keeps_the_mode(backend):
    made = model(backend).train()
    tokens = to_numpy(made.translate(SOURCE, start=1, stop=3, max_new_tokens=8))
    ends = tokens == 3
    assert (tokens[np.cumsum(ends, axis=1) - ends > 0] == 0).all()
    assert made.training
    assert to_numpy(made.translate(SOURCE, start=1, stop=2, max_new_tokens=0)).shape == (3, 0)


def test_weights_say_where_each_place_looks(backend):
    made = model(backend)
    with no_grad():
        logits, weights = made(backend.asarray(SOURCE), backend.asarray(TARGET), need_weights=True)
    assert [tuple(layer.shape) for layer in weights] == [(3, 2, 4, 5)] * 2
    np.testing.assert_allclose(to_numpy(logits), logits_of(made, SOURCE, TARGET), rtol=1e-9)
    for layer in map(to_numpy, weights):
        np.testing.assert_allclose(layer.sum(axis=-1), 1, rtol=1e-9)
        assert not layer[0, :, :, 3:].any()


def test_padding_costs_nothing(backend):
    made = model(backend)
    loss = nn.CrossEntropyLoss(ignore_index=0)
    expected = np.asarray([[3, 4, 2, 0], [5, 2, 0, 0], [6, 5, 4, 2]])
    losses = []
    for source, read, wanted in ((SOURCE, TARGET, expected), (SOURCE[:, :5], TARGET[:, :4], expected)):
        wider = np.pad(wanted, ((0, 0), (0, len(losses))))  # the second has a column of padding more
        reads = np.pad(read, ((0, 0), (0, len(losses))))
        logits = made(backend.asarray(source), backend.asarray(reads))
        flat = operations.reshape(logits, (-1, 7)), backend.asarray(wider.reshape(-1))
        losses.append(loss(*flat).item())
    assert math.isclose(*losses, rel_tol=1e-9)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_gradients_are_those_of_finite_differences(backend, options):
    made = model(backend, **options)
    names = ("source_embedding.weight", "transformer.decoder.layers.1.multihead_attn.in_proj_weight")
    chosen = [parameter for name, parameter in made.named_parameters() if name in names]
    source, target = backend.asarray(SOURCE), backend.asarray(TARGET)
    loss = nn.CrossEntropyLoss(ignore_index=0)
    expected = backend.asarray(np.asarray([3, 4, 2, 0, 5, 2, 0, 0, 6, 5, 4, 2]))

    def value():
        logits = made(source, target)
        return loss(operations.reshape(logits, (-1, logits.shape[-1])), expected)

    value().backward()
    rng = np.random.default_rng(0)
    for parameter in chosen:
        start, direction = parameter.value + 0.0, backend.asarray(rng.normal(size=tuple(parameter.shape)))
        if parameter is made.source_embedding.weight and options.get("target_vocabulary", 7):
            direction[0, ...] = 0 * direction[0, ...]  # the row of padding is no variable
        slope = float(to_numpy(backend.xp.sum(parameter.grad.value * direction)))
        sides = []
        for step in (1e-5, -1e-5):
            parameter.assign(start + step * direction)
            with no_grad():
                sides.append(float(to_numpy(value())))
        parameter.assign(start)
        assert math.isclose(slope, (sides[0] - sides[1]) / 2e-5, rel_tol=1e-5, abs_tol=1e-7)


def test_one_table_serves_both_where_the_vocabulary_is_shared(backend):
    shared, apart = model(backend, target_vocabulary=None), model(backend)
    assert shared.target_embedding is shared.source_embedding
    assert apart.target_embedding.weight.shape == (7, 8)
    again = model(backend, target_vocabulary=None, rng=5)
    again.load_state_dict(shared.state_dict())
    assert_close(
        again(backend.asarray(SOURCE), backend.asarray(TARGET)).value,
        shared(backend.asarray(SOURCE), backend.asarray(TARGET)).value,
        "reduction",
    )


def test_a_model_learns_to_reverse(backend):
    made = nn.models.EncoderDecoder(8, None, 16, 2, 1, 32, max_len=8, dropout=0.0, rng=0, backend=backend)
    rng = np.random.default_rng(0)
    adam, loss = optim.Adam(made.parameters(), lr=1e-2), nn.CrossEntropyLoss()
    source = rng.integers(3, 8, (40, 3))
    read = np.concatenate([np.ones((40, 1), int), source[:, ::-1]], axis=1)
    expected = np.concatenate([source[:, ::-1], np.full((40, 1), 2)], axis=1)
    arrays = [backend.asarray(each) for each in (source, read, expected.reshape(-1))]
    for _ in range(60):
        adam.zero_grad()
        loss(operations.reshape(made(*arrays[:2]), (-1, 8)), arrays[2]).backward()
        adam.step()
    written = to_numpy(made.translate(source, start=1, stop=2))
    assert (written == expected).all(axis=1).mean() > 0.9


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda made: made(SOURCE, TARGET[:2]), ShapeError, "one for each of 3 sources, got 2"),
        (lambda made: made(SOURCE[0], TARGET), ShapeError, "source: expected integers"),
        (lambda made: made(SOURCE[:, :0], TARGET), ShapeError, "source: expected integers .* at least one symbol"),
        (lambda made: made(SOURCE, TARGET[:, :0]), ShapeError, "target: expected integers"),
        (lambda made: made(SOURCE * 1.0, TARGET), DtypeError, "source: expected integers"),
        (lambda made: made(np.ones((1, 13), int), TARGET[:1]), RangeError, "source: 13 symbols .* 12"),
        (lambda made: made(SOURCE[:1], np.ones((1, 13), int)), RangeError, "target: 13 symbols .* larger max_len"),
        (lambda made: made(SOURCE + 1, TARGET), RangeError, "got 9"),
        (lambda made: made(SOURCE, TARGET + 2), RangeError, "got "),
        (lambda made: made(-SOURCE, TARGET), RangeError, "got -"),
        (lambda made: made.translate("amen", start=1, stop=2), DtypeError, "source: expected integers, got the text"),
        (lambda made: made.translate([], start=1, stop=2), ShapeError, "source: expected integers"),
        (lambda made: made.translate([9], start=1, stop=2), RangeError, "got 9"),
        (lambda made: made.translate([1], start=7, stop=2), RangeError, "start: expected one of the 7 symbols"),
        (lambda made: made.translate([1], start=1, stop=-1), RangeError, "stop: expected one of the 7 symbols"),
        (lambda made: made.translate([1], start=1, stop=2, max_new_tokens=13), RangeError, "max_new_tokens: expected"),
        (lambda made: made.beam_search([1], start=1, stop=2, width=0), RangeError, "width: expected at least 1"),
        (lambda made: made.beam_search([1], start=1, stop=2, width=1.5), ArgumentError, "width: expected an integer"),
        (lambda made: made.translate([1], start=1, stop=2, max_new_tokens=1.5), ArgumentError, "max_new_tokens: expec"),
        (lambda made: made.translate([1], start=1.0, stop=2), ArgumentError, "start: expected an integer"),
        (
            lambda made: made.beam_search([1], start=1, stop=2, length_penalty=float("nan")),
            RangeError,
            "length_penalty: expected a finite number",
        ),
        (lambda made: made([[1]], TARGET), ArgumentError, "source: expected an array of integers"),
        (lambda made: model("numpy", n_layers=(1,)), ArgumentError, "n_layers: expected a number or a pair"),
        (lambda made: model("numpy", max_len=0), ArgumentError, "max_len: expected at least 1, got 0"),
        (lambda made: model("numpy", positions="none"), ArgumentError, "positions: expected"),
        (lambda made: model("numpy", attention_dropout=2), RangeError, "attention_dropout: expected a probability"),
        (lambda made: nn.models.EncoderDecoder(9, dim=9, n_heads=2), ArgumentError, "num_heads: expected a divisor"),
    ],
)
def test_what_cannot_be_translated_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(model("numpy"))


def test_a_cache_that_is_full_refuses_more():
    made = model("numpy", max_len=4, n_layers=1)
    cache = made.new_cache(SOURCE[:, :4])
    made.decode_further(TARGET, cache)
    with pytest.raises(RangeError, match="1 symbols are more than the 0"):
        made.decode_further(TARGET[:, :1], cache)
