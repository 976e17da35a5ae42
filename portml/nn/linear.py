"""Linear layers."""

from __future__ import annotations

from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend
from portml.backends.kernels.linear import linear
from portml.errors import ArgumentError
from portml.nn.initialisation import generator_for, uniform_fan_in
from portml.nn.module import Module
from portml.random import Generator

__all__ = ["Identity", "Linear"]


class Linear(Module):
    r"""An affine map of the last axis.

    .. math:: y = x W^\top + b

    Input: (..., in_features).  Output: (..., out_features).
    Parameters: ``weight`` (out_features, in_features), ``bias`` (out_features,), both uniform in ±1/√in_features.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    rng : Generator or int, optional
        Draws the weights; None draws them anew each time.
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if in_features < 0 or out_features < 0:
            raise ArgumentError(
                f"in_features, out_features: expected sizes of at least 0, got {in_features}, {out_features}"
            )
        rng = generator_for(rng, backend)
        self.in_features = in_features
        self.out_features = out_features
        shape = (out_features, in_features)
        self.weight = Parameter(uniform_fan_in(shape, fan_in=in_features, rng=rng, dtype=dtype))
        self.bias = (
            Parameter(uniform_fan_in((out_features,), fan_in=in_features, rng=rng, dtype=dtype)) if bias else None
        )

    def forward(self, x: Array) -> Array:
        """Map (..., in_features) to (..., out_features)."""
        return linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes and whether there is a bias."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """Gives back what it gets; stands in for a layer that is left out."""

    def forward(self, x: Array) -> Array:
        """`x` itself."""
        return x
