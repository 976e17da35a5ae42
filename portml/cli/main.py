"""From the command line to an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from portml.cli.arguments import parse
from portml.cli.threads import take_one_blas_thread
from portml.errors import PortmlError

__all__ = ["main"]

_REFUSED, _INTERRUPTED = 1, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Without the name of the program; None takes those of the process.

    Returns
    -------
    int
        The exit status.
    """
    arguments = parse(argv)
    take_one_blas_thread()
    try:
        status: int = arguments.command(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has gone, as `head` does; what Python still wants to write at its end has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _REFUSED
    except KeyboardInterrupt:
        return _refuse("interrupted", _INTERRUPTED)
    except (PortmlError, OSError, MemoryError) as error:
        return _refuse(f"error: {error or type(error).__name__}", _REFUSED)
    return status


def _refuse(message: str, status: int) -> int:
    """One line, whatever the message is made of."""
    print(f"portml: {' '.join(message.split())}", file=sys.stderr)
    return status
