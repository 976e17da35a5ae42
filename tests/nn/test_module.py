"""Modules: what they are made of, their state, and what kind of array comes out."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn
from portml.autograd import Tensor, no_grad
from portml.autograd.parameter import Parameter
from portml.backends import get_backend, operations, to_numpy
from portml.errors import ArgumentError, CheckpointError, DtypeError, GradientError, ShapeError


class Scale(nn.Module):
    """A module that names no base constructor."""

    def __init__(self, backend):
        self.gain = Parameter(backend.full((3,), 2.0))
        self.register_buffer("offset", backend.full((3,), 1.0))
        self.inner = nn.Linear(3, 2, rng=0, backend=backend)

    def forward(self, x):
        return self.inner(operations.add(operations.multiply(x, self.gain), self.offset))


@pytest.fixture
def module(backend):
    return Scale(backend)


@pytest.fixture
def x(backend):
    return backend.asarray(np.arange(6.0).reshape(2, 3), dtype="float32")


def test_parameters_buffers_and_children_are_found_by_name(module):
    assert [name for name, _ in module.named_parameters()] == ["gain", "inner.weight", "inner.bias"]
    assert [name for name, _ in module.named_buffers()] == ["offset"]
    assert [name for name, _ in module.named_children()] == ["inner"]
    assert [name for name, _ in module.named_modules()] == ["", "inner"]


def test_a_shared_module_counts_once_but_is_saved_under_each_name(backend):
    layer = nn.Linear(3, 3, rng=0, backend=backend)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert len(list(model.parameters())) == 2
    assert sorted(model.state_dict()) == ["0.bias", "0.weight", "2.bias", "2.weight"]


def test_raw_arrays_in_give_a_tensor_out_while_gradients_are_recorded(module, x):
    y = module(x)
    assert isinstance(y, Tensor)
    assert y.requires_grad


def test_raw_arrays_in_give_raw_arrays_out_without_gradients(module, x, xp):
    with no_grad():
        y = module(x)
    assert not isinstance(y, Tensor)
    assert type(y) is type(x)


def test_a_frozen_module_gives_raw_arrays_back(module, x):
    module.requires_grad_(False)
    assert type(module(x)) is type(x)
    module.requires_grad_(True)
    assert isinstance(module(x), Tensor)


def test_tensors_in_give_tensors_out(module, x):
    with no_grad():
        assert isinstance(module(Tensor(x)), Tensor)


def test_inference_makes_no_tensor_on_the_way(backend, x, monkeypatch):
    model = nn.Sequential(nn.Linear(3, 4, rng=0, backend=backend), nn.ReLU(), nn.Linear(4, 2, rng=0, backend=backend))
    with no_grad():
        model(x)  # the evaluators are made now
        made = []
        monkeypatch.setattr("portml.autograd.tensor.plain", lambda value: made.append(value))
        assert type(model(x)) is type(x)
    assert made == []


def test_train_and_eval_reach_every_module(module):
    assert module.eval() is module
    assert not module.inner.training
    assert module.train().inner.training


def test_state_is_shared_and_loading_copies(module, backend):
    other = Scale(backend)
    other.gain.assign(backend.full((3,), 7.0))
    missing, unexpected = module.load_state_dict(other.state_dict())
    assert missing == unexpected == []
    np.testing.assert_array_equal(to_numpy(module.gain), [7.0, 7.0, 7.0])
    other.gain.assign(backend.full((3,), 8.0))
    np.testing.assert_array_equal(to_numpy(module.gain), [7.0, 7.0, 7.0])


def test_a_state_of_another_backend_or_dtype_is_converted(module):
    state = {name: to_numpy(value).astype("float64") for name, value in module.state_dict().items()}
    module.load_state_dict(state)
    assert "float32" in str(module.gain.dtype)


def test_a_state_that_does_not_fit_is_refused_with_every_name_and_writes_nothing(module, backend):
    state = {"gain": backend.full((4,), 9.0), "offset": backend.full((3,), 9.0), "extra": backend.zeros((1,))}
    with pytest.raises(CheckpointError) as caught:
        module.load_state_dict(state)
    for part in ("inner.weight is missing", "extra is unexpected", r"gain: expected (3,), got (4,)"):
        assert part in str(caught.value)
    np.testing.assert_array_equal(to_numpy(module.offset), [1.0, 1.0, 1.0])


def test_a_loose_load_reports_what_did_not_fit(module, backend):
    state = {"gain": backend.full((3,), 9.0), "extra": backend.zeros((1,))}
    missing, unexpected = module.load_state_dict(state, strict=False)
    assert missing == ["offset", "inner.weight", "inner.bias"]
    assert unexpected == ["extra"]


def test_modules_move_between_backends():
    module = Scale(get_backend("numpy"))
    before = {name: np.array(value) for name, value in module.state_dict().items()}
    module.to("strict")
    assert all(get_backend("strict")._owns(value) for value in module.state_dict().values())
    for name, value in module.to("numpy").state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_modules_change_their_dtype(module, x, backend):
    module.to(dtype="float64")
    assert "float64" in str(module(backend.asarray(x, dtype="float64")).dtype)
    assert "float64" in str(module.offset.dtype)


def test_a_parameter_is_not_replaced_by_a_plain_array(module, backend):
    with pytest.raises(ArgumentError, match=r"write gain\.assign"):
        module.gain = backend.zeros((3,))
    module.gain = Parameter(backend.zeros((3,)))
    module.inner.bias = None
    assert [name for name, _ in module.named_parameters()] == ["gain", "inner.weight"]


def test_assigning_another_shape_is_refused(module, backend):
    with pytest.raises(ShapeError, match=r"expected shape \(3,\), got \(4,\)"):
        module.gain.assign(backend.zeros((4,)))


def test_zero_grad_forgets(module, x):
    operations.sum(module(x)).backward()
    assert module.gain.grad is not None
    module.zero_grad()
    assert all(parameter.grad is None for parameter in module.parameters())


def test_apply_visits_children_first(module):
    seen = []
    module.apply(lambda each: seen.append(type(each).__name__))
    assert seen == ["Linear", "Scale"]


def test_a_module_shows_its_children(module):
    assert repr(module) == "Scale(\n  (inner): Linear(in_features=3, out_features=2, bias=True)\n)"


def test_a_module_without_forward_says_so(x):
    with pytest.raises(ArgumentError, match="Module has no forward method"):
        nn.Module()(x)


def test_sequential_is_indexed_and_sliced(backend):
    model = nn.Sequential({"first": nn.Linear(3, 4, rng=0, backend=backend), "second": nn.ReLU()})
    assert len(model) == 2
    assert model[0] is model.first
    assert [name for name, _ in model[1:].named_children()] == ["second"]


def test_sequential_refuses_what_is_no_module_and_names_with_dots():
    with pytest.raises(ArgumentError, match="expected modules, got a function"):
        nn.Sequential(lambda x: x)
    with pytest.raises(ArgumentError, match=r"'a\.b' cannot name a child"):
        nn.Sequential({"a.b": nn.ReLU()})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones(3) * 1j, "gain: expected .*float32, got .*complex128, which holds more"),
        (np.asarray(["a", "b", "c"]), "gain: data: expected numbers"),
        (np.asarray([1.0, None, 2.0]), "gain: data: expected numbers"),
        ([1.0, 2.0, 3.0], "gain: expected an array, got a list"),
        (None, "gain: expected an array, got a NoneType"),
        (np.ma.masked_array(np.ones(3)), "gain: MaskedArray"),
    ],
)
def test_a_state_of_what_cannot_be_converted_is_refused_and_writes_nothing(module, backend, values, message):
    state = {**module.state_dict(), "offset": backend.full((3,), 9.0), "gain": values}
    with pytest.raises(CheckpointError, match=message):
        module.load_state_dict(state)
    np.testing.assert_array_equal(to_numpy(module.offset), [1.0, 1.0, 1.0])


@pytest.mark.parametrize("count", [1.5, np.nan])
def test_a_count_is_not_loaded_from_fractions(backend, count):
    norm = nn.BatchNorm1d(3, backend=backend)
    with pytest.raises(CheckpointError, match=r"num_batches_tracked: expected .*int64, got .*float64"):
        norm.load_state_dict({**norm.state_dict(), "num_batches_tracked": backend.asarray(count)})


def test_what_is_no_dictionary_is_no_state(module):
    with pytest.raises(CheckpointError, match="expected a dictionary of arrays by name, got a list"):
        module.load_state_dict([1])


def test_parameters_are_loaded_from_other_parameters(module, backend):
    module.load_state_dict({**module.state_dict(), "gain": Parameter(backend.full((3,), 7.0))})
    np.testing.assert_array_equal(to_numpy(module.gain), [7.0, 7.0, 7.0])


def test_parameters_are_not_converted_to_integers(module):
    with pytest.raises(DtypeError, match="dtype: expected a floating data type, got 'int64'"):
        module.to(dtype="int64")


def test_converting_a_module_leaves_counts_and_frozen_parameters_what_they_are(backend):
    norm = nn.BatchNorm1d(3, backend=backend)
    norm.weight.requires_grad = False
    norm.to(dtype="float64")
    assert not norm.weight.requires_grad
    assert norm.bias.requires_grad
    assert norm.num_batches_tracked.dtype == backend.dtype("int64")
    assert norm.running_var.dtype == norm.weight.dtype == backend.dtype("float64")


def test_a_raw_result_beside_gradients_is_a_tensor_for_parameters_alone(backend, x):
    gain = Parameter(backend.full((3,), 2.0), requires_grad=False)
    assert isinstance(operations.multiply(gain, x), Tensor)
    with no_grad():
        assert not isinstance(operations.multiply(gain, x), Tensor)
        assert isinstance(operations.multiply(gain, Tensor(x)), Tensor)


def test_an_assignment_makes_older_records_stale(module, x, backend):
    y = operations.sum(module(x))
    module.gain.assign(backend.zeros((3,)))
    with pytest.raises(GradientError, match="written in place after multiply used it"):
        y.backward()


def test_each_module_has_its_own_mode_back_after_evaluation():
    model = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5).eval())

    def fail():
        with nn.evaluating(model):
            assert not any(module.training for module in model.modules())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [module.training for module in model.modules()] == [True, True, False]
