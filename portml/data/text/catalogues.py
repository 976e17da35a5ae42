"""Catalogues of gettext as parallel text: what a program says, in English and in another language.

Many packages ship them (``.../locale/<language>/LC_MESSAGES/*.mo``), translated by people, a sentence at a time.
"""

from __future__ import annotations

import ast
import struct
from collections.abc import Iterator
from pathlib import Path

from portml.errors import DataError

__all__ = ["read_catalogue", "read_catalogues"]

Pairs = list[tuple[str, str]]
_MAGIC = 0x950412DE
# What parts a context from its message, and the singular from the plural, in a compiled catalogue.
_CONTEXT, _FORMS = "\x04", "\x00"


def read_catalogue(path: str | Path) -> Pairs:
    """Messages and their translations from one ``.mo`` or ``.po`` file.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of (str, str)
        In the order of the file.  The header and what is not translated or marked fuzzy are left out; a message with
        plural forms gives two pairs, the singular with the first form and the plural with the last.

    Raises
    ------
    DataError
        If the file is missing or malformed, or its text not in the encoding that it declares.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"path: {str(path)!r} cannot be read ({error.strerror})") from error
    try:
        entries = list(_compiled(content) if path.suffix != ".po" else _written(content))
    except (ValueError, SyntaxError, struct.error, LookupError) as error:
        raise DataError(f"path: {str(path)!r} is no whole catalogue of gettext ({error})") from error
    return [pair for message, translation in entries for pair in _pairs(message, translation)]


def read_catalogues(folder: str | Path, language: str) -> Pairs:
    """The messages of every catalogue of a language below a folder, each pair once.

    Parameters
    ----------
    folder : path
        Such as ``/usr/share/locale``; every ``<language>/LC_MESSAGES/*.mo`` and ``*.po`` in it is read, in the order
        of the names.
    language : str
        Such as "de" or "pt_BR".

    Raises
    ------
    DataError
        If there is none.
    """
    files = [*Path(folder).rglob(f"{language}/LC_MESSAGES/*.[mp]o")]
    if not files:
        raise DataError(f"folder: {str(folder)!r} has no {language}/LC_MESSAGES/*.mo; Debian packages ship them")
    return [*dict.fromkeys(pair for file in sorted(files) for pair in read_catalogue(file))]


def _pairs(message: str, translation: str) -> Iterator[tuple[str, str]]:
    forms, translated = message.rpartition(_CONTEXT)[2].split(_FORMS), translation.split(_FORMS)
    if forms[0] and translated[0]:
        yield forms[0], translated[0]
    if len(forms) > 1 and len(translated) > 1 and translated[-1]:
        yield forms[1], translated[-1]


def _compiled(content: bytes) -> Iterator[tuple[str, str]]:
    """Messages of a ``.mo`` file: two tables of lengths and places, of messages and of translations."""
    order = "<" if content[:4] == struct.pack("<I", _MAGIC) else ">"
    magic, version, count, messages, translations = struct.unpack_from(f"{order}5I", content)
    if magic != _MAGIC or version >> 16 > 1:
        raise ValueError("it does not begin as one")
    if max(messages, translations) + 8 * count > len(content):
        raise ValueError(f"its tables of {count} entries end behind the file")
    raw = [(_string(content, order, messages, i), _string(content, order, translations, i)) for i in range(count)]
    charset = _charset(next((translation for message, translation in raw if not message), b""))
    return ((message.decode(charset), translation.decode(charset)) for message, translation in raw)


def _string(content: bytes, order: str, table: int, i: int) -> bytes:
    length, place = struct.unpack_from(f"{order}2I", content, table + 8 * i)
    if place + length > len(content):
        raise ValueError(f"entry {i} ends at {place + length}, the file at {len(content)}")
    return content[place : place + length]


def _charset(header: bytes) -> str:
    for line in header.split(b"\n"):
        if line.lower().startswith(b"content-type:") and b"charset=" in line:
            charset = line.partition(b"charset=")[2].strip().decode("ascii")
            return "utf-8" if charset == "CHARSET" else charset  # nobody filled in the form
    return "utf-8"


def _written(content: bytes) -> Iterator[tuple[str, str]]:
    """Messages of a ``.po`` file: blocks of keywords and quoted strings, with comments before."""
    charset = _charset(b"\n".join(line.strip(b'"\\n') for line in content.splitlines()[:60]))
    entry: dict[str, str] = {}
    keyword, fuzzy = "", False
    # `str.splitlines` would also end lines at marks that stand inside of messages.
    for line in [*content.decode(charset).split("\n"), 'msgid ""']:
        stripped = line.strip()
        word, _, quoted = stripped.partition(" ")
        if stripped.startswith("#"):
            if "msgstr" in "".join(entry):  # comments stand before their entry
                yield from _entry(entry, fuzzy)
                entry, fuzzy = {}, False
            fuzzy = fuzzy or (stripped.startswith("#,") and "fuzzy" in stripped)
        elif stripped.startswith('"'):
            entry[keyword] += _unquoted(stripped)
        elif stripped:
            if word in ("msgid", "msgctxt") and "msgstr" in "".join(entry):
                yield from _entry(entry, fuzzy)
                entry, fuzzy = {}, False
            if not word.startswith("msg"):
                raise ValueError(f"expected msgid or msgstr, got {stripped[:40]!r}")
            keyword = word
            entry[keyword] = _unquoted(quoted.strip())


def _entry(entry: dict[str, str], fuzzy: bool) -> Iterator[tuple[str, str]]:
    forms = [text for word, text in entry.items() if word.startswith("msgstr")]
    if not fuzzy and entry.get("msgid"):
        plural = [entry["msgid_plural"]] if "msgid_plural" in entry else []
        yield _FORMS.join([entry["msgid"], *plural]), _FORMS.join(forms)


def _unquoted(quoted: str) -> str:
    """A C string, whose escapes are Python's too."""
    if len(quoted) < 2 or quoted[0] != '"' or quoted[-1] != '"':
        raise ValueError(f"expected a string in quotes, got {quoted[:40]!r}")
    text = ast.literal_eval(quoted)
    assert isinstance(text, str)
    return text
