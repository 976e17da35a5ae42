"""What the gates of a recurrent layer do as it reads one sequence: maps of units over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from portml.errors import ArgumentError, ShapeError
from portml.nn import GRU, LSTM, evaluating
from portml.nn.recurrent import GRUGates, LSTMGates
from portml.plots.display import Display, Where
from portml.plots.figure import diverging_colours
from portml.plots.host import HostArray, host_numbers

__all__ = ["GatesDisplay"]


class GatesDisplay(Display):
    """A map for each gate, for the candidate, and for what they make of the state: a row a unit, a column a step.

    An LSTM's are its input, forget and output gates, the candidate, the cell and the state; a GRU's its reset and
    update gates, the candidate and the state.  Gates are on one scale from 0, closed, to 1, open.

    Parameters
    ----------
    gates : LSTMGates or GRUGates of arrays (L, hidden_size)
        Of one sequence, as the layers give them with ``return_gates=True``.
    tokens : sequence of str, optional
        The names of the steps; their numbers without.
    first : array (hidden_size,), optional
        What stood there before the first step, an LSTM's cell or a GRU's state; zeros without.
    reverse : bool
        Whether they are of the direction that walks from the end.

    Raises
    ------
    ShapeError
        If the gates have other shapes.
    ArgumentError
        If there is not a token for each step.

    Attributes
    ----------
    maps : dict of str to array (hidden_size, L)
        What is drawn.

    Examples
    --------
    >>> from portml.nn.recurrent import GRUGates
    >>> display = GatesDisplay(GRUGates([[0.5]], [[0.25]], [[1.0]]), first=[-1.0])  # drawn by .plot()
    >>> [*display.maps]
    ['reset gate', 'update gate', 'candidate', 'state']
    >>> float(display.maps["state"][0, 0])  # a quarter of the old state, three quarters of the candidate
    0.5
    """

    def __init__(
        self,
        gates: LSTMGates | GRUGates,
        tokens: Sequence[Any] | None = None,
        *,
        first: Any = None,
        reverse: bool = False,
    ) -> None:
        host = [host_numbers(each, f"gates.{name}", ndim=2) for name, each in zip(gates._fields, gates, strict=True)]
        if len({each.shape for each in host}) > 1:
            raise ShapeError(f"gates: expected one shape (L, hidden_size), got {[each.shape for each in host]}")
        n_steps, size = host[0].shape
        start = np.zeros(size) if first is None else host_numbers(first, "first")
        if start.shape != (size,):
            raise ShapeError(f"first: expected shape ({size},), one for each unit, got {start.shape}")
        if tokens is not None and len(tokens) != n_steps:
            raise ArgumentError(f"tokens: expected {n_steps}, one for each step, got {len(tokens)}")
        # White space, which would not be seen, by its sign.
        self.tokens = None if tokens is None else [str(each).translate({32: "␣", 10: "↵", 9: "⇥"}) for each in tokens]
        over_time = _lstm_maps if isinstance(gates, LSTMGates) else _gru_maps
        self.maps = {name: values.T for name, values in over_time(host, start, reverse).items()}

    @classmethod
    def from_module(
        cls,
        module: LSTM | GRU,
        x: Any,
        hx: Any = None,
        *,
        tokens: Sequence[Any] | None = None,
        layer: int = 0,
        reverse: bool = False,
        ax: Where = None,
    ) -> GatesDisplay:
        """Draw what a layer does as it reads a sequence, without dropout.

        Parameters
        ----------
        module : LSTM or GRU
        x : array (L, input_size)
            One sequence, on the module's backend.
        hx : arrays (D * num_layers, hidden_size), optional
            First states as the module takes them.
        tokens : sequence of str, optional
            The names of the steps.
        layer : int
            Which of the module's layers.
        reverse : bool
            Whether the direction that walks from the end is drawn.
        ax : sequence of matplotlib.axes.Axes, optional
            Six for an LSTM, four for a GRU.

        Raises
        ------
        ArgumentError
            If the module has no gates, not that layer, or only one direction.
        ShapeError
            If `x` is not one sequence.
        """
        place = _place_of(module, x, layer, reverse)
        with evaluating(module):
            _, _, gates = module(x, hx, return_gates=True)
        start = hx if hx is None or isinstance(module, GRU) else hx[1]
        first = None if start is None else host_numbers(start, "hx")[place]
        return cls(gates[place], tokens, first=first, reverse=reverse).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> GatesDisplay:
        """Draw, three panels in a row for an LSTM, two for a GRU."""
        columns = 3 if len(self.maps) == 6 else 2
        size, n_steps = self.maps["state"].shape
        inches = min(max(0.16 * n_steps + 1.2, 3.4), 6.0), min(max(0.12 * size + 0.9, 2.2), 5.0)
        panels = self._lay_out([*self.maps], ax, columns=columns, size=inches)
        for number, (axes, (name, values)) in enumerate(zip(panels, self.maps.items(), strict=False)):
            image = axes.imshow(values, aspect="auto", interpolation="nearest", **_scale(name, values))
            axes.set_title(name, loc="left", fontweight="bold")
            axes.set_xlabel("step" if number >= len(panels) - columns else "")
            axes.set_ylabel("unit" if number % columns == 0 else "")
            self._name_steps(axes)
            self.figure.colorbar(image, ax=axes, pad=0.02)
        return self

    def _name_steps(self, axes: Any) -> None:
        """Tokens, or numbers, along the steps."""
        from matplotlib.ticker import MaxNLocator

        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        if self.tokens is None:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            return
        turned = max(map(len, self.tokens)) > 1
        font = min(9.0, 200 / len(self.tokens))
        # A dollar is a token like others, no formula.
        axes.set_xticks(
            range(len(self.tokens)), self.tokens, fontsize=font, rotation=90 if turned else 0, parse_math=False
        )


def _place_of(module: Any, x: Any, layer: int, reverse: bool) -> int:
    """Where the gates of that layer and direction stand among all of them."""
    if not isinstance(module, LSTM | GRU):
        raise ArgumentError(f"module: expected an LSTM or a GRU, which have gates, got {type(module).__name__}")
    if not 0 <= layer < module.num_layers:
        raise ArgumentError(f"layer: expected one from 0 to {module.num_layers - 1}, got {layer}")
    if reverse and not module.bidirectional:
        raise ArgumentError("reverse: the module walks forward only; draw a bidirectional one, or leave it out")
    if len(x.shape) != 2:
        raise ShapeError(
            f"x: expected one sequence (L, {module.input_size}), got {tuple(x.shape)}; take one of a batch"
        )
    return layer * module.num_directions + reverse


def _lstm_maps(gates: list[HostArray], cell: HostArray, reverse: bool) -> dict[str, HostArray]:
    """Each (L, hidden_size): c_t = f c_{t-1} + i g and h_t = o tanh(c_t), from the cell before the first step."""
    into, forget, candidate, output = gates
    cells = np.empty_like(forget)
    for t in range(len(cells))[:: -1 if reverse else 1]:
        cells[t] = cell = forget[t] * cell + into[t] * candidate[t]
    named = {"input gate": into, "forget gate": forget, "output gate": output}
    return named | {"candidate": candidate, "cell": cells, "state": output * np.tanh(cells)}


def _gru_maps(gates: list[HostArray], state: HostArray, reverse: bool) -> dict[str, HostArray]:
    """Each (L, hidden_size): h_t = (1 - z) n + z h_{t-1}, from the state before the first step."""
    reset, update, candidate = gates
    states = np.empty_like(update)
    for t in range(len(states))[:: -1 if reverse else 1]:
        states[t] = state = (1 - update[t]) * candidate[t] + update[t] * state
    return {"reset gate": reset, "update gate": update, "candidate": candidate, "state": states}


def _scale(name: str, values: HostArray) -> dict[str, Any]:
    """Colours from closed to open for gates; for the rest from below to above zero, a cell's as far as it goes."""
    if name.endswith("gate"):
        return {"cmap": "Blues", "vmin": 0.0, "vmax": 1.0}
    most = float(np.abs(values).max()) or 1.0 if name == "cell" else 1.0
    return {"cmap": diverging_colours(), "vmin": -most, "vmax": most}
