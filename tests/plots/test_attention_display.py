from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from portml import nn, plots
from portml.backends import Backend, to_numpy
from portml.errors import ArgumentError, ShapeError
from portml.plots.host import HostArray


def weights_of(*shape: int) -> HostArray:
    drawn: HostArray = np.random.default_rng(0).random(shape)
    drawn /= drawn.sum(axis=-1, keepdims=True)
    return drawn


def test_one_map_has_a_row_for_each_query_and_a_column_for_each_key(backend: Backend, tmp_path: Path) -> None:
    weights = weights_of(2, 3)
    display = plots.AttentionDisplay.from_weights(
        backend.asarray(weights.astype("float32")), ["der", "Hund"], ["the", "big", "dog"]
    )
    axes = display.axes["weights"]
    image = axes.get_images()[0]
    assert np.allclose(image.get_array(), weights)
    assert image.get_clim() == (0, pytest.approx(weights.max()))
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["the", "big", "dog"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["der", "Hund"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("key", "query")
    assert display.save(tmp_path / "map.png").stat().st_size > 2_000


def test_every_layer_of_a_classifier_is_a_row_of_heads(backend: Backend) -> None:
    model = nn.models.TransformerClassifier(9, dim=8, n_heads=2, n_layers=3, dim_feedforward=8, rng=0, backend=backend)
    tokens = backend.asarray(np.asarray([[3, 4, 5, 0], [2, 2, 0, 0]]))
    _, weights = model.eval()(tokens, need_weights=True)
    display = plots.AttentionDisplay.from_weights([layer[0, ...] for layer in weights], ["a", "b", "c", "<PAD>"])
    assert [*display.axes] == [f"layer {layer}, head {head}" for layer in range(3) for head in range(2)]
    for layer in range(3):
        for head in range(2):
            drawn = display.axes[f"layer {layer}, head {head}"].get_images()[0]
            assert np.allclose(drawn.get_array(), to_numpy(weights[layer])[0, head])
            assert drawn.get_clim() == (0, display.weights.max())  # one scale for all
    assert not display.weights[..., 3].any()  # nobody looks at padding


def test_a_grid_is_named_at_its_edges_alone() -> None:
    display = plots.AttentionDisplay.from_weights(weights_of(6, 2, 2), "ab")
    names = {name: (axes.get_xlabel(), axes.get_ylabel()) for name, axes in display.axes.items()}
    assert [*names] == [f"head {head}" for head in range(6)]
    assert [*names.values()] == [("", "query"), ("", ""), ("", ""), ("key", "query"), ("key", ""), ("key", "")]
    assert [tick.get_text() for tick in display.axes["head 5"].get_xticklabels()] == ["a", "b"]
    assert display.axes["head 1"].get_xticklabels() == []


def test_a_map_is_drawn_where_it_is_told(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    places = figure.subplots(1, 2)
    first = plots.AttentionDisplay.from_weights(weights_of(3, 3), ax=places[0])
    both = plots.AttentionDisplay.from_weights(weights_of(2, 3, 3), ax=places)
    assert first.figure is both.figure is figure
    assert [*both.axes.values()] == [*places]
    with pytest.raises(ArgumentError, match="ax: expected 3 axes"):
        plots.AttentionDisplay.from_weights(weights_of(3, 3, 3), ax=places)


def test_tokens_that_would_not_be_seen_or_be_read_as_formulas_are_written_out(tmp_path: Path) -> None:
    display = plots.AttentionDisplay.from_weights(weights_of(4, 4), [" ", "\n", "$x", "_$"])
    assert display.key_tokens == ["␣", "↵", "$x", "_$"]
    assert not any(tick.get_parse_math() for tick in display.axes["weights"].get_xticklabels())
    assert display.save(tmp_path / "odd.png").exists()


def test_rows_that_attend_to_nothing_are_white(tmp_path: Path) -> None:
    display = plots.AttentionDisplay.from_weights(np.zeros((2, 2)))
    assert display.axes["weights"].get_images()[0].get_clim() == (0, 1)


def test_queries_do_not_name_keys_of_another_number() -> None:
    assert plots.AttentionDisplay(weights_of(2, 3), "ab").key_tokens is None
    assert plots.AttentionDisplay(weights_of(2, 2), "ab").key_tokens == ["a", "b"]


def test_what_is_no_map_of_weights_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"weights: expected \(T_query, T_key\), .* got \(2,\)"):
        plots.AttentionDisplay(np.ones(2))
    with pytest.raises(ShapeError, match="take one sequence of a batch"):
        plots.AttentionDisplay([np.ones((1, 2, 3, 3)), np.ones((1, 2, 3, 3))])
    with pytest.raises(ShapeError, match="weights: expected one shape in all layers"):
        plots.AttentionDisplay([np.ones((2, 3, 3)), np.ones((1, 3, 3))])
    with pytest.raises(ArgumentError, match="weights: expected none below zero, got -1"):
        plots.AttentionDisplay([[1.0, -1.0]])
    with pytest.raises(ArgumentError, match="finite"):
        plots.AttentionDisplay([[1.0, np.nan]])
    with pytest.raises(ArgumentError, match="query_tokens: expected 2, one for each place of the map, got 3"):
        plots.AttentionDisplay(weights_of(2, 3), "abc")
    with pytest.raises(ArgumentError, match="key_tokens: expected 3"):
        plots.AttentionDisplay(weights_of(2, 3), "ab", "ab")
