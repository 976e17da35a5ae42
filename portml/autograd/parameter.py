"""A parameter: a leaf that a model owns, an optimizer may store, and a freeze does not forget."""

from __future__ import annotations

from typing import Any

from portml.autograd.tape import Leaf, next_sequence
from portml.autograd.tensor import Tensor, _check_differentiable
from portml.backends import Array, backend_of, namespace, operations
from portml.backends.doorway import change
from portml.errors import ShapeError

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A Tensor that is learnt.

    Inside `no_grad` it counts as a plain array: a module given raw arrays then gives raw arrays back.  An optimizer
    packs parameters into flat storage; `value` is then a view into it, written in place and never rebound.

    Parameters
    ----------
    value : array or Tensor
    requires_grad : bool
        False makes it frozen; it can be thawed by setting the attribute.

    Raises
    ------
    DtypeError
        If the data type holds no fractions.
    """

    __slots__ = ("_kept",)
    _counts_as_array = True

    def __init__(self, value: Array, requires_grad: bool = True) -> None:
        super().__init__(value)
        _check_differentiable(self.value.dtype)
        self._kept = Leaf()
        self.node = self._kept if requires_grad else None

    @property
    def leaf(self) -> Leaf:
        """Where gradients arrive, kept while the parameter is frozen."""
        return self._kept

    def assign(self, value: Array) -> None:
        """Write new values in place, converted to this parameter's data type; older records are then refused.

        Raises
        ------
        ShapeError
            If the shape differs.
        """
        value = value.value if isinstance(value, Tensor) else value
        if tuple(value.shape) != tuple(self.shape):
            raise ShapeError(f"value: expected shape {self.shape}, got {tuple(value.shape)}")
        value = backend_of(self.value).asarray(value, dtype=self.value.dtype)
        operations.write_into(self.value, value)
        self._kept.written = next_sequence()

    def rebind(self, value: Array) -> None:
        """Hold another array, on any backend, and leave the optimizer's storage, which is stale from then on."""
        change()
        if self._kept.storage is not None:
            self._kept.storage.stale = True
        frozen = self.node is None
        self.value = value
        self._kept = Leaf()
        self._kept.written = next_sequence()
        self.node = None if frozen else self._kept

    def _leaf(self) -> Leaf:
        return self._kept

    def _fresh_leaf(self) -> Leaf:
        return self._kept

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        return Parameter(self._unpacked(), self.requires_grad)

    def __reduce__(self) -> tuple[Any, ...]:
        return Parameter, (self._unpacked(), self.requires_grad)

    def _unpacked(self) -> Array:
        """The values in memory of their own, outside any optimizer's storage."""
        return namespace(self.value).asarray(self.value, copy=True)
