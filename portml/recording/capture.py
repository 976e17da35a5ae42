"""`capture`: run a step a few times, then replay it as a flat list of calls on planned memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any

from portml.autograd import Tensor
from portml.autograd.modes import grad_enabled
from portml.autograd.structure import flatten
from portml.autograd.tensor import plain
from portml.backends import Array, Backend, backend_of, kernels_in_use, namespace, observe, to_numpy
from portml.backends.doorway import changes, observers
from portml.backends.memory import copy_in_place, layout, same_layout
from portml.errors import CaptureError
from portml.recording.program import Program
from portml.recording.recorder import Dependence, Recorder
from portml.recording.values import Part, Value, same_statics

__all__ = ["Capture", "capture"]

_PROGRAMS_AT_MOST = 16
_RECORDINGS_AT_MOST = 4
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def capture(step: Callable[..., Any], *, fallback: bool = False) -> Capture:
    """Record a training or inference step, and replay it.

    The first two calls with arguments of some shapes and types run the step as it is and write down what passes the
    doorway.  If both wrote down the same, later calls replay it: the same calls on arrays of the same shapes and
    layouts, in memory planned beforehand, without the tape and without Python in between.  Results are the same bit
    for bit.

    What is recorded is arrays in, arrays out.  Python in the step runs while it is recorded, and not in a replay: a
    number that it reads from elsewhere, such as a global, stays as it was.  Learning rates and other options of
    optimizers, training modes, settings of layers and the words of random generators are looked after: a replay takes
    the new value, or the step is recorded again.

    Parameters
    ----------
    step : callable
        Takes arrays, Tensors, numbers and nested tuples, lists and dictionaries of them; arrays reach it as Tensors.
        Gives the same back, of which Tensors come without history.
    fallback : bool
        Run the step as it is where it cannot be replayed, and say why in `Capture.refusals`, instead of raising.

    Returns
    -------
    Capture
        To be called in the place of `step`.  Not for two threads at once: the second waits.

    Raises
    ------
    CaptureError
        At a call, once it is seen that the step cannot be replayed: it reads numbers on the host, works on arrays
        beside `portml.namespace`, writes into an argument, gives shapes that depend on numbers, or does something else
        at each call.  The step has been taken then.

    Examples
    --------
    >>> import numpy as np
    >>> import portml
    >>> scaled = portml.capture(lambda x: portml.namespace(x).exp(x) * 2.0)
    >>> for _ in range(3):
    ...     y = scaled(np.asarray([0.0, 0.5]))
    >>> y.numpy().round(3)
    array([2.   , 3.297])
    >>> scaled.replays
    1
    """
    return Capture(step, fallback=fallback)


class Capture:
    """A step that replays itself; see `capture`.

    Attributes
    ----------
    replays : int
        How many calls were replays.
    programs : list of Program
        One for each combination of shapes and types that is replayed; at most 16, those used last.
    refusals : list of str
        Why some combination runs as it is, if one does.
    """

    def __init__(self, step: Callable[..., Any], *, fallback: bool = False) -> None:
        self.step = step
        self.fallback = fallback
        self.replays = 0
        self._plans: OrderedDict[Hashable, _Plan] = OrderedDict()
        self._last: _Plan | None = None
        self._lock = Lock()

    @property
    def programs(self) -> list[Program]:
        """What is replayed."""
        return [plan.program for plan in self._plans.values() if plan.program is not None]

    @property
    def refusals(self) -> list[str]:
        """Why some combination runs as it is."""
        return [plan.refusal for plan in self._plans.values() if plan.refusal is not None]

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Take the step: recorded, replayed or, where somebody watches the doorway, as it is."""
        if observers.get():
            return self._beside_another(arguments, options)
        last = self._last
        if last is not None and not options and self._lock.acquire(blocking=False):
            try:
                if last.fits(arguments) and last.holds():
                    self.replays += 1
                    return last.replay(arguments)
            finally:
                self._lock.release()
        leaves, rebuild = flatten((arguments, options))
        arrays, key = _signature(leaves, rebuild)
        if not arrays:
            raise CaptureError("step: expected at least one array among its arguments; a step of numbers is no step")
        with self._lock:
            plan = self._plans.get(key)
            if plan is None:
                plan = self._plans[key] = _Plan(self.step, leaves, rebuild)
                if len(self._plans) > _PROGRAMS_AT_MOST:
                    self._plans.popitem(last=False)
            else:
                self._plans.move_to_end(key)
            as_it_is = plan.refusal is not None
            if not as_it_is:
                result = plan.take(leaves, arrays)
                self.replays += plan.replayed
                self._last = plan
        if as_it_is:  # which may take place in several threads at once, or call itself
            return plan.step_as_it_is(leaves)
        if plan.refusal is not None and not self.fallback:
            self._plans.pop(key, None)  # another thread may have been here
            raise CaptureError(f"the step was taken, but cannot be replayed: {plan.refusal}")
        return result

    def __getstate__(self) -> dict[str, Any]:
        return {"step": self.step, "fallback": self.fallback}  # a copy records for itself

    def __setstate__(self, state: dict[str, Any]) -> None:
        Capture.__init__(self, **state)

    def _beside_another(self, arguments: Any, options: Any) -> Any:
        """The step as it is, for an observer that wants to see its calls; a recording of a recording is refused."""
        if any(isinstance(observer, Recorder) for observer in observers.get()):
            raise CaptureError("a captured step was called inside another; capture the outer one alone")
        leaves, rebuild = flatten((arguments, options))
        arguments, options = rebuild(_lifted(leaves))
        return self.step(*arguments, **options)


