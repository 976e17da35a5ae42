"""What estimators take, where it goes, and in which words they refuse the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import polars
import pytest
import sklearn.exceptions
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from portml.backends import Backend, backend_of, get_backend, to_numpy
from portml.classical import Classifier, Estimator, Regressor
from portml.classical.host import codes_of_labels
from portml.classical.validation import (
    TrainingData,
    check_parameter,
    generator_of,
    labels_of,
    read_columns,
    read_data,
    read_training_data,
    refuse_negative,
)
from portml.errors import ArgumentError, DtypeError, MixedBackendsError, PortmlError, ShapeError
from portml.random import Generator

X = np.asarray([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
NAMES = ["a", "b"]


class Fitted(Estimator):
    """Keeps what it was given."""

    def __init__(self, *, backend: Any = None) -> None:
        self.backend = backend

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> Fitted:
        self.data_: TrainingData = read_training_data(self, X, y, sample_weight, **options)
        return self


class FittedClassifier(Fitted, Classifier):
    pass


class FittedRegressor(Fitted, Regressor):
    pass


def read(X: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> TrainingData:
    return Fitted().fit(X, y, sample_weight, **options).data_


@pytest.mark.parametrize(
    "given",
    [
        X,
        X.tolist(),
        tuple(map(tuple, X)),
        X.astype(int),
        X.astype(object),
        X.astype(">f8"),
        np.asfortranarray(X),
        pandas.DataFrame(X),
        pandas.DataFrame(X, columns=NAMES).astype("Int64"),
        pandas.DataFrame({"a": X[:, 0].astype("float32"), "b": X[:, 1].astype(int)}),
        polars.DataFrame(X, schema=NAMES),
    ],
    ids=lambda given: f"{type(given).__module__.partition('.')[0]} {getattr(given, 'dtype', '')}",
)
def test_tables_of_all_kinds_are_read_as_floats(given: Any, backend: Backend) -> None:
    found = Fitted(backend=backend.name).fit(given).data_
    assert found.X.dtype == backend.xp.float64
    assert (found.backend, backend_of(found.X), found.xp) == (backend, backend, backend.xp)
    np.testing.assert_array_equal(to_numpy(found.X), X)


def test_float32_stays_and_other_types_of_a_device_become_float64(backend: Backend) -> None:
    for dtype, expected in (("float32", "float32"), ("float64", "float64"), ("int32", "float64"), ("bool", "float64")):
        found = read(backend.asarray(X > 1, dtype=dtype))
        assert found.X.dtype == backend.dtype(expected)
        assert backend_of(found.X) is backend
    assert read(backend.asarray(X), dtype="float32").X.dtype == backend.xp.float32


def test_missing_values_of_frames_become_nan() -> None:
    frame = pandas.DataFrame({"a": pandas.array([1, None, 3], dtype="Int64"), "b": [True, False, True]})
    found = read(frame, allow_nan=True).X
    np.testing.assert_array_equal(found, [[1.0, 1.0], [np.nan, 0.0], [3.0, 1.0]])


def test_targets_and_weights_follow_X(backend: Backend) -> None:
    y, weight = [1, 2, 3], np.asarray([1.0, 0.5, 2.0])
    for there in (y, np.asarray(y), backend.asarray(y), pandas.Series(y), polars.Series(y)):
        found = read(backend.asarray(X, dtype="float32"), there, backend.asarray(weight))
        for array in (found.y, found.sample_weight):
            assert backend_of(array) is backend
            assert array.dtype == backend.xp.float32
    host = read(X, backend.asarray(y), backend.asarray(weight))
    assert isinstance(host.y, np.ndarray)
    assert read(X, y, 2.0).sample_weight.tolist() == [2.0] * 3


@pytest.mark.parametrize("y", [[3, 1, 3], np.asarray([True, False, True]), [2.0, -1.0, 2.0]])
def test_labels_become_codes_and_classes_where_X_is(y: Any, backend: Backend) -> None:
    for there in (y, backend.asarray(y)):
        found = read(backend.asarray(X), there, labels=True)
        assert found.y.dtype == backend.xp.int64
        assert to_numpy(found.y).tolist() == [1, 0, 1]
        assert backend_of(found.classes) is backend
        np.testing.assert_array_equal(to_numpy(labels_of(found.y, found.classes)), y)


@pytest.mark.parametrize("dtype", ["U1", object])
def test_classes_of_text_stay_on_the_host(dtype: Any, backend: Backend) -> None:
    y = np.asarray(["b", "a", "b"], dtype=dtype)
    for labels_given in (
        y,
        y.tolist(),
        pandas.Series(y),
        polars.Series(y.tolist()),
        pandas.Series(y, dtype="category"),
    ):
        found = read(backend.asarray(X), labels_given, labels=True)
        assert backend_of(found.y) is backend
        labels = labels_of(found.y, found.classes)
        assert isinstance(labels, np.ndarray)
        assert labels.tolist() == y.tolist()


@given(
    st.lists(st.integers(-4, 9), min_size=1, max_size=20).map(np.asarray)
    | st.lists(st.sampled_from([0, 255, 7]), min_size=1).map(lambda labels: np.asarray(labels, dtype=np.uint8))
    | st.lists(st.integers(-128, 127), min_size=200).map(lambda labels: np.asarray(labels, dtype=np.int8))
    | st.lists(st.sampled_from([2**64 - 1, 2**64 - 3]), min_size=1).map(lambda y: np.asarray(y, dtype=np.uint64))
    | st.lists(st.sampled_from([-(2**63), 2**63 - 1]), min_size=1).map(np.asarray)
    | st.lists(st.sampled_from(["", "b", "ab"]), min_size=1).map(lambda labels: np.asarray(labels, dtype=object))
    | st.lists(st.booleans(), min_size=1).map(np.asarray)
)
def test_codes_and_classes_are_those_of_unique(y: np.ndarray[Any, Any]) -> None:
    codes, classes = codes_of_labels(y)
    expected_classes, expected_codes = np.unique(y, return_inverse=True)
    np.testing.assert_array_equal(codes, expected_codes)
    np.testing.assert_array_equal(classes, expected_classes)
    assert (codes.dtype, classes.dtype) == (np.int64, y.dtype)


def test_known_classes_give_the_codes_of_a_batch() -> None:
    found = read(X, ["c", "a", "c"], labels=True, classes=["c", "a", "b"])
    assert (found.y.tolist(), found.classes.tolist()) == ([2, 0, 2], ["a", "b", "c"])
    with pytest.raises(ArgumentError, match=r"labels \[7\] that are not in classes \[0, 1\]"):
        read(X, [0, 7, 1], labels=True, classes=[0, 1])


def test_a_column_of_targets_is_flattened_with_scikit_learns_warning() -> None:
    for labels in (False, True):
        with pytest.warns(sklearn.exceptions.DataConversionWarning, match="A column-vector y was passed"):
            assert read(X, [[1], [2], [1]], labels=labels).y.shape == (3,)
    assert read(X, [[1], [2], [1]], multi_output=True).y.shape == (3, 1)


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"X": X[0]}, ShapeError, r"Expected 2D array, got 1D array instead:\narray=\[0. 1.\].\nReshape your data"),
    ({"X": 3.0}, ShapeError, "Expected 2D array, got scalar array instead"),
    ({"X": X[None]}, ShapeError, "Found array with dim 3, while dim <= 2 is required by Fitted"),
    ({"X": pandas.Series([1.0])}, ShapeError, "Expected a 2-dimensional container but got <class 'pandas"),
    (
        {"X": X[:0]},
        ShapeError,
        r"Found array with 0 sample\(s\) \(shape=\(0, 2\)\) while a minimum of 1 is required by F",
    ),
    ({"X": X[:, :0]}, ShapeError, r"Found array with 0 feature\(s\) \(shape=\(3, 0\)\) while a minimum of 1"),
    ({"X": X, "minimum_samples": 4}, ShapeError, r"Found array with 3 sample\(s\) .* a minimum of 4 is required"),
    ({"X": [[1.0], [1.0, 2.0]]}, ShapeError, "X: expected rows of the same length"),
    ({"X": [[np.nan]]}, ArgumentError, "Input X contains NaN.\nFitted does not accept missing values encoded as NaN"),
    ({"X": [[np.inf]]}, ArgumentError, r"Input X contains infinity or a value too large for dtype\('float64'\)"),
    ({"X": [[np.nan], [np.inf]], "allow_nan": True}, ArgumentError, "Input X contains infinity"),
    ({"X": [["a"]]}, ArgumentError, "dtype='numeric' is not compatible with arrays of bytes/strings"),
    ({"X": np.asarray([["a"]], dtype=object)}, ArgumentError, "could not convert string to float: 'a'"),
    ({"X": np.asarray([[{}]])}, DtypeError, "argument must be a string or a real number, not 'dict'"),
    ({"X": X + 1j}, ArgumentError, "Complex data not supported"),
    ({"X": sparse.csr_array(X)}, DtypeError, "Sparse data was passed for X, but dense data is required"),
    ({"X": np.matrix(X)}, DtypeError, "np.matrix is not supported"),
    ({"X": np.ma.masked_array(X)}, DtypeError, "the mask of a masked array would be lost"),
    ({"X": X.astype("datetime64[s]")}, DtypeError, "convert dates and durations to numbers"),
    (
        {"X": pandas.DataFrame(X, columns=["a", 1])},
        DtypeError,
        "Feature names are only supported if all input features",
    ),
    ({"X": X, "y": [1, 2]}, ShapeError, r"inconsistent numbers of samples: \[3, 2\]"),
    ({"X": X, "y": [1, np.nan, 2]}, ArgumentError, "Input y contains NaN."),
    ({"X": X, "y": [1, np.inf, 2]}, ArgumentError, "Input y contains infinity"),
    ({"X": X, "y": X}, ShapeError, r"y should be a 1d array, got an array of shape \(3, 2\) instead"),
    ({"X": X, "y": ["a", "b", "c"]}, ArgumentError, "y holds <U1: convert your data to numeric"),
    ({"X": X, "y": [0.5, 1, 2], "labels": True}, ArgumentError, "Unknown label type: continuous. Maybe you are trying"),
    ({"X": X, "y": [1, np.nan, 2], "labels": True}, ArgumentError, "Input y contains NaN."),
    ({"X": X, "y": np.asarray(["a", None, "b"]), "labels": True}, ArgumentError, "Input y contains NaN."),
    ({"X": X, "y": np.asarray(["a", 1, "b"], dtype=object), "labels": True}, ArgumentError, r"got \['int', 'str'\]"),
    ({"X": X, "y": np.asarray([1, 2, 3], dtype=object), "labels": True}, ArgumentError, "Unknown label type: unknown"),
    ({"X": X, "sample_weight": [1, 2]}, ShapeError, r"sample_weight.shape == \(2,\), expected \(3,\)!"),
    ({"X": X, "sample_weight": [[1], [2], [3]]}, ShapeError, "Sample weights must be 1D array or scalar, got 2D array"),
    ({"X": X, "sample_weight": [0, 0, 0]}, ArgumentError, "Sample weights must contain at least one non-zero number"),
    ({"X": X, "sample_weight": [1, np.nan, 1]}, ArgumentError, "Input sample_weight contains NaN"),
    (
        {"X": X, "sample_weight": [1, -1, 1], "non_negative_weights": True},
        ArgumentError,
        "Negative values in data passed to",
    ),
]


@pytest.mark.parametrize(("given", "kind", "message"), REFUSED)
def test_what_cannot_be_learnt_from_is_refused_in_scikit_learns_words(
    given: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        Fitted().fit(**given)
    assert isinstance(caught.value, PortmlError)
    assert isinstance(caught.value, ValueError | TypeError)


def test_a_device_is_refused_the_same(backend: Backend) -> None:
    for arguments, message in (
        ({"X": backend.asarray([[np.nan]])}, "Input X contains NaN"),
        ({"X": backend.asarray([[np.inf]], dtype="float32")}, r"too large for dtype\('float32'\)"),
        ({"X": backend.asarray([[1j]])}, "Complex data not supported"),
        ({"X": backend.asarray([1.0])}, "Expected 2D array, got 1D array instead"),
        ({"X": backend.asarray(X), "y": backend.asarray([0.5, 1.0, 2.0]), "labels": True}, "label type: continuous"),
    ):
        with pytest.raises(ArgumentError, match=message):
            Fitted().fit(**arguments)


def test_supervised_estimators_need_targets() -> None:
    for estimator in (FittedClassifier(), FittedRegressor()):
        with pytest.raises(
            ArgumentError, match=r"Fitted\w+ estimator requires y to be passed, but the target y is None"
        ):
            estimator.fit(X)


def test_most_samples_of_a_class_of_their_own_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="number of unique classes is greater than 50%"):
        read(np.zeros((30, 1)), [*range(30)], labels=True)


def test_what_is_asked_about_must_have_the_features_fitted(backend: Backend) -> None:
    fitted = Fitted().fit(backend.asarray(X))
    assert fitted.n_features_in_ == 2
    with pytest.raises(ShapeError, match="X has 1 features, but Fitted is expecting 2 features as input"):
        read_data(fitted, backend.asarray(X[:, :1]))
    with pytest.raises(ShapeError, match="X has 2 columns, but Fitted is expecting 5"):
        read_data(fitted, backend.asarray(X), columns=5)


def test_names_of_columns_are_kept_and_compared() -> None:
    frame = pandas.DataFrame(X, columns=NAMES)
    fitted = Fitted().fit(frame)
    assert fitted.feature_names_in_.tolist() == NAMES
    assert fitted.feature_names_in_.dtype == object
    np.testing.assert_array_equal(read_data(fitted, frame), X)
    np.testing.assert_array_equal(read_data(fitted, polars.DataFrame(X, schema=NAMES)), X)
    for columns, message in (
        (["b", "a"], "Feature names must be in the same order as they were in fit"),
        (["a", "c"], "Feature names unseen at fit time:\n- c\nFeature names seen at fit time, yet now missing:\n- b"),
        ([*"acdefghi"], "- g\n- ...\n"),
    ):
        with pytest.raises(ArgumentError, match=message):
            read_data(fitted, pandas.DataFrame(np.zeros((1, len(columns))), columns=columns))
    with pytest.warns(UserWarning, match="X does not have valid feature names, but Fitted was fitted with"):
        read_data(fitted, X)
    assert not hasattr(fitted.fit(X), "feature_names_in_")
    with pytest.warns(UserWarning, match="X has feature names, but Fitted was fitted without"):
        read_data(fitted, frame)


def test_data_on_another_backend_than_the_fit_is_refused() -> None:
    strict = get_backend("strict")
    on_host, on_device = Fitted().fit(X), Fitted().fit(strict.asarray(X))
    with pytest.raises(MixedBackendsError, match=r"was fitted on numpy \(cpu\) and X is on strict"):
        read_data(on_host, strict.asarray(X))
    with pytest.raises(
        MixedBackendsError, match=r"was fitted on strict \(.*\) and X is on numpy.*backends.to\(X, 'strict'\)"
    ):
        read_data(on_device, X)
    with pytest.raises(MixedBackendsError, match=r"X is on strict \(.*\), but Fitted has backend='numpy'"):
        Fitted(backend="numpy").fit(strict.asarray(X))


def test_a_backend_that_is_named_gets_what_arrives_on_the_host(backend: Backend) -> None:
    fitted = Fitted(backend=backend.name).fit(X.tolist(), [1, 2, 3])
    assert backend_of(fitted.data_.X) is backend_of(fitted.data_.y) is backend_of(read_data(fitted, X)) is backend
    assert backend_of(Fitted(backend=backend).fit(X).data_.X) is backend


def test_partial_fits_are_held_to_the_features_of_the_first() -> None:
    fitted = Fitted().fit(pandas.DataFrame(X, columns=NAMES))
    with pytest.raises(ArgumentError, match="Feature names must be in the same order"):
        fitted.fit(pandas.DataFrame(X, columns=["b", "a"]), reset=False)
    with pytest.raises(ShapeError, match="X has 1 features, but Fitted is expecting 2"):
        Fitted().fit(X).fit(X[:, :1], reset=False)


def test_random_state_is_a_seed_or_a_generator(backend: Backend) -> None:
    like = backend.asarray(X)
    draws = [
        to_numpy(generator_of(seed, like).random((3,), "float64")).tolist() for seed in (5, np.int64(5), None, None)
    ]
    assert draws[0] == draws[1]
    assert draws[2] != draws[3]
    generator = Generator(1, backend=backend)
    assert generator_of(generator, like) is generator
    for make in (np.random.RandomState, np.random.default_rng):
        first, again = (to_numpy(generator_of(make(3), like).random((2,))).tolist() for _ in range(2))
        assert first == again
    for wrong in (-1, 1.5, True, "7"):
        with pytest.raises(ArgumentError, match="random_state: expected None, an integer of at least 0"):
            generator_of(wrong, like)
    with pytest.raises(MixedBackendsError, match="random_state: draws on strict, but the data is on numpy"):
        generator_of(Generator(0, backend="strict"), X)


def test_a_parameter_is_refused_in_scikit_learns_words() -> None:
    estimator = Fitted(backend=-1)
    check_parameter(estimator, "backend", True, "a backend")
    with pytest.raises(ArgumentError, match=r"The 'backend' parameter of Fitted must be a backend. Got -1 instead."):
        check_parameter(estimator, "backend", False, "a backend")


def test_negative_values_are_refused(backend: Backend) -> None:
    refuse_negative(backend.asarray(X), "MultinomialNB (input X)")
    with pytest.raises(ArgumentError, match=r"Negative values in data passed to MultinomialNB \(input X\)"):
        refuse_negative(backend.asarray(-X), "MultinomialNB (input X)")


def test_columns_of_text_and_numbers_are_read_one_by_one(backend: Backend) -> None:
    frame = pandas.DataFrame({"city": ["Oslo", None, "Rome"], "n": [1, 2, 3]})
    (city, n), found = read_columns(Fitted(backend=backend.name), frame, reset=True)
    assert found is backend_of(n) is backend
    assert city.tolist()[::2] == ["Oslo", "Rome"]
    for wrong, message in (([1.0], "got 1D array"), ([[]], r"0 feature\(s\)"), (np.zeros((1, 1, 1)), "with dim 3")):
        with pytest.raises(ShapeError, match=message):
            read_columns(Fitted(), wrong, reset=True)
