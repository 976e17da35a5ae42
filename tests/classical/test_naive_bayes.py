from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.naive_bayes
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

from portml import classical
from portml.backends import Backend, backend_of, to_numpy
from portml.classical import BernoulliNB, GaussianNB, MultinomialNB
from portml.errors import ArgumentError, ShapeError

DATA = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer, "digits": load_digits}
NAMES = ["GaussianNB", "MultinomialNB", "BernoulliNB"]
LEARNT = {
    "GaussianNB": ["class_count_", "class_prior_", "theta_", "var_", "epsilon_"],
    "MultinomialNB": ["class_count_", "feature_count_", "class_log_prior_", "feature_log_prob_"],
    "BernoulliNB": ["class_count_", "feature_count_", "class_log_prior_", "feature_log_prob_"],
}


def assert_same(ours: Any, theirs: Any, X: np.ndarray[Any, Any], backend: Backend) -> None:
    for name in LEARNT[type(ours).__name__]:
        found = getattr(ours, name)
        assert backend_of(found) is backend
        np.testing.assert_allclose(to_numpy(found), getattr(theirs, name), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        to_numpy(ours.predict_log_proba(backend.asarray(X))), theirs.predict_log_proba(X), rtol=1e-7, atol=1e-7
    )
    np.testing.assert_array_equal(to_numpy(ours.predict(backend.asarray(X))), theirs.predict(X))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", NAMES)
def test_they_agree_with_scikit_learn(backend: Backend, name: str, data: str, weighted: bool) -> None:
    X, y = DATA[data](return_X_y=True)
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float) if weighted else None
    options = {"binarize": float(np.median(X))} if name == "BernoulliNB" else {}
    ours = getattr(classical, name)(**options).fit(backend.asarray(X), y, weight)
    theirs = getattr(sklearn.naive_bayes, name)(**options).fit(X, y, weight)
    assert_same(ours, theirs, X, backend)


@pytest.mark.parametrize("name", NAMES)
def test_batches_give_what_the_whole_gives(backend: Backend, name: str) -> None:
    X, y = load_wine(return_X_y=True)
    whole = getattr(classical, name)().fit(backend.asarray(X), y)
    batches = getattr(classical, name)()
    for start in (0, 50, 100, 150):
        rows = slice(start, start + 50)
        batches.partial_fit(backend.asarray(X[rows]), y[rows], classes=[0, 1, 2] if start == 0 else None)
    for learnt in LEARNT[name]:
        if learnt != "epsilon_":
            # What is added to the variances is taken from the last batch.
            one, other = (
                to_numpy(each.var_ - each.epsilon_ if learnt == "var_" else getattr(each, learnt))
                for each in (batches, whole)
            )
            np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("GaussianNB", {"priors": [0.2, 0.3, 0.5]}),
        ("GaussianNB", {"var_smoothing": 0.1}),
        ("MultinomialNB", {"alpha": 0.1, "fit_prior": False}),
        ("MultinomialNB", {"class_prior": [0.2, 0.3, 0.5]}),
        ("MultinomialNB", {"alpha": np.arange(1.0, 5.0)}),
        ("BernoulliNB", {"alpha": 3, "binarize": 2.0}),
        ("BernoulliNB", {"fit_prior": False, "binarize": 1.5}),
    ],
)
def test_options_agree_with_scikit_learn(backend: Backend, name: str, options: dict[str, Any]) -> None:
    X, y = load_iris(return_X_y=True)
    ours = getattr(classical, name)(**options).fit(backend.asarray(X), y)
    assert_same(ours, getattr(sklearn.naive_bayes, name)(**options).fit(X, y), X, backend)


@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32(backend: Backend, name: str) -> None:
    X, y = load_digits(return_X_y=True)
    X = backend.asarray(X[:200], "float32")
    model = getattr(classical, name)().fit(X, y[:200])
    assert model.predict_proba(X).dtype == backend.xp.float32
    exact = getattr(classical, name)().fit(backend.asarray(X, "float64"), y[:200])
    same = to_numpy(model.predict(X)) == to_numpy(exact.predict(backend.asarray(X, "float64")))
    assert same.mean() > 0.99


def test_ones_and_zeros_need_no_threshold() -> None:
    X, y = np.asarray([[1, 0], [0, 1], [1, 1.0]]), [0, 1, 1]
    found = BernoulliNB(binarize=None).fit(X, y).predict_log_proba(X)
    np.testing.assert_allclose(found, sklearn.naive_bayes.BernoulliNB(binarize=None).fit(X, y).predict_log_proba(X))


def test_constant_columns_and_duplicated_rows_have_an_answer() -> None:
    X, y = np.repeat([[1.0, 0.0], [1.0, 5.0]], 4, axis=0), np.repeat([0, 1], 4)
    np.testing.assert_array_equal(GaussianNB().fit(X, y).predict(X), y)


def test_what_does_not_fit_is_refused() -> None:
    X, y = [[0.0, 1.0], [1.0, 0.0]], [0, 1]
    with pytest.raises(ArgumentError, match="classes must be passed on the first call to partial_fit"):
        GaussianNB().partial_fit(X, y)
    with pytest.raises(ArgumentError, match="is not the same as on last call to partial_fit"):
        GaussianNB().partial_fit(X, y, [0, 1]).partial_fit(X, y, [0, 2])
    with pytest.raises(ShapeError, match="Number of priors must match number of classes"):
        GaussianNB(priors=[1.0]).fit(X, y)
    with pytest.raises(ArgumentError, match=r"The sum of the priors should be 1\."):
        GaussianNB(priors=[0.5, 0.6]).fit(X, y)
    with pytest.raises(ArgumentError, match=r"Priors must be non-negative\."):
        GaussianNB(priors=[1.5, -0.5]).fit(X, y)
    with pytest.raises(ArgumentError, match="Negative values in data passed to MultinomialNB"):
        MultinomialNB().fit([[-1.0], [1.0]], y)
    with pytest.raises(ArgumentError, match="'alpha' parameter"):
        MultinomialNB(alpha=-1.0).fit(X, y)
    with pytest.warns(UserWarning, match="alpha too small"):
        MultinomialNB(alpha=0.0, force_alpha=False).fit(X, y)
