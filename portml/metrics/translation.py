r"""chrF: how many runs of characters a translation has in common with the reference.

.. math:: \mathrm{chrF}_\beta = (1 + \beta^2) \frac{P R}{\beta^2 P + R}

with P and R the precision and recall of runs of n characters, each the mean over n = 1, ..., `order`.  Unlike an exact
match it counts a word with a wrong ending as nearly right, and unlike BLEU it needs no splitting into words and has a
value for a text of one word.  [Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation"]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from portml.errors import ArgumentError, DtypeError, ShapeError

__all__ = ["chrf_score"]


def chrf_score(y_true: Sequence[str], y_pred: Sequence[str], *, order: int = 6, beta: float = 2.0) -> float:
    """chrF of a whole corpus: runs are counted over all texts before anything is divided.

    Parameters
    ----------
    y_true : sequence of str
        References, one for each text.
    y_pred : sequence of str
        Translations.
    order : int
        The longest runs that are counted; an `order` that no text is long enough for is left out of the means.
    beta : float
        How much more recall counts than precision.

    Returns
    -------
    float
        From 0 to 1; a hundredth of what sacrebleu calls chrF2, whose definition this is: white space is left out,
        capital letters count.

    Raises
    ------
    ShapeError
        If there are not as many translations as references, or none.
    DtypeError
        If one is no text.
    ArgumentError
        If `order` is below 1 or `beta` not above 0.

    Examples
    --------
    >>> round(chrf_score(["el gato duerme"], ["el gata duerme"]), 3)
    0.585
    """
    _check_texts(y_true, y_pred)
    if order < 1 or not beta > 0:
        raise ArgumentError(f"order, beta: expected at least 1 and more than 0, got {order} and {beta}")
    precisions, recalls = [], []
    for n in range(1, order + 1):
        common = written = wanted = 0
        for reference, translation in zip(y_true, y_pred, strict=True):
            theirs, ours = _runs(reference, n), _runs(translation, n)
            common += (theirs & ours).total()
            # A reference too short for such runs asks for none, and nothing counts against its translation.
            written += ours.total() if theirs else 0
            wanted += theirs.total()
        if written and wanted:
            precisions.append(common / written)
            recalls.append(common / wanted)
    if not precisions:
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    weighted = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / weighted if weighted else 0.0


def _runs(text: str, n: int) -> Counter[str]:
    """How often each run of n characters occurs, white space left out."""
    characters = "".join(text.split())
    return Counter(characters[i : i + n] for i in range(len(characters) - n + 1))


def _check_texts(y_true: Sequence[str], y_pred: Sequence[str]) -> None:
    for name, texts in (("y_true", y_true), ("y_pred", y_pred)):
        if isinstance(texts, str) or not all(isinstance(each, str) for each in texts):
            raise DtypeError(f"{name}: expected several texts, got {texts if isinstance(texts, str) else 'others'!r}")
    if len(y_true) != len(y_pred) or not len(y_true):
        raise ShapeError(
            f"y_pred: expected a translation for each of {len(y_true)} references, at least one; got {len(y_pred)}"
        )
