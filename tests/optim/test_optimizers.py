"""Optimizers: the guide's numbers, the papers' formulas, groups, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from portml import nn
from portml.autograd import Tensor
from portml.autograd.parameter import Parameter
from portml.backends import get_backend, operations, to_numpy
from portml.errors import ArgumentError, CheckpointError, DtypeError, GradientError
from portml.optim import LAMB, LARS, SGD, Adagrad, Adam, AdamW, Lion, NAdam, RAdam, RMSprop

EVERY = {
    "sgd": lambda params: SGD(params, lr=0.1),
    "momentum": lambda params: SGD(params, lr=0.1, momentum=0.9),
    "nesterov": lambda params: SGD(params, lr=0.1, momentum=0.9, nesterov=True),
    "dampened": lambda params: SGD(params, lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.1),
    "adagrad": lambda params: Adagrad(params, lr=0.1, lr_decay=0.1, weight_decay=0.1),
    "rmsprop": lambda params: RMSprop(params, lr=0.1),
    "centred": lambda params: RMSprop(params, lr=0.1, centered=True, momentum=0.9, weight_decay=0.1),
    "adam": lambda params: Adam(params, lr=0.1, weight_decay=0.1),
    "adamw": lambda params: AdamW(params, lr=0.1, weight_decay=0.1),
    "amsgrad": lambda params: Adam(params, lr=0.1, amsgrad=True),
    "begun": lambda params: Adagrad(params, lr=0.1, initial_accumulator_value=0.5),
    "nadam": lambda params: NAdam(params, lr=0.1, weight_decay=0.1),
    "radam": lambda params: RAdam(params, lr=0.1, weight_decay=0.1, betas=(0.9, 0.9)),
    "lion": lambda params: Lion(params, lr=0.1, weight_decay=0.1),
    "lamb": lambda params: LAMB(params, lr=0.1, weight_decay=0.1),
    "lars": lambda params: LARS(params, lr=1.0, weight_decay=0.1, trust_coefficient=0.1),
}


@pytest.fixture(params=EVERY)
def make(request):
    """Each optimizer, with options that use all of its state."""
    return EVERY[request.param]


def parameters(backend, dtype="float64", shapes=((3, 2), (2,), (4,))):
    rng = np.random.default_rng(0)
    return [Parameter(backend.asarray(rng.normal(size=shape), dtype=dtype)) for shape in shapes]


def give_gradients(params, step):
    rng = np.random.default_rng(step + 1)
    for parameter in params:
        parameter.grad = None
        loss = operations.sum(operations.multiply(parameter, _like(parameter, rng)))
        loss.backward()


def _like(parameter, rng):
    from portml.backends import backend_of

    return backend_of(parameter).asarray(rng.normal(size=parameter.shape), dtype=parameter.dtype)


def rosenbrock(position):
    x, y = position[0], position[1]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


@pytest.mark.parametrize(
    ("optimizer", "end"),
    [
        (lambda params: SGD(params, lr=0.001), (-1.225, 1.510)),
        (lambda params: SGD(params, lr=0.001, momentum=0.9), (0.983, 0.966)),
        (lambda params: Adagrad(params, lr=0.1, eps=1e-8), (-1.271, 1.622)),
        (lambda params: RMSprop(params, lr=0.01, alpha=0.9), (-1.052, 1.127)),
        (lambda params: Adam(params, lr=0.01), (-1.289, 1.667)),
    ],
    ids=["sgd", "momentum", "adagrad", "rmsprop", "adam"],
)
def test_two_hundred_steps_down_rosenbrocks_valley_end_where_the_guide_says(backend, optimizer, end):
    position = Parameter(backend.asarray([-1.0, 2.0], dtype="float64"))
    descent = optimizer([position])
    for _ in range(200):
        descent.zero_grad()
        rosenbrock(position).backward()
        descent.step()
    np.testing.assert_allclose(to_numpy(position), end, atol=6e-4)


def test_adam_takes_the_papers_steps(backend):
    value = np.asarray([1.0, -2.0, 0.5])
    parameter = Parameter(backend.asarray(value))
    adam = Adam([parameter], lr=0.1, betas=(0.8, 0.9), eps=1e-3)
    m = v = np.zeros(3)
    rng = np.random.default_rng(0)
    for t in range(1, 6):
        g = rng.normal(size=3)
        parameter.grad = backend.asarray(g)
        adam.step()
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        value = value - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.9**t)) + 1e-3)
    np.testing.assert_allclose(to_numpy(parameter), value, rtol=1e-12)


def test_a_parameter_without_a_gradient_takes_no_step_and_keeps_its_count(backend, make):
    first, second, third = parameters(backend)
    optimizer = make([first, second, third])
    untouched = to_numpy(second).copy()
    for step in range(3):
        optimizer.zero_grad()
        give_gradients([first, third], step)
        optimizer.step()
    np.testing.assert_array_equal(to_numpy(second), untouched)
    assert sorted(optimizer.state_dict()["state"]) == [0, 2]

    alone = parameters(backend)
    separate = [make([alone[0]]), make([alone[2]])]
    for step in range(3):
        give_gradients([alone[0], alone[2]], step)
        for one in separate:
            one.step()
    np.testing.assert_allclose(to_numpy(first), to_numpy(alone[0]), rtol=1e-13)
    np.testing.assert_allclose(to_numpy(third), to_numpy(alone[2]), rtol=1e-13)


def test_a_parameter_that_joins_later_starts_at_its_own_first_step(backend, make):
    together, apart = parameters(backend), parameters(backend)
    optimizer, separate = make(together), [make([parameter]) for parameter in apart]
    for step in range(4):
        chosen = slice(0, 2) if step < 2 else slice(0, 3)
        optimizer.zero_grad()
        give_gradients(together[chosen], step)
        optimizer.step()
        give_gradients(apart[chosen], step)
        for one in separate[chosen]:
            one.step()
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_allclose(to_numpy(one), to_numpy(other), rtol=1e-13)


def test_a_frozen_parameter_stays_and_a_thawed_one_moves_again(backend, make):
    first, second, _ = params = parameters(backend)
    optimizer = make(params)
    second.requires_grad = False
    before = to_numpy(second).copy()
    optimizer.zero_grad()
    operations.sum(operations.matmul(first, second)).backward()
    optimizer.step()
    np.testing.assert_array_equal(to_numpy(second), before)
    second.requires_grad = True
    optimizer.zero_grad()
    operations.sum(operations.matmul(first, second)).backward()
    optimizer.step()
    assert np.any(to_numpy(second) != before)


def test_gradients_of_an_earlier_step_do_not_come_back(backend):
    (parameter,) = parameters(backend, shapes=((2,),))
    optimizer = SGD([parameter], lr=1.0)
    give_gradients([parameter], 0)
    optimizer.step()
    after = to_numpy(parameter).copy()
    optimizer.zero_grad()
    assert parameter.grad is None
    optimizer.step()
    np.testing.assert_array_equal(to_numpy(parameter), after)


def test_two_backward_passes_add_up(backend):
    (parameter,) = parameters(backend, shapes=((2,),))
    SGD([parameter], lr=1.0)
    for _ in range(2):
        operations.sum(operations.multiply(parameter, 3.0)).backward()
    np.testing.assert_array_equal(to_numpy(parameter.grad), [6.0, 6.0])


def test_groups_have_options_of_their_own(backend):
    first, second, third = parameters(backend)
    optimizer = SGD([{"params": [first], "lr": 1.0}, {"params": [second, third]}], lr=0.0)
    before = [to_numpy(parameter).copy() for parameter in (first, second, third)]
    give_gradients([first, second, third], 0)
    optimizer.step()
    assert np.all(to_numpy(first) != before[0])
    np.testing.assert_array_equal(to_numpy(second), before[1])
    optimizer.param_groups[1]["lr"] = 1.0
    optimizer.step()
    assert np.all(to_numpy(third) != before[2])


def test_parameters_of_two_dtypes_are_stored_apart_and_both_learn(backend):
    (single,) = parameters(backend, "float32", ((3,),))
    (double,) = parameters(backend, "float64", ((3,),))
    optimizer = Adam([single, double], lr=0.1)
    before = to_numpy(single).copy(), to_numpy(double).copy()
    give_gradients([single, double], 0)
    optimizer.step()
    assert "float32" in str(single.dtype)
    assert "float64" in str(double.dtype)
    assert np.all(to_numpy(single) != before[0])
    assert np.all(to_numpy(double) != before[1])


def test_state_saved_and_loaded_goes_on_as_if_nothing_had_happened(backend, make):
    straight, stopped = parameters(backend), parameters(backend)
    one, other = make(straight), make(stopped)
    for step in range(3):
        give_gradients(straight, step)
        one.step()
        give_gradients(stopped, step)
        other.step()
    saved = other.state_dict()
    copies = [Parameter(backend.asarray(parameter.value, copy=True)) for parameter in stopped]
    resumed = make(copies)
    resumed.load_state_dict(saved)
    for step in range(3, 6):
        give_gradients(straight, step)
        one.step()
        give_gradients(copies, step)
        resumed.step()
    for expected, actual in zip(straight, copies, strict=True):
        np.testing.assert_array_equal(to_numpy(actual), to_numpy(expected))


def test_a_state_of_other_shapes_is_refused_and_nothing_changes(backend):
    adam, other = Adam(parameters(backend)), Adam(parameters(backend, shapes=((3, 2), (2,), (5,))))
    give_gradients(other.param_groups[0]["params"], 0)
    other.step()
    with pytest.raises(CheckpointError, match=r"of parameter 2 has shape \(5,\), expected \(4,\)"):
        adam.load_state_dict(other.state_dict())
    assert adam.state_dict()["state"] == {}


def test_a_state_of_other_groups_is_refused(backend):
    adam = Adam(parameters(backend))
    with pytest.raises(CheckpointError, match=r"groups of \[3\] parameters, got \[1\]"):
        adam.load_state_dict(Adam(parameters(backend)[:1]).state_dict())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda p: SGD(p, lr=-1.0), "lr: expected a number of at least 0"),
        (lambda p: SGD(p, lr=math.nan), "lr: expected a number of at least 0"),
        (lambda p: SGD(p, nesterov=True), "nesterov: needs a momentum"),
        (lambda p: Adam(p, betas=(0.9, 1.0)), r"betas: expected two numbers in \[0, 1\)"),
        (lambda p: RMSprop(p, alpha=2.0), "alpha: expected"),
        (lambda p: Adam([]), "at least one parameter"),
        (lambda p: Adam([{"params": p, "momentum": 0.9}]), "Adam has no option momentum"),
        (lambda p: Adam([{"params": p}, {"params": p}]), "in another group already"),
        (lambda p: Adam([{"lr": 1.0}]), "expected a 'params' entry"),
        (lambda p: Adam([np.ones(3)]), r"expected Tensors or Parameters, as model\.parameters\(\).* got a ndarray"),
        (lambda p: Adam([("weight", p[0])]), "got a tuple"),
        (lambda p: Adam(p[0]), r"several parameters, as model\.parameters\(\) gives them, got a Parameter"),
        (lambda p: Adam(nn.Tanh()), "got a Tanh"),
        (lambda p: SGD(p, lr="fast"), "lr: expected a number of at least 0, got 'fast'"),
        (lambda p: SGD(p, lr=None), "lr: expected a number of at least 0, got None"),
        (lambda p: Adam(p, betas=0.9), r"betas: expected two numbers in \[0, 1\), got 0.9"),
        (lambda p: Adam(p, eps=-1.0), "eps: expected a number of at least 0"),
        (lambda p: RMSprop(p, momentum=-0.1), "momentum: expected a number of at least 0"),
        (lambda p: Adagrad(p, lr_decay=-0.1), "lr_decay: expected a number of at least 0"),
    ],
)
def test_wrong_arguments_are_refused_by_name(build, message):
    with pytest.raises(ArgumentError, match=message):
        build([Parameter(np.ones(3))])


def test_a_computed_tensor_is_no_parameter():
    with pytest.raises(GradientError, match="expected leaves"):
        SGD([Tensor(np.ones(3), requires_grad=True) * 2])


def test_plain_leaves_can_be_optimized_too(backend):
    leaf = Tensor(backend.asarray([1.0, 2.0]), requires_grad=True)
    optimizer = SGD([leaf], lr=0.5)
    operations.sum(operations.square(leaf)).backward()
    optimizer.step()
    np.testing.assert_allclose(to_numpy(leaf), [0.0, 0.0], atol=1e-15)


@pytest.mark.parametrize("optimizer", [Adagrad, Adam, AdamW, RMSprop])
def test_complex_parameters_are_refused_where_gradients_are_squared(optimizer):
    with pytest.raises(DtypeError, match=f"{optimizer.__name__} takes real parameters, got one of complex128"):
        optimizer([Parameter(np.ones(2) * 1j)])


def test_sgd_descends_in_the_complex_plane(backend):
    z = Parameter(backend.asarray([1 + 2j]))
    optimizer = SGD([z], lr=0.25)
    operations.sum(operations.real(z * operations.conj(z))).backward()
    optimizer.step()
    np.testing.assert_allclose(to_numpy(z), [0.5 + 1j])


def test_a_group_that_is_refused_leaves_the_optimizer_as_it_was(backend):
    first, second = parameters(backend, shapes=((2,), (2,)))
    computed = Tensor(backend.asarray([1.0], dtype="float32"), requires_grad=True) * 1.0
    optimizer = SGD([first], lr=0.5)
    for wrong in ([second, computed], [3]):
        with pytest.raises((GradientError, ArgumentError), match="params: expected"):
            optimizer.add_param_group({"params": wrong})
    before = to_numpy(first).copy()
    operations.sum(first * 1.0).backward()
    optimizer.step()
    np.testing.assert_allclose(to_numpy(first), before - 0.5)
    assert second._leaf().storage is None


@pytest.mark.parametrize(
    "state", [{}, [], {"state": {}, "param_groups": 3}, {"state": {}, "param_groups": [{"lr": 1}]}]
)
def test_what_is_no_state_of_an_optimizer_is_refused(state):
    optimizer = SGD(parameters(get_backend("numpy")))
    with pytest.raises(CheckpointError, match="state: expected the state of an optimizer"):
        optimizer.load_state_dict(state)


def test_a_state_of_another_kind_of_optimizer_is_refused(backend):
    params = parameters(backend)
    give_gradients(params, 0)
    momentum = SGD(params, lr=0.1, momentum=0.9)
    momentum.step()
    adam = Adam(parameters(backend))
    with pytest.raises(CheckpointError, match="has momentum_buffer, but Adam keeps exp_avg, exp_avg_sq"):
        adam.load_state_dict(momentum.state_dict())
    assert adam.param_groups[0]["lr"] == 1e-3


def test_a_state_whose_arrays_belong_to_no_parameter_is_refused(backend):
    params = parameters(backend)
    give_gradients(params, 0)
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    optimizer.step()
    state = optimizer.state_dict()
    state["state"] = {str(index): arrays for index, arrays in state["state"].items()}
    with pytest.raises(
        CheckpointError, match=r"arrays of parameters \['0', '1', '2'\], but its groups list \[0, 1, 2\]"
    ):
        optimizer.load_state_dict(state)


def test_a_velocity_that_has_not_begun_is_loaded_as_none(backend):
    params = parameters(backend)
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    state = {"state": {0: {"momentum_buffer": None}}, "param_groups": optimizer.state_dict()["param_groups"]}
    optimizer.load_state_dict(state)
    give_gradients(params, 0)
    optimizer.step()
    assert set(optimizer.state_dict()["state"]) == {0, 1, 2}


def test_each_run_takes_the_step_of_its_group_not_of_the_defaults(backend):
    first, second = parameters(backend, shapes=((2,), (2,)))
    optimizer = SGD([{"params": [first], "lr": 1.0}, {"params": [second]}], lr=0.25)
    before = [to_numpy(first).copy(), to_numpy(second).copy()]
    operations.sum(first + second).backward()
    optimizer.step()
    np.testing.assert_allclose(before[0] - to_numpy(first), [1.0, 1.0])
    np.testing.assert_allclose(before[1] - to_numpy(second), [0.25, 0.25])


def test_dampening_spares_the_first_gradient_of_each_parameter(backend):
    (p,) = parameters(backend, shapes=((2,),))
    optimizer = SGD([p], lr=1.0, momentum=0.5, dampening=0.75)
    start = to_numpy(p).copy()
    for expected in (1.0, 1.0 + 0.5 * 1.0 + 0.25 * 1.0):
        optimizer.zero_grad()
        operations.sum(p * 1.0).backward()
        optimizer.step()
        np.testing.assert_allclose(start - to_numpy(p), [expected, expected])


def test_loading_a_state_that_has_not_begun_forgets_what_was(backend):
    (p,) = parameters(backend, shapes=((2,),))
    optimizer = SGD([p], lr=1.0, momentum=0.5)
    fresh = optimizer.state_dict()
    for _ in range(2):
        optimizer.zero_grad()
        operations.sum(p * 1.0).backward()
        if not optimizer.state_dict()["state"]:
            optimizer.step()
    optimizer.load_state_dict(fresh)
    before = to_numpy(p).copy()
    optimizer.step()
    np.testing.assert_allclose(before - to_numpy(p), [1.0, 1.0])


def test_adamw_shrinks_by_the_learning_rate_times_the_decay(backend):
    p = Parameter(backend.asarray([2.0]))
    optimizer = AdamW([p], lr=0.1, weight_decay=0.5)
    operations.sum(p * 1.0).backward()
    optimizer.step()
    np.testing.assert_allclose(to_numpy(p), [2.0 * (1 - 0.1 * 0.5) - 0.1])


def test_centred_rmsprop_with_momentum_takes_the_steps_of_its_formula(backend):
    p = Parameter(backend.asarray([1.0]))
    optimizer = RMSprop([p], lr=0.1, alpha=0.5, momentum=0.9, centered=True)
    value, square, mean, velocity = 1.0, 0.0, 0.0, 0.0
    for slope in (1.0, -2.0, 3.0):
        optimizer.zero_grad()
        operations.sum(p * slope).backward()
        optimizer.step()
        square, mean = 0.5 * square + 0.5 * slope**2, 0.5 * mean + 0.5 * slope
        velocity = 0.9 * velocity + slope / (math.sqrt(square - mean**2) + 1e-8)
        value -= 0.1 * velocity
        np.testing.assert_allclose(to_numpy(p), [value], rtol=1e-12)
