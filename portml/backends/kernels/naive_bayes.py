r"""What naive Bayes with normal features computes: moments of every class, and the logarithm of the joint density."""

from __future__ import annotations

import math

from portml.backends.kernel import kernel
from portml.backends.kernels.rows import one_hot
from portml.backends.namespaces import Array, namespace
from portml.errors import ShapeError

__all__ = ["class_moments", "gaussian_log_joint", "refuse_unfit_classes", "refuse_unfit_samples"]

Three = tuple[Array, Array, Array]


@kernel(differentiable=False)
def class_moments(x: Array, codes: Array, weight: Array | None, *, n_classes: int) -> Three:
    r"""The weight, the mean and the variance of the samples of each class, in two passes.

    .. math::
        n_c = \sum_{i \in c} w_i, \quad \mu_c = \frac{1}{n_c} \sum_{i \in c} w_i x_i, \quad
        \sigma_c^2 = \frac{1}{n_c} \sum_{i \in c} w_i (x_i - \mu_c)^2

    Parameters
    ----------
    x : array (n_samples, n_features)
    codes : int64 array (n_samples,)
        The class of each sample, from 0 to n_classes - 1.
    weight : array (n_samples,) or None
    n_classes : int

    Returns
    -------
    counts : array (n_classes,)
    means, variances : array (n_classes, n_features)
        Zeros of a class without weight.
    """
    refuse_unfit_samples(x, codes, weight)
    xp = namespace(x, codes, weight)
    member = one_hot(codes, n=n_classes, dtype=str(x.dtype).rpartition(".")[2])
    if weight is not None:
        member = member * weight[:, None]
    counts = xp.sum(member, axis=0)
    share = xp.matrix_transpose(member) / xp.where(counts == 0, 1.0, counts)[:, None]
    means = share @ x
    centred = x - xp.take(means, codes, axis=0)
    # The mean is rounded: what the centred values still sum to corrects it.
    rest = share @ centred
    variances = share @ (centred * centred) - rest * rest
    return counts, means + rest, xp.where(variances < 0, 0.0, variances)


@kernel(differentiable=False)
def gaussian_log_joint(x: Array, means: Array, variances: Array, log_priors: Array) -> Array:
    r"""The logarithm of the density of each sample jointly with each class.

    .. math:: \log \pi_c - \tfrac12 \sum_j \left( \log 2 \pi \sigma_{cj}^2 + (x_j - \mu_{cj})^2 / \sigma_{cj}^2 \right)

    Parameters
    ----------
    x : array (n_samples, n_features)
    means, variances : array (n_classes, n_features)
    log_priors : array (n_classes,)

    Returns
    -------
    array (n_samples, n_classes)
    """
    refuse_unfit_classes(x, means, variances, log_priors)
    xp = namespace(x, means, variances, log_priors)
    constant = log_priors - 0.5 * xp.sum(xp.log(2 * math.pi * variances), axis=1)
    scores = []
    for c in range(means.shape[0]):
        apart = x - means[c, :]
        scores.append(constant[c] - 0.5 * xp.sum(apart * apart / variances[c, :], axis=1))
    return xp.stack(scores, axis=1)


def refuse_unfit_samples(x: Array, codes: Array, weight: Array | None) -> None:
    """Raise ShapeError unless there is a class, and a weight, for each row of x."""
    lengths = [tuple(each.shape) for each in (codes, weight) if each is not None]
    if x.ndim != 2 or any(length != (x.shape[0],) for length in lengths):
        raise ShapeError(
            f"x has shape {tuple(x.shape)}, codes and weight {lengths}; "
            "expected (n_samples, n_features) and (n_samples,)"
        )


def refuse_unfit_classes(x: Array, means: Array, variances: Array, log_priors: Array) -> None:
    """Raise ShapeError unless the statistics are of the columns of x, and there is a class at least."""
    shape = (log_priors.shape[0], x.shape[1])
    if tuple(means.shape) != shape or tuple(variances.shape) != shape or shape[0] == 0:
        raise ShapeError(
            f"means has shape {tuple(means.shape)}, variances {tuple(variances.shape)}; expected {shape}, classes by "
            "columns of x"
        )
