from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portml.backends import Backend, to_numpy
from portml.errors import CheckpointError, WriteError
from portml.train import files
from portml.train.files import read_arrays, read_json, remove_partial_files, write_arrays, write_bytes, write_json


def refusing(code: int) -> Any:
    def refuse(*arguments: Any) -> None:
        raise OSError(code, os.strerror(code))

    return refuse


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_disk_that_fails_leaves_what_was_there_and_nothing_else(
    call: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bytes(tmp_path / "file", b"before")
    with monkeypatch.context() as patched:
        patched.setattr(files.os, call, refusing(code))
        with pytest.raises(WriteError, match=rf"file could not be written: {os.strerror(code)}; .*untouched"):
            write_bytes(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_in_the_midst_of_the_content_leaves_what_was_there(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"before")
    code = (
        "import resource, sys\n"
        "from portml.errors import WriteError\n"
        "from portml.train.files import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try:\n"
        "    write_bytes(sys.argv[1], bytes(50_000))\n"
        "except WriteError as error:\n"
        "    print(error)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "file")], capture_output=True, text=True, check=True
    )
    assert "file could not be written: File too large" in process.stdout
    assert (tmp_path / "file").read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_interrupt_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="inside could not be written"):
        write_bytes(tmp_path / "file" / "inside", b"")


def test_a_file_has_the_rights_that_the_process_gives_its_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = write_bytes(tmp_path / "file", b"")
    (tmp_path / ".file.0123abcd.partial").write_bytes(b"half")
    remove_partial_files(tmp_path)
    assert list(tmp_path.iterdir()) == [kept]


def test_arrays_of_any_layout_come_back_bit_for_bit(backend: Backend, tmp_path: Path) -> None:
    xp = backend.xp
    matrix = xp.reshape(xp.arange(12, dtype=xp.float32, device=backend.device), (3, 4))
    arrays = {
        "whole": matrix,
        "transposed": matrix.T,
        "sliced": matrix[:, ::2],
        "broadcast": xp.broadcast_to(matrix[:1, :], (5, 4)),
        "scalar": xp.asarray(0.1, dtype=xp.float64, device=backend.device),
        "empty": xp.zeros((0, 3), device=backend.device),
    }
    read, metadata = read_arrays(write_arrays(tmp_path / "file", arrays, {"answer": 42, "tiny": 5e-324}))
    assert metadata == {"answer": 42, "tiny": 5e-324}
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], to_numpy(array), strict=True)


def test_numbers_of_numpy_are_numbers_in_the_metadata(tmp_path: Path) -> None:
    _, metadata = read_arrays(write_arrays(tmp_path / "file", {}, {"lr": np.float32(0.5), "n": np.int64(3)}))
    assert metadata == {"lr": 0.5, "n": 3}


def test_a_file_cut_anywhere_is_refused_and_named(tmp_path: Path) -> None:
    path = write_arrays(tmp_path / "file", {"x": np.arange(100.0)}, {"a": 1})
    content = path.read_bytes()
    for length in (0, 4, 8, 50, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="file: expected a whole safetensors file, got one"):
            read_arrays(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04 a zip file", b"\x80\x02 a pickle", b"text" * 100])
def test_a_foreign_file_is_refused_and_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CheckpointError, match="file: expected a whole safetensors file"):
        read_arrays(tmp_path / "file")


def test_a_missing_file_and_a_folder_are_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none: .* there is none"):
        read_arrays(tmp_path / "none")
    with pytest.raises(CheckpointError, match="expected a whole safetensors file"):
        read_arrays(tmp_path)


def test_json_comes_back_and_anything_else_is_refused(tmp_path: Path) -> None:
    path = write_json(tmp_path / "file", {"a": [1, 2.5, None, "ü"]})
    assert read_json(path) == {"a": [1, 2.5, None, "ü"]} == json.loads(path.read_text(encoding="utf-8"))
    path.write_text("{")
    with pytest.raises(CheckpointError, match="file: expected a JSON file"):
        read_json(path)
    with pytest.raises(CheckpointError, match="there is none"):
        read_json(tmp_path / "none")