class _Plan:
    """What is known of the step for arguments of some shapes and types."""

    def __init__(self, step: Callable[..., Any], leaves: Sequence[Any], rebuild: Callable[..., Any]) -> None:
        self.step = step
        self.rebuild = _skeleton(leaves, rebuild)
        self.grad_enabled = grad_enabled()
        # Whether the arguments are arrays and nothing else, so that they can be told by a glance.
        self.flat = _is_flat(leaves, rebuild)
        self.program: Program | None = None
        self.refusal: str | None = None
        self.replayed = False
        self.backend: Backend | None = None
        self.kernels = ""
        self.buffers: list[Array] = []
        self._before: _Recording | None = None
        self._marked: list[Dependence] = []
        self._unmarked: list[Dependence] = []
        self._seen = 0
        self._recordings = 0
        self._returned: Callable[[Any], Any] = lambda arrays: arrays

    def take(self, leaves: Sequence[Any], arrays: Sequence[Array]) -> Any:
        self.replayed = False
        if self.program is not None:
            if self.holds():
                self.replayed = True
                return self.replay(arrays)
            self.program, self._before, self._recordings = None, None, 0
        return self._record(leaves, arrays)

    def holds(self) -> bool:
        """Whether everything beside the arrays is as it was recorded."""
        assert self.backend is not None
        if not all(dependence.holds() for dependence in self._unmarked):
            return False
        now = changes()
        if now != self._seen:
            if kernels_in_use(self.backend.name) != self.kernels:
                return False
            if not all(dependence.holds() for dependence in self._marked):
                return False
            self._seen = now
        return True

    def fits(self, arguments: Sequence[Any]) -> bool:
        """Whether these are raw arrays of the shapes and types that are replayed, in the mode that they are."""
        if self.program is None or len(arguments) != len(self.buffers) or grad_enabled() is not self.grad_enabled:
            return False
        for argument, buffer in zip(arguments, self.buffers, strict=True):
            if (
                type(argument) is not type(buffer)
                or argument.shape != buffer.shape
                or argument.dtype != buffer.dtype
                or argument.device != buffer.device
                or not same_layout(argument, buffer)
            ):
                return False
        return self.flat

    def replay(self, arrays: Sequence[Array]) -> Any:
        """The step again, on other arrays."""
        for buffer, array in zip(self.buffers, arrays, strict=True):
            buffer[...] = array
        assert self.program is not None
        return self._returned(self.program.run())

    def step_as_it_is(self, leaves: Sequence[Any]) -> Any:
        arguments, options = self.rebuild(_lifted(leaves))
        return self.step(*arguments, **options)

    def _record(self, leaves: Sequence[Any], arrays: Sequence[Array]) -> Any:
        if not self.buffers:
            self.backend = backend_of(arrays[0])
            self.kernels = kernels_in_use(self.backend.name)
            self.buffers = [copy_in_place(array) for array in arrays]
        else:
            for buffer, array in zip(self.buffers, arrays, strict=True):
                buffer[...] = array
        recording = _Recording(self.buffers)
        given = iter(self.buffers)
        lifted = [leaf if isinstance(leaf, _PLAIN) else plain(next(given)) for leaf in leaves]
        arguments, options = self.rebuild(lifted)
        result = recording.run(self.step, arguments, options, self._before)
        self._recordings += 1
        before, self._before = self._before, recording
        if recording.refusal is not None:
            self._refuse(recording.refusal)
        elif before is not None:
            difference = recording.difference(before)
            if difference is None:
                self._settle(recording)
            elif self._recordings >= _RECORDINGS_AT_MOST:
                self._refuse(difference)
        return recording.own(result)

    def _settle(self, recording: _Recording) -> None:
        assert self.backend is not None
        self.program = Program(recording.recorder.instructions, recording.returned, self.backend)
        dependences = recording.recorder.dependences
        self._marked = [dependence for dependence in dependences if dependence.marked]
        self._unmarked = [dependence for dependence in dependences if not dependence.marked]
        self._seen = changes()
        self._returned = recording.rebuilder()
        self._before = None

    def _refuse(self, why: str) -> None:
        self.refusal, self._before, self.buffers = why, None, []


