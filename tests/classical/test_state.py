from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portml import classical
from portml.backends import Backend, get_backend, to_numpy
from portml.classical.estimator import Estimator
from portml.classical.state import estimator_of, state_of
from portml.errors import CheckpointError, DtypeError
from portml.train.estimator_files import read_estimator, write_estimator

SMALL = {"n_estimators": 3, "max_iter": 8, "n_clusters": 3, "n_init": 1}
MORE = [classical.SVC(kernel="poly"), classical.SVC(kernel="linear", probability=True), classical.SVR(kernel="sigmoid")]


def estimators() -> list[Any]:
    found: list[Any] = []
    for name in classical.__all__:
        kind = getattr(classical, name)
        bare = ("Classifier", "Clusterer", "Estimator", "Regressor", "Transformer")
        if isinstance(kind, type) and issubclass(kind, Estimator) and name not in bare:
            names = kind().get_params()
            short = {key: value for key, value in SMALL.items() if key in names and name not in ("SVC", "SVR", "Ridge")}
            found.append(kind(**short))
    return found + MORE


def data(estimator: Any, text: bool = False) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = np.abs(rng.normal(size=(60, 4)))
    X[:, 3] = np.floor(2 * X[:, 3])
    if not hasattr(estimator, "predict"):
        X = np.floor(X)
    y = (X[:, 0] + X[:, 1] > 1.5).astype(int) + (X[:, 2] > 1.2)
    return X, np.asarray(["a", "bb", "c"], dtype=object)[y] if text else y


def fitted(estimator: Any, text: bool = False) -> tuple[Any, Any]:
    X, y = data(estimator, text)
    estimator = classical.clone(estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X, y), X


def answers(estimator: Any, X: Any) -> list[Any]:
    methods = ("predict", "predict_proba", "decision_function", "transform")
    return [getattr(estimator, name)(X) for name in methods if hasattr(estimator, name)]


@pytest.mark.parametrize("estimator", estimators(), ids=repr)
def test_what_comes_back_answers_as_before(estimator: Any, tmp_path: Path) -> None:
    before, X = fitted(estimator)
    after = read_estimator(write_estimator(tmp_path / "model.safetensors", before))
    assert type(after) is type(before)
    assert repr(after) == repr(before)
    assert set(vars(after)) == set(vars(before))
    found = answers(before, X)
    assert found
    for ours, theirs in zip(found, answers(after, X), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["LogisticRegression", "RandomForestClassifier", "GaussianNB", "KNeighborsClassifier"])
def test_labels_that_are_text_come_back(name: str, tmp_path: Path) -> None:
    before, X = fitted(getattr(classical, name)(), text=True)
    after = read_estimator(write_estimator(tmp_path / "model.safetensors", before))
    assert after.predict(X).tolist() == before.predict(X).tolist()


@pytest.mark.parametrize("name", ["Ridge", "RandomForestRegressor", "StandardScaler", "SVC", "KMeans"])
def test_a_model_moves_to_another_backend(name: str) -> None:
    before, X = fitted(getattr(classical, name)())
    strict = get_backend("strict")
    after = estimator_of(*state_of(before), strict)
    for ours, theirs in zip(answers(before, X), answers(after, strict.asarray(X)), strict=True):
        np.testing.assert_allclose(ours, to_numpy(theirs), rtol=1e-6, atol=1e-9)


def test_what_learns_batch_by_batch_goes_on_as_it_would_have(backend: Backend, tmp_path: Path) -> None:
    X = backend.asarray(np.random.default_rng(0).normal(size=(60, 2)))
    before = classical.MiniBatchKMeans(5, random_state=3, reassignment_ratio=0.9).partial_fit(X[:30, :])
    after = read_estimator(write_estimator(tmp_path / "model.safetensors", before), backend)
    for _ in range(3):
        before.partial_fit(X)
        after.partial_fit(X)
    np.testing.assert_array_equal(to_numpy(after.cluster_centers_), to_numpy(before.cluster_centers_))
    assert after._generator.state() == before._generator.state()


def test_an_array_that_is_shared_is_written_once() -> None:
    forest, _ = fitted(classical.RandomForestClassifier(4))
    structure, arrays = state_of(forest)
    assert sum(name.endswith("classes_") for name in arrays) == 1
    again = estimator_of(json.loads(json.dumps(structure)), arrays)
    assert all(tree.classes_ is again.classes_ for tree in again.estimators_)


def test_code_is_not_written() -> None:
    with pytest.raises(DtypeError, match=r"weights.*which is code"):
        state_of(classical.KNeighborsClassifier(weights=np.sqrt))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("estimator",), "Pickler"),
        (("estimator",), "Estimator__init__"),
        (("estimator",), "clone"),
        (("estimator",), "KFold"),
        (("estimator",), ["SVC"]),
        (("parameters", "kernel"), {"kernel": "system", "settings": {}}),
        (("parameters", "kernel"), {"record": "partial", "fields": {}}),
        (("parameters", "command"), 1),
        (("learnt", "fit"), 1),
        (("learnt", "__class__"), 1),
        (("learnt", "_keep_support"), 1),
        (("learnt", "dual_coef_"), {"array": "of nobody", "host": False}),
        (("learnt", "dual_coef_"), {"nothing": 1}),
        (("learnt", "dual_coef_"), {"scalar": 1, "dtype": "person"}),
        (("learnt", "dual_coef_"), {"generator": {"key": 1, "position": -1, "children": 0}}),
        (("learnt",), None),
    ],
)
def test_what_is_no_state_is_refused(place: tuple[str, ...], value: Any) -> None:
    structure, arrays = state_of(fitted(classical.SVC())[0])
    broken = inner = copy.deepcopy(structure)
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    with pytest.raises(CheckpointError):
        estimator_of(broken, arrays)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        read_estimator(tmp_path / "model.safetensors")
