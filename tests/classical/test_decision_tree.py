"""Decision trees: scikit-learn's trees where no splits are tied, equally good ones where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import datasets, tree

from portml.backends import Backend, get_backend, to_numpy
from portml.classical import DecisionTreeClassifier, DecisionTreeRegressor, export_text
from portml.classical.tree_growth import entropy, gini, information_gain
from portml.errors import ArgumentError

SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"max_depth": 4},
    {"min_samples_leaf": 5},
    {"min_samples_leaf": 0.02, "min_samples_split": 0.1},
    {"min_weight_fraction_leaf": 0.02},
    {"min_impurity_decrease": 0.01},
)
EQUALLY_GOOD = 1e-9


def assert_same_but_for_ties(ours: Any, theirs: Any) -> int:
    """Walk both trees; where their questions differ, both must gain the same.  How many nodes were the same."""
    mine = {name: to_numpy(getattr(ours, name)) for name in COMPARED}
    other = {name: getattr(theirs, name) for name in COMPARED}
    waiting, same = [(0, 0)], 0
    while waiting:
        here, there = waiting.pop()
        for name in ("n_node_samples", "weighted_n_node_samples", "impurity"):
            np.testing.assert_allclose(mine[name][here], other[name][there], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(to_numpy(ours.value)[here], theirs.value[there], rtol=1e-9, atol=1e-12)
        is_leaf = mine["children_left"][here] < 0
        assert is_leaf == (other["children_left"][there] < 0)
        if is_leaf:
            continue
        alike = mine["feature"][here] == other["feature"][there] and np.isclose(
            mine["threshold"][here], other["threshold"][there], rtol=1e-12
        )
        if alike:
            same += 1
            waiting += [(mine[side][here], other[side][there]) for side in ("children_left", "children_right")]
        else:
            assert abs(removed(mine, here) - removed(other, there)) < EQUALLY_GOOD * mine["weighted_n_node_samples"][0]
    return same


COMPARED = (
    "children_left",
    "children_right",
    "feature",
    "threshold",
    "impurity",
    "n_node_samples",
    "weighted_n_node_samples",
    "missing_go_to_left",
)


def same_tree_of_scikit_learn(ours: Any, X: Any, y: Any) -> Any:
    """The tree of that depth that breaks ties as ours does."""
    for seed in range(100):
        theirs = tree.DecisionTreeClassifier(max_depth=4, random_state=seed).fit(X, y)
        if np.array_equal(theirs.tree_.feature, ours.tree_.feature):
            return theirs
    raise AssertionError("no seed of a hundred grows the same tree")


def removed(nodes: dict[str, Any], node: int) -> float:
    """The impurity that a split removes, times the weight."""
    mass = nodes["impurity"] * nodes["weighted_n_node_samples"]
    return float(mass[node] - mass[nodes["children_left"][node]] - mass[nodes["children_right"][node]])


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("criterion", ["gini", "entropy"])
@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_a_classifier_grows_scikit_learns_tree(name: str, criterion: str, settings: dict[str, Any]) -> None:
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    ours = DecisionTreeClassifier(criterion=criterion, **settings).fit(X, y)
    kind = tree.DecisionTreeClassifier
    # Among equally good splits theirs takes one at random: of several seeds some begin as ours does.
    grown = [kind(criterion=criterion, random_state=seed, **settings).fit(X, y).tree_ for seed in range(5)]
    assert max(assert_same_but_for_ties(ours.tree_, each) for each in grown) > 2


@pytest.mark.parametrize("settings", SETTINGS[1:5], ids=str)
def test_a_regressor_grows_scikit_learns_tree(settings: dict[str, Any]) -> None:
    X, y = datasets.load_diabetes(return_X_y=True)
    ours = DecisionTreeRegressor(**settings).fit(X, y)
    theirs = tree.DecisionTreeRegressor(random_state=0, **settings).fit(X, y)
    assert assert_same_but_for_ties(ours.tree_, theirs.tree_) > 10


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_missing_values_and_weights_go_where_scikit_learns_go(name: str, weighted: bool) -> None:
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    draws = np.random.default_rng(0)
    X[draws.random(X.shape) < 0.2] = np.nan
    weights = draws.integers(0, 3, len(y)).astype(float) if weighted else None
    kinds = (DecisionTreeRegressor, tree.DecisionTreeRegressor)
    if name == "iris":
        kinds = (DecisionTreeClassifier, tree.DecisionTreeClassifier)
    ours = kinds[0](max_depth=4).fit(X, y, weights)
    grown = [kinds[1](max_depth=4, random_state=seed).fit(X, y, weights).tree_ for seed in range(5)]
    assert max(assert_same_but_for_ties(ours.tree_, each) for each in grown) > 2


def test_text_is_scikit_learns_text() -> None:
    X, y = datasets.load_iris(return_X_y=True)
    ours = DecisionTreeClassifier(max_depth=4).fit(X, y)
    theirs = same_tree_of_scikit_learn(ours, X, y)
    options: dict[str, Any] = {"show_weights": True, "decimals": 1, "max_depth": 2, "spacing": 2}
    assert export_text(ours) == tree.export_text(theirs)
    assert export_text(ours, **options) == tree.export_text(theirs, **options)
    with pytest.raises(ArgumentError, match="must contain 4 elements, got 1"):
        export_text(ours, feature_names=["length"])


def test_importances_leaves_and_paths_are_scikit_learns() -> None:
    X, y = datasets.load_iris(return_X_y=True)
    ours = DecisionTreeClassifier(max_depth=4).fit(X, y)
    theirs = same_tree_of_scikit_learn(ours, X, y)
    np.testing.assert_allclose(ours.feature_importances_, theirs.feature_importances_)
    np.testing.assert_array_equal(ours.apply(X), theirs.apply(X))
    np.testing.assert_array_equal(ours.decision_path(X), theirs.decision_path(X).toarray())
    assert (ours.get_depth(), ours.get_n_leaves()) == (theirs.get_depth(), theirs.get_n_leaves())


@pytest.mark.parametrize("settings", [{}, {"max_bins": 16}, {"max_features": 2, "random_state": 3}], ids=str)
def test_every_backend_grows_the_same_tree(backend: Backend, dtype: Any, settings: dict[str, Any]) -> None:
    X, y = datasets.load_iris(return_X_y=True)
    X[::7, 2] = np.nan
    there = backend.asarray(X, dtype=dtype)
    ours = DecisionTreeClassifier(max_depth=3, **settings).fit(there, backend.asarray(y))
    host = DecisionTreeClassifier(max_depth=3, **settings).fit(to_numpy(there), y)
    for name in COMPARED:
        np.testing.assert_array_equal(to_numpy(getattr(ours.tree_, name)), getattr(host.tree_, name))
    shares = ours.predict_proba(there)
    assert shares.dtype == dtype
    np.testing.assert_array_equal(to_numpy(shares), host.predict_proba(to_numpy(there)))


@pytest.mark.parametrize("kernels", ["pure", "agnostic"])
def test_kernels_of_every_kind_grow_the_same_tree(kernels: str) -> None:
    X, y = datasets.load_breast_cancer(return_X_y=True)
    grown = DecisionTreeClassifier(max_features=5, random_state=1).fit(X, y).tree_
    before = get_backend("numpy").kernels
    try:
        get_backend("numpy", kernels=kernels)
        again = DecisionTreeClassifier(max_features=5, random_state=1).fit(X, y).tree_
    finally:
        get_backend("numpy", kernels=before)
    for name in COMPARED:
        np.testing.assert_array_equal(getattr(grown, name), getattr(again, name))


def test_the_guides_moons_are_learnt_to_98_percent() -> None:
    X, y = datasets.make_moons(500, noise=0.3, random_state=42)
    model = DecisionTreeClassifier(criterion="entropy", max_depth=10, min_samples_split=2).fit(X, y)
    peer = tree.DecisionTreeClassifier(criterion="entropy", max_depth=10, random_state=0).fit(X, y)
    assert model.score(X, y) == peer.score(X, y) == 0.98


def test_gains_are_in_bits(xp: Any, backend: Backend) -> None:
    parent, left, right = (backend.asarray(counts, "float64") for counts in ([10.0, 10], [8.0, 2], [2.0, 8]))
    assert float(to_numpy(information_gain(parent, left, right))) == pytest.approx(0.278, abs=5e-4)
    np.testing.assert_allclose(to_numpy(entropy(backend.asarray([[1.0, 1], [4, 0], [1, 3]]))), [1, 0, 0.81127812], 1e-6)
    np.testing.assert_allclose(to_numpy(gini(backend.asarray([[1.0, 1], [4, 0]]))), [0.5, 0])


@pytest.mark.parametrize("max_bins", [None, 255, 16])
def test_whole_weights_do_what_repeated_samples_do(max_bins: int | None) -> None:
    rng = np.random.default_rng(0)
    X, y, weights = rng.standard_normal((400, 3)), rng.integers(0, 3, 400), rng.integers(0, 4, 400)
    repeated = np.repeat(np.arange(400), weights)
    once = DecisionTreeClassifier(max_bins=max_bins, max_depth=6).fit(X, y, sample_weight=weights)
    often = DecisionTreeClassifier(max_bins=max_bins, max_depth=6).fit(X[repeated], y[repeated])
    np.testing.assert_array_equal(once.tree_.threshold, often.tree_.threshold)
    np.testing.assert_allclose(once.predict_proba(X), often.predict_proba(X), rtol=1e-12)


def test_balanced_classes_count_samples_not_their_weights_as_in_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    X, y, weights = rng.standard_normal((300, 1)), rng.choice(3, 300, p=[0.6, 0.3, 0.1]), rng.integers(0, 4, 300)
    options: dict[str, Any] = {"class_weight": "balanced", "max_depth": 5}
    ours = DecisionTreeClassifier(**options).fit(X, y, sample_weight=weights)
    theirs = tree.DecisionTreeClassifier(random_state=0, **options).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)


def test_bins_of_few_values_are_as_good_as_ranks() -> None:
    X, y = datasets.load_digits(return_X_y=True)
    exact = DecisionTreeClassifier(max_depth=6).fit(X, y)
    binned = DecisionTreeClassifier(max_depth=6, max_bins=255).fit(X, y)
    np.testing.assert_array_equal(exact.predict(X), binned.predict(X))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("criterion", "mse"),
        ("max_depth", 0),
        ("min_samples_split", 1),
        ("min_samples_leaf", 1.5),
        ("max_features", "all"),
        ("max_bins", 256),
        ("min_weight_fraction_leaf", 0.6),
        ("min_impurity_decrease", -1.0),
        ("class_weight", "even"),
        ("class_weight", {7: 1.0}),
    ],
)
def test_what_a_parameter_cannot_be_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ArgumentError, match=name):
        DecisionTreeClassifier(**{name: value}).fit([[0.0], [1.0]], [0, 1])


def test_numbers_beyond_float32_are_refused() -> None:
    with pytest.raises(ArgumentError, match="float32"):
        DecisionTreeClassifier().fit([[1e300], [0.0]], [0, 1])