class _Recording:
    """One run of the step, written down."""

    def __init__(self, buffers: Sequence[Array]) -> None:
        self.recorder = Recorder(buffers)
        self.returned: tuple[Part, ...] = ()
        self._leaves: list[Any] = []
        self._rebuild: Callable[[Sequence[Any]], Any] = tuple

    @property
    def refusal(self) -> str | None:
        return self.recorder.refusal

    def run(self, step: Callable[..., Any], arguments: Any, options: Any, before: _Recording | None) -> Any:
        held = [] if before is None else before.held_and_not_written()
        copies = [namespace(value.array).asarray(value.array, copy=True) for value in held]
        with observe(self.recorder):
            result = step(*arguments, **options)
        written = self._written()
        for value, copy in zip(held, copies, strict=True):
            if not any(value.extent.meets(other.extent) for other in written) and not _equal(value.array, copy):
                self.recorder.refuse(
                    f"an array of shape {tuple(copy.shape)} was written beside the doorway, as by its own methods; "
                    "write with portml.backends.operations.write_into"
                )
        self._leaves, self._rebuild = flatten(result)
        known: list[Part] = []
        for leaf in self._leaves:
            raw = leaf.value if isinstance(leaf, Tensor) else leaf
            if isinstance(raw, _PLAIN):
                known.append(None)
            elif not hasattr(raw, "shape"):
                self.recorder.refuse(f"it returns a {type(raw).__name__}; return arrays, numbers, tuples, lists, dicts")
                known.append(None)
            else:
                known.append(self.recorder.value_of(raw))
        self.returned = tuple(known)
        return result

    def held_and_not_written(self) -> list[Value]:
        """The arrays that were there before the step and that it did not write, as far as could be seen."""
        written = {value.base for value in self._written()}
        met = {value for each in self.recorder.instructions for value in each.reads()}
        return [value for value in met if value.source == "held" and value.base not in written]

    def _written(self) -> list[Value]:
        """What was there, in calls that write."""
        calls = (each for each in self.recorder.instructions if each.kernel is not None and each.writes)
        return [value for each in calls for value in each.reads() if value.lasting]

    def difference(self, other: _Recording) -> str | None:
        """How two recordings of the step differ, in words; None if they do not."""
        ours, theirs = self.recorder.instructions, other.recorder.instructions
        for number, (one, another) in enumerate(zip(ours, theirs, strict=False)):
            if not one.resembles(another):
                name, before = (_name(each) for each in (one, another))
                return (
                    f"call {number} was {before} and is now {name}"
                    if name != before
                    else f"call {number}, {name}, has other arguments at each step: a number that was worked out on "
                    "the host, or an array that was made beside the doorway"
                )
        if len(ours) != len(theirs):
            return f"it made {len(theirs)} calls, and then {len(ours)}"
        same = len(self.returned) == len(other.returned) and all(
            one.resembles(another) if isinstance(one, Value) and isinstance(another, Value) else one is another
            for one, another in zip(self.returned, other.returned, strict=True)
        )
        if not same or not _same_numbers(self._leaves, other._leaves):
            return "it returns numbers of the host that differ from step to step; return arrays"
        return None

    def rebuilder(self) -> Callable[[Sequence[Array]], Any]:
        """A function that gives what the step returned, with other arrays in it; it holds nothing of the recording."""
        makers = [_maker(leaf, part) for leaf, part in zip(self._leaves, self.returned, strict=True)]
        rebuild = _skeleton(self._leaves, self._rebuild)
        return lambda arrays: rebuild([make(array) for make, array in zip(makers, arrays, strict=True)])

    def own(self, result: Any) -> Any:
        """The result of a recorded run, nothing of it in the buffers that the next one writes."""
        leaves, rebuild = flatten(result)
        return rebuild([_detached(leaf, part) for leaf, part in zip(leaves, self.returned, strict=True)])


