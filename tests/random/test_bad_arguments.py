from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from portml.backends import Backend, get_backend
from portml.backends.kernels.random import normal_from_words, uniform_from_words
from portml.errors import ArgumentError, DtypeError, MixedBackendsError, PortmlError, RangeError, ShapeError
from portml.random import Generator

REFUSED: list[tuple[Callable[[Generator], Any], type[PortmlError], str]] = [
    (lambda rng: rng.random((-1,)), ShapeError, "shape: expected lengths of at least 0"),
    (lambda rng: rng.random(-1), ShapeError, "shape: expected lengths of at least 0"),
    (lambda rng: rng.random(2.5), ShapeError, "shape: expected an integer"),
    (lambda rng: rng.random((2, "3")), ShapeError, "shape: expected an integer"),
    (lambda rng: rng.random(3, "float16"), DtypeError, "dtype: expected one of float32, float64, got 'float16'"),
    (lambda rng: rng.random(3, "int32"), DtypeError, "dtype"),
    (lambda rng: rng.random(3, object()), DtypeError, "dtype"),
    (lambda rng: rng.uniform(1.0, 0.0), RangeError, "low: expected at most high=0.0, got 1.0"),
    (lambda rng: rng.uniform(0.0, math.inf), RangeError, "high: expected a finite number"),
    (lambda rng: rng.uniform(math.nan, 1.0), RangeError, "low: expected a finite number"),
    (lambda rng: rng.uniform(-1.7e308, 1.7e308), RangeError, "high - low: expected a finite number"),
    (lambda rng: rng.uniform("0", 1.0), ArgumentError, "low: expected a number"),
    (lambda rng: rng.normal(0.0, -1.0), RangeError, "std: expected at least 0, got -1.0"),
    (lambda rng: rng.normal(math.inf), RangeError, "mean"),
    (lambda rng: rng.normal(np.zeros(3)), ArgumentError, "mean: expected a number, got ndarray"),
    (lambda rng: rng.truncated_normal(std=0.0), RangeError, "std: expected more than 0"),
    (lambda rng: rng.truncated_normal(low=2.0, high=2.0), RangeError, "low: expected less than high=2.0"),
    (lambda rng: rng.truncated_normal(low=math.nan), RangeError, "low"),
    (lambda rng: rng.truncated_normal(low=50.0, high=51.0), RangeError, "no probability"),
    (lambda rng: rng.integers(3, 3), RangeError, "low: expected less than high=3"),
    (lambda rng: rng.integers(5, 3), RangeError, "low: expected less than high=3"),
    (lambda rng: rng.integers(0.0, 3), ArgumentError, "low: expected an integer, got 0.0"),
    (lambda rng: rng.integers(0, True), ArgumentError, "high: expected an integer"),
    (lambda rng: rng.integers(0, 257, 1, "uint8"), RangeError, "does not fit into uint8"),
    (lambda rng: rng.integers(-1, 5, 1, "uint64"), RangeError, "does not fit into uint64"),
    (lambda rng: rng.integers(0, 2**63 + 1), RangeError, "does not fit into int64"),
    (lambda rng: rng.integers(0, 5, 1, "float32"), DtypeError, "dtype"),
    (lambda rng: rng.permutation(-1), ArgumentError, "n: expected an integer of at least 0"),
    (lambda rng: rng.permutation(3.0), ArgumentError, "n: expected an integer"),
    (lambda rng: rng.counter(-1), ArgumentError, "n_words: expected an integer of at least 0"),
    (lambda rng: rng.bernoulli(1.01), RangeError, r"p: expected a probability in \[0, 1\], got 1.01"),
    (lambda rng: rng.bernoulli(-1e-9, 3), RangeError, "p"),
    (lambda rng: rng.bernoulli(math.nan), RangeError, "p"),
    (lambda rng: rng.bernoulli("0.5"), ArgumentError, "p: expected a number"),
    (lambda rng: rng.choice(0, 1), ArgumentError, "a: expected at least one entry"),
    (lambda rng: rng.choice(-3, 1), ArgumentError, "a: expected an integer of at least 0"),
    (lambda rng: rng.choice(3, 4, replace=False), ArgumentError, "4 draws without replacement from 3 entries"),
    (lambda rng: rng.choice(3, 1, p=[0.5, 0.5]), ArgumentError, "p: expected 3 probabilities"),
    (lambda rng: rng.choice(3, 1, p=0.5), ArgumentError, "p: expected 3 probabilities"),
    (lambda rng: rng.choice(2, 1, p=["a", "b"]), ArgumentError, "p: expected 2 probabilities"),
    (lambda rng: rng.choice(2, 1, p=[0.5, 0.4]), ArgumentError, "p: expected probabilities that sum to 1"),
    (lambda rng: rng.choice(2, 1, p=[0.0, 0.0]), ArgumentError, "p: expected probabilities that sum to 1"),
    (lambda rng: rng.choice(2, 1, p=[1.5, -0.5]), RangeError, "p: expected finite probabilities"),
    (lambda rng: rng.choice(2, 1, p=[1.0, math.nan]), RangeError, "p: expected finite probabilities"),
    (lambda rng: rng.choice(3, 2, False, [1.0, 0.0, 0.0]), ArgumentError, "but 1 probabilities above 0"),
    (lambda rng: rng.choice(rng.random(), 1), ShapeError, "a: expected an integer or an array with an axis"),
]


@pytest.mark.parametrize(
    ("draw", "error", "message"), REFUSED, ids=[f"{row[2][:40]}-{n}" for n, row in enumerate(REFUSED)]
)
def test_what_makes_no_sense_is_refused_and_takes_no_words(
    backend: Backend, draw: Callable[[Generator], Any], error: type[PortmlError], message: str
) -> None:
    rng = Generator(1, backend)
    rng.random()
    before = rng.state()
    with pytest.raises(error, match=message) as raised:
        draw(rng)
    assert type(raised.value) is error
    assert rng.state()["position"] - before["position"] in (0, 1)  # one where the case itself draws its argument


@pytest.mark.parametrize("p", [[0.5, 1.5], [-0.1, 0.5], [math.nan, 0.5]])
def test_probabilities_outside_their_range_are_refused_on_the_host(p: list[float]) -> None:
    with pytest.raises(RangeError, match="p: expected probabilities"):
        Generator(1, "numpy").bernoulli(np.asarray(p))


@pytest.mark.parametrize(("given", "shape"), [((3,), (4,)), ((2, 3), (3,)), ((2, 1), (3, 5)), ((1,), ())])
def test_probabilities_that_do_not_broadcast_are_refused(
    backend: Backend, given: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    with pytest.raises(ShapeError, match="shape: expected one to which p"):
        Generator(1, backend).bernoulli(backend.full(given, 0.5), shape)


def test_probabilities_that_are_no_floats_are_refused(backend: Backend) -> None:
    with pytest.raises(DtypeError, match="p: expected floating-point numbers"):
        Generator(1, backend).bernoulli(backend.zeros((3,), "int64"))


def test_probabilities_of_another_backend_are_refused() -> None:
    with pytest.raises(MixedBackendsError, match="strict"):
        Generator(1, "strict").bernoulli(get_backend("numpy").full((3,), 0.5))


@pytest.mark.parametrize("kernel", [uniform_from_words, normal_from_words])
def test_a_wrong_number_of_words_is_refused(backend: Backend, kernel: Any) -> None:
    words = backend.zeros((5,), "uint64")
    for dtype in ("float32", "float64"):
        with pytest.raises(ShapeError, match="words: expected shape"):
            kernel(words, shape=(3,), dtype=dtype)
