from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portml.backends import Backend, to_numpy
from portml.errors import ArgumentError
from portml.random import Generator
from tests.random.statistics import chi_square_excess, kolmogorov_smirnov_excess

N = 12_800


def test_splitting_is_deterministic_and_the_same_on_every_backend(backend: Backend) -> None:
    first, second = Generator(1, backend), Generator(1, "numpy")
    assert [child.state() for child in first.split(3)] == [child.state() for child in second.split(3)]
    assert first.split(1)[0].backend is backend


def test_children_do_not_depend_on_how_many_are_split_at_once() -> None:
    one, other = Generator(1), Generator(1)
    children = [child.state() for n in (1, 0, 3) for child in one.split(n)]
    assert children == [child.state() for child in other.split(4)]
    assert one.state() == other.state()


def test_children_do_not_depend_on_what_was_drawn_before_and_draws_not_on_children() -> None:
    one, other = Generator(1, "numpy"), Generator(1, "numpy")
    one.random(100)
    assert one.split(1)[0].state() == other.split(1)[0].state()
    one.set_state(Generator(1).state())
    np.testing.assert_array_equal(one.random(10), other.random(10))


def test_a_family_of_three_generations_has_as_many_keys_as_members() -> None:
    root = Generator(1)
    children = root.split(30)
    family = [root, *children, *(grandchild for child in children for grandchild in child.split(30))]
    assert len({member.state()["key"] for member in family}) == 1 + 30 + 900


def test_the_key_of_a_child_is_a_block_of_its_parents_upper_half() -> None:
    parent = Generator(1)
    key = [parent.state()["key"] >> shift & (2**64 - 1) for shift in (0, 64)]
    philox = np.random.Philox(
        key=np.asarray(key, dtype=np.uint64), counter=np.asarray([0, 0, 0, 2**63], dtype=np.uint64)
    )
    expected = [block[0] | block[1] << 64 for block in philox.random_raw(12).reshape(3, 4).tolist()]
    assert [child.state()["key"] for child in parent.split(3)] == expected


def test_streams_of_a_family_have_no_word_in_common() -> None:
    parent = Generator(1, "numpy")
    children = parent.split(4)
    drawn = [member.integers(0, 2**64, N, "uint64") for member in (parent, *children, *children[0].split(2))]
    assert np.unique(np.concatenate(drawn)).size == 7 * N


def test_streams_of_a_family_are_independent() -> None:
    parent = Generator(2, "numpy")
    first, second = parent.split(2)
    grandchild = first.split(1)[0]
    neighbour = Generator(3, "numpy")
    streams = [member.integers(0, 16, N) for member in (parent, first, second, grandchild, neighbour)]
    for i, one in enumerate(streams):
        for j, other in enumerate(streams):
            counts = np.bincount(16 * one + other, minlength=256)
            assert (chi_square_excess(counts, np.full(256, N / 256)) < 1.0) == (i != j), f"streams {i} and {j}"


def test_first_draws_of_many_children_fit_the_uniform_distribution() -> None:
    firsts = np.asarray([child.random((), "float64") for child in Generator(4, "numpy").split(2000)])
    assert kolmogorov_smirnov_excess(firsts, lambda x: x) < 1.0


def test_first_draws_of_neighbouring_seeds_fit_the_uniform_distribution() -> None:
    firsts = np.asarray([Generator(seed, "numpy").random((), "float64") for seed in range(2000)])
    assert kolmogorov_smirnov_excess(firsts, lambda x: x) < 1.0


def test_a_child_draws_on_its_parents_backend(backend: Backend) -> None:
    child = Generator(1, backend).split(1)[0]
    expected = Generator.from_state(child.state(), "numpy").normal(shape=4)
    np.testing.assert_allclose(to_numpy(child.normal(shape=4)), expected, rtol=1e-6)


@pytest.mark.parametrize("n", [-1, 1.5, None])
def test_a_number_of_children_that_is_no_natural_number_is_refused(n: Any) -> None:
    with pytest.raises(ArgumentError, match="n: expected an integer"):
        Generator(1).split(n)
