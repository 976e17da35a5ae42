"""Hooks: functions that are called around a module's forward pass, and when gradients pass it on the way back.

Backward hooks stand on the tape as two operations that change nothing, one on the module's inputs and one on its
outputs.  On the way back the second is reached first and keeps the gradients of the outputs; at the first those of the
inputs have arrived, and the hooks are called with both.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from portml.autograd import Tensor, grad_enabled, lift
from portml.backends import Array, Kernel
from portml.backends.doorway import unrepeatable
from portml.backends.kernel import REQUIRED, Signature
from portml.errors import ArgumentError

if TYPE_CHECKING:
    from portml.nn.module import Module

__all__ = ["Handle", "Hooks", "call_with_hooks"]

Hook = Callable[..., Any]
Registered = dict[int, tuple[Hook, bool]]

_numbers = itertools.count()


class Handle:
    """A hook that was registered: `remove` takes it away, once; as a context manager it does so at the end."""

    def __init__(self, registered: Registered, number: int) -> None:
        self._registered = registered
        self._number = number

    def remove(self) -> None:
        """Take the hook away; a second time nothing happens."""
        self._registered.pop(self._number, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Hooks:
    """The hooks of one module, in the order in which they are called; each with whether it wants the options too."""

    def __init__(self) -> None:
        self.before: Registered = {}
        self.after: Registered = {}
        self.backward_before: Registered = {}
        self.backward: Registered = {}

    def add(self, kind: str, hook: Hook, prepend: bool, with_kwargs: bool = False) -> Handle:
        """Register a hook after, or before, those that are there."""
        if not callable(hook):
            raise ArgumentError(f"hook: expected a function, got a {type(hook).__name__}")
        registered: Registered = getattr(self, kind)
        number = next(_numbers)
        others = dict(registered) if prepend else {}
        if prepend:
            registered.clear()
        registered[number] = (hook, with_kwargs)
        registered.update(others)
        return Handle(registered, number)


def call_with_hooks(module: Module, *inputs: Any, **options: Any) -> Any:
    """Run a module's `forward` with its hooks around it."""
    unrepeatable(f"a hook of {type(module).__name__} runs Python beside the arrays")
    hooks = module._hooks
    assert hooks is not None
    for hook, with_kwargs in tuple(hooks.before.values()):
        if with_kwargs:
            inputs, options = hook(module, inputs, options) or (inputs, options)
        else:
            replaced = hook(module, inputs)
            inputs = inputs if replaced is None else replaced if isinstance(replaced, tuple) else (replaced,)
    passage = None
    if (hooks.backward or hooks.backward_before) and grad_enabled():
        passage = _Passage(module, hooks)
        inputs = passage.entered(inputs)
    y = module.forward(*inputs, **options)
    for hook, with_kwargs in tuple(hooks.after.values()):
        replaced = hook(module, inputs, options, y) if with_kwargs else hook(module, inputs, y)
        y = y if replaced is None else replaced
    return y if passage is None else passage.left(y)


class _Passage:
    """One run of a module with backward hooks: what its inputs and outputs get on the way back."""

    def __init__(self, module: Module, hooks: Hooks) -> None:
        self.module = module
        self.hooks = hooks
        self.count = 0
        self.tracked: list[int] = []
        self.outputs: tuple[Any, ...] = ()

    def entered(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """The inputs, those that take a gradient watched."""
        self.count, self.tracked = len(inputs), _tracked(inputs)
        return _watched(inputs, self.tracked, self._at_inputs)

    def left(self, y: Any) -> Any:
        """The result, or the results in a tuple, watched."""
        results = y if isinstance(y, tuple) else (y,)
        watched = _watched(results, _tracked(results), self._at_outputs)
        return watched if isinstance(y, tuple) else watched[0]

    def _at_outputs(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook, _ in tuple(self.hooks.backward_before.values()):
            gradients = _replaced(hook(self.module, gradients), gradients, "register_full_backward_pre_hook")
        self.outputs = gradients
        if not self.tracked:
            for hook, _ in tuple(self.hooks.backward.values()):
                hook(self.module, (None,) * self.count, gradients)
        return gradients

    def _at_inputs(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        if not self.outputs:
            return gradients  # a second derivative comes by, of what the module computed inside
        every: list[Any] = [None] * self.count
        for place, gradient in zip(self.tracked, gradients, strict=True):
            every[place] = gradient
        given, outputs, self.outputs = tuple(every), self.outputs, ()
        for hook, _ in tuple(self.hooks.backward.values()):
            given = _replaced(hook(self.module, given, outputs), given, "register_full_backward_hook")
        return tuple(given[place] for place in self.tracked)


def _tracked(values: Sequence[Any]) -> list[int]:
    return [place for place, value in enumerate(values) if isinstance(value, Tensor) and value.requires_grad]


def _watched(values: tuple[Any, ...], tracked: list[int], flow: Callable[..., Any]) -> tuple[Any, ...]:
    """The values, those at the places `tracked` passed through one operation whose gradients go by `flow`."""
    if not tracked:
        return values
    watched = list(values)
    for place, value in zip(tracked, _WATCH.function(*[values[place] for place in tracked], flow=flow), strict=True):
        watched[place] = value
    return tuple(watched)


def _replaced(answer: Any, gradients: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    """What a hook returned in place of the gradients, unless it was None."""
    if answer is None:
        return gradients
    given = answer if isinstance(answer, tuple) else (answer,)
    if len(given) != len(gradients):
        raise ArgumentError(f"{name}: the hook returned {len(given)} gradients, expected {len(gradients)} or None")
    return given


def _same(*arrays: Array, flow: Callable[..., Any]) -> tuple[Array, ...]:
    return arrays


def _flow(g: tuple[Any, ...], y: Any, *arrays: Any, needs: Any, flow: Callable[..., Any]) -> list[Any]:
    """Hand the gradients to the hooks as Tensors, and back as they came."""
    answered = flow(tuple(map(lift, g)))
    recorded = isinstance(g[0], Tensor)
    return [lift(each) if recorded else _raw(each) for each in answered]


def _raw(x: Any) -> Any:
    return x.value if isinstance(x, Tensor) else x


_WATCH = Kernel("watch", _same, Signature(("*arrays",), {"flow": REQUIRED}), kind="view")
_WATCH.joint_rule = _flow
