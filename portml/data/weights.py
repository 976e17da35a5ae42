"""Published weights: safetensors files, and the zip archives that PyTorch writes, read without running anything.

A ``.pth`` file is a zip archive: ``data.pkl`` is a pickle that says how tensors lie in storages, and ``data/0``,
``data/1``, ... are the storages as raw bytes.  The pickle is read by `portml.data.restricted_pickle`, which calls
nothing but the few functions here; every size is checked against what the file really holds.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from portml.data.restricted_pickle import read_pickle
from portml.errors import CheckpointError

__all__ = ["load_weights", "read_pytorch"]

HostArray = np.ndarray[Any, Any]

# NumPy's type by PyTorch's storage; NumPy has no bfloat16, whose bits are the upper half of a float32's.
_STORAGES = {
    "Double": "f8",
    "Float": "f4",
    "Half": "f2",
    "BFloat16": "bfloat16",
    "Long": "i8",
    "Int": "i4",
    "Short": "i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "?",
    "ComplexFloat": "c8",
    "ComplexDouble": "c16",
}
_STORAGE_NAMES = {f"torch.{kind}Storage": code for kind, code in _STORAGES.items()}
_SAFETENSORS = {
    "F64": "f8",
    "F32": "f4",
    "F16": "f2",
    "BF16": "bfloat16",
    "BOOL": "?",
    "C64": "c8",
    **{f"{sign}{bits}": f"{code}{bits // 8}" for sign, code in (("I", "i"), ("U", "u")) for bits in (8, 16, 32, 64)},
}
_LARGEST = 1 << 40


def load_weights(path: str | Path, entry: str | None = None) -> dict[str, HostArray]:
    """The arrays of a safetensors file or of a ``.pth`` file, by name.

    Parameters
    ----------
    path : path
        What it is, is seen from its first bytes.
    entry : str, optional
        Of a ``.pth`` file that holds more than a state dictionary: the entry that is one, such as "state_dict".

    Returns
    -------
    dict of str to NumPy array
        Those of a ``.pth`` file are read-only, and share memory where tensors shared a storage.  bfloat16 comes as
        float32, which holds every value of it.

    Raises
    ------
    CheckpointError
        If the file is missing, truncated, of the old format without zip, or holds anything but tensors in containers;
        nothing in it is executed.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise CheckpointError(f"path: {str(path)!r} cannot be read ({error.strerror})") from error
    if head == b"PK\x03\x04" or path.suffix in (".pth", ".pt"):
        return _table(read_pytorch(path), path, entry)
    if entry is not None:
        raise CheckpointError(f"entry: a safetensors file is one table of arrays, {entry!r} cannot be chosen from it")
    return _read_safetensors(path)


