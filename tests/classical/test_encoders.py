"""One-hot and ordinal encoding, side by side with scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import polars
import pytest
import sklearn.preprocessing
from hypothesis import given
from hypothesis import strategies as st

from portml.backends import Backend, backend_of, to_numpy
from portml.classical import OneHotEncoder, OrdinalEncoder
from portml.errors import ArgumentError, DtypeError

TEXT = np.asarray([["b", "x"], ["a", "y"], ["b", "z"], ["c", "x"]], dtype=object)
GAPS = np.asarray([["b", 1.0], [np.nan, 3.0], ["a", np.nan], ["b", 1.0]], dtype=object)
NUMBERS = np.asarray([[3.0, 0.0], [1.0, 10.0], [3.0, np.nan], [2.0, 10.0]])
TABLES = {
    "text": TEXT,
    "short text": TEXT.astype("U1"),
    "gaps": GAPS,
    "numbers": NUMBERS,
    "integers": np.asarray([[3, 0], [1, 10], [3, 5]]),
    "truth values": np.asarray([[True], [False], [True]]),
    "pandas": pandas.DataFrame({"city": ["Oslo", "Rome", "Oslo"], "n": [2, 1, 2], "kind": [None, "a", "b"]}),
    "categorical": pandas.DataFrame({"city": pandas.Categorical(["Oslo", "Rome", "Oslo"])}),
}


@pytest.mark.parametrize("name", TABLES)
def test_encoders_agree_with_scikit_learn(name: str) -> None:
    X = TABLES[name]
    one_hot, theirs = OneHotEncoder().fit(X), sklearn.preprocessing.OneHotEncoder(sparse_output=False).fit(X)
    np.testing.assert_array_equal(one_hot.transform(X), theirs.transform(X))
    assert one_hot.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    ordinal, theirs = OrdinalEncoder().fit(X), sklearn.preprocessing.OrdinalEncoder().fit(X)
    np.testing.assert_array_equal(ordinal.transform(X), theirs.transform(X))
    for ours, expected in zip(ordinal.categories_, theirs.categories_, strict=True):
        assert repr(ours.tolist()) == repr(expected.tolist())
    assert ordinal.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()


@pytest.mark.parametrize("name", TABLES)
def test_encoding_and_back_gives_the_table(name: str) -> None:
    X = TABLES[name]
    for encoder in (OneHotEncoder(), OneHotEncoder(drop="first"), OrdinalEncoder()):
        back = encoder.inverse_transform(encoder.fit_transform(X))
        assert [[str(value) for value in row] for row in back.tolist()] == [
            [str(value) for value in row] for row in np.asarray(X).tolist()
        ] or np.array_equal(back, np.asarray(X).astype(back.dtype), equal_nan=back.dtype.kind == "f")


def test_numbers_are_encoded_where_they_are(backend: Backend, dtype: Any) -> None:
    X = backend.asarray(NUMBERS, dtype=dtype)
    for ours, theirs in (
        (OneHotEncoder(dtype="float32"), sklearn.preprocessing.OneHotEncoder(sparse_output=False)),
        (OrdinalEncoder(dtype="float32"), sklearn.preprocessing.OrdinalEncoder()),
    ):
        encoded = ours.fit(X).transform(X)
        assert backend_of(encoded) is backend
        assert encoded.dtype == backend.dtype("float32")
        assert all(backend_of(categories) is backend for categories in ours.categories_)
        np.testing.assert_array_equal(to_numpy(encoded), theirs.fit_transform(NUMBERS))
        back = ours.inverse_transform(encoded)
        assert backend_of(back) is backend
        np.testing.assert_array_equal(to_numpy(back), NUMBERS)


def test_text_is_encoded_to_the_backend_asked_for(backend: Backend) -> None:
    encoder = OneHotEncoder(backend=backend.name).fit(TEXT)
    assert backend_of(encoder.transform(TEXT)) is backend
    np.testing.assert_array_equal(encoder.inverse_transform(encoder.transform(TEXT)), TEXT)


@pytest.mark.parametrize("drop", ["first", "if_binary", ["b", "y"]])
def test_a_category_can_be_dropped(drop: Any) -> None:
    X = np.asarray([["b", "x"], ["a", "y"], ["b", "x"]], dtype=object)
    ours, theirs = (
        kind(drop=drop, sparse_output=False).fit(X) for kind in (OneHotEncoder, sklearn.preprocessing.OneHotEncoder)
    )
    np.testing.assert_array_equal(ours.transform(X), theirs.transform(X))
    assert ours.drop_idx_.tolist() == theirs.drop_idx_.tolist()
    assert ours.get_feature_names_out(["p", "q"]).tolist() == theirs.get_feature_names_out(["p", "q"]).tolist()
    np.testing.assert_array_equal(ours.inverse_transform(ours.transform(X)), X)


@pytest.mark.parametrize(
    ("X", "new", "named"),
    [(TEXT, [["q", "x"], ["a", "w"]], r"\['q'\] in column 0"), (NUMBERS, [[7.0, 0.0]], r"\[7.0\] in column 0")],
)
def test_an_unknown_category_is_named(X: Any, new: Any, named: str) -> None:
    for encoder in (OneHotEncoder(), OrdinalEncoder()):
        with pytest.raises(ArgumentError, match=f"Found unknown categories {named} during transform"):
            encoder.fit(X).transform(new)


def test_unknown_categories_can_be_ignored() -> None:
    new = np.asarray([["q", "x"]], dtype=object)
    ours = OneHotEncoder(handle_unknown="ignore").fit(TEXT)
    assert ours.transform(new).tolist() == [[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]]
    assert ours.inverse_transform(ours.transform(new)).tolist() == [[None, "x"]]
    with pytest.warns(UserWarning, match=r"unknown categories in columns \[0\] during transform"):
        OneHotEncoder(handle_unknown="ignore", drop="first").fit(TEXT).transform(new)


def test_unknown_and_missing_categories_have_their_values(backend: Backend) -> None:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    encoded = encoder.fit(backend.asarray(NUMBERS)).transform(backend.asarray([[5.0, np.nan], [2.0, 10.0]]))
    assert to_numpy(encoded).tolist() == [[-1.0, -2.0], [1.0, 1.0]]
    np.testing.assert_array_equal(to_numpy(encoder.inverse_transform(encoded)), [[np.nan, np.nan], [2.0, 10.0]])


def test_categories_given_have_the_order_given() -> None:
    sizes = OrdinalEncoder(categories=[["small", "medium", "large"]]).fit_transform([["large"], ["small"]])
    assert sizes.tolist() == [[2.0], [0.0]]


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ([["a"], ["x"], ["y"]], "of shape"),
        ([["a", "b"], ["x", "y", "z"]], r"unknown categories \['c'\] in column 0 during fit"),
        ([["a", "b", "c", "a"], ["x", "y", "z"]], "In column 0, the predefined categories contain duplicate"),
    ],
)
def test_categories_that_do_not_fit_are_refused(categories: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        OneHotEncoder(categories=categories).fit(TEXT)


def test_unsorted_numbers_are_refused() -> None:
    with pytest.raises(ArgumentError, match="Unsorted categories"):
        OrdinalEncoder(categories=[[2, 1]]).fit([[1], [2]])


def test_a_column_of_text_and_numbers_is_refused() -> None:
    with pytest.raises(DtypeError, match=r"uniformly strings or numbers. Got \['int', 'str'\]"):
        OneHotEncoder().fit([["a"], [1]])


def test_a_code_of_a_category_is_refused_as_the_unknown_value() -> None:
    with pytest.raises(ArgumentError, match="unknown_value 1 is one of the values already used"):
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=1).fit(TEXT)
    with pytest.raises(DtypeError, match="should only be set when"):
        OrdinalEncoder(unknown_value=1).fit(TEXT)


def test_polars_frames_are_read_by_column() -> None:
    X = polars.DataFrame({"city": ["Oslo", "Rome", None], "n": [2, 1, 2]})
    encoder = OneHotEncoder().set_output(transform="polars").fit(X)
    assert encoder.transform(X).columns == ["city_Oslo", "city_Rome", "city_None", "n_1", "n_2"]


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(-3, 3)), min_size=1, max_size=12))
def test_what_was_encoded_comes_back(rows: list[tuple[str, int]]) -> None:
    X = np.asarray(rows, dtype=object)
    for encoder in (OneHotEncoder(), OneHotEncoder(drop="if_binary"), OrdinalEncoder()):
        assert encoder.inverse_transform(encoder.fit_transform(X)).tolist() == [list(row) for row in rows]
