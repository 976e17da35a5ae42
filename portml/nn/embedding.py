"""Vectors for symbols, one by one or in bags."""

from __future__ import annotations

import math
from typing import Any

from portml.autograd import Tensor
from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend, backend_of, device_of, dtype_kind, namespace, operations, to_numpy
from portml.backends.kernels.bags import bag_max, renormalised_rows
from portml.backends.kernels.rows import embedding, index_add
from portml.errors import ArgumentError, DtypeError, RangeError, ShapeError
from portml.nn.initialisation import generator_for
from portml.nn.module import Module
from portml.random import Generator
from portml.random.arguments import checked_count

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """What looking up vectors one by one and in bags share: the table and how its rows are kept."""

    weight: Parameter

    def _build(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
    ) -> None:
        checked_count("num_embeddings", num_embeddings)
        checked_count("embedding_dim", embedding_dim)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ArgumentError(f"padding_idx: expected a row of {num_embeddings}, got {padding_idx}")
            padding_idx %= num_embeddings
        if max_norm is not None and not max_norm > 0:
            raise RangeError(f"max_norm: expected a number above 0, got {max_norm}")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq

    def _draw(self, rng: Generator | int | None, backend: str | Backend | None, dtype: str) -> None:
        """Standard normal rows, that of padding zero."""
        shape = (self.num_embeddings, self.embedding_dim)
        weight = generator_for(rng, backend).normal(0.0, 1.0, shape, dtype=dtype)
        if self.padding_idx is not None:
            weight[self.padding_idx, ...] = namespace(weight).zeros_like(weight[self.padding_idx, ...])
        self.weight = Parameter(weight)

    def _rows(self, indices: Array) -> Array:
        """The rows of the indices, shortened and with their gradients divided as was asked for."""
        if self.max_norm is not None:
            shortened = renormalised_rows(
                self.weight.value, indices, longest=float(self.max_norm), order=float(self.norm_type)
            )
            self.weight.assign(shortened)
        rows = embedding(indices, self.weight, padding_idx=self.padding_idx)
        return self._divided_by_frequency(rows, indices) if self.scale_grad_by_freq else rows

    def _divided_by_frequency(self, rows: Array, indices: Array) -> Array:
        """The very same rows, with gradients divided by how often their index occurs: r + s (r - constant r)."""
        if not isinstance(rows, Tensor):
            return rows
        ones = namespace(rows).full(tuple(indices.shape), 1.0, dtype=rows.dtype, device=rows.device)
        counts = index_add(ones, indices, n=self.num_embeddings)
        share = operations.divide(1.0, operations.take(counts, operations.reshape(indices, (-1,)), axis=0))
        share = operations.reshape(share, (*indices.shape, 1))
        constant = rows.detach()
        return operations.add(constant, operations.multiply(share, operations.subtract(rows, constant)))

    def extra_repr(self) -> str:
        """Sizes."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        longest = "" if self.max_norm is None else f", max_norm={self.max_norm}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}{longest}"


class Embedding(_Table):
    """A table of vectors, looked up by number.

    Input: integers (...).  Output: (..., embedding_dim).
    Parameters: ``weight`` (num_embeddings, embedding_dim), standard normal, the row of `padding_idx` zero.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
    padding_idx : int, optional
        A symbol whose vector is zero and is not learnt.
    max_norm : float, optional
        Rows that are looked up are first made no longer than this, in place.  As that writes the table, `backward` must
        come before it is looked up again.
    norm_type : float
        p of the norm meant by `max_norm`.
    scale_grad_by_freq : bool
        Divide each row's gradient by how often its symbol occurs in the input.
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        self._build(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq)
        self._draw(rng, backend, dtype)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Array,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
    ) -> Embedding:
        """A table with given rows, (num_embeddings, embedding_dim), not learnt unless `freeze` is False."""
        layer = cls.__new__(cls)
        layer._build(*_sizes(embeddings), padding_idx, max_norm, norm_type, scale_grad_by_freq)
        layer.weight = Parameter(embeddings, not freeze)
        return layer

    def forward(self, indices: Array) -> Array:
        """Look up the vectors of `indices`."""
        return self._rows(indices)