def read_pytorch(path: str | Path) -> Any:
    """Everything that ``torch.save`` wrote, tensors as read-only NumPy arrays.

    Returns
    -------
    object
        Dictionaries, lists, tuples, numbers, strings and arrays.

    Raises
    ------
    CheckpointError
        As in `load_weights`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(archive, Path(path).stat().st_size).read()
    except CheckpointError as error:
        raise CheckpointError(f"path: {str(path)!r} was not read: {error}") from error
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"path: {str(path)!r} was not read: {_not_a_zip(Path(path))}") from error
    except (OSError, ValueError, NotImplementedError, RuntimeError, EOFError, OverflowError) as error:
        raise CheckpointError(f"path: {str(path)!r} was not read: the archive is damaged ({error})") from error


class _Archive:
    """An open archive, and the storages that were read from it."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self.archive = archive
        self.left = size
        self.entries = {entry.filename: entry for entry in archive.infolist()}
        pickles = [name for name in self.entries if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(self.entries) != len(archive.infolist()) or len(pickles) != 1:
            raise CheckpointError("expected one data.pkl among distinct names, as torch.save writes them")
        self.folder = pickles[0].removesuffix("data.pkl")
        if any(name.startswith(f"{self.folder}code/") for name in self.entries) or self._has("constants.pkl"):
            raise CheckpointError("it is a TorchScript program; save the arrays: torch.save(model.state_dict(), path)")
        order = self._content("byteorder").strip() if self._has("byteorder") else b"little"
        if order not in (b"little", b"big"):
            raise CheckpointError(f"its byte order is {order[:20]!r}, expected little or big")
        self.order = "<" if order == b"little" else ">"
        self.storages: dict[tuple[str, str], HostArray] = {}

    def read(self) -> Any:
        """What the pickle describes."""
        names: dict[str, Any] = {
            "collections.OrderedDict": _ordered,
            "torch._utils._rebuild_tensor_v2": _rebuild,
            "torch._utils._rebuild_parameter": _rebuild_parameter,
            "torch.Size": lambda sizes=(): tuple(sizes),
            **dict.fromkeys(_STORAGE_NAMES, _refuse_call),
        }
        return read_pickle(self._content("data.pkl"), names, self._storage)

    def _storage(self, identifier: Any) -> HostArray:
        """The storage of ``("storage", type, key, place, number of elements)``, read once."""
        if not isinstance(identifier, tuple) or len(identifier) != 5 or identifier[0] != "storage":
            raise CheckpointError(f"its pickle refers to a {type(identifier).__name__}, expected a storage")
        _, kind, key, _, size = identifier
        if not isinstance(kind, str) or not isinstance(key, str) or type(size) is not int or size < 0:
            raise CheckpointError("its pickle refers to a storage without type, name or size")
        if kind not in _STORAGE_NAMES:
            raise CheckpointError(f"its pickle refers to a storage of type {kind[:60]!r}")
        if (kind, key) not in self.storages:
            if not self._has(f"data/{key}"):
                raise CheckpointError(f"storage {key!r} is missing")
            self.storages[kind, key] = _numbers(self._content(f"data/{key}"), _STORAGE_NAMES[kind], self.order)
        storage = self.storages[kind, key]
        if len(storage) < size:
            raise CheckpointError(f"storage {key!r} has {len(storage)} numbers, the pickle says {size}")
        return storage[:size]

    def _has(self, name: str) -> bool:
        return self.folder + name in self.entries

    def _content(self, name: str) -> bytes:
        entry = self.entries[self.folder + name]
        # PyTorch compresses nothing; so nothing may grow, nor all of it together be more than the file.
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise CheckpointError(f"{name} is compressed, as torch.save never does; it may be a zip bomb")
        self.left -= entry.file_size
        if self.left < 0:
            raise CheckpointError("its parts together are larger than the file; it may be a zip bomb")
        return self.archive.read(entry)


def _rebuild(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> HostArray:
    """A tensor: a view into a storage."""
    numbers = (offset, *size, *stride) if isinstance(size, tuple) and isinstance(stride, tuple) else (None,)
    if not isinstance(storage, np.ndarray) or not all(type(n) is int and 0 <= n < _LARGEST for n in numbers):
        raise CheckpointError("a tensor has sizes that are none")
    if len(size) != len(stride) or len(size) > 32:
        raise CheckpointError(f"a tensor has {len(size)} sizes and {len(stride)} strides")
    count = 1
    for each in size:
        count *= each
    if count == 0:
        return np.empty(size, dtype=storage.dtype)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if last >= len(storage):
        raise CheckpointError(f"a tensor of shape {size} does not fit into its storage of {len(storage)} numbers")
    if count > len(storage):
        # One number many times over: a few bytes that would fill a memory as soon as they are copied.
        raise CheckpointError(
            f"a tensor of shape {size} repeats its {len(storage)} numbers; save it with tensor.contiguous()"
        )
    steps = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


def _ordered(*items: Any) -> dict[Any, Any]:
    if items:
        raise CheckpointError("its pickle makes an ordered dictionary with arguments, as torch.save never does")
    return {}


def _refuse_call(*_: Any) -> None:
    raise CheckpointError("its pickle calls a type of storage, as torch.save never does")


def _numbers(content: bytes, code: str, order: str) -> HostArray:
    """Raw bytes as a row of numbers in the byte order of this machine, read-only."""
    bits = np.dtype("u2" if code == "bfloat16" else code).newbyteorder(order)  # type: ignore[arg-type]
    if len(content) % bits.itemsize:
        raise CheckpointError(f"{len(content)} bytes are no whole number of {code}")
    numbers = np.frombuffer(content, dtype=bits)
    if (order == "<") != (sys.byteorder == "little"):
        numbers = numbers.astype(bits.newbyteorder("="))
    if code == "bfloat16":
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
    numbers.flags.writeable = False
    return numbers


def _read_safetensors(path: Path) -> dict[str, HostArray]:
    from safetensors import SafetensorError, deserialize

    try:
        parts = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"path: expected a safetensors file or a zip archive of PyTorch in {str(path)!r}, got ({error})"
            + (f"; {legacy}" if (legacy := _legacy(path)) else "")
        ) from error
    arrays = {}
    for name, part in parts:
        if part["dtype"] not in _SAFETENSORS:
            raise CheckpointError(f"path: {str(path)!r} has {name} in {part['dtype']}, which NumPy cannot hold")
        arrays[name] = _numbers(bytes(part["data"]), _SAFETENSORS[part["dtype"]], "<").reshape(part["shape"])
    return arrays


def _table(content: Any, path: Path, entry: str | None) -> dict[str, HostArray]:
    """The state dictionary in what a file holds."""
    if entry is not None:
        if not isinstance(content, Mapping) or entry not in content:
            raise CheckpointError(f"entry: {str(path)!r} has no {entry!r}; it has {_described(content)}")
        content = content[entry]
    if not isinstance(content, Mapping) or not all(isinstance(each, np.ndarray) for each in content.values()):
        tables = [*_tables(content)]
        hint = f"; choose one with entry={tables[0]!r}" if tables else ""
        raise CheckpointError(f"path: expected arrays by name in {str(path)!r}, got {_described(content)}{hint}")
    return {str(name): array for name, array in content.items()}


def _tables(content: Any) -> Iterator[str]:
    for name, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(value, Mapping) and any(isinstance(each, np.ndarray) for each in value.values()):
            yield str(name)


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"entries {[str(name) for name in content][:8]}"
    return f"a {type(content).__name__}"


_LEGACY = (
    "it looks like a {}, as PyTorch wrote before version {}: reading it would run the pickle in it. Where it can be "
    "trusted, write it anew with torch.save(torch.load(path, weights_only=True), path)"
)


def _legacy(path: Path) -> str:
    """What a file of an old format is; nothing for any other."""
    with path.open("rb") as file:
        head = file.read(512)
    if head[257:262] == b"ustar":
        return _LEGACY.format("tar archive", "0.1.10")
    return _LEGACY.format("bare pickle", "1.6") if len(head) > 1 and head[0] == 0x80 and head[1] <= 5 else ""


def _not_a_zip(path: Path) -> str:
    return _legacy(path) or "it is no whole zip archive; fetch it again"
