"""One thread for the BLAS that NumPy calls."""

from __future__ import annotations

import os
import sys

__all__ = ["CHOICES", "take_one_blas_thread"]

CHOICES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def take_one_blas_thread() -> None:
    """Let BLAS work in one thread, unless the user has chosen a number, or it is too late as NumPy is loaded.

    The products of small networks are too short to be shared: on an idle machine two threads gain nothing, and beside
    another process, for which each waits in turn, they were measured to take nine times as long.  Besides, how many
    threads share a product decides how its sums round; with one, the same seed gives the same bits on any number of
    cores.
    """
    if "numpy" not in sys.modules and not any(name in os.environ for name in CHOICES):
        os.environ.update(OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", VECLIB_MAXIMUM_THREADS="1")
