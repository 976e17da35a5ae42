"""The cells of k-means: which centre is nearest where."""

from __future__ import annotations

from typing import Any

import numpy as np

from portml.classical.validation import require_fitted
from portml.plots.display import Display, Where
from portml.plots.figure import BLACK, plain_axes
from portml.plots.host import HostArray, host_labels, host_numbers, host_table
from portml.plots.plane import Plane, answer, draw_regions, draw_samples, feature_names, plane_around

__all__ = ["KMeansDisplay"]


class KMeansDisplay(Display):
    """The Voronoi cells of the centres, the samples in the colours of their clusters, and the centres as crosses.

    Parameters
    ----------
    plane : Plane
    cells : array (n_points,)
        The number of the nearest centre at each point of the plane.
    centers : array (n_clusters, 2)
    inertia : float
    """

    def __init__(self, plane: Plane, cells: HostArray, centers: HostArray, inertia: float) -> None:
        self.plane = plane
        self.cells = cells
        self.centers = centers
        self.inertia = inertia

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, *, grid_resolution: int = 200, ax: Where = None) -> KMeansDisplay:
        """Draw the cells of fitted `KMeans` or `MiniBatchKMeans` around samples.

        Parameters
        ----------
        estimator : KMeans or MiniBatchKMeans
        X : array or data frame (n_samples, 2)
        grid_resolution : int
        ax : matplotlib.axes.Axes, optional

        Raises
        ------
        NotFittedError
            If the estimator was not fitted.
        ShapeError
            If `X` has not two features.
        """
        points = host_table(X, 2)
        require_fitted(estimator)
        plane = plane_around(points, grid_resolution)
        cells = answer(estimator, "predict", plane.points, X)
        centers = host_numbers(estimator.cluster_centers_, "cluster_centers_")
        display = cls(plane, cells, centers, float(estimator.inertia_))
        display.plot(points, host_labels(estimator.predict(X), "labels"), ax=ax)
        axes, names = display.axes["cells"], feature_names(X, estimator)
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])
        return display

    def plot(self, X: HostArray, labels: HostArray, *, ax: Where = None) -> KMeansDisplay:
        """Draw, with samples (n_samples, 2) and their clusters."""
        (axes,) = self._lay_out(["cells"], ax, size=(5.2, 4.0))
        k = len(self.centers)
        draw_regions(axes, self.plane, self.cells, k)
        draw_samples(axes, X, labels, [f"cluster {number}: {np.sum(labels == number)}" for number in range(k)])
        axes.scatter(
            self.centers[:, 0],
            self.centers[:, 1],
            marker="X",
            s=130,
            color=BLACK,
            edgecolors="white",
            label="centres",
            zorder=5,
        )
        plain_axes(axes, f"k-means, k = {k}, inertia {self.inertia:.4g}", "$x_1$", "$x_2$")
        axes.grid(False)
        if k <= 8:
            axes.legend(fontsize="small", framealpha=0.85, loc="best")
        axes.set_xlim(self.plane.x[0], self.plane.x[-1])
        axes.set_ylim(self.plane.y[0], self.plane.y[-1])
        return self
