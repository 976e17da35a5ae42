"""What classification and regression by support vectors share: parameters, the kernel, sums over support vectors."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from portml.backends import Array, backend_of, namespace, to_numpy
from portml.backends.kernels.support_vectors import radial_basis_sum
from portml.classical.estimator import Estimator
from portml.classical.kernel_functions import (
    KERNEL_NAMES,
    KernelFunction,
    TrainingKernel,
    kernel_function,
    linear_kernel,
)
from portml.classical.scikit_learn import warn
from portml.classical.validation import TrainingData, check_parameter, read_data
from portml.errors import ArgumentError, ConvergenceWarning, ShapeError

__all__ = ["SupportVectorMachine"]

MEGABYTE = 1 << 20


class SupportVectorMachine(Estimator):
    """The root of `SVC` and `SVR`."""

    C: float
    kernel: str | Callable[[Array, Array], Array]
    degree: int
    gamma: str | float
    coef0: float
    tol: float
    cache_size: float
    max_iter: int
    support_: Array
    support_vectors_: Array
    dual_coef_: Array
    intercept_: Array

    @property
    def coef_(self) -> Array:
        """Weights of the features (n_problems, n_features); a linear kernel alone has them."""
        if self.kernel != "linear":
            raise AttributeError("coef_ is only available when using a linear kernel")
        return self._linear_weights()

    def _linear_weights(self) -> Array:
        xp = namespace(self.dual_coef_)
        return xp.matmul(self.dual_coef_, self.support_vectors_)

    def _check_parameters(self) -> None:
        number = {name: getattr(self, name) for name in ("C", "coef0", "tol", "cache_size")}
        is_number = {name: isinstance(value, Real) and not math.isnan(value) for name, value in number.items()}
        check_parameter(self, "C", is_number["C"] and self.C > 0, "a float in the range (0.0, inf]")
        check_parameter(
            self, "coef0", is_number["coef0"] and math.isfinite(self.coef0), "a float in the range (-inf, inf)"
        )
        check_parameter(self, "tol", is_number["tol"] and self.tol > 0, "a float in the range (0.0, inf)")
        check_parameter(
            self, "cache_size", is_number["cache_size"] and self.cache_size > 0, "a float in the range (0.0, inf)"
        )
        check_parameter(
            self,
            "kernel",
            callable(self.kernel) or self.kernel in KERNEL_NAMES,
            f"a str among {set(KERNEL_NAMES)} or a callable",
        )
        check_parameter(
            self, "degree", isinstance(self.degree, Integral) and self.degree >= 0, "an int in the range [0, inf)"
        )
        check_parameter(
            self,
            "gamma",
            self.gamma in ("scale", "auto")
            if isinstance(self.gamma, str)
            else isinstance(self.gamma, Real) and 0 <= self.gamma < math.inf,
            "a str among {'scale', 'auto'} or a float in the range [0.0, inf)",
        )
        check_parameter(
            self,
            "max_iter",
            isinstance(self.max_iter, Integral) and self.max_iter >= -1,
            "an int in the range [-1, inf)",
        )

    def _prepare_kernel(self, X: Array) -> Array:
        """Settle the kernel for this X; what it is worked out from comes back: samples, or the matrix between them."""
        self._function: KernelFunction | None = None
        if callable(self.kernel):
            self._fitted_samples = X
            X = self._values_of_callable(X)
        elif self.kernel != "precomputed":
            self._gamma = self._gamma_of(X)
            self._function = kernel_function(
                self.kernel, gamma=self._gamma, degree=int(self.degree), coef0=float(self.coef0)
            )
        if self._function is None and X.shape[0] != X.shape[1]:
            raise ShapeError(
                f"Precomputed matrix must be a square matrix. Input is a {X.shape[0]}x{X.shape[1]} matrix."
            )
        return X

    def _training_kernel(self, X: Array, indices: Array) -> TrainingKernel:
        """The kernel between some of the samples."""
        xp = namespace(X)
        chosen = xp.take(X, indices, axis=0)
        if self._function is None:
            chosen = xp.take(chosen, indices, axis=1)
        return TrainingKernel(chosen, self._function, self.cache_size * MEGABYTE)

    def _keep_support(self, X: Array, support: Array) -> None:
        xp = namespace(X)
        self.support_ = xp.astype(support, xp.int32)
        # A kernel that is given as a matrix has no vectors.
        self.support_vectors_ = X[:0, :0] if self._function is None else xp.take(X, support, axis=0)

    def _read(self, X: Any) -> Array:
        """X for a prediction: samples, or kernel values between them and those fitted."""
        X = read_data(self, X)
        return self._values_of_callable(X) if callable(self.kernel) else X

    def _kernel_sum(self, X: Array, coefficients: Array, start: int, stop: int) -> Array:
        """Σ_s k(x, z_s) coefficients[s, :] over the support vectors from `start` to `stop`, (n_samples, n_outputs)."""
        xp = namespace(X, coefficients)
        coefficients = xp.astype(coefficients, X.dtype, copy=False)
        if self._function is None:
            columns = xp.take(X, xp.astype(self.support_[start:stop], xp.int64), axis=1)
            return xp.matmul(columns, coefficients)
        vectors = xp.astype(self.support_vectors_[start:stop, :], X.dtype, copy=False)
        if self.kernel == "linear":
            return linear_kernel(X, xp.matmul(xp.matrix_transpose(coefficients), vectors))
        height = max(1, int(self.cache_size * MEGABYTE / (16 * max(stop - start, 1))))
        blocks = [
            self._sum_of_block(X[first : min(first + height, X.shape[0]), :], vectors, coefficients)
            for first in range(0, X.shape[0], height)
        ]
        return xp.concat(blocks, axis=0) if len(blocks) > 1 else blocks[0]

    def _sum_of_block(self, X: Array, vectors: Array, coefficients: Array) -> Array:
        if self.kernel == "rbf":
            return radial_basis_sum(X, vectors, coefficients, gamma=self._gamma)
        assert self._function is not None
        return namespace(X).matmul(self._function(X, vectors), coefficients)

    def _values_of_callable(self, X: Array) -> Array:
        """What the caller's own kernel gives between X and the samples fitted, checked."""
        assert callable(self.kernel)
        values = backend_of(X).asarray(self.kernel(X, self._fitted_samples))
        expected = (X.shape[0], self._fitted_samples.shape[0])
        if tuple(values.shape) != expected:
            raise ShapeError(f"kernel: the callable gave an array of shape {tuple(values.shape)}, expected {expected}")
        return namespace(X).astype(values, X.dtype, copy=False)

    def _gamma_of(self, X: Array) -> float:
        if not isinstance(self.gamma, str):
            return float(self.gamma)
        variance = 1.0 if self.gamma == "auto" else float(to_numpy(namespace(X).var(X)))
        return 1.0 / (X.shape[1] * variance) if variance != 0 else 1.0

    def _bounds(self, data: TrainingData) -> Array:
        """C of every sample in float64: the parameter times its weight."""
        xp = data.xp
        ones = xp.ones_like(data.X[:, 0], dtype=xp.float64)
        weight = ones if data.sample_weight is None else xp.astype(data.sample_weight, xp.float64)
        if not to_numpy(xp.any(weight > 0)):
            raise ArgumentError("Invalid input - all samples have zero or negative weights.")
        return float(self.C) * weight

    def _settle(self, converged: bool) -> None:
        """Say whether the solver came to an end, and refuse what is no number."""
        self.fit_status_ = 0 if converged else 1
        finite = [namespace(each).all(namespace(each).isfinite(each)) for each in (self.dual_coef_, self.intercept_)]
        if not all(bool(to_numpy(each)) for each in finite):
            raise ArgumentError(
                "The dual coefficients or intercepts are not finite."
                " The input data may contain large values and need to be preprocessed."
            )
        if not converged:
            warn(
                ConvergenceWarning,
                f"Solver terminated early (max_iter={self.max_iter}).  Consider pre-processing your data with "
                "StandardScaler or MinMaxScaler.",
                stacklevel=3,
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        return tags