def _lifted(leaves: Sequence[Any]) -> list[Any]:
    """Arrays as Tensors, so that all that is done to them passes the doorway."""
    return [leaf if isinstance(leaf, (*_PLAIN, Tensor)) else plain(leaf) for leaf in leaves]


def _skeleton(leaves: Sequence[Any], rebuild: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, holding none of the leaves that it was made of."""
    return flatten(rebuild([None] * len(leaves)))[1]


def _structure(tree: Any) -> Hashable:
    """What a structure of leaves is but for its leaves."""
    if isinstance(tree, dict):
        return (dict, *((key, _structure(part)) for key, part in tree.items()))
    if isinstance(tree, tuple | list):
        return (type(tree), *map(_structure, tree))
    return None


def _is_flat(leaves: Sequence[Any], rebuild: Callable[..., Any]) -> bool:
    arguments, _ = rebuild(list(leaves))
    return len(arguments) == len(leaves) and not any(isinstance(leaf, _PLAIN) for leaf in leaves)


def _maker(leaf: Any, part: Part) -> Callable[[Any], Any]:
    if part is None:
        return lambda _: leaf  # a number
    return plain if isinstance(leaf, Tensor) else lambda array: array


def _detached(leaf: Any, part: Part) -> Any:
    if not isinstance(part, Value):
        return leaf
    raw = leaf.value if isinstance(leaf, Tensor) else leaf
    if part.base.source != "held":  # a program goes on with what it was given, and with arrays that never change
        raw = namespace(raw).asarray(raw, copy=True)
    return plain(raw) if isinstance(leaf, Tensor) else raw


def _signature(leaves: Sequence[Any], rebuild: Callable[..., Any]) -> tuple[list[Array], Hashable]:
    """The raw arrays among the arguments, and what must be equal for a recording to fit."""
    arrays: list[Array] = []
    key: list[Hashable] = [grad_enabled(), _structure(rebuild([None] * len(leaves)))]
    for leaf in leaves:
        if isinstance(leaf, _PLAIN):
            # Zeros of either sign are equal, and so are True and 1.
            key.append((type(leaf), repr(leaf)))
            continue
        raw = leaf.value if isinstance(leaf, Tensor) else leaf
        if not hasattr(raw, "shape"):
            raise CaptureError(
                f"step: expected arrays, numbers, tuples, lists or dicts of them, got a {type(raw).__name__}; let the "
                "step hold it instead of taking it"
            )
        if isinstance(leaf, Tensor) and leaf.requires_grad:
            raise CaptureError("step: an argument takes a gradient; make it inside the step, or let the step hold it")
        arrays.append(raw)
        backend = backend_of(raw)
        place = (backend.name, str(backend.device), kernels_in_use(backend.name))
        key.append((type(raw), tuple(raw.shape), str(raw.dtype), layout(raw), place))
    return arrays, tuple(key)


def _equal(one: Array, other: Array) -> bool:
    ours, theirs = to_numpy(one), to_numpy(other)
    return bool(ours.tobytes() == theirs.tobytes())


def _name(instruction: Any) -> str:
    return "an action" if instruction.kernel is None else instruction.kernel.name


def _same_numbers(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
    return all(
        same_statics(one, other)
        for one, other in zip(ours, theirs, strict=True)
        if isinstance(one, _PLAIN) or isinstance(other, _PLAIN)
    )
