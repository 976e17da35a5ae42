"""Vocabularies: the numbers that stand for tokens, and tokenizers of characters and of words.

A model reads numbers.  The coarser the tokens, the shorter the sequence and the longer the table of embeddings: a
character level has a hundred entries and long sequences, a word level the reverse, and words it never saw.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from portml.backends import to_numpy
from portml.errors import ArgumentError, DataError, DtypeError, RangeError, WriteError

__all__ = ["PAD", "UNKNOWN", "CharacterTokenizer", "Vocabulary", "WordTokenizer", "split_words"]

PAD, UNKNOWN = "<PAD>", "<UNK>"
HostArray = np.ndarray[Any, Any]
Self = TypeVar("Self", bound="Vocabulary")
_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


def split_words(text: str) -> list[str]:
    """Words in small letters and single marks of punctuation; an apostrophe inside a word stays in it.

    >>> split_words("The man's son, said he.")
    ['the', "man's", 'son', ',', 'said', 'he', '.']
    """
    return _WORD.findall(text.lower())


class Vocabulary:
    """Tokens and their numbers.

    Parameters
    ----------
    tokens : sequence of str
        All that are no special ones, in the order of their numbers.
    special : sequence of str
        Tokens that no text contains, such as ``"<PAD>"``; they have the first numbers, 0, 1, ...

    Raises
    ------
    ArgumentError
        If a token comes twice, or is no string.
    """

    joint = " "

    def __init__(self, tokens: Sequence[str], *, special: Sequence[str] = (PAD, UNKNOWN)) -> None:
        if isinstance(special, str):
            raise ArgumentError(f"special: expected several tokens, got the string {special!r}; write ({special!r},)")
        self.special = tuple(special)
        self.tokens = (*self.special, *tokens)
        self._ids: dict[str, int] = {}
        for number, token in enumerate(self.tokens):
            if not isinstance(token, str) or not token:
                raise ArgumentError(f"tokens: expected words or characters, got {token!r}")
            if self._ids.setdefault(token, number) != number:
                raise ArgumentError(f"tokens: {token!r} comes twice; each token has one number")

    def split(self, text: str) -> Sequence[str]:
        """The tokens of a text; every subclass says it."""
        raise ArgumentError(f"{type(self).__name__} does not say how it splits a text")

    def encode(self, text: str) -> HostArray:
        """The numbers of a text's tokens.

        Parameters
        ----------
        text : str

        Returns
        -------
        array of int64, (n_tokens,)

        Raises
        ------
        DataError
            If a token is unknown and there is no ``"<UNK>"`` for it.
        """
        if not isinstance(text, str):
            raise DtypeError(f"text: expected a string, got a {type(text).__name__}")
        unknown = self._ids.get(UNKNOWN) if UNKNOWN in self.special else None
        n_special = len(self.special)
        numbers = []
        for token in self.split(text):
            number = self._ids.get(token, -1)
            if number < n_special:  # no text can say a special token
                if unknown is None:
                    raise DataError(
                        f"text: {token!r} is not among the {len(self)} tokens; build the vocabulary from more text, or "
                        f"with {UNKNOWN!r} among its special tokens"
                    )
                number = unknown
            numbers.append(number)
        return np.array(numbers, dtype=np.int64)

    def decode(self, ids: Any, *, skip_special: bool = True) -> str:
        """The text of some numbers.

        Parameters
        ----------
        ids : array or sequence of integers, (n_tokens,)
        skip_special : bool
            Leave special tokens out.

        Raises
        ------
        RangeError
            If a number is none of a token.
        DtypeError
            If they are no integers, or not in one row.
        """
        first = len(self.special) if skip_special else 0
        numbers = _integers(ids)
        outside = [number for number in numbers if not 0 <= number < len(self)]
        if outside:
            raise RangeError(f"ids: expected numbers in 0..{len(self) - 1}, got {outside[0]}")
        return self.joint.join(self.tokens[number] for number in numbers if number >= first)

    def id_of(self, token: str) -> int:
        """The number of a token, special ones included.  Raises RangeError if there is none."""
        if token not in self._ids:
            raise RangeError(f"token: {token!r} is not among the {len(self)} tokens")
        return self._ids[token]

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash((type(self), self.tokens))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} tokens>"

    def save(self, path: str | Path) -> Path:
        """Write the vocabulary as JSON, atomically.  Raises WriteError if the place cannot be written."""
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            partial.write_text(json.dumps(self._content(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            os.replace(partial, path)
        except OSError as error:
            raise WriteError(f"path: {path} could not be written: {error.strerror or error}") from error
        finally:
            partial.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls: type[Self], path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If the file is missing, damaged, or of another kind of tokenizer.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if not isinstance(content, dict) or content.pop("kind") != cls.__name__:
                raise DataError(f"path: expected a {cls.__name__} in {str(path)!r}")
            return cls(content.pop("tokens"), **content)
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"path: expected a {cls.__name__} in {str(path)!r}, got what cannot be read ({error})"
            ) from (error)

    def _content(self) -> dict[str, Any]:
        """What a file holds: the kind, the tokens, and the other arguments of the constructor."""
        return {"kind": type(self).__name__, "special": [*self.special], "tokens": [*self.tokens[len(self.special) :]]}


class CharacterTokenizer(Vocabulary):
    """Every character is a token.

    Parameters
    ----------
    tokens : sequence of str, or str
        The characters.
    special : sequence of str

    Examples
    --------
    >>> tokenizer = CharacterTokenizer.from_text("hello", special=())
    >>> tokenizer.encode("hole").tolist()
    [1, 3, 2, 0]
    >>> tokenizer.decode([1, 0, 2, 2, 3])
    'hello'
    """

    joint = ""

    def __init__(self, tokens: Sequence[str], *, special: Sequence[str] = (PAD, UNKNOWN)) -> None:
        super().__init__(tokens, special=special)
        long = [token for token in self.tokens[len(self.special) :] if len(token) != 1]
        if long:
            raise ArgumentError(f"tokens: expected single characters, got {long[0]!r}")

    @classmethod
    def from_text(cls, text: str, *, special: Sequence[str] = (PAD, UNKNOWN)) -> CharacterTokenizer:
        """The characters of a text, in the order of Unicode; those of single-character special tokens left out."""
        if not isinstance(text, str):
            raise DtypeError(f"text: expected a string, got a {type(text).__name__}")
        return cls(sorted(set(text) - set(special)), special=special)

    def split(self, text: str) -> Sequence[str]:
        """The characters."""
        return text


class WordTokenizer(Vocabulary):
    """Every word is a token; ``<PAD>`` is 0 and words that were not seen are ``<UNK>``, 1.

    Parameters
    ----------
    tokens : sequence of str
    special : sequence of str
    split : callable, optional
        Text to words, `split_words` by default.  It is not saved: give `load` 's result the same attribute again.

    Examples
    --------
    >>> tokenizer = WordTokenizer.from_texts(["the cat sat", "the dog"])
    >>> tokenizer.encode("the dog ran").tolist()
    [2, 4, 1]
    """

    def __init__(
        self,
        tokens: Sequence[str],
        *,
        special: Sequence[str] = (PAD, UNKNOWN),
        split: Callable[[str], Sequence[str]] = split_words,
    ) -> None:
        super().__init__(tokens, special=special)
        if PAD in self._ids and self._ids[PAD] != 0:
            raise ArgumentError(f"special: expected {PAD!r} first, so that it is 0, got {tuple(special)}")
        self._split = split

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        *,
        minimum_count: int = 1,
        maximum_size: int | None = None,
        special: Sequence[str] = (PAD, UNKNOWN),
        split: Callable[[str], Sequence[str]] = split_words,
    ) -> WordTokenizer:
        """The words of some texts, frequent ones first and those of equal counts by the alphabet.

        Parameters
        ----------
        texts : iterable of str
            Those of training alone: what a vocabulary was built from, it has seen.
        minimum_count : int
            Rarer words are left out.
        maximum_size : int, optional
            Number of tokens at most, special ones included.
        special, split
            As in the constructor.
        """
        if isinstance(texts, str):
            raise ArgumentError("texts: expected several texts, got one string; write [text]")
        if maximum_size is not None and maximum_size <= len(special):
            raise ArgumentError(
                f"maximum_size: expected more than the {len(special)} special tokens, got {maximum_size}"
            )
        counts = Counter(word for text in texts for word in split(text))
        ranked = sorted((-count, word) for word, count in counts.items() if count >= minimum_count)
        words = [word for _, word in ranked if word not in special]
        return cls(words[: None if maximum_size is None else maximum_size - len(special)], special=special, split=split)

    def split(self, text: str) -> Sequence[str]:
        """The words."""
        return self._split(text)


def _integers(ids: Any) -> list[int]:
    """Numbers of an array of any backend, or of a sequence, in one row."""
    array = np.asarray(to_numpy(ids) if hasattr(ids, "dtype") else ids)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise DtypeError(f"ids: expected integers of shape (n_tokens,), got {array.dtype} of shape {array.shape}")
    numbers: list[int] = array.tolist()
    return numbers
