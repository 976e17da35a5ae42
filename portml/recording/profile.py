"""`profile`: where the time of a step goes, by layer and by kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portml.backends import Backend, Call, backend_of, observe
from portml.errors import ArgumentError, WriteError
from portml.recording.costs import bytes_of, measure_roof, operations_of

__all__ = ["Profile", "ProfiledCall", "profile"]

_GROUPS = ("kernel", "layer", "both")


@dataclass
class ProfiledCall:
    """One call of a kernel.

    Attributes
    ----------
    kernel : str
    layer : str
        The path of the module that made it, such as "Sequential.0"; calls of a walk back have the layer of the call
        that they are the gradient of.  Empty outside all modules.
    start, seconds : float
        Since the profile began.
    operations, n_bytes : int
        As `portml.recording.costs` counts them.
    least_seconds : float
        What the machine's roof allows.
    """

    kernel: str
    layer: str
    start: float
    seconds: float
    operations: int
    n_bytes: int
    least_seconds: float


def profile() -> Profile:
    """Watch every call that passes the doorway in this thread.

    ::

        with portml.profile() as p:
            trainer.step(inputs, targets)
        print(p)
        p.save_trace("step.json")  # opens in Perfetto or chrome://tracing

    A captured step runs as it is while it is watched, so that its calls can be seen.

    Returns
    -------
    Profile
        A context manager.

    Examples
    --------
    >>> import numpy as np
    >>> import portml
    >>> layer = portml.nn.Linear(3, 2, rng=0)
    >>> with portml.profile() as p:
    ...     y = layer(np.ones((4, 3), "float32"))
    >>> [(call.kernel, call.layer, call.operations) for call in p.calls]
    [('linear_saving', 'Linear', 48)]
    """
    return Profile()


class Profile:
    """What was seen; printed, a table.

    Attributes
    ----------
    calls : list of ProfiledCall
        In their order; complete once the block is left.
    """

    def __init__(self) -> None:
        self.calls: list[ProfiledCall] = []
        self._seen: list[_Seen] = []
        self._path: list[tuple[Any, str]] = []
        self._layer_of: dict[tuple[str, int], str] = {}
        self._kept: list[Any] = []
        self._watching: AbstractContextManager[None] | None = None
        self._first: dict[Backend, Any] = {}

    def __enter__(self) -> Profile:
        if self._watching is not None:
            raise ArgumentError("profile: this one was begun already; make another with portml.profile()")
        self._watching = observe(self)
        self._watching.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        assert self._watching is not None
        self._watching.__exit__(None, None, None)
        self.calls += [seen.settled(self._first[seen.backend]) for seen in self._seen]
        self._seen, self._kept = [], []
        self._layer_of.clear()

    # What the doorway tells

    def __call__(self, call: Call) -> Any:
        """Time a call."""
        backend = _backend_of(call)
        if backend is None:
            return call.proceed()
        self._first.setdefault(backend, backend.mark())
        begin = backend.mark()
        result = call.proceed()
        end = backend.mark()
        layer = self._layer(call)
        self._seen.append(
            _Seen(call.kernel.name, layer, backend, begin, end, operations_of(call, result), bytes_of(call, result))
        )
        return result

    def enter(self, module: Any) -> None:
        """A layer begins."""
        name = type(module).__name__
        if self._path:
            above, path = self._path[-1]
            own = next((key for key, value in vars(above).items() if value is module), name)
            name = f"{path}.{own}"
        self._path.append((module, name))

    def leave(self, module: Any) -> None:
        """It ends."""
        self._path.pop()

    def _layer(self, call: Call) -> str:
        """The layer under way; on the way back, that of the call whose arguments these were."""
        name = call.kernel.name
        if self._path:
            layer = self._path[-1][1]
            if call.arguments:
                self._layer_of[name.removesuffix("_saving"), id(call.arguments[0])] = layer
                self._kept.append(call.arguments[0])  # so that no other array gets its identity
            return layer
        if name.endswith("_backward"):
            return self._layer_of.get((name.removesuffix("_backward"), id(call.arguments[2])), "")
        return ""

    # What a reader asks

    @property
    def seconds(self) -> float:
        """All calls together."""
        return sum(call.seconds for call in self.calls)

    def table(self, by: str = "both", rows: int = 30) -> str:
        """A table of what took longest.

        Parameters
        ----------
        by : {"both", "kernel", "layer"}
            What calls are put together by.
        rows : int
            At most so many; the rest is summed up.

        Raises
        ------
        ArgumentError
            If `by` is another word.
        """
        if by not in _GROUPS:
            raise ArgumentError(f"by: expected one of {', '.join(_GROUPS)}, got {by!r}")
        groups: dict[tuple[str, str], list[ProfiledCall]] = {}
        for call in self.calls:
            key = ("" if by == "kernel" else call.layer, "" if by == "layer" else call.kernel)
            groups.setdefault(key, []).append(call)
        ordered = sorted(groups.items(), key=lambda group: -sum(call.seconds for call in group[1]))
        lines = [_HEAD, *(_line(*key, calls, self.seconds) for key, calls in ordered[:rows])]
        rest = [call for _, calls in ordered[rows:] for call in calls]
        if rest:
            lines.append(_line(f"{len(ordered) - rows} more", "", rest, self.seconds))
        lines.append(_line("all", "", self.calls, self.seconds))
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()

    def save_trace(self, path: str | Path) -> None:
        """Write the calls in the format of Chrome's trace viewer, which Perfetto opens too.

        Raises
        ------
        WriteError
            If the file cannot be written.
        """
        events = [
            {
                "name": call.kernel,
                "cat": call.layer or "step",
                "ph": "X",
                "ts": call.start * 1e6,
                "dur": call.seconds * 1e6,
                "pid": 0,
                "tid": 0,
                "args": {"layer": call.layer, "operations": call.operations, "bytes": call.n_bytes},
            }
            for call in self.calls
        ]
        try:
            Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}), encoding="utf-8")
        except OSError as error:
            raise WriteError(f"path: the trace cannot be written to {path}: {error.strerror}") from error


@dataclass
class _Seen:
    """A call whose moments are not read yet, as reading them would wait for the device."""

    kernel: str
    layer: str
    backend: Backend
    begin: Any
    end: Any
    operations: int
    n_bytes: int

    def settled(self, first: Any) -> ProfiledCall:
        seconds = self.backend.seconds_between(self.begin, self.end)
        least = measure_roof(self.backend).least_seconds(self.operations, self.n_bytes)
        start = self.backend.seconds_between(first, self.begin)
        return ProfiledCall(self.kernel, self.layer, start, seconds, self.operations, self.n_bytes, least)


_HEAD = f"{'layer':32} {'kernel':28} {'calls':>6} {'ms':>9} {'share':>6} {'Gflop/s':>8} {'GB/s':>7} {'roof':>5}"


def _line(layer: str, kernel: str, calls: list[ProfiledCall], total: float) -> str:
    seconds = sum(call.seconds for call in calls)
    rate, width = (sum(counts) / max(seconds, 1e-12) / 1e9 for counts in _counts(calls))
    least = sum(call.least_seconds for call in calls)
    share, roof = seconds / max(total, 1e-12), min(1.0, least / max(seconds, 1e-12))
    return (
        f"{layer:32} {kernel:28} {len(calls):6d} {seconds * 1e3:9.3f} {share:6.1%} {rate:8.2f} {width:7.2f} {roof:5.0%}"
    )


def _counts(calls: list[ProfiledCall]) -> Iterator[list[int]]:
    yield [call.operations for call in calls]
    yield [call.n_bytes for call in calls]


def _backend_of(call: Call) -> Backend | None:
    for argument in call.arguments:
        if hasattr(argument, "shape"):
            return backend_of(argument)
    return None
