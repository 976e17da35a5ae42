"""The command ``portml``: parses, calls, prints.

Exit status: 0; 1 for what portml refuses, in one line; 2 for wrong usage; 130 after Ctrl-C and 143 after SIGTERM.
"""

from __future__ import annotations

from portml.cli.main import main

__all__ = ["main"]
