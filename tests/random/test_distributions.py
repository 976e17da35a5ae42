from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.backends import Backend, get_backend, kernels_switched, to_numpy
from portml.backends.kernels.random import categories_from_words, integers_from_words
from portml.random import Generator
from tests.random.statistics import chi_square_excess, kolmogorov_smirnov_excess, standard_normal_cdf
from tests.tolerances import assert_close

N = 20_000

EXACT: dict[str, Callable[[Generator], Any]] = {
    "random float32": lambda rng: rng.random((7, 37)),
    "random float64": lambda rng: rng.random((7, 37), "float64"),
    "uniform": lambda rng: rng.uniform(-0.3, 0.9, (7, 37)),
    "integers": lambda rng: rng.integers(-5, 5, (7, 37)),
    "wide integers": lambda rng: rng.integers(-(2**63), 2**63, 37),
    "uint64": lambda rng: rng.integers(0, 2**64, 37, "uint64"),
    "permutation": lambda rng: rng.permutation(1000),
    "bernoulli": lambda rng: rng.bernoulli(0.3, (7, 37)),
    "choice": lambda rng: rng.choice(10, (7, 37)),
    "subset": lambda rng: rng.choice(100, (3, 7), replace=False),
    "weighted choice": lambda rng: rng.choice(4, (7, 37), p=[0.1, 0.2, 0.3, 0.4]),
    "weighted subset": lambda rng: rng.choice(4, 3, replace=False, p=[0.1, 0.2, 0.3, 0.4]),
    "single": lambda rng: rng.random(),
}


@pytest.mark.parametrize("draw", EXACT)
def test_draws_have_the_same_bits_on_every_backend(backend: Backend, draw: str) -> None:
    one, other = Generator(7, backend), Generator(7, "numpy")
    for _ in range(2):
        assert_close(EXACT[draw](one), EXACT[draw](other), "exact", same_backend=False)
    assert one.state() == other.state()


@pytest.mark.parametrize("draw", EXACT)
def test_draws_have_the_same_bits_with_agnostic_kernels(draw: str) -> None:
    fused = EXACT[draw](Generator(7, "numpy"))
    with kernels_switched("agnostic", "numpy"):
        assert_close(EXACT[draw](Generator(7, "numpy")), fused, "exact")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normals_agree_within_4_units_in_the_last_place_on_every_backend(backend: Backend, dtype: str) -> None:
    one = to_numpy(Generator(7, backend).normal(shape=N, dtype=dtype))
    other = to_numpy(Generator(7, "numpy").normal(shape=N, dtype=dtype))
    assert np.max(np.abs(one - other) / np.spacing(np.abs(other))) <= 4


def test_normals_of_float32_are_within_3_units_in_the_last_place_of_their_definition() -> None:
    rng = Generator(7, "numpy")
    words = rng.integers(0, 2**64, N, "uint64")
    rng.set_state(Generator(7).state())
    radius = np.sqrt(-2.0 * np.log(((words & np.uint64(2**32 - 1)) + 1.0) * 2.0**-32))
    angle = ((words >> np.uint64(32)).astype(np.float32) * np.float32(math.tau * 2.0**-32)).astype(np.float64)
    expected = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).ravel()
    actual = rng.normal(shape=2 * N)
    assert np.max(np.abs(actual - expected) / np.spacing(np.abs(expected).astype(np.float32))) <= 3


def test_uniforms_go_on_as_those_of_numpy(backend: Backend) -> None:
    ours, numpys = Generator(7, backend), np.random.Generator(np.random.Philox(7))
    for shape in ((5,), (2, 3), (), (0, 4), (1000,)):
        np.testing.assert_array_equal(to_numpy(ours.random(shape, "float64")), numpys.random(shape))
    for shape in ((6,), (2, 5), (0,), (1001,)):
        np.testing.assert_array_equal(to_numpy(ours.random(shape)), numpys.random(shape, dtype=np.float32))
    ours, numpys = Generator(8, backend), np.random.Generator(np.random.Philox(8))
    np.testing.assert_array_equal(to_numpy(ours.uniform(-2.0, 3.5, 99, "float64")), numpys.uniform(-2.0, 3.5, 99))


