"""Sequences of different lengths in one array: padding, lengths and masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from portml.backends import Array, Backend, get_backend, namespace, to_numpy
from portml.errors import ArgumentError, DataError, DtypeError, RangeError, ShapeError

__all__ = ["SequenceDataset", "pad_sequences", "padding_mask"]

HostArray = np.ndarray[Any, Any]


def pad_sequences(
    sequences: Sequence[Any], *, value: float = 0, length: int | None = None, side: str = "right"
) -> tuple[HostArray, HostArray]:
    """Sequences side by side, filled up to the longest.

    Parameters
    ----------
    sequences : sequence of arrays or lists, each (n_steps, ...)
        Of one data type and equal further dimensions.
    value : number
        What fills.
    length : int, optional
        Fill up to this instead of the longest.
    side : {"right", "left"}
        Where the filling goes.

    Returns
    -------
    padded : array, (n_sequences, length, ...)
    lengths : array of int64, (n_sequences,)

    Raises
    ------
    DataError
        If there are no sequences.
    ShapeError
        If one is longer than `length`, or their further dimensions differ.

    Examples
    --------
    >>> padded, lengths = pad_sequences([[5, 6, 7], [8]])
    >>> padded.tolist(), lengths.tolist()
    ([[5, 6, 7], [8, 0, 0]], [3, 1])
    """
    if side not in ("right", "left"):
        raise ArgumentError(f"side: expected 'right' or 'left', got {side!r}")
    rows = [_row(sequence) for sequence in sequences]
    if not rows:
        raise DataError("sequences: expected at least one, got none")
    longest = max(len(row) for row in rows)
    if length is not None and length < longest:
        raise ShapeError(f"length: expected at least {longest}, as long as the longest sequence, got {length}")
    inner = {row.shape[1:] for row in rows}
    if len(inner) > 1:
        raise ShapeError(f"sequences: expected equal dimensions after the first, got {sorted(inner)}")
    width = longest if length is None else length
    padded = np.full((len(rows), width, *inner.pop()), value, dtype=np.result_type(*rows))
    for into, row in zip(padded, rows, strict=True):
        into[slice(len(row)) if side == "right" else slice(width - len(row), None)] = row
    return padded, np.array([len(row) for row in rows], dtype=np.int64)


def padding_mask(lengths: Array, length: int, *, side: str = "right") -> Array:
    """True where a padded batch holds no token, as ``key_padding_mask`` of `MultiheadAttention` wants it.

    Parameters
    ----------
    lengths : array of integers, (n_sequences,)
        On any backend; the mask is on the same.
    length : int
        Of the padded batch.
    side : {"right", "left"}

    Returns
    -------
    array of bool, (n_sequences, length)
        ``scaled_dot_product_attention`` calls True what it attends to: there write ``~mask``.

    Raises
    ------
    RangeError
        If a length is negative or longer than the batch; on a device lengths are not read, hence not checked.
    """
    if side not in ("right", "left"):
        raise ArgumentError(f"side: expected 'right' or 'left', got {side!r}")
    xp = namespace(lengths)
    if lengths.ndim != 1 or not xp.isdtype(lengths.dtype, "integral"):
        raise DtypeError(f"lengths: expected integers of shape (n_sequences,), got {lengths.dtype} {lengths.shape}")
    if isinstance(lengths, np.ndarray) and lengths.size and not (lengths.min() >= 0 and lengths.max() <= length):
        raise RangeError(f"lengths: expected 0..{length}, got values from {lengths.min()} to {lengths.max()}")
    steps = xp.arange(length, dtype=lengths.dtype, device=lengths.device)
    if side == "left":
        steps = length - 1 - steps
    mask: Array = steps[None, :] >= lengths[:, None]
    return mask


class SequenceDataset:
    """Sequences of different lengths with one target each; a batch is padded to the longest that is in it.

    Parameters
    ----------
    sequences : sequence of arrays or lists, each (n_steps,)
        At least one step each.
    targets : array or sequence, (n_sequences, ...)
    value : number
        What fills.
    side : {"right", "left"}

    Raises
    ------
    DataError
        If there is no sequence, or one is empty.
    ShapeError
        If there are not as many targets.

    Notes
    -----
    ``dataset[positions]`` is ``(padded (n, longest), lengths (n,), targets (n, ...))``, on the host.
    """

    def __init__(self, sequences: Sequence[Any], targets: Any, *, value: float = 0, side: str = "right") -> None:
        self.sequences = [_row(sequence) for sequence in sequences]
        self.targets = np.asarray(to_numpy(targets) if hasattr(targets, "dtype") else targets)
        self.value, self.side = value, side
        if not self.sequences:
            raise DataError("sequences: expected at least one, got none")
        self.lengths = np.array([len(row) for row in self.sequences], dtype=np.int64)
        if self.lengths.min() == 0:
            raise DataError(f"sequences: number {int(self.lengths.argmin())} is empty; leave it out")
        if self.targets.ndim == 0 or len(self.targets) != len(self.sequences):
            raise ShapeError(
                f"targets: expected one for each of the {len(self.sequences)} sequences, got shape {self.targets.shape}"
            )

    @property
    def backend(self) -> Backend:
        """The host."""
        return get_backend("numpy")

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: Any, /) -> tuple[Array, ...]:
        """Padded sequences, their lengths and targets, at a slice or at positions (n_chosen,)."""
        positions = np.arange(len(self))[index] if isinstance(index, slice) else np.atleast_1d(np.asarray(index))
        if positions.dtype.kind not in "iu":
            raise DtypeError(f"index: expected a slice or integers, got {positions.dtype}")
        if positions.size and not (positions.min() >= 0 and positions.max() < len(self)):
            raise RangeError(f"index: expected positions in 0..{len(self) - 1}, got {positions.tolist()[:8]}")
        chosen = [self.sequences[position] for position in positions]
        padded, lengths = pad_sequences(chosen, value=self.value, side=self.side)
        return padded, lengths, self.targets[positions]


def _row(sequence: Any) -> HostArray:
    row = np.asarray(to_numpy(sequence) if hasattr(sequence, "dtype") else sequence)
    if row.ndim == 0 or row.dtype.kind not in "biufc":
        raise DtypeError(f"sequences: expected rows of numbers, got {row.dtype} of shape {row.shape}")
    return row.astype(np.int64) if row.size == 0 and row.ndim == 1 else row
