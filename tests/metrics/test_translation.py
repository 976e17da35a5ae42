"""chrF: sacrebleu's numbers, laws and refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.errors import ArgumentError, DtypeError, ShapeError
from portml.metrics import chrf_score

TEXTS = st.lists(st.tuples(st.text("abc é", max_size=8), st.text("abc é", max_size=8)), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("true", "found", "expected", "of_three"),
    [
        (["el gato duerme"], ["el gata duerme"], 0.5847101972, 0.8116161616),
        (["Guardar", "No se encontró el archivo"], ["Guarda", "Archivo no encontrado"], 0.5016820331, 0.6744419548),
        (["a", ""], ["a", "b"], 1.0, 1.0),
        (["¿Qué?"], ["que"], 0.0724637681, 0.0833333333),
        (["abc"], ["xyz"], 0.0, 0.0),
        (["%(name)s no existe", "Añadir"], ["%(name)s no existe", "Añadir"], 1.0, 1.0),
    ],
)
def test_chrf_is_what_sacrebleu_says(true: list[str], found: list[str], expected: float, of_three: float) -> None:
    assert chrf_score(true, found) == pytest.approx(expected, abs=1e-9)
    assert chrf_score(true, found, order=3, beta=1) == pytest.approx(of_three, abs=1e-9)


@given(TEXTS)
def test_chrf_lies_between_nothing_and_all_and_ignores_white_space(pairs: list[tuple[str, str]]) -> None:
    true, found = map(list, zip(*pairs, strict=True))
    score = chrf_score(true, found)
    assert 0 <= score <= 1 + 1e-12
    assert chrf_score([text.replace(" ", "") for text in true], found) == score
    if any(text.strip() for text in true):
        assert chrf_score(true, true) == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("ab", "ab"), {}, DtypeError, "y_true: expected several texts"),
        ((["a"], [1]), {}, DtypeError, "y_pred: expected several texts"),
        ((["a"], ["a", "b"]), {}, ShapeError, "each of 1 references"),
        (([], []), {}, ShapeError, "at least one"),
        ((["a"], ["a"]), {"order": 0}, ArgumentError, "order, beta"),
        ((["a"], ["a"]), {"beta": 0}, ArgumentError, "order, beta"),
    ],
)
def test_what_is_no_translation_is_refused(arguments: tuple, options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        chrf_score(*arguments, **options)
