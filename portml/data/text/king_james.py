"""The King James Bible as Debian's package ``bible-kjv-text`` ships it: verses with book, chapter and testament.

The file ``bible.data`` holds the text in windows of 64 KiB, each compressed by itself so that a reader of old could
jump to a verse.  Its head is a name of 80 bytes, then big-endian integers: a zero, the size of a window, their number
n, and n + 1 places where windows begin and end; after these stand the three bytes by which ``compress`` knows its own.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import NamedTuple

from portml.data.text.lzw import decompress
from portml.errors import DataError

__all__ = ["Verse", "read_king_james"]

_DEBIAN = "/usr/lib/bible.data"
_MAGIC = b"EC02"
_HEAD = 0x5C
_LARGEST = 1 << 20
_VERSE = re.compile(r"([0-9]?[A-Za-z]+)([0-9]+):([0-9]+) (.*)")

_OLD = (
    "Ge Genesis, Exo Exodus, Lev Leviticus, Num Numbers, Deu Deuteronomy, Josh Joshua, Jdgs Judges, Ruth Ruth, "
    "1Sm 1 Samuel, 2Sm 2 Samuel, 1Ki 1 Kings, 2Ki 2 Kings, 1Chr 1 Chronicles, 2Chr 2 Chronicles, Ezra Ezra, "
    "Neh Nehemiah, Est Esther, Job Job, Psa Psalms, Prv Proverbs, Eccl Ecclesiastes, SSol Song of Solomon, Isa Isaiah, "
    "Jer Jeremiah, Lam Lamentations, Eze Ezekiel, Dan Daniel, Hos Hosea, Joel Joel, Amos Amos, Obad Obadiah, "
    "Jonah Jonah, Mic Micah, Nahum Nahum, Hab Habakkuk, Zep Zephaniah, Hag Haggai, Zec Zechariah, Mal Malachi"
)
_NEW = (
    "Mat Matthew, Mark Mark, Luke Luke, John John, Acts Acts, Rom Romans, 1Cor 1 Corinthians, 2Cor 2 Corinthians, "
    "Gal Galatians, Eph Ephesians, Phi Philippians, Col Colossians, 1Th 1 Thessalonians, 2Th 2 Thessalonians, "
    "1Tim 1 Timothy, 2Tim 2 Timothy, Titus Titus, Phmn Philemon, Heb Hebrews, Jas James, 1Pet 1 Peter, 2Pet 2 Peter, "
    "1Jn 1 John, 2Jn 2 John, 3Jn 3 John, Jude Jude, Rev Revelation"
)


def _books(testament: str, listed: str) -> dict[str, tuple[str, str]]:
    entries = (entry.partition(" ") for entry in listed.split(", "))
    return {short: (testament, name) for short, _, name in entries}


# Testament and full name by the abbreviation in the file.
_BOOKS = _books("old", _OLD) | _books("new", _NEW)


class Verse(NamedTuple):
    """One verse.

    Attributes
    ----------
    testament : str
        "old" or "new".
    book : str
        Such as "Genesis" or "1 Corinthians".
    chapter, number : int
        From 1.
    text : str
    """

    testament: str
    book: str
    chapter: int
    number: int
    text: str


def read_king_james(path: str | Path = _DEBIAN) -> list[Verse]:
    """Every verse of the King James Bible, in order.

    Parameters
    ----------
    path : path
        The file ``bible.data`` of Debian's package ``bible-kjv-text`` (``apt install bible-kjv-text`` puts it where the
        default says), or the same text in plain lines such as ``Ge1:1 In the beginning ...``.

    Returns
    -------
    list of Verse
        31102 of them in the whole file.

    Raises
    ------
    DataError
        If there is no such file, it is damaged, or a line is no verse.

    Notes
    -----
    Decompressing takes a second.  To measure on text that training has not seen, part it by chapter: neighbouring
    verses tell the same story.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(
            f"path: {str(path)!r} cannot be read ({error.strerror}); Debian's package bible-kjv-text brings it, or "
            "give the path of a file of lines such as 'Ge1:1 In the beginning'"
        ) from error
    if content[:4] == _MAGIC:
        content = _decompressed(content, path)
    try:
        lines = content.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"path: {str(path)!r} holds no verses in ASCII ({error}); expected bible.data") from error
    if lines and not _VERSE.fullmatch(lines[0]):
        del lines[0]  # the title
    if not lines:
        raise DataError(f"path: {str(path)!r} holds no verses")
    return [_verse(line, path) for line in lines]


def _verse(line: str, path: str | Path) -> Verse:
    found = _VERSE.fullmatch(line)
    if found is None or found[1] not in _BOOKS:
        raise DataError(f"path: in {str(path)!r} expected a verse such as 'Ge1:1 In the beginning', got {line[:40]!r}")
    return Verse(*_BOOKS[found[1]], int(found[2]), int(found[3]), found[4])


def _decompressed(content: bytes, path: str | Path) -> bytes:
    try:
        _, size, n_windows = struct.unpack_from(">III", content, _HEAD - 12)
        if size > _LARGEST or n_windows > len(content):
            raise DataError(f"a window of {size} bytes, {n_windows} times, is more than such a file holds")
        places = struct.unpack_from(f">{n_windows + 1}I", content, _HEAD)
        if list(places) != sorted(places) or places[-1] > len(content):
            raise DataError(f"its windows end at {places[-1]}, the file at {len(content)}")
        windows = [decompress(content[places[i] : places[i + 1]]) for i in range(n_windows)]
        wrong = next((i for i, window in enumerate(windows[:-1]) if len(window) != size), None)
        if wrong is not None:
            raise DataError(f"window {wrong} has {len(windows[wrong])} bytes, not {size}")
    except (DataError, struct.error) as error:
        raise DataError(f"path: {str(path)!r} is damaged: {error}; install the package again") from error
    return b"".join(windows)
