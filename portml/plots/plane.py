"""A plane of two features: a grid of points over it, and what a model answers there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from portml.backends import backend_of
from portml.classical.host import device_backend
from portml.errors import ArgumentError
from portml.nn import Module, evaluating
from portml.nn.functional import sigmoid, softmax
from portml.plots.figure import GREY, MARKERS, PALETTE
from portml.plots.host import HostArray, host_labels, host_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "Plane",
    "answer",
    "classes_of",
    "draw_regions",
    "draw_samples",
    "feature_names",
    "plane_around",
    "values_at",
]


@dataclass(frozen=True, eq=False)
class Plane:
    """A grid: every pair of a place on the horizontal and one on the vertical axis.

    Attributes
    ----------
    x : array (n_columns,)
    y : array (n_rows,)
    """

    x: HostArray
    y: HostArray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.y), len(self.x)

    @property
    def points(self) -> HostArray:
        """The points (n_rows * n_columns, 2), row by row."""
        return np.stack([part.ravel() for part in np.meshgrid(self.x, self.y)], axis=1)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of a picture that has a pixel at each point."""
        dx, dy = (self.x[1] - self.x[0]) / 2, (self.y[1] - self.y[0]) / 2
        return self.x[0] - dx, self.x[-1] + dx, self.y[0] - dy, self.y[-1] + dy


def plane_around(X: HostArray, resolution: int, margin: float = 0.12) -> Plane:
    """The plane around samples (n_samples, 2), wider by a share `margin` of their spread on each side.

    Raises
    ------
    ArgumentError
        If the resolution is not a whole number above 1.
    """
    if not isinstance(resolution, int) or resolution < 2:
        raise ArgumentError(f"grid_resolution: expected a whole number of at least 2, got {resolution!r}")
    low, high = X.min(axis=0), X.max(axis=0)
    more = margin * np.where(high > low, high - low, 1.0)
    return Plane(*(np.linspace(start, stop, resolution) for start, stop in zip(low - more, high + more, strict=True)))


def answer(model: Any, method: str, points: HostArray, like: Any) -> HostArray:
    """What a method of a model says of points (n_points, 2), on the host.

    Parameters
    ----------
    model : estimator or Module
        A module without `predict_proba` is taken to give logits: one for class 1 against class 0, or one a class.
    method : {"predict", "predict_proba", "decision_function"}
    points : array (n_points, 2)
    like : array or data frame
        What the points are brought to: its backend and data type, its columns.
    """
    given = _as(points, like)
    if isinstance(model, Module) and not hasattr(model, method):
        found = _probabilities(model, given)
        return np.argmax(found, axis=1) if method == "predict" else found
    result = getattr(model, method)(given)
    if method == "predict":
        return host_labels(result, "predictions")
    found = host_numbers(result, method)
    return np.stack([1 - found, found], axis=1) if method == "predict_proba" and found.ndim == 1 else found


def values_at(model: Any, points: HostArray, like: Any) -> HostArray:
    """What a regressor predicts at points (n_points, n_features), on the host; see `answer`."""
    return host_numbers(model.predict(_as(points, like)), "predictions")


def classes_of(model: Any, seen: HostArray) -> HostArray:
    """The sorted labels that a model may answer: its `classes_`, or those that were `seen`."""
    known = getattr(model, "classes_", None)
    return np.unique(seen) if known is None else host_labels(known, "classes_")


def draw_regions(axes: Axes, plane: Plane, codes: HostArray, n_classes: int) -> None:
    """Colour the plane by classes, codes (n_points,) from 0, with a line between them."""
    from matplotlib.colors import ListedColormap

    table = codes.reshape(plane.shape)
    colours = ListedColormap([PALETTE[code % len(PALETTE)] for code in range(n_classes)])
    options: dict[str, Any] = {"cmap": colours, "vmin": -0.5, "vmax": n_classes - 0.5, "alpha": 0.22}
    axes.imshow(table, origin="lower", extent=plane.extent, aspect="auto", interpolation="nearest", **options)
    for code in range(n_classes):
        if 0 < np.count_nonzero(table == code) < table.size:
            axes.contour(plane.x, plane.y, (table == code).astype(float), levels=[0.5], colors=GREY, linewidths=0.8)


def draw_samples(axes: Axes, X: HostArray, codes: HostArray, names: list[str]) -> None:
    """Scatter samples (n_samples, 2), each class in a colour and with a marker of its own."""
    size = 18.0 if len(X) > 40 else 50.0
    for code, name in enumerate(names):
        some = X[codes == code]
        style: dict[str, Any] = {"color": PALETTE[code % len(PALETTE)], "marker": MARKERS[code % len(MARKERS)]}
        axes.scatter(some[:, 0], some[:, 1], s=size, linewidths=0.4, edgecolors="white", label=name, zorder=3, **style)


def feature_names(X: Any, estimator: Any = None) -> tuple[str, str]:
    """What the axes are called: the columns of a data frame, or x₁ and x₂."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None and hasattr(X, "columns"):
        names = X.columns
    return ("$x_1$", "$x_2$") if names is None or len(names) != 2 else (str(names[0]), str(names[1]))


def _as(points: HostArray, like: Any) -> Any:
    """Points as `like` is: on its backend in its data type, or in a data frame with its columns."""
    if hasattr(like, "iloc"):
        return type(like)(points, columns=like.columns)
    if hasattr(like, "get_columns"):
        return type(like)(points, schema=like.columns)
    if device_backend(like) is not None:
        return backend_of(like).asarray(points, dtype=_floating(str(like.dtype)))
    return points.astype(_floating(str(getattr(like, "dtype", "float64"))))


def _floating(dtype: str) -> str:
    return "float32" if dtype.endswith("float32") else "float64"


def _probabilities(module: Module, points: Any) -> HostArray:
    backend = backend_of(next(module.parameters()).value)
    with evaluating(module):
        logits = module(backend.asarray(points, dtype=next(module.parameters()).value.dtype))
    if len(logits.shape) == 2 and logits.shape[1] > 1:
        return host_numbers(softmax(logits, axis=1), "probabilities")
    one = host_numbers(sigmoid(logits), "probabilities").ravel()
    return np.stack([1 - one, one], axis=1)
