"""Which arrays a formula takes that has fractions in it."""

from __future__ import annotations

from portml.backends.namespaces import Array, dtype_kind
from portml.errors import DtypeError

__all__ = ["refuse_unless_real"]


def refuse_unless_real(name: str, x: Array, argument: str = "x") -> None:
    """Raise DtypeError unless `x` is real floating-point: what is worked out in integers would be cut off."""
    if dtype_kind(x.dtype) != "float":
        raise DtypeError(f"{name}: {argument} has dtype {x.dtype}; expected float32 or float64, convert with astype")
