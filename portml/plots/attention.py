"""Which keys each query attends to: maps of attention weights, of one head or of all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from portml.errors import ArgumentError, ShapeError
from portml.plots.display import Display, Where
from portml.plots.host import HostArray, host_numbers

__all__ = ["AttentionDisplay"]


class AttentionDisplay(Display):
    """A row for each query, a column for each key; the darker, the more the query attends to the key.

    All maps are on one scale, from zero to the largest weight.

    Parameters
    ----------
    weights : array (T_query, T_key), (heads, T_query, T_key) or (layers, heads, T_query, T_key)
        What `MultiheadAttention` and the models give with ``need_weights=True``, of one sequence.
    query_tokens : sequence of str, optional
        The names of the rows; their numbers without.
    key_tokens : sequence of str, optional
        The names of the columns.  None takes the queries' where there are as many, as in self-attention.

    Raises
    ------
    ShapeError
        If the weights have other axes.
    ArgumentError
        If a weight is below zero or not finite, or there is not a token for each query and key.

    Examples
    --------
    >>> display = AttentionDisplay([[0.9, 0.1], [0.5, 0.5]], ["all", "men"])  # drawn by .plot()
    >>> display.key_tokens
    ['all', 'men']
    """

    def __init__(
        self, weights: Any, query_tokens: Sequence[Any] | None = None, key_tokens: Sequence[Any] | None = None
    ) -> None:
        self.weights = _maps(weights)
        n_queries, n_keys = self.weights.shape[-2:]
        if key_tokens is None and n_queries == n_keys:
            key_tokens = query_tokens
        self.query_tokens = _names(query_tokens, "query_tokens", n_queries)
        self.key_tokens = _names(key_tokens, "key_tokens", n_keys)

    @classmethod
    def from_weights(
        cls,
        weights: Any,
        query_tokens: Sequence[Any] | None = None,
        key_tokens: Sequence[Any] | None = None,
        *,
        ax: Where = None,
    ) -> AttentionDisplay:
        """Draw one map, those of the heads, or those of every layer's heads.

        Parameters
        ----------
        weights : array (..., T_query, T_key), or a list of arrays with one for each layer
            Of any backend.  (heads, T_query, T_key) gives the panels "head 0", "head 1", ...;
            (layers, heads, T_query, T_key) a row of panels for each layer, "layer 0, head 0", ...
        query_tokens, key_tokens : sequence of str, optional
            See the class.
        ax : matplotlib.axes.Axes or sequence of them, optional
            One for each map, layer by layer.
        """
        return cls(weights, query_tokens, key_tokens).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> AttentionDisplay:
        """Draw."""
        n_queries, n_keys = self.weights.shape[-2:]
        maps = self.weights.reshape(-1, n_queries, n_keys)
        names, columns = _panels(self.weights.shape[:-2])
        inches = _inches_of_a_place(max(n_queries, n_keys), len(maps))
        panels = self._lay_out(names, ax, columns=columns, size=self._panel_size(inches, len(maps), columns))
        for number, (axes, name, values) in enumerate(zip(panels, names, maps, strict=True)):
            image = axes.imshow(values, cmap="Blues", vmin=0.0, vmax=self.weights.max() or 1.0, aspect="auto")
            if len(maps) > 1:
                axes.set_title(name, fontsize="medium")
            # A grid is named at its edges alone: inside, the names would take the room of the maps.
            lowest, leftmost = number + columns >= len(maps), number % columns == 0
            _name_places(axes, "x", "key" if lowest else "", self.key_tokens, n_keys, inches)
            _name_places(axes, "y", "query" if leftmost else "", self.query_tokens, n_queries, inches)
        self.figure.colorbar(image, ax=panels, label="attention weight", pad=0.02, aspect=30)
        return self

    def _panel_size(self, inches: float, n_maps: int, columns: int) -> tuple[float, float]:
        """Width and height of a panel: its map, and its share of the names at the edges."""
        n_queries, n_keys = self.weights.shape[-2:]
        beside, below = (_longest(tokens) * _letters(inches) / 72 for tokens in (self.query_tokens, self.key_tokens))
        width = max(inches * n_keys, 0.9) + (beside + 1.0) / columns + 0.1
        height = max(inches * n_queries, 0.9) + (below + 0.3) / math.ceil(n_maps / columns) + 0.25
        return width, height


def _maps(weights: Any) -> HostArray:
    if isinstance(weights, list | tuple) and weights and hasattr(weights[0], "shape"):
        layers = [host_numbers(layer, f"weights[{number}]") for number, layer in enumerate(weights)]
        if len({layer.shape for layer in layers}) > 1:
            raise ShapeError(f"weights: expected one shape in all layers, got {[layer.shape for layer in layers]}")
        weights = np.stack(layers)
    maps = host_numbers(weights, "weights")
    if not 2 <= maps.ndim <= 4:
        raise ShapeError(
            "weights: expected (T_query, T_key), (heads, T_query, T_key) or (layers, heads, T_query, T_key), "
            f"got {maps.shape}; take one sequence of a batch, as layer[0] of each layer"
        )
    if maps.min() < 0:
        raise ArgumentError(f"weights: expected none below zero, got {maps.min():.3g}; draw them after the softmax")
    return maps


def _names(tokens: Sequence[Any] | None, name: str, count: int) -> list[str] | None:
    """What is written at the places: white space, which would not be seen, by its sign."""
    if tokens is None:
        return None
    if len(tokens) != count:
        raise ArgumentError(f"{name}: expected {count}, one for each place of the map, got {len(tokens)}")
    return [str(token).translate({32: "␣", 10: "↵", 9: "⇥"}) for token in tokens]


def _panels(leading: tuple[int, ...]) -> tuple[list[str], int]:
    """The names of the panels, and how many stand in a row."""
    if not leading:
        return ["weights"], 1
    if len(leading) == 1:
        rows = math.ceil(leading[0] / max(4, math.isqrt(leading[0])))
        return [f"head {head}" for head in range(leading[0])], math.ceil(leading[0] / rows)
    return [f"layer {layer}, head {head}" for layer, head in product(*map(range, leading))], leading[1]


def _inches_of_a_place(n_places: int, n_maps: int) -> float:
    """The side of one weight: room for a name beside it, while the map is neither tiny nor larger than a page."""
    usual, least, most = (0.26, 2.6, 10.0) if n_maps == 1 else (0.13, 1.5, 3.6)
    return min(max(usual, least / n_places), most / n_places)


def _letters(inches: float) -> float:
    """The size in points of names that stand so many inches apart."""
    return min(9.0, 0.8 * 72 * inches)


def _longest(tokens: list[str] | None) -> float:
    """How long the longest name is, in sizes of its letters."""
    return 0.6 * max((len(token) for token in tokens or ["0"]), default=1)


def _name_places(axes: Any, which: str, label: str, tokens: list[str] | None, n_places: int, inches: float) -> None:
    """Tokens, or numbers, along one axis of a map; without a label, nothing."""
    from matplotlib.ticker import MaxNLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    if not label:
        axis.set_ticks([])
        return
    axis.set_label_text(label)
    if tokens is None:
        axis.set_major_locator(MaxNLocator(integer=True, nbins=min(10, max(2, int(5 * inches * n_places)))))
        return
    size = _letters(inches)
    turned = which == "x" and _longest(tokens) * size > 72 * inches
    # A dollar is a token like others, no formula.
    axis.set_ticks(range(n_places), tokens, fontsize=size, rotation=90 if turned else 0, parse_math=False)
