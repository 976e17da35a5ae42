"""Parallel text: catalogues as gettext writes them, whole, odd and broken; pairs chosen, split and padded; dates."""

from __future__ import annotations

import datetime
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.data import make_dates
from portml.data.text import (
    BucketLoader,
    ParallelDataset,
    distinct_messages,
    read_catalogue,
    read_catalogues,
    split_by_message,
)
from portml.errors import ArgumentError, DataError, RangeError, ShapeError
from portml.random import Generator

HEADER = ("", "Project-Id-Version: x\nContent-Type: text/plain; charset=UTF-8\n")
MESSAGES = [("Open", "Öffnen"), ("Save %(name)s", "%(name)s speichern"), ('Say "hi"\n', "Sag „hi“\n")]
PO = """
# A translator's comment
msgid ""
msgstr ""
"Project-Id-Version: x\\n"
"Content-Type: text/plain; charset=UTF-8\\n"

#: file.py:1
msgid "Open"
msgstr "Öffnen"

#, python-format
msgid ""
"Save "
"%(name)s"
msgstr "%(name)s speichern"

msgid "Say \\"hi\\"\\n"
msgstr "Sag „hi“\\n"
"""


def compiled(messages: list[tuple[str, str]], order: str = "<", encoding: str = "utf-8") -> bytes:
    """A ``.mo`` file, as msgfmt writes it."""
    rows = [[side.encode(encoding) for side in message] for message in sorted(messages)]
    tables, strings, place = b"", b"", 28 + 16 * len(rows)
    for side in (0, 1):
        for row in rows:
            tables += struct.pack(f"{order}2I", len(row[side]), place + len(strings))
            strings += row[side] + b"\0"
    return struct.pack(f"{order}7I", 0x950412DE, 0, len(rows), 28, 28 + 8 * len(rows), 0, 0) + tables + strings


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_compiled_catalogue_gives_its_messages_in_either_order_of_bytes(order: str, tmp_path: Path) -> None:
    path = put(tmp_path / "a.mo", compiled([HEADER, *MESSAGES], order))
    assert read_catalogue(path) == sorted(MESSAGES)


def test_a_written_catalogue_gives_the_same(tmp_path: Path) -> None:
    assert read_catalogue(put(tmp_path / "a.po", PO)) == MESSAGES
    assert read_catalogue(put(tmp_path / "b.po", PO.replace("\n", "\r\n"))) == MESSAGES


def test_a_catalogue_is_read_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    header = ("", HEADER[1].replace("UTF-8", "ISO-8859-1"))
    path = put(tmp_path / "a.mo", compiled([header, ("Open", "Öffnen")], encoding="latin-1"))
    assert read_catalogue(path) == [("Open", "Öffnen")]
    assert read_catalogue(put(tmp_path / "b.mo", compiled([("Open", "Öffnen")]))) == [("Open", "Öffnen")]


def test_plural_forms_give_the_first_and_the_last_and_contexts_are_cut_off(tmp_path: Path) -> None:
    plural = ("%d file\0%d files", "%d Datei\0%d Dateien")
    path = put(tmp_path / "a.mo", compiled([HEADER, plural, ("menu\x04Open", "Öffnen")]))
    expected = [("%d file", "%d Datei"), ("%d files", "%d Dateien"), ("Open", "Öffnen")]
    assert read_catalogue(path) == expected
    written = (
        'msgid "%d file"\nmsgid_plural "%d files"\nmsgstr[0] "%d Datei"\nmsgstr[1] "%d Dateien"\n\n'
        'msgctxt "menu"\nmsgid "Open"\nmsgstr "Öffnen"\n'
    )
    assert read_catalogue(put(tmp_path / "a.po", written)) == expected


