"""Random forests: many trees, each on its own draw of the samples and of the columns, and their mean.

Trees that err differently err less together.  [Breiman 2001, "Random forests"]
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Self

from portml.backends import Array, backend_of, device_of, namespace, to_numpy
from portml.backends.kernels.rows import index_add
from portml.classical.decision_tree import DecisionTreeClassifier, DecisionTreeRegressor, log_of, weighted
from portml.classical.estimator import Classifier, Regressor
from portml.classical.scikit_learn import warn
from portml.classical.scores import accuracy_of, r2_of
from portml.classical.tree import Tree
from portml.classical.tree_arguments import CLASSIFICATION, REGRESSION, as_float32, growth_of, weights_of
from portml.classical.tree_growth import Growth, grow_tree
from portml.classical.tree_table import TreeTable, make_table
from portml.classical.validation import (
    check_parameter,
    generator_of,
    labels_of,
    read_data,
    read_training_data,
    require_fitted,
)
from portml.errors import ArgumentError, MissingDependencyError
from portml.random import Generator

__all__ = ["RandomForestClassifier", "RandomForestRegressor"]

PASSED_ON = (
    "criterion",
    "max_depth",
    "min_samples_split",
    "min_samples_leaf",
    "min_weight_fraction_leaf",
    "max_features",
    "min_impurity_decrease",
    "max_bins",
)
"""Parameters that a forest's trees have from it."""


@dataclass(frozen=True)
class _Planting:
    """What the trees of a forest have in common."""

    table: TreeTable
    targets: Array
    weights: Array | None
    growth: Growth
    n_drawn: int | None
    balanced: Array | None


