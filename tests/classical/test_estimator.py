from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import sklearn.base
import sklearn.exceptions
import sklearn.metrics
from sklearn.linear_model import Lasso

import portml.classical
from portml.backends import Backend
from portml.classical import Classifier, Clusterer, Estimator, Regressor, StandardScaler, clone
from portml.classical.scikit_learn import also_theirs, warn
from portml.classical.validation import read_data, read_training_data
from portml.errors import ArgumentError, ConvergenceWarning, DataConversionWarning, DtypeError, NotFittedError


class Mean(Regressor):
    """Predicts the mean of the targets, or of each of several outputs."""

    def __init__(self, shift: Any = 0.0, *, inner: Any = None, backend: Any = None) -> None:
        self.shift = shift
        self.inner = inner
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Mean:
        data = read_training_data(self, X, y, sample_weight, multi_output=True)
        self.mean_ = data.xp.mean(data.y, axis=0) + self.shift
        return self

    def predict(self, X: Any) -> Any:
        X = read_data(self, X)
        ones = X[:, 0] * 0.0 + 1.0
        return ones * self.mean_ if self.mean_.ndim == 0 else ones[:, None] * self.mean_[None, :]


class First(Classifier):
    def __init__(self, *, backend: Any = None) -> None:
        self.backend = backend

    def fit(self, X: Any, y: Any) -> First:
        self.classes_ = read_training_data(self, X, y, labels=True).classes
        return self


def test_parameters_are_read_and_set_by_name_also_inside() -> None:
    outer = Mean(2.0, inner=StandardScaler())
    assert outer.get_params(deep=False) == {"shift": 2.0, "inner": outer.inner, "backend": None}
    assert outer.get_params()["inner__with_mean"] is True
    assert outer.set_params(shift=1.0, inner__with_mean=False) is outer
    assert (outer.shift, outer.inner.with_mean) == (1.0, False)
    with pytest.raises(
        ArgumentError, match=r"Invalid parameter 'shfit' for estimator Mean\(.*Valid parameters are: \['b"
    ):
        outer.set_params(shfit=1)


def test_the_representation_is_the_call_that_differs_from_the_defaults() -> None:
    assert repr(Mean(inner=StandardScaler(with_std=False))) == "Mean(inner=StandardScaler(with_std=False))"
    assert repr(Mean()) == "Mean()"


def test_a_clone_has_the_parameters_and_nothing_learnt() -> None:
    fitted = Mean(1.0, inner=StandardScaler().fit([[1.0]])).fit([[0.0]], [2.0])
    for copied in (clone(fitted), sklearn.base.clone(fitted)):
        assert repr(copied) == repr(fitted)
        assert vars(copied).keys() == {"shift", "inner", "backend"}
        assert not hasattr(copied.inner, "mean_")
    assert clone(Lasso(alpha=3.0)).alpha == 3.0
    assert [type(each) for each in clone([Mean(), First()])] == [Mean, First]
    assert clone(StandardScaler().set_output(transform="pandas"))._sklearn_output_config == {"transform": "pandas"}
    for wrong in (3, Mean):
        with pytest.raises(DtypeError, match="expected one with get_params"):
            clone(wrong)


@pytest.mark.parametrize("shape", [(20,), (20, 3)])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_score_of_a_regressor_is_that_of_scikit_learn(
    backend: Backend, shape: tuple[int, ...], weighted: bool
) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 2)), rng.normal(size=shape)
    weight = rng.uniform(size=20) if weighted else None
    fitted = Mean(0.3).fit(backend.asarray(X), backend.asarray(y))
    expected = sklearn.metrics.r2_score(y, Mean(0.3).fit(X, y).predict(X), sample_weight=weight)
    assert fitted.score(backend.asarray(X), y, weight) == pytest.approx(expected, rel=1e-12)


def test_a_constant_target_is_scored_as_scikit_learn_does() -> None:
    X = [[0.0], [1.0]]
    assert Mean().fit(X, [2.0, 2.0]).score(X, [2.0, 2.0]) == 1.0
    assert Mean(1.0).fit(X, [2.0, 2.0]).score(X, [2.0, 2.0]) == 0.0
    with pytest.warns(sklearn.exceptions.UndefinedMetricWarning, match="less than two samples"):
        assert np.isnan(Mean().fit(X, [2.0, 2.0]).score([[0.0]], [2.0]))


def test_unfitted_use_is_scikit_learns_error_and_ours() -> None:
    for kind in (NotFittedError, sklearn.exceptions.NotFittedError, ValueError, AttributeError):
        with pytest.raises(kind, match=r"This Mean instance is not fitted yet. Call 'fit' with appropriate"):
            Mean().predict([[0.0]])


def test_warnings_are_scikit_learns_and_ours_and_can_be_pickled() -> None:
    for kind in (ConvergenceWarning, DataConversionWarning):
        with pytest.warns(getattr(sklearn.exceptions, kind.__name__), match="slow") as caught:
            warn(kind, "slow", stacklevel=1)
        assert caught[0].category.__name__ == kind.__name__
        assert issubclass(caught[0].category, kind)
        assert caught[0].filename == __file__
        again = pickle.loads(pickle.dumps(also_theirs(kind)("slow")))
        assert (type(again), again.args) == (kind, ("slow",))


def test_nothing_of_scikit_learn_is_imported_by_using_estimators() -> None:
    code = (
        "import sys\nfrom portml import classical\nfrom portml.errors import NotFittedError\n"
        "scaler = classical.StandardScaler()\n"
        "try: scaler.transform([[1.0]])\n"
        "except NotFittedError: pass\n"
        "scaler.fit_transform([[1.0], [2.0]])\n"
        "classical.OneHotEncoder().fit_transform([['a'], ['b']])\n"
        "classical.train_test_split([1, 2, 3, 4])\n"
        "print('sklearn' in sys.modules, 'pandas' in sys.modules, 'scipy' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["False"] * 3


def test_every_public_name_is_listed_and_an_unknown_one_is_named() -> None:
    assert {"LinearRegression", "SVC", "KMeans", "clone", "train_test_split"} <= {*dir(portml.classical)}
    with pytest.raises(AttributeError, match="no attribute 'Ridgee'"):
        portml.classical.Ridgee  # noqa: B018 - the access is what is tested


def test_estimators_copy_and_pickle_with_what_they_learnt() -> None:
    fitted = Mean().fit([[0.0], [1.0]], [1.0, 3.0])
    for again in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert again.predict([[5.0]]).tolist() == [2.0]


def test_a_clusterer_predicts_the_labels_of_what_it_was_fitted_to() -> None:
    class Whole(Clusterer):
        def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Whole:
            data = read_training_data(self, X)
            self.labels_ = data.xp.zeros(data.X.shape[0], dtype=data.xp.int64)
            return self

    assert Whole().fit_predict([[1.0], [2.0]]).tolist() == [0, 0]
    assert sklearn.base.is_clusterer(Whole())
    assert isinstance(Whole(), Estimator)
