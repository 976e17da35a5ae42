"""Recurrent layers: sequences through cells whose state is handed from step to step.

Several layers stand on each other; with two directions each layer also walks from the end, and both results stand side
by side.  Each layer and direction is one kernel over the whole sequence.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from portml.autograd import Tensor
from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend, backend_of, namespace, operations
from portml.backends.kernels.gated_recurrent_unit import gru, gru_saving
from portml.backends.kernels.long_short_term_memory import lstm, lstm_saving
from portml.backends.kernels.projected_memory import projected_lstm
from portml.backends.kernels.recurrent import recurrent
from portml.errors import ArgumentError, RangeError, ShapeError
from portml.nn.arrays import require_array
from portml.nn.dropout import Dropout
from portml.nn.initialisation import generator_for, uniform_fan_in
from portml.nn.module import Module
from portml.random import Generator
from portml.random.arguments import checked_count, checked_integer, checked_real

__all__ = ["GRU", "LSTM", "RNN", "GRUGates", "LSTMGates"]

States = tuple[Array, ...]


class LSTMGates(NamedTuple):
    """Activations of an LSTM's gates, each (..., hidden_size), without gradients."""

    input: Array
    forget: Array
    candidate: Array
    output: Array


class GRUGates(NamedTuple):
    """Activations of a GRU's gates, each (..., hidden_size), without gradients."""

    reset: Array
    update: Array
    candidate: Array


