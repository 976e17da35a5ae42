"""Decision trees: questions about one column each, asked until the answers are pure.

A node asks whether a sample's value is at most a threshold; of all columns and thresholds it takes the ones whose two
answers are purest.  [Breiman, Friedman, Olshen & Stone 1984, "Classification and Regression Trees"]
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

from portml.backends import Array, namespace, to_numpy
from portml.classical.estimator import Classifier, Regressor
from portml.classical.tree import Tree
from portml.classical.tree_arguments import CLASSIFICATION, REGRESSION, as_float32, growth_of, weights_of
from portml.classical.tree_growth import Growth, grow_tree
from portml.classical.tree_table import make_table
from portml.classical.validation import generator_of, labels_of, read_data, read_training_data, require_fitted

__all__ = ["DecisionTreeClassifier", "DecisionTreeRegressor"]


class _DecisionTree:
    """What trees of both kinds do once they are grown."""

    tree_: Tree
    n_features_in_: int

    @property
    def feature_importances_(self) -> Array:
        """How much impurity each column's splits remove, of all that is removed, (n_features,)."""
        require_fitted(self)
        return self.tree_.compute_feature_importances()

    def apply(self, X: Any) -> Array:
        """The number of each sample's leaf, (n_samples,) of int64.

        Parameters
        ----------
        X : array (n_samples, n_features)
        """
        return self.tree_.apply(as_float32(read_data(self, X, allow_nan=True)))

    def decision_path(self, X: Any) -> Array:
        """Whether a sample passes a node, (n_samples, node_count) of bool."""
        return self.tree_.decision_path(as_float32(read_data(self, X, allow_nan=True)))

    def get_depth(self) -> int:
        """How many questions lead to the deepest leaf."""
        require_fitted(self)
        return self.tree_.max_depth

    def get_n_leaves(self) -> int:
        """How many leaves there are."""
        require_fitted(self)
        return self.tree_.n_leaves

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.allow_nan = True
        return tags

    def _values(self, X: Any) -> Array:
        """The values of the samples' leaves in X's dtype, (n_samples, n_values)."""
        X = read_data(self, X, allow_nan=True)
        return namespace(X).astype(self.tree_.predict(as_float32(X)), X.dtype, copy=False)

    def _grow(self, X: Array, targets: Array, weights: Array | None, growth: Growth) -> None:
        table = make_table(as_float32(X), self.max_bins, weights)  # type: ignore[attr-defined]
        self.tree_ = grow_tree(table, targets, weights, weighted(growth, weights), self._key(X, growth))
        self.max_features_ = growth.max_features

    def _key(self, X: Array, growth: Growth) -> Array | None:
        """What the columns of each node are drawn from, (1,) of uint32; None where every node looks at all."""
        if growth.max_features >= X.shape[1]:
            return None
        generator = generator_of(self.random_state, X)  # type: ignore[attr-defined]
        return namespace(X).astype(generator.integers(0, 1 << 32, (1,)), namespace(X).uint32)