class _RandomForest:
    """What forests of both kinds do."""

    n_estimators: int
    bootstrap: bool
    oob_score: bool
    n_jobs: int | None
    max_samples: int | float | None
    random_state: Any
    max_bins: int | None
    estimators_: list[Any]
    n_features_in_: int

    @property
    def feature_importances_(self) -> Array:
        """The mean of the trees' importances that have a split, made to sum to 1, (n_features,)."""
        require_fitted(self)
        trees = [tree for tree in self._trees() if tree.node_count > 1]
        xp = namespace(self._trees()[0].feature)
        if not trees:
            return self._trees()[0].compute_feature_importances()
        total: Array = sum(tree.compute_feature_importances() for tree in trees) / len(trees)
        return total / xp.sum(total)

    def apply(self, X: Any) -> Array:
        """The number of each sample's leaf in every tree, (n_samples, n_estimators) of int64."""
        X = as_float32(read_data(self, X, allow_nan=True))
        return namespace(X).stack(_in_parallel(lambda tree: tree.apply(X), self._trees(), self.n_jobs), axis=1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.allow_nan = True
        return tags

    def _trees(self) -> list[Tree]:
        return [estimator.tree_ for estimator in self.estimators_]

    def _mean(self, X: Any) -> Array:
        """The mean of the trees' values in X's dtype, (n_samples, n_values)."""
        X = read_data(self, X, allow_nan=True)
        numbers = as_float32(X)
        values = _in_parallel(lambda tree: tree.predict(numbers), self._trees(), self.n_jobs)
        # One by one in their order, however many jobs: floating-point sums depend on it.
        total: Array = sum(values[1:], values[0])
        return namespace(X).astype(total / len(values), X.dtype, copy=False)

    def _check(self) -> None:
        valid = isinstance(self.n_estimators, Integral) and self.n_estimators >= 1
        check_parameter(self, "n_estimators", valid, "an int in the range [1, inf)")
        if self.max_samples is not None and not self.bootstrap:
            raise ArgumentError(
                "`max_sample` cannot be set if `bootstrap=False`. Either switch to `bootstrap=True` or set "
                "`max_sample=None`."
            )
        if self.oob_score and not self.bootstrap:
            raise ArgumentError("Out of bag estimation only available if bootstrap=True")

    def _n_drawn(self, n_samples: int) -> int | None:
        """How many samples are drawn for a tree; None: all are used as they are."""
        if not self.bootstrap:
            return None
        if self.max_samples is None:
            return n_samples
        wanted = self.max_samples
        is_count = isinstance(wanted, Integral) and 1 <= wanted <= n_samples
        is_share = isinstance(wanted, Real) and not isinstance(wanted, Integral) and 0.0 < wanted <= 1.0
        expected = f"None, an int in the range [1, {n_samples}] or a float in the range (0.0, 1.0]"
        check_parameter(self, "max_samples", is_count or is_share, expected)
        return int(wanted) if is_count else max(round(n_samples * wanted), 1)

    def _plant(self, X: Array, targets: Array, weights: Array | None, growth: Growth, balanced: Any = None) -> None:
        """Grow the trees, every one from a seed of its own."""
        table = make_table(as_float32(X), self.max_bins)
        seeds = to_numpy(generator_of(self.random_state, X).integers(0, 1 << 31, (int(self.n_estimators),))).tolist()
        planting = _Planting(table, targets, weights, growth, self._n_drawn(X.shape[0]), balanced)
        trees = _in_parallel(lambda seed: _grow_one(planting, seed), seeds, self.n_jobs)
        self.estimators_ = [self._estimator(tree, seed) for tree, seed in zip(trees, seeds, strict=True)]
        self._planting_seeds = seeds
        self.n_outputs_ = 1

    def _estimator(self, tree: Tree, seed: int) -> Any:
        """A tree as an estimator of its own."""
        parameters = {name: getattr(self, name) for name in PASSED_ON}
        kind = DecisionTreeClassifier if isinstance(self, Classifier) else DecisionTreeRegressor
        estimator: Any = kind(random_state=seed, **parameters)
        estimator.tree_, estimator.n_features_in_, estimator.n_outputs_ = tree, self.n_features_in_, 1
        estimator._fitted_on = self._fitted_on  # type: ignore[attr-defined]
        if isinstance(self, RandomForestClassifier):
            estimator.classes_, estimator.n_classes_ = self.classes_, self.n_classes_
        return estimator

    def _out_of_bag(self, X: Array) -> tuple[Array, Array]:
        """The mean value, for each sample, of the trees that were not grown on it, and whether there are any."""
        xp, numbers, n = namespace(X), as_float32(X), X.shape[0]
        total = n_trees = 0.0
        for seed, tree in zip(self._planting_seeds, self._trees(), strict=True):
            counts = _drawn(Generator(seed, backend=backend_of(X)), n, self._n_drawn(n) or n, X)
            is_out = xp.astype(counts == 0.0, xp.float64)
            total = total + is_out[:, None] * tree.predict(numbers)
            n_trees = n_trees + is_out
        assert not isinstance(n_trees, float)
        is_known = n_trees > 0.0
        if not bool(to_numpy(xp.all(is_known))):
            warn(
                UserWarning,
                "Some inputs do not have OOB scores. This probably means too few trees were used to compute any "
                "reliable OOB estimates.",
            )
        return xp.astype(total / xp.where(is_known, n_trees, xp.ones_like(n_trees))[:, None], X.dtype), is_known


class RandomForestClassifier(_RandomForest, Classifier):
    """The mean of many trees' shares of the classes.

    Parameters
    ----------
    n_estimators : int
        How many trees.
    criterion, max_depth, min_samples_split, min_samples_leaf, min_weight_fraction_leaf, min_impurity_decrease
        Of the trees, as in `DecisionTreeClassifier`.
    max_features : int, float, "sqrt", "log2" or None
        How many columns a node looks at, drawn anew for each.
    bootstrap : bool
        Whether each tree has as many samples as there are, drawn with replacement; else it has all.
    oob_score : bool
        Whether to score each sample by the trees that did not draw it.
    n_jobs : int, optional
        Trees grown at a time, in threads; -1 takes all processors.  Needs joblib.  The trees do not depend on it.
    random_state : int, generator or None
    class_weight : dict, "balanced", "balanced_subsample" or None
        The last balances the samples drawn for each tree.
    max_samples : int or float, optional
        Draws for each tree.
    max_bins : int, optional
        As in `DecisionTreeClassifier`.
    backend : str or Backend, optional

    Attributes
    ----------
    classes_ : array (n_classes,)
    estimators_ : list of DecisionTreeClassifier
    feature_importances_ : array (n_features,)
    oob_score_ : float
    oob_decision_function_ : array (n_samples, n_classes)
        NaN for samples that every tree drew.
    n_classes_, n_features_in_, n_outputs_ : int
    """

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: int | float | str | None = "sqrt",
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = True,
        oob_score: bool = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        class_weight: Any = None,
        max_samples: int | float | None = None,
        max_bins: int | None = None,
        backend: Any = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.class_weight = class_weight
        self.max_samples = max_samples
        self.max_bins = max_bins
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the trees.

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
        self._check()
        growth = growth_of(self, CLASSIFICATION, data.X.shape, data.classes.shape[0])
        targets = data.xp.astype(data.y, data.xp.int32)
        by_draw = self.class_weight == "balanced_subsample"
        class_weight = None if by_draw else self.class_weight
        weights = weights_of(class_weight, targets, data.classes, data.sample_weight)
        self.classes_, self.n_classes_ = data.classes, data.classes.shape[0]
        self._plant(data.X, targets, weights, growth, data.classes if by_draw else None)
        if self.oob_score:
            xp = data.xp
            shares, is_known = self._out_of_bag(data.X)
            self.oob_decision_function_ = xp.where(is_known[:, None], shares, xp.nan)
            self.oob_score_ = accuracy_of(data.y, xp.argmax(shares, axis=1))
        return self

    def predict_proba(self, X: Any) -> Array:
        """The mean of the trees' shares of the classes, (n_samples, n_classes)."""
        return self._mean(X)

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithms of `predict_proba`."""
        return log_of(self.predict_proba(X))

    def predict(self, X: Any) -> Array:
        """The likeliest label, (n_samples,)."""
        shares = self.predict_proba(X)
        return labels_of(namespace(shares).argmax(shares, axis=1), self.classes_)


class RandomForestRegressor(_RandomForest, Regressor):
    """The mean of many trees' means.

    Parameters
    ----------
    n_estimators, max_depth, min_samples_split, min_samples_leaf, min_weight_fraction_leaf, min_impurity_decrease,
    bootstrap, oob_score, n_jobs, random_state, max_samples, max_bins, backend
        As in `RandomForestClassifier`.
    criterion : {"squared_error"}
    max_features : int, float, "sqrt", "log2" or None
        All columns unless told otherwise.

    Attributes
    ----------
    estimators_ : list of DecisionTreeRegressor
    feature_importances_ : array (n_features,)
    oob_score_ : float
        The coefficient of determination.
    oob_prediction_ : array (n_samples,)
    n_features_in_, n_outputs_ : int
    """

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "squared_error",
        max_depth: int | None = None,
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: int | float | str | None = 1.0,
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = True,
        oob_score: bool = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        max_samples: int | float | None = None,
        max_bins: int | None = None,
        backend: Any = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.max_samples = max_samples
        self.max_bins = max_bins
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : array (n_samples, n_features)
            NaN: missing.
        y : array (n_samples,)
        sample_weight : array (n_samples,), optional
            Not negative.
        """
        data = read_training_data(self, X, y, sample_weight, allow_nan=True, non_negative_weights=True)
        self._check()
        growth = growth_of(self, REGRESSION, data.X.shape, 1)
        xp = data.xp
        weights = None if data.sample_weight is None else xp.astype(data.sample_weight, xp.float64)
        self._plant(data.X, xp.astype(data.y, xp.float64), weights, growth)
        if self.oob_score:
            self.oob_prediction_ = self._out_of_bag(data.X)[0][:, 0]
            self.oob_score_ = r2_of(data.y, self.oob_prediction_)
        return self

    def predict(self, X: Any) -> Array:
        """The mean of the trees' means, (n_samples,)."""
        return self._mean(X)[:, 0]


def _grow_one(planting: _Planting, seed: int) -> Tree:
    """A tree on a draw of the samples; everything random in it follows from its seed."""
    table, growth, weights = planting.table, planting.growth, planting.weights
    xp, n_samples = namespace(table.codes), table.codes.shape[1]
    generator = Generator(seed, backend=backend_of(table.codes))
    if planting.n_drawn is not None:
        counts = _drawn(generator, n_samples, planting.n_drawn, table.codes)
        weights = counts if weights is None else weights * counts
    if planting.balanced is not None:
        weights = _balanced(planting, weights)
    key = None
    if growth.max_features < table.codes.shape[0]:
        key = xp.astype(generator.integers(0, 1 << 32, (1,)), xp.uint32)
    return grow_tree(table, planting.targets, weights, weighted(growth, weights), key)


def _drawn(generator: Generator, n_samples: int, n_drawn: int, like: Array) -> Array:
    """How often each sample is drawn, (n_samples,) of float64."""
    xp = namespace(like)
    ones = xp.ones((n_drawn,), dtype=xp.float64, device=device_of(like))
    return index_add(ones, generator.integers(0, n_samples, (n_drawn,)), n=n_samples)


def _balanced(planting: _Planting, weights: Array | None) -> Array:
    """Weights under which all classes that were drawn weigh the same."""
    xp, targets = namespace(planting.targets), planting.targets
    if weights is None:
        weights = xp.ones(targets.shape, dtype=xp.float64, device=device_of(targets))
    of_class = index_add(weights, targets, n=planting.growth.n_classes)
    share = xp.sum(weights) / planting.growth.n_classes / xp.where(of_class > 0.0, of_class, xp.ones_like(of_class))
    return weights * xp.take(share, targets, axis=0)


def _in_parallel(function: Any, items: list[Any], n_jobs: int | None) -> list[Any]:
    """`function` of each item, in their order."""
    if n_jobs in (None, 1):
        return [function(item) for item in items]
    try:
        from joblib import Parallel, delayed
    except ImportError as error:
        raise MissingDependencyError(
            f"n_jobs={n_jobs} needs joblib, which is not installed: pip install joblib, or leave n_jobs=None"
        ) from error
    return list(Parallel(n_jobs=n_jobs, prefer="threads")(delayed(function)(item) for item in items))
