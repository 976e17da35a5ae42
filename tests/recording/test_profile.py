"""The profile of a step: every call once, under the layer that made it, with counts that a pencil confirms."""

from __future__ import annotations

import json

import numpy as np
import pytest

import portml
from portml import nn, optim
from portml.backends import operations
from portml.errors import ArgumentError, WriteError


def model(backend):
    return nn.Sequential(
        nn.Unflatten(1, (1, 4, 4)),
        nn.Conv2d(1, 3, 3, rng=0, backend=backend),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12, 2, rng=1, backend=backend),
    )


def profiled(backend):
    layers = model(backend)
    optimizer = optim.SGD(layers.parameters(), lr=0.1)
    x, y = backend.asarray(np.ones((5, 16), "float32")), backend.asarray(np.asarray([0, 1, 0, 1, 0]))
    with portml.profile() as p:
        nn.CrossEntropyLoss()(layers(x), y).backward()
        optimizer.step()
    return p


def named(p, start):
    (call,) = [call for call in p.calls if call.kernel.startswith(start)]
    return call


def test_calls_stand_under_the_layer_that_made_them_forward_and_back(backend):
    p = profiled(backend)
    for kernel, layer in [
        ("convolution_saving", "Sequential.1"),
        ("convolution_backward", "Sequential.1"),
        ("relu_backward", "Sequential.2"),
        ("linear_saving", "Sequential.4"),
        ("linear_backward", "Sequential.4"),
        ("cross_entropy_saving", "CrossEntropyLoss"),
        ("sgd_step", ""),
    ]:
        assert named(p, kernel).layer == layer


def test_operations_and_bytes_are_counted(backend):
    p = profiled(backend)
    # 5 images, 3 channels, 2 × 2 places, 9 taps; two operations a product.
    assert named(p, "convolution_saving").operations == 2 * 5 * 3 * 4 * 9
    # The input takes no gradient: only the weights' product.
    assert named(p, "convolution_backward").operations == 2 * 5 * 3 * 4 * 9
    assert named(p, "linear_saving").operations == 2 * 5 * 2 * 12
    assert named(p, "linear_backward").operations == 2 * (2 * 5 * 2 * 12)
    # Inputs (5, 12), weights (2, 12), bias (2), result (5, 2), in four bytes each.
    assert named(p, "linear_saving").n_bytes == 4 * (60 + 24 + 2 + 10)


def test_products_of_stacks_and_recurrent_layers_are_counted(backend):
    ones = backend.full
    with portml.profile() as p:
        operations.matmul(ones((7, 2, 3), 1.0), ones((3, 5), 1.0))
        nn.LSTM(3, 4, rng=0, backend=backend)(ones((6, 2, 3), 1.0))
    assert named(p, "matmul").operations == 2 * 7 * 2 * 3 * 5
    assert named(p, "lstm").operations == 2 * (6 * 2) * (16 * 3 + 16 * 4)


def test_moments_are_in_order_and_add_up(backend):
    p = profiled(backend)
    starts = [call.start for call in p.calls]
    assert starts == sorted(starts)
    assert p.seconds == pytest.approx(sum(call.seconds for call in p.calls))
    assert all(call.seconds >= 0 and call.least_seconds > 0 for call in p.calls if call.n_bytes)


def test_the_table_groups_and_sums(backend):
    p = profiled(backend)
    for by, rows in [("kernel", 30), ("layer", 30), ("both", 3)]:
        lines = p.table(by, rows).splitlines()
        assert lines[-1].split()[:2] == ["all", str(len(p.calls))]
    assert "more" in p.table(rows=3)
    assert "Sequential.4" not in p.table("kernel")
    assert "linear_saving" not in p.table("layer")
    with pytest.raises(ArgumentError, match="by"):
        p.table("colour")


def test_the_trace_is_one_that_viewers_open(backend, tmp_path):
    p = profiled(backend)
    p.save_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert [event["name"] for event in events] == [call.kernel for call in p.calls]
    assert all(event["ph"] == "X" and event["dur"] >= 0 for event in events)
    with pytest.raises(WriteError, match="path"):
        p.save_trace(tmp_path / "missing" / "trace.json")


def test_a_captured_step_is_seen_call_by_call(backend):
    step = portml.capture(lambda x: operations.exp(x) * 2.0)
    x = backend.full((3,), 1.0)
    for _ in range(3):
        step(x)
    with portml.profile() as p:
        step(x)
    assert [call.kernel for call in p.calls] == ["exp", "multiply"]


def test_a_profile_is_begun_once():
    p = portml.profile()
    with p, pytest.raises(ArgumentError, match="begun"):
        p.__enter__()


def test_an_error_inside_leaves_what_was_seen_before():
    p = portml.profile()

    def fail():
        with p:
            operations.exp(np.ones(3))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [call.kernel for call in p.calls] == ["exp"]
