"""Gradients that a caller hands in: what they must be to belong to a Tensor."""

from __future__ import annotations

from typing import Any

from portml.backends import Array, dtype_kind, is_tensor, namespace, operations
from portml.errors import ArgumentError, DtypeError, GradientError, ShapeError

__all__ = ["cotangent_of", "gradient_like"]


def cotangent_of(tensor: Any, gradient: Array | None) -> Any:
    """Where the walk back from a Tensor begins: the gradient that was given, or 1 for a real number.

    Raises
    ------
    ShapeError
        If none was given and the Tensor is no single number, or it has another shape.
    GradientError
        If none was given and the number is complex.
    """
    if gradient is None:
        if tensor.size != 1:
            raise ShapeError(
                f"backward: a Tensor of shape {tensor.shape} needs a gradient of that shape; "
                "reduce it to a scalar, for example with sum or mean, or pass gradient="
            )
        if dtype_kind(tensor.dtype) == "complex":
            raise GradientError(
                "backward: a complex number has no gradient by itself; "
                "take its real or imaginary part, or pass gradient="
            )
        return operations.ones_like(tensor.value)
    return gradient_like(tensor, gradient, "gradient")


def gradient_like(tensor: Any, gradient: Any, name: str) -> Any:
    """A gradient in the data type of the Tensor it belongs to, once it is known to fit.

    Raises
    ------
    ArgumentError, ShapeError, MixedBackendsError
        If it is no array, or one of another shape or backend.
    DtypeError
        If it is complex and the Tensor is not.
    """
    if not hasattr(gradient, "shape") or not hasattr(gradient, "dtype"):
        raise ArgumentError(
            f"{name}: expected an array of shape {tensor.shape}, got a {type(gradient).__name__}; "
            "make one with Backend.asarray"
        )
    namespace(tensor.value, gradient.value if is_tensor(gradient) else gradient)
    if tuple(gradient.shape) != tuple(tensor.shape):
        raise ShapeError(f"{name}: expected shape {tensor.shape}, got {gradient.shape}")
    if gradient.dtype == tensor.dtype:
        return gradient
    if dtype_kind(gradient.dtype) == "complex" and dtype_kind(tensor.dtype) != "complex":
        raise DtypeError(f"{name}: expected real numbers as in the Tensor, {tensor.dtype}, got {gradient.dtype}")
    return operations.astype(gradient, tensor.dtype)
