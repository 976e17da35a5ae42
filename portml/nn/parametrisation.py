r"""Parameters that are computed from others each time they are used: weight and spectral normalisation.

``weight_norm(layer)`` takes the layer's ``weight`` away and learns what it is made of; reading ``layer.weight``
computes it.  Names are PyTorch's: ``parametrizations.weight.original0`` and so on.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

from portml.autograd import Tensor, no_grad
from portml.autograd.parameter import Parameter
from portml.backends import Array, backend_of, dtype_kind, namespace, operations
from portml.errors import ArgumentError, RangeError, ShapeError
from portml.nn.containers import ModuleDict
from portml.nn.initialisation import generator_for
from portml.nn.module import Module
from portml.random import Generator
from portml.random.arguments import checked_count

__all__ = [
    "ParametrizationList",
    "SpectralNorm",
    "WeightNorm",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "spectral_norm",
    "weight_norm",
]

M = TypeVar("M", bound=Module)


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    r"""Learn the length and the direction of a weight apart.

    .. math:: w = g \, v / \lVert v \rVert

    Parameters
    ----------
    module : Module
        Changed in place: g is its parameter ``parametrizations.<name>.original0``, v ``….original1``.
    name : str
    dim : int or None
        The axis along which each entry has a length of its own, outputs in a layer; None gives the whole weight one.

    Returns
    -------
    Module
        The same.

    Raises
    ------
    ArgumentError
        If the module has no such parameter.
    ShapeError
        If the weight has no axis `dim`.

    References
    ----------
    Salimans & Kingma 2016, "Weight normalization", eq. 2
    """
    return register_parametrization(module, name, WeightNorm(dim))


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
    *,
    rng: Generator | int | None = None,
) -> M:
    r"""Divide a weight by its largest singular value, so that the layer stretches nothing by more than one.

    .. math:: \hat W = W / \sigma(W), \quad \sigma \approx u^\top W v

    The weight is seen as a matrix of the entries along `dim`; u and v follow its singular vectors by power iterations,
    one step or more at each use in training.

    Parameters
    ----------
    module : Module
        Changed in place: W is its parameter ``parametrizations.<name>.original``; u and v are the buffers
        ``parametrizations.<name>.0._u`` and ``._v``.
    name : str
    n_power_iterations : int
    eps : float
        Least length by which a vector is divided.
    dim : int, optional
        The axis of the outputs; None takes 1 for transposed convolutions and 0 for all others.
    rng : Generator or int, optional
        Draws where u and v begin.

    Returns
    -------
    Module
        The same.

    Raises
    ------
    ArgumentError
        If the module has no such parameter.
    RangeError
        If `n_power_iterations` is less than 1.

    References
    ----------
    Miyato et al. 2018, "Spectral normalization for generative adversarial networks", algorithm 1
    """
    weight = _own_parameter(module, name)
    if dim is None:
        dim = 1 if "ConvTranspose" in type(module).__name__ else 0
    return register_parametrization(module, name, SpectralNorm(weight, n_power_iterations, eps, dim, rng=rng))


def register_parametrization(module: M, name: str, parametrization: Module) -> M:
    """Compute a parameter by a module from another one that is learnt in its place.

    Parameters
    ----------
    module : Module
        Changed in place.
    name : str
        Of its parameter.  One that is computed already is computed further.
    parametrization : Module
        Its `forward` gives the parameter.  It may have ``right_inverse(values)``, an array or a tuple of them that
        `forward` takes; without, the values themselves are learnt.

    Returns
    -------
    Module
        The same module.

    Raises
    ------
    ArgumentError
        If the module has no such parameter.
    ShapeError
        If `forward` gives another shape.
    """
    if is_parametrized(module, name):
        chain = _parametrised(module)[name]
        chain.add_module(str(len(list(chain.children()))), parametrization)
        return module
    weight = _own_parameter(module, name)
    chain = ParametrizationList(weight, parametrization)
    shape = tuple(chain().shape)
    if shape != tuple(weight.shape):
        raise ShapeError(f"parametrization: expected it to give {name}'s shape {tuple(weight.shape)}, got {shape}")
    delattr(module, name)
    if not is_parametrized(module):
        module.add_module("parametrizations", ModuleDict())
    _parametrised(module).add_module(name, chain)
    return module


def remove_parametrizations(module: M, name: str = "weight", leave_parametrized: bool = True) -> M:
    """Make a computed parameter an ordinary one again.

    Parameters
    ----------
    module : Module
    name : str
    leave_parametrized : bool
        Keep the computed value; else the one that it was computed from, if that is a single one.

    Returns
    -------
    Module
        The same.

    Raises
    ------
    ArgumentError
        If it is not computed, or was computed from several.
    """
    if not is_parametrized(module, name):
        raise ArgumentError(f"name: {name!r} of {type(module).__name__} is not computed from other parameters")
    chain = _parametrised(module)[name]
    if not leave_parametrized and not isinstance(vars(chain).get("original"), Parameter):
        raise ArgumentError(f"leave_parametrized: {name!r} was computed from several parameters; only True is possible")
    with no_grad():
        value = chain() if leave_parametrized else chain.original
    del _parametrised(module)[name]
    if not len(_parametrised(module)):
        delattr(module, "parametrizations")
    setattr(module, name, Parameter(namespace(_raw(value)).asarray(_raw(value), copy=True)))
    return module


def is_parametrized(module: Module, name: str | None = None) -> bool:
    """Whether a parameter, or any parameter, of this very module is computed."""
    found = vars(module).get("parametrizations")
    return found is not None and (name is None or name in found)


class WeightNorm(Module):
    """w = g v / ‖v‖; see `weight_norm`."""

    def __init__(self, dim: int | None = 0) -> None:
        self.dim = dim

    def forward(self, g: Array, v: Array) -> Array:
        """The weight."""
        return operations.multiply(v, operations.divide(g, self._length(v)))

    def right_inverse(self, weight: Array) -> tuple[Array, Array]:
        """g = ‖w‖ and v = w."""
        return self._length(weight), weight

    def _length(self, v: Array) -> Array:
        """‖v‖ of each entry along `dim`, the other axes of length 1; of all without axes."""
        squares = operations.multiply(v, v)
        if self.dim is None or self.dim == -1:  # PyTorch's -1 means the whole weight too
            return operations.sqrt(operations.sum(squares))
        if not -len(v.shape) <= self.dim < len(v.shape):
            raise ShapeError(f"dim: {self.dim} is no axis of a weight of shape {tuple(v.shape)}")
        others = tuple(axis for axis in range(len(v.shape)) if axis != self.dim % len(v.shape))
        return operations.sqrt(operations.sum(squares, axis=others, keepdims=True))


class SpectralNorm(Module):
    """W / σ(W); see `spectral_norm`."""

    _u: Array
    _v: Array

    def __init__(
        self,
        weight: Array,
        n_power_iterations: int = 1,
        eps: float = 1e-12,
        dim: int = 0,
        *,
        rng: Generator | int | None = None,
    ) -> None:
        if checked_count("n_power_iterations", n_power_iterations) < 1:
            raise RangeError(f"n_power_iterations: expected at least 1, got {n_power_iterations}")
        if not -len(weight.shape) <= dim < len(weight.shape):
            raise ShapeError(f"dim: {dim} is no axis of a weight of shape {tuple(weight.shape)}")
        self.dim = dim % len(weight.shape)
        self.n_power_iterations = n_power_iterations
        self.eps = eps
        if len(weight.shape) > 1:
            drawn = generator_for(rng, None if isinstance(rng, Generator) else backend_of(weight))
            matrix = self._matrix(_raw(weight))
            dtype = str(matrix.dtype).rpartition(".")[2]
            u, v = (drawn.normal(0.0, 1.0, (length,), dtype=dtype) for length in matrix.shape)
            self.register_buffer("_u", self._unit(u))
            self.register_buffer("_v", self._unit(v))
            self._follow(matrix, 15)

    def forward(self, weight: Array) -> Array:
        """The weight divided by its largest singular value."""
        if len(weight.shape) == 1:
            return self._unit(weight)
        matrix, u, v = self._matrix(weight), self._u, self._v
        if self.training:
            u, v = self._follow(_raw(matrix), self.n_power_iterations)
        sigma = operations.vecdot(u, operations.matmul(matrix, v))
        return operations.divide(weight, sigma)

    def right_inverse(self, weight: Array) -> Array:
        """The weight itself: what it was divided by is not known."""
        return weight

    def _follow(self, matrix: Array, iterations: int) -> tuple[Array, Array]:
        """Iterate u = W v / ‖W v‖, v = Wᵀ u / ‖Wᵀ u‖ and keep them; what is returned is never overwritten."""
        u, v = self._u, self._v
        with no_grad():
            for _ in range(iterations):
                u = self._unit(operations.matmul(matrix, v))
                v = self._unit(operations.matmul(operations.matrix_transpose(matrix), u))
            operations.write_into(self._u, u)
            operations.write_into(self._v, v)
        return u, v

    def _unit(self, x: Array) -> Array:
        return operations.divide(x, operations.maximum(operations.linalg_vector_norm(x), self.eps))

    def _matrix(self, weight: Array) -> Array:
        """(entries along `dim`, everything else)."""
        if self.dim:
            weight = operations.moveaxis(weight, self.dim, 0)
        return operations.reshape(weight, (weight.shape[0], math.prod(weight.shape[1:])))


class ParametrizationList(Module):
    """One computed parameter: what is learnt (`original`, or `original0`, …), and the modules that compute with it.

    Parameters
    ----------
    weight : Parameter
        What was learnt so far.
    parametrization : Module
        The first that computes.
    """

    def __init__(self, weight: Parameter, parametrization: Module) -> None:
        originals = _inverted(parametrization, weight)
        if isinstance(originals, tuple):
            self._originals = tuple(f"original{i}" for i in range(len(originals)))
            for original, values in zip(self._originals, originals, strict=True):
                setattr(self, original, Parameter(_own(values), weight.requires_grad))
        else:
            self._originals = ("original",)
            self.original = weight if originals is weight else Parameter(_own(originals), weight.requires_grad)
        self.add_module("0", parametrization)

    def forward(self) -> Array:
        """The parameter."""
        first, *others = self.children()
        x = first(*(vars(self)[original] for original in self._originals))
        for parametrization in others:
            x = parametrization(x)
        return x

    def invert(self, values: Array) -> None:
        """Learn what gives these values."""
        for parametrization in reversed(list(self.children())):
            values = _inverted(parametrization, values)
        for original, each in zip(self._originals, values if isinstance(values, tuple) else (values,), strict=True):
            vars(self)[original].assign(each)


def _parametrised(module: Module) -> ModuleDict:
    """What computes the module's parameters, by name."""
    found: ModuleDict = vars(module)["parametrizations"]
    return found


def _own_parameter(module: Module, name: str) -> Parameter:
    found = getattr(module, name, None)
    if not isinstance(found, Tensor) or dtype_kind(found.dtype) != "float":
        raise ArgumentError(f"name: {type(module).__name__} has no parameter {name!r}; see named_parameters()")
    return found  # type: ignore[return-value]  # a Parameter, or one that is computed


def _inverted(parametrization: Module, values: Any) -> Any:
    with no_grad():
        inverse = getattr(parametrization, "right_inverse", None)
        return values if inverse is None else inverse(values)


def _own(values: Array) -> Array:
    """The raw values in memory of their own."""
    return namespace(_raw(values)).asarray(_raw(values), copy=True)


def _raw(x: Any) -> Any:
    return x.value if isinstance(x, Tensor) else x
