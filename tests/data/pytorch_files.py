"""Archives as PyTorch writes them, put together by hand instruction by instruction, so that they may also be wrong."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "MARK",
    "START",
    "STOP",
    "archive",
    "called",
    "dictionary",
    "named",
    "nested",
    "number",
    "saved",
    "storage",
    "tensor",
    "text",
    "tuple_of",
]

START, STOP, MARK, EMPTY = b"\x80\x02", b".", b"(", b"}"
STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
    "complex64": "ComplexFloatStorage",
    "bfloat16": "BFloat16Storage",
}


def text(value: str) -> bytes:
    """Push a string."""
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def number(value: int) -> bytes:
    """Push an integer."""
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def named(module: str, name: str) -> bytes:
    """Push a global."""
    return f"c{module}\n{name}\n".encode()


def tuple_of(*parts: bytes) -> bytes:
    """Push a tuple."""
    return MARK + b"".join(parts) + b"t"


def called(function: bytes, *arguments: bytes) -> bytes:
    """Call a function and push what it returns."""
    return function + tuple_of(*arguments) + b"R"


def storage(kind: str, key: str, size: int) -> bytes:
    """Push a storage by its persistent identifier."""
    return tuple_of(text("storage"), named("torch", kind), text(key), text("cpu"), number(size)) + b"Q"


def tensor(kind: str, key: str, size: int, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> bytes:
    """Push a tensor: a view into a storage of `size` numbers."""
    return called(
        named("torch._utils", "_rebuild_tensor_v2"),
        storage(kind, key, size),
        number(offset),
        tuple_of(*map(number, shape)),
        tuple_of(*map(number, strides)),
        b"\x89",
        called(named("collections", "OrderedDict")),
    )


def dictionary(**entries: bytes) -> bytes:
    """Push an ordered dictionary."""
    items = b"".join(text(name) + value for name, value in entries.items())
    return called(named("collections", "OrderedDict")) + MARK + items + b"u"


def archive(
    path: Path,
    program: bytes,
    storages: Mapping[str, bytes] | None = None,
    *,
    folder: str = "model",
    compression: int = zipfile.ZIP_STORED,
    more: Mapping[str, bytes] | None = None,
) -> Path:
    """Write the zip archive of a pickle and its storages."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr(f"{folder}/data.pkl", program)
        file.writestr(f"{folder}/byteorder", b"little")
        for key, content in (storages or {}).items():
            file.writestr(f"{folder}/data/{key}", content)
        file.writestr(f"{folder}/version", b"3\n")
        for name, content in (more or {}).items():
            file.writestr(name, content)
    return path


def nested(path: Path, program: bytes, n_files: int, payload: bytes) -> Path:
    """An archive whose storages lie in each other: the content of each is all of the next, with its header.

    [Fifield 2019, A better zip bomb, section "the overlapping files idea"; here without compression]
    """
    body, entries = payload, []
    for key in reversed(range(n_files)):
        name = f"model/data/{key}".encode()
        sizes = struct.pack("<IIIHH", zlib.crc32(body), len(body), len(body), len(name), 0)
        body = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 0, 0, 33) + sizes + name + body
        entries.append((name, sizes, len(body)))
    name, crc = b"model/data.pkl", zlib.crc32(program)
    sizes = struct.pack("<IIIHH", crc, len(program), len(program), len(name), 0)
    end = len(body)
    body += b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 0, 0, 33) + sizes + name + program
    places = [(name, sizes, end - length) for name, sizes, length in entries] + [(name, sizes, end)]
    directory = b"".join(
        b"PK\x01\x02"
        + struct.pack("<HHHHHH", 20, 20, 0, 0, 0, 33)
        + sizes
        + struct.pack("<HHHII", 0, 0, 0, 0, place)
        + name
        for name, sizes, place in places
    )
    count = len(places)
    last = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    path.write_bytes(body + directory + last)
    return path


def saved(path: Path, **arrays: np.ndarray[Any, Any]) -> Path:
    """What ``torch.save`` would make of a state dictionary of contiguous tensors."""
    entries, storages = {}, {}
    for key, (name, array) in enumerate(arrays.items()):
        strides = tuple(step // array.itemsize for step in array.strides)
        entries[name] = tensor(STORAGES[str(array.dtype)], str(key), array.size, array.shape, strides)
        storages[str(key)] = array.tobytes()
    return archive(path, START + dictionary(**entries) + STOP, storages)
