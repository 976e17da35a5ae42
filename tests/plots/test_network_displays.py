from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from portml import Tensor, nn, optim, plots
from portml.backends import Backend, to_numpy
from portml.errors import ArgumentError, GradientError, ShapeError
from portml.nn import derivatives
from portml.optim import schedules


def test_activations_are_drawn_with_the_derivatives_in_closed_form() -> None:
    display = plots.ActivationsDisplay.from_functions()
    assert len(display.axes) == 12
    closed = {"sigmoid": "sigmoid", "tanh": "tanh", "ReLU": "relu", "leaky ReLU": "leaky_relu", "ELU": "elu"}
    for name, function in (closed | {"swish": "swish"}).items():
        expected = getattr(derivatives, function)(display.z)
        assert np.allclose(display.curves[name][1], expected)
        assert np.array_equal(display.axes[name].get_lines()[3].get_ydata(), display.curves[name][1])
    value, slope = display.curves["softmax of (z, 0, 0)"]
    assert np.allclose(value, np.exp(display.z) / (np.exp(display.z) + 2))
    assert np.allclose(slope, value * (1 - value))
    assert [*plots.ActivationsDisplay.from_functions({"mine": nn.Tanh()}).axes] == ["mine"]


def test_losses_follow_their_formulas() -> None:
    display = plots.LossesDisplay.from_functions()
    assert [*display.axes] == ["MSE", "MAE", "compared", "cross-entropy"]
    squares, absolute, huber = (line.get_ydata() for line in display.axes["compared"].get_lines())
    error = display.error
    assert np.allclose(squares, error**2)
    assert np.allclose(absolute, np.abs(error))
    assert np.allclose(huber, np.where(np.abs(error) <= 1, error**2 / 2, np.abs(error) - 0.5))
    zero, one = (line.get_ydata() for line in display.axes["cross-entropy"].get_lines())
    assert np.allclose(zero, -np.log(1 - display.probability))
    assert np.allclose(one, -np.log(display.probability))


def test_the_five_paths_end_where_the_guides_do() -> None:
    display = plots.OptimizerPathsDisplay.from_optimizers()
    ends = [path[-1].round(3).tolist() for path in display.paths.values()]
    assert ends == [[-1.225, 1.510], [0.983, 0.966], [-1.271, 1.622], [-1.052, 1.127], [-1.289, 1.667]]
    assert all(path.shape == (201, 2) for path in display.paths.values())
    texts = [text.get_text() for text in display.axes["paths"].get_legend().get_texts()]
    assert texts[-2:] == ["start", "optimum"]
    with pytest.raises(ArgumentError, match="optimizers, steps"):
        plots.OptimizerPathsDisplay.from_optimizers({})


def test_a_path_that_leaves_the_numbers_is_refused() -> None:
    wild = {"wild": lambda params: optim.SGD(params, lr=10.0)}
    with pytest.raises(ArgumentError, match="the path of wild: expected finite numbers"), np.errstate(all="ignore"):
        plots.OptimizerPathsDisplay.from_optimizers(wild, steps=20)