class DecisionTreeClassifier(_DecisionTree, Classifier):
    r"""A tree whose leaves say how likely each class is.

    A node of samples with shares :math:`p_k` of the classes has the impurity :math:`1 - \sum_k p_k^2` (gini) or
    :math:`-\sum_k p_k \log_2 p_k` (entropy).  It is split where the mean impurity of the two sides, weighted by their
    samples, is least; thresholds lie halfway between two values that occur.

    Parameters
    ----------
    criterion : {"gini", "entropy", "log_loss"}
        "log_loss" is another name of the entropy.
    max_depth : int, optional
        Questions from the root to a leaf at most; None grows until leaves are pure.
    min_samples_split : int or float
        Smaller nodes are not split; a float is a share of all samples.
    min_samples_leaf : int or float
        What each side of a split must have.
    min_weight_fraction_leaf : float
        The share of all weight that each side must have.
    max_features : int, float, "sqrt", "log2" or None
        How many columns each node looks at, drawn anew; a float is a share, None takes all.
    random_state : int, generator or None
        Where `max_features` draws from.  Among equally good splits the first column wins, whatever the seed.
    min_impurity_decrease : float
        What a split must remove of the tree's impurity.
    class_weight : dict, "balanced" or None
        Weights of the labels; "balanced" makes all classes weigh the same.
    max_bins : int, optional
        None looks at every threshold.  Up to 255 divides each column into so many bins of about as many samples and
        looks at their edges only, which is faster.
    backend : str or Backend, optional
        Where X goes when it arrives on the host.

    Attributes
    ----------
    classes_ : array (n_classes,)
    n_classes_ : int
    tree_ : Tree
        The nodes, under scikit-learn's names.
    feature_importances_ : array (n_features,)
    max_features_, n_features_in_, n_outputs_ : int

    Notes
    -----
    Values are compared in float32, as in scikit-learn, and sums run in float64.  Missing values (NaN) go to the side
    where they do better; where a node never saw one, to the side with more samples.  One target only.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.asarray([[0.0], [1.0], [2.0], [3.0]]), ["low", "low", "high", "high"]
    >>> [str(label) for label in DecisionTreeClassifier().fit(X, y).predict([[0.4], [1.6]])]
    ['low', 'high']
    """

    def __init__(
        self,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: int | float | str | None = None,
        random_state: Any = None,
        min_impurity_decrease: float = 0.0,
        class_weight: Any = None,
        max_bins: int | None = None,
        backend: Any = None,
    ) -> None:
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.random_state = random_state
        self.min_impurity_decrease = min_impurity_decrease
        self.class_weight = class_weight
        self.max_bins = max_bins
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the tree.

        Parameters
        ----------
        X : array (n_samples, n_features)
            NaN: missing.
        y : array (n_samples,)
            Labels: whole numbers or text.
        sample_weight : array (n_samples,), optional
            Not negative; samples of weight zero are left out.
        """
        data = read_training_data(self, X, y, sample_weight, labels=True, allow_nan=True, non_negative_weights=True)
        growth = growth_of(self, CLASSIFICATION, data.X.shape, data.classes.shape[0])
        targets = data.xp.astype(data.y, data.xp.int32)
        weights = weights_of(self.class_weight, targets, data.classes, data.sample_weight)
        self.classes_, self.n_classes_, self.n_outputs_ = data.classes, data.classes.shape[0], 1
        self._grow(data.X, targets, weights, growth)
        return self

    def predict_proba(self, X: Any) -> Array:
        """The shares of the classes in each sample's leaf, (n_samples, n_classes)."""
        return self._values(X)

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithms of `predict_proba`; -inf for what a leaf never saw."""
        return log_of(self.predict_proba(X))

    def predict(self, X: Any) -> Array:
        """The most frequent label of each sample's leaf, (n_samples,); the first of equals."""
        shares = self.predict_proba(X)
        return labels_of(namespace(shares).argmax(shares, axis=1), self.classes_)


class DecisionTreeRegressor(_DecisionTree, Regressor):
    """A tree whose leaves say the mean of their samples.

    A node's impurity is the variance of its targets; it is split where the mean squared error of the two sides is
    least.

    Parameters
    ----------
    criterion : {"squared_error"}
    max_depth, min_samples_split, min_samples_leaf, min_weight_fraction_leaf, max_features, random_state,
    min_impurity_decrease, max_bins, backend
        As in `DecisionTreeClassifier`.

    Attributes
    ----------
    tree_ : Tree
    feature_importances_ : array (n_features,)
    max_features_, n_features_in_, n_outputs_ : int
    """

    def __init__(
        self,
        *,
        criterion: str = "squared_error",
        max_depth: int | None = None,
        min_samples_split: int | float = 2,
        min_samples_leaf: int | float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: int | float | str | None = None,
        random_state: Any = None,
        min_impurity_decrease: float = 0.0,
        max_bins: int | None = None,
        backend: Any = None,
    ) -> None:
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.random_state = random_state
        self.min_impurity_decrease = min_impurity_decrease
        self.max_bins = max_bins
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the tree.

        Parameters
        ----------
        X : array (n_samples, n_features)
            NaN: missing.
        y : array (n_samples,)
        sample_weight : array (n_samples,), optional
            Not negative; samples of weight zero are left out.
        """
        data = read_training_data(self, X, y, sample_weight, allow_nan=True, non_negative_weights=True)
        growth = growth_of(self, REGRESSION, data.X.shape, 1)
        xp = data.xp
        weights = None if data.sample_weight is None else xp.astype(data.sample_weight, xp.float64)
        self.n_outputs_ = 1
        self._grow(data.X, xp.astype(data.y, xp.float64), weights, growth)
        return self

    def predict(self, X: Any) -> Array:
        """The mean of each sample's leaf, (n_samples,)."""
        return self._values(X)[:, 0]


def weighted(growth: Growth, weights: Array | None) -> Growth:
    """The least weight of a leaf as a share of all weight instead of all samples."""
    if growth.min_weight_leaf == 0.0 or weights is None:
        return growth
    xp = namespace(weights)
    return replace(growth, min_weight_leaf=growth.min_weight_leaf * float(to_numpy(xp.mean(weights))))


def log_of(shares: Array) -> Array:
    """Logarithms, -inf for 0."""
    xp = namespace(shares)
    safe = xp.where(shares > 0.0, shares, xp.ones_like(shares))
    return xp.where(shares > 0.0, xp.log(safe), -xp.inf)
