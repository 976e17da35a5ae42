"""Captured steps: the same numbers as the step itself, whatever it does; noticed changes; clear refusals."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import portml
from portml import nn, optim
from portml.autograd import no_grad
from portml.backends import operations, to_numpy
from portml.errors import CaptureError, RangeError, StaleOptimizerError
from portml.random import Generator


class Residual(nn.Module):
    """A block whose sum is plain arithmetic of Tensors."""

    def __init__(self, rng: Generator, backend) -> None:
        self.inner = nn.Linear(6, 6, rng=rng, backend=backend)

    def forward(self, x):
        """x + tanh(inner(x)) / 2"""
        return x + portml.namespace(x).tanh(self.inner(x)) / 2


def dense(rng, backend):
    return nn.Sequential(
        nn.Linear(6, 8, rng=rng, backend=backend),
        nn.GELU(),
        nn.Dropout(0.3, rng=3, backend=backend),
        nn.LayerNorm(8, backend=backend),
        nn.Linear(8, 3, rng=rng, backend=backend),
    )


def residual(rng, backend):
    return nn.Sequential(Residual(rng, backend), Residual(rng, backend), nn.Linear(6, 3, rng=rng, backend=backend))


def convolutional(rng, backend):
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)),
        nn.Conv2d(1, 4, 2, padding=1, rng=rng, backend=backend),
        nn.BatchNorm2d(4, backend=backend),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8, 3, rng=rng, backend=backend),
    )


def attentive(rng, backend):
    return nn.Sequential(
        nn.Unflatten(1, (2, 3)),
        nn.Linear(3, 8, rng=rng, backend=backend),
        nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, dropout=0.1, batch_first=True, rng=rng, backend=backend),
        nn.Flatten(),
        nn.Linear(16, 3, rng=rng, backend=backend),
    )


MODELS = [dense, residual, convolutional, attentive]
OPTIMIZERS = [
    lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9),
    lambda parameters: optim.AdamW(parameters, lr=0.01),
]


def training(make, backend, optimizer=OPTIMIZERS[1], clip=False):
    """A model with its step, everything drawn from the same seeds."""
    model = make(Generator(0, backend), backend)
    optimizer = optimizer(model.parameters())
    loss = nn.CrossEntropyLoss()

    def step(x, y):
        optimizer.zero_grad()
        output = model(x)
        value = loss(output, y)
        value.backward()
        if clip:
            optim.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        return value, output

    return model, optimizer, step


def batches(backend, n=6, size=5):
    draws = np.random.default_rng(1)
    for _ in range(n):
        x = draws.standard_normal((size, 6)).astype("float32")
        yield backend.asarray(x), backend.asarray(draws.integers(0, 3, size))


def equal(one, other):
    return np.array_equal(to_numpy(one), to_numpy(other))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["SGD", "AdamW"])
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_a_captured_step_is_the_step_bit_for_bit(backend, make, optimizer):
    ours, _, step = training(make, backend, optimizer, clip=True)
    theirs, _, replayed = training(make, backend, optimizer, clip=True)
    replayed = portml.capture(replayed)
    for x, y in batches(backend):
        for one, other in zip(step(x, y), replayed(x, y), strict=True):
            assert equal(one, other)
    assert replayed.replays == 4
    for (name, one), (_, other) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert equal(one, other), name


def test_a_recurrent_step_is_captured(backend):
    def make():
        layer = nn.LSTM(6, 4, rng=Generator(0, backend), backend=backend)
        optimizer = optim.SGD(layer.parameters(), lr=0.1)

        def step(x):
            optimizer.zero_grad()
            output, _ = layer(x)
            loss = portml.namespace(output).sum(output * output)
            loss.backward()
            optimizer.step()
            return loss

        return step

    eager, replayed = make(), portml.capture(make())
    x = backend.asarray(np.random.default_rng(0).standard_normal((7, 2, 6)).astype("float32"))
    for _ in range(5):
        assert equal(eager(x), replayed(x))
    assert replayed.replays == 3


def test_results_belong_to_the_caller(backend):
    doubled = portml.capture(lambda x: (x, x * 2.0, operations.reshape(x * 3.0, (2,))))
    kept = [doubled(backend.asarray([float(i), 1.0])) for i in range(5)]
    for i, results in enumerate(kept):
        for factor, result in zip((1, 2, 3), results, strict=True):
            assert to_numpy(result).tolist() == [i * factor, factor]


def test_the_shape_of_what_a_step_takes_and_returns_is_kept(backend):
    @portml.capture
    def step(pair, *, scale):
        return {"sum": pair[0] + pair[1], "scale": scale, "nothing": None}

    one, two = backend.asarray([1.0]), backend.asarray([2.0])
    for _ in range(4):
        result = step((one, two), scale=3)
    assert (to_numpy(result["sum"]).tolist(), result["scale"], result["nothing"]) == ([3.0], 3, None)
    assert step.replays == 2


def test_other_shapes_and_types_are_recorded_beside(backend):
    step = portml.capture(lambda x: x + 1.0)
    for _ in range(3):
        for shape, dtype in [((2,), "float32"), ((3,), "float32"), ((2,), "float64")]:
            result = step(backend.zeros(shape, dtype))
            assert tuple(result.shape) == shape
            assert result.dtype == backend.dtype(dtype)
    assert len(step.programs) == 3


def test_a_copy_records_for_itself():
    layer = nn.Linear(2, 2, rng=0)
    step = portml.capture(layer)
    x = np.ones((1, 2))
    for _ in range(3):
        step(x)
    copied = copy.deepcopy(step)
    copied.step.weight.assign(np.zeros((2, 2)))
    assert equal(copied(x), copied.step(x))
    assert equal(step(x), layer(x))
    assert (step.replays, copied.replays) == (2, 0)


def test_only_the_shapes_used_last_are_kept(backend):
    step = portml.capture(lambda x: x + 1.0)
    for n in range(20):
        for _ in range(2):
            step(backend.zeros((n,), "float32"))
    assert len(step.programs) == 16


def test_a_new_learning_rate_counts_at_once(backend):
    (_, ours, step), (_, theirs, replayed) = (training(dense, backend) for _ in range(2))
    replayed = portml.capture(replayed)
    for number, (x, y) in enumerate(batches(backend)):
        for optimizer in (ours, theirs):
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + number)
        assert equal(step(x, y)[0], replayed(x, y)[0])
    assert replayed.replays == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda model, optimizer: optimizer.param_groups[0].update(betas=(0.5, 0.9)),
        lambda model, optimizer: model.eval(),
        lambda model, optimizer: setattr(model[2], "p", 0.9),
        lambda model, optimizer: model[0].requires_grad_(False),
        lambda model, optimizer: model[2].rng.set_state(Generator(9).state()),
    ],
    ids=["option", "mode", "setting", "freeze", "seed"],
)
def test_what_changes_beside_the_arrays_is_noticed(backend, change):
    (_, _, step), (_, _, replayed) = sides = [training(dense, backend) for _ in range(2)]
    replayed = portml.capture(replayed)
    for number, (x, y) in enumerate(batches(backend, 9)):
        if number == 4:
            for model, optimizer, _ in sides:
                change(model, optimizer)
        assert equal(step(x, y)[0], replayed(x, y)[0]), number
    assert replayed.replays == 5


def test_a_model_that_another_optimizer_took_is_refused_as_ever(backend):
    model, _, step = training(dense, backend)
    step = portml.capture(step)
    for x, y in batches(backend, 4):
        step(x, y)
    optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(StaleOptimizerError):
        step(x, y)


def test_gradients_arrive_where_an_optimizer_outside_finds_them(backend):
    def make():
        model = dense(Generator(0, backend), backend)
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def backward(x, y):
            loss = nn.CrossEntropyLoss()(model(x), y)
            loss.backward()
            return loss

        return model[0], optimizer, backward

    (one, ours, eager), (other, theirs, replayed) = make(), make()
    replayed = portml.capture(replayed)
    for x, y in batches(backend):
        for optimizer, step in ((ours, eager), (theirs, replayed)):
            optimizer.zero_grad()
            step(x, y)
            optimizer.step()
        assert equal(one.weight, other.weight)
    assert replayed.replays == 4


def test_gradients_add_up_over_steps(backend):
    def make():
        layer = nn.Linear(6, 3, rng=Generator(0, backend), backend=backend)
        optimizer = optim.SGD(layer.parameters(), lr=0.1)

        def backward(x, y):
            loss = nn.CrossEntropyLoss()(layer(x), y)
            loss.backward()
            return loss

        return layer, optimizer, backward

    (ours, one, eager), (theirs, other, replayed) = make(), make()
    replayed = portml.capture(replayed)
    for number, (x, y) in enumerate(batches(backend, 12)):
        for optimizer, step in ((one, eager), (other, replayed)):
            step(x, y)
            if number % 3 == 2:
                optimizer.step()
                optimizer.zero_grad()
        assert number % 3 == 2 or equal(ours.weight.grad, theirs.weight.grad)
        assert equal(ours.weight, theirs.weight)


def test_inference_is_captured(backend):
    model = convolutional(Generator(0, backend), backend).eval()

    @portml.capture
    def predict(x):
        with no_grad():
            return model(x)

    for x, _ in batches(backend, 4):
        with no_grad():
            assert equal(model(x), predict(x))
    assert predict.replays == 2
    (program,) = predict.programs
    assert program.n_bytes <= program.n_bytes_apart


def test_a_model_that_moved_is_recorded_again(backend):
    model = nn.Linear(6, 3, rng=Generator(0, backend), backend=backend)
    predict = portml.capture(lambda x: model(x))
    (x, _), *_ = batches(backend, 1)
    for _ in range(3):
        predict(x)
    model.weight.rebind(model.weight.value * 2.0)
    assert equal(predict(x), model(x))


def test_an_error_in_a_replay_is_the_steps_own_and_harms_nothing(backend):
    _, _, step = training(dense, backend)
    step = portml.capture(step)
    for x, y in batches(backend, 3):
        step(x, y)
    if not backend.host:
        assert np.isnan(to_numpy(step(x, y + 3)[0]))
        return
    with pytest.raises(RangeError, match="labels"):
        step(x, y + 3)
    assert np.isfinite(float(step(x, y)[0]))


# --- refusals -------------------------------------------------------------------------------------------------------


def reads_a_number(x):
    return x * float(to_numpy(portml.namespace(x).sum(x)))


def asks_for_a_tensors_truth(x):
    return x if bool(portml.namespace(x).sum(x) > 0) else -x


def works_beside_the_doorway(x):
    return portml.namespace(x.value).exp(x.value) * 1.0


def returns_a_generator(x):
    return (each for each in [x])


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (reads_a_number, "to_numpy"),
        (asks_for_a_tensors_truth, "truth"),
        (returns_a_generator, "returns a generator"),
    ],
)
def test_what_a_replay_could_not_do_is_refused(step, why):
    step = portml.capture(step)
    with pytest.raises(CaptureError, match=why):
        step(np.asarray([1.0, 2.0]))


def test_numbers_worked_out_beside_the_doorway_are_refused():
    step = portml.capture(lambda x: operations.add(x, np.exp(x.value)))
    x = np.asarray([1.0, 2.0])
    step(x)
    step(x)
    step(x)
    with pytest.raises(CaptureError, match="add, has other arguments"):
        step(x)


def test_a_view_of_a_result_that_arrays_make_themselves_is_refused():
    step = portml.capture(lambda x: operations.add(1.0, operations.exp(x).value[::-1]))
    with pytest.raises(CaptureError, match="view"):
        step(np.asarray([1.0, 2.0]))


def test_arrays_written_beside_the_doorway_are_refused():
    count = np.zeros(2)

    def step(x):
        np.add(count, 1.0, out=count)
        return x + count

    step = portml.capture(step)
    step(np.zeros(2))
    with pytest.raises(CaptureError, match="written beside"):
        step(np.zeros(2))


def test_a_step_that_does_something_else_each_time_is_refused():
    calls = []

    def step(x):
        calls.append(1)
        for _ in calls:
            x = x + 1.0
        return x

    step = portml.capture(step)
    for _ in range(3):
        step(np.zeros(2))
    with pytest.raises(CaptureError, match="calls"):
        step(np.zeros(2))


def test_with_a_fallback_such_a_step_runs_as_it_is():
    step = portml.capture(reads_a_number, fallback=True)
    for _ in range(4):
        assert to_numpy(step(np.asarray([1.0, 2.0]))).tolist() == [3.0, 6.0]
    assert "to_numpy" in step.refusals[0]
    assert step.replays == 0


def test_hooks_are_refused():
    model = nn.Linear(2, 2, rng=0)
    model.register_forward_hook(lambda module, inputs, output: None)
    with pytest.raises(CaptureError, match="hook"):
        portml.capture(lambda x: model(x))(np.zeros((1, 2)))


def test_captures_do_not_nest():
    inner = portml.capture(lambda x: x + 1.0)
    with pytest.raises(CaptureError, match="inside another"):
        portml.capture(lambda x: inner(x))(np.zeros(2))


@pytest.mark.parametrize("arguments", [(), (3,), ("text",)])
def test_a_step_without_arrays_is_refused(arguments):
    with pytest.raises(CaptureError, match="at least one array"):
        portml.capture(lambda *given: given)(*arguments)


def test_an_argument_that_is_no_array_is_refused():
    with pytest.raises(CaptureError, match="got a set"):
        portml.capture(lambda x, y: x)(np.zeros(2), {1})


def test_an_argument_that_takes_a_gradient_is_refused():
    with pytest.raises(CaptureError, match="gradient"):
        portml.capture(lambda x: x)(portml.Tensor(np.zeros(2), requires_grad=True))


def test_a_gradient_of_the_steps_own_tensor_is_returned(backend):
    weight = backend.asarray([1.0, 2.0])

    @portml.capture
    def slope(x):
        inside = portml.Tensor(x, requires_grad=True)
        portml.namespace(inside).sum(inside * inside * weight).backward()
        return inside.grad

    kept = [slope(backend.asarray([float(i), 1.0])) for i in range(5)]
    assert [to_numpy(each).tolist() for each in kept] == [[2.0 * i, 4.0] for i in range(5)]
    assert slope.replays == 3


def test_a_gradient_that_would_be_left_behind_is_refused(backend):
    leaf = portml.Tensor(backend.asarray([1.0, 2.0]), requires_grad=True)

    def step(x):
        loss = portml.namespace(leaf).sum(leaf * x)
        loss.backward()
        return loss

    with pytest.raises(CaptureError, match="no optimizer holds"):
        portml.capture(step)(backend.asarray([1.0, 1.0]))
