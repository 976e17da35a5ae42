from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portml import nn, plots
from portml.autograd import no_grad
from portml.backends import Backend, to_numpy
from portml.errors import ArgumentError, ShapeError
from portml.nn.recurrent import GRUGates


def drawn(backend: Backend, *shape: int) -> Any:
    return backend.asarray(np.random.default_rng(0).standard_normal(shape), dtype="float32")


def test_the_maps_of_an_lstm_lead_to_the_states_it_gives(backend: Backend, tmp_path: Path) -> None:
    lstm = nn.LSTM(3, 5, 2, bidirectional=True, dropout=0.5, rng=0, backend=backend)
    x, h, c = drawn(backend, 7, 3), drawn(backend, 4, 5), drawn(backend, 4, 5) * 2
    for reverse in (False, True):
        display = plots.GatesDisplay.from_module(lstm, x, (h, c), layer=1, reverse=reverse)
        assert lstm.training
        with no_grad():
            y, (_, cells) = lstm.eval()(x, (h, c))
            lstm.train()
        half = slice(5, 10) if reverse else slice(0, 5)
        np.testing.assert_allclose(display.maps["state"], to_numpy(y)[:, half].T, atol=1e-6)
        np.testing.assert_allclose(
            display.maps["cell"][:, 0 if reverse else -1], to_numpy(cells)[2 + reverse], atol=1e-6
        )
    assert [*display.axes] == ["input gate", "forget gate", "output gate", "candidate", "cell", "state"]
    for name, axes in display.axes.items():
        (image,) = axes.get_images()
        assert np.array_equal(image.get_array(), display.maps[name])
        most = np.abs(display.maps["cell"]).max() if name == "cell" else 1.0
        assert image.get_clim() == ((0.0 if name.endswith("gate") else -most), most)
    assert display.save(tmp_path / "gates.png").stat().st_size > 5_000


def test_the_maps_of_a_gru_lead_to_the_states_it_gives(backend: Backend) -> None:
    gru = nn.GRU(3, 4, rng=0, backend=backend)
    x, h = drawn(backend, 6, 3), drawn(backend, 1, 4)
    display = plots.GatesDisplay.from_module(gru, x, h, tokens=["a", " ", "$", "\n", "b", "c"])
    with no_grad():
        y, _, gates = gru(x, h, return_gates=True)
    np.testing.assert_allclose(display.maps["state"], to_numpy(y).T, atol=1e-6)
    np.testing.assert_allclose(display.maps["update gate"], to_numpy(gates[0].update).T, atol=1e-6)
    both_ways, h = nn.GRU(3, 4, bidirectional=True, rng=0, backend=backend), drawn(backend, 2, 4)
    with no_grad():
        y, _ = both_ways(x, h)
    back = plots.GatesDisplay.from_module(both_ways, x, h, reverse=True)
    np.testing.assert_allclose(back.maps["state"], to_numpy(y)[:, 4:].T, atol=1e-6)
    assert [*display.axes] == ["reset gate", "update gate", "candidate", "state"]
    labels = [label.get_text() for label in display.axes["candidate"].get_xticklabels()]
    assert labels == ["a", "␣", "$", "↵", "b", "c"]
    assert [axes.get_xlabel() for axes in display.axes.values()] == ["", "", "step", "step"]
    assert [axes.get_ylabel() for axes in display.axes.values()] == ["unit", "", "unit", ""]


def test_what_has_no_gates_or_is_no_sequence_is_refused() -> None:
    lstm, x = nn.LSTM(3, 4, rng=0, backend="numpy"), np.zeros((5, 3), "float32")
    from_module = plots.GatesDisplay.from_module
    with pytest.raises(ArgumentError, match="expected an LSTM or a GRU, which have gates, got RNN"):
        from_module(nn.RNN(3, 4, backend="numpy"), x)
    with pytest.raises(ArgumentError, match="layer: expected one from 0 to 0, got 1"):
        from_module(lstm, x, layer=1)
    with pytest.raises(ArgumentError, match="layer: expected one from 0 to 0, got -1"):
        from_module(lstm, x, layer=-1)
    with pytest.raises(ArgumentError, match="walks forward only"):
        from_module(lstm, x, reverse=True)
    with pytest.raises(ShapeError, match=r"x: expected one sequence \(L, 3\), got \(5, 1, 3\)"):
        from_module(lstm, x[:, None])
    with pytest.raises(ArgumentError, match="tokens: expected 5, one for each step, got 2"):
        from_module(lstm, x, tokens="ab")
    one = np.ones((2, 3))
    with pytest.raises(ShapeError, match=r"gates: expected one shape \(L, hidden_size\)"):
        plots.GatesDisplay(GRUGates(one, one[:1], one))
    with pytest.raises(ShapeError, match=r"first: expected shape \(3,\)"):
        plots.GatesDisplay(GRUGates(one, one, one), first=[1.0])
