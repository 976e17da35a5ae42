"""chrF beside sacrebleu's."""

from __future__ import annotations

import random

import pytest
import sacrebleu

from portml.metrics import chrf_score

WORDS = [
    "el",
    "gato",
    "duerme",
    "en",
    "la",
    "casa",
    "Guardar",
    "archivo",
    "no",
    "encontrado",
    "a",
    "b",
    "¿qué?",
    "ñandú",
    "%(name)s\xa0x",
]


@pytest.mark.parametrize("n_texts", [1, 2, 5, 50])
@pytest.mark.parametrize(("order", "beta"), [(6, 2), (3, 1), (1, 3), (9, 2)])
def test_chrf_is_a_hundredth_of_sacrebleus(n_texts: int, order: int, beta: int) -> None:
    rng = random.Random(n_texts)
    for _ in range(20):
        true, found = ([" ".join(rng.choices(WORDS, k=rng.randint(0, 5))) for _ in range(n_texts)] for _ in range(2))
        expected = sacrebleu.corpus_chrf(found, [true], char_order=order, beta=beta).score / 100
        assert chrf_score(true, found, order=order, beta=beta) == pytest.approx(expected, abs=1e-12)
