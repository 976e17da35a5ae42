"""The table of a model: shapes, parameters counted once, multiply-adds, and a model that is left as it was."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn
from portml.backends import operations, to_numpy
from portml.errors import ArgumentError
from portml.nn import Parameter


def test_the_table_of_lenet5_has_the_papers_numbers(backend, capsys):
    found = nn.summary(nn.models.LeNet5(rng=0, backend=backend), (1, 1, 28, 28))
    assert found.parameters == found.trainable_parameters == 61_706
    convolutions = 6 * 28 * 28 * 25 + 16 * 10 * 10 * 6 * 25
    assert found.multiply_adds == convolutions + 400 * 120 + 120 * 84 + 84 * 10
    assert found.rows[0].output_shape == (1, 10)
    printed = capsys.readouterr().out
    assert printed.strip() == str(found)
    assert printed.splitlines()[0].split() == ["layer", "output", "shape", "parameters", "multiply-adds"]
    assert "0: Conv2d" in printed
    assert "61,706" in printed.splitlines()[-1]


def test_multiply_adds_grow_with_the_batch(backend):
    model = nn.Sequential(nn.Linear(3, 4, rng=0, backend=backend), nn.ReLU(), nn.Linear(4, 2, rng=0, backend=backend))
    assert [nn.summary(model, (n, 3), show=False).multiply_adds for n in (1, 5)] == [20, 100]


def test_shared_parameters_count_once_and_each_call_has_its_row(backend):
    layer = nn.Linear(3, 3, rng=0, backend=backend)
    found = nn.summary(nn.Sequential(layer, nn.Tanh(), layer), (1, 3), show=False)
    assert found.parameters == 12
    assert [row.parameters for row in found.rows] == [0, 12, 0, 0]
    assert found.multiply_adds == 18


def test_frozen_parameters_are_told_apart(backend):
    model = nn.Sequential(nn.Linear(3, 3, rng=0, backend=backend), nn.Linear(3, 1, rng=0, backend=backend))
    model[0].requires_grad_(False)
    found = nn.summary(model, (1, 3), show=False)
    assert (found.parameters, found.trainable_parameters) == (16, 4)
    assert str(found).endswith("4 parameters are learnt, 12 are frozen")


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_a_recurrent_layer_costs_both_matrices_at_every_step_in_both_directions(backend, kind, gates):
    layer = kind(5, 4, num_layers=2, bidirectional=True, rng=0, backend=backend)
    found = nn.summary(layer, (7, 3, 5), show=False)
    of_a_step = sum(2 * gates * (width * 4 + 4 * 4) for width in (5, 2 * 4))
    assert found.multiply_adds == 7 * 3 * of_a_step
    assert found.rows[0].output_shape[0] == (7, 3, 8)


def test_a_recurrent_cell_costs_one_step(backend):
    assert nn.summary(nn.LSTMCell(5, 4, rng=0, backend=backend), (3, 5), show=False).multiply_adds == 3 * 16 * (5 + 4)


class _Attending(nn.Module):
    def __init__(self, backend, **options):
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, rng=0, backend=backend)
        self.options = options

    def forward(self, x):
        return self.attention(x, x, x, **self.options)[0]


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("memory", [False, True], ids=["itself", "memory"])
def test_attention_costs_its_products_and_those_of_every_pair_of_positions(backend, need_weights, memory):
    class Looking(_Attending):
        def forward(self, x, y):
            return self.attention(x, y if memory else x, y if memory else x, **self.options)[0]

    n, queries, keys, width = 3, 5, 6 if memory else 5, 8
    found = nn.summary(Looking(backend, need_weights=need_weights), [(n, queries, width), (n, 6, width)], show=False)
    products = n * width * width * (2 * queries + 2 * keys)
    assert found.multiply_adds == products + n * 2 * width * queries * keys


def test_of_causal_attention_pairs_with_the_future_cost_nothing(backend):
    found = nn.summary(_Attending(backend, need_weights=False, is_causal=True), (3, 5, 8), show=False)
    assert found.multiply_adds == 3 * (5 * 4 * 8 * 8 + 2 * 8 * (1 + 2 + 3 + 4 + 5))


def test_a_gpt_costs_the_same_with_either_kind_of_positions(backend):
    shapes = {"vocabulary": 7, "context": 6, "dim": 8, "n_heads": 2, "n_layers": 1, "rng": 0, "backend": backend}
    learned, rotary = (
        nn.summary(nn.models.GPT(**shapes, positions=positions), (2, 6), dtype="int64", show=False)
        for positions in ("learned", "rotary")
    )
    assert learned.multiply_adds == rotary.multiply_adds
    assert learned.multiply_adds == 2 * (6 * (12 * 8 * 8 + 7 * 8) + 2 * 8 * 21)


def test_several_inputs_and_symbols_have_types_of_their_own(backend):
    bilinear = nn.Bilinear(3, 4, 2, rng=0, backend=backend)
    assert nn.summary(bilinear, [(5, 3), (5, 4)], show=False).multiply_adds == 5 * (3 * 2 * 4 + 2 * 4)
    embedding = nn.Embedding(7, 4, rng=0, backend=backend)
    assert nn.summary(embedding, (2, 3), dtype="int64", show=False).rows[0].output_shape == (2, 3, 4)
    with pytest.raises(ArgumentError, match="dtype: expected one for each of 1 inputs, got 2"):
        nn.summary(embedding, (2, 3), dtype=["int64", "int64"])


def test_a_parameter_outside_the_layers_is_counted_where_it_stands(backend):
    class Shifted(nn.Module):
        def __init__(self):
            self.shift = Parameter(backend.zeros((3,)))
            self.inner = nn.Identity()

        def forward(self, x):
            return self.inner(operations.add(x, self.shift))

    found = nn.summary(Shifted(), (2, 3), show=False)
    assert [(row.name, row.depth, row.parameters) for row in found.rows] == [("", 0, 3), ("inner", 1, 0)]


def test_the_model_is_left_as_it_was(backend):
    model = nn.Sequential(
        nn.Linear(3, 3, rng=0, backend=backend), nn.BatchNorm1d(3, backend=backend), nn.Dropout(rng=0)
    )
    model[0].eval()
    before = {name: to_numpy(value).copy() for name, value in model.state_dict().items()}
    nn.summary(model, (4, 3), show=False)
    assert [module.training for module in model.modules()] == [True, False, True, True]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(to_numpy(value), before[name])
    assert model[2].rng.state()["position"] == 0
    assert not any(module._hooks.after or module._hooks.before for module in model.modules())


def test_a_model_that_fails_is_left_without_hooks(backend):
    model = nn.Linear(3, 2, rng=0, backend=backend)
    with pytest.raises(ValueError, match="linear"):
        nn.summary(model, (1, 4))
    assert model.training
    assert not model._hooks.before


def test_what_is_no_module_has_no_table():
    with pytest.raises(ArgumentError, match="model: expected a module, got a function"):
        nn.summary(lambda x: x, (1, 2))
