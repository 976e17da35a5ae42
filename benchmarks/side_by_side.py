"""Time two ways to do the same thing in one process, turn by turn, and print how many times faster ours is.

With one thread the clock is the CPU time of the calling thread, which a busy neighbour does not disturb.  The turns
alternate, so that whatever slows the machine down slows both; each side's time is the median over rounds of the median
in a round.  Both sides run once before: what they return must agree, or there is no ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.recorded import Measurement, record
from portml.backends import kernels_in_use

__all__ = ["Case", "Measurement", "measure", "run"]


@dataclass(frozen=True)
class Case:
    """One row of a table.

    Attributes
    ----------
    name : str
    ours, peer : callable
        Without arguments; what they return is handed to `agree`.
    agree : callable, optional
        ``agree(ours, peer)`` gives None, or says in words how the results differ.
    bar : float, optional
        The ratio peer time / our time that is wanted, with compiled kernels.
    pure_bar : float, optional
        The same for NumPy alone.
    """

    name: str
    ours: Callable[[], Any]
    peer: Callable[[], Any]
    agree: Callable[[Any, Any], str | None] | None = None
    bar: float | None = None
    pure_bar: float | None = None


def measure(case: Case, rounds: int = 5, seconds: float = 0.3, threads: int = 1) -> Measurement:
    """Run both sides in turn, `rounds` times about `seconds` each."""
    bar = case.bar if kernels_in_use("numpy") == "fused" else case.pure_bar
    ours, peer = case.ours(), case.peer()
    difference = case.agree(ours, peer) if case.agree is not None else None
    if difference:
        return Measurement(case.name, 0.0, 0.0, bar, difference)
    clock = time.thread_time if threads == 1 else time.perf_counter
    turns = [(one_round(case.ours, seconds, clock), one_round(case.peer, seconds, clock)) for _ in range(rounds)]
    first, second = zip(*turns, strict=True)
    return Measurement(case.name, statistics.median(first), statistics.median(second), bar)


def one_round(call: Callable[[], Any], seconds: float, clock: Callable[[], float]) -> float:
    """The median time of one call, repeated for about `seconds`; one call at least."""
    call()  # so that neither side finds the caches as the other left them
    times: list[float] = []
    end = time.perf_counter() + seconds
    repeat = 1
    while not times or time.perf_counter() < end:
        start = clock()
        for _ in range(repeat):
            call()
        times.append((clock() - start) / repeat)
        # Calls shorter than the clock can tell are timed together.
        repeat = max(1, min(1000, int(2e-4 / max(times[-1], 1e-7))))
    return statistics.median(times)


def run(cases: Sequence[Case]) -> list[Measurement]:
    """Measure and print; the command line chooses rows by a part of their name, and the number of threads.

    The numbers of threads of BLAS and OpenMP are set for both sides alike, by threadpoolctl.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="measure only rows whose name contains one of these")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", metavar="NAME", help="write the rows to benchmarks/results/NAME.json and .md")
    arguments = parser.parse_args()
    from threadpoolctl import threadpool_limits

    print(f"kernels={kernels_in_use('numpy')}, threads={arguments.threads}; peer time / our time, above 1 is ahead")
    measurements = []
    with threadpool_limits(arguments.threads):
        for case in cases:
            if not arguments.names or any(name in case.name for name in arguments.names):
                measurements.append(measure(case, arguments.rounds, threads=arguments.threads))
                print(measurements[-1], flush=True)
                if arguments.record:
                    record(arguments.record, measurements[-1:], kernels_in_use("numpy"), arguments.threads)
    return measurements
