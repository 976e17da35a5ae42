"""The model that counts: numbers by hand, laws of probabilities, and what it refuses."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.data.text import ContextCounts
from portml.errors import DataError, DtypeError, PortmlError, RangeError

TEXT = [0, 1, 0, 1, 0, 2]  # "ababac"
SHORT = st.lists(st.integers(0, 3), min_size=1, max_size=30)


def test_order_1_is_what_a_hand_counts() -> None:
    counts = ContextCounts(TEXT, 3, 1, strength=2.0)
    unigram = [(3 + 2 / 3) / 8, (2 + 2 / 3) / 8, (1 + 2 / 3) / 8]
    after_a = [(0 + 2 * unigram[0]) / 5, (2 + 2 * unigram[1]) / 5, (1 + 2 * unigram[2]) / 5]
    after_b = [(2 + 2 * unigram[0]) / 4, 2 * unigram[1] / 4, 2 * unigram[2] / 4]
    np.testing.assert_allclose(counts.distribution([]), unigram)
    np.testing.assert_allclose(counts.distribution([1, 0]), after_a)
    np.testing.assert_allclose(counts.distribution([1]), after_b)
    np.testing.assert_allclose(counts.distribution([2]), unigram)  # nothing followed c
    np.testing.assert_allclose(counts.probabilities([0, 1, 2]), [unigram[0], after_a[1], after_b[2]])
    bits = -sum(map(math.log2, (unigram[0], after_a[1], after_b[2]))) / 3
    assert counts.bits_per_symbol([0, 1, 2]) == pytest.approx(bits)


def test_order_2_leans_on_order_1() -> None:
    one, two = (ContextCounts(TEXT, 3, order, strength=0.5).distribution([0, 1]) for order in (1, 2))
    np.testing.assert_allclose(two, (np.asarray([2, 0, 0]) + 0.5 * one) / 2.5)


@given(SHORT)
def test_order_0_needs_the_entropy_of_the_symbols(text: list[int]) -> None:
    counts = ContextCounts(text, 4, 0, strength=1e-9)
    shares = [n / len(text) for n in Counter(text).values()]
    assert counts.bits_per_symbol(text) == pytest.approx(-sum(p * math.log2(p) for p in shares), abs=1e-6)


@given(SHORT, SHORT, st.integers(0, 4), st.floats(1e-3, 1e3))
def test_probabilities_are_positive_and_sum_to_one(
    text: list[int], context: list[int], order: int, strength: float
) -> None:
    counts = ContextCounts(text + [0] * order, 4, order, strength=strength)
    p = counts.distribution(context)
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    assert (p > 0).all()


@given(SHORT, SHORT, st.integers(0, 4))
def test_a_text_has_the_probabilities_of_its_contexts(text: list[int], read: list[int], order: int) -> None:
    counts = ContextCounts(text + [0] * order, 4, order)
    one_by_one = [counts.distribution(read[:place])[symbol] for place, symbol in enumerate(read)]
    np.testing.assert_allclose(counts.probabilities(read), one_by_one, rtol=1e-12)


def test_a_regular_text_is_learnt_once_the_context_shows_its_rule() -> None:
    text = [0, 0, 1, 1] * 50
    bits = [ContextCounts(text, 2, order, strength=0.01).bits_per_symbol(text) for order in (0, 1, 2)]
    assert bits[0] == pytest.approx(1.0)
    assert bits[1] == pytest.approx(1.0, abs=0.02)  # after 0 either may come
    assert bits[2] < 0.02


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ContextCounts([0, 1], 2, 2), DataError, "ids: expected more than the 2 symbols of a context, got 2"),
        (lambda: ContextCounts([], 2, 0), DataError, "ids: expected more than the 0 symbols"),
        (lambda: ContextCounts([0, 2], 2, 1), RangeError, r"ids: expected symbols in 0\.\.1, got 2"),
        (lambda: ContextCounts([0, -1], 2, 1), RangeError, "got -1"),
        (lambda: ContextCounts([0.5, 1.0], 2, 1), DtypeError, "ids: expected integers"),
        (lambda: ContextCounts([[0, 1]], 2, 1), DtypeError, r"of shape \(1, 2\)"),
        (lambda: ContextCounts([0, 1], 2, 1, strength=0), RangeError, "strength: expected a number above 0, got 0"),
        (lambda: ContextCounts([0, 1], 2, 63), RangeError, "order: contexts of 63 of 2 symbols"),
        (lambda: ContextCounts([0, 1], 2, -1), PortmlError, "order"),
        (lambda: ContextCounts([0, 1], 0, 1), RangeError, "vocabulary: expected at least 1"),
        (lambda: ContextCounts([0, 1], 2, 1).bits_per_symbol([]), DataError, "ids: expected a text, got none"),
        (lambda: ContextCounts([0, 1], 2, 1).distribution([3]), RangeError, "got 3"),
    ],
)
def test_what_cannot_be_counted_is_refused(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