class _Recurrent(Module):
    """What the layers share: parameters, layers, directions, batches, lengths; a subclass says how one walk goes."""

    _gates: int
    _states = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if checked_count(name, value) < 1:
                raise ArgumentError(f"{name}: expected at least 1, got {value}")
        if not 0 <= checked_real("dropout", dropout) <= 1:
            raise RangeError(f"dropout: expected a probability in [0, 1], got {dropout!r}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"dropout: {dropout} has no effect with num_layers=1, as it stands between layers; add layers or use "
                "nn.Dropout on the result",
                UserWarning,
                stacklevel=2,
            )
        rng = generator_for(rng, backend)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        rows, shown = self._gates * hidden_size, self._shown
        for layer in range(num_layers):
            width = input_size if layer == 0 else shown * self.num_directions
            for suffix in self._suffixes(layer):
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, width), "weight_hh": (rows, shown)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if shown != hidden_size:
                    shapes["weight_hr"] = (shown, hidden_size)
                for name, shape in shapes.items():
                    drawn = uniform_fan_in(shape, fan_in=hidden_size, rng=rng, dtype=dtype)
                    setattr(self, name + suffix, Parameter(drawn))
        self._between = Dropout(dropout, rng=rng) if dropout > 0 else None

    @property
    def _shown(self) -> int:
        """Numbers of a state."""
        return self.hidden_size

    @property
    def num_directions(self) -> int:
        """2 with `bidirectional`, else 1."""
        return 2 if self.bidirectional else 1

    def extra_repr(self) -> str:
        """Sizes, and what is not as usual."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        usual = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        parts += [f"{name}={getattr(self, name)!r}" for name, value in usual.items() if getattr(self, name) != value]
        return ", ".join(parts)

    def _pass(self, x: Array, states: States, parameters: States, lengths: Array | None, reverse: bool) -> Any:
        """The results and the states at the end of one layer in one direction."""
        raise NotImplementedError

    def _gates_of(self, x: Array, states: States, parameters: States, lengths: Array | None, reverse: bool) -> Any:
        """The activations of the gates in one such walk."""
        raise ArgumentError(f"return_gates: {type(self).__name__} has no gates; use LSTM or GRU")

    def _suffixes(self, layer: int) -> Iterator[str]:
        yield f"_l{layer}"
        if self.bidirectional:
            yield f"_l{layer}_reverse"

    def _through_time(
        self, x: Array, first: States | None, lengths: Any, return_gates: bool
    ) -> tuple[Array, States, list[Any]]:
        """Results, states at the end, and gates, in the layout that the caller uses."""
        require_array("x", x)
        single = len(x.shape) == 2
        x = self._steps_first(x)
        states = self._first_states(x, first, single)
        lengths = self._lengths(lengths, x, single)
        ends: list[States] = []
        gates: list[Any] = []
        for layer in range(self.num_layers):
            if layer > 0 and self._between is not None:
                x = self._between(x)
            results = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                own = tuple(state[len(ends), ...] for state in states)
                names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                parameters = tuple(
                    getattr(self, name + suffix) if self.bias or name[0] == "w" else None for name in names
                )
                if self._shown != self.hidden_size:
                    parameters += (getattr(self, "weight_hr" + suffix),)
                if return_gates:
                    raw = (_raw(x), tuple(map(_raw, own)), tuple(map(_raw, parameters)))
                    activations = self._gates_of(*raw, lengths, direction == 1)
                    gates.append(type(activations)(*(self._as_given(each, single) for each in activations)))
                result, *end = self._pass(x, own, parameters, lengths, direction == 1)
                results.append(result)
                ends.append(tuple(end))
            x = operations.concat(results, axis=2) if self.bidirectional else results[0]
        stacked = tuple(operations.stack(each, axis=0) for each in zip(*ends, strict=True))
        return self._as_given(x, single), tuple(each[:, 0, ...] if single else each for each in stacked), gates

    def _steps_first(self, x: Array) -> Array:
        """The input as (L, N, input_size)."""
        expected = "(N, L, {0}) or (L, {0})" if self.batch_first else "(L, N, {0}) or (L, {0})"
        if len(x.shape) not in (2, 3) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__}: expected an input of {expected.format(self.input_size)}, got {tuple(x.shape)}"
            )
        if len(x.shape) == 2:
            return operations.expand_dims(x, 1)
        return operations.permute_dims(x, (1, 0, 2)) if self.batch_first else x

    def _as_given(self, y: Array, single: bool) -> Array:
        """From (L, N, features) to the layout of the input."""
        if single:
            return y[:, 0, ...]
        return operations.permute_dims(y, (1, 0, 2)) if self.batch_first else y

    def _first_states(self, x: Array, first: States | None, single: bool) -> States:
        rows, n_samples = self.num_layers * self.num_directions, x.shape[1]
        widths = (self._shown, self.hidden_size)[: self._states]
        if first is None:
            shapes = [(rows, n_samples, width) for width in widths]
            return tuple(namespace(x).zeros(shape, dtype=x.dtype, device=x.device) for shape in shapes)
        for state, width in zip(first, widths, strict=True):
            expected = (rows, width) if single else (rows, n_samples, width)
            require_array("hx", state)
            if tuple(state.shape) != expected:
                raise ShapeError(
                    f"hx: a first state has shape {tuple(state.shape)}; expected {expected}, the layers times the "
                    f"directions first{'' if single else ' and the samples second, with batch_first too'}"
                )
        return tuple(operations.expand_dims(state, 1) for state in first) if single else first

    def _lengths(self, lengths: Any, x: Array, single: bool) -> Array | None:
        if lengths is None:
            return None
        if single:
            raise ArgumentError("lengths: a single sequence has none; cut it, or give a batch of one")
        if hasattr(lengths, "dtype"):
            return _raw(lengths)
        lengths = list(lengths) if isinstance(lengths, Iterable) else [lengths]
        for length in lengths:
            # Those of a device are not read; what is on the host is refused there too.
            if not 0 <= checked_integer("lengths", length) <= x.shape[0]:
                raise RangeError(f"lengths contain {length}; expected 0 to the {x.shape[0]} steps of the sequences")
        return backend_of(x).asarray(lengths, dtype="int64")


class RNN(_Recurrent):
    r"""Plain recurrent layers.

    .. math:: h_t = \varphi(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})

    Input: (L, N, input_size), with `batch_first` (N, L, input_size), or one sequence (L, input_size).
    Results: the states of the last layer after each step, (L, N, D · hidden_size) in the same layout, D = 2 with
    `bidirectional`, else 1; and the state of every layer and direction at the end, (D · num_layers, N, hidden_size).
    Parameters, named and laid out as in PyTorch, for each layer k: ``weight_ih_lk`` (hidden_size, inputs),
    ``weight_hh_lk`` (hidden_size, hidden_size), ``bias_ih_lk``, ``bias_hh_lk`` (hidden_size,), for the other direction
    with ``_reverse`` behind; all uniform in ±1/√hidden_size.  [Elman 1990; Schuster & Paliwal 1997 for two directions]

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int
    nonlinearity : {"tanh", "relu"}
        φ.
    bias, batch_first : bool
    dropout : float
        The probability of dropping a number between one layer and the next in training.
    bidirectional : bool
    rng : Generator or int, optional
        Draws the weights, and what is dropped.
    backend : str or Backend, optional
    dtype : str
    """

    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"nonlinearity: expected 'tanh' or 'relu', got {nonlinearity!r}")
        options: dict[str, Any] = {"rng": rng, "backend": backend, "dtype": dtype}
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, **options)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        """Sizes, and what is not as usual."""
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity!r}")

    def forward(self, x: Array, hx: Array | None = None, *, lengths: Any = None) -> tuple[Array, Array]:
        """Walk through the sequences.

        Parameters
        ----------
        x : array (L, N, input_size), (N, L, input_size) or (L, input_size)
        hx : array (D * num_layers, N, hidden_size), optional
            First states, for a single sequence without N; None is zeros.
        lengths : integers (N,), optional
            How many steps of each sequence count.  At the others the result is zero; the state at the end is that
            after the last step that counts, and the way back begins there: what PyTorch gives for a packed sequence,
            in any order of lengths.

        Raises
        ------
        ArgumentError
            If something is no array, or lengths are given for a single sequence.
        ShapeError, DtypeError
            If something does not fit, there is no step, or the numbers are not real fractions: embed tokens first.
        RangeError
            On the host, if a length is negative or longer than the sequences; on a device all that is worked out for
            such a sequence is NaN.
        """
        y, (end,), _ = self._through_time(x, None if hx is None else (hx,), lengths, False)
        return y, end

    def _pass(self, x: Array, states: States, parameters: States, lengths: Array | None, reverse: bool) -> Any:
        return recurrent(x, *states, *parameters, lengths, nonlinearity=self.nonlinearity, reverse=reverse)


class LSTM(_Recurrent):
    r"""Layers of long short-term memory.

    .. math:: c_t = f_t c_{t-1} + i_t g_t, \quad h_t = o_t \tanh(c_t)

    with the gates :math:`(i, f, g, o)_t =
    (\sigma, \sigma, \tanh, \sigma)(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})`.

    Inputs, results and parameters are those of `RNN`, but each has four times the rows, for the gates in this order,
    and the state is a pair (h, c).  [Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000]

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, rng, backend, dtype
        As for `RNN`.
    proj_size : int
        Above 0, the state is a projection of so many numbers, h_t = W_hr (o_t tanh(c_t)) with ``weight_hr_lk``
        (proj_size, hidden_size), and so are the results; the cell keeps `hidden_size`.  [Sak, Senior & Beaufays 2014]
    """

    _gates, _states = 4, 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if checked_count("proj_size", proj_size) and proj_size >= checked_count("hidden_size", hidden_size):
            raise RangeError(f"proj_size: expected less than hidden_size = {hidden_size}, got {proj_size}")
        self.proj_size = proj_size
        options: dict[str, Any] = {"rng": rng, "backend": backend, "dtype": dtype}
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, **options)

    @property
    def _shown(self) -> int:
        return self.proj_size or self.hidden_size

    def extra_repr(self) -> str:
        """Sizes, and what is not as usual."""
        return super().extra_repr() + (f", proj_size={self.proj_size}" if self.proj_size else "")

    def forward(
        self, x: Array, hx: tuple[Array, Array] | None = None, *, lengths: Any = None, return_gates: bool = False
    ) -> tuple[Any, ...]:
        """Walk through the sequences; arguments and errors as for `RNN`, `hx` the pair of first states and cells.

        With `return_gates` a third result lists the `LSTMGates` of each layer and direction, in the order of the
        states; where a step does not count they are 0, 1, 0 and 0.
        """
        y, end, gates = self._through_time(x, _pair(hx), lengths, return_gates)
        return (y, end, gates) if return_gates else (y, end)

    def _pass(self, x: Array, states: States, parameters: States, lengths: Array | None, reverse: bool) -> Any:
        if self.proj_size:
            return projected_lstm(x, *states, *parameters, lengths, reverse=reverse)[:3]
        return lstm(x, *states, *parameters, lengths, reverse=reverse)

    def _gates_of(self, x: Array, states: States, parameters: States, lengths: Array | None, reverse: bool) -> Any:
        if self.proj_size:
            gates = projected_lstm(x, *states, *parameters, lengths, reverse=reverse)[3]
            return LSTMGates(*(gates[number, ...] for number in range(4)))
        _, saved = lstm_saving(x, *states, *parameters, lengths, reverse=reverse)
        return LSTMGates(*(saved[0][number, ...] for number in range(4)))


class GRU(_Recurrent):
    r"""Layers of gated recurrent units.

    .. math:: h_t = (1 - z_t) n_t + z_t h_{t-1}, \quad
        n_t = \tanh(W_{in} x_t + b_{in} + r_t (W_{hn} h_{t-1} + b_{hn}))

    with the gates :math:`(r, z)_t = \sigma(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})`.

    Inputs, results and parameters are those of `RNN`, but each has three times the rows, for r, z and n in this order.
    [Cho et al. 2014]

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, rng, backend, dtype
        As for `RNN`.
    """

    _gates = 3

    def forward(
        self, x: Array, hx: Array | None = None, *, lengths: Any = None, return_gates: bool = False
    ) -> tuple[Any, ...]:
        """Walk through the sequences; arguments and errors as for `RNN`.

        With `return_gates` a third result lists the `GRUGates` of each layer and direction, in the order of the
        states; where a step does not count they are 0, 1 and 0.
        """
        y, (end,), gates = self._through_time(x, None if hx is None else (hx,), lengths, return_gates)
        return (y, end, gates) if return_gates else (y, end)

    def _pass(self, x: Array, states: States, parameters: States, lengths: Array | None, reverse: bool) -> Any:
        return gru(x, *states, *parameters, lengths, reverse=reverse)

    def _gates_of(self, x: Array, states: States, parameters: States, lengths: Array | None, reverse: bool) -> Any:
        _, saved = gru_saving(x, *states, *parameters, lengths, reverse=reverse)
        return GRUGates(*(saved[0][number, ...] for number in range(3)))


def _pair(hx: Any) -> tuple[Array, Array] | None:
    if hx is None:
        return None
    if not isinstance(hx, tuple | list) or len(hx) != 2:
        raise ArgumentError(f"hx: expected a pair of first states and first cells, (h, c), got {type(hx).__name__}")
    return hx[0], hx[1]


def _raw(x: Any) -> Any:
    return x.value if isinstance(x, Tensor) else x
