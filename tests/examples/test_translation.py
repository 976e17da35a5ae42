"""The translation example: dates it has not seen come out right; catalogues are found, split and learnt from."""

from __future__ import annotations

import dataclasses
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from portml.errors import DataError

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_translation.py"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLE))


def test_days_never_seen_are_translated(example: dict[str, Any], tmp_path: Path) -> None:
    settings = dataclasses.replace(example["SETTINGS"]["dates"], epochs=6)  # of 9, which reach 0.91 to 0.98 by the seed
    result = example["main"]("dates", settings=settings, figure=tmp_path / "attention.png")
    assert result["test"]["greedy_exact"] >= 0.8
    assert result["test"]["beam_chrf"] >= 0.92
    assert len(result["translations"]) == result["pairs"]["test"]
    assert (tmp_path / "attention.png").stat().st_size > 5_000


def test_catalogues_are_found_and_learnt_from(example: dict[str, Any], tmp_path: Path) -> None:
    verbs, nouns = (
        [("Open", "Abrir"), ("Close", "Cerrar"), ("Save", "Guardar"), ("Find", "Buscar"), ("Send", "Enviar")],
        [(f"file {i}", f"archivo {i}") for i in range(210)],
    )
    entries = [f'msgid "{verb} {noun}"\nmsgstr "{verbo} {nombre}"\n' for verb, verbo in verbs for noun, nombre in nouns]
    folder = tmp_path / "package" / "locale" / "es" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.po").write_text("\n".join(entries), encoding="utf-8")
    path, figure = tmp_path / "results" / "es.json", tmp_path / "attention.png"
    example["main"]("catalogues", catalogues=[tmp_path], quick=True, output=path, figure=figure)
    result = json.loads(path.read_text(encoding="utf-8"))
    assert sum(result["pairs"].values()) == 1050
    assert min(result["pairs"].values()) > 30
    (epoch,) = result["history"]
    assert epoch["validation_loss"] < epoch["loss"]  # what was learnt in it holds for messages it did not see
    assert 0 <= result["test"]["beam_chrf"] <= 1
    assert [len(row) for row in result["translations"]] == [3] * result["pairs"]["test"]
    assert figure.stat().st_size > 5_000


def test_where_no_catalogue_is_it_says_what_to_install(example: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"0 messages in 'xx' are too few .* pip install --no-deps --target"):
        example["main"]("catalogues", catalogues=[tmp_path], language="xx", quick=True)
