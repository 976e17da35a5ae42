"""Lists and dictionaries of modules and parameters, sequences as lists, and residuals."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn
from portml.autograd import no_grad
from portml.backends import get_backend, operations, to_numpy
from portml.errors import ArgumentError, ShapeError


def linears(*sizes):
    return [nn.Linear(2, size, rng=size, backend="numpy") for size in sizes]


@pytest.mark.parametrize("kind", [nn.Sequential, nn.ModuleList], ids=["Sequential", "ModuleList"])
def test_modules_in_a_row_are_a_list(kind):
    a, b, c, d = linears(1, 2, 3, 4)
    row = kind(a, b) if kind is nn.Sequential else kind([a, b])
    assert row.append(c) is row
    row.insert(0, d)
    assert list(row) == [d, a, b, c]
    assert [name for name, _ in row.named_children()] == ["0", "1", "2", "3"]
    assert row.pop(1) is a
    assert list(row) == [d, b, c]
    del row[0]
    row[-1] = a
    assert list(row) == [b, a]
    assert len(row) == 2
    assert a in row
    assert c not in row
    row += [c]
    assert list(row.extend([d])) == [b, a, c, d]
    assert type(row[1:3]) is kind
    assert list(row[1:3]) == [a, c]
    assert list(row + kind()) == list(row)
    with pytest.raises(IndexError):
        row[4]


def test_parameters_of_a_list_belong_to_the_module_that_holds_it():
    class Model(nn.Module):
        def __init__(self):
            self.layers = nn.ModuleList(linears(1, 2))
            self.named = nn.ModuleDict({"left": linears(3)[0]})

    assert list(Model().state_dict()) == [
        "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias", "named.left.weight", "named.left.bias",
    ]  # fmt: skip


def test_what_is_no_module_has_no_place_in_a_row():
    row = nn.ModuleList()
    for put in (row.append, lambda given: row.insert(0, given), lambda given: row.extend([given])):
        with pytest.raises(ArgumentError, match="modules: expected modules, got a int"):
            put(3)
    assert len(row) == 0


def test_a_list_alone_computes_nothing():
    with pytest.raises(ArgumentError, match="ModuleList has no forward method"):
        nn.ModuleList(linears(1))(np.ones((1, 2), np.float32))


def test_modules_by_name_are_a_dictionary():
    a, b, c = linears(1, 2, 3)
    named = nn.ModuleDict({"a": a, "b": b})
    named["a"] = c
    named.update([("d", a)])
    assert list(named) == list(named.keys()) == ["a", "b", "d"]
    assert list(named.values()) == [c, b, a]
    assert dict(named.items()) == {"a": c, "b": b, "d": a}
    assert named.pop("b") is b
    assert "b" not in named
    assert named.get("b", a) is a
    del named["a"]
    assert len(named) == 1
    named.clear()
    assert list(named) == []
    with pytest.raises(KeyError):
        named["a"]


@pytest.mark.parametrize("name", ["keys", "a.b", "training"])
def test_a_name_with_a_dot_or_a_meaning_is_refused(name):
    with pytest.raises(ArgumentError, match="cannot name a child"):
        nn.ModuleDict({name: linears(1)[0]})


def test_parameters_are_kept_in_lists_and_dictionaries(backend):
    arrays = [backend.full((2,), 1.0), backend.zeros((3,))]
    row = nn.ParameterList(arrays)
    assert [type(each) is nn.Parameter for each in row] == [True, True]
    assert [name for name, _ in row.append(backend.zeros((1,))).named_parameters()] == ["0", "1", "2"]
    assert row[0].shape == (2,)
    assert len(row[1:]) == 2
    named = nn.ParameterDict({"left": arrays[0]})
    named["right"] = row[1]
    assert [name for name, _ in named.named_parameters()] == ["left", "right"]
    with pytest.raises(ArgumentError, match="expected arrays or parameters, got a str as 'a'"):
        nn.ParameterDict({"a": "b"})


def test_a_residual_adds_what_a_module_gives_to_its_input_or_shortcut(backend):
    module, shortcut = (nn.Linear(3, size, rng=size, backend=backend) for size in (3, 3))
    x = backend.asarray(np.arange(6.0).reshape(2, 3), dtype="float32")
    with no_grad():
        plain = to_numpy(module(x))
        np.testing.assert_allclose(to_numpy(nn.Residual(module)(x)), plain + to_numpy(x), rtol=1e-6)
        both = to_numpy(nn.Residual(module, shortcut)(x))
        np.testing.assert_allclose(both, plain + to_numpy(shortcut(x)), rtol=1e-6)
    assert [name for name, _ in nn.Residual(module).named_parameters()] == ["module.weight", "module.bias"]


def test_a_residual_never_broadcasts():
    with pytest.raises(ShapeError, match=r"gives \(4, 1\) and the shortcut \(4, 2\)"):
        nn.Residual(linears(1)[0])(np.ones((4, 2), np.float32))
    with pytest.raises(ArgumentError, match="module: expected a module, got a function"):
        nn.Residual(lambda x: x)


def test_modules_are_found_and_added_by_dotted_names():
    model = nn.Sequential(nn.Sequential(*linears(3)))
    assert model.get_submodule("") is model
    assert model.get_submodule("0.0") is model[0][0]
    assert model.get_parameter("0.0.bias") is model[0][0].bias
    for find, name in ((model.get_submodule, "0.1"), (model.get_parameter, "0.0.gain")):
        with pytest.raises(ArgumentError, match=f"target: '{name}' is no"):
            find(name)
    model.add_module("last", nn.ReLU())
    assert [name for name, _ in model.named_children()] == ["0", "last"]
    with pytest.raises(ArgumentError, match="cannot name a child"):
        model.add_module("a.b", nn.ReLU())


def test_a_shared_parameter_is_learnt_once_and_loaded_and_saved_under_each_name(backend):
    embedding, head = nn.Embedding(5, 3, rng=0, backend=backend), nn.Linear(3, 5, rng=0, backend=backend)
    model = nn.Sequential({"embedding": embedding, "head": head})
    head.weight = embedding.weight
    assert [name for name, _ in model.named_parameters()] == ["embedding.weight", "head.bias"]
    assert sorted(model.state_dict()) == ["embedding.weight", "head.bias", "head.weight"]
    operations.sum(model(backend.asarray([0, 1]))).backward()
    assert np.count_nonzero(np.abs(to_numpy(embedding.weight.grad)).sum(axis=1)) == 5
    model.load_state_dict({name: operations.multiply(value, 0.0) for name, value in model.state_dict().items()})
    assert not to_numpy(head.weight).any()


def test_an_input_on_another_library_is_refused_with_both_shapes():
    model = nn.Sequential(nn.Linear(3, 2, rng=0, backend="numpy"))
    x = get_backend("strict").zeros((4, 3))
    with pytest.raises(
        TypeError, match=r"Linear: .*weight of shape \(2, 3\) is on numpy cpu, the input of shape \(4, 3\)"
    ):
        model(x)


def test_an_error_of_a_module_whose_arrays_are_in_place_stays_what_it_is(backend):
    with pytest.raises(ShapeError, match="linear"):
        nn.Linear(3, 2, rng=0, backend=backend)(backend.zeros((4, 2)))