def test_schedules_are_drawn_epoch_by_epoch() -> None:
    display = plots.ScheduleDisplay.from_schedules(epochs=30, initial_lr=0.2)
    lines = {line.get_label(): [*line.get_ydata()] for line in display.axes["rates"].get_lines()}
    assert [*lines] == ["constant", "step", "exponential", "cosine", "warmup, cosine"]
    assert np.allclose(lines["step"], [0.2 * 0.5 ** (epoch // 10) for epoch in range(30)])
    mine = plots.ScheduleDisplay.from_schedules({"mine": schedules.exponential_decay(0.5)}, epochs=3)
    assert np.allclose(mine.rates["mine"], [0.1, 0.05, 0.025])


def test_the_graph_has_every_operation_and_leaf_once(backend: Backend, tmp_path: Path) -> None:
    w, x = (Tensor(backend.asarray(value, dtype="float64"), requires_grad=True) for value in (2.0, 3.0))
    shared = w * x
    display = plots.ComputationGraphDisplay.from_tensor(shared * shared + w, names={"w": w})
    texts = {vertex.text for vertex in display.vertices}
    assert texts == {"w\n2", "leaf 2\n3", "multiply\n6", "multiply\n36", "add\n38"}
    assert len(display.axes["graph"].texts) == 5 + 6  # boxes and the heads of arrows
    assert all(argument.x < vertex.x for vertex in display.vertices for argument in vertex.arguments)
    assert display.save(tmp_path / "graph.png").stat().st_size > 2_000


def test_the_boxes_of_a_network_graph_do_not_touch(backend: Backend) -> None:
    network = nn.Sequential(nn.Linear(2, 4, rng=0, backend=backend), nn.Tanh(), nn.Linear(4, 1, rng=1, backend=backend))
    x, y = backend.asarray(np.ones((3, 2), "float32")), backend.asarray(np.ones((3, 1), "float32"))
    loss = nn.BCEWithLogitsLoss()(network(x), y)
    display = plots.ComputationGraphDisplay.from_tensor(loss, names=dict(network.named_parameters()))
    assert "0.weight\n4 × 2" in {vertex.text for vertex in display.vertices}
    FigureCanvasAgg(display.figure).draw()
    frames = [text.get_bbox_patch().get_window_extent() for text in display.axes["graph"].texts if text.get_text()]
    assert len(frames) == len(display.vertices)
    assert not any(one.overlaps(other) for number, one in enumerate(frames) for other in frames[:number])


def test_drawing_a_graph_leaves_the_record_for_backward() -> None:
    w = Tensor(np.asarray(2.0), requires_grad=True)
    y = w * w
    plots.ComputationGraphDisplay.from_tensor(y)
    y.backward()
    assert w.grad is not None
    assert w.grad.item() == 4.0
    with pytest.raises(GradientError, match="the record of multiply was freed by backward"):
        plots.ComputationGraphDisplay.from_tensor(y)
    with pytest.raises(GradientError, match="nothing was recorded"):
        plots.ComputationGraphDisplay.from_tensor(Tensor(np.asarray(1.0)))


def test_filters_are_the_weights_of_a_channel(backend: Backend) -> None:
    layer = nn.Conv2d(2, 5, 3, rng=0, backend=backend)
    display = plots.FiltersDisplay.from_module(layer, channel=1)
    weight = to_numpy(layer.weight)
    assert len(display.axes) == 5
    for number, axes in enumerate(display.axes.values()):
        image = axes.get_images()[0]
        assert np.allclose(image.get_array(), weight[number, 1])
        assert image.get_clim() == (-np.abs(weight[:, 1]).max(), np.abs(weight[:, 1]).max())
    colours = plots.FiltersDisplay.from_weights(np.ones((4, 3, 5, 5)))
    assert colours.filters.shape == (4, 5, 5, 3)
    with pytest.raises(ArgumentError, match="channel: expected one from 0 to 1, got 2"):
        plots.FiltersDisplay.from_module(layer, channel=2)
    with pytest.raises(ShapeError, match=r"weight: expected shape \(n_out, n_in"):
        plots.FiltersDisplay.from_module(nn.Linear(2, 2))


def test_feature_maps_are_what_the_layer_gives(backend: Backend) -> None:
    image = backend.asarray(np.random.default_rng(0).random((1, 8, 8)).astype("float32"))
    model = nn.Sequential(nn.Conv2d(1, 3, 3, rng=0, backend=backend), nn.ReLU())
    display = plots.FeatureMapsDisplay.from_module(model, image, layer=model[0])
    assert [*display.axes] == ["image", "map 0", "map 1", "map 2"]
    expected = to_numpy(model[0](image[None, ...]))[0]
    assert np.allclose(display.maps, expected, atol=1e-6)
    assert np.allclose(display.axes["map 1"].get_images()[0].get_array(), expected[1], atol=1e-6)
    assert model.training
    assert np.allclose(plots.FeatureMapsDisplay.from_module(model, image).maps, np.maximum(expected, 0), atol=1e-6)
    with pytest.raises(ArgumentError, match="layer: Tanh is not in the module"):
        plots.FeatureMapsDisplay.from_module(model, image, layer=nn.Tanh())
    with pytest.raises(ShapeError, match="image: expected one of shape"):
        plots.FeatureMapsDisplay.from_module(model, image[0, ...])


def test_edge_kernels_answer_where_brightness_changes(backend: Backend) -> None:
    pixels = np.zeros((5, 5))
    pixels[:, 3:] = 1.0
    display = plots.EdgeKernelsDisplay.from_image(backend.asarray(pixels))
    assert len(display.axes) == 6
    assert display.answers[0].tolist() == [[0, 4, 4]] * 3
    assert not display.answers[1].any()
    assert np.array_equal(display.axes["strength of edges"].get_images()[0].get_array(), display.answers[0])
    assert len(display.axes["image"].texts) == 25


def test_normalisation_draws_the_features_before_and_after(backend: Backend) -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, (40, 3)).astype("float32")
    display = plots.NormalisationDisplay.from_module(nn.BatchNorm1d(3, backend=backend), backend.asarray(x))
    assert np.allclose(display.before, x)
    assert np.allclose(display.after, (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5), atol=1e-4)
    assert len(display.axes["after"].patches) == 3
    with pytest.raises(ShapeError, match="before, after: expected one shape"):
        plots.NormalisationDisplay.from_arrays(x, x[:, :2])


def test_dropout_shows_the_fraction_it_drops(backend: Backend) -> None:
    layer = nn.Dropout(0.25, rng=0, backend=backend)
    x = backend.asarray(np.ones(400, "float32"))
    display = plots.DropoutDisplay.from_module(layer, x, n_draws=30)
    assert display.dropped.mean() == pytest.approx(0.25, abs=0.02)
    assert np.allclose(display.means, (1 - display.dropped) / 0.75)
    with pytest.raises(ArgumentError, match="numbers other than 0"):
        plots.DropoutDisplay.from_module(layer, backend.asarray(np.zeros(3, "float32")))


def test_the_examples_chapters_have_a_figure_each(tmp_path: Path) -> None:
    import runpy

    example: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "draw_the_guide.py"))
    assert example["main"](tmp_path, "numpy", [example["techniques"]]) == 3
    assert {path.stem for path in tmp_path.iterdir()} == {"20_penalties", "21_batch_norm", "22_dropout"}
    assert example["attention"] in example["CHAPTERS"]
    maps = dict(example["attention"]("numpy", steps=(1, 1)))
    assert {name: display.weights.shape for name, display in maps.items()} == {
        "18_attention": (4, 7, 6),
        "19_attention": (2, 4, 5, 5),
    }
