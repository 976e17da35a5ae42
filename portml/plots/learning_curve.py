"""How a score grows with the number of samples to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from portml.classical import clone
from portml.classical.cross_validation import folds_of
from portml.classical.rows import number_of_rows, rows_of
from portml.classical.scoring import scorer_of
from portml.errors import ArgumentError
from portml.plots.display import Display, Where
from portml.plots.figure import COLOURS, plain_axes
from portml.plots.host import HostArray
from portml.random import Generator

__all__ = ["LearningCurveDisplay"]


class LearningCurveDisplay(Display):
    """Scores on the samples learnt from and on those held out, by how many were learnt from.

    Parameters
    ----------
    train_sizes : array (n_sizes,)
    train_scores, test_scores : array (n_sizes, n_folds)
    score_name : str
    """

    def __init__(
        self, train_sizes: HostArray, train_scores: HostArray, test_scores: HostArray, score_name: str = "score"
    ) -> None:
        self.train_sizes = train_sizes
        self.train_scores = train_scores
        self.test_scores = test_scores
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        train_sizes: Sequence[float] = (0.1, 0.325, 0.55, 0.775, 1.0),
        cv: Any = None,
        scoring: Any = None,
        random_state: int = 0,
        ax: Where = None,
    ) -> LearningCurveDisplay:
        """Fit clones on the first samples of every fold, ever more of them, and score them; then draw.

        Parameters
        ----------
        estimator : estimator
            Need not be fitted.
        X : array, data frame or list with n_samples rows
        y : array (n_samples,), optional
        train_sizes : sequence of float or int
            Shares of the samples that a fold has to learn from, in (0, 1], or whole numbers of samples.
        cv : int, splitter or iterable, optional
            As in `cross_validate`.
        scoring : str or callable, optional
            As in `cross_validate`.
        random_state : int
            The seed of the order in which the samples of a fold are taken.
        ax : matplotlib.axes.Axes, optional

        Raises
        ------
        ArgumentError
            If a size is not one, or more than a fold has.
        """
        number_of_rows(X, y)
        folds = [(np.asarray(train), np.asarray(test)) for train, test in folds_of(cv, estimator, X, y)]
        sizes = _sizes(train_sizes, min(len(train) for train, _ in folds))
        scorer, generator = scorer_of(scoring), Generator(random_state, backend="numpy")
        scores = np.zeros((2, len(sizes), len(folds)))
        for fold, (train, test) in enumerate(folds):
            shuffled = train[np.asarray(generator.permutation(len(train)))]
            held_out = rows_of(X, test), rows_of(y, test)
            for place, size in enumerate(sizes):
                learnt = rows_of(X, shuffled[:size]), rows_of(y, shuffled[:size])
                fitted = clone(estimator)
                fitted.fit(*learnt) if y is not None else fitted.fit(learnt[0])
                scores[:, place, fold] = scorer(fitted, *learnt), scorer(fitted, *held_out)
        name = scoring if isinstance(scoring, str) else "score"
        return cls(np.asarray(sizes), scores[0], scores[1], name.replace("_", " ")).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> LearningCurveDisplay:
        """Draw means over the folds, with a band of a standard deviation."""
        (axes,) = self._lay_out(["curve"], ax)
        drawn = {"training": (self.train_scores, "o-"), "validation": (self.test_scores, "s--")}
        for role, (scores, style) in drawn.items():
            mean, spread, colour = scores.mean(axis=1), scores.std(axis=1), COLOURS[role]
            axes.plot(self.train_sizes, mean, style, color=colour, markersize=4, linewidth=1.8, label=role)
            axes.fill_between(self.train_sizes, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
        plain_axes(axes, "Learning curve", "training samples", f"{self.score_name}, mean ± deviation over folds")
        axes.legend(frameon=False)
        return self


def _sizes(wanted: Sequence[float], available: int) -> list[int]:
    sizes = []
    for size in wanted:
        number = round(size * available) if isinstance(size, float) else int(size)
        if number < 1 or number > available:
            raise ArgumentError(
                f"train_sizes: expected shares in (0, 1] or numbers of samples up to {available}, got {size!r}"
            )
        sizes.append(number)
    if not sizes:
        raise ArgumentError("train_sizes: expected at least one, got none")
    return sorted({*sizes})
