"""Sequences of different lengths side by side: padding, masks, batches of similar length, windows of one text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml import nn
from portml.backends import Backend, to_numpy
from portml.data import DataLoader
from portml.data.text import BucketLoader, SequenceDataset, TextWindows, WindowLoader, pad_sequences, padding_mask
from portml.errors import ArgumentError, DataError, DtypeError, RangeError, ShapeError
from portml.random import Generator
from tests.data.files import lives_on

LENGTHS = [3, 9, 1, 4, 4, 7, 2, 8, 5, 6, 1]


def numbered(lengths: list[int] = LENGTHS) -> SequenceDataset:
    """Sequences that repeat their own position."""
    return SequenceDataset([[n + 1] * length for n, length in enumerate(lengths)], np.arange(len(lengths)))


def bucketed(seed: int = 0, batch_size: int = 3, **options: Any) -> BucketLoader:
    return BucketLoader(numbered(), batch_size, True, Generator(seed, backend="numpy"), **options)


# Padding


@given(st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1, max_size=5), st.sampled_from(["left", "right"]))
def test_what_is_no_padding_is_what_was_given(sequences: list[list[int]], side: str) -> None:
    padded, lengths = pad_sequences(sequences, side=side)
    mask = padding_mask(lengths, padded.shape[1], side=side)
    assert [row[~hidden].tolist() for row, hidden in zip(padded, mask, strict=True)] == sequences
    assert (padded[mask] == 0).all()
    assert padded.shape == (len(sequences), max(map(len, sequences)))


def test_padding_takes_a_value_a_length_and_vectors() -> None:
    padded, lengths = pad_sequences([np.ones((2, 3), "float32"), np.ones((1, 3), "float32")], value=-1, length=4)
    assert padded.shape == (2, 4, 3)
    assert padded.dtype == np.float32
    assert (padded[1, 1:] == -1).all()
    assert lengths.tolist() == [2, 1]


def test_a_mask_is_where_its_lengths_are(backend: Backend) -> None:
    mask = padding_mask(backend.asarray([2, 0, 3]), 3)
    assert lives_on(backend, mask)
    assert to_numpy(mask).tolist() == [[False, False, True], [True, True, True], [False, False, False]]


def test_attention_with_the_mask_does_not_see_the_padding() -> None:
    attention = nn.MultiheadAttention(4, 2, batch_first=True, rng=0, backend="numpy")
    x = np.random.default_rng(0).random((2, 5, 4)).astype("float32")
    mask = padding_mask(np.asarray([5, 3]), 5)
    changed = x.copy()
    changed[1, 3:] = 9
    before, after = (to_numpy(attention(each, each, each, key_padding_mask=mask)[0]) for each in (x, changed))
    np.testing.assert_allclose(before[1, :3], after[1, :3], rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pad_sequences([]), DataError, "expected at least one"),
        (lambda: pad_sequences([[1, 2]], length=1), ShapeError, "length: expected at least 2"),
        (lambda: pad_sequences([np.ones((1, 2)), np.ones((1, 3))]), ShapeError, "equal dimensions after the first"),
        (lambda: pad_sequences([["a"]]), DtypeError, "expected rows of numbers"),
        (lambda: pad_sequences([[1]], side="top"), ArgumentError, "side: expected 'right' or 'left'"),
        (lambda: padding_mask(np.asarray([1]), 2, side="top"), ArgumentError, "side: expected 'right' or 'left'"),
        (lambda: padding_mask(np.asarray([4]), 3), RangeError, r"lengths: expected 0\.\.3"),
        (lambda: padding_mask(np.asarray([-1]), 3), RangeError, r"lengths: expected 0\.\.3"),
        (lambda: padding_mask(np.asarray([1.0]), 3), DtypeError, "lengths: expected integers"),
        (lambda: SequenceDataset([], []), DataError, "expected at least one"),
        (lambda: SequenceDataset([[1], []], [0, 1]), DataError, "number 1 is empty"),
        (lambda: SequenceDataset([[1]], [0, 1]), ShapeError, "one for each of the 1 sequences"),
        (lambda: numbered()[[99]], RangeError, r"positions in 0\.\.10"),
        (lambda: numbered()[[0.5]], DtypeError, "a slice or integers"),
    ],
    ids=str.split("none short inner letters side mask long negative float empty gap targets far half"),
)
def test_what_cannot_be_padded_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# Batches by length


def test_a_batch_is_as_long_as_its_longest_sequence(backend: Backend) -> None:
    loader = DataLoader(numbered(), 4, backend=backend)
    for padded, lengths, targets in loader:
        assert lives_on(backend, padded, lengths, targets)
        rows, n = to_numpy(padded), to_numpy(lengths)
        assert rows.shape[1] == n.max()
        for row, length, target in zip(rows, n, to_numpy(targets), strict=True):
            assert row.tolist() == [target + 1] * length + [0] * (rows.shape[1] - length)


def test_without_shuffling_the_shortest_come_first() -> None:
    lengths = np.concatenate([to_numpy(batch[1]) for batch in BucketLoader(numbered(), 3)])
    assert lengths.tolist() == sorted(LENGTHS)


@given(st.integers(0, 50), st.integers(1, 5), st.integers(1, 4))
def test_every_sequence_comes_once_an_epoch(seed: int, batch_size: int, pool: int) -> None:
    loader = bucketed(seed, batch_size, pool=pool)
    for _ in range(2):
        seen = [target for batch in loader for target in to_numpy(batch[2]).tolist()]
        assert sorted(seen) == [*range(len(LENGTHS))]


def test_batches_by_length_have_less_padding() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 500).tolist()
    dataset = SequenceDataset([[1] * length for length in lengths], lengths)

    def padding(loader: DataLoader) -> int:
        return sum(int((to_numpy(batch[0]) == 0).sum()) for batch in loader)

    rng = [Generator(0, backend="numpy") for _ in range(2)]
    plain, bucket = DataLoader(dataset, 16, True, rng[0]), BucketLoader(dataset, 16, True, rng[1])
    assert padding(bucket) < padding(plain) / 5


def test_epochs_differ_and_seeds_repeat() -> None:
    def targets(loader: BucketLoader) -> list[int]:
        return [target for batch in loader for target in to_numpy(batch[2]).tolist()]

    loader = bucketed()
    first, second = targets(loader), targets(loader)
    assert first != second
    assert targets(bucketed()) == first


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_batches_by_length_go_on_where_they_were(taken: int) -> None:
    loader = bucketed()
    batches = iter(loader)
    for _ in range(taken):
        next(batches)
    state = loader.state_dict()
    rest = [to_numpy(batch[2]).tolist() for batch in batches]
    other = bucketed(seed=7)
    other.load_state_dict(state)
    assert [to_numpy(batch[2]).tolist() for batch in other] == rest


@pytest.mark.parametrize("pool", [0, -1, 1.5])
def test_a_pool_of_no_batches_is_refused(pool: Any) -> None:
    with pytest.raises(ArgumentError, match="pool: expected a number of batches"):
        bucketed(pool=pool)


# Windows


@given(st.integers(2, 60), st.integers(1, 4), st.integers(1, 9), st.booleans())
def test_rows_of_windows_go_on_where_they_ended(n: int, rows: int, length: int, drop_last: bool) -> None:
    ids = np.arange(n)
    steps = (n - 1) // rows
    if steps < (length if drop_last else 1):
        with pytest.raises(DataError, match="ids: expected at least"):
            WindowLoader(ids, rows, length, drop_last=drop_last)
        return
    batches = [(to_numpy(x), to_numpy(y)) for x, y in WindowLoader(ids, rows, length, drop_last=drop_last)]
    inputs, targets = (np.concatenate(each, axis=1) for each in zip(*batches, strict=True))
    assert (targets == inputs + 1).all()
    assert (np.diff(inputs, axis=1) == 1).all()
    assert inputs[:, 0].tolist() == [row * steps for row in range(rows)]
    assert inputs.shape[1] == (steps // length * length if drop_last else steps)


@given(st.integers(2, 40), st.integers(1, 8), st.integers(1, 10))
def test_windows_predict_the_next_token(n: int, length: int, stride: int) -> None:
    if n <= length:
        with pytest.raises(DataError, match=f"expected more than {length} tokens"):
            TextWindows(np.arange(n), length, stride=stride)
        return
    windows = TextWindows(np.arange(n), length, stride=stride)
    inputs, targets = windows[:]
    assert inputs.shape == targets.shape == (len(windows), length)
    assert (targets == inputs + 1).all()
    assert inputs[:, 0].tolist() == [*range(0, n - length, stride)]


def test_windows_are_handed_over_where_they_are_wanted(backend: Backend) -> None:
    for batch in WindowLoader(np.arange(20), 2, 4, backend=backend):
        assert lives_on(backend, *batch)
    for batch in DataLoader(TextWindows(np.arange(20), 4), 2, backend=backend):
        assert lives_on(backend, *batch)


@pytest.mark.parametrize(
    ("ids", "error"), [([0.5, 1.0, 2.0], DtypeError), ([[1, 2, 3]], DtypeError), ([3, -1, 2], RangeError)]
)
def test_what_are_no_tokens_is_refused(ids: Any, error: type[Exception]) -> None:
    for make in (lambda: WindowLoader(np.asarray(ids), 1, 1), lambda: TextWindows(np.asarray(ids), 1)):
        with pytest.raises(error, match="ids: expected"):
            make()


@pytest.mark.parametrize("number", [0, -1, 1.5, True])
def test_windows_of_no_steps_are_refused(number: Any) -> None:
    ids = np.arange(9)
    for name, make in (
        ("batch_size", lambda: WindowLoader(ids, number, 2)),
        ("length", lambda: WindowLoader(ids, 2, number)),
        ("length", lambda: TextWindows(ids, number)),
        ("stride", lambda: TextWindows(ids, 2, stride=number)),
    ):
        with pytest.raises(ArgumentError, match=f"{name}: expected a whole number of at least 1"):
            make()
