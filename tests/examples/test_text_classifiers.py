"""The examples that classify text run, shortly, and learn; on sentences and verses made here."""

from __future__ import annotations

import json
import runpy
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import verse_classification
from portml.backends import Backend
from portml.errors import DataError

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """Sixty sentences whose words say what they are."""
    path = tmp_path / "polarity.cor"
    subjects, adverbs = ("film", "movie", "story", "cast", "end"), ("so", "very")
    praise = [f"the {s} is {a} {w}" for s, a, w in product(subjects, adverbs, ("great", "good", "warm"))]
    blame = [f"the {s} is {a} {w}" for s, a, w in product(subjects, adverbs, ("dull", "bad", "clichéd"))]
    lines = [f"__label__pos {each} . " for each in praise] + [f"__label__neg {each} . " for each in blame]
    path.write_text("\n".join(lines) + "\n", encoding="latin-1")
    return path


@pytest.fixture
def scripture(tmp_path: Path) -> Path:
    """Eighty chapters of four verses; the testaments share most words, and one pair of words tells the order."""
    rng = np.random.default_rng(0)
    lines = []
    for book, chapter, number in product(("Ge", "Mat"), range(1, 41), range(1, 5)):
        words = rng.choice(["and", "the", "people", "went", "up", "unto", "him", "that", "day"], 6)
        pair = "lord god" if book == "Ge" else "god lord"
        lines.append(f"{book}{chapter}:{number} {' '.join(words)} {pair}.")
    path = tmp_path / "verses.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_sentiment_is_learnt_judged_and_drawn(
    reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentences = ["the cast is so great", "the story is very dull"]
    result = example("train_sentiment_classifier")["main"](
        "numpy", 0, reviews, sentences, tmp_path / "figures", tmp_path / "result.json", 6
    )
    assert [label for _, label, _ in result["judged"]] == ["positive", "negative"]
    assert all(0.5 <= confidence <= 1 for _, _, confidence in result["judged"])
    for share, low, high in result["share of unseen sentences right, with its 95 % interval"].values():
        assert 0.8 < share <= 1
        assert 0 <= low < share <= high + 1e-4 <= 1.0002
    assert json.loads((tmp_path / "result.json").read_text())["sentences"] == 60
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {f"attention-{n}.png" for n in (1, 2)}
    assert capsys.readouterr().out.splitlines()[-2].startswith("positive ")


def test_a_sentence_is_padded_to_sixteen_places_and_padding_is_not_attended_to(reviews: Path, backend: Backend) -> None:
    module = example("train_sentiment_classifier")
    texts, labels = module["read_polarity"](reviews)
    tokenizer, model = module["trained"](texts[20:40], labels[20:40], 0, backend.name, 1)
    _, _, weights, tokens = module["judge"](model, tokenizer, "the film is warm")
    assert tokens == ["the", "film", "is", "warm"] + ["<PAD>"] * 12
    assert [layer.shape for layer in weights] == [(4, 16, 16)] * 2
    for layer in weights:
        assert not layer[..., 4:].any()
        np.testing.assert_allclose(layer.sum(axis=-1), 1, rtol=1e-5)


def test_the_sentences_it_shows_have_sixteen_words_with_the_padding() -> None:
    assert (
        len({word for sentence in example("train_sentiment_classifier")["SENTENCES"] for word in sentence.split()})
        == 15
    )


def test_folds_have_each_label_as_often() -> None:
    labels = np.asarray([0] * 40 + [1] * 20)
    folds = example("train_sentiment_classifier")["folds_of"](labels, 3)
    assert [(int((folds == fold).sum()), int(labels[folds == fold].sum())) for fold in range(5)] == [(12, 4)] * 5


def test_what_holds_no_reviews_is_refused(tmp_path: Path) -> None:
    read = example("train_sentiment_classifier")["read_polarity"]
    with pytest.raises(DataError, match=r"text: .* cannot be read"):
        read(tmp_path / "nothing")
    (tmp_path / "other").write_text("good film\n")
    with pytest.raises(DataError, match="expected lines that begin with __label__neg or __label__pos"):
        read(tmp_path / "other")


@pytest.mark.parametrize("model", ["lstm", "encoder", "naive-bayes"])
def test_testaments_are_told_apart_by_the_order_of_two_words(model: str, scripture: Path, tmp_path: Path) -> None:
    module = example("train_verse_classifier")
    quick: dict[str, Any] = {"dim": 16, "hidden_size": 16, "n_layers": 1, "dropout": 0.0, "lr": 0.02}
    settings = None if model == "naive-bayes" else module["NetworkSettings"](**quick, epochs=6, batch_size=16)
    output = tmp_path / "results" / "run.json"
    figure = tmp_path / "confusion.png"
    module["main"](model, 0, "numpy", str(scripture), output, settings=settings, figure=figure)
    assert figure.read_bytes().startswith(b"\x89PNG")
    result = json.loads(output.read_text())
    assert result["always_old"] == 0.5
    assert result["test_accuracy"] > 0.9
    assert result["validation_accuracy"] > 0.9
    right = "".join(result["right_by_chapter"].values())
    assert len(right) == 64
    assert right.count("1") / 64 == pytest.approx(result["test_accuracy"], abs=1e-4)
    assert len(result["history"]) == (0 if model == "naive-bayes" else 6)


