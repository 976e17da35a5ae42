from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.data import every_fifth_of_each_class, random_split, stratified_split
from portml.errors import ArgumentError, RangeError
from portml.random import Generator

labels_lists = st.lists(st.integers(0, 3), min_size=1, max_size=60).map(np.asarray)


@given(labels_lists)
def test_fifths_are_the_samples_4_9_14_of_each_class(labels: np.ndarray) -> None:
    rest, fifths = every_fifth_of_each_class(labels)
    seen: dict[int, int] = {}
    expected = []
    for position, label in enumerate(labels.tolist()):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] % 5 == 0:
            expected.append(position)
    assert fifths.tolist() == expected
    assert sorted([*rest, *fifths]) == list(range(len(labels)))


@given(labels_lists, st.floats(0.01, 0.99), st.integers(0, 99))
def test_a_stratified_split_takes_that_fraction_of_each_class(labels: np.ndarray, fraction: float, seed: int) -> None:
    rest, drawn = stratified_split(labels, fraction, seed)
    assert sorted([*rest, *drawn]) == list(range(len(labels)))
    assert np.all(np.diff(rest) > 0)
    assert np.all(np.diff(drawn) > 0)
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        expected = min(max(round(fraction * count), 1), count - 1)
        assert np.sum(labels[drawn] == label) == expected


def test_a_split_depends_on_its_seed_alone() -> None:
    labels = np.arange(200) % 10
    first = stratified_split(labels, 0.3, 7)[1]
    np.testing.assert_array_equal(first, stratified_split(labels, 0.3, 7)[1])
    np.testing.assert_array_equal(first, stratified_split(labels, 0.3, Generator(7, backend="numpy"))[1])
    assert first.tolist() != stratified_split(labels, 0.3, 8)[1].tolist()


def test_a_random_split_has_about_that_fraction() -> None:
    rest, drawn = random_split(10, 0.25, 0)
    assert (len(rest), len(drawn)) == (8, 2)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_outside_0_to_1_is_refused(fraction: float) -> None:
    with pytest.raises(RangeError, match="fraction"):
        stratified_split(np.zeros(5, dtype=int), fraction)


def test_labels_that_are_none_are_refused() -> None:
    with pytest.raises(ArgumentError, match="labels"):
        every_fifth_of_each_class(np.zeros((0,), dtype=int))
