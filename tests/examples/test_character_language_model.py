"""The character language model trains, writes, and refuses what it cannot read."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portml.errors import DataError, ShapeError

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_character_language_model.py"
VERSES = ("In the beginning was the word,", "and the word was with them;", "the same was in the beginning.")


@pytest.fixture(scope="module")
def run() -> Callable[..., Any]:
    return runpy.run_path(str(EXAMPLE))["main"]  # type: ignore[no-any-return]


@pytest.fixture
def text(tmp_path: Path) -> str:
    """Forty chapters of three verses each."""
    return written(tmp_path / "verses.txt", 40)


def written(path: Path, n_chapters: int) -> str:
    lines = (f"Ge{chapter}:{n} {verse}" for chapter in range(1, n_chapters + 1) for n, verse in enumerate(VERSES, 1))
    path.write_text("\n".join(lines))
    return str(path)


@pytest.mark.parametrize("model", ["lstm", "gpt"])
def test_the_model_learns_and_writes(
    model: str, run: Callable[..., Any], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bits = run(model, "numpy", 0, 40, quick=True, text=text, prompt="the same", figure=tmp_path / "curve.png")
    said, _, wrote = capsys.readouterr().out.partition("bits per character\n\n")
    curve = [float(line.split()[3]) for line in said.splitlines() if line.startswith("step")]
    last = curve[-1]
    assert last < curve[0]
    assert bits < last + 1e-3  # one text over and over: the test is what the validation was
    assert wrote.startswith("the same")
    assert len(wrote) == len("the same") + 40 + 1
    assert (tmp_path / "curve.png").stat().st_size > 5_000


@pytest.mark.parametrize(
    ("prompt", "n_chapters", "error", "message"),
    [
        ("", 40, ShapeError, "prompt: it is empty"),
        ("the word?", 40, DataError, r"text: '\?' is not among the \d+ tokens"),
        ("the", 9, DataError, "ids: expected more than 32 tokens"),
    ],
)
def test_what_cannot_be_read_is_refused(
    prompt: str, n_chapters: int, error: type[Exception], message: str, run: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        run("gpt", "numpy", 0, 2, quick=True, text=written(tmp_path / "verses.txt", n_chapters), prompt=prompt)
