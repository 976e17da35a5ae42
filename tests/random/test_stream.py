from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.backends import Backend, Call, get_backend, observe, to_numpy
from portml.backends.kernels.random import philox_words
from portml.errors import ArgumentError, RangeError
from portml.random import Generator

DRAWS: dict[str, Callable[[Generator, int], Any]] = {
    "float64": lambda rng, n: rng.random(n, "float64"),
    "float32": lambda rng, n: rng.random(n),
    "normal": lambda rng, n: rng.normal(shape=n),
    "normal float64": lambda rng, n: rng.normal(shape=n, dtype="float64"),
    "truncated normal": lambda rng, n: rng.truncated_normal(shape=n),
    "integers": lambda rng, n: rng.integers(-7, 1000, n),
    "bernoulli": lambda rng, n: rng.bernoulli(0.3, n),
    "choice": lambda rng, n: rng.choice(5, n),
    "weighted choice": lambda rng, n: rng.choice(3, n, p=[0.2, 0.5, 0.3]),
}
PAIRED = {"float32", "normal", "normal float64"}


@pytest.mark.parametrize("seed", [0, 7, 2**32, 2**63, 2**64 - 1, 10**40, np.int64(7)])
def test_the_key_is_that_of_numpys_philox(seed: int) -> None:
    low, high = np.random.Philox(int(seed)).state["state"]["key"].tolist()
    assert Generator(seed, "numpy").state() == {"key": low | high << 64, "position": 0, "children": 0}


@pytest.mark.parametrize("draw", DRAWS)
@given(n=st.integers(0, 9), m=st.integers(0, 9))
def test_n_draws_and_then_m_are_n_and_m_at_once(backend: Backend, draw: str, n: int, m: int) -> None:
    n = 2 * n if draw in PAIRED else n
    rng = Generator(3, backend)
    parts = np.concatenate([to_numpy(DRAWS[draw](rng, n)), to_numpy(DRAWS[draw](rng, m))])
    np.testing.assert_array_equal(parts, to_numpy(DRAWS[draw](Generator(3, backend), n + m)))


@pytest.mark.parametrize("draw", sorted(PAIRED))
def test_a_draw_of_an_odd_count_leaves_no_half_behind(backend: Backend, draw: str) -> None:
    one, other = Generator(3, backend), Generator(3, backend)
    DRAWS[draw](one, 5)
    DRAWS[draw](other, 6)
    assert one.state() == other.state()
    np.testing.assert_array_equal(to_numpy(DRAWS[draw](one, 3)), to_numpy(DRAWS[draw](other, 3)))


@given(
    seed=st.integers(0, 2**70),
    counts=st.lists(st.tuples(st.sampled_from(sorted(DRAWS)), st.integers(0, 5)), max_size=4),
    children=st.integers(0, 3),
)
def test_a_state_goes_through_json_and_draws_on(
    backend: Backend, seed: int, counts: list[tuple[str, int]], children: int
) -> None:
    rng = Generator(seed, backend)
    for draw, n in counts:
        DRAWS[draw](rng, n)
    rng.split(children)
    restored = Generator.from_state(json.loads(json.dumps(rng.state())), backend)
    assert restored.state() == rng.state()
    np.testing.assert_array_equal(to_numpy(restored.normal(shape=3)), to_numpy(rng.normal(shape=3)))
    assert restored.split(1)[0].state() == rng.split(1)[0].state()


def test_setting_a_state_turns_a_generator_back(backend: Backend) -> None:
    rng = Generator(1, backend)
    state = rng.state()
    first = to_numpy(rng.permutation(20))
    rng.set_state(state)
    np.testing.assert_array_equal(to_numpy(rng.permutation(20)), first)
    rng.set_state(Generator(2, backend).state())
    np.testing.assert_array_equal(to_numpy(rng.random(3)), to_numpy(Generator(2, backend).random(3)))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda rng: pickle.loads(pickle.dumps(rng))])
def test_a_copy_draws_the_same_and_leaves_the_original_alone(
    backend: Backend, copied: Callable[[Generator], Generator]
) -> None:
    rng = Generator(1, backend)
    rng.random(3)
    other = copied(rng)
    expected = to_numpy(other.random(5))
    assert type(other) is Generator
    assert other.backend.name == backend.name
    np.testing.assert_array_equal(to_numpy(rng.random(5)), expected)


def test_a_backend_makes_its_generator(backend: Backend) -> None:
    rng = backend.random(7)
    assert rng.backend is backend
    assert rng.state() == Generator(7).state()


@given(before=st.integers(0, 9), n=st.integers(0, 9))
def test_a_counter_reserves_words_from_a_fresh_block_on(backend: Backend, before: int, n: int) -> None:
    rng, other = Generator(5, backend), Generator(5, backend)
    rng.random(before, "float64")
    key, counter = rng.counter(n)
    after = to_numpy(rng.random(2, "float64"))
    first = -(-before // 4) * 4
    stream = to_numpy(other.random(first + n + 2, "float64"))
    reserved = to_numpy(philox_words(key, counter, n=n))
    assert counter.shape == (4,)
    np.testing.assert_array_equal((reserved >> np.uint64(11)) * 2.0**-53, stream[first : first + n])
    np.testing.assert_array_equal(after, stream[first + n :])


def test_a_replay_takes_the_words_that_follow(backend: Backend) -> None:
    rng, eager = Generator(9, backend), Generator(9, backend)
    recorded: list[tuple[Call, Any]] = []

    def record(call: Call) -> Any:
        result = call.proceed()
        recorded.append((call, result))
        return result

    with observe(record):
        drawn = rng.random(3, "float64")
    np.testing.assert_array_equal(to_numpy(drawn), to_numpy(eager.random(3, "float64")))
    for _ in range(3):
        for call, result in recorded:
            again = call.implementation(*call.arguments, **call.statics)
            if again is not result:
                result[...] = again
        np.testing.assert_array_equal(to_numpy(drawn), to_numpy(eager.random(3, "float64")))
    assert rng.state() == eager.state()


def test_the_stream_ends_before_the_keys_of_children() -> None:
    rng = Generator.from_state({"key": 1, "position": 2**257 - 3, "children": 0}, "numpy")
    rng.random(3, "float64")
    with pytest.raises(RangeError, match="split"):
        rng.random(1)


@pytest.mark.parametrize("seed", [-1, 1.0, 7.5, None, "7", True, [1, 2]])
def test_a_seed_that_is_no_natural_number_is_refused(seed: Any) -> None:
    with pytest.raises(ArgumentError, match="seed"):
        Generator(seed)


@pytest.mark.parametrize(
    "state",
    [
        {},
        None,
        {"key": 1, "position": 2},
        {"key": 1, "position": 2, "children": 0, "more": 1},
        {"key": -1, "position": 2, "children": 0},
        {"key": 2**128, "position": 2, "children": 0},
        {"key": 1, "position": 2.0, "children": 0},
        {"key": 1, "position": 2**257 + 1, "children": 0},
        {"key": 1, "position": 2, "children": None},
    ],
)
def test_a_foreign_state_is_refused_and_changes_nothing(state: Any) -> None:
    with pytest.raises(ArgumentError, match="state"):
        Generator.from_state(state)
    rng = Generator(1)
    before = rng.state()
    with pytest.raises(ArgumentError, match="state"):
        rng.set_state(state)
    assert rng.state() == before


def test_the_default_backend_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTML_BACKEND", "strict")
    assert Generator(1).backend is get_backend("strict")
