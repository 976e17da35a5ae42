"""``python -m portml``: the command `portml`."""

from __future__ import annotations

import sys

from portml.cli import main

if __name__ == "__main__":
    sys.exit(main())
