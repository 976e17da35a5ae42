"""What layers ask of the arrays they are given."""

from __future__ import annotations

from typing import Any

from portml.backends import Array, dtype_kind, operations
from portml.errors import ArgumentError

__all__ = ["in_precision_of", "require_array"]


def require_array(name: str, x: Any) -> None:
    """Raise ArgumentError unless `x` is an array of some backend or a Tensor."""
    if not hasattr(x, "shape"):
        raise ArgumentError(f"{name}: expected an array, got {type(x).__name__}; make one with Backend.asarray")


def in_precision_of(like: Array, bias: Array | None) -> Array | None:
    """A bias of fractions in the data type of `like`, so that it widens nothing; truth values and None as they are."""
    if bias is None or dtype_kind(bias.dtype) != "float":
        return bias
    return operations.astype(bias, like.dtype, copy=False)
