"""Parallel text: pairs that say the same, chosen, split, and as an encoder and decoder learn from them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from portml.backends import Array, Backend, get_backend
from portml.data.text.padding import SequenceDataset, pad_sequences
from portml.data.text.vocabulary import split_words
from portml.errors import ArgumentError, DataError, RangeError, ShapeError

__all__ = ["ParallelDataset", "distinct_messages", "split_by_message"]

HostArray = np.ndarray[Any, Any]
Pairs = list[tuple[str, str]]


def distinct_messages(pairs: Iterable[tuple[str, str]], *, longest: int = 60) -> Pairs:
    """What can be learnt from: messages of one line, in the order they come, each with its first translation alone.

    Left out are those without a letter, those whose translation is the message itself (nobody translated it), and
    those of more than `longest` characters in either language.  White space at both ends is taken away.

    >>> distinct_messages([("Open ", "Abrir"), ("Open", "Abierto"), ("OK", "OK"), ("%d", "%d ")])
    [('Open', 'Abrir')]
    """
    if longest < 1:
        raise ArgumentError(f"longest: expected a number of characters of at least 1, got {longest}")
    chosen: dict[str, str] = {}
    for message, translation in pairs:
        source, target = message.strip(), translation.strip()
        lettered = any(map(str.isalpha, source)) and any(map(str.isalpha, target))
        short = max(len(source), len(target)) <= longest and "\n" not in source + target
        if lettered and short and source != target:
            chosen.setdefault(source, target)
    return [*chosen.items()]


def split_by_message(pairs: Iterable[tuple[str, str]], *, parts: int = 20) -> tuple[Pairs, Pairs, Pairs]:
    """Pairs to learn from, to choose settings by and to test with; one part of `parts` each for the last two.

    The part of a message is that of its words (a checksum of them): messages that differ in capital letters,
    punctuation or white space alone, "Save" and "Save…", are together, and no other message can move one.

    Raises
    ------
    ArgumentError
        If `parts` is below 3.
    """
    if parts < 3:
        raise ArgumentError(f"parts: expected at least 3, one of them to learn from, got {parts}")
    split: tuple[Pairs, Pairs, Pairs] = ([], [], [])
    for pair in pairs:
        words = " ".join(word for word in split_words(pair[0]) if word[0].isalnum())
        part = zlib.crc32(words.encode()) % parts
        split[1 if part == 0 else 2 if part == 1 else 0].append(pair)
    return split


class ParallelDataset:
    """Sources and their targets; a batch is padded to the longest of either that is in it.

    Parameters
    ----------
    sources, targets : sequences of arrays or lists, each (n_steps,)
        Numbers of symbols; at least one each.
    start, stop : int
        The symbols that begin and end every target; they are added here.
    padding : int
        What fills.

    Raises
    ------
    DataError
        If there is no pair, or a sequence is empty.
    ShapeError
        If there are not as many targets as sources.
    RangeError
        If two of `start`, `stop` and `padding` are one symbol, or a sequence contains one of them.

    Attributes
    ----------
    lengths : array of int64, (n_pairs,)
        Symbols of source and target together: what a `BucketLoader` sorts by.

    Notes
    -----
    ``dataset[positions]`` is ``(sources (n, S), read (n, T), expected (n, T))``, on the host: the decoder reads
    `start` and the target, and at each place is expected to say the symbol that comes next, at the end `stop`.

    Examples
    --------
    >>> pairs = ParallelDataset([[5, 6], [7]], [[8], [9, 9]], start=1, stop=2)
    >>> [batch.tolist() for batch in pairs[:]]
    [[[5, 6], [7, 0]], [[1, 8, 0], [1, 9, 9]], [[8, 2, 0], [9, 9, 2]]]
    """

    def __init__(
        self, sources: Sequence[Any], targets: Sequence[Any], *, start: int, stop: int, padding: int = 0
    ) -> None:
        if len(sources) != len(targets):
            raise ShapeError(f"targets: expected one for each of {len(sources)} sources, got {len(targets)}")
        self.start, self.stop, self.padding = start, stop, padding
        if len({start, stop, padding}) < 3:
            raise RangeError(f"start, stop, padding: expected three symbols, got {start}, {stop} and {padding}")
        self.sources, self.targets = self._rows("sources", sources), self._rows("targets", targets)
        self.lengths = np.array(
            [len(source) + len(target) for source, target in zip(self.sources, self.targets, strict=True)], np.int64
        )

    @property
    def backend(self) -> Backend:
        """The host."""
        return get_backend("numpy")

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: Any, /) -> tuple[Array, ...]:
        """Sources, what the decoder reads and what it should say, at a slice or at positions (n_chosen,)."""
        positions = self._positions(index)
        sources, _ = pad_sequences([self.sources[i] for i in positions], value=self.padding)
        read, _ = pad_sequences([np.append(self.start, self.targets[i]) for i in positions], value=self.padding)
        expected, _ = pad_sequences([np.append(self.targets[i], self.stop) for i in positions], value=self.padding)
        return sources, read, expected

    def _rows(self, name: str, sequences: Sequence[Any]) -> list[HostArray]:
        try:
            rows = SequenceDataset(sequences, np.zeros(len(sequences))).sequences
        except DataError as error:
            raise DataError(str(error).replace("sequences", name)) from error
        for number, row in enumerate(rows):
            for symbol in (self.start, self.stop, self.padding):
                if (row == symbol).any():
                    raise RangeError(
                        f"{name}: number {number} contains {symbol}, which begins, ends or fills sequences"
                    )
        return rows

    def _positions(self, index: Any) -> HostArray:
        positions = np.arange(len(self))[index] if isinstance(index, slice) else np.atleast_1d(np.asarray(index))
        if positions.size and not (positions.min() >= 0 and positions.max() < len(self)):
            raise RangeError(f"index: expected positions in 0..{len(self) - 1}, got {positions.tolist()[:8]}")
        return positions
