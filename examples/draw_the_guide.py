"""Draw every figure of the chapters on classical models, networks, sequences and technique, from models fitted here.

    python examples/draw_the_guide.py --output figures

Needs the extra `plot`.  `--backend cupy` fits and computes on a GPU; the pictures are the same.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from portml import classical, data, get_backend, nn, optim, plots, train
from portml.autograd import Tensor
from portml.backends import operations, to_numpy
from portml.data.text import WordTokenizer, pad_sequences
from portml.random import Generator

Figure = tuple[str, Any]


def regression(backend: str) -> Iterator[Figure]:
    """Chapter 1: the fit with its loss, descent with several learning rates and in batches of several sizes."""
    draws = Generator(42, backend="numpy")
    X = 2 * np.asarray(draws.random((100, 1), "float64"))
    y = 4 + 3 * X[:, 0] + np.asarray(draws.normal(shape=(100,), dtype="float64"))
    X, y = on(backend, X), on(backend, y)
    line = classical.LinearRegression(solver="gd", learning_rate=0.1).fit(X, y)
    yield "01_linear_regression", plots.RegressionFitDisplay.from_estimator(line, X, y)
    yield "01_gradient_descent", plots.GradientDescentDisplay.from_function()
    histories = {}
    for name, size in {"batch": None, "mini-batch of 16": 16, "stochastic": 1}.items():
        descent = classical.LinearRegression(
            solver="gd", learning_rate=0.02, max_iter=40, batch_size=size, random_state=0
        )
        histories[name] = descent.fit(X, y).loss_history_
    yield (
        "14_descent_in_batches",
        plots.LossCurvesDisplay.from_histories(histories, title="Batch sizes", x_label="pass"),
    )


def classification(backend: str) -> Iterator[Figure]:
    """Chapter 2: boundary, loss and confusion of logistic regression, and the sigmoid."""
    X, y = data.make_classification(
        1000, 2, n_informative=2, n_redundant=0, n_clusters_per_class=1, random_state=42, backend=backend
    )
    model = classical.LogisticRegression(solver="gd", learning_rate=0.1, max_iter=1000).fit(X, y)
    yield (
        "02_logistic_regression",
        plots.DecisionBoundaryDisplay.from_estimator(
            model, X, y, response_method="predict_proba", title="Logistic regression"
        ),
    )
    yield "02_logistic_loss", plots.LossCurvesDisplay.from_histories({"loss": model.loss_history_}, x_label="iteration")
    yield "02_sigmoid", plots.SigmoidDisplay.from_range()
    yield "02_confusion", plots.ConfusionMatrixDisplay.from_estimator(model, X, y)


def trees(backend: str) -> Iterator[Figure]:
    """Chapters 3 and 4: boundaries of a tree and a forest, pictures of trees, impurity and one split."""
    X, y = data.make_moons(500, noise=0.3, random_state=42, backend=backend)
    tree = classical.DecisionTreeClassifier(criterion="entropy", max_depth=10, random_state=0).fit(X, y)
    forest = classical.RandomForestClassifier(50, criterion="entropy", max_depth=10, random_state=0).fit(X, y)
    for name, model, title in (("03_tree", tree, "Decision tree"), ("04_forest", forest, "Random forest, 50 trees")):
        accuracy = model.score(X, y)
        boundary = plots.DecisionBoundaryDisplay.from_estimator(model, X, y, title=f"{title}, {accuracy:.1%} right")
        yield f"{name}_boundary", boundary
    small = classical.DecisionTreeClassifier(criterion="entropy", max_depth=3).fit(X, y)
    yield "03_tree_picture", plots.TreeDisplay.from_estimator(small, feature_names=["x₁", "x₂"])
    yield "03_tree_cut_short", plots.TreeDisplay.from_estimator(tree, max_depth=2)
    curve = np.linspace(0, 6, 80)[:, None]
    waves = classical.DecisionTreeRegressor(max_depth=3).fit(on(backend, curve), on(backend, np.sin(curve[:, 0])))
    yield "03_regression_tree_picture", plots.TreeDisplay.from_estimator(waves)
    yield (
        "03_regression_tree",
        plots.RegressionFitDisplay.from_estimator(waves, on(backend, curve), on(backend, np.sin(curve[:, 0]))),
    )
    yield "03_entropy", plots.EntropyCurveDisplay.from_formula()
    yield "03_split", plots.SplitDisplay.from_counts([10, 10], [8, 2], [2, 8])
    yield "03_split_of_the_tree", plots.SplitDisplay.from_estimator(small)


def neighbours(backend: str) -> Iterator[Figure]:
    """Chapters 5 to 8: boundaries, cells, margins, and a learning curve."""
    X, y = data.make_moons(200, noise=0.25, random_state=0, backend=backend)
    nearest = classical.KNeighborsClassifier(7).fit(X, y)
    yield (
        "05_neighbours",
        plots.DecisionBoundaryDisplay.from_estimator(
            nearest, X, y, response_method="predict_proba", title="7 nearest neighbours"
        ),
    )
    blobs, groups = data.make_blobs(240, centers=4, random_state=3, backend=backend)
    yield "06_k_means", plots.KMeansDisplay.from_estimator(classical.KMeans(4, random_state=0).fit(blobs), blobs)
    svc = classical.SVC(C=2.0).fit(X, y)
    yield "07_margins", plots.DecisionBoundaryDisplay.from_estimator(svc, X, y, title="Support vectors, RBF kernel")
    pair, sides = data.make_blobs(80, centers=2, random_state=6, backend=backend)
    linear = classical.SVC(kernel="linear").fit(pair, sides)
    yield "07_linear_margins", plots.DecisionBoundaryDisplay.from_estimator(linear, pair, sides, title="Linear kernel")
    bayes = classical.GaussianNB().fit(blobs, groups)
    yield (
        "08_naive_bayes",
        plots.DecisionBoundaryDisplay.from_estimator(bayes, blobs, groups, title="Naive Bayes, four classes"),
    )
    yield (
        "08_naive_bayes_probabilities",
        plots.DecisionBoundaryDisplay.from_estimator(
            bayes, blobs, groups, response_method="predict_proba", title="Naive Bayes, probabilities"
        ),
    )
    yield "04_learning_curve", plots.LearningCurveDisplay.from_estimator(classical.SVC(), X, y)


def networks(backend: str) -> Iterator[Figure]:
    """Chapters 10 to 14 and 26: XOR, activations, losses, a graph, optimizers and schedules."""
    X = get_backend(backend).asarray(np.asarray([[0, 0], [0, 1], [1, 0], [1, 1]], dtype="float32"))
    y = get_backend(backend).asarray(np.asarray([0, 1, 1, 0]))
    network = nn.models.MLP([2, 8, 1], nn.Tanh, rng=0, backend=backend).fit(X, y, lr=0.5, epochs=2000)
    yield (
        "10_xor",
        plots.DecisionBoundaryDisplay.from_estimator(
            network, X, y, response_method="predict_proba", title="XOR, 2-8-1"
        ),
    )
    yield "10_xor_loss", plots.LossCurvesDisplay.from_histories({"2-8-1, tanh": network.loss_history_}, title="XOR")
    yield "11_activations", plots.ActivationsDisplay.from_functions()
    yield "12_losses", plots.LossesDisplay.from_functions()
    w, x, b = (Tensor(on(backend, np.asarray(value)), requires_grad=True) for value in (2.0, 3.0, -1.0))
    yield (
        "13_graph",
        plots.ComputationGraphDisplay.from_tensor(((w * x + b) ** 2 + w) / 5, names={"w": w, "x": x, "b": b}),
    )
    tiny = nn.Sequential(nn.Linear(2, 4, rng=0, backend=backend), nn.Tanh(), nn.Linear(4, 1, rng=1, backend=backend))
    target = on(backend, to_numpy(y)[:, None].astype("float32"))
    loss = nn.BCEWithLogitsLoss()(tiny(X), target)
    yield "13_graph_of_a_network", plots.ComputationGraphDisplay.from_tensor(loss, names=dict(tiny.named_parameters()))
    yield "14_optimizers", plots.OptimizerPathsDisplay.from_optimizers()
    yield "26_schedules", plots.ScheduleDisplay.from_schedules()


def images(backend: str) -> Iterator[Figure]:
    """Chapter 15: edge kernels, and what LeNet-5 learns from digits in three epochs."""
    digits = data.load_dataset("digits").to(backend)
    picture = digits.test[0:1][0][0, ...]
    yield "15_edge_kernels", plots.EdgeKernelsDisplay.from_image()
    yield "15_edges_of_a_digit", plots.EdgeKernelsDisplay.from_image(picture[0, ...])
    model = nn.models.LeNet5(rng=0, backend=backend)
    trainer = train.Trainer(model, optim.Adam(model.parameters(), lr=3e-3), nn.CrossEntropyLoss())
    trainer.fit(digits.train, epochs=3)
    layers = [*model]
    yield "15_filters", plots.FiltersDisplay.from_module(layers[0])
    yield "15_filters_of_the_second_layer", plots.FiltersDisplay.from_module(layers[3])
    yield "15_feature_maps", plots.FeatureMapsDisplay.from_module(model, picture, layer=layers[0])
    yield "15_feature_maps_of_the_second_layer", plots.FeatureMapsDisplay.from_module(model, picture, layer=layers[3])


def recurrence(backend: str) -> Iterator[Figure]:
    """Chapter 17: the gates of an LSTM that has learnt to keep a sign from the step that is marked to the end."""
    draws, n_steps, n_samples = Generator(42, backend="numpy"), 20, 32
    lstm, head = nn.LSTM(2, 12, rng=0, backend=backend), nn.Linear(12, 1, rng=1, backend=backend)
    # Forget gates that begin open.  [Gers, Schmidhuber & Cummins 2000]
    dict(lstm.named_parameters())["bias_ih_l0"].value[12:24] = 1.0
    adam, loss = optim.Adam([*lstm.parameters(), *head.parameters()], lr=2e-2), nn.BCEWithLogitsLoss()

    def sequences() -> tuple[Any, Any]:
        """A mark at one of the first eight steps, with a sign at it and noise beside it; and whether it is positive."""
        noise = 0.3 * np.asarray(draws.normal(shape=(n_steps, n_samples), dtype="float32"))
        marked = np.arange(n_steps)[:, None] == np.floor(8 * np.asarray(draws.random((n_samples,), "float32")))
        positive = np.asarray(draws.random((n_samples,), "float32")) < 0.5
        signs = np.where(marked, np.where(positive, 1, -1), noise)
        return np.stack([signs, marked], axis=2).astype("float32"), positive[:, None].astype("float32")

    for _ in range(120):
        x, y = (on(backend, each) for each in sequences())
        adam.zero_grad()
        loss(head(lstm(x)[1][0][0, ...]), y).backward()
        adam.step()
    one = sequences()[0][:, 0]
    names = ["mark" if at else "" if step % 5 else str(step) for step, at in enumerate(one[:, 1])]
    yield "17_gates", plots.GatesDisplay.from_module(lstm, on(backend, one), tokens=names)


def attention(backend: str, steps: tuple[int, int] = (150, 40)) -> Iterator[Figure]:
    """Chapters 18 and 19: where a decoder that turns words round looks, and an encoder that tells praise."""
    words, rows, length = "pqrstuvw", 64, 6
    draws, start, stop = Generator(0, backend="numpy"), 1, 2
    reverser = nn.models.EncoderDecoder(
        3 + len(words), dim=32, n_layers=1, max_len=8, dropout=0.0, rng=0, backend=backend
    )
    adam, loss = optim.Adam(reverser.parameters(), lr=5e-3), nn.CrossEntropyLoss()
    for _ in range(steps[0]):
        source = 3 + np.floor(len(words) * np.asarray(draws.random((rows, length), "float32"))).astype("int64")
        read = np.concatenate([np.full((rows, 1), start), source[:, ::-1]], axis=1)
        wanted = np.concatenate([source[:, ::-1], np.full((rows, 1), stop)], axis=1)
        adam.zero_grad()
        logits = reverser(on(backend, source), on(backend, read))
        loss(operations.reshape(logits, (-1, logits.shape[-1])), on(backend, wanted.reshape(-1))).backward()
        adam.step()
    _, (weights,) = reverser(on(backend, source[:1]), on(backend, read[:1]), need_weights=True)
    names = [words[number - 3] if number > 2 else "<STOP>" for number in wanted[0]]
    yield (
        "18_attention",
        plots.AttentionDisplay.from_weights(weights.value[0, ...], names, [words[n - 3] for n in source[0]]),
    )

    sentences = [
        "this is a great movie",
        "the story is dull and stupid",
        "a good film with compelling actors",
        "this movie is dull and the actors stupid",
    ]
    tokenizer = WordTokenizer.from_texts(sentences)
    tokens = on(backend, pad_sequences([tokenizer.encode(each) for each in sentences])[0])
    judge = nn.models.TransformerClassifier(
        len(tokenizer), dim=32, dim_feedforward=64, dropout=0.0, rng=0, backend=backend
    )
    adam = optim.Adam(judge.parameters(), lr=2e-3)
    for _ in range(steps[1]):
        adam.zero_grad()
        loss(judge(tokens), on(backend, np.asarray([1, 0, 1, 0]))).backward()
        adam.step()
    _, layers = judge(tokens[:1, :5], need_weights=True)
    yield (
        "19_attention",
        plots.AttentionDisplay.from_weights([each.value[0, ...] for each in layers], sentences[0].split()),
    )


def techniques(backend: str) -> Iterator[Figure]:
    """Chapters 20 to 22: penalties, batch normalisation and dropout."""
    draws = Generator(42, backend="numpy")
    true = np.asarray([3.0, -2.0, 1.0, 0.5, -1.5] + [0.0] * 15)
    X = np.asarray(draws.normal(shape=(100, 20), dtype="float64"))
    y = X @ true + 0.5 * np.asarray(draws.normal(shape=(100,), dtype="float64"))
    strength = 0.1
    models = {
        "no penalty": classical.LinearRegression(),
        "lasso": classical.Lasso(strength / 2),
        "ridge": classical.Ridge(len(X) * strength),
        "elastic net": classical.ElasticNet(0.75 * strength, l1_ratio=1 / 3),
    }
    fitted = {name: model.fit(on(backend, X), on(backend, y)) for name, model in models.items()}
    yield "20_penalties", plots.CoefficientsDisplay.from_estimators(fitted, true)
    scales, means = np.asarray([1.0, 4.0, 0.3, 2.0, 6.0, 1.5]), np.asarray([0.0, 5.0, -1.0, 8.0, -6.0, 2.0])
    batch = means + scales * np.asarray(draws.normal(shape=(128, 6), dtype="float64"))
    layer = nn.BatchNorm1d(6, backend=backend)
    yield "21_batch_norm", plots.NormalisationDisplay.from_module(layer, on(backend, batch.astype("float32")))
    ones = 1 + np.asarray(draws.random((1000,), "float32"))
    dropout = nn.Dropout(0.5, rng=0, backend=backend)
    yield "22_dropout", plots.DropoutDisplay.from_module(dropout, on(backend, ones))


CHAPTERS: list[Callable[[str], Iterator[Figure]]] = [
    regression, classification, trees, neighbours, networks, images, recurrence, attention, techniques,
]  # fmt: skip


def on(backend: str, array: Any) -> Any:
    """An array on a backend, in its own data type."""
    return get_backend(backend).asarray(array)


def main(output: Path, backend: str = "numpy", chapters: list[Callable[[str], Iterator[Figure]]] = CHAPTERS) -> int:
    """Draw into the folder, and return how many pictures there are."""
    output.mkdir(parents=True, exist_ok=True)
    began, number = time.perf_counter(), 0
    for chapter in chapters:
        for name, display in chapter(backend):
            print(display.save(output / f"{name}.png"))
            number += 1
    print(f"{number} figures in {time.perf_counter() - began:.1f} s")
    return number


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the figures of the guide.")
    parser.add_argument("--output", type=Path, default=Path("figures"), help="the folder (default: figures)")
    parser.add_argument("--backend", default="numpy", help="numpy (default) or cupy")
    arguments = parser.parse_args()
    sys.exit(0 if main(arguments.output, arguments.backend) else 1)
