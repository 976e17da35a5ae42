"""Recurrent layers: the guide's formulas, lengths, windows in time, derivatives, and refusals that name shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portml import nn
from portml.autograd import Tensor, check_gradients, no_grad
from portml.backends import Backend, operations, to_numpy
from portml.errors import ArgumentError, DtypeError, RangeError, ShapeError

KINDS = ("RNN", "LSTM", "GRU")


def drawn(backend: Backend, *shape: int, dtype: Any = "float32", seed: int = 0) -> Any:
    return backend.asarray(np.random.default_rng(seed).standard_normal(shape), dtype=dtype)


def logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def weights_of(layer: nn.Module) -> list[Any]:
    return [to_numpy(value) for value in layer.state_dict().values()]


def test_a_plain_network_is_the_guides_formula(backend: Backend) -> None:
    layer = nn.RNN(3, 4, rng=0, backend=backend, dtype="float64")
    x = drawn(backend, 5, 2, 3, dtype="float64")
    w_ih, w_hh, b_ih, b_hh = weights_of(layer)
    h, states = np.zeros((2, 4)), []
    for step in to_numpy(x):
        h = np.tanh(step @ w_ih.T + h @ w_hh.T + b_ih + b_hh)
        states.append(h)
    with no_grad():
        y, end = layer(x)
    np.testing.assert_allclose(to_numpy(y), states, atol=1e-12)
    np.testing.assert_allclose(to_numpy(end), h[None], atol=1e-12)


def test_an_lstm_cell_is_the_guides_formula_of_the_joined_input_and_returns_its_gates(backend: Backend) -> None:
    cell = nn.LSTMCell(3, 4, rng=0, backend=backend, dtype="float64")
    x, h, c = (drawn(backend, 2, n, dtype="float64", seed=n) for n in (3, 4, 4))
    w_ih, w_hh, b_ih, b_hh = weights_of(cell)
    joined = np.concatenate([to_numpy(x), to_numpy(h)], axis=1)
    added_up = joined @ np.concatenate([w_ih, w_hh], axis=1).T + b_ih + b_hh
    i, f, g, o = np.split(added_up, 4, axis=1)
    expected = [logistic(i), logistic(f), np.tanh(g), logistic(o)]
    new_c = expected[1] * to_numpy(c) + expected[0] * expected[2]
    with no_grad():
        new_h, cell_after, gates = cell(x, (h, c), return_gates=True)
    assert gates._fields == ("input", "forget", "candidate", "output")
    for one, other in zip(gates, expected, strict=True):
        np.testing.assert_allclose(to_numpy(one), other, atol=1e-12)
    np.testing.assert_allclose(to_numpy(cell_after), new_c, atol=1e-12)
    np.testing.assert_allclose(to_numpy(new_h), expected[3] * np.tanh(new_c), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_its_cell_step_by_step(backend: Backend, dtype: Any, kind: str) -> None:
    name = str(dtype).rpartition(".")[2].strip("'>")
    layer = getattr(nn, kind)(3, 4, rng=0, backend=backend, dtype=name)
    cell = getattr(nn, f"{kind}Cell")(3, 4, backend=backend, dtype=name)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    x = drawn(backend, 5, 2, 3, dtype=dtype)
    with no_grad():
        y, _ = layer(x)
        state = None
        for t in range(5):
            state = cell(x[t, ...], state)
            h = state[0] if kind == "LSTM" else state
            np.testing.assert_allclose(to_numpy(h), to_numpy(y)[t], atol=1e-6)
    assert y.dtype == dtype


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_gates_lie_as_the_input_does_and_mix_the_states(backend: Backend, kind: str) -> None:
    layer = getattr(nn, kind)(3, 4, 2, batch_first=True, bidirectional=True, rng=0, backend=backend)
    x = drawn(backend, 2, 5, 3)
    y, _, gates = layer(x, return_gates=True)
    assert isinstance(y, Tensor)
    assert [each[0].shape for each in gates] == [(2, 5, 4)] * 4
    _, _, single = layer(x[0, ...], return_gates=True)
    np.testing.assert_allclose(to_numpy(single[3][1]), to_numpy(gates[3][1])[0], atol=1e-6)
    if kind == "GRU":
        for direction, states in enumerate((to_numpy(y)[..., :4], to_numpy(y)[:, ::-1, 4:])):
            _r, z, n = (to_numpy(each)[:, :: -1 if direction else 1] for each in gates[2 + direction])
            np.testing.assert_allclose(states[:, 1:], ((1 - z) * n)[:, 1:] + z[:, 1:] * states[:, :-1], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_beyond_its_length_a_sequence_has_no_effect_and_zeros_come_out(backend: Backend, kind: str) -> None:
    layer = getattr(nn, kind)(3, 4, 2, bidirectional=True, rng=0, backend=backend)
    values = np.random.default_rng(0).standard_normal((6, 3, 3))
    values[4:, 1], values[:, 2] = np.nan, np.nan
    x = backend.asarray(values, dtype="float32")
    y, end = layer(x, lengths=[6, 4, 0])
    ends = end if kind == "LSTM" else (end,)
    assert np.all(to_numpy(y)[4:, 1] == 0)
    assert np.all(to_numpy(y)[:, 2] == 0)
    alone, alone_end = layer(x[:4, 1, ...])
    np.testing.assert_allclose(to_numpy(y)[:4, 1], to_numpy(alone), atol=1e-6)
    alone_ends = alone_end if kind == "LSTM" else (alone_end,)
    for one, other in zip(ends, alone_ends, strict=True):
        np.testing.assert_allclose(to_numpy(one)[:, 1], to_numpy(other), atol=1e-6)
        assert np.all(to_numpy(one)[:, 2] == 0)
    operations.sum(y).backward()
    assert all(np.isfinite(to_numpy(parameter.grad)).all() for parameter in layer.parameters())


def test_windows_in_time_hand_the_state_on_and_cut_the_gradient(backend: Backend) -> None:
    layer = nn.LSTM(3, 4, rng=0, backend=backend)
    x = drawn(backend, 7, 2, 3)
    whole, _ = layer(x)
    state, parts, inputs = None, [], []
    for window in nn.windows_in_time(x, 3):
        inputs.append(Tensor(window, requires_grad=True))
        y, state = layer(inputs[-1], nn.detach_state(state))
        parts.append(y)
    assert [each.shape[0] for each in parts] == [3, 3, 1]
    np.testing.assert_allclose(np.concatenate([to_numpy(each) for each in parts]), to_numpy(whole), atol=1e-6)
    operations.sum(parts[1]).backward()
    assert inputs[0].grad is None
    assert np.any(to_numpy(inputs[1].grad) != 0)
    assert [each.shape for each in nn.windows_in_time(x, 2, batch_first=True)] == [(7, 2, 3)]
    assert nn.detach_state([x, None]) == (x, None)
    with pytest.raises(ArgumentError, match="at least 1 step"):
        nn.windows_in_time(x, 0)
    with pytest.raises(ArgumentError, match="length"):
        nn.windows_in_time(x, 2.5)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"expected \(N, L, ...\), got shape \(7,\)"):
        nn.windows_in_time(x[:, 0, 0], 2, batch_first=True)


def test_one_seed_drops_the_same(backend: Backend) -> None:
    x = drawn(backend, 5, 2, 3)
    with no_grad():
        one, again, other = (
            to_numpy(nn.LSTM(3, 4, 3, dropout=0.5, bidirectional=True, rng=seed, backend=backend)(x)[0])
            for seed in (1, 1, 2)
        )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_none_gives_none(backend: Backend, kind: str) -> None:
    layer = getattr(nn, kind)(3, 4, 2, bidirectional=True, rng=0, backend=backend)
    x = Tensor(drawn(backend, 5, 0, 3), requires_grad=True)
    lengths: Any
    for lengths in (None, []):
        y, end = layer(x, lengths=lengths)
        assert y.shape == (5, 0, 8)
        assert all(each.shape == (4, 0, 4) for each in (end if kind == "LSTM" else (end,)))
    operations.sum(y).backward()
    assert all(np.all(to_numpy(parameter.grad) == 0) for parameter in layer.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_nan_reaches_only_its_own_sequence_from_then_on(backend: Backend, kind: str) -> None:
    layer = getattr(nn, kind)(3, 4, rng=0, backend=backend)
    values = np.ones((5, 2, 3), "float32")
    values[3, 1, 0] = np.nan
    with no_grad():
        y = to_numpy(layer(backend.asarray(values))[0])
    assert np.isnan(y[3:, 1]).all()
    assert np.isfinite(y[:3]).all()
    assert np.isfinite(y[:, 0]).all()


@pytest.mark.parametrize("lengths_form", ["list", "array"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_length_out_of_range_is_refused_or_makes_nan(backend: Backend, kind: str, lengths_form: str) -> None:
    layer = getattr(nn, kind)(3, 4, rng=0, backend=backend)
    x = drawn(backend, 5, 3, 3)
    lengths: Any = [6, 5, -1] if lengths_form == "list" else backend.asarray(np.asarray([6, 5, -1], "int32"))
    with no_grad():
        if lengths_form == "list" or backend.host:
            with pytest.raises(RangeError, match="lengths contain 6; expected 0 to the 5 steps"):
                layer(x, lengths=lengths)
            return
        y, end = layer(x, lengths=lengths)
    assert np.isnan(to_numpy(y)[:, 0]).all()
    for state in end if kind == "LSTM" else (end,):
        assert np.isnan(to_numpy(state)).any(axis=(0, 2)).tolist() == [True, False, True]
    assert np.isfinite(to_numpy(y)[:, 1:]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_two_precisions_meet_in_the_wider_one(kind: str) -> None:
    layer = getattr(nn, kind)(3, 4, rng=0, backend="numpy")
    x, h = np.random.default_rng(0).standard_normal((5, 2, 3)), np.ones((1, 2, 4))
    y, _ = layer(x)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y.value, layer(x.astype("float32"))[0].value, atol=1e-6)
    wide = getattr(nn, kind)(3, 4, rng=0, backend="numpy", dtype="float64")
    wide.load_state_dict({name: value.astype("float64") for name, value in layer.state_dict().items()})
    y, _ = layer(x.astype("float32"), (h, h) if kind == "LSTM" else h)
    assert y.dtype == np.float64
    expected, _ = wide(x.astype("float32").astype("float64"), (h, h) if kind == "LSTM" else h)
    np.testing.assert_allclose(y.value, expected.value, atol=1e-6)
    operations.sum(y).backward()
    operations.sum(expected).backward()
    for one, other in zip(layer.parameters(), wide.parameters(), strict=True):
        assert one.grad.dtype == one.dtype
        np.testing.assert_allclose(one.grad.value, other.grad.value, rtol=1e-4, atol=1e-5)


def test_dropout_stands_between_layers_in_training_only(backend: Backend) -> None:
    layer = nn.GRU(3, 4, 2, dropout=0.5, rng=0, backend=backend)
    x = drawn(backend, 5, 2, 3)
    with no_grad():
        first, second = (to_numpy(layer(x)[0]) for _ in range(2))
        assert not np.array_equal(first, second)
        layer.eval()
        np.testing.assert_array_equal(to_numpy(layer(x)[0]), to_numpy(layer(x)[0]))
        everything = nn.GRU(3, 4, 2, dropout=1.0, rng=0, backend=backend)
        alone = nn.GRU(3, 4, backend=backend)
        alone.load_state_dict({name: value for name, value in everything.state_dict().items() if "_l0" in name})
        y, end = everything(x)
        np.testing.assert_allclose(to_numpy(end)[0], to_numpy(alone(x)[1])[0], atol=1e-6)
        np.testing.assert_array_equal(to_numpy(y), to_numpy(everything(-x)[0]))
    with pytest.warns(UserWarning, match="num_layers=1"):
        nn.GRU(3, 4, dropout=0.5, backend=backend)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_are_right(kind: str, order: int) -> None:
    backend_words: dict[str, Any] = {"rng": 0, "backend": "numpy", "dtype": "float64"}
    layer = getattr(nn, kind)(2, 2, bidirectional=True, **backend_words)
    lengths = [3, 2]

    def loss(x: Any) -> Any:
        y, end = layer(x, lengths=lengths)
        ends = end if kind == "LSTM" else (end,)
        return sum((operations.sum(each * each) for each in ends), operations.sum(y * y * y))

    check_gradients(loss, np.random.default_rng(0).standard_normal((3, 2, 2)), order=order)


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "features": (lambda: nn.LSTM(3, 4)(np.ones((5, 2, 7), "f4")), ShapeError, r"\(L, N, 3\) or \(L, 3\)"),
    "axes": (lambda: nn.GRU(3, 4, batch_first=True)(np.ones(3, "f4")), ShapeError, r"\(N, L, 3\)"),
    "no steps": (lambda: nn.RNN(3, 4)(np.ones((0, 2, 3), "f4")), ShapeError, "one step at least"),
    "first state": (
        lambda: nn.LSTM(3, 4, batch_first=True)(np.ones((2, 5, 3), "f4"), (np.ones((2, 1, 4)), np.ones((2, 1, 4)))),
        ShapeError,
        r"expected \(1, 2, 4\)",
    ),
    "one state": (lambda: nn.LSTM(3, 4)(np.ones((5, 2, 3), "f4"), np.ones((1, 2, 4))), ArgumentError, "pair"),
    "too long": (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3), "f4"), lengths=[5, 6]), RangeError, "lengths contain 6"),
    "negative": (lambda: nn.RNN(3, 4)(np.ones((5, 2, 3), "f4"), lengths=[5, -1]), RangeError, "lengths contain -1"),
    "too few": (lambda: nn.LSTM(3, 4)(np.ones((5, 2, 3), "f4"), lengths=[5]), ShapeError, "each of 2 samples"),
    "fractions": (lambda: nn.LSTM(3, 4)(np.ones((5, 2, 3), "f4"), lengths=np.ones(2)), DtypeError, "integers"),
    "lengths of one": (lambda: nn.LSTM(3, 4)(np.ones((5, 3), "f4"), lengths=[5]), ArgumentError, "single sequence"),
    "length of one": (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3), "f4"), lengths=5), ShapeError, "each of 2 samples"),
    "length and a half": (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3), "f4"), lengths=[1.5, 2]), ArgumentError, "lengths"),
    "tokens": (lambda: nn.LSTM(3, 4)(np.ones((5, 2, 3), int)), DtypeError, "lstm: x has dtype int64; expected float32"),
    "bits": (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3), bool)), DtypeError, "gru: x has dtype bool"),
    "complex": (lambda: nn.RNN(3, 4)(np.ones((5, 2, 3), complex)), DtypeError, "recurrent: x has dtype complex128"),
    "whole states": (lambda: nn.GRU(3, 4)(np.ones((5, 2, 3), "f4"), np.ones((1, 2, 4), int)), DtypeError, "a first st"),
    "list": (lambda: nn.LSTM(3, 4)([[1.0, 2.0, 3.0]]), ArgumentError, "x: expected an array, got list"),
    "none": (lambda: nn.GRUCell(3, 4)(None), ArgumentError, "x: expected an array, got NoneType"),
    "pair for one": (
        lambda: nn.GRU(3, 4)(np.ones((5, 3), "f4"), (1, 2)),
        ArgumentError,
        "hx: expected an array, got t",
    ),
    "numbers": (lambda: nn.LSTM(3, 4)(np.ones((5, 3), "f4"), (1, 2)), ArgumentError, "hx: expected an array, got int"),
    "three states": (lambda: nn.LSTM(3, 4)(np.ones((5, 3), "f4"), (1, 2, 3)), ArgumentError, "pair"),
    "states of a batch": (lambda: nn.RNN(3, 4)(np.ones((5, 3), "f4"), np.ones((1, 1, 4))), ShapeError, r"\(1, 4\)"),
    "projection": (lambda: nn.LSTM(3, 4, proj_size=4), RangeError, "proj_size: expected less than hidden_size = 4"),
    "half a projection": (lambda: nn.LSTM(3, 4, proj_size=0.5), ArgumentError, "proj_size"),  # type: ignore[arg-type]
    "states unprojected": (
        lambda: nn.LSTM(3, 4, proj_size=2)(np.ones((5, 3), "f4"), (np.ones((1, 4)), np.ones((1, 4)))),
        ShapeError,
        r"\(1, 2\)",
    ),
    "half a unit": (lambda: nn.LSTM(3, 4.5), ArgumentError, "hidden_size"),  # type: ignore[arg-type]
    "gates of none": (lambda: nn.RNN(3, 4)(np.ones((5, 3)), return_gates=True), TypeError, "return_gates"),
    "nonlinearity": (lambda: nn.RNN(3, 4, nonlinearity="sigmoid"), ArgumentError, "'tanh' or 'relu'"),
    "size": (lambda: nn.LSTM(3, 0), ArgumentError, "hidden_size"),
    "layers": (lambda: nn.GRU(3, 4, 0), ArgumentError, "num_layers"),
    "dropout": (lambda: nn.GRU(3, 4, 2, dropout=1.5), RangeError, "dropout"),
    "cell features": (lambda: nn.LSTMCell(3, 4)(np.ones((2, 5), "f4")), ShapeError, r"\(N, 3\)"),
    "cell state": (lambda: nn.GRUCell(3, 4)(np.ones((2, 3), "f4"), np.ones((3, 4), "f4")), ShapeError, r"\(2, 4\)"),
    "cell pair": (lambda: nn.LSTMCell(3, 4)(np.ones((2, 3), "f4"), np.ones((2, 4), "f4")), ArgumentError, "pair"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_by_name(case: str) -> None:
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        call()


def test_what_is_not_as_usual_is_told() -> None:
    layer = nn.RNN(3, 4, num_layers=2, nonlinearity="relu", rng=0, backend="numpy")
    assert repr(layer) == "RNN(3, 4, num_layers=2, nonlinearity='relu')"
    assert repr(nn.RNNCell(3, 4, nonlinearity="relu", rng=0, backend="numpy")) == "RNNCell(3, 4, nonlinearity='relu')"
    assert repr(nn.RNN(3, 4, rng=0, backend="numpy")) == "RNN(3, 4)"


def test_a_projected_lstm_shows_its_projection_and_its_gates(backend):
    layer = nn.LSTM(3, 5, proj_size=2, rng=0, backend=backend)
    x = backend.asarray(np.random.default_rng(0).standard_normal((4, 2, 3)).astype("float32"))
    y, (h, c), (gates,) = layer(x, return_gates=True)
    assert (y.shape, h.shape, c.shape, gates.output.shape) == ((4, 2, 2), (1, 2, 2), (1, 2, 5), (4, 2, 5))
    # The last state is the projection of what the last gates show of the last cell.
    shown = to_numpy(gates.output)[-1] * np.tanh(to_numpy(c)[0])
    np.testing.assert_allclose(to_numpy(h)[0], shown @ to_numpy(layer.weight_hr_l0).T, rtol=1e-5)
    assert repr(layer) == "LSTM(3, 5, proj_size=2)"
