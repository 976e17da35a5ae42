from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from sklearn.datasets import load_iris

from portml import nn, plots
from portml.backends import Backend, to_numpy
from portml.classical import (
    SVC,
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    GaussianNB,
    KMeans,
    Lasso,
    LinearRegression,
    LogisticRegression,
    RandomForestClassifier,
)
from portml.data import make_blobs, make_moons
from portml.errors import ArgumentError, DtypeError, MissingDependencyError, NotFittedError, ShapeError

MOONS, SIDES = (to_numpy(each) for each in make_moons(60, noise=0.2, random_state=0))
BLOBS, GROUPS = (to_numpy(each) for each in make_blobs(60, centers=3, random_state=1))


def shown(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_boundary_is_what_the_estimator_predicts_on_every_backend(backend: Backend, tmp_path: Path) -> None:
    X, y = backend.asarray(BLOBS), backend.asarray(GROUPS)
    model = GaussianNB().fit(X, y)
    display = plots.DecisionBoundaryDisplay.from_estimator(model, X, y, grid_resolution=20)
    on_grid = to_numpy(model.predict(backend.asarray(display.plane.points)))
    assert np.array_equal(display.response, on_grid)
    axes = display.axes["boundary"]
    assert np.array_equal(axes.get_images()[0].get_array(), on_grid.reshape(20, 20))
    assert shown(axes) == ["0", "1", "2"]
    assert [len(points.get_offsets()) for points in axes.collections[-3:]] == [20, 20, 20]
    assert display.save(tmp_path / "boundary.png").stat().st_size > 5_000


def test_margins_stand_where_the_decision_is_one_and_support_vectors_are_ringed(backend: Backend) -> None:
    X, y = backend.asarray(MOONS), backend.asarray(SIDES)
    model = SVC(kernel="linear").fit(X, y)
    display = plots.DecisionBoundaryDisplay.from_estimator(model, X, y, grid_resolution=50)
    assert display.response_method == "decision_function"
    assert np.array_equal(display.support_vectors, to_numpy(model.support_vectors_))
    dashed = [lines for lines in display.axes["boundary"].collections if getattr(lines, "levels", [0])[0] == -1.0]
    (margins,) = dashed
    for path, level in zip(margins.get_paths(), margins.levels, strict=True):
        decisions = to_numpy(model.decision_function(backend.asarray(path.vertices)))
        assert np.allclose(decisions, level, atol=1e-6)


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_network_has_a_probability_surface(backend: Backend, outputs: int) -> None:
    X = backend.asarray(MOONS.astype("float32"))
    network = nn.models.MLP([2, 4, outputs], rng=0, backend=backend)
    display = plots.DecisionBoundaryDisplay.from_estimator(
        network, X, SIDES, response_method="predict_proba", grid_resolution=9
    )
    found = to_numpy(network.predict_proba(backend.asarray(display.plane.points.astype("float32"))))
    assert np.allclose(display.response[:, 1], found if outputs == 1 else found[:, 1])
    bare = nn.Sequential(*network)
    again = plots.DecisionBoundaryDisplay.from_estimator(
        bare, X, SIDES, response_method="predict_proba", grid_resolution=9
    )
    assert np.allclose(again.response, display.response, atol=1e-6)
    assert bare.training


def test_labels_of_text_are_named_and_frames_keep_their_columns() -> None:
    frame = load_iris(as_frame=True).data.iloc[:, :2]
    names = np.asarray(["setosa", "versicolor", "virginica"])[load_iris().target]
    model = LogisticRegression(max_iter=200).fit(frame, names)
    display = plots.DecisionBoundaryDisplay.from_estimator(
        model, frame, names, response_method="predict_proba", grid_resolution=12
    )
    axes = display.axes["boundary"]
    assert shown(axes) == ["setosa", "versicolor", "virginica"]
    assert axes.get_xlabel() == "sepal length (cm)"
    assert np.allclose(display.response.sum(axis=1), 1)


def test_what_cannot_be_drawn_as_a_boundary_is_refused_by_name() -> None:
    draw, model = plots.DecisionBoundaryDisplay.from_estimator, GaussianNB().fit(BLOBS, GROUPS)
    with pytest.raises(ShapeError, match="X: expected 2 features to draw, got 4"):
        draw(model, load_iris().data)
    with pytest.raises(NotFittedError, match="not fitted"):
        draw(GaussianNB(), BLOBS)
    with pytest.raises(ArgumentError, match="expected one that predicts classes, got LinearRegression"):
        draw(LinearRegression().fit(BLOBS, GROUPS), BLOBS)
    with pytest.raises(ArgumentError, match="response_method: GaussianNB has no decision_function"):
        draw(model, BLOBS, response_method="decision_function")
    with pytest.raises(ArgumentError, match="response_method: expected one of auto"):
        draw(model, BLOBS, response_method="votes")
    with pytest.raises(ArgumentError, match="margins are drawn of two classes, got 3"):
        draw(SVC().fit(BLOBS, GROUPS), BLOBS, response_method="decision_function")
    with pytest.raises(ShapeError, match="y: expected a label for each of 60 samples"):
        draw(model, BLOBS, GROUPS[:5])
    with pytest.raises(ArgumentError, match="grid_resolution"):
        draw(model, BLOBS, grid_resolution=1)


def test_the_cells_of_k_means_are_those_of_the_nearest_centre(backend: Backend) -> None:
    X = backend.asarray(BLOBS)
    model = KMeans(3, random_state=0).fit(X)
    display = plots.KMeansDisplay.from_estimator(model, X, grid_resolution=15)
    distances = ((display.plane.points[:, None] - display.centers) ** 2).sum(axis=2)
    assert np.array_equal(display.cells, distances.argmin(axis=1))
    assert shown(display.axes["cells"])[-1] == "centres"
    with pytest.raises(NotFittedError):
        plots.KMeansDisplay.from_estimator(KMeans(3), X)


def test_a_learning_curve_has_the_scores_of_clones(backend: Backend) -> None:
    X, y = backend.asarray(MOONS), backend.asarray(SIDES)
    display = plots.LearningCurveDisplay.from_estimator(GaussianNB(), X, y, train_sizes=[12, 1.0], cv=3)
    assert display.train_sizes.tolist() == [12, 40]
    assert display.test_scores.shape == (2, 3)
    drawn = display.axes["curve"].get_lines()
    assert np.allclose(drawn[1].get_ydata(), display.test_scores.mean(axis=1))
    again = plots.LearningCurveDisplay.from_estimator(GaussianNB(), MOONS, SIDES, train_sizes=[12, 1.0], cv=3)
    assert np.allclose(again.test_scores, display.test_scores)
    with pytest.raises(ArgumentError, match="train_sizes: expected shares"):
        plots.LearningCurveDisplay.from_estimator(GaussianNB(), X, y, train_sizes=[500])


def test_a_tree_is_drawn_node_by_node(backend: Backend, tmp_path: Path) -> None:
    tree = DecisionTreeClassifier(criterion="entropy", max_depth=3).fit(backend.asarray(MOONS), backend.asarray(SIDES))
    display = plots.TreeDisplay.from_estimator(tree, feature_names=["east", "north"], class_names=["down", "up"])
    nodes = tree.tree_.node_count
    texts = [text.get_text() for text in display.axes["tree"].texts]
    assert len(display.boxes) == nodes
    assert len(texts) == nodes + 2  # and "yes" and "no"
    assert len(display.axes["tree"].get_lines()) == nodes - 1
    threshold = float(to_numpy(tree.tree_.threshold)[0])
    assert any(text.endswith(("up", "down")) and f"≤ {threshold:.4g}" in text for text in texts)
    assert display.n_leaves == tree.get_n_leaves()
    cut = plots.TreeDisplay.from_estimator(tree, max_depth=1)
    assert len(cut.boxes) == 3
    assert any(box.text.endswith("...") for box in cut.boxes.values())
    assert display.save(tmp_path / "tree.svg").stat().st_size > 5_000


def test_boxes_of_a_tree_do_not_touch() -> None:
    tree = DecisionTreeRegressor(max_depth=4).fit(MOONS[:, :1], MOONS[:, 1])
    display = plots.TreeDisplay.from_estimator(tree)
    FigureCanvasAgg(display.figure).draw()
    boxes = [text.get_bbox_patch() for text in display.axes["tree"].texts]
    frames = [box.get_window_extent() for box in boxes if box is not None]
    assert len(frames) == tree.tree_.node_count
    assert not any(one.overlaps(other) for number, one in enumerate(frames) for other in frames[:number])


def test_only_fitted_trees_with_enough_names_are_drawn() -> None:
    draw, tree = plots.TreeDisplay.from_estimator, DecisionTreeClassifier().fit(MOONS, SIDES)
    with pytest.raises(NotFittedError):
        draw(DecisionTreeClassifier())
    with pytest.raises(ArgumentError, match="feature_names: expected 2 names, got 1"):
        draw(tree, feature_names=["east"])
    with pytest.raises(ArgumentError, match="class_names: expected 2 names, got 3"):
        draw(tree, class_names="abc")
    with pytest.raises(ArgumentError, match="expected a decision tree, got RandomForestClassifier"):
        draw(RandomForestClassifier(2).fit(MOONS, SIDES))


def test_a_confusion_matrix_is_written_cell_by_cell(backend: Backend) -> None:
    true, predicted = backend.asarray(np.asarray([0, 0, 1, 1, 2])), backend.asarray(np.asarray([0, 1, 1, 1, 0]))
    display = plots.ConfusionMatrixDisplay.from_predictions(true, predicted, display_labels=["a", "b", "c"])
    assert display.confusion_matrix.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    axes = display.axes["matrix"]
    assert [text.get_text() for text in axes.texts] == [*"110020100"]
    assert axes.get_title(loc="left") == "Confusion matrix, 60.0% right"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    shares = plots.ConfusionMatrixDisplay.from_predictions(true, predicted, normalize="true")
    assert shares.confusion_matrix[0].tolist() == [0.5, 0.5, 0]
    model = GaussianNB().fit(backend.asarray(BLOBS), backend.asarray(GROUPS))
    by_model = plots.ConfusionMatrixDisplay.from_estimator(model, backend.asarray(BLOBS), backend.asarray(GROUPS))
    assert by_model.confusion_matrix.sum() == 60
    with pytest.raises(ArgumentError, match="display_labels: expected 2 names, got 1"):
        plots.ConfusionMatrixDisplay(np.eye(2), ["one"])


def test_a_fit_is_drawn_with_its_loss(backend: Backend) -> None:
    x = np.linspace(0, 1, 20)
    X, y = backend.asarray(x[:, None]), backend.asarray(2 * x + 1)
    model = LinearRegression(solver="gd", learning_rate=0.1, max_iter=30).fit(X, y)
    display = plots.RegressionFitDisplay.from_estimator(model, X, y)
    (line,) = display.axes["fit"].get_lines()
    slope, intercept = to_numpy(model.coef_)[0], to_numpy(model.intercept_)
    assert np.allclose(line.get_ydata(), slope * line.get_xdata() + intercept)
    (losses,) = display.axes["loss"].get_lines()
    assert np.array_equal(losses.get_ydata(), to_numpy(model.loss_history_))
    assert [*plots.RegressionFitDisplay.from_estimator(LinearRegression().fit(X, y), X, y).axes] == ["fit"]
    with pytest.raises(ShapeError, match="X: expected 1 feature to draw, got 2"):
        plots.RegressionFitDisplay.from_estimator(model, MOONS, SIDES)
    with pytest.raises(NotFittedError):
        plots.RegressionFitDisplay.from_estimator(LinearRegression(), X, y)


def test_predictions_of_many_features_are_drawn_against_the_truth(backend: Backend) -> None:
    true, predicted = backend.asarray(np.asarray([1.0, 2.0, 4.0])), backend.asarray(np.asarray([1.5, 2.0, 3.0]))
    display = plots.RegressionFitDisplay.from_predictions(true, predicted)
    axes = display.axes["fit"]
    assert axes.collections[0].get_offsets().tolist() == [[1, 1.5], [2, 2], [4, 3]]
    assert [line.tolist() for line in axes.get_lines()[0].get_data()] == [[1, 4], [1, 4]]
    assert display.score == pytest.approx(1 - 1.25 / (14 / 3))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("true", "predicted")
    with pytest.raises(ShapeError, match="y_pred: expected one for each of 3 samples"):
        plots.RegressionFitDisplay.from_predictions(true, [1.0])


def test_the_entropy_curve_is_shannons() -> None:
    display = plots.EntropyCurveDisplay.from_formula(9)
    p = np.linspace(0, 1, 9)[1:-1]
    assert np.allclose(display.entropy[1:-1], -p * np.log2(p) - (1 - p) * np.log2(1 - p))
    assert display.entropy[[0, -1]].tolist() == [0, 0]
    assert np.allclose(display.axes["impurity"].get_lines()[1].get_ydata()[1:-1], 2 * p * (1 - p))


def test_a_split_shows_the_counts_and_the_gain(backend: Backend) -> None:
    display = plots.SplitDisplay.from_counts([10, 10], [8, 2], [2, 8])
    assert display.gain == pytest.approx(0.2780719)
    assert [bar.get_height() for bar in display.axes["left"].patches] == [8, 2]
    assert display.figure.get_suptitle() == "information gain 0.278 bits"
    tree = DecisionTreeClassifier(criterion="entropy").fit(backend.asarray(MOONS), backend.asarray(SIDES))
    root = plots.SplitDisplay.from_estimator(tree)
    assert np.allclose(root.counts["parent"], [30, 30])
    with pytest.raises(ArgumentError, match=r"add up to the parent's, \[5.0, 5.0\], got"):
        plots.SplitDisplay([5, 5], [8, 2], [2, 8])
    with pytest.raises(ArgumentError, match="node: expected the number of one with children"):
        plots.SplitDisplay.from_estimator(tree, tree.tree_.node_count - 1)


def test_descent_on_the_parabola_ends_where_the_guide_says() -> None:
    display = plots.GradientDescentDisplay.from_function()
    ends = [path[-1] for path in display.paths.values()]
    assert np.allclose(ends, [3 - 3 * 0.8**20, 3 - 3 * 0.4**20, 3 - 3 * 0.8**20])
    assert [*display.axes] == ["learning rate 0.1", "learning rate 0.3", "learning rate 0.9"]
    drawn = display.axes["learning rate 0.3"].get_lines()[1]
    assert np.allclose(drawn.get_ydata(), (drawn.get_xdata() - 3) ** 2 + 2)


def test_coefficients_stand_beside_the_true_ones_with_the_count_of_zeros(backend: Backend) -> None:
    rng, true = np.random.default_rng(0), np.asarray([3.0, 0.0, -2.0, 0.0])
    X = rng.normal(size=(50, 4))
    data = backend.asarray(X), backend.asarray(X @ true)
    fitted = {"none": LinearRegression().fit(*data), "lasso": Lasso(0.5).fit(*data)}
    display = plots.CoefficientsDisplay.from_estimators(fitted, true)
    axes = display.axes["lasso"]
    assert axes.get_title(loc="left") == "lasso: 2 of 4 exactly zero"
    assert np.allclose([bar.get_height() for bar in axes.patches], [*true, *to_numpy(fitted["lasso"].coef_)])
    alone = plots.CoefficientsDisplay.from_estimator(fitted["lasso"], true)
    assert alone.axes["Lasso"].get_title(loc="left") == "Lasso: 2 of 4 exactly zero"
    with pytest.raises(ShapeError, match="as many weights each"):
        plots.CoefficientsDisplay({"one": [1.0]}, true)
    with pytest.raises(NotFittedError):
        plots.CoefficientsDisplay.from_estimators({"one": Lasso()})


def test_the_sigmoid_and_its_derivative_follow_the_formula() -> None:
    display = plots.SigmoidDisplay.from_range(-4, 4)
    value = 1 / (1 + np.exp(-display.z))
    assert np.allclose(display.axes["sigmoid"].get_lines()[0].get_ydata(), value)
    assert np.allclose(display.axes["derivative"].get_lines()[0].get_ydata(), value * (1 - value))


def test_losses_of_several_trainings_share_a_panel(backend: Backend) -> None:
    display = plots.LossCurvesDisplay.from_histories({"a": backend.asarray([3.0, 2.0]), "b": [1.0]})
    assert [[*line.get_ydata()] for line in display.axes["loss"].get_lines()] == [[3, 2], [1]]
    assert shown(display.axes["loss"]) == ["a", "b"]
    with pytest.raises(ArgumentError, match="histories: expected losses"):
        plots.LossCurvesDisplay({})


def test_panels_go_where_they_are_told_and_too_few_are_refused() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots(1, 2)
    assert plots.SigmoidDisplay.from_range(ax=axes).figure is figure
    with pytest.raises(ArgumentError, match="ax: expected 2 axes for sigmoid, derivative, got 1"):
        plots.SigmoidDisplay.from_range(ax=axes[0])


def test_text_and_numbers_that_are_not_finite_are_refused_by_name() -> None:
    with pytest.raises(DtypeError, match="losses: expected numbers"):
        plots.LossCurvesDisplay({"losses": ["low"]})
    with pytest.raises(ArgumentError, match="losses: expected finite numbers"):
        plots.LossCurvesDisplay({"losses": [1.0, float("nan")]})


def test_a_display_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "portml\[plot\]"'):
        plots.EntropyCurveDisplay.from_formula()


def test_every_display_is_listed() -> None:
    assert all(callable(getattr(plots, name)) for name in dir(plots))
    with pytest.raises(AttributeError, match=r"dir\(portml.plots\) lists them"):
        plots.PieDisplay  # noqa: B018
