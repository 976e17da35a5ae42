"""Schedules: the guide's formulas, and their effect on an optimizer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.autograd.parameter import Parameter
from portml.errors import ArgumentError, CheckpointError
from portml.optim import SGD, Schedule, schedules


def test_step_decay_halves_every_ten_epochs():
    rate = schedules.step_decay()
    assert [rate(0.1, epoch) for epoch in (0, 9, 10, 25)] == [0.1, 0.1, 0.05, 0.025]


def test_exponential_decay_takes_five_percent_each_epoch():
    rate = schedules.exponential_decay()
    assert rate(0.1, 0) == 0.1
    assert math.isclose(rate(0.1, 7), 0.1 * 0.95**7)


def test_cosine_falls_from_the_first_rate_to_a_hundredth():
    rate = schedules.cosine_annealing(50)
    assert math.isclose(rate(0.1, 0), 0.1)
    assert math.isclose(rate(0.1, 25), (0.1 + 0.001) / 2)
    assert math.isclose(rate(0.1, 50), 0.001)
    assert math.isclose(rate(0.1, 80), 0.001)


def test_warm_up_rises_in_equal_steps_and_then_the_cosine_falls():
    rate = schedules.warmup_cosine(50, warmup=5)
    np.testing.assert_allclose([rate(0.1, epoch) for epoch in range(6)], [0.02, 0.04, 0.06, 0.08, 0.1, 0.1])
    assert math.isclose(rate(0.1, 50), 0.001)


@given(st.sampled_from(["constant", "step", "exponential", "cosine", "warmup-cosine"]), st.integers(1, 100))
def test_no_schedule_leaves_the_interval_up_to_the_first_rate(name, epochs):
    rate = schedules.schedule_by_name(name, epochs)
    assert all(0 < rate(0.3, epoch) <= 0.3 * (1 + 1e-12) for epoch in range(epochs))


def test_a_schedule_scales_every_group_from_its_own_rate():
    first, second = Parameter(np.ones(2)), Parameter(np.ones(2))
    optimizer = SGD([{"params": [first], "lr": 1.0}, {"params": [second], "lr": 0.1}])
    schedule = Schedule(optimizer, schedules.step_decay(every=2))
    for _ in range(2):
        schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.05]


def test_a_schedule_goes_on_from_a_saved_epoch():
    optimizer = SGD([Parameter(np.ones(2))], lr=1.0)
    schedule = Schedule(optimizer, schedules.exponential_decay())
    for _ in range(3):
        schedule.step()
    saved, rate = schedule.state_dict(), optimizer.param_groups[0]["lr"]
    resumed = SGD([Parameter(np.ones(2))], lr=1.0)
    Schedule(resumed, schedules.exponential_decay()).load_state_dict(saved)
    assert resumed.param_groups[0]["lr"] == rate


@pytest.mark.parametrize(
    "make",
    [lambda: schedules.step_decay(0.0), lambda: schedules.step_decay(every=0), lambda: schedules.cosine_annealing(0)],
)
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(ArgumentError, match="expected a number above 0"):
        make()


def test_an_unknown_schedule_is_refused_and_the_known_are_named():
    with pytest.raises(ArgumentError, match=r"'linear' is not known; choose one of constant, step"):
        schedules.schedule_by_name("linear", 5)


def test_a_group_that_joins_later_is_scaled_from_its_own_rate():
    optimizer = SGD([Parameter(np.ones(1))], lr=1.0)
    schedule = Schedule(optimizer, schedules.exponential_decay(0.5))
    schedule.step()
    optimizer.add_param_group({"params": [Parameter(np.ones(1))], "lr": 8.0})
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 2.0]


@pytest.mark.parametrize("state", [{}, {"epoch": 1, "initial": [1.0, 2.0]}])
def test_the_state_of_another_schedule_is_refused(state):
    schedule = Schedule(SGD([Parameter(np.ones(1))]), schedules.constant())
    with pytest.raises(CheckpointError, match="'epoch' and 'initial' rates of 1 groups"):
        schedule.load_state_dict(state)
