from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest
import sklearn.impute
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

from portml.backends import Backend, backend_of, to_numpy
from portml.classical import SimpleImputer
from portml.errors import ArgumentError

NAN = float("nan")
STRATEGIES = ("mean", "median", "most_frequent", "constant")


def gaps_in(X: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    X = X.copy()
    X[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    X[:, -1] = load_iris().data[0, 0]  # a column without gaps
    return X


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_it_agrees_with_scikit_learn(backend: Backend, strategy: str, load: Any) -> None:
    X = gaps_in(load().data)
    ours = SimpleImputer(strategy=strategy, add_indicator=True, fill_value=None).fit(backend.asarray(X))
    theirs = sklearn.impute.SimpleImputer(strategy=strategy, add_indicator=True).fit(X)
    np.testing.assert_allclose(to_numpy(ours.statistics_), theirs.statistics_.astype(float), rtol=1e-12)
    filled = ours.transform(backend.asarray(X))
    assert backend_of(filled) is backend
    np.testing.assert_allclose(to_numpy(filled), theirs.transform(X), rtol=1e-12)
    np.testing.assert_array_equal(to_numpy(ours.inverse_transform(filled)), X)
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_float32_stays_float32(backend: Backend, strategy: str) -> None:
    X = gaps_in(load_wine().data).astype(np.float32)
    filled = SimpleImputer(strategy=strategy).fit_transform(backend.asarray(X))
    assert filled.dtype == backend.dtype("float32")
    theirs = sklearn.impute.SimpleImputer(strategy=strategy).fit_transform(X)
    np.testing.assert_allclose(to_numpy(filled), theirs, rtol=1e-6)


def test_another_number_can_stand_for_a_missing_value(backend: Backend) -> None:
    X = np.asarray([[1.0, -1.0], [-1.0, 4.0], [3.0, 6.0]])
    ours = SimpleImputer(missing_values=-1).fit_transform(backend.asarray(X))
    assert to_numpy(ours).tolist() == [[1.0, 5.0], [2.0, 4.0], [3.0, 6.0]]
    with pytest.raises(ArgumentError, match="Input X contains NaN"):
        SimpleImputer(missing_values=-1).fit(backend.asarray([[NAN], [1.0]]))


@pytest.mark.parametrize("strategy", ["most_frequent", "constant"])
def test_text_is_imputed_on_the_host(strategy: str) -> None:
    X = pandas.DataFrame({"city": ["Rome", None, "Oslo", "Rome"], "kind": ["b", "a", None, "c"]}, dtype=object)
    ours = SimpleImputer(strategy=strategy).fit_transform(X)
    expected = ["Rome", "a"] if strategy == "most_frequent" else ["missing_value"] * 2
    assert ours.tolist() == [["Rome", "b"], [expected[0], "a"], ["Oslo", expected[1]], ["Rome", "c"]]


def test_text_has_no_mean() -> None:
    with pytest.raises(ArgumentError, match="Cannot use mean strategy with non-numeric data"):
        SimpleImputer().fit([["a"], ["b"]])


def test_a_feature_that_is_always_missing_is_left_out_or_kept(backend: Backend) -> None:
    X = backend.asarray([[NAN, 1.0], [NAN, 2.0]])
    with pytest.warns(UserWarning, match=r"Skipping features without any observed values: \['x0'\]"):
        assert to_numpy(SimpleImputer().fit_transform(X)).tolist() == [[1.0], [2.0]]
    for strategy in STRATEGIES:
        kept = SimpleImputer(strategy=strategy, keep_empty_features=True).fit_transform(X)
        assert to_numpy(kept).tolist() == [[0.0, 1.0], [0.0, 2.0]]


def test_the_least_of_the_most_frequent_values_is_taken(backend: Backend) -> None:
    imputer = SimpleImputer(strategy="most_frequent").fit(backend.asarray([[3.0], [1.0], [3.0], [1.0], [NAN], [2.0]]))
    assert to_numpy(imputer.statistics_).tolist() == [1.0]


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ArgumentError, match="The 'strategy' parameter of SimpleImputer must be a str among"):
        SimpleImputer(strategy="mode").fit([[1.0]])
