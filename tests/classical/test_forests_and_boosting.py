"""Random forests and gradient boosting: as good as scikit-learn's, the same from equal seeds, the same everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import datasets, ensemble
from sklearn.model_selection import train_test_split

from portml import classical
from portml.backends import Backend, get_backend, to_numpy
from portml.errors import ArgumentError

FORESTS = (classical.RandomForestClassifier, classical.RandomForestRegressor)
BOOSTED = (classical.HistGradientBoostingClassifier, classical.HistGradientBoostingRegressor)


def table(name: str) -> tuple[Any, Any]:
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return X, y


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes"])
def test_a_forest_scores_as_scikit_learns_within_noise(name: str) -> None:
    X, y = table(name)
    kind = "Regressor" if name == "diabetes" else "Classifier"
    scores = np.empty((2, 10))
    for seed in range(10):
        train_X, test_X, train_y, test_y = train_test_split(X, y, test_size=0.3, random_state=seed)
        for row, room in enumerate((classical, ensemble)):
            model = getattr(room, f"RandomForest{kind}")(15, random_state=seed)
            scores[row, seed] = model.fit(train_X, train_y).score(test_X, test_y)
    difference = scores[0] - scores[1]
    assert difference.mean() > -3.0 * difference.std(ddof=1) / np.sqrt(10) - 0.002


def test_out_of_bag_scores_are_near_those_of_new_samples() -> None:
    X, y = table("breast_cancer")
    model = classical.RandomForestClassifier(30, oob_score=True, random_state=0).fit(X[:400], y[:400])
    assert model.oob_score_ == pytest.approx(model.score(X[400:], y[400:]), abs=0.05)
    assert model.oob_decision_function_.shape == (400, 2)
    with pytest.raises(ArgumentError, match="bootstrap=True"):
        classical.RandomForestRegressor(oob_score=True, bootstrap=False).fit(X, y)


@pytest.mark.parametrize("kind", FORESTS)
def test_jobs_do_not_change_the_forest(kind: Any) -> None:
    X, y = table("wine")
    alone = kind(6, random_state=3).fit(X, y)
    together = kind(6, random_state=3, n_jobs=2).fit(X, y)
    other = kind(6, random_state=4).fit(X, y)
    np.testing.assert_array_equal(alone.predict(X), together.predict(X))
    assert any(
        one.tree_.node_count != another.tree_.node_count
        for one, another in zip(alone.estimators_, other.estimators_, strict=True)
    )


@pytest.mark.parametrize("kind", [*FORESTS, *BOOSTED])
def test_every_backend_learns_the_same(backend: Backend, kind: Any) -> None:
    X, y = table("iris")
    X[::5, 1] = np.nan
    settings = {"n_estimators": 3, "max_depth": 3} if kind in FORESTS else {"max_iter": 3, "max_leaf_nodes": 4}
    there = backend.asarray(X)
    ours = kind(random_state=1, **settings).fit(there, backend.asarray(y))
    host = kind(random_state=1, **settings).fit(X, y)
    np.testing.assert_allclose(to_numpy(ours.predict(there)), host.predict(X), rtol=1e-12)
    assert ours.predict(backend.asarray(X, "float32")).dtype in (
        backend.xp.int64,
        backend.xp.float32,
        backend.xp.float64,
    )


def tied_table() -> tuple[Any, Any]:
    """Few samples, small integers, and targets in thirds: many splits are equally good but for rounding."""
    draws = np.random.default_rng(3)
    X = draws.integers(0, 4, (60, 4)).astype("float64")
    X[40:] = X[:20]
    return X, draws.integers(0, 5, 60) / 3.0


TIED = (
    classical.DecisionTreeRegressor(random_state=0),
    classical.RandomForestRegressor(6, random_state=0),
    classical.RandomForestRegressor(6, max_features=2, random_state=0),
    classical.HistGradientBoostingRegressor(max_iter=5, max_leaf_nodes=20, min_samples_leaf=1),
)
TIED_NAMES = ("tree", "forest", "drawn columns", "boosting")


@pytest.mark.parametrize("model", TIED, ids=TIED_NAMES)
@pytest.mark.parametrize("kernels", ["pure", "agnostic"])
def test_rounding_chooses_no_split_in_kernels_of_any_kind(model: Any, kernels: str) -> None:
    X, y = tied_table()
    before = get_backend("numpy").kernels
    try:
        predictions = []
        for each in ("fused", kernels):
            get_backend("numpy", kernels=each)
            predictions.append(model.fit(X, y).predict(X))
    finally:
        get_backend("numpy", kernels=before)
    np.testing.assert_allclose(*predictions, rtol=1e-9)


@pytest.mark.parametrize("model", TIED, ids=TIED_NAMES)
def test_rounding_chooses_no_split_on_any_backend(backend: Backend, model: Any) -> None:
    X, y = tied_table()
    there = backend.asarray(X)
    ours = to_numpy(model.fit(there, backend.asarray(y)).predict(there))
    np.testing.assert_allclose(ours, model.fit(X, y).predict(X), rtol=1e-9)


@pytest.mark.parametrize("missing", [False, True])
def test_boosting_a_regression_is_scikit_learns(missing: bool) -> None:
    X, y = table("diabetes")
    if missing:
        X[::3, 2] = np.nan
    settings: dict[str, Any] = {"max_iter": 10, "max_leaf_nodes": 8, "learning_rate": 0.2}
    ours = classical.HistGradientBoostingRegressor(**settings).fit(X, y)
    theirs = ensemble.HistGradientBoostingRegressor(**settings).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-5)


@pytest.mark.parametrize("name", ["iris", "breast_cancer"])
def test_boosting_a_classification_is_scikit_learns_but_for_ties(name: str) -> None:
    X, y = table(name)
    ours = classical.HistGradientBoostingClassifier(max_iter=10).fit(X, y)
    theirs = ensemble.HistGradientBoostingClassifier(max_iter=10).fit(X, y)
    assert np.median(np.abs(ours.predict_proba(X) - theirs.predict_proba(X))) < 1e-3
    assert ours.score(X, y) > theirs.score(X, y) - 0.01


def test_boosting_stops_when_nothing_is_gained() -> None:
    X, y = table("breast_cancer")
    model = classical.HistGradientBoostingClassifier(
        early_stopping=True, n_iter_no_change=3, max_iter=200, learning_rate=0.5, random_state=0
    ).fit(X, y)
    assert 3 < model.n_iter_ < 100
    assert model.validation_score_.shape == model.train_score_.shape == (model.n_iter_ + 1,)
    assert model.train_score_[-1] > model.train_score_[0]


def test_labels_may_be_text() -> None:
    X, y = table("iris")
    labels = np.asarray(["setosa", "versicolor", "virginica"])[y]
    for kind, settings in ((FORESTS[0], {"n_estimators": 3}), (BOOSTED[0], {"max_iter": 3})):
        model = kind(**settings).fit(X, labels)
        assert model.score(X, labels) > 0.9
        assert set(model.predict(X)) <= set(labels)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_boosting_predicts_in_the_precision_of_what_it_is_given(backend, dtype):
    draws = np.random.default_rng(0)
    X = backend.asarray(draws.standard_normal((60, 3)).astype(dtype))
    y = backend.asarray(draws.integers(0, 2, 60))
    classifier = classical.HistGradientBoostingClassifier(max_iter=3).fit(X, y)
    regressor = classical.HistGradientBoostingRegressor(max_iter=3).fit(X, X[:, 0])
    for predicted in (classifier.predict_proba(X), classifier.decision_function(X), regressor.predict(X)):
        assert predicted.dtype == X.dtype
