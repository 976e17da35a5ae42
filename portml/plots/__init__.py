"""Figures by matplotlib, made without its global state; matplotlib is imported when the first one is drawn.

Each display has class methods ``from_...(..., ax=None)`` that work out what is to be seen and draw it, `figure`, `axes`
(its panels by name) and ``save(path)``.  What they draw may be on any backend: it is brought to the host explicitly.
Each name is imported from its file when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portml.plots.curves import TrainingCurves as TrainingCurves

_MODULE_OF = {
    "ActivationsDisplay": "activations",
    "AttentionDisplay": "attention",
    "CoefficientsDisplay": "coefficients",
    "ComputationGraphDisplay": "computation_graph",
    "ConfusionMatrixDisplay": "confusion_matrix",
    "DecisionBoundaryDisplay": "decision_boundary",
    "DropoutDisplay": "dropout",
    "EdgeKernelsDisplay": "edge_kernels",
    "EntropyCurveDisplay": "impurity",
    "FeatureMapsDisplay": "filters",
    "FiltersDisplay": "filters",
    "GatesDisplay": "gates",
    "GradientDescentDisplay": "gradient_descent",
    "KMeansDisplay": "k_means",
    "LearningCurveDisplay": "learning_curve",
    "LossCurvesDisplay": "loss_curves",
    "LossesDisplay": "losses",
    "NormalisationDisplay": "normalisation",
    "OptimizerPathsDisplay": "optimizer_paths",
    "RegressionFitDisplay": "regression_fit",
    "ScheduleDisplay": "schedules",
    "SigmoidDisplay": "sigmoid",
    "SplitDisplay": "split",
    "TrainingCurves": "curves",
    "TreeDisplay": "tree",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Import a name from its file, once."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'portml.plots' has no attribute {name!r}; dir(portml.plots) lists them")
    value = globals()[name] = getattr(importlib.import_module(f"portml.plots.{_MODULE_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(_MODULE_OF)
