"""How close two results must be, and the one comparison that every test uses.

The table holds relative and absolute tolerances.  Reductions and gradients add up many terms, some of which cancel, so
there the absolute tolerance is for numbers of size one: it grows with the largest number expected.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from portml.backends import device_of, library_of, to_numpy

__all__ = ["TOLERANCES", "assert_close"]

TOLERANCES = {
    # (kind, dtype): (relative, absolute)
    ("elementwise", "float32"): (1e-6, 1e-6),
    ("elementwise", "float64"): (1e-13, 1e-13),
    ("reduction", "float32"): (1e-5, 1e-5),
    ("reduction", "float64"): (1e-12, 1e-12),
    ("gradient", "float32"): (1e-4, 1e-5),
    ("gradient", "float64"): (1e-8, 1e-8),
    ("steps", "float32"): (1e-3, 1e-3),
    ("steps", "float64"): (1e-7, 1e-7),
}
"""Kinds: elementwise; reduction (products of matrices, sums, norms); gradient; steps (a loss after training)."""

_SCALED = frozenset({"reduction", "gradient", "steps"})


def assert_close(actual: Any, expected: Any, kind: str = "elementwise", *, same_backend: bool = True) -> None:
    """Check that two arrays, or two tuples of them, agree: values, shape, dtype, namespace and device.

    Parameters
    ----------
    actual, expected : arrays of any backend, None, or tuples of such
        NaN and infinities must stand at the same places.
    kind : {"elementwise", "reduction", "gradient", "steps", "exact"}
        A row of `TOLERANCES`; "exact" asks for equal bits but for the sign of zero.
    same_backend : bool
        Whether the two must live on the same backend and device; else only values, shape and dtype are compared.
    """
    if isinstance(expected, tuple | list):
        assert isinstance(actual, tuple | list), f"expected a tuple of {len(expected)}, got {type(actual).__name__}"
        assert len(actual) == len(expected), f"expected {len(expected)} results, got {len(actual)}"
        for position, (one, other) in enumerate(zip(actual, expected, strict=True)):
            with _noting(f"in result {position}"):
                assert_close(one, other, kind, same_backend=same_backend)
        return
    if expected is None:
        assert actual is None, f"expected None, got {type(actual).__name__}"
        return
    assert actual is not None, "expected an array, got None"
    if same_backend:
        assert library_of(actual) is library_of(expected), f"{type(actual).__name__} is not {type(expected).__name__}"
        assert device_of(actual) == device_of(expected), f"on {device_of(actual)}, expected {device_of(expected)}"
    assert tuple(actual.shape) == tuple(expected.shape), f"shape {actual.shape}, expected {expected.shape}"
    one, other = to_numpy(actual), to_numpy(expected)
    assert one.dtype == other.dtype, f"dtype {one.dtype}, expected {other.dtype}"
    _compare(one, other, kind)


def _compare(actual: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], kind: str) -> None:
    dtype = {"complex64": "float32", "complex128": "float64"}.get(str(expected.dtype), str(expected.dtype))
    if kind == "exact" or dtype not in ("float32", "float64"):
        np.testing.assert_array_equal(actual, expected)
        return
    relative, absolute = TOLERANCES[kind, dtype]
    if kind in _SCALED:
        finite = np.abs(expected[np.isfinite(expected)])
        absolute *= max(1.0, float(finite.max(initial=0.0)))
    np.testing.assert_allclose(actual, expected, rtol=relative, atol=absolute, equal_nan=True)


@contextmanager
def _noting(note: str) -> Iterator[None]:
    """Add a line to an assertion that fails inside."""
    try:
        yield
    except AssertionError as error:
        error.add_note(note)
        raise
