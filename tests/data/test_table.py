from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.data import Table, read_table
from portml.data.table import MISSING
from portml.errors import ArgumentError, DataError


def written(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_columns_are_numbers_or_text_with_missing_values(tmp_path: Path) -> None:
    table = read_table(
        written(tmp_path, 'city,people,"height, m",never\r\n"Oslo ",7e5,-1.5,\r\nRome,,2,?\r\n,NA,.5,NaN\r\n')
    )
    assert list(table) == ["city", "people", "height, m", "never"]
    assert (table.text, table.numeric) == (["city"], ["people", "height, m", "never"])
    assert table["city"].tolist() == ["Oslo", "Rome", None]
    np.testing.assert_array_equal(table["people"], [7e5, np.nan, np.nan])
    np.testing.assert_array_equal(table["height, m"], [-1.5, 2.0, 0.5])
    assert np.isnan(table["never"]).all()
    assert table.n_rows == 3
    assert table.matrix().tolist()[0][:3] == ["Oslo", 7e5, -1.5]
    assert table.without("city").matrix().dtype == np.float64
    assert list(table.select(["never", "city"])) == ["never", "city"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_that_of_the_header(tmp_path: Path, delimiter: str) -> None:
    table = read_table(written(tmp_path, f"a{delimiter}b\n1{delimiter}x y\n"))
    assert {name: column.tolist() for name, column in table.items()} == {"a": [1.0], "b": ["x y"]}


def test_what_only_looks_like_a_number_is_text(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "a,b,c\n1_000,0x10,1 2\n2,3,4\n"))
    assert table.text == ["a", "b", "c"]


def test_columns_said_to_be_text_keep_their_zeros(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "zip,n\n01234,1\n,2\n"), text=["zip", "absent"])
    assert table["zip"].tolist() == ["01234", None]
    assert table.numeric == ["n"]


def test_digits_with_a_leading_zero_stay_text_where_that_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, "zip,n,x\n01234,0,0.5\n99999,10,-01\n")
    assert read_table(path).text == []
    kept = read_table(path, keep_leading_zeros=True)
    assert (kept.text, kept["zip"].tolist()) == (["zip"], ["01234", "99999"])


def test_rows_are_taken_in_the_order_asked_for() -> None:
    table = Table({"a": np.asarray([1.0, 2.0, 3.0]), "b": np.asarray(["x", None, "z"], dtype=object)})
    assert {name: column.tolist() for name, column in table.rows(np.asarray([2, 0])).items()} == {
        "a": [3.0, 1.0],
        "b": ["z", "x"],
    }


def test_compressed_files_marks_and_empty_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress("\ufeffa,b\n\n1,2\n\n".encode()))
    assert read_table(path)["a"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "data.csv: the file is empty"),
        ("\n\n", "data.csv: the file is empty"),
        ("a,b\n", "data.csv: there are no rows"),
        ("a,b\n1,2\n3\n", "data.csv, line 3: expected 2 values as in the header, got 1"),
        ('a,b\n"1\n1",2\n3,4,5\n', "data.csv, line 4: expected 2 values as in the header, got 3"),
        ("a,b,a\n1,2,3\n", "line 1: columns 1 and 3 are both named 'a'"),
        ("a, \n1,2\n", "line 1: column 2 of 2 has no name"),
        ('a,b\n"1,2\n', "data.csv, line 2: unexpected end of data"),
    ],
)
def test_a_malformed_file_is_refused_by_name_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(written(tmp_path, text))


def test_files_that_are_no_text_or_not_there_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "image.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(DataError, match=r"image.csv, line 2: expected text in UTF-8"):
        read_table(tmp_path / "image.csv")
    with pytest.raises(DataError, match=r"absent.csv: there is no such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(DataError, match=r"data.csv.gz: cannot be read"):
        read_table(written(tmp_path, "a,b\n1,2\n", "data.csv.gz"))


def test_a_column_that_is_not_there_is_named() -> None:
    table = Table({"a": np.asarray([1.0])})
    for ask in (lambda: table["b"], lambda: table.without("b"), lambda: table.select(["b"])):
        with pytest.raises(ArgumentError, match="there is none named 'b'; there are 'a'"):
            ask()


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1).filter(
    lambda word: word.strip() not in MISSING
)


@given(st.lists(st.tuples(words, st.floats(allow_nan=False)), min_size=1))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, float]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([("word!", "number"), *(("-" + word + "-", number) for word, number in rows)])
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_bytes(text.getvalue().encode())
    table = read_table(path)
    assert table["word!"].tolist() == ["-" + word + "-" for word, _ in rows]
    assert table["number"].tolist() == [number for _, number in rows]
