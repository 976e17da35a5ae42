"""Where a classifier draws the line: its classes, its probabilities or its margins over two features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from portml.errors import ArgumentError
from portml.nn import Module
from portml.plots.display import Display, Where
from portml.plots.figure import BLACK, PALETTE, diverging_colours, plain_axes
from portml.plots.host import HostArray, host_labels, host_numbers, host_table
from portml.plots.plane import (
    Plane,
    answer,
    classes_of,
    draw_regions,
    draw_samples,
    feature_names,
    plane_around,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DecisionBoundaryDisplay"]

RESPONSES = ("auto", "predict", "predict_proba", "decision_function")


class DecisionBoundaryDisplay(Display):
    r"""A classifier over the plane of its two features, with the samples it learnt from.

    Parameters
    ----------
    plane : Plane
    response : array (n_points,) or (n_points, n_classes)
        Codes of classes for "predict", else what the method gave.
    response_method : {"predict", "predict_proba", "decision_function"}
    classes : array (n_classes,)
    support_vectors : array (n_support, 2), optional
        Ringed.

    Examples
    --------
    >>> from portml.classical import SVC
    >>> from portml.data import make_moons
    >>> X, y = make_moons(60, noise=0.2, random_state=0)
    >>> display = DecisionBoundaryDisplay.from_estimator(SVC().fit(X, y), X, y)
    >>> display.save("boundary.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        plane: Plane,
        response: HostArray,
        response_method: str,
        classes: HostArray,
        support_vectors: HostArray | None = None,
    ) -> None:
        self.plane = plane
        self.response = response
        self.response_method = response_method
        self.classes = classes
        self.support_vectors = support_vectors

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        response_method: str = "auto",
        grid_resolution: int = 200,
        title: str = "Decision boundary",
        ax: Where = None,
    ) -> DecisionBoundaryDisplay:
        r"""Ask a fitted classifier about a grid around `X`, and draw what it says.

        Parameters
        ----------
        estimator : estimator or Module
            A module that has no `predict` is taken to give logits.
        X : array or data frame (n_samples, 2)
            Of any backend; the grid is brought to the same one.
        y : array (n_samples,), optional
            Labels; without them no samples are drawn.
        response_method : {"auto", "predict", "predict_proba", "decision_function"}
            "predict" colours the regions of the classes.  "predict_proba" draws probabilities: of two classes that of
            the second.  "decision_function", of two classes only, draws the boundary f = 0 and the margins
            :math:`f = \pm 1`.  "auto" is "decision_function" for support vector machines of two classes, else
            "predict".
        grid_resolution : int
            Points along each axis.
        title : str
        ax : matplotlib.axes.Axes, optional

        Raises
        ------
        ArgumentError
            If the estimator is none of classes, or does not have the method.
        NotFittedError
            If it was not fitted.
        ShapeError
            If `X` has not two features.
        """
        points = host_table(X, 2)
        labels = None if y is None else host_labels(y, "y", len(points))
        _check(estimator, response_method)
        plane = plane_around(points, grid_resolution)
        predicted = answer(estimator, "predict", plane.points, X)
        seen = predicted if labels is None else np.concatenate([np.unique(predicted), np.unique(labels)])
        classes = classes_of(estimator, seen)
        method = _method(estimator, response_method, len(classes))
        if method == "predict":
            response = np.searchsorted(classes, predicted)
        else:
            response = answer(estimator, method, plane.points, X)
        display = cls(plane, response, method, classes, _support_vectors(estimator, points))
        display.plot(points, labels, title=title, ax=ax)
        axes = display.axes["boundary"]
        names = feature_names(X, estimator)
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])
        return display

    def plot(
        self,
        X: HostArray | None = None,
        y: HostArray | None = None,
        *,
        title: str = "Decision boundary",
        ax: Where = None,
    ) -> DecisionBoundaryDisplay:
        """Draw, with samples (n_samples, 2) and their labels where there are any; see `from_estimator`."""
        (axes,) = self._lay_out(["boundary"], ax, size=(5.2, 4.0))
        {"predict": self._regions, "predict_proba": self._probabilities, "decision_function": self._margins}[
            self.response_method
        ](axes)
        if self.support_vectors is not None:
            style: dict[str, Any] = {"facecolors": "none", "edgecolors": BLACK, "linewidths": 0.9, "zorder": 4}
            axes.scatter(self.support_vectors[:, 0], self.support_vectors[:, 1], s=70, label="support vectors", **style)
        if X is not None and y is not None:
            draw_samples(axes, X, np.searchsorted(self.classes, y), [str(label) for label in self.classes])
            axes.legend(fontsize="small", framealpha=0.85, loc="best")
        plain_axes(axes, title, "$x_1$", "$x_2$")
        axes.grid(False)
        axes.set_xlim(self.plane.x[0], self.plane.x[-1])
        axes.set_ylim(self.plane.y[0], self.plane.y[-1])
        return self

    def _regions(self, axes: Axes) -> None:
        draw_regions(axes, self.plane, self.response, len(self.classes))

    def _probabilities(self, axes: Axes) -> None:
        """Of two classes a scale from one colour to the other; of more each point mixes the colours of all."""
        from matplotlib.colors import to_rgb

        if len(self.classes) == 2:
            table = self.response[:, 1].reshape(self.plane.shape)
            scale: dict[str, Any] = {"cmap": diverging_colours(), "vmin": 0.0, "vmax": 1.0, "alpha": 0.6}
            surface = axes.imshow(table, origin="lower", extent=self.plane.extent, aspect="auto", **scale)
            self._line(axes, table, [0.5], "-")
            label = f"probability of class {self.classes[1]}"
            axes.figure.colorbar(surface, ax=axes, label=label, ticks=[0, 0.25, 0.5, 0.75, 1])
            return
        colours = np.asarray([to_rgb(PALETTE[code % len(PALETTE)]) for code in range(len(self.classes))])
        mixed = (self.response @ colours).reshape(*self.plane.shape, 3).clip(0, 1)
        axes.imshow(mixed, origin="lower", extent=self.plane.extent, aspect="auto", alpha=0.5)

    def _margins(self, axes: Axes) -> None:
        table = self.response.reshape(self.plane.shape)
        draw_regions(axes, self.plane, (self.response >= 0).astype(int), 2)
        self._line(axes, table, [0.0], "-")
        self._line(axes, table, [-1.0, 1.0], "--")

    def _line(self, axes: Axes, table: HostArray, levels: list[float], style: str) -> None:
        reached = [level for level in levels if table.min() < level < table.max()]
        if reached:  # matplotlib warns of a level that is nowhere
            axes.contour(
                self.plane.x, self.plane.y, table, levels=reached, colors=BLACK, linestyles=style, linewidths=1.2
            )