def test_what_is_fuzzy_obsolete_or_not_translated_is_left_out(tmp_path: Path) -> None:
    written = (
        '#, fuzzy\nmsgid "Open"\nmsgstr "Offen"\n\n#, fuzzy, python-format\n#| msgid "Shut"\nmsgid "Close %s"\n'
        'msgstr "Zu %s"\n\nmsgid "Empty"\nmsgstr ""\n\nmsgid "Save"\nmsgstr "Speichern"\n\n'
        '#~ msgid "Old"\n#~ msgstr "Alt"\n'
    )
    assert read_catalogue(put(tmp_path / "a.po", written)) == [("Save", "Speichern")]
    assert read_catalogue(put(tmp_path / "a.mo", compiled([HEADER, ("Empty", "")]))) == []


def test_odd_white_space_inside_a_message_ends_no_line(tmp_path: Path) -> None:
    written = 'msgid "a\u2028b"\nmsgstr "c\x0bd\x85"\n'
    assert read_catalogue(put(tmp_path / "a.po", written)) == [("a\u2028b", "c\x0bd\x85")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.mo", b""),
        ("a.mo", b"no catalogue at all, but long enough to be read as one"),
        ("a.mo", compiled([HEADER, *MESSAGES])[:-20]),
        ("a.mo", compiled([HEADER, *MESSAGES])[:40]),
        ("a.mo", compiled([HEADER, ("Open", "Öffnen")], encoding="latin-1")),
        ("a.mo", compiled([("", "Content-Type: text/plain; charset=nonsense\n")])),
        ("a.po", 'msgid "Open\nmsgstr "Offen"\n'),
        ("a.po", 'msgid Open\nmsgstr "Offen"\n'),
        ("a.po", "<html>not here</html>\n"),
        ("a.po", '"a string before any keyword"\n'),
        ("a.po", b'msgid "Open"\nmsgstr "\xd6ffnen"\n'),
    ],
)
def test_a_broken_catalogue_is_refused(name: str, content: bytes | str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no whole catalogue of gettext"):
        read_catalogue(put(tmp_path / name, content))


def test_a_missing_catalogue_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_catalogue(tmp_path / "none.mo")
    with pytest.raises(DataError, match=r"has no de/LC_MESSAGES/\*.mo"):
        read_catalogues(tmp_path, "de")


def test_the_catalogues_of_one_language_are_gathered_from_all_folders_below(tmp_path: Path) -> None:
    put(tmp_path / "one/locale/de/LC_MESSAGES/a.mo", compiled([HEADER, *MESSAGES]))
    put(tmp_path / "two/locale/de/LC_MESSAGES/a.po", PO + '\nmsgid "New"\nmsgstr "Neu"\n')
    put(tmp_path / "two/locale/fr/LC_MESSAGES/a.po", 'msgid "New"\nmsgstr "Nouveau"\n')
    assert sorted(read_catalogues(tmp_path, "de")) == sorted([*MESSAGES, ("New", "Neu")])


def test_messages_are_distinct_short_lines_that_somebody_translated() -> None:
    pairs = [("Open", "Abrir"), (" Open ", "Abierto"), ("OK", "OK"), ("12", "12 !"), ("a\nb", "c"), ("x" * 9, "y")]
    assert distinct_messages(pairs, longest=8) == [("Open", "Abrir")]
    assert distinct_messages([("long", "z" * 9)], longest=8) == []
    with pytest.raises(ArgumentError, match="longest: expected"):
        distinct_messages([], longest=0)


@given(st.lists(st.tuples(st.text("ab é.!…A", min_size=1, max_size=6), st.text(max_size=2)), max_size=60))
def test_no_words_are_in_two_parts(pairs: list[tuple[str, str]]) -> None:
    parts = split_by_message(pairs, parts=3)
    assert sorted(pair for part in parts for pair in part) == sorted(pairs)
    words = [{source.casefold().strip(" .!…") for source, _ in part} for part in parts]
    assert not words[0] & words[1]
    assert not words[0] & words[2]
    assert not words[1] & words[2]
    again = split_by_message([*pairs, ("another message", "x")], parts=3)
    assert all(set(part) <= set(more) for part, more in zip(parts, again, strict=True))


def test_a_split_has_about_the_shares_it_was_asked_for() -> None:
    sizes = [len(part) for part in split_by_message([(f"message {i}", "") for i in range(4000)], parts=20)]
    assert sum(sizes) == 4000
    assert all(150 < size < 250 for size in sizes[1:])
    with pytest.raises(ArgumentError, match="parts: expected at least 3"):
        split_by_message([], parts=2)


def test_a_batch_of_pairs_is_moved_by_one_place_and_padded() -> None:
    pairs = ParallelDataset([[5, 6], [7], [8]], [[8], [9, 9], [5, 5]], start=1, stop=2)
    source, read, expected = pairs[np.asarray([1, 0])]
    np.testing.assert_array_equal(source, [[7, 0], [5, 6]])
    np.testing.assert_array_equal(read, [[1, 9, 9], [1, 8, 0]])
    np.testing.assert_array_equal(expected, [[9, 9, 2], [8, 2, 0]])
    np.testing.assert_array_equal(pairs.lengths, [3, 3, 3])
    loader = BucketLoader(pairs, 2, True, Generator(0, "numpy"), backend="numpy")  # type: ignore[arg-type]
    assert sum(len(batch[0]) for batch in loader) == len(pairs) == 3


@pytest.mark.parametrize(
    ("sources", "targets", "symbols", "error", "message"),
    [
        ([[5], [6]], [[5]], {}, ShapeError, "targets: expected one for each of 2 sources, got 1"),
        ([], [], {}, DataError, "sources: expected at least one, got none"),
        ([[5], []], [[5], [6]], {}, DataError, "sources: number 1 is empty"),
        ([[5]], [[]], {}, DataError, "targets: number 0 is empty"),
        ([[5]], [[5]], {"stop": 1}, RangeError, "expected three symbols"),
        ([[5]], [[5, 2]], {}, RangeError, "targets: number 0 contains 2"),
        ([[0]], [[5]], {}, RangeError, "sources: number 0 contains 0"),
    ],
)
def test_what_are_no_pairs_is_refused(sources: list, targets: list, symbols: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        ParallelDataset(sources, targets, **{"start": 1, "stop": 2, **symbols})


def test_positions_outside_are_refused() -> None:
    pairs = ParallelDataset([[5]], [[5]], start=1, stop=2)
    with pytest.raises(RangeError, match=r"index: expected positions in 0\.\.0"):
        pairs[np.asarray([1])]


def test_dates_mean_what_is_written() -> None:
    written, iso = make_dates(600, random_state=0)
    assert len(set(iso)) == 600
    forms = ("%d %B %Y", "%B %d, %Y", "%b %d, %Y", "%A, %d %B %Y", "%d.%m.%Y", "%m/%d/%Y")
    count = dict.fromkeys(forms, 0)
    for given_date, expected in zip(written, iso, strict=True):
        read = {form: parsed for form in forms if (parsed := parse(given_date, form)) is not None}
        count[next(form for form, parsed in read.items() if parsed.isoformat() == expected)] += 1
    assert min(count.values()) > 60
    assert make_dates(600, random_state=0) == (written, iso)
    assert make_dates(5, random_state=1) != make_dates(5, random_state=2)
    assert len(make_dates(366, first_year=2004, last_year=2004)[0]) == 366


def parse(written: str, form: str) -> datetime.date | None:
    try:
        return datetime.datetime.strptime(written, form).date()
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_samples": 366, "first_year": 2003, "last_year": 2003}, "n_samples: expected at most 365"),
        ({"n_samples": 0}, "n_samples: expected"),
        ({"first_year": 0}, "first_year: expected a year"),
        ({"last_year": "later"}, "last_year: expected a year"),
        ({"first_year": 2001, "last_year": 2000}, "n_samples: expected at most"),
    ],
)
def test_dates_that_are_not_there_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make_dates(**options)
