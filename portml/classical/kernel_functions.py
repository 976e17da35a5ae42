r"""Kernel functions k(x, z), and the kernel matrix between training samples in bounded memory.

=========  =============================================
name       k(x, z)
=========  =============================================
linear     :math:`x \cdot z`
poly       :math:`(\gamma\, x \cdot z + c_0)^{degree}`
rbf        :math:`\exp(-\gamma \lVert x - z \rVert^2)`
sigmoid    :math:`\tanh(\gamma\, x \cdot z + c_0)`
=========  =============================================
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from portml.backends import Array, device_of, namespace
from portml.backends.kernels.support_vectors import radial_basis

__all__ = [
    "KERNEL_NAMES",
    "KernelFunction",
    "TrainingKernel",
    "kernel_function",
    "linear_kernel",
    "polynomial_kernel",
    "sigmoid_kernel",
]

KernelFunction = Callable[[Array, Array], Array]
"""From samples (n, n_features) and (m, n_features) to a matrix (n, m)."""

KERNEL_NAMES = ("linear", "poly", "rbf", "sigmoid", "precomputed")

ROWS_AT_A_TIME = 256
BYTES_KEPT = 4


def linear_kernel(x: Array, z: Array) -> Array:
    """K[i, j] = x_i · z_j."""
    xp = namespace(x, z)
    return xp.matmul(x, xp.matrix_transpose(z))


def polynomial_kernel(x: Array, z: Array, *, gamma: float, degree: int, coef0: float) -> Array:
    """K[i, j] = (gamma x_i · z_j + coef0)^degree."""
    return (gamma * linear_kernel(x, z) + coef0) ** degree


def sigmoid_kernel(x: Array, z: Array, *, gamma: float, coef0: float) -> Array:
    """K[i, j] = tanh(gamma x_i · z_j + coef0); not positive definite for every gamma and coef0."""
    return namespace(x, z).tanh(gamma * linear_kernel(x, z) + coef0)


def kernel_function(name: str, *, gamma: float, degree: int, coef0: float) -> KernelFunction:
    """The function of two arrays of samples that a name of the table above stands for."""
    if name == "linear":
        return linear_kernel
    if name == "poly":
        return partial(polynomial_kernel, gamma=gamma, degree=degree, coef0=coef0)
    if name == "sigmoid":
        return partial(sigmoid_kernel, gamma=gamma, coef0=coef0)
    return partial(radial_basis, gamma=gamma)


class TrainingKernel:
    """The kernel matrix between n training samples, in float32, no more of it at a time than a number of bytes holds.

    Values are worked out in the type of the samples and kept in float32, as LIBSVM does: the solver reads them many
    times and is bound by memory.

    Parameters
    ----------
    samples : array (n, n_features), or the matrix (n, n) itself
    function : callable or None
        None says that `samples` is the matrix.
    memory : float
        Bytes that kernel values may take.

    Attributes
    ----------
    size : int
        n.
    capacity : int
        How many rows there is room for.
    fits : bool
        Whether there is room for all.
    """

    def __init__(self, samples: Array, function: KernelFunction | None, memory: float) -> None:
        self.samples = samples
        self.function = function
        self.size = int(samples.shape[0])
        self.capacity = int(memory // (BYTES_KEPT * max(self.size, 1)))
        self.fits = self.capacity >= self.size
        # What a block's values are worked out in takes a part of the memory too: of a few arrays in float64.
        self._height = max(1, min(ROWS_AT_A_TIME, self.capacity // 16))

    def matrix(self) -> Array:
        """All of it, (n, n).  Blocks below the diagonal are those above it, turned."""
        xp, n = namespace(self.samples), self.size
        matrix = xp.empty((n, n), dtype=xp.float32, device=device_of(self.samples))
        for start in range(0, n, self._height):
            stop = min(start + self._height, n)
            if self.function is None:
                matrix[start:stop, :] = xp.astype(self.samples[start:stop, :], xp.float32)
                continue
            block = xp.astype(self.function(self.samples[start:stop, :], self.samples[start:, :]), xp.float32)
            matrix[start:stop, start:] = block
            matrix[stop:, start:stop] = xp.matrix_transpose(block[:, stop - start :])
        return matrix

    def rows(self, indices: Array) -> Array:
        """Some rows, (len(indices), n)."""
        xp, count = namespace(self.samples), int(indices.shape[0])
        rows = xp.empty((count, self.size), dtype=xp.float32, device=device_of(self.samples))
        for start in range(0, count, self._height):
            stop = min(start + self._height, count)
            chosen = xp.take(self.samples, indices[start:stop], axis=0)
            values = chosen if self.function is None else self.function(chosen, self.samples)
            rows[start:stop, :] = xp.astype(values, xp.float32)
        return rows
