"""Estimators in scikit-learn's words, written once for every backend: results stay where X is.

>>> import numpy as np
>>> from portml.classical import StandardScaler
>>> StandardScaler().fit_transform(np.asarray([[0.0], [1.0], [2.0]]))[:, 0].round(3)
array([-1.225,  0.   ,  1.225])

Each name is imported from its file when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portml.classical.estimator import Classifier as Classifier
    from portml.classical.estimator import Clusterer as Clusterer
    from portml.classical.estimator import Estimator as Estimator
    from portml.classical.estimator import Regressor as Regressor
    from portml.classical.estimator import clone as clone

_PUBLIC = {
    "portml.classical.cross_validation": ("cross_val_score", "cross_validate"),
    "portml.classical.decision_tree": ("DecisionTreeClassifier", "DecisionTreeRegressor"),
    "portml.classical.elastic_net": ("ElasticNet",),
    "portml.classical.estimator": ("Classifier", "Clusterer", "Estimator", "Regressor", "clone"),
    "portml.classical.export_text": ("export_text",),
    "portml.classical.histogram_gradient_boosting": (
        "HistGradientBoostingClassifier",
        "HistGradientBoostingRegressor",
    ),
    "portml.classical.k_fold": ("KFold", "StratifiedKFold"),
    "portml.classical.k_means": ("KMeans",),
    "portml.classical.k_neighbors": ("KNeighborsClassifier", "KNeighborsRegressor"),
    "portml.classical.lasso": ("Lasso",),
    "portml.classical.linear_regression": ("LinearRegression",),
    "portml.classical.linear_svc": ("LinearSVC",),
    "portml.classical.logistic_regression": ("LogisticRegression",),
    "portml.classical.min_max_scaler": ("MinMaxScaler",),
    "portml.classical.mini_batch_k_means": ("MiniBatchKMeans",),
    "portml.classical.naive_bayes": ("BernoulliNB", "GaussianNB", "MultinomialNB"),
    "portml.classical.one_hot_encoder": ("OneHotEncoder",),
    "portml.classical.ordinal_encoder": ("OrdinalEncoder",),
    "portml.classical.perceptron": ("Perceptron",),
    "portml.classical.random_forest": ("RandomForestClassifier", "RandomForestRegressor"),
    "portml.classical.ridge": ("Ridge",),
    "portml.classical.simple_imputer": ("SimpleImputer",),
    "portml.classical.standard_scaler": ("StandardScaler",),
    "portml.classical.support_vector_classifier": ("SVC",),
    "portml.classical.support_vector_regressor": ("SVR",),
    "portml.classical.train_test_split": ("train_test_split",),
    "portml.classical.transformer": ("Transformer",),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Import a name from its file, once."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'portml.classical' has no attribute {name!r}; dir(portml.classical) lists them")
    value = globals()[name] = getattr(importlib.import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(_MODULE_OF)
