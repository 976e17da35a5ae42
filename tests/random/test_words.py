from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.backends import Array, Backend, get_backend, to_numpy
from portml.backends.kernels.random import philox_words

LARGEST = 2**64 - 1
word = st.one_of(st.sampled_from([0, 1, LARGEST - 1, LARGEST]), st.integers(0, LARGEST))

# Counter, key and result of Philox 4x64-10 in the file kat_vectors of Random123 [Salmon et al. 2011], the authors' own
# implementation: all zero, all one, and the digits of pi.
KNOWN_ANSWERS = [
    (
        [0, 0, 0, 0],
        [0, 0],
        [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B],
    ),
    (
        [LARGEST] * 4,
        [LARGEST] * 2,
        [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0],
    ),
    (
        [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89],
        [0x452821E638D01377, 0xBE5466CF34E90C6C],
        [0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6],
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS, ids=["zeros", "ones", "pi"])
def test_a_block_is_the_known_answer_of_the_authors(
    backend: Backend, counter: list[int], key: list[int], expected: list[int]
) -> None:
    before = _digits((_number(counter) - 1) % 2**256)  # the stream begins with the block that follows its counter
    assert to_numpy(philox_words(words(backend, key), words(backend, before), n=4)).tolist() == expected


@given(key=st.tuples(word, word), counter=st.tuples(word, word, word, word), n=st.integers(0, 40))
def test_words_equal_those_of_numpys_philox(
    backend: Backend, key: Sequence[int], counter: Sequence[int], n: int
) -> None:
    actual = philox_words(words(backend, key), words(backend, counter), n=n)
    assert to_numpy(actual).tolist() == numpys_words(key, counter, n)


@pytest.mark.parametrize("carries", [1, 2, 3, 4])
def test_a_counter_carries_into_its_higher_words(backend: Backend, carries: int) -> None:
    counter = [LARGEST] * carries + [41] * (4 - carries)
    actual = philox_words(words(backend, [5, 6]), words(backend, counter), n=12)
    after = _digits((_number(counter) + 1) % 2**256)
    assert to_numpy(actual).tolist() == numpys_words([5, 6], counter, 12)
    assert to_numpy(actual)[4:].tolist() == numpys_words([5, 6], after, 8)


@given(skipped=st.integers(0, 3), n=st.integers(0, 20))
def test_a_fifth_element_skips_words_of_the_first_block(backend: Backend, skipped: int, n: int) -> None:
    actual = philox_words(words(backend, [1, 2]), words(backend, [LARGEST, 0, 0, 0, skipped]), n=n)
    assert to_numpy(actual).tolist() == numpys_words([1, 2], [LARGEST, 0, 0, 0], n + skipped)[skipped:]


def test_threads_draw_at_once_without_disturbing_each_other() -> None:
    numpy = get_backend("numpy")
    failures = []

    def draw(key: int) -> None:
        expected = numpys_words([key, 0], [0, 0, 0, 0], 1000)
        for _ in range(50):
            if philox_words(words(numpy, [key, 0]), words(numpy, [0, 0, 0, 0]), n=1000).tolist() != expected:
                failures.append(key)

    threads = [threading.Thread(target=draw, args=(key,)) for key in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def words(backend: Backend, values: Sequence[int]) -> Array:
    return backend.asarray(np.asarray(values, dtype=np.uint64))


def numpys_words(key: Sequence[int], counter: Sequence[int], n: int) -> list[int]:
    philox = np.random.Philox(key=np.asarray(key, dtype=np.uint64), counter=np.asarray(counter, dtype=np.uint64))
    return philox.random_raw(n).tolist()


def _number(digits: Sequence[int]) -> int:
    return sum(digit << 64 * place for place, digit in enumerate(digits))


def _digits(number: int) -> list[int]:
    return [number >> 64 * place & LARGEST for place in range(4)]
