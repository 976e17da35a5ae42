"""One comparison of a module with PyTorch's: the result, and the gradients of inputs and parameters."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from portml.autograd import Tensor

__all__ = ["compare_modules"]

TOLERANCES = {"float32": 1e-5, "float64": 1e-12}


def compare_modules(
    ours: Any,
    theirs: Any,
    arrays: Sequence[Any],
    dtype: str,
    *,
    wanted: Sequence[int] | None = None,
    tolerance: float | None = None,
) -> float:
    """Call both with the same arrays and pull the same random slopes back.

    Parameters
    ----------
    ours, theirs : callable
        A module or function of this library and PyTorch's.
    arrays : sequence of NumPy arrays and other values
        Floating-point arrays are converted to `dtype`.
    dtype : {"float32", "float64"}
    wanted : sequence of int, optional
        Whose gradients are compared; by default those of all floating-point arrays.
    tolerance : float, optional
        Instead of that of `TOLERANCES`.

    Returns
    -------
    float
        The largest difference, relative to the largest number of its array, or to 1 where that is smaller.
    """
    arrays = [each.astype(dtype) if _is_real(each) else each for each in arrays]
    wanted = [i for i, each in enumerate(arrays) if _is_real(each)] if wanted is None else list(wanted)
    mine = [_mine(each, i in wanted) for i, each in enumerate(arrays)]
    others = [_theirs(each, i in wanted) for i, each in enumerate(arrays)]
    result, expected = ours(*mine), theirs(*others)
    worst = _difference(result.value, expected, dtype)
    slope = np.asarray(np.random.default_rng(7).normal(size=tuple(expected.shape)), dtype)
    result.backward(slope)
    expected.backward(torch.from_numpy(slope))
    for i in wanted:
        worst = max(worst, _difference(mine[i].grad.value, others[i].grad, dtype))
    if isinstance(theirs, torch.nn.Module):
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            worst = max(worst, _difference(parameter.grad.value, other.grad, dtype))
    tolerance = TOLERANCES[dtype] if tolerance is None else tolerance
    assert worst <= tolerance, f"{worst} is more than {tolerance}"
    _note(ours, dtype, worst)
    return worst


def _mine(value: Any, wanted: bool) -> Any:
    return Tensor(value.copy(), requires_grad=wanted) if _is_real(value) else value


def _theirs(value: Any, wanted: bool) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    tensor = torch.from_numpy(value.copy())
    return tensor.requires_grad_() if wanted else tensor


def _difference(actual: Any, expected: torch.Tensor, dtype: str) -> float:
    actual, other = np.asarray(actual), expected.detach().numpy()
    assert actual.dtype == dtype
    assert actual.shape == other.shape
    assert np.array_equal(np.isfinite(actual), np.isfinite(other)), "infinities or NaN stand at other places"
    finite = np.isfinite(other)
    np.testing.assert_array_equal(actual[~finite], other[~finite])
    if not finite.any():
        return 0.0
    size = max(1.0, float(np.abs(other[finite]).max()))
    return float(np.abs(actual[finite].astype("float64") - other[finite]).max()) / size


def _note(ours: Any, dtype: str, worst: float) -> None:
    """Append what was found to the file that ``$PORTML_ORACLE_TABLE`` names, for a table of worst errors."""
    path = os.environ.get("PORTML_ORACLE_TABLE")
    if path:
        name = getattr(ours, "__name__", type(ours).__name__)
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{name}\t{dtype}\t{worst:.3g}\n")


def _is_real(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"
