"""Layers of two inputs: a bilinear form, and how near two vectors are."""

from __future__ import annotations

from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend, operations
from portml.backends.kernels.embedding_loss import cosine_similarity, pairwise_distance
from portml.errors import ArgumentError, RangeError, ShapeError
from portml.nn.initialisation import generator_for, uniform_fan_in
from portml.nn.module import Module
from portml.random import Generator
from portml.random.arguments import checked_count

__all__ = ["Bilinear", "CosineSimilarity", "PairwiseDistance"]


class Bilinear(Module):
    r"""A bilinear form of two inputs for each output.

    .. math:: y_o = x_1^\top W_o \, x_2 + b_o

    Inputs: (..., in1_features) and (..., in2_features).  Output: (..., out_features).
    Parameters: ``weight`` (out_features, in1_features, in2_features), ``bias`` (out_features,), both uniform in
    ±1/√in1_features.

    Parameters
    ----------
    in1_features, in2_features, out_features : int
    bias : bool
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if checked_count("in1_features", in1_features) < 1:
            raise ArgumentError(f"in1_features: expected at least 1, got {in1_features}")
        shape = (checked_count("out_features", out_features), in1_features, checked_count("in2_features", in2_features))
        rng = generator_for(rng, backend)
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = Parameter(uniform_fan_in(shape, fan_in=in1_features, rng=rng, dtype=dtype))
        drawn = uniform_fan_in((out_features,), fan_in=in1_features, rng=rng, dtype=dtype) if bias else None
        self.bias = None if drawn is None else Parameter(drawn)

    def forward(self, x1: Array, x2: Array) -> Array:
        """One number for each output and pair of vectors."""
        *batch, last = x1.shape
        if (last, *x2.shape) != (self.in1_features, *batch, self.in2_features):
            raise ShapeError(
                f"Bilinear: expected inputs (..., {self.in1_features}) and (..., {self.in2_features}), got "
                f"{tuple(x1.shape)} and {tuple(x2.shape)}"
            )
        by_first = operations.permute_dims(self.weight, (1, 0, 2))
        by_first = operations.reshape(by_first, (self.in1_features, self.out_features * self.in2_features))
        half = operations.reshape(operations.matmul(x1, by_first), (*batch, self.out_features, self.in2_features))
        column = operations.expand_dims(x2, axis=-1)
        y = operations.squeeze(operations.matmul(half, column), axis=-1)
        return y if self.bias is None else operations.add(y, self.bias)

    def extra_repr(self) -> str:
        """Sizes and whether there is a bias."""
        sizes = f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


class CosineSimilarity(Module):
    r"""The cosine of the angle between vectors along an axis.

    .. math:: \frac{x_1 \cdot x_2}{\max(\lVert x_1 \rVert, \epsilon) \max(\lVert x_2 \rVert, \epsilon)}

    Inputs: arrays that broadcast against each other.  Output: their shape without the axis.

    Parameters
    ----------
    dim : int
    eps : float
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Array, x2: Array) -> Array:
        """The cosine for each pair of vectors."""
        return cosine_similarity(x1, x2, axis=self.dim, eps=self.eps)

    def extra_repr(self) -> str:
        """The axis and epsilon."""
        return f"dim={self.dim}, eps={self.eps}"


class PairwiseDistance(Module):
    r"""The distance between vectors along the last axis.

    .. math:: \Big( \sum_i |x_{1i} - x_{2i} + \epsilon|^p \Big)^{1/p}

    Inputs: (..., D), broadcast against each other.  Output: (...), or (..., 1) with `keepdim`.

    Parameters
    ----------
    p : float
        Above 0; may be infinite.
    eps : float
        Keeps the gradient of vectors that are equal finite.
    keepdim : bool
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        if not p > 0:
            raise RangeError(f"p: expected the order of a norm, above 0, got {p}")
        self.p = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Array, x2: Array) -> Array:
        """The distance for each pair of vectors."""
        return pairwise_distance(x1, x2, p=self.p, eps=self.eps, keepdims=self.keepdim)

    def extra_repr(self) -> str:
        """The norm."""
        return f"p={self.p}, eps={self.eps}"