def test_weighted_choices_are_those_of_numpy(backend: Backend) -> None:
    p = np.asarray([0.0, 0.1, 0.0, 0.6, 0.3, 0.0])
    numpys = np.random.Generator(np.random.Philox(7)).choice(6, (20, 5), p=p)
    np.testing.assert_array_equal(to_numpy(Generator(7, backend).choice(6, (20, 5), p=p)), numpys)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniforms_fit_their_distribution(dtype: str) -> None:
    samples = Generator(11, "numpy").random(N, dtype)
    assert samples.min() >= 0.0
    assert samples.max() < 1.0
    assert kolmogorov_smirnov_excess(samples, lambda x: x) < 1.0
    assert kolmogorov_smirnov_excess(samples, lambda x: x**1.05) > 1.0, "a slightly wrong distribution is noticed"
    halves = samples.reshape(-1, 2)
    assert abs(np.corrcoef(halves[:, 0], halves[:, 1])[0, 1]) < 3.3 / math.sqrt(N / 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normals_fit_their_distribution(dtype: str) -> None:
    samples = Generator(12, "numpy").normal(shape=N, dtype=dtype)
    assert kolmogorov_smirnov_excess(samples, standard_normal_cdf) < 1.0
    assert kolmogorov_smirnov_excess(samples, lambda x: standard_normal_cdf(x - 0.03)) > 1.0
    # Each moment is within 3.3 of its own standard errors, known from the moments of twice the order.
    for order, mean, variance in ((1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)):
        moment = np.mean(samples.astype(np.float64) ** order)
        assert abs(moment - mean) < 3.3 * math.sqrt(variance / N), f"moment {order}"
    pairs = samples.reshape(-1, 2).astype(np.float64)
    for a, b in ((pairs[:, 0], pairs[:, 1]), (pairs[:, 0] ** 2, pairs[:, 1] ** 2)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 3.3 / math.sqrt(N / 2)


def test_normals_have_the_mean_and_deviation_asked_for(backend: Backend) -> None:
    standard = to_numpy(Generator(3, backend).normal(shape=(3, 5), dtype="float64"))
    moved = to_numpy(Generator(3, backend).normal(-1.5, 0.25, (3, 5), "float64"))
    np.testing.assert_array_equal(moved, standard * 0.25 - 1.5)
    np.testing.assert_array_equal(to_numpy(Generator(3, backend).normal(2.0, 0.0, 4)), np.full(4, 2.0, np.float32))


@pytest.mark.parametrize(
    ("mean", "std", "low", "high"),
    [(0.0, 1.0, -2.0, 2.0), (1.0, 2.0, 0.5, 9.0), (0.0, 1.0, 9.0, math.inf), (0.0, 1.0, -math.inf, -30.0)],
)
def test_truncated_normals_fit_their_distribution(mean: float, std: float, low: float, high: float) -> None:
    samples = Generator(13, "numpy").truncated_normal(mean, std, low, high, 5000, "float64")
    assert low <= samples.min()
    assert samples.max() <= high

    def cdf(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        sign = -1.0 if low > mean else 1.0  # the lower tail, where the distribution function keeps its digits
        ends = standard_normal_cdf(sign * (np.asarray([low, high]) - mean) / std)
        return (standard_normal_cdf(sign * (x - mean) / std) - ends[0]) / (ends[1] - ends[0])

    assert kolmogorov_smirnov_excess(samples, cdf) < 1.0
    assert kolmogorov_smirnov_excess(samples, lambda x: cdf(x) ** 1.1) > 1.0


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(0, 2, "int64"), (-3, 4, "int32"), (0, 10, "int64"), (0, 256, "uint8"), (-128, 128, "int8"), (5, 1005, "int64")],
)
def test_integers_are_equally_frequent(low: int, high: int, dtype: str) -> None:
    samples = Generator(14, "numpy").integers(low, high, 50 * (high - low), dtype)
    counts = np.bincount(samples.astype(np.int64) - low, minlength=high - low)
    assert counts.size == high - low
    assert chi_square_excess(counts, np.full(counts.size, 50.0)) < 1.0


@pytest.mark.parametrize(
    ("low", "high", "dtype"), [(-(2**63), 2**63, "int64"), (0, 3 * 2**61, "int64"), (7, 2**64, "uint64")]
)
def test_wide_integers_are_equally_frequent_in_each_part_of_their_range(low: int, high: int, dtype: str) -> None:
    samples = Generator(15, "numpy").integers(low, high, 5000, dtype)
    parts = [(int(each) - low) * 50 // (high - low) for each in samples]
    assert chi_square_excess(np.bincount(parts, minlength=50), np.full(50, 100.0)) < 1.0


@given(
    bounds=st.lists(st.integers(-(2**63), 2**63), min_size=2, max_size=2, unique=True).map(sorted),
    seed=st.integers(0, 99),
)
def test_integers_are_the_high_half_of_a_product(backend: Backend, bounds: list[int], seed: int) -> None:
    low, high = bounds
    words = to_numpy(Generator(seed, backend).integers(0, 2**64, 20, "uint64")).tolist()
    drawn = to_numpy(Generator(seed, backend).integers(low, high, 20)).tolist()
    assert drawn == [low + (word * (high - low) >> 64) for word in words]


@pytest.mark.parametrize(("low", "high"), [(0, 3), (-5, 1000), (0, 2**32 - 1), (-(2**62), 2**62 + 1)])
def test_integers_change_at_the_very_words_where_their_shares_end(backend: Backend, low: int, high: int) -> None:
    span = high - low
    steps = [1, 2, span // 2, span - 1]
    firsts = [-(-(step << 64) // span) for step in steps]  # the least word of each step's share
    for words, expected in ((firsts, steps), ([word - 1 for word in firsts], [step - 1 for step in steps])):
        given_words = backend.asarray(np.asarray(words, dtype=np.uint64))
        drawn = integers_from_words(given_words, shape=(4,), dtype="int64", low=low, high=high)
        assert to_numpy(drawn).tolist() == [low + step for step in expected]


def test_a_category_without_probability_is_not_drawn_at_the_edge_of_its_neighbours(backend: Backend) -> None:
    words = backend.asarray(np.asarray([0, 2**62 - 1, 2**62, 2**64 - 1], dtype=np.uint64))
    cumulative = backend.asarray(np.asarray([0.0, 0.25, 0.25, 1.0, 1.0]))
    assert to_numpy(categories_from_words(words, cumulative, shape=(4,))).tolist() == [1, 1, 3, 3]


def test_permutations_are_equally_frequent() -> None:
    rng = Generator(16, "numpy")
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(24 * 100):
        order = tuple(rng.permutation(4).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    assert chi_square_excess(np.asarray(list(counts.values())), np.full(24, 100.0)) < 1.0


@given(n=st.integers(0, 300), seed=st.integers(0, 2**64))
def test_a_permutation_has_every_number_once(backend: Backend, n: int, seed: int) -> None:
    order = to_numpy(Generator(seed, backend).permutation(n))
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


@pytest.mark.parametrize("p", [0.0, 1e-3, 0.3, 0.5, 0.999, 1.0])
def test_bernoulli_is_true_with_its_probability(p: float) -> None:
    count = int(np.sum(Generator(17, "numpy").bernoulli(p, N)))
    assert abs(count - p * N) <= 3.3 * math.sqrt(N * p * (1.0 - p))


@given(p=st.floats(0.0, 1.0), seed=st.integers(0, 99))
def test_bernoulli_is_a_uniform_below_p(backend: Backend, p: float, seed: int) -> None:
    expected = to_numpy(Generator(seed, backend).random((3, 5), "float64")) < p
    np.testing.assert_array_equal(to_numpy(Generator(seed, backend).bernoulli(p, (3, 5))), expected)


def test_bernoulli_takes_a_probability_for_each_element(backend: Backend, dtype: Any) -> None:
    p = backend.asarray(np.asarray([[0.0], [0.25], [1.0]]), dtype=dtype)
    drawn = to_numpy(Generator(5, backend).bernoulli(p, (3, 400)))
    expected = to_numpy(Generator(5, backend).random((3, 400), "float64")) < np.asarray([[0.0], [0.25], [1.0]])
    np.testing.assert_array_equal(drawn, expected)
    assert Generator(5, backend).bernoulli(p).shape == (3, 1)


def test_choices_have_their_probabilities() -> None:
    p = np.asarray([0.05, 0.0, 0.2, 0.75])
    counts = np.bincount(Generator(18, "numpy").choice(4, 4000, p=p), minlength=4)
    assert counts[1] == 0
    assert chi_square_excess(counts[p > 0], 4000 * p[p > 0]) < 1.0


def test_weighted_draws_without_replacement_take_their_share_of_what_is_left() -> None:
    p = [0.5, 0.3, 0.2]
    rng = Generator(19, "numpy")
    counts = np.zeros((3, 3))
    for _ in range(3000):
        first, second = rng.choice(3, 2, replace=False, p=p)
        counts[first, second] += 1
    expected = np.asarray([[p[i] * p[j] / (1 - p[i]) if i != j else 0.0 for j in range(3)] for i in range(3)])
    assert np.all(np.diag(counts) == 0)
    drawn = expected > 0
    assert chi_square_excess(counts[drawn], 3000 * expected[drawn]) < 1.0


@given(n=st.integers(1, 50), data=st.data())
def test_choices_without_replacement_differ(backend: Backend, n: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, n))
    p = data.draw(st.sampled_from([None, [1.0 / n] * n]))
    drawn = to_numpy(Generator(n, backend).choice(n, size, replace=False, p=p)).tolist()
    assert len(set(drawn)) == size
    assert set(drawn) <= set(range(n))


@pytest.mark.parametrize("replace", [True, False])
def test_a_choice_from_an_array_gives_its_entries(backend: Backend, replace: bool) -> None:
    entries = np.arange(24.0).reshape(4, 3, 2)
    index = to_numpy(Generator(2, backend).choice(4, (2, 2), replace))
    drawn = Generator(2, backend).choice(backend.asarray(entries), (2, 2), replace)
    assert_close(drawn, backend.asarray(entries[index]), "exact")


def test_probabilities_of_a_choice_may_live_on_the_device(backend: Backend) -> None:
    p = np.asarray([0.2, 0.3, 0.5], dtype=np.float32)
    from_host, from_device = (Generator(2, backend).choice(3, 20, p=each) for each in (p, backend.asarray(p)))
    assert_close(from_device, from_host, "exact")


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_a_dtype_is_given_by_name_or_in_the_backends_own_words(backend: Backend, name: str) -> None:
    dtype = getattr(backend.xp, name)
    for draw in (Generator(1, backend).random, Generator(1, backend).normal, Generator(1, backend).truncated_normal):
        assert draw(shape=3, dtype=name).dtype == dtype
        assert draw(shape=3, dtype=dtype).dtype == dtype
    assert Generator(1, backend).integers(0, 9, 3, backend.xp.uint8).dtype == backend.xp.uint8
    assert Generator(1, "numpy").random(3, np.dtype("float64")).dtype == np.float64


def test_a_single_draw_is_an_array_without_axes(backend: Backend) -> None:
    rng = Generator(1, backend)
    draws = [rng.random(), rng.normal(), rng.truncated_normal(), rng.integers(0, 5), rng.bernoulli(0.5), rng.choice(3)]
    for drawn in draws:
        assert type(drawn) is type(backend.zeros((1,)))
        assert drawn.shape == ()


def test_drawing_nothing_takes_nothing(backend: Backend) -> None:
    rng = Generator(1, backend)
    for shape in (0, (0, 3), (2, 0)):
        for drawn in (rng.random(shape), rng.normal(shape=shape), rng.bernoulli(0.5, shape), rng.choice(3, shape)):
            assert drawn.size == 0
        assert rng.integers(0, 1, shape).shape == (shape if isinstance(shape, tuple) else (shape,))
    assert rng.choice(0, 0).shape == (0,)
    assert rng.choice(0, (0, 2), replace=False).shape == (0, 2)
    assert rng.state() == Generator(1).state()


def test_draws_do_not_depend_on_what_else_the_process_drew() -> None:
    expected = Generator(4, "numpy").normal(shape=5)
    np.random.seed(1)  # noqa: NPY002 - the global state is what must not matter
    get_backend("numpy").random(99).random(1000)
    np.testing.assert_array_equal(Generator(4, "numpy").normal(shape=5), expected)
