"""Subword tokenizers, made by the library `tokenizers` (the extra `text`)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.data.text import SubwordTokenizer, pad_sequences, train_byte_level_bpe, train_word_piece
from portml.data.text.vocabulary import PAD, UNKNOWN
from portml.errors import ArgumentError, DataError, RangeError, WriteError

TEXTS = [
    "In the beginning God created the heaven and the earth.",
    "And the earth was without form, and void; and darkness was upon the face of the deep.",
    "And God said, Let there be light: and there was light.",
]
BPE = train_byte_level_bpe(TEXTS, 300)
PIECES = train_word_piece(TEXTS, 120)


@given(st.text())
def test_byte_level_bpe_gives_back_any_text(text: str) -> None:
    ids = BPE.encode(text)
    assert BPE.decode(ids) == text
    assert ids.dtype == np.int64
    assert ids.ndim == 1


@pytest.mark.parametrize("text", ["<PAD>", "the <PAD> earth", " two  spaces\n\tand a tab ", "漢字 and ü", "\x00", ""])
def test_text_that_spells_a_special_token_is_text(text: str) -> None:
    assert BPE.decode(BPE.encode(text)) == text
    assert 0 not in BPE.encode(text)
    assert SubwordTokenizer(BPE.tokenizer).decode([0, *BPE.encode(text), 0]) == text


def test_frequent_pairs_become_one_token() -> None:
    assert "Ġthe" in BPE.split("and the earth")
    fewer = train_byte_level_bpe(TEXTS, 270)
    assert len(BPE.encode(TEXTS[0])) < len(fewer.encode(TEXTS[0])) < len(TEXTS[0])


def test_special_tokens_have_the_first_numbers_and_fill() -> None:
    assert (BPE.id_of(PAD), PIECES.id_of(PAD), PIECES.id_of(UNKNOWN)) == (0, 0, 1)
    padded, lengths = pad_sequences([BPE.encode("the earth"), BPE.encode("the")], value=BPE.id_of(PAD))
    assert [BPE.decode(row) for row in padded] == ["the earth", "the"]
    assert (padded != 0).sum(axis=1).tolist() == lengths.tolist()
    assert BPE.decode(padded[1], skip_special=False).endswith(PAD)


def test_word_piece_splits_within_words_and_marks_it() -> None:
    assert PIECES.split("The earth") == PIECES.split("the EARTH")
    pieces = PIECES.split("earthen")
    assert not pieces[0].startswith("##")
    assert all(piece.startswith("##") for piece in pieces[1:])
    assert PIECES.decode(PIECES.encode("and the light")) == "and the light"
    assert PIECES.split("漢") == [UNKNOWN]


@pytest.mark.parametrize("tokenizer", [BPE, PIECES], ids=["byte-level BPE", "WordPiece"])
def test_a_tokenizer_is_saved_and_loaded(tokenizer: SubwordTokenizer, tmp_path: Path) -> None:
    path = tokenizer.save(tmp_path / "tokenizer.json")
    again = SubwordTokenizer.load(path)
    assert len(again) == len(tokenizer)
    for text in [*TEXTS, "something else <PAD>"]:
        np.testing.assert_array_equal(again.encode(text), tokenizer.encode(text))
        assert again.split(text) == tokenizer.split(text)
    assert json.loads(path.read_text())["model"]["type"] in ("BPE", "WordPiece")


def test_training_twice_gives_the_same_tokenizer() -> None:
    assert train_byte_level_bpe(iter(TEXTS), 300).tokenizer.to_str() == BPE.tokenizer.to_str()


def test_no_text_still_makes_every_byte_a_token() -> None:
    bytes_alone = train_byte_level_bpe([], 257)
    assert len(bytes_alone) == 257
    assert bytes_alone.decode(bytes_alone.encode("héllo")) == "héllo"


@pytest.mark.parametrize("ids", [[-1], [10_000], [0, 1, 300]])
def test_numbers_of_no_token_are_refused(ids: list[int]) -> None:
    with pytest.raises(RangeError, match=r"ids: expected numbers in 0\.\.\d+, got"):
        BPE.decode(ids)
    with pytest.raises(RangeError, match="token: 'zzzz' is not among the"):
        BPE.id_of("zzzz")


def test_what_is_no_training_is_refused() -> None:
    with pytest.raises(ArgumentError, match="vocabulary_size: expected at least 257"):
        train_byte_level_bpe(TEXTS, 256)
    with pytest.raises(ArgumentError, match=r"texts: expected several texts, got one string; write \[text\]"):
        train_byte_level_bpe("one text", 300)
    with pytest.raises(ArgumentError, match="special: expected '<UNK>' among"):
        train_word_piece(TEXTS, 100, special=(PAD,))
    for special in ("<PAD>", ("a", "a"), ("",), (1,)):
        with pytest.raises(ArgumentError, match="special: expected distinct tokens"):
            train_byte_level_bpe(TEXTS, 300, special=special)  # type: ignore[arg-type]


def test_files_that_are_no_tokenizers_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    for name in ("bad.json", "none.json"):
        with pytest.raises(DataError, match=name):
            SubwordTokenizer.load(tmp_path / name)
    with pytest.raises(WriteError, match="nowhere"):
        BPE.save(tmp_path / "nowhere" / "tokenizer.json")
