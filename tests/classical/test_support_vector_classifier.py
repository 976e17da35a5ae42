from __future__ import annotations

import functools
import pickle
from typing import Any

import numpy as np
import pytest
import sklearn.svm
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.metrics.pairwise import laplacian_kernel

from portml.backends import Backend, backend_of, get_backend, kernels_switched, to_numpy
from portml.classical import SVC
from portml.errors import ArgumentError, ConvergenceWarning, DtypeError, ShapeError

LOADERS = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer, "digits": load_digits}
TIGHT = 1e-9


@functools.cache
def data(name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Standardised, without constant columns and repeated samples: with these the optimum is not unique."""
    X, y = LOADERS[name](return_X_y=True)
    X = X[:, X.std(axis=0) > 0]
    X, first = np.unique((X - X.mean(axis=0)) / X.std(axis=0), axis=0, return_index=True)
    return X, y[first]


def assert_same(ours: SVC, theirs: Any, X: np.ndarray[Any, Any], backend: Backend) -> None:
    support = to_numpy(ours.support_)
    if ours.kernel != "precomputed":
        # Not compared with their support_, which counts samples of positive weight alone.
        np.testing.assert_array_equal(to_numpy(ours.support_vectors_), theirs.support_vectors_)
        np.testing.assert_array_equal(X[support], theirs.support_vectors_)
    else:
        assert support.tolist() == theirs.support_.tolist()
    assert to_numpy(ours.n_support_).tolist() == theirs.n_support_.tolist()
    np.testing.assert_allclose(to_numpy(ours.dual_coef_), theirs.dual_coef_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(to_numpy(ours.intercept_), theirs.intercept_, rtol=1e-5, atol=1e-6)
    on_device = backend.asarray(X)
    found = ours.decision_function(on_device)
    assert backend_of(found) is backend
    expected = theirs.decision_function(X)
    np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    assert (to_numpy(ours.predict(on_device)) == theirs.predict(X)).all()


@pytest.mark.parametrize(
    "options",
    [
        {"decision_function_shape": "ovo"},
        {"kernel": "linear", "C": 0.5, "decision_function_shape": "ovo"},
        {"kernel": "poly", "coef0": 1.0, "degree": 2},
    ],
)
@pytest.mark.parametrize("name", LOADERS)
def test_it_agrees_with_scikit_learn(name: str, options: dict[str, Any]) -> None:
    X, y = data(name)
    options = {**options, "tol": TIGHT}
    ours, theirs = SVC(**options).fit(X, y), sklearn.svm.SVC(**options).fit(X, y)
    assert_same(ours, theirs, X, get_backend("numpy"))
    if options.get("kernel") == "linear":
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-5, atol=1e-7)
    else:
        assert not hasattr(ours, "coef_")


@pytest.mark.parametrize(
    "options", [{"kernel": "sigmoid", "gamma": 0.01, "C": 3.0}, {"kernel": "linear"}, {"gamma": "auto", "C": 10.0}]
)
@pytest.mark.parametrize("name", ["iris", "breast cancer"])
def test_it_agrees_with_scikit_learn_on_every_backend(backend: Backend, name: str, options: dict[str, Any]) -> None:
    X, y = data(name)
    X, y = X[::4], y[::4]
    ours = SVC(tol=TIGHT, **options).fit(backend.asarray(X), backend.asarray(y))
    assert_same(ours, sklearn.svm.SVC(tol=TIGHT, **options).fit(X, y), X, backend)


@pytest.mark.parametrize("name", ["iris", "wine"])
def test_weights_of_classes_and_samples_agree_with_scikit_learn(backend: Backend, name: str) -> None:
    X, y = data(name)
    X, y = X[::3], y[::3]
    weight = np.random.default_rng(0).uniform(-0.2, 2, len(y))
    for class_weight in ("balanced", {0: 3.0}):
        options = {"tol": TIGHT, "class_weight": class_weight}
        ours = SVC(**options).fit(backend.asarray(X), y, weight)
        theirs = sklearn.svm.SVC(**options).fit(X, y, weight)
        assert_same(ours, theirs, X, backend)
        np.testing.assert_allclose(to_numpy(ours.class_weight_), theirs.class_weight_)


def test_a_kernel_that_is_given_as_a_matrix_or_a_function_agrees_with_scikit_learn(backend: Backend) -> None:
    X, y = data("wine")
    X, y = X[::2], y[::2]
    K = laplacian_kernel(X, gamma=0.1)

    def kernel(x: Any, z: Any) -> Any:
        xp = backend.xp
        return xp.exp(-0.1 * xp.sum(xp.abs(x[:, None, :] - z[None, :, :]), axis=2))

    theirs = sklearn.svm.SVC(kernel="precomputed", tol=TIGHT).fit(K, y)
    assert_same(SVC(kernel="precomputed", tol=TIGHT).fit(backend.asarray(K), y), theirs, K, backend)
    by_function = SVC(kernel=kernel, tol=TIGHT).fit(backend.asarray(X), y)
    assert (to_numpy(by_function.predict(backend.asarray(X[::3]))) == theirs.predict(K[::3])).all()
    assert by_function.support_vectors_.shape == (0, 0)


@pytest.mark.parametrize("pure", [False, True])
def test_solving_by_parts_gives_the_same_as_all_at_once(pure: bool) -> None:
    X, y = data("breast cancer")
    with kernels_switched("pure" if pure else "fused", "numpy"):
        whole = SVC(tol=1e-7).fit(X, y)
        parts = SVC(tol=1e-7, cache_size=0.1).fit(X, y)
    assert parts.support_.tolist() == whole.support_.tolist()
    np.testing.assert_allclose(parts.dual_coef_, whole.dual_coef_, atol=1e-5)


@pytest.mark.parametrize("words", ["float32", "float64"])
def test_strict_and_numpy_find_the_same(words: str) -> None:
    X, y = data("iris")
    strict = get_backend("strict")
    X = X.astype(words)
    one = SVC(tol=1e-6).fit(X, y)
    other = SVC(tol=1e-6).fit(strict.asarray(X), strict.asarray(y))
    assert to_numpy(one.decision_function(X)).dtype == X.dtype
    tolerance = 1e-4 if words == "float32" else 1e-5
    np.testing.assert_allclose(
        to_numpy(other.decision_function(strict.asarray(X))), one.decision_function(X), atol=tolerance
    )


def test_everything_learnt_has_the_type_of_the_samples(backend: Backend, dtype: Any) -> None:
    X, y = data("iris")
    model = SVC(probability=True, random_state=0).fit(backend.asarray(X[::3], dtype=dtype), y[::3])
    for name in ("support_vectors_", "dual_coef_", "intercept_", "probA_", "probB_"):
        assert getattr(model, name).dtype == dtype, name
        assert backend_of(getattr(model, name)) is backend
    assert model.predict_proba(backend.asarray(X[:5], dtype=dtype)).dtype == dtype


def test_labels_may_be_text(backend: Backend) -> None:
    X, y = data("breast cancer")
    X, names = X[::5], np.asarray(["malignant", "benign"])[y[::5]]
    predicted = SVC().fit(backend.asarray(X), names).predict(backend.asarray(X))
    assert (predicted == sklearn.svm.SVC().fit(X, names).predict(X)).all()


def test_ties_are_broken_by_the_scores() -> None:
    # Three classes around a circle: near its middle each beats one other.
    angles = np.arange(3) * 2 * np.pi / 3
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    options: dict[str, Any] = {"kernel": "rbf", "gamma": 1.0, "C": 10.0, "tol": TIGHT}
    grid = np.random.default_rng(0).normal(scale=0.3, size=(200, 2))
    for break_ties in (False, True):
        ours = SVC(**options, break_ties=break_ties).fit(X, [0, 1, 2])
        theirs = sklearn.svm.SVC(**options, break_ties=break_ties).fit(X, [0, 1, 2])
        assert (ours.predict(grid) == theirs.predict(grid)).all()
    with pytest.raises(ValueError, match="break_ties must be False"):
        SVC(break_ties=True, decision_function_shape="ovo").fit(X, [0, 1, 2]).predict(grid)


@pytest.mark.parametrize("name", ["iris", "breast cancer"])
def test_probabilities_are_as_good_as_those_of_scikit_learn(name: str) -> None:
    X, y = data(name)
    train, test = np.arange(len(y)) % 2 == 0, np.arange(len(y)) % 2 == 1
    found = SVC(probability=True, random_state=0).fit(X[train], y[train]).predict_proba(X[test])
    with pytest.warns(FutureWarning, match="probability"):
        theirs = sklearn.svm.SVC(probability=True, random_state=0).fit(X[train], y[train])
    expected = theirs.predict_proba(X[test])
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    # Both draw their folds at random.
    assert np.abs(found - expected).max() < 0.12
    losses = [-np.log(p[np.arange(len(p)), y[test]]).mean() for p in (found, expected)]
    assert losses[0] < losses[1] + 0.02


def test_equal_seeds_give_equal_bits(backend: Backend) -> None:
    X, y = data("iris")
    X = backend.asarray(X[::3])
    one, other = (to_numpy(SVC(probability=True, random_state=3).fit(X, y[::3]).predict_proba(X)) for _ in range(2))
    assert (one == other).all()


def test_probabilities_are_there_only_where_they_were_asked_for() -> None:
    X, y = data("iris")
    assert not hasattr(SVC().fit(X, y), "predict_proba")
    assert hasattr(SVC(probability=True), "predict_log_proba")


def test_a_fitted_machine_survives_pickling() -> None:
    X, y = data("wine")
    model = SVC().fit(X, y)
    assert (pickle.loads(pickle.dumps(model)).decision_function(X) == model.decision_function(X)).all()


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(ArgumentError, match="has to be greater than one; got 1 class"):
        SVC().fit([[0.0], [1.0]], [1, 1])
    with pytest.raises(ArgumentError, match="all samples with positive weights belong to the same class"):
        SVC().fit([[0.0], [1.0]], [0, 1], [1.0, 0.0])
    with pytest.raises(ArgumentError, match="all samples have zero or negative weights"):
        SVC().fit([[0.0], [1.0]], [0, 1], [-1.0, 0.0])


def test_what_overflows_is_refused(backend: Backend) -> None:
    X = backend.asarray([[1e200, 0.0], [0.0, 1e200], [1e200, 1e200], [1.0, 0.0]])
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="are not finite"):
        SVC(kernel="linear").fit(X, [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"C": 0.0}, "The 'C' parameter of SVC"),
        ({"kernel": "gauss"}, "The 'kernel' parameter of SVC"),
        ({"gamma": -1.0}, "The 'gamma' parameter of SVC"),
        ({"gamma": "large"}, "The 'gamma' parameter of SVC"),
        ({"degree": -1}, "The 'degree' parameter of SVC"),
        ({"tol": 0.0}, "The 'tol' parameter of SVC"),
        ({"cache_size": 0}, "The 'cache_size' parameter of SVC"),
        ({"max_iter": -2}, "The 'max_iter' parameter of SVC"),
        ({"decision_function_shape": "ovx"}, "The 'decision_function_shape' parameter of SVC"),
        ({"class_weight": {7: 1.0}}, "are not in class_weight"),
        ({"class_weight": "heavy"}, "class_weight: expected"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        SVC(**options).fit([[0.0], [1.0]], [0, 1])


def test_a_matrix_that_is_not_square_is_refused() -> None:
    with pytest.raises(ShapeError, match="must be a square matrix"):
        SVC(kernel="precomputed").fit(np.ones((4, 3)), [0, 1, 0, 1])
    with pytest.raises(ShapeError, match="the callable gave an array of shape"):
        SVC(kernel=lambda x, z: x).fit(np.ones((4, 3)), [0, 1, 0, 1])


def test_stopping_early_warns() -> None:
    X, y = data("breast cancer")
    with pytest.warns(ConvergenceWarning, match=r"Solver terminated early \(max_iter=5\)"):
        model = SVC(max_iter=5).fit(X, y)
    assert model.fit_status_ == 1
    assert model.n_iter_.tolist() == [5]


@pytest.mark.parametrize("C", [1e-6, 1e12, np.inf])
def test_separable_data_is_separated_whatever_the_price(C: float) -> None:
    X, y = data("iris")
    X, y = X[y < 2], y[y < 2]
    options = {"kernel": "linear", "C": C, "tol": 1e-6}
    ours = SVC(**options).fit(X, y)
    theirs = sklearn.svm.SVC(**options).fit(X, y)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=1e-4)


def test_repeated_samples_and_constant_columns_change_no_decision() -> None:
    X, y = data("wine")
    model = SVC(gamma=0.1, C=2.0, tol=TIGHT).fit(X, y)
    doubled = SVC(gamma=0.1, C=1.0, tol=TIGHT).fit(np.concatenate([X, X]), np.concatenate([y, y]))
    constant = SVC(gamma=0.1, C=2.0, tol=TIGHT).fit(np.concatenate([X, np.ones((len(X), 1))], axis=1), y)
    np.testing.assert_allclose(doubled.decision_function(X), model.decision_function(X), atol=1e-6)
    with_constant = np.concatenate([X, np.ones((len(X), 1))], axis=1)
    np.testing.assert_allclose(constant.decision_function(with_constant), model.decision_function(X), atol=1e-6)
    same = SVC().fit(np.ones((6, 2)), [0, 1, 0, 1, 0, 1])  # nothing to tell the classes apart by
    assert np.isfinite(same.decision_function(np.ones((1, 2)))).all()


def test_sparse_and_complex_samples_are_refused() -> None:
    from scipy.sparse import csr_matrix

    with pytest.raises((DtypeError, TypeError), match="parse"):
        SVC().fit(csr_matrix(np.eye(4)), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="Complex data not supported"):
        SVC().fit(np.eye(4) * 1j, [0, 1, 0, 1])
