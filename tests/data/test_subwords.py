"""Without the library `tokenizers` everything but subwords works, and the error says how to get it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portml.data.text import SubwordTokenizer, train_byte_level_bpe, train_word_piece
from portml.errors import MissingDependencyError


@pytest.mark.parametrize(
    "call",
    [
        lambda path: train_byte_level_bpe(["text"], 300),
        lambda path: train_word_piece(["text"], 300),
        lambda path: SubwordTokenizer.load(path),
    ],
    ids=["byte-level BPE", "WordPiece", "load"],
)
def test_without_the_library_the_error_says_how_to_install_it(
    call: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingDependencyError, match=r'not installed: pip install "portml\[text\]"'):
        call(tmp_path / "tokenizer.json")


def test_importing_the_room_does_not_import_the_library() -> None:
    code = "import sys, portml.data.text; sys.exit('tokenizers' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
