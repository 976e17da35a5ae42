"""Tokens between characters and words, learnt from text: byte-level BPE and WordPiece, of the library `tokenizers`.

Both begin with small pieces and put together the pair that pays most, again and again, until the vocabulary is full.
BPE takes the pair that is most frequent; WordPiece the one whose joining makes the training text most likely.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portml.data.text.vocabulary import PAD, UNKNOWN, _integers
from portml.errors import ArgumentError, DataError, MissingDependencyError, RangeError, WriteError

__all__ = ["SubwordTokenizer", "train_byte_level_bpe", "train_word_piece"]

HostArray = np.ndarray[Any, Any]


def train_byte_level_bpe(
    texts: Iterable[str], vocabulary_size: int, *, special: Sequence[str] = (PAD,), minimum_count: int = 2
) -> SubwordTokenizer:
    """Byte-pair encoding that begins with the 256 bytes: it can write any text, and decoding gives it back whole.

    Parameters
    ----------
    texts : iterable of str
    vocabulary_size : int
        Special tokens and bytes included, hence at least 256 and their number.
    special : sequence of str
        They have the first numbers.
    minimum_count : int
        Pairs that are rarer are not joined.

    Raises
    ------
    MissingDependencyError
        Without the library `tokenizers`.
    ArgumentError
        If the vocabulary is too small, special tokens are none, or `texts` is one string.

    References
    ----------
    [Sennrich, Haddow & Birch 2016, Neural machine translation of rare words with subword units; Radford et al. 2019]
    """
    tokenizers = _library()
    _check_special(special)
    _check_size(vocabulary_size, 256 + len(special))
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=minimum_count,
        special_tokens=[*special],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_several(texts), trainer)
    return SubwordTokenizer(tokenizer)


def train_word_piece(
    texts: Iterable[str],
    vocabulary_size: int,
    *,
    special: Sequence[str] = (PAD, UNKNOWN),
    minimum_count: int = 2,
    lowercase: bool = True,
) -> SubwordTokenizer:
    """WordPiece: pieces within words, those that do not begin one written ``##piece``.

    Parameters
    ----------
    texts, vocabulary_size, special, minimum_count
        As in `train_byte_level_bpe`; ``"<UNK>"`` must be among the special tokens, for characters never seen.
    lowercase : bool
        Read capital letters as small ones, and without their accents.

    Raises
    ------
    MissingDependencyError, ArgumentError
        As in `train_byte_level_bpe`.

    References
    ----------
    [Schuster & Nakajima 2012, Japanese and Korean voice search; Wu et al. 2016, section 4.1]
    """
    tokenizers = _library()
    _check_special(special)
    _check_size(vocabulary_size, len(special) + 1)
    if UNKNOWN not in special:
        raise ArgumentError(f"special: expected {UNKNOWN!r} among the special tokens, got {tuple(special)}")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = tokenizers.decoders.WordPiece()
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=vocabulary_size, min_frequency=minimum_count, special_tokens=[*special], show_progress=False
    )
    tokenizer.train_from_iterator(_several(texts), trainer)
    return SubwordTokenizer(tokenizer)


class SubwordTokenizer:
    """A trained tokenizer of the library `tokenizers`, with the methods of portml's own.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        # Where a text spells a special token, it is spelt as well; only what puts it there on purpose means it.
        tokenizer.encode_special_tokens = True

    def encode(self, text: str) -> HostArray:
        """Numbers of the pieces, int64 of shape (n_tokens,)."""
        return np.array(self.tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)

    def split(self, text: str) -> list[str]:
        """The pieces, as the vocabulary writes them."""
        pieces: list[str] = self.tokenizer.encode(text, add_special_tokens=False).tokens
        return pieces

    def decode(self, ids: Any, *, skip_special: bool = True) -> str:
        """The text of some numbers.  Raises RangeError if one is none of a token."""
        numbers = _integers(ids)
        outside = [number for number in numbers if not 0 <= number < len(self)]
        if outside:
            raise RangeError(f"ids: expected numbers in 0..{len(self) - 1}, got {outside[0]}")
        text: str = self.tokenizer.decode(numbers, skip_special_tokens=skip_special)
        return text

    def id_of(self, token: str) -> int:
        """The number of a token.  Raises RangeError if there is none."""
        number: int | None = self.tokenizer.token_to_id(token)
        if number is None:
            raise RangeError(f"token: {token!r} is not among the {len(self)} tokens")
        return number

    def __len__(self) -> int:
        size: int = self.tokenizer.get_vocab_size()
        return size

    def save(self, path: str | Path) -> Path:
        """Write the tokenizer in the JSON of the library.  Raises WriteError if the place cannot be written."""
        try:
            Path(path).write_text(self.tokenizer.to_str(pretty=True), encoding="utf-8")
        except OSError as error:
            raise WriteError(f"path: {path} could not be written: {error.strerror or error}") from error
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> SubwordTokenizer:
        """Read what `save` wrote, or any ``tokenizer.json``.  Raises DataError if it cannot be read."""
        tokenizers = _library()
        try:
            return cls(tokenizers.Tokenizer.from_str(Path(path).read_text(encoding="utf-8")))
        except Exception as error:  # the library raises Exception itself
            raise DataError(
                f"path: expected a tokenizer's JSON in {str(path)!r}, it cannot be read ({error})"
            ) from error


def _library() -> Any:
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.normalizers
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError as error:
        raise MissingDependencyError(
            'subword tokenizers need the library tokenizers, which is not installed: pip install "portml[text]"'
        ) from error
    return tokenizers


def _several(texts: Iterable[str]) -> Iterable[str]:
    if isinstance(texts, str):
        raise ArgumentError("texts: expected several texts, got one string; write [text]")
    return texts


def _check_special(special: Sequence[str]) -> None:
    words = not isinstance(special, str) and all(isinstance(token, str) and token for token in special)
    if not words or len({*special}) != len(special):
        raise ArgumentError(f"special: expected distinct tokens such as ({PAD!r},), got {special!r}")


def _check_size(size: int, least: int) -> None:
    if not isinstance(size, int) or size < least:
        raise ArgumentError(f"vocabulary_size: expected at least {least}, bytes and special tokens, got {size!r}")