def _check(estimator: Any, response_method: str) -> None:
    if response_method not in RESPONSES:
        raise ArgumentError(f"response_method: expected one of {', '.join(RESPONSES)}, got {response_method!r}")
    if getattr(estimator, "_estimator_type", None) == "regressor":
        raise ArgumentError(
            f"estimator: expected one that predicts classes, got {type(estimator).__name__}; "
            "RegressionFitDisplay draws regressors"
        )
    if not isinstance(estimator, Module) and not hasattr(estimator, "predict"):
        raise ArgumentError(f"estimator: expected one with predict, got {type(estimator).__name__}")


def _method(estimator: Any, asked: str, n_classes: int) -> str:
    if asked == "auto":
        return "decision_function" if hasattr(estimator, "support_vectors_") and n_classes == 2 else "predict"
    is_network = isinstance(estimator, Module) and asked == "predict_proba"
    if not is_network and not hasattr(estimator, asked):
        raise ArgumentError(f"response_method: {type(estimator).__name__} has no {asked}; take another, or 'predict'")
    if asked == "decision_function" and n_classes != 2:
        raise ArgumentError(f"response_method: margins are drawn of two classes, got {n_classes}; take 'predict'")
    return asked


def _support_vectors(estimator: Any, X: HostArray) -> HostArray | None:
    """Those of a support vector machine; with a kernel of the caller's own it keeps only which samples they are."""
    if not hasattr(estimator, "support_vectors_"):
        return None
    if estimator.support_vectors_.shape[0]:
        return host_numbers(estimator.support_vectors_, "support_vectors_")
    chosen: HostArray = X[host_numbers(estimator.support_, "support_").astype(int)]
    return chosen
