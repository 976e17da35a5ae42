"""Tokens have numbers, texts come back from them, and what is unknown is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.backends import Backend
from portml.data.text import CharacterTokenizer, Vocabulary, WordTokenizer, split_words
from portml.data.text.vocabulary import PAD, UNKNOWN
from portml.errors import ArgumentError, DataError, DtypeError, RangeError, WriteError

TEXTS = ["The cat sat on the mat.", "The dog's bone, said he."]


@given(st.text(), st.sampled_from([(), (PAD, UNKNOWN)]))
def test_characters_come_back_from_their_numbers(text: str, special: tuple[str, ...]) -> None:
    tokenizer = CharacterTokenizer.from_text(text, special=special)
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int64
    assert ids.shape == (len(text),)
    assert tokenizer.decode(ids) == text
    assert len(tokenizer) == len(set(text)) + len(special)


def test_words_are_numbered_by_frequency_and_then_by_the_alphabet() -> None:
    tokenizer = WordTokenizer.from_texts(TEXTS)
    assert tokenizer.tokens[:5] == (PAD, UNKNOWN, "the", ".", ",")
    assert tokenizer.tokens[5:] == tuple(sorted(tokenizer.tokens[5:]))
    assert tokenizer.decode(tokenizer.encode("the cat ran")) == "the cat"
    assert tokenizer.decode(tokenizer.encode("the cat ran"), skip_special=False) == f"the cat {UNKNOWN}"


@pytest.mark.parametrize(
    ("options", "size"), [({"minimum_count": 2}, 4), ({"maximum_size": 3}, 3), ({"minimum_count": 9}, 2)]
)
def test_rare_words_are_left_out(options: dict[str, Any], size: int) -> None:
    tokenizer = WordTokenizer.from_texts(TEXTS, **options)
    assert len(tokenizer) == size
    assert tokenizer.encode("bone").tolist() == [1]


def test_words_are_small_and_keep_their_apostrophes() -> None:
    assert split_words("The man’s SON, (ha!)") == ["the", "man’s", "son", ",", "(", "ha", "!", ")"]
    assert split_words("") == []


def test_no_text_can_say_a_special_token() -> None:
    tokenizer = WordTokenizer(["cat"], split=str.split)
    assert tokenizer.encode(f"cat {PAD} {UNKNOWN}").tolist() == [2, 1, 1]
    single = CharacterTokenizer.from_text("a#b", special=("#",))
    assert len(single) == 3
    with pytest.raises(DataError, match=r"'#' is not among the 3 tokens"):
        single.encode("a#b")


def test_what_is_unknown_is_an_error_without_a_token_for_it() -> None:
    with pytest.raises(DataError, match="'z' is not among the 4 tokens; build the vocabulary from more text"):
        CharacterTokenizer.from_text("abc", special=(PAD,)).encode("abz")


@pytest.mark.parametrize("kind", [CharacterTokenizer, WordTokenizer])
def test_a_vocabulary_is_saved_and_loaded(kind: Any, tmp_path: Path) -> None:
    tokenizer = kind(["é", '"', "漢"], special=(PAD,))
    again = kind.load(tokenizer.save(tmp_path / "tokens.json"))
    assert again == tokenizer
    assert hash(again) == hash(tokenizer)
    assert again.special == (PAD,)
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.json"]


def test_damaged_files_and_those_of_other_kinds_are_refused(tmp_path: Path) -> None:
    path = CharacterTokenizer(["a"]).save(tmp_path / "tokens.json")
    with pytest.raises(DataError, match="expected a WordTokenizer in"):
        WordTokenizer.load(path)
    for content in ("", "[]", "{}", '{"kind": "CharacterTokenizer"}', '{"kind": "CharacterTokenizer", "tokens": 3}'):
        path.write_text(content)
        with pytest.raises(DataError, match="expected a CharacterTokenizer in"):
            CharacterTokenizer.load(path)
    with pytest.raises(DataError, match="No such file"):
        CharacterTokenizer.load(tmp_path / "none.json")
    with pytest.raises(WriteError, match="could not be written"):
        CharacterTokenizer(["a"]).save(tmp_path / "nowhere" / "tokens.json")


def test_numbers_come_from_any_backend(backend: Backend) -> None:
    tokenizer = CharacterTokenizer(["a", "b"])
    assert tokenizer.decode(backend.asarray([2, 0, 3, 1])) == "ab"


@pytest.mark.parametrize(
    ("ids", "error"), [([4], RangeError), ([-1], RangeError), ([0.5], DtypeError), ([[1]], DtypeError), (1, DtypeError)]
)
def test_numbers_of_no_token_are_refused(ids: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="ids: expected"):
        CharacterTokenizer(["a", "b"]).decode(ids)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CharacterTokenizer(["a", "a"]), "'a' comes twice"),
        (lambda: CharacterTokenizer(["ab"]), "expected single characters, got 'ab'"),
        (lambda: CharacterTokenizer([""]), "expected words or characters"),
        (lambda: CharacterTokenizer(["a"], special="<PAD>"), "expected several tokens, got the string"),
        (lambda: WordTokenizer(["a"], special=(UNKNOWN, PAD)), "expected '<PAD>' first"),
        (lambda: WordTokenizer.from_texts("a text"), "expected several texts, got one string"),
        (lambda: WordTokenizer.from_texts(["a"], maximum_size=2), "expected more than the 2 special tokens"),
        (lambda: Vocabulary(["a"]).encode("a"), "does not say how it splits"),
    ],
    ids=str.split("twice long empty special order string small base"),
)
def test_what_is_no_vocabulary_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def test_what_is_no_text_is_refused() -> None:
    for call in (CharacterTokenizer(["a"]).encode, CharacterTokenizer.from_text):
        with pytest.raises(DtypeError, match="text: expected a string, got a bytes"):
            call(b"a")  # type: ignore[arg-type]
    with pytest.raises(RangeError, match="token: 'z' is not among"):
        CharacterTokenizer(["a"]).id_of("z")
