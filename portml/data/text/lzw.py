"""Lempel–Ziv–Welch decompression, as of the files that `compress` of Unix writes.

The writer and the reader build the same table: it begins with the 256 bytes, and every code that is read adds the
string of the code before it with the first byte of the new one.  Hence the table is never written.
"""

from __future__ import annotations

from portml.errors import DataError

__all__ = ["decompress"]

_CLEAR = 256
_NARROWEST = 9


def decompress(data: bytes, *, widest: int = 16) -> bytes:
    """The bytes behind a stream of codes.

    Parameters
    ----------
    data : bytes
        Codes of 9 bits and more, the lowest bit first, without the three bytes that a ``.Z`` file begins with.  Codes
        are written in groups of eight: where their width changes, the rest of the group is empty.
    widest : int
        Bits at which codes grow no wider, and the table no longer.

    Raises
    ------
    DataError
        If a code stands there that the table cannot have.

    Notes
    -----
    [Welch 1984, A technique for high-performance data compression], with the code 256 that clears the table.
    """
    pieces: list[bytes] = []
    table = _fresh_table()
    previous = b""
    width, begun, position = _NARROWEST, 0, 0
    while position + width <= 8 * len(data):
        code = int.from_bytes(data[position >> 3 : (position >> 3) + 4], "little") >> (position & 7) & (
            (1 << width) - 1
        )
        position += width
        if code == _CLEAR:
            begun = position = _next_group(position, begun, width)
            table, previous, width = _fresh_table(), b"", _NARROWEST
            continue
        if code < len(table):
            piece = table[code]
        elif code == len(table) and previous:
            piece = previous + previous[:1]  # the string that this very code adds
        else:
            raise DataError(f"data: expected a code below {len(table)} at bit {position - width}, got {code}")
        pieces.append(piece)
        if previous and len(table) < 1 << widest:
            table.append(previous + piece[:1])
        if len(table) >= 1 << width and width < widest:
            begun = position = _next_group(position, begun, width)
            width += 1
        previous = piece
    return b"".join(pieces)


def _fresh_table() -> list[bytes]:
    return [*(bytes((byte,)) for byte in range(256)), b""]


def _next_group(position: int, begun: int, width: int) -> int:
    """The bit behind the group of eight codes that is under way, counted from where this width began."""
    group = 8 * width
    return begun + -(-(position - begun) // group) * group