class EmbeddingBag(_Table):
    """Sums, means or maxima of the vectors of bags of symbols.

    Input: integers (B, L), a bag in each row, or (count,) with ``offsets`` (B,), where each bag begins.
    Output: (B, embedding_dim); zero for a bag without symbols.  Parameters: ``weight`` as that of `Embedding`.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
    max_norm, norm_type, scale_grad_by_freq
        As for `Embedding`.
    mode : {"mean", "sum", "max"}
    include_last_offset : bool
        `offsets` has one more entry, the length of the input.
    padding_idx : int, optional
        A symbol that counts for nothing: bags are as if it were not there.
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        *,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        self._build(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq)
        self._choose(mode, include_last_offset)
        self._draw(rng, backend, dtype)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Array,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        *,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A table with given rows, (num_embeddings, embedding_dim), not learnt unless `freeze` is False."""
        layer = cls.__new__(cls)
        layer._build(*_sizes(embeddings), padding_idx, max_norm, norm_type, scale_grad_by_freq)
        layer._choose(mode, include_last_offset)
        layer.weight = Parameter(embeddings, not freeze)
        return layer

    def forward(self, indices: Array, offsets: Array | None = None, per_sample_weights: Array | None = None) -> Array:
        """One vector for each bag.

        Parameters
        ----------
        indices : integer array (B, L) or (count,)
        offsets : integer array (B,), or (B + 1,) with `include_last_offset`
            Ascending, from 0; for (count,) only.
        per_sample_weights : array of the shape of `indices`, optional
            Factors of the vectors, for mode "sum" only.

        Raises
        ------
        ShapeError
            If the shapes do not fit each other.
        ArgumentError
            If factors are given for another mode, or, on the host, the offsets do not ascend from 0.
        """
        self._refuse_unfit_weights(indices, per_sample_weights)
        flat = operations.reshape(indices, (math.prod(indices.shape),))
        bags, n = self._bags(indices, offsets)
        rows = self._rows(flat)
        kept = operations.greater_equal(flat, 0)
        if self.padding_idx is not None:
            kept = operations.not_equal(flat, self.padding_idx)
        if self.mode == "max":
            return bag_max(rows, bags, kept, n=n)
        if self.padding_idx is not None:
            rows = operations.where(operations.expand_dims(kept, axis=1), rows, 0.0)
        if per_sample_weights is not None:
            factors = operations.reshape(per_sample_weights, (*flat.shape, 1))
            rows = operations.multiply(rows, factors)
        total = index_add(rows, bags, n=n)
        if self.mode == "sum":
            return total
        counts = index_add(operations.astype(kept, rows.dtype), bags, n=n)
        return operations.divide(total, operations.expand_dims(operations.maximum(counts, 1.0), axis=1))

    def extra_repr(self) -> str:
        """Sizes and the mode."""
        return f"{super().extra_repr()}, mode={self.mode!r}"

    def _choose(self, mode: str, include_last_offset: bool) -> None:
        if mode not in ("mean", "sum", "max"):
            raise ArgumentError(f"mode: expected 'mean', 'sum' or 'max', got {mode!r}")
        if mode == "max" and self.scale_grad_by_freq:
            raise ArgumentError("scale_grad_by_freq: mode='max' takes one symbol each; expected False")
        self.mode = mode
        self.include_last_offset = include_last_offset

    def _refuse_unfit_weights(self, indices: Array, per_sample_weights: Array | None) -> None:
        if per_sample_weights is None:
            return
        if self.mode != "sum":
            raise ArgumentError(f"per_sample_weights: expected None for mode={self.mode!r}; only sums are weighted")
        if tuple(per_sample_weights.shape) != tuple(indices.shape):
            raise ShapeError(
                f"per_sample_weights: expected the shape of the indices, {tuple(indices.shape)}, got "
                f"{tuple(per_sample_weights.shape)}"
            )

    def _bags(self, indices: Array, offsets: Array | None) -> tuple[Array, int]:
        """The number of each symbol's bag, and how many bags there are."""
        xp, device = namespace(_raw(indices)), device_of(_raw(indices))
        places = xp.arange(math.prod(indices.shape), dtype=xp.int64, device=device)
        if len(indices.shape) == 2:
            if offsets is not None:
                raise ShapeError(f"offsets: expected None for indices of shape {tuple(indices.shape)}, a bag each row")
            return places // max(indices.shape[1], 1), indices.shape[0]
        if len(indices.shape) != 1 or offsets is None or len(offsets.shape) != 1:
            given = None if offsets is None else tuple(offsets.shape)
            raise ShapeError(
                f"EmbeddingBag: expected indices (B, L), or (count,) with offsets (B,); got {tuple(indices.shape)} and "
                f"offsets {given}"
            )
        starts = _raw(offsets)
        self._refuse_unfit_offsets(starts, places.shape[0])
        starts = xp.astype(starts[:-1] if self.include_last_offset else starts, xp.int64)
        return xp.searchsorted(starts, places, side="right") - 1, starts.shape[0]

    def _refuse_unfit_offsets(self, offsets: Array, count: int) -> None:
        """Look at the offsets where looking costs nothing."""
        if dtype_kind(offsets.dtype) not in ("int", "uint"):
            raise DtypeError(f"offsets: expected integers, got {offsets.dtype}")
        if self.include_last_offset and offsets.shape[0] < 1:
            raise ShapeError("offsets: expected at least the length of the input with include_last_offset, got none")
        if not backend_of(offsets).host or offsets.shape[0] == 0:
            return
        given: list[Any] = to_numpy(offsets).tolist()
        ends_well = given[-1] == count if self.include_last_offset else given[-1] <= count
        if given[0] != 0 or sorted(given) != given or not ends_well:
            end = "to" if self.include_last_offset else "to at most"
            raise ArgumentError(f"offsets: expected them to ascend from 0 {end} {count}, got {given[:8]}")


def _sizes(embeddings: Array) -> tuple[int, int]:
    if len(embeddings.shape) != 2:
        raise ShapeError(f"embeddings: expected (num_embeddings, embedding_dim), got {tuple(embeddings.shape)}")
    return embeddings.shape[0], embeddings.shape[1]


def _raw(x: Any) -> Any:
    return x.value if isinstance(x, Tensor) else x
