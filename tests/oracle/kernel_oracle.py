"""One comparison of a kernel and its gradient with PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

__all__ = ["compare"]

TOLERANCES = {"float32": 3e-6, "float64": 2e-14}


def compare(
    kernel: Any,
    theirs: Callable[..., torch.Tensor],
    arrays: Sequence[Any],
    statics: dict[str, Any],
    dtype: str,
    *,
    wanted: Sequence[int] | None = None,
    tolerance: float | None = None,
) -> None:
    """Check the (first) result and the gradients of `kernel` against a function of PyTorch.

    Parameters
    ----------
    kernel : kernel function
        With a gradient.
    theirs : callable
        Takes the same arrays as PyTorch's tensors, and None for None.
    arrays : sequence of NumPy arrays or None
    statics : dict
        All of the kernel's.
    dtype : {"float32", "float64"}
    wanted : sequence of int, optional
        Whose gradients are compared; by default those of all floating-point arrays.
    tolerance : float, optional
        Largest difference beside 1 + the size of the result.
    """
    given = [each.astype(dtype) if _is_real(each) else each for each in arrays]
    wanted = [i for i, each in enumerate(given) if _is_real(each)] if wanted is None else wanted
    tensors = [None if each is None else torch.from_numpy(each.copy(order="C")) for each in given]
    for i in wanted:
        tensors[i].requires_grad_()
    expected = theirs(*tensors)

    made = kernel.kernel
    result = made.saving(*given, **statics) if made.saving is not None else (kernel(*given, **statics),) * 2
    output, saved = result
    y = output[0] if isinstance(output, tuple) else output
    _check(y, expected, dtype, tolerance)

    slope = np.asarray(np.random.default_rng(1).normal(size=y.shape), dtype)
    g = (slope, *map(np.zeros_like, output[1:])) if isinstance(output, tuple) else slope
    needs = tuple(i in wanted for i in range(len(given)))
    gradients = made.backward(g, saved, *given, needs=needs, **statics)
    expected_gradients = torch.autograd.grad(expected, [tensors[i] for i in wanted], torch.from_numpy(slope))
    for i, theirs_to_i in zip(wanted, expected_gradients, strict=True):
        _check(gradients[i], theirs_to_i, dtype, tolerance)


def _check(actual: Any, expected: torch.Tensor, dtype: str, tolerance: float | None) -> None:
    tolerance = TOLERANCES[dtype] if tolerance is None else tolerance
    assert actual.dtype == dtype
    assert actual.shape == tuple(expected.shape)
    np.testing.assert_allclose(actual, expected.detach().numpy(), rtol=tolerance, atol=tolerance)


def _is_real(array: Any) -> bool:
    return array is not None and array.dtype.kind == "f"
