"""The perceptron's rule: a pass over the samples, each of which meets the weights that the one before left."""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.namespaces import Array, namespace

__all__ = ["perceptron_pass"]

Three = tuple[Array, Array, Array]


@kernel(differentiable=False)
def perceptron_pass(
    x: Array, signs: Array, rates: Array, order: Array, weights: Array, intercept: Array, *, fit_intercept: bool
) -> Three:
    """One pass of the perceptron's rule over all samples, for several outputs at once.  [Rosenblatt 1958]

    Sample after sample: where y (w·x + b) <= 0, w ← w + rate y x and b ← b + rate y.

    Parameters
    ----------
    x : array (n_samples, n_features)
    signs : array (n_samples, n_outputs)
        y, +1 or -1.
    rates : array (n_samples, n_outputs)
        Learning rates; 0 leaves an output as it is.
    order : array (n_samples,), int64
        In which order the samples come.
    weights : array (n_outputs, n_features)
    intercept : array (n_outputs,)
    fit_intercept : bool
        Whether b learns.

    Returns
    -------
    weights : array (n_outputs, n_features)
    intercept : array (n_outputs,)
    losses : array (n_outputs,)
        The sum of max(0, -y (w·x + b)) over the samples, each at the weights it met.
    """
    xp = namespace(x, signs, rates, weights, intercept)
    x, signs, rates = (xp.take(array, order, axis=0) for array in (x, signs, rates))
    losses = xp.zeros_like(intercept)
    for i in range(x.shape[0]):
        margin = signs[i, :] * (weights @ x[i, :] + intercept)
        step = xp.where(margin <= 0, rates[i, :] * signs[i, :], xp.zeros_like(intercept))
        weights = weights + step[:, None] * x[i, :]
        intercept = intercept + step if fit_intercept else intercept
        losses = losses + xp.maximum(-margin, xp.zeros_like(margin))
    return weights, intercept, losses
