"""The one doorway: every kernel and every operation of the standard passes here when somebody watches.

Recording a step for replay, profiling, looking for the operation that made a NaN, counting flops: each is an
*observer*.  Without an observer a call costs one look at a context variable.  Observers are context variables, so that
what one thread watches never leaks into another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from portml.errors import DtypeError, ShapeError

if TYPE_CHECKING:
    from portml.backends.kernel import Kernel

__all__ = [
    "Call",
    "Observer",
    "change",
    "changes",
    "depend",
    "inside",
    "observe",
    "observers",
    "repeat",
    "store",
    "unrepeatable",
]

Observer = Callable[["Call"], Any]
"""Called with every call.  An observer that also has methods `repeat`, `depend`, `unrepeatable`, `enter` or `leave`
hears of what the functions below tell."""

_changes = 0

observers: ContextVar[tuple[Observer, ...]] = ContextVar("portml_observers", default=())


class Call:
    """One call of a kernel on raw arrays, on its way through the doorway.

    Attributes
    ----------
    kernel : Kernel
        What is called; ``kernel.kind`` says whether the result is new, a view, a write or a fresh draw.
    implementation : callable
        The body or override chosen for the arrays' backend.
    arguments : tuple of arrays, scalars or None
    statics : dict
    out : array, tuple of arrays or None
        Where the caller wants the result.
    """

    __slots__ = ("_waiting", "arguments", "implementation", "kernel", "out", "statics")

    def __init__(
        self,
        kernel: Kernel,
        implementation: Callable[..., Any],
        arguments: tuple[Any, ...],
        statics: dict[str, Any],
        out: Any = None,
    ) -> None:
        self.kernel = kernel
        self.implementation = implementation
        self.arguments = arguments
        self.statics = statics
        self.out = out
        self._waiting: tuple[Observer, ...] = ()

    def enter(self) -> Any:
        """Pass the call by every observer of this context, the innermost first, then run it."""
        self._waiting = observers.get()
        return self.proceed()

    def proceed(self) -> Any:
        """Go on to the next observer, or, after the last, run; an observer returns what this returns."""
        if self._waiting:
            *rest, observer = self._waiting
            self._waiting = tuple(rest)
            return observer(self)
        # What an implementation calls inside is its own affair: a recording holds the outer call.
        token = observers.set(())
        try:
            return self._run()
        finally:
            observers.reset(token)

    def _run(self) -> Any:
        if self.out is None:
            return self.implementation(*self.arguments, **self.statics)
        if self.kernel.writes_out(self.implementation):
            self.implementation(*self.arguments, **self.statics, out=self.out)
            return self.out
        result = self.implementation(*self.arguments, **self.statics)
        store(self.kernel.name, self.out, result)
        return self.out


@contextmanager
def observe(observer: Observer) -> Iterator[None]:
    """Let `observer` see every call made in this context, and in no other thread.

    Parameters
    ----------
    observer : callable
        Called with a `Call`; it must return ``call.proceed()`` or something that stands in for it.
    """
    token = observers.set((*observers.get(), observer))
    try:
        yield
    finally:
        observers.reset(token)


def repeat(owner: object, action: Callable[[], None], *, parts: Iterable[object] = ()) -> None:
    """Change something beside the arrays, and let a recording do so again whenever it is replayed.

    Parameters
    ----------
    owner : object
        What is changed; see `depend`.
    action : callable
        Called now.
    parts : iterable of object
        What else it sets, in whole.
    """
    action()
    _tell("repeat", owner, action, parts)


def change() -> None:
    """Note that something beside the arrays was set that a recording may rest on: a mode, a setting, a freeze."""
    global _changes
    _changes += 1


def changes() -> int:
    """How many changes there were in this process."""
    return _changes


def depend(owner: object, read: Callable[[], Any], *, marked: bool = False) -> None:
    """Say that what follows rests on something beside the arrays: a recording holds while it stays as it is.

    Parameters
    ----------
    owner : object
        What is read.  What this very recording has set before, by `repeat` with the same owner, is no dependence.
    read : callable
        Gives something to be compared with ``==``.
    marked : bool
        Whether every change of it is noted by `change`, so that it need not be read otherwise.
    """
    _tell("depend", owner, read, marked)


@contextmanager
def inside(owner: object) -> Iterator[None]:
    """Say that the calls from here on are made by `owner`, a layer of a model."""
    _tell("enter", owner)
    try:
        yield
    finally:
        _tell("leave", owner)


def unrepeatable(what: str, *, made: int | None = None) -> None:
    """Say that something happens, such as reading numbers on the host, that a replay could not do again.

    Parameters
    ----------
    what : str
    made : int, optional
        The moment when that was made which is changed (see `portml.autograd.tape.next_sequence`): what is made within
        a step is gone with it, and a replay need not change it.
    """
    _tell("unrepeatable", what, made)


def _tell(event: str, *details: Any) -> None:
    for observer in observers.get():
        hear = getattr(observer, event, None)
        if hear is not None:
            hear(*details)


def store(name: str, out: Any, result: Any) -> None:
    """Copy a kernel's result, or its parts, to where it is wanted."""
    if isinstance(out, tuple):
        if not isinstance(result, tuple) or len(out) != len(result):
            count = len(result) if isinstance(result, tuple) else 1
            raise ShapeError(f"{name}: out= has {len(out)} arrays, but the kernel gives {count}; pass as many")
        for destination, source in zip(out, result, strict=True):
            if destination is not None and source is not None:
                store(name, destination, source)
        return
    if out.shape != result.shape:
        raise ShapeError(f"{name}: out= has shape {out.shape}, but the result has {result.shape}; pass one that fits")
    if out.dtype != result.dtype:
        raise DtypeError(f"{name}: out= has dtype {out.dtype}, but the result has {result.dtype}; pass one that fits")
    out[...] = result
