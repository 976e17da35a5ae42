"""Models for tables by name: which estimators they are, and what they want to be given."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MODELS", "TASKS", "TableModel"]

TASKS = ("classification", "regression")


class TableModel(NamedTuple):
    """The names of estimators in `portml.classical`, and how columns are prepared for them."""

    classifier: str | None
    regressor: str | None
    encoding: str = "one-hot"
    """"one-hot" or "ordinal", of text."""
    scaling: str | None = "standard"
    """"standard", "min-max" or None."""


MODELS = {
    "random-forest": TableModel("RandomForestClassifier", "RandomForestRegressor", "ordinal", None),
    "decision-tree": TableModel("DecisionTreeClassifier", "DecisionTreeRegressor", "ordinal", None),
    "boosting": TableModel("HistGradientBoostingClassifier", "HistGradientBoostingRegressor", "ordinal", None),
    "linear-regression": TableModel(None, "LinearRegression"),
    "logistic-regression": TableModel("LogisticRegression", None),
    "ridge": TableModel(None, "Ridge"),
    "lasso": TableModel(None, "Lasso"),
    "elastic-net": TableModel(None, "ElasticNet"),
    "perceptron": TableModel("Perceptron", None),
    "k-neighbors": TableModel("KNeighborsClassifier", "KNeighborsRegressor"),
    "support-vectors": TableModel("SVC", "SVR"),
    "linear-support-vectors": TableModel("LinearSVC", None),
    "gaussian-naive-bayes": TableModel("GaussianNB", None),
    "multinomial-naive-bayes": TableModel("MultinomialNB", None, "one-hot", "min-max"),
    "bernoulli-naive-bayes": TableModel("BernoulliNB", None),
}
