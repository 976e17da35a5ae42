"""Steps that a replay could get wrong without a word: each is the step bit for bit, or refused."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from threading import Thread

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as given_any
from hypothesis import strategies as st

import portml
from portml import nn, optim
from portml.backends import operations, to_numpy
from portml.backends.kernel import kernels_switched
from portml.errors import CaptureError


def same_bits(one, other):
    one, other = np.asarray(to_numpy(one)), np.asarray(to_numpy(other))
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


def check(step, given, replays):
    """That the captured step gives what the step does; how often it must have been a replay."""
    captured = portml.capture(step)
    for arguments in given:
        expected = step(*(portml.Tensor(each) for each in arguments))
        result = captured(*arguments)
        expected, result = (each if isinstance(each, tuple) else (each,) for each in (expected, result))
        assert all(map(same_bits, expected, result))
    assert captured.replays == replays


def given(backend, *rows, dtype="float32"):
    return [(backend.asarray(row, dtype),) for row in rows]


def test_truths_are_told_apart(backend):
    rows = given(backend, [1, 6], [2, 7], [1, 2], [-1, 7])
    check(lambda x: (operations.all(x > 0), operations.any(x > 5)), rows, 2)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_a_sum_is_no_number_of_the_host(backend, dtype):
    rows = given(backend, [1, 6], [1, 6], [2, 7], [3, 8], dtype=dtype)
    check(lambda x: (operations.sum(x), operations.sum(x) * 2.0 + x), rows, 2)


def test_what_is_handed_back_lies_where_it_was_made(backend):
    def step(x):
        zeros, ones = operations.zeros_like(x), operations.ones_like(x)
        ordered = operations.sort(x)
        zeros, ones, ordered = (operations.astype(each, x.dtype, copy=False) for each in (zeros, ones, ordered))
        return operations.exp(x) * ones + zeros + operations.tanh(ordered)

    check(step, given(backend, [1, 6], [1, 6], [2, 7], [3, -8]), 2)


@pytest.mark.parametrize(
    "step",
    [
        lambda x: operations.exp(operations.unique_values(x)),
        lambda x: operations.take(x, operations.nonzero(x)[0]),
        lambda x: operations.exp(operations.repeat(x, operations.astype(x, "int64"))),
        lambda x: operations.exp(x[x > 0]),
    ],
    ids=["unique_values", "nonzero", "repeat", "mask"],
)
def test_shapes_that_depend_on_the_numbers_are_refused(step):
    with pytest.raises(CaptureError, match="depends on the numbers"):
        portml.capture(step)(np.asarray([1.0, 2.0]))


@pytest.mark.parametrize(
    "step",
    [
        lambda x: operations.write_into(x.value, x.value * 2.0),
        lambda x: operations.write_into(operations.reshape(x.value, (2, 1)), operations.reshape(x.value, (2, 1)) * 2.0),
        lambda x: operations.exp(x.value, out=x.value),
    ],
    ids=["write_into", "view", "out"],
)
def test_writing_into_what_is_given_is_refused(backend, step):
    with pytest.raises(CaptureError, match="writes into an array that it is given"):
        portml.capture(step)(backend.asarray([1.0, 2.0]))


def test_options_of_other_names_are_another_step(backend):
    step = portml.capture(lambda x, *, factor=1, shift=0: x * factor + shift)
    x = backend.asarray([1.0, 2.0])
    for _ in range(3):
        step(x, factor=3)
    assert to_numpy(step(x, shift=3)).tolist() == [4, 5]


def test_structures_of_as_many_arrays_are_told_apart(backend):
    step = portml.capture(lambda pair: pair[0] - pair[1] if isinstance(pair, tuple) else pair["a"] * pair["b"])
    one, two = backend.asarray([1.0, 2.0]), backend.asarray([3.0, 4.0])
    for _ in range(3):
        step((one, two))
    assert to_numpy(step({"a": one, "b": two})).tolist() == [3, 8]
    assert to_numpy(step((one, two))).tolist() == [-2, -2]


def test_the_sign_of_a_zero_counts(backend):
    step = portml.capture(lambda x, factor: x * factor)
    for _ in range(3):
        step(backend.asarray([1.0]), 0.0)
    assert np.signbit(to_numpy(step(backend.asarray([1.0]), -0.0))).all()


@pytest.mark.parametrize("first", ["C", "F"])
def test_sums_follow_the_layout_of_what_is_given(first):
    numbers = np.random.default_rng(0).standard_normal((64, 1000)).astype("float32")
    layouts = {"C": numbers, "F": np.asfortranarray(numbers)}
    second = "CF".replace(first, "")
    order = [first] * 3 + [second] * 3 + [first]
    check(lambda x: (operations.sum(x), operations.sum(x, axis=1)), [(layouts[each],) for each in order], 3)


def test_other_bodies_are_another_recording():
    layer = nn.Linear(2, 2, rng=0)
    step = portml.capture(lambda x: layer(x))
    x = np.ones((3, 2), "float32")
    for _ in range(3):
        step(x)
    with kernels_switched("agnostic", "numpy"):
        step(x)
    assert step.replays == 1


def test_what_a_step_works_out_is_not_held():
    seen = []

    def step(x):
        result = operations.exp(x) * 2.0
        seen.append(weakref.ref(result.value))
        return operations.sin(result), result

    step = portml.capture(step)
    x = np.ones(7)
    given = weakref.ref(x)
    for _ in range(3):
        step(x)
    del x
    gc.collect()
    assert [each() for each in seen] == [None, None]
    assert given() is None


def test_results_keep_the_order_of_their_axes():
    turned = portml.capture(
        lambda x: (operations.permute_dims(x, (1, 0)), operations.exp(operations.permute_dims(x, (1, 0))))
    )
    for _ in range(3):
        results = turned(np.ones((2, 3)))
    assert [result.value.flags.f_contiguous for result in results] == [True, True]


# --- What changes beside the arrays -----------------------------------------------------------------------------------


class Either(nn.Module):
    """One of two layers, so that the other gets no gradient; and a list of settings."""

    def __init__(self, backend) -> None:
        self.layers = nn.ModuleList([nn.Linear(6, 6, rng=i, backend=backend) for i in range(2)])
        self.factors = [1.0]
        self.one = False

    def forward(self, x):
        """layers[0](x), or layers[1](x)"""
        return self.layers[-1 if self.one else 0](x) * self.factors[0]


def sides(backend, make):
    """A model with its optimizer and a step of them, twice; the second is captured."""
    found = []
    for number in range(2):
        model = Either(backend)
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        step = make(model, optimizer)
        found.append((model, optimizer, portml.capture(step, fallback=True) if number else step))
    return found


def mean_square(output):
    return operations.mean(output * output)


def whole(model, optimizer):
    def step(x):
        optimizer.zero_grad()
        loss = mean_square(model(x))
        loss.backward()
        optimizer.step()
        return loss

    return step


def without_clearing(model, optimizer):
    def step(x):
        loss = mean_square(model(x))
        loss.backward()
        optimizer.step()
        return loss

    return step


def update_alone(model, optimizer):
    def step(x):
        optimizer.step()
        return x

    return step


def compare_sides(backend, make, between, n=10):
    """That weights and states are the same bit for bit; gives how many steps were replayed."""
    found = sides(backend, make)
    draws = np.random.default_rng(0)
    for number in range(n):
        x = draws.standard_normal((5, 6)).astype("float32")
        results = []
        for model, optimizer, step in found:
            between(number, model, optimizer, portml.Tensor(backend.asarray(x)))
            results.append(step(portml.Tensor(backend.asarray(x))))
        assert same_bits(*results), number
        (ours, one, _), (theirs, other, _) = found
        assert all(map(same_bits, ours.state_dict().values(), theirs.state_dict().values())), number
        assert repr(one.state_dict()) == repr(other.state_dict()), number
    return found[1][2].replays


def test_gradients_of_others_outside_a_step_count(backend):
    def between(number, model, optimizer, x):
        optimizer.zero_grad()
        if number in (4, 6):
            mean_square(model.layers[1](x)).backward()

    assert compare_sides(backend, without_clearing, between) >= 2


def test_an_update_alone_takes_the_gradients_that_there_are(backend):
    def between(number, model, optimizer, x):
        optimizer.zero_grad()
        model.one = number in (4, 5, 6)
        mean_square(model(x)).backward()

    assert compare_sides(backend, update_alone, between) >= 2


def test_counts_of_steps_that_grow_apart_are_noticed(backend):
    def between(number, model, optimizer, x):
        if number == 4:
            optimizer.zero_grad()
            mean_square(model.layers[1](x)).backward()
            optimizer.step()
        optimizer.zero_grad()
        for layer in model.layers:
            mean_square(layer(x)).backward()

    assert compare_sides(backend, update_alone, between) >= 2


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model, "one", True),
        lambda model: model.factors.__setitem__(0, 3.0),
        lambda model: model.layers.pop(0),
        lambda model: model.layers.__setitem__(0, nn.Tanh()),
        lambda model: model.layers[0].weight.assign(operations.zeros_like(model.layers[0].weight.value)),
    ],
    ids=["switch", "list", "pop", "replace", "assign"],
)
def test_parts_changed_in_place_count(backend, change):
    def between(number, model, optimizer, x):
        if number == 5:
            change(model)

    def frozen(model, optimizer):
        return lambda x: model(x)

    assert compare_sides(backend, frozen, between) >= 6


# --- Memory -----------------------------------------------------------------------------------------------------------


def test_what_a_caller_does_to_results_harms_nothing():
    step = portml.capture(lambda x: (operations.ones_like(x), portml.namespace(x).zeros((2,)), x * 2.0, x))
    for number in range(6):
        results = step(np.full(2, float(number)))
        assert [result.numpy().tolist() for result in results] == [[1, 1], [0, 0], [2 * number] * 2, [number] * 2]
        for result in results:
            result.value[...] = 99


@pytest.mark.parametrize(
    "cut",
    [
        lambda x: x[:, :133],
        lambda x: x[::2, ::3],
        lambda x: x[::-1, ::-1],
        lambda x: x.T,
        lambda x: x[:, :2],
        lambda x: np.broadcast_to(x[0], x.shape),
        lambda x: x[:0],
    ],
    ids=["columns", "steps", "backward", "turned", "wide gaps", "repeated", "empty"],
)
def test_sums_over_gaps_are_rounded_alike(cut):
    def step(x):
        xp = portml.namespace(x)
        return xp.sum(xp.exp(x)), xp.sum(x, axis=1), xp.sum(x, axis=0)

    draws = np.random.default_rng(0)
    check(step, [(cut(draws.standard_normal((100, 200)).astype("float32")),) for _ in range(5)], 3)


def test_a_mean_of_half_precision_is_added_up_as_ever():
    draws = np.random.default_rng(0)
    rows = [(draws.standard_normal((50, 40)).astype("float16"),) for _ in range(6)]
    check(lambda x: (operations.mean(x), operations.mean(x, axis=0)), rows, 4)


def test_memory_does_not_grow_with_replays():
    model = nn.Linear(6, 6, rng=0)
    step = portml.capture(whole(model, optim.Adam(model.parameters())))
    x = np.ones((5, 6), "float32")
    for _ in range(20):
        step(x)
    tracemalloc.start()
    try:
        for _ in range(5):
            step(x)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(400):
            step(x)
        assert tracemalloc.get_traced_memory()[0] - before < 40_000
    finally:
        tracemalloc.stop()


def test_threads_wait_for_each_other():
    def step(x):
        return operations.exp(x) * 2.0 + operations.sum(x)

    captured = portml.capture(step)
    wrong = []

    def work(start):
        for number in range(60):
            x = np.full(3 + number % 3, (start + number) / 100)
            if not same_bits(captured(x), step(portml.Tensor(x))):
                wrong.append((start, number))

    threads = [Thread(target=work, args=(1000 * i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong
    assert captured.replays > 100


def test_a_step_that_runs_as_it_is_may_call_itself():
    def halved(x):
        return x if float(to_numpy(portml.namespace(x).max(x))) < 1 else captured(x / 2.0)

    captured = portml.capture(halved, fallback=True)
    captured(np.asarray([0.5]))
    assert captured(np.asarray([8.0])).numpy().tolist() == [0.5]


# --- Any graph of operations ------------------------------------------------------------------------------------------

UNARY = ["exp", "tanh", "negative", "abs", "square", "sign", "floor", "sqrt"]
BINARY = ["add", "subtract", "multiply", "maximum", "minimum", "divide", "hypot", "copysign"]
REDUCED = ["sum", "mean", "max", "min"]


def calculated(kind, choice, u, v):
    """One operation of a random graph, on arrays (3, 4)."""
    shape = (3, 4)
    if kind == "unary":
        return getattr(operations, UNARY[choice % len(UNARY)])(u)
    if kind == "binary":
        return getattr(operations, BINARY[choice % len(BINARY)])(u, v)
    if kind == "number":
        return getattr(operations, BINARY[choice % 3])(u, float(choice % 7) - 3.0)
    if kind == "where":
        return operations.where(u > 0.0, u, v)
    if kind == "reduce":
        reduced = getattr(operations, REDUCED[choice % len(REDUCED)])(u, axis=choice % 2, keepdims=True)
        return operations.broadcast_to(reduced, shape)
    if kind == "turn":
        return operations.permute_dims(operations.reshape(u, (4, 3)), (1, 0))
    if kind == "flip":
        return u[:, ::-1] if choice % 2 else operations.flip(u, axis=0)
    if kind == "write":
        into = operations.zeros_like(u.value)
        operations.write_into(operations.reshape(into, (4, 3)), operations.reshape(v.value, (4, 3)))
        return portml.Tensor(into)
    if kind == "join":
        return operations.concat([u[:1], v[1:]], axis=0)
    if kind == "stack":
        return operations.stack([u, v], axis=choice % 3)[(slice(None),) * (choice % 3) + (0,)]
    if kind == "product":
        return operations.matmul(u, operations.matmul(operations.permute_dims(v, (1, 0)), u))
    return operations.astype(u, u.dtype, copy=bool(choice % 2))


KINDS = [
    *("unary", "binary", "number", "where", "reduce", "turn", "flip", "write", "join", "stack", "product", "astype"),
]
CALLS = st.tuples(st.sampled_from(KINDS), *[st.integers(0, 100)] * 3)


@settings(
    max_examples=40, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given_any(
    calls=st.lists(CALLS, min_size=2, max_size=14), returned=st.lists(st.integers(0, 100), min_size=1, max_size=3)
)
def test_any_graph_of_operations_is_replayed_bit_for_bit(backend, calls, returned):
    held = backend.asarray(np.random.default_rng(1).standard_normal((3, 4)).astype("float32"))

    def step(x, y):
        pool = [x, y, portml.Tensor(held)]
        for kind, choice, one, other in calls:
            pool.append(calculated(kind, choice, pool[one % len(pool)], pool[other % len(pool)]))
        return tuple(pool[i % len(pool)] for i in [*returned, len(pool) - 1])

    captured = portml.capture(step)
    draws, kept = np.random.default_rng(0), []
    with np.errstate(all="ignore"):
        for number in range(5):
            x, y = (backend.asarray(draws.standard_normal((3, 4)).astype("float32")) for _ in range(2))
            y = x if number == 3 else y
            kept.append((step(portml.Tensor(x), portml.Tensor(y)), captured(x, y)))
    for expected, result in kept:
        for one, other in zip(expected, result, strict=True):
            assert np.array_equal(to_numpy(one), to_numpy(other), equal_nan=True)
    assert captured.replays == 3