@pytest.mark.parametrize("model", ["lstm", "encoder", "naive-bayes"])
def test_settings_can_be_chosen_without_the_test_chapters_on_any_backend(
    model: str, scripture: Path, backend: Backend
) -> None:
    module = example("train_verse_classifier")
    small: dict[str, Any] = {"dim": 4, "hidden_size": 4, "n_layers": 1, "dropout": 0.0, "lr": 0.01, "epochs": 1}
    settings = None if model == "naive-bayes" else module["NetworkSettings"](**small)
    result = module["main"](model, 0, backend.name, str(scripture), test=False, settings=settings)
    assert 0 < result["validation_accuracy"] <= 1
    assert result["test_accuracy"] is None
    assert result["right_by_chapter"] is None


def test_a_quick_run_reads_every_tenth_chapter_and_trains_little(scripture: Path) -> None:
    module = example("train_verse_classifier")
    verses = module["tenth_of_chapters"](module["read_king_james"](scripture))
    assert {(v.book, v.chapter) for v in verses} == {(b, c) for b in ("Genesis", "Matthew") for c in (1, 11, 21, 31)}
    assert module["quick_form"](module["SETTINGS"]["encoder"]).epochs == 2
    assert module["quick_form"](module["SETTINGS"]["naive-bayes"]) == module["SETTINGS"]["naive-bayes"]


def test_no_chapter_is_in_two_parts_and_each_part_has_its_share_of_both_testaments(scripture: Path) -> None:
    module = example("train_verse_classifier")
    verses = module["read_king_james"](scripture)
    parts = module["split_by_chapter"](verses)
    chapters = {part: {(v.book, v.chapter) for v in each} for part, each in parts.items()}
    assert sum(map(len, chapters.values())) == len(set.union(*chapters.values())) == 80
    assert {part: len(each) for part, each in chapters.items()} == {"training": 56, "validation": 8, "test": 16}
    for each in chapters.values():
        assert 2 * sum(book == "Genesis" for book, _ in each) == len(each)
    assert sum(map(len, parts.values())) == len(verses)
    assert module["split_by_chapter"](verses) == parts


def test_naive_bayes_counts_words_and_pairs(scripture: Path) -> None:
    module = example("train_verse_classifier")
    parts = module["split_by_chapter"](module["read_king_james"](scripture))
    settings = module["NaiveBayesSettings"](alpha=1.0, minimum_count=1, presence=False)
    bayes = module["NaiveBayes"](settings, parts, "naive-bayes", 0, "numpy")
    verse = parts["test"][0]._replace(text="God lord god lord unseen")
    row = bayes.counts([verse])[0]
    assert {term: row[place] for term, place in bayes.column.items() if row[place]} == {
        "god": 2,
        "lord": 2,
        "god lord": 2,
        "lord god": 1,
    }
    bayes.presence = True
    assert bayes.counts([verse]).max() == 1


def run_of(chapters: list[str], seed: int = 0) -> dict[str, Any]:
    return {"seed": seed, "right_by_chapter": {f"Genesis {number}": each for number, each in enumerate(chapters)}}


def test_a_model_does_not_differ_from_itself() -> None:
    run = run_of(["101", "0110", "1"])
    found = verse_classification.compare([run], [run])
    assert found["difference"] == 0
    assert found["interval"] == [0, 0]
    assert (found["chapters"], found["verses"]) == (3, 8)
    assert found["seeds"] == [{"only_network": 0, "only_naive_bayes": 0, "p": 1.0, "seed": 0}]


def test_a_difference_is_the_mean_over_seeds_and_mcnemars_test_is_exact() -> None:
    ours = [run_of(["1000", "01"]), run_of(["0000", "11"], seed=1)]
    found = verse_classification.compare(ours, [run_of(["1111", "00"])])
    assert found["difference"] == round((2 + 2) / 2 / 6 - 4 / 6, 5)
    assert found["seeds"][0] == {"only_network": 1, "only_naive_bayes": 3, "p": 0.62, "seed": 0}  # 2 (1 + 4) / 16
    assert found["seeds"][1]["p"] == 0.69  # 2 (1 + 6 + 15) / 64


def test_verses_that_go_wrong_together_count_as_one_chapter() -> None:
    chapters = ["1" * 10, "0" * 10] * 50
    found = verse_classification.compare([run_of(chapters)], [run_of(["0" * 10] * 100)])
    low, high = found["interval"]
    assert found["difference"] == 0.5
    assert (high - low) / 2 == pytest.approx(1.96 * 0.5 / np.sqrt(100), rel=0.1)  # not √1000
