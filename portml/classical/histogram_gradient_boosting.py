"""Gradient boosting on binned columns: small trees one after the other, each for what those before it left over.

The sum of the trees so far is the raw prediction.  A loss says in which direction it should move for each sample, its
gradient, and a tree of these gradients moves samples that are alike together.
[Friedman 2001, "Greedy function approximation: a gradient boosting machine"; Ke et al. 2017, "LightGBM"]
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Self

from portml.backends import Array, device_of, namespace, to_numpy
from portml.backends.kernels.binning import bin_columns
from portml.backends.kernels.boosting import grow_boosted_tree
from portml.backends.kernels.trees import tree_leaves
from portml.classical.boosting_loss import BinaryLogLoss, Loss, MultinomialLogLoss, SquaredError
from portml.classical.estimator import Classifier, Regressor
from portml.classical.tree_arguments import weights_of
from portml.classical.tree_table import MOST_BINS, column_edges
from portml.classical.validation import check_parameter, generator_of, labels_of, read_data, read_training_data

__all__ = ["BoostedTree", "HistGradientBoostingClassifier", "HistGradientBoostingRegressor"]

ROWS_FOR_EDGES = 200_000
"""Quantiles are taken of so many rows at most, evenly spaced."""
SAMPLES_FOR_STOPPING = 10_000
"""With more samples than this, "auto" keeps some apart and stops when the loss on them no longer falls."""


@dataclass(eq=False)
class BoostedTree:
    """A tree of a boosted model.

    Attributes
    ----------
    feature : array (n_nodes,) of int64
    threshold : array (n_nodes,) of float64
        At most this goes left.
    missing_left : array (n_nodes,) of bool
    left, right : array (n_nodes,) of int64
        -1 in leaves.
    value : array (n_nodes,) of float64
        What a leaf adds to the raw prediction.
    n_samples : array (n_nodes,) of int64
    depth : int
        No leaf is deeper.
    """

    feature: Array
    threshold: Array
    missing_left: Array
    left: Array
    right: Array
    value: Array
    n_samples: Array
    depth: int

    def predict(self, X: Array) -> Array:
        """What the tree adds for each sample, (n_samples,) of float64."""
        nodes = (self.feature, self.threshold, self.missing_left, self.left, self.right)
        return namespace(X).take(self.value, tree_leaves(X, *nodes, depth=self.depth))

    def get_n_leaf_nodes(self) -> int:
        """How many leaves there are."""
        return (int(self.left.shape[0]) + 1) // 2


class _HistGradientBoosting:
    """What boosting does whatever the loss."""

    learning_rate: float
    max_iter: int
    max_leaf_nodes: int | None
    max_depth: int | None
    min_samples_leaf: int
    l2_regularization: float
    max_bins: int
    early_stopping: bool | str
    validation_fraction: int | float | None
    n_iter_no_change: int
    tol: float
    random_state: Any
    _predictors: list[list[BoostedTree]]
    _baseline: Array

    @property
    def n_iter_(self) -> int:
        """How many rounds there were."""
        return len(self._predictors)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.allow_nan = True
        return tags

    def _raw(self, X: Any) -> Array:
        """Raw predictions (n_samples, n_outputs)."""
        for raw in self._staged(read_data(self, X, allow_nan=True)):  # noqa: B007  # the last one
            pass
        return raw

    def _staged(self, X: Array) -> Iterator[Array]:
        """Raw predictions before the first round and after each: summed in float64, given in the precision of `X`."""
        xp = namespace(X)
        raw = xp.broadcast_to(self._baseline, (X.shape[0], self._baseline.shape[0]))
        yield xp.astype(raw, X.dtype, copy=False)
        for trees in self._predictors:
            raw = raw + xp.stack([tree.predict(X) for tree in trees], axis=1)
            yield xp.astype(raw, X.dtype, copy=False)

    def _boost(self, X: Array, y: Array, weights: Array | None, loss: Loss, strata: int) -> None:
        """Fit trees to `loss`; `y` as the loss wants it, with `strata` classes to keep in proportion."""
        xp = namespace(X)
        self.do_early_stopping_ = (
            X.shape[0] > SAMPLES_FOR_STOPPING if self.early_stopping == "auto" else bool(self.early_stopping)
        )
        held: Any = None
        if self.do_early_stopping_ and self.validation_fraction is not None:
            kept, apart = self._divided(X, y, strata)
            held = tuple(None if each is None else xp.take(each, apart, axis=0) for each in (X, y, weights))
            X, y, weights = (None if each is None else xp.take(each, kept, axis=0) for each in (X, y, weights))
        edges = column_edges(X, self.max_bins, ROWS_FOR_EDGES)
        codes = bin_columns(X, edges, missing_code=self.max_bins)
        # Stacked, not permuted: a sample's codes then lie side by side.
        codes = xp.stack([codes[column, :] for column in range(codes.shape[0])], axis=1)
        self._baseline = loss.baseline(y, weights)
        self._predictors = []
        raw = xp.zeros((X.shape[0], loss.n_outputs), dtype=xp.float64, device=device_of(X)) + self._baseline
        held_raw = (
            None
            if held is None
            else self._baseline + xp.zeros((held[0].shape[0], 1), dtype=xp.float64, device=device_of(X))
        )
        train, validation = [], []
        for _ in range(int(self.max_iter) + 1):
            if self.do_early_stopping_:
                train.append(-_number(loss.value(y, raw, weights)))
                if held is not None:
                    validation.append(-_number(loss.value(held[1], held_raw, held[2])))
                if self._should_stop(validation if held is not None else train):
                    break
            if len(self._predictors) == self.max_iter:
                break
            trees, raw = self._round(codes, edges, loss, y, raw, weights)
            self._predictors.append(trees)
            if held is not None:
                held_raw = held_raw + xp.stack([tree.predict(held[0]) for tree in trees], axis=1)
        self.train_score_ = xp.asarray(train, dtype=xp.float64, device=device_of(X))
        self.validation_score_ = xp.asarray(validation, dtype=xp.float64, device=device_of(X))
        self.n_trees_per_iteration_ = loss.n_outputs

    def _round(
        self, codes: Array, edges: Array, loss: Loss, y: Array, raw: Array, weights: Array | None
    ) -> tuple[list[BoostedTree], Array]:
        """A tree for each output, and the raw predictions with them."""
        xp = namespace(codes)
        gradients, hessians = loss.derivatives(y, raw, weights)
        trees, steps = [], []
        for output in range(loss.n_outputs):
            left, feature, code, missing_left, value, _, n_samples, node_of = grow_boosted_tree(
                codes,
                gradients[output],
                None if hessians is None else hessians[output],
                n_codes=self.max_bins + 1,
                max_leaf_nodes=sys.maxsize if self.max_leaf_nodes is None else int(self.max_leaf_nodes),
                max_depth=sys.maxsize if self.max_depth is None else int(self.max_depth),
                min_samples_leaf=int(self.min_samples_leaf),
                l2_regularization=float(self.l2_regularization),
            )
            value = value * self.learning_rate
            steps.append(xp.take(value, node_of))
            right = xp.where(left < 0, left, left + 1)
            threshold = _edges_at(edges, feature, code)
            depth = int(left.shape[0]) // 2
            trees.append(BoostedTree(feature, threshold, missing_left, left, right, value, n_samples, depth))
        return trees, raw + xp.stack(steps, axis=1)

    def _divided(self, X: Array, y: Array, strata: int) -> tuple[Array, Array]:
        """Samples to learn from, and to keep apart; of each class the same share."""
        xp, n = namespace(X), X.shape[0]
        order = generator_of(self.random_state, X).permutation(n)
        n_apart = self.validation_fraction
        assert n_apart is not None
        if not isinstance(n_apart, Integral):
            n_apart = math.ceil(float(n_apart) * n)
        if strata > 1:
            # Sorted by class, every n-th sample of the random order.
            order = xp.take(order, xp.argsort(xp.take(y, order), stable=True))
        place = xp.arange(n, dtype=xp.int64, device=device_of(X))
        is_apart = (place + 1) * int(n_apart) // n > place * int(n_apart) // n
        divided = xp.argsort(xp.astype(is_apart, xp.int8), stable=True)
        order = xp.take(order, divided)
        return xp.sort(order[: n - int(n_apart)]), xp.sort(order[n - int(n_apart) :])

    def _should_stop(self, scores: list[float]) -> bool:
        """Whether none of the last scores is better than the one before them."""
        if len(scores) <= self.n_iter_no_change:
            return False
        reference = scores[-self.n_iter_no_change - 1] + self.tol
        return not any(score > reference for score in scores[-self.n_iter_no_change :])

    def _check(self) -> None:
        def check(name: str, valid: bool, expected: str) -> None:
            check_parameter(self, name, valid, expected)

        def whole(value: Any, least: int) -> bool:
            return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least

        def real(value: Any, least: float) -> bool:
            return isinstance(value, Real) and not isinstance(value, bool) and float(value) >= least

        check("learning_rate", real(self.learning_rate, 0.0) and self.learning_rate > 0, "a float in (0.0, inf)")
        check("max_iter", whole(self.max_iter, 1), "an int in the range [1, inf)")
        leaves, depth = self.max_leaf_nodes, self.max_depth
        check("max_leaf_nodes", leaves is None or whole(leaves, 2), "an int in the range [2, inf) or None")
        check("max_depth", depth is None or whole(depth, 1), "an int in the range [1, inf) or None")
        check("min_samples_leaf", whole(self.min_samples_leaf, 1), "an int in the range [1, inf)")
        check("l2_regularization", real(self.l2_regularization, 0.0), "a float in the range [0.0, inf)")
        bins = whole(self.max_bins, 2) and self.max_bins <= MOST_BINS
        check("max_bins", bins, f"an int in the range [2, {MOST_BINS}]")
        stopping = self.early_stopping in ("auto", True, False)
        check("early_stopping", stopping, "a bool or a str among {'auto'}")
        part = self.validation_fraction
        valid = part is None or whole(part, 1) or (real(part, 0.0) and 0.0 < part < 1.0)
        check("validation_fraction", valid, "an int in [1, inf), a float in the range (0.0, 1.0) or None")
        check("n_iter_no_change", whole(self.n_iter_no_change, 1), "an int in the range [1, inf)")
        check("tol", real(self.tol, 0.0), "a float in the range [0.0, inf)")


class HistGradientBoostingClassifier(_HistGradientBoosting, Classifier):
    r"""Boosted trees for classes: log loss of :math:`\sigma(f(x))`, or of the softmax of a raw value for each class.

    Parameters
    ----------
    loss : {"log_loss"}
    learning_rate : float
        The share of each tree that is added.
    max_iter : int
        Rounds; each has a tree, or with more than two classes a tree for each.
    max_leaf_nodes, max_depth : int, optional
        Bounds of each tree.
    min_samples_leaf : int
    l2_regularization : float
        Added to the second derivatives of each leaf, whose value it makes smaller.
    max_bins : int
        At most 255 for each column; missing values have one of their own.
    early_stopping : bool or "auto"
        "auto": with more than 10 000 samples.
    validation_fraction : int, float or None
        How much is kept apart for early stopping; None watches the training loss.
    n_iter_no_change : int
        Stop when the loss fell by `tol` in none of so many rounds.
    tol : float
    random_state : int, generator or None
        Which samples are kept apart.
    class_weight : dict, "balanced" or None
    backend : str or Backend, optional

    Attributes
    ----------
    classes_ : array (n_classes,)
    n_iter_, n_trees_per_iteration_, n_features_in_ : int
    do_early_stopping_ : bool
    train_score_, validation_score_ : array (n_iter_ + 1,)
        Losses with their signs turned, where stopping was watched for.

    Notes
    -----
    Every column counts as a number; encode categories first.
    """

    def __init__(
        self,
        loss: str = "log_loss",
        *,
        learning_rate: float = 0.1,
        max_iter: int = 100,
        max_leaf_nodes: int | None = 31,
        max_depth: int | None = None,
        min_samples_leaf: int = 20,
        l2_regularization: float = 0.0,
        max_bins: int = 255,
        early_stopping: bool | str = "auto",
        validation_fraction: int | float | None = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-7,
        random_state: Any = None,
        class_weight: Any = None,
        backend: Any = None,
    ) -> None:
        self.loss = loss
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.max_bins = max_bins
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state
        self.class_weight = class_weight
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the trees.

        Parameters
        ----------
        X : array (n_samples, n_features)
            NaN: missing.
        y : array (n_samples,)
            Labels.
        sample_weight : array (n_samples,), optional
            Not negative.
        """
        data = read_training_data(self, X, y, sample_weight, labels=True, allow_nan=True, non_negative_weights=True)
        check_parameter(self, "loss", self.loss == "log_loss", "a str among {'log_loss'}")
        self._check()
        targets = data.xp.astype(data.y, data.xp.int32)
        weights = weights_of(self.class_weight, targets, data.classes, data.sample_weight)
        self.classes_ = data.classes
        n_classes = data.classes.shape[0]
        loss: Loss = BinaryLogLoss() if n_classes <= 2 else MultinomialLogLoss(n_classes)
        self._boost(data.X, targets, weights, loss, n_classes)
        return self

    def decision_function(self, X: Any) -> Array:
        """Raw predictions: (n_samples,) for two classes, else (n_samples, n_classes)."""
        raw = self._raw(X)
        return raw[:, 0] if raw.shape[1] == 1 else raw

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes, (n_samples, n_classes)."""
        return self._probabilities(self._raw(X))

    def staged_predict_proba(self, X: Any) -> Iterator[Array]:
        """Probabilities after each round."""
        staged = self._staged(read_data(self, X, allow_nan=True))
        next(staged)
        yield from map(self._probabilities, staged)

    def predict(self, X: Any) -> Array:
        """The likeliest label, (n_samples,)."""
        shares = self.predict_proba(X)
        return labels_of(namespace(shares).argmax(shares, axis=1), self.classes_)

    def _probabilities(self, raw: Array) -> Array:
        loss: Loss = BinaryLogLoss() if raw.shape[1] == 1 else MultinomialLogLoss(raw.shape[1])
        return loss.predictions(raw)


class HistGradientBoostingRegressor(_HistGradientBoosting, Regressor):
    """Boosted trees for numbers: the squared error.

    Parameters
    ----------
    loss : {"squared_error"}
    learning_rate, max_iter, max_leaf_nodes, max_depth, min_samples_leaf, l2_regularization, max_bins, early_stopping,
    validation_fraction, n_iter_no_change, tol, random_state, backend
        As in `HistGradientBoostingClassifier`.

    Attributes
    ----------
    n_iter_, n_trees_per_iteration_, n_features_in_ : int
    do_early_stopping_ : bool
    train_score_, validation_score_ : array (n_iter_ + 1,)
    """

    def __init__(
        self,
        loss: str = "squared_error",
        *,
        learning_rate: float = 0.1,
        max_iter: int = 100,
        max_leaf_nodes: int | None = 31,
        max_depth: int | None = None,
        min_samples_leaf: int = 20,
        l2_regularization: float = 0.0,
        max_bins: int = 255,
        early_stopping: bool | str = "auto",
        validation_fraction: int | float | None = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-7,
        random_state: Any = None,
        backend: Any = None,
    ) -> None:
        self.loss = loss
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.max_bins = max_bins
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the trees.

        Parameters
        ----------
        X : array (n_samples, n_features)
            NaN: missing.
        y : array (n_samples,)
        sample_weight : array (n_samples,), optional
            Not negative.
        """
        data = read_training_data(self, X, y, sample_weight, allow_nan=True, non_negative_weights=True)
        check_parameter(self, "loss", self.loss == "squared_error", "a str among {'squared_error'}")
        self._check()
        xp = data.xp
        weights = None if data.sample_weight is None else xp.astype(data.sample_weight, xp.float64)
        self._boost(data.X, xp.astype(data.y, xp.float64), weights, SquaredError(), 1)
        return self

    def predict(self, X: Any) -> Array:
        """Numbers (n_samples,)."""
        return self._raw(X)[:, 0]

    def staged_predict(self, X: Any) -> Iterator[Array]:
        """Numbers after each round."""
        staged = self._staged(read_data(self, X, allow_nan=True))
        next(staged)
        for raw in staged:
            yield raw[:, 0]


def _edges_at(edges: Array, feature: Array, code: Array) -> Array:
    """The upper edges of bins, in float64; the last bin has none."""
    xp = namespace(edges)
    last = edges.shape[1]
    safe = xp.where(code < last, code, xp.zeros_like(code))
    found = xp.take(xp.reshape(edges, (-1,)), feature * last + safe)
    return xp.where(code < last, xp.astype(found, xp.float64), xp.inf)


def _number(x: Array) -> float:
    return float(to_numpy(x))
