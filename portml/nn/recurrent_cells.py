"""Recurrent cells: one step at a time, for loops that decide what the next input is."""

from __future__ import annotations

from typing import Any

from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend, namespace, operations
from portml.backends.kernels.gated_recurrent_unit import gru, gru_saving
from portml.backends.kernels.long_short_term_memory import lstm, lstm_saving
from portml.backends.kernels.recurrent import recurrent
from portml.errors import ArgumentError, ShapeError
from portml.nn.arrays import require_array
from portml.nn.initialisation import generator_for, uniform_fan_in
from portml.nn.module import Module
from portml.nn.recurrent import GRUGates, LSTMGates
from portml.random import Generator
from portml.random.arguments import checked_count

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class _Cell(Module):
    """What the cells share; a step is the kernel of a sequence of one."""

    _gates: int
    _states = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        for name, value in (("input_size", input_size), ("hidden_size", hidden_size)):
            if checked_count(name, value) < 1:
                raise ArgumentError(f"{name}: expected at least 1, got {value}")
        rng = generator_for(rng, backend)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self._gates * hidden_size

        def drawn(*shape: int) -> Parameter:
            return Parameter(uniform_fan_in(shape, fan_in=hidden_size, rng=rng, dtype=dtype))

        self.weight_ih, self.weight_hh = drawn(rows, input_size), drawn(rows, hidden_size)
        self.bias_ih = drawn(rows) if bias else None
        self.bias_hh = drawn(rows) if bias else None

    def extra_repr(self) -> str:
        """Sizes, and whether there is no bias."""
        return f"{self.input_size}, {self.hidden_size}{'' if self.bias else ', bias=False'}"

    def _arrays(self, x: Array, first: tuple[Array, ...] | None) -> tuple[Any, ...]:
        """The arguments of the kernel for a sequence of one step."""
        require_array("x", x)
        if len(x.shape) not in (1, 2) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__}: expected an input of (N, {self.input_size}) or ({self.input_size},), got "
                f"{tuple(x.shape)}"
            )
        expected = (*x.shape[:-1], self.hidden_size)
        if first is None:
            first = (namespace(x).zeros(expected, dtype=x.dtype, device=x.device),) * self._states
        for state in first:
            require_array("hx", state)
            if tuple(state.shape) != expected:
                raise ShapeError(f"hx: a state has shape {tuple(state.shape)}; expected {expected}")
        if len(x.shape) == 1:
            x, first = operations.expand_dims(x, 0), tuple(operations.expand_dims(state, 0) for state in first)
        parameters = self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
        return (operations.expand_dims(x, 0), *first, *parameters, None)


class RNNCell(_Cell):
    r""":math:`h' = \varphi(W_{ih} x + b_{ih} + W_{hh} h + b_{hh})`.

    Input: (N, input_size) or (input_size,).  Result: (N, hidden_size) or (hidden_size,).
    Parameters, as in PyTorch: ``weight_ih`` (hidden_size, input_size), ``weight_hh`` (hidden_size, hidden_size),
    ``bias_ih``, ``bias_hh`` (hidden_size,), uniform in ±1/√hidden_size.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    nonlinearity : {"tanh", "relu"}
        φ.
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"nonlinearity: expected 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, rng=rng, backend=backend, dtype=dtype)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        """Sizes, and what is not as usual."""
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity!r}")

    def forward(self, x: Array, hx: Array | None = None) -> Array:
        """The state after `x`; before it `hx`, (N, hidden_size) or (hidden_size,), or zeros."""
        arrays = self._arrays(x, None if hx is None else (hx,))
        return _like(x, recurrent(*arrays, nonlinearity=self.nonlinearity)[1])


class LSTMCell(_Cell):
    r""":math:`c' = f c + i g` and :math:`h' = o \tanh(c')`, with the gates of `LSTM`.

    Input: (N, input_size) or (input_size,).  Result: the pair (h', c'), each (N, hidden_size) or (hidden_size,).
    Parameters are those of `RNNCell` with four times the rows, for the gates i, f, g and o.
    [Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000]

    Parameters
    ----------
    input_size, hidden_size, bias, rng, backend, dtype
        As for `RNNCell`.
    """

    _gates, _states = 4, 2

    def forward(
        self, x: Array, hx: tuple[Array, Array] | None = None, *, return_gates: bool = False
    ) -> tuple[Any, ...]:
        """The states after `x`; before it the pair `hx`, or zeros.  With `return_gates` also the `LSTMGates`."""
        if hx is not None and (not isinstance(hx, tuple | list) or len(hx) != 2):
            raise ArgumentError(f"hx: expected a pair of state and cell, (h, c), got {type(hx).__name__}")
        arrays = self._arrays(x, None if hx is None else tuple(hx))
        h, c = (_like(x, each) for each in lstm(*arrays)[1:])
        if not return_gates:
            return h, c
        gates = lstm_saving(*map(_raw, arrays), reverse=False)[1][0]
        return h, c, LSTMGates(*(_like(x, gates[number, 0, ...]) for number in range(4)))


class GRUCell(_Cell):
    r""":math:`h' = (1 - z) n + z h`, with the gates of `GRU`.

    Inputs and results are those of `RNNCell`, parameters too, with three times the rows, for r, z and n.
    [Cho et al. 2014]

    Parameters
    ----------
    input_size, hidden_size, bias, rng, backend, dtype
        As for `RNNCell`.
    """

    _gates = 3

    def forward(self, x: Array, hx: Array | None = None, *, return_gates: bool = False) -> Any:
        """The state after `x`; before it `hx`, or zeros.  With `return_gates` also the `GRUGates`."""
        arrays = self._arrays(x, None if hx is None else (hx,))
        h = _like(x, gru(*arrays)[1])
        if not return_gates:
            return h
        gates = gru_saving(*map(_raw, arrays), reverse=False)[1][0]
        return h, GRUGates(*(_like(x, gates[number, 0, ...]) for number in range(3)))


def _like(x: Array, state: Array) -> Array:
    """Without the axis of samples where the input has none."""
    return state[0, ...] if len(x.shape) == 1 else state


def _raw(x: Any) -> Any:
    return getattr(x, "value", x)
