"""Cross-validation, ours of their estimators and theirs of ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest
import sklearn.linear_model
import sklearn.model_selection
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.ensemble import BaggingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from portml.backends import Backend, to_numpy
from portml.classical import (
    Classifier,
    KFold,
    LinearRegression,
    MinMaxScaler,
    OneHotEncoder,
    SimpleImputer,
    StandardScaler,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
)
from portml.classical.validation import labels_of, read_data, read_training_data
from portml.errors import ArgumentError

THEIRS = DecisionTreeClassifier(max_depth=2, random_state=0)


class NearestCentroid(Classifier):
    """The smallest classifier there is, for what is around it to be tested."""

    def __init__(self, shrink: float = 0.0, *, backend: Any = None) -> None:
        self.shrink = shrink
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NearestCentroid:
        data = read_training_data(self, X, y, sample_weight, labels=True)
        xp, self.classes_ = data.xp, data.classes
        hot = xp.astype(
            data.y[:, None] == xp.arange(data.classes.shape[0], device=data.backend.device)[None, :], data.X.dtype
        )
        hot = hot if data.sample_weight is None else hot * data.sample_weight[:, None]
        self.centroids_ = (hot.T @ data.X) / xp.sum(hot, axis=0)[:, None] * (1.0 - self.shrink)
        return self

    def decision_function(self, X: Any) -> Any:
        X = read_data(self, X)
        squares = ((X[:, None, :] - self.centroids_[None, :, :]) ** 2).sum(axis=-1)
        return squares[:, 0] - squares[:, 1]

    def predict(self, X: Any) -> Any:
        X = read_data(self, X)
        xp = X.__array_namespace__()
        squares = xp.sum((X[:, None, :] - self.centroids_[None, :, :]) ** 2, axis=-1)
        return labels_of(xp.argmin(squares, axis=1), self.classes_)


@pytest.mark.parametrize("cv", [None, 3, KFold(4), StratifiedKFold(3), sklearn.model_selection.KFold(3)], ids=str)
@pytest.mark.parametrize("scoring", [None, "accuracy", "f1_macro", "neg_log_loss"])
def test_scores_are_those_of_scikit_learn(cv: Any, scoring: Any) -> None:
    X, y = load_wine(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    ours = cross_val_score(THEIRS, X[order], y[order], cv=cv, scoring=scoring)
    theirs = sklearn.model_selection.cross_val_score(THEIRS, X[order], y[order], cv=cv, scoring=scoring)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_regression_scores_are_those_of_scikit_learn() -> None:
    X, y = load_diabetes(return_X_y=True)
    ridge = sklearn.linear_model.Ridge()
    for scoring in (None, "r2", "neg_mean_squared_error", "neg_root_mean_squared_error", "neg_mean_absolute_error"):
        ours = cross_val_score(ridge, X, y, scoring=scoring)
        np.testing.assert_allclose(
            ours, sklearn.model_selection.cross_val_score(ridge, X, y, scoring=scoring), rtol=1e-12
        )


def test_our_estimators_and_splitters_work_inside_scikit_learn() -> None:
    X, y = load_iris(return_X_y=True)
    names = np.asarray(["setosa", "versicolor", "virginica"])[y]
    X[::11, 2] = np.nan
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), MinMaxScaler(), NearestCentroid())
    cv = StratifiedKFold(4, shuffle=True, random_state=0)
    search = sklearn.model_selection.GridSearchCV(
        pipeline, {"nearestcentroid__shrink": [0.0, 0.9], "simpleimputer__strategy": ["mean", "median"]}, cv=cv
    ).fit(X, names)
    assert search.best_score_ > 0.9
    assert search.best_params_["nearestcentroid__shrink"] == 0.0
    theirs = sklearn.model_selection.cross_val_score(search.best_estimator_, X, names, cv=cv)
    np.testing.assert_allclose(cross_val_score(search.best_estimator_, X, names, cv=cv), theirs, rtol=1e-12)
    assert search.predict(X).dtype == names.dtype
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    assert search.best_estimator_[:-1].set_output(transform="pandas").fit_transform(frame).columns.tolist() == [*"abcd"]
    assert "NearestCentroid" in pipeline._repr_html_()


def test_a_frame_of_numbers_and_text_goes_through_scikit_learns_columns_and_ensembles() -> None:
    X, y = load_iris(return_X_y=True)
    frame = pandas.DataFrame(X, columns=[*"abcd"])
    frame["city"] = np.asarray(["Oslo", "Rome", None], dtype=object)[np.arange(len(y)) % 3]
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    text = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(drop="first"))
    columns = make_column_transformer((numbers, [*"abcd"]), (text, ["city"]))
    bagged = make_pipeline(columns, BaggingClassifier(NearestCentroid(), n_estimators=3, random_state=0))
    assert bagged.fit(frame, y).score(frame, y) > 0.8


def test_folds_stay_on_the_backend(backend: Backend) -> None:
    X, y = load_iris(return_X_y=True)
    on_backend = cross_validate(NearestCentroid(), backend.asarray(X), backend.asarray(y), return_train_score=True)
    on_host = cross_validate(NearestCentroid(), X, y, return_train_score=True)
    for name in ("test_score", "train_score"):
        np.testing.assert_allclose(on_backend[name], on_host[name])


def test_several_scores_estimators_and_positions_are_given_where_asked_for() -> None:
    X, y = load_wine(return_X_y=True)
    options = {"scoring": ["accuracy", "f1_macro"], "return_estimator": True, "return_indices": True}
    found = cross_validate(NearestCentroid(), X, y, cv=StratifiedKFold(3), **options)
    names = {"fit_time", "score_time", "test_accuracy", "test_f1_macro", "estimator", "indices"}
    assert found.keys() == names
    train, test = found["indices"]["train"][1], found["indices"]["test"][1]
    assert found["estimator"][1].score(X[test], y[test]) == found["test_accuracy"][1]
    np.testing.assert_array_equal(
        found["estimator"][1].centroids_, NearestCentroid().fit(X[train], y[train]).centroids_
    )


def test_weights_are_divided_with_the_samples() -> None:
    X, y = load_iris(return_X_y=True)
    weight = np.random.default_rng(0).integers(1, 5, len(y)).astype(float)
    found = cross_validate(
        NearestCentroid(), X, y, params={"sample_weight": weight}, return_estimator=True, return_indices=True
    )
    train = found["indices"]["train"][0]
    expected = NearestCentroid().fit(X[train], y[train], weight[train]).centroids_
    np.testing.assert_array_equal(found["estimator"][0].centroids_, expected)


def test_a_callable_scores_and_an_iterable_divides() -> None:
    X, y = load_iris(return_X_y=True)
    found = cross_val_score(
        NearestCentroid(), X, y, scoring=lambda estimator, X, y: len(y), cv=[([0, 60, 120], [5, 6])]
    )
    assert found.tolist() == [2.0]


def test_two_classes_are_ranked_by_the_decision_function() -> None:
    X, y = load_iris(return_X_y=True)
    X, y = X[50:, :2], y[50:]
    ours = cross_val_score(NearestCentroid(), X, y, scoring="roc_auc", cv=KFold(3, shuffle=True, random_state=0))
    scores = sklearn.model_selection.cross_val_score(
        NearestCentroid(), X, y, scoring="roc_auc", cv=KFold(3, shuffle=True, random_state=0)
    )
    np.testing.assert_allclose(ours, scores, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scoring": "auc"}, "'auc' is not a valid scoring value; choose one of accuracy"),
        ({"scoring": ["r2"]}, "for several cross_validate"),
        ({"cv": "five"}, "Expected `cv` as an integer, a cross-validation object"),
        ({"cv": 1}, "n_splits=2 or more"),
    ],
)
def test_what_is_no_score_or_division_is_refused(options: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cross_val_score(LinearRegression(), [[0.0], [1.0]], [0.0, 1.0], **options)


def test_strings_are_compared_on_the_host(backend: Backend) -> None:
    X, y = load_iris(return_X_y=True)
    labels = np.asarray(["p", "q", "r"])[y]
    fitted = NearestCentroid().fit(backend.asarray(X), labels)
    assert isinstance(fitted.predict(backend.asarray(X)), np.ndarray)
    assert fitted.score(backend.asarray(X), labels) == pytest.approx(
        np.mean(to_numpy(NearestCentroid().fit(X, y).predict(X)) == y)
    )
