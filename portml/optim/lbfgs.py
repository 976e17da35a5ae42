"""L-BFGS as an optimizer of parameters; the algorithm stands in `portml.optim.minimise`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from portml.autograd import Tensor, enable_grad
from portml.backends import Array, namespace, to_numpy
from portml.errors import ArgumentError, CheckpointError
from portml.optim.minimise import CurvaturePair, Point, strong_wolfe, two_loop_direction
from portml.optim.optimizer import Optimizer
from portml.optim.storage import FlatStorage

__all__ = ["LBFGS"]

SMALLEST_CURVATURE = 1e-10


class LBFGS(Optimizer):
    """Steps like Newton's, from the last changes of the gradient; for losses that are the same at every call.

    One `step` makes up to `max_iter` iterations, each of which calls the closure at least once.
    [Nocedal & Wright 2006, algorithms 7.4 and 7.5; Schmidt's minFunc, whose limits PyTorch took over]

    Parameters
    ----------
    params : iterable of Parameter
        In one group, of one data type and device.
    lr : float
        The step along each direction, and the first one that a line search tries; the very first is 1 / ‖g‖₁ of it.
    max_iter : int
        Iterations in one `step`.
    max_eval : int, optional
        Calls of the closure in one `step`; by default 1.25 `max_iter`.
    tolerance_grad : float
        Ends when no entry of the gradient is larger.
    tolerance_change : float
        Ends when neither a parameter nor the loss changes by more.
    history_size : int
        How many changes of the gradient are remembered.
    line_search_fn : {"strong_wolfe"}, optional
        None takes `lr` as it is.

    Raises
    ------
    ArgumentError
        If there is more than one group, or parameters of several data types or devices.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        self._memory = _Memory()
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse options out of range."""
        super().check(group)
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ArgumentError(f"line_search_fn: expected 'strong_wolfe' or None, got {group['line_search_fn']!r}")
        for name in ("max_iter", "max_eval", "history_size"):
            if not isinstance(group[name], int) or group[name] < 1:
                raise ArgumentError(f"{name}: expected an integer of at least 1, got {group[name]!r}")

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Take the only group."""
        if self.param_groups:
            raise ArgumentError("group: L-BFGS has one group, as one direction moves all parameters")
        super().add_param_group(group)
        if len(self._storages[0]) > 1:
            raise ArgumentError("params: L-BFGS takes parameters of one data type on one device")

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor:
        """Move the parameters.

        Parameters
        ----------
        closure : callable
            Clears the gradients, works out the loss, calls its `backward`, and returns it.

        Returns
        -------
        Tensor
            The loss before the step.
        """
        if closure is None:
            raise ArgumentError("closure: L-BFGS works out the loss several times; give step(closure)")
        (group,), ((storage,),) = self.param_groups, self._storages
        self.check(group)
        here, memory = _Place(storage, closure), self._memory
        first = here.evaluate()
        evaluations = 1
        for iteration in range(1, group["max_iter"] + 1):
            if _largest(here.gradient) <= group["tolerance_grad"]:
                break
            direction = memory.next_direction(here.gradient, group)
            slope = _dot(here.gradient, direction)
            if slope > -group["tolerance_change"]:
                break
            before = here.loss
            # Where the step ends the gradient is not wanted any more.
            used = self._advance(here, direction, slope, group["max_eval"] - evaluations, iteration < group["max_iter"])
            evaluations += used
            if evaluations >= group["max_eval"] or memory.rate * _largest(direction) <= group["tolerance_change"]:
                break
            if used and abs(here.loss - before) < group["tolerance_change"]:
                break
        return first

    # Checkpoints

    def state_dict(self) -> dict[str, Any]:
        """What is remembered, beside the options; curvature pairs are stacked, oldest first."""
        memory = self._memory
        state: dict[int, dict[str, Any]] = {}
        if memory.gradient is not None:
            xp = namespace(memory.gradient)
            state[0] = {"step": memory.n_iter, "prev_flat_grad": memory.gradient, "d": memory.direction}
            state[0]["t"] = xp.full_like(memory.gradient[:1], memory.rate)
            if memory.pairs:
                state[0]["old_stps"] = xp.stack([pair.step for pair in memory.pairs])
                state[0]["old_dirs"] = xp.stack([pair.change for pair in memory.pairs])
        return {**super().state_dict(), "state": state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what another L-BFGS over parameters of the same sizes remembered.

        Raises
        ------
        CheckpointError
            If it is no such state, or of other sizes.
        """
        super().load_state_dict({**state, "state": {}})
        ((storage,),) = self._storages
        saved = dict(state["state"].get(0, {}))
        n_iter = int(saved.pop("step", 0))
        arrays = {name: storage.backend.asarray(array, storage.values.dtype) for name, array in saved.items()}
        size = storage.values.shape[0]
        for name, array in arrays.items():
            if name != "t" and array.shape[-1] != size:
                raise CheckpointError(f"state: {name} has {array.shape[-1]} numbers, expected {size}")
        self._memory = _Memory(n_iter=n_iter)
        if arrays:
            self._memory.rate = float(to_numpy(arrays["t"])[0])
            self._memory.gradient, self._memory.direction = arrays["prev_flat_grad"], arrays["d"]
        for i in range(arrays["old_stps"].shape[0] if "old_stps" in arrays else 0):
            self._memory.add_pair(arrays["old_stps"][i, ...], arrays["old_dirs"][i, ...])

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self._memory = _Memory()
        super().__setstate__(saved)

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """None that belongs to a single parameter."""
        return ()

    def _advance(self, here: _Place, direction: Array, slope: float, budget: int, look: bool) -> int:
        """Move along a direction; how often the loss was worked out."""
        memory, start = self._memory, here.position()
        if self.param_groups[0]["line_search_fn"] is None:
            here.go_to(start, direction, memory.rate)
            if look:
                here.evaluate()
            return int(look)

        def evaluate(rate: float) -> Point:
            here.go_to(start, direction, rate)
            here.evaluate()
            return Point(rate, here.loss, _dot(here.gradient, direction), here.gradient)

        origin = Point(0.0, here.loss, slope, here.gradient)
        found, used = strong_wolfe(evaluate, origin, memory.rate, max_evaluations=max(budget, 1))
        best = origin if found is None else found
        memory.rate, here.loss, here.gradient = best.step, best.value, best.payload
        here.go_to(start, direction, best.step)
        return used


@dataclass
class _Memory:
    """What is known of the steps so far: the last gradient, the direction taken from there, and curvature pairs."""

    pairs: deque[CurvaturePair] = field(default_factory=deque)
    gradient: Array | None = None
    direction: Array | None = None
    rate: float = 0.0
    n_iter: int = 0

    def next_direction(self, gradient: Array, group: dict[str, Any]) -> Array:
        """Remember what the last step changed, and say where to go from here, and how far at first."""
        if self.gradient is not None and self.direction is not None:
            self.add_pair(self.direction * self.rate, gradient - self.gradient)
            while len(self.pairs) > group["history_size"]:
                self.pairs.popleft()
        self.n_iter += 1
        self.gradient, self.direction = gradient, two_loop_direction(gradient, self.pairs)
        # Before anything is known of the curvature a step of length one is a guess of the scale.
        self.rate = group["lr"] * (1.0 if self.n_iter > 1 else min(1.0, 1.0 / _sum_of_sizes(gradient)))
        return self.direction

    def add_pair(self, step: Array, change: Array) -> None:
        """Add a pair, unless the curvature along the step is not safely positive."""
        curvature = _dot(step, change)
        if curvature > SMALLEST_CURVATURE:
            self.pairs.append(CurvaturePair(step, change, 1.0 / curvature))


class _Place:
    """The loss and its gradient where the parameters are, as one flat array."""

    def __init__(self, storage: FlatStorage, closure: Callable[[], Tensor]) -> None:
        self.storage = storage
        self.closure = closure
        self.loss = 0.0
        self.gradient: Array = storage.gradients

    def evaluate(self) -> Tensor:
        with enable_grad():
            loss = self.closure()
        self.loss = float(to_numpy(loss.value))
        self.gradient = self._gathered()
        return loss

    def position(self) -> Array:
        return namespace(self.storage.values).asarray(self.storage.values, copy=True)

    def go_to(self, origin: Array, direction: Array, rate: float) -> None:
        self.storage.values[...] = origin + rate * direction
        self.storage.advance(0, len(self.storage.parameters))

    def _gathered(self) -> Array:
        """A copy of the gradient, zero where none arrived."""
        xp = namespace(self.storage.gradients)
        gathered = xp.zeros_like(self.storage.gradients)
        for run in self.storage.runs():
            gathered[run.start : run.stop] = self.storage.gradients[run.start : run.stop]
        return gathered


def _dot(a: Array, b: Array) -> float:
    return float(to_numpy(namespace(a, b).vecdot(a, b)))


def _largest(x: Array) -> float:
    xp = namespace(x)
    return float(to_numpy(xp.max(xp.abs(x)))) if x.shape[0] else 0.0


def _sum_of_sizes(x: Array) -> float:
    xp = namespace(x)
    return float(to_numpy(xp.sum(xp.abs(x))))
