"""Measures of how good predictions are; they follow the arrays they are given."""

from __future__ import annotations

from portml.metrics.classification import accuracy, accuracy_score, log_loss
from portml.metrics.clustering import inertia, silhouette_samples, silhouette_score
from portml.metrics.confusion import (
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    fbeta_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
)
from portml.metrics.ranking import auc, roc_auc_score, roc_curve
from portml.metrics.regression import mean_absolute_error, mean_squared_error, r2_score, root_mean_squared_error
from portml.metrics.translation import chrf_score

__all__ = [
    "accuracy",
    "accuracy_score",
    "auc",
    "balanced_accuracy_score",
    "chrf_score",
    "confusion_matrix",
    "f1_score",
    "fbeta_score",
    "inertia",
    "log_loss",
    "mean_absolute_error",
    "mean_squared_error",
    "precision_recall_fscore_support",
    "precision_score",
    "r2_score",
    "recall_score",
    "roc_auc_score",
    "roc_curve",
    "root_mean_squared_error",
    "silhouette_samples",
    "silhouette_score",
]
