"""Loaders of text: batches of similar length, and windows of one long text for truncated back-propagation."""

from __future__ import annotations

from typing import Any

import numpy as np

from portml.backends import Array, Backend, get_backend, to_numpy
from portml.data.loader import DataLoader
from portml.data.text.padding import SequenceDataset
from portml.errors import ArgumentError, DataError, DtypeError, RangeError
from portml.random import Generator

__all__ = ["BucketLoader", "TextWindows", "WindowLoader"]

HostArray = np.ndarray[Any, Any]


class BucketLoader(DataLoader):
    """Batches of sequences of similar length, so that little of a batch is padding.

    An epoch's random order is cut into pools of `pool` batches; each pool is sorted by length, and the batches that
    come out are shuffled.  Without shuffling all sequences are sorted once, the shortest first.

    Parameters
    ----------
    dataset : SequenceDataset
    batch_size : int
    shuffle : bool
    rng : portml.random.Generator, optional
        Needed to shuffle.
    pool : int
        Batches whose sequences are sorted among themselves: 1 shuffles most and pads most.
    drop_last, backend
        As in `DataLoader`, whose exact resumption this has too.
    """

    def __init__(
        self,
        dataset: SequenceDataset,
        batch_size: int = 32,
        shuffle: bool = False,
        rng: Generator | None = None,
        *,
        pool: int = 50,
        drop_last: bool = False,
        backend: str | Backend | None = None,
    ) -> None:
        if not isinstance(pool, int) or pool < 1:
            raise ArgumentError(f"pool: expected a number of batches of at least 1, got {pool!r}")
        super().__init__(dataset, batch_size, shuffle, rng, drop_last=drop_last, backend=backend)
        self.pool = pool
        self._lengths = dataset.lengths

    def _agreeing(self) -> dict[str, int]:
        return {**super()._agreeing(), "pool": self.pool}

    def _begin_epoch(self) -> HostArray:
        order = super()._begin_epoch()
        if order is None:
            return np.argsort(self._lengths, kind="stable")
        assert self._rng is not None
        shuffled = to_numpy(order)
        size = self.pool * self.batch_size
        pools = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
        ordered = np.concatenate([pool[np.argsort(self._lengths[pool], kind="stable")] for pool in pools])
        # Whole batches change places; what is left over stays last, where a loader expects the short batch.
        n_whole = len(ordered) // self.batch_size
        whole, rest = np.split(ordered, [n_whole * self.batch_size])
        batches = whole.reshape(n_whole, self.batch_size)[to_numpy(self._rng.permutation(n_whole))]
        return np.concatenate([batches.reshape(-1), rest])


class WindowLoader(DataLoader):
    """One long text in `batch_size` rows read side by side: each batch goes on where the one before ended.

    Row r holds the r-th part of the text.  The final state of a recurrent network after one batch is therefore the
    initial state of the next, and gradients are cut between them: truncated back-propagation through time.

    Parameters
    ----------
    ids : array of integers, (n_tokens,)
    batch_size : int
        Rows.
    length : int
        Steps of a window; the last of an epoch may be shorter.
    drop_last : bool
        Leave out a last window that is shorter.
    backend : str or Backend, optional
        Where batches are handed over.

    Yields
    ------
    inputs, targets : arrays of int64, (batch_size, length)
        Targets are the inputs one token later.

    Raises
    ------
    DataError
        If there are fewer than two tokens for each row.

    Notes
    -----
    Begin each epoch with a fresh state.  Up to ``batch_size`` tokens at the end, which fill no row, are left out.
    Resuming is that of `DataLoader`; the state of the network is the caller's to keep.

    References
    ----------
    [Williams & Peng 1990, An efficient gradient-based algorithm for on-line training of recurrent network trajectories]
    """

    def __init__(
        self,
        ids: Array,
        batch_size: int,
        length: int,
        *,
        drop_last: bool = False,
        backend: str | Backend | None = None,
    ) -> None:
        stream = _Stream(ids, batch_size, length, drop_last)
        super().__init__(stream, 1, backend=backend)
        self.rows, self.length = batch_size, length

    def _agreeing(self) -> dict[str, int]:
        steps = self.dataset.inputs.shape[1]  # type: ignore[attr-defined]
        return {**super()._agreeing(), "rows": self.rows, "length": self.length, "steps": steps}


class TextWindows:
    """Windows of one long text as a data set, each predicting the next token at every step.

    Parameters
    ----------
    ids : array of integers, (n_tokens,)
    length : int
        Steps of a window.
    stride : int, optional
        Steps from one window to the next, `length` by default: no token is predicted twice.

    Raises
    ------
    DataError
        If the text is not longer than one window.

    Notes
    -----
    ``dataset[positions]`` is ``(inputs, targets)``, each (n_chosen, length), of the data type of `ids`.
    """

    def __init__(self, ids: Array, length: int, *, stride: int | None = None) -> None:
        self.ids = _tokens(ids)
        self.length = _at_least_one("length", length)
        self.stride = self.length if stride is None else _at_least_one("stride", stride)
        if len(self.ids) <= self.length:
            raise DataError(
                f"ids: expected more than {self.length} tokens, one window and its target, got {len(self.ids)}"
            )

    @property
    def backend(self) -> Backend:
        """The host."""
        return get_backend("numpy")

    def __len__(self) -> int:
        return (len(self.ids) - 1 - self.length) // self.stride + 1

    def __getitem__(self, index: Any, /) -> tuple[Array, ...]:
        """Windows at a slice, or at positions (n_chosen,)."""
        positions = np.arange(len(self))[index] if isinstance(index, slice) else np.atleast_1d(np.asarray(index))
        if positions.dtype.kind not in "iu":
            raise DtypeError(f"index: expected a slice or integers, got {positions.dtype}")
        if positions.size and not (positions.min() >= 0 and positions.max() < len(self)):
            raise RangeError(f"index: expected positions in 0..{len(self) - 1}, got {positions.tolist()[:8]}")
        steps = positions[:, None] * self.stride + np.arange(self.length)
        return self.ids[steps], self.ids[steps + 1]


class _Stream:
    """The rows of a `WindowLoader`; sample k is the k-th window of all rows."""

    def __init__(self, ids: Array, rows: int, length: int, drop_last: bool) -> None:
        tokens = _tokens(ids)
        rows, length = _at_least_one("batch_size", rows), _at_least_one("length", length)
        steps = (len(tokens) - 1) // rows
        if steps < (length if drop_last else 1):
            raise DataError(
                f"ids: expected at least {rows} rows of {length if drop_last else 1} steps and a target, got "
                f"{len(tokens)} tokens"
            )
        self.inputs = tokens[: rows * steps].reshape(rows, steps)
        self.targets = tokens[1 : rows * steps + 1].reshape(rows, steps)
        self.length = length
        self.windows = steps // length if drop_last else -(-steps // length)

    @property
    def backend(self) -> Backend:
        """The host."""
        return get_backend("numpy")

    def __len__(self) -> int:
        return self.windows

    def __getitem__(self, index: Any, /) -> tuple[Array, ...]:
        place = slice(index.start * self.length, index.stop * self.length)
        return self.inputs[:, place], self.targets[:, place]


def _tokens(ids: Any) -> HostArray:
    tokens = np.asarray(to_numpy(ids) if hasattr(ids, "dtype") else ids)
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise DtypeError(f"ids: expected integers of shape (n_tokens,), got {tokens.dtype} of shape {tokens.shape}")
    if tokens.size and tokens.min() < 0:
        raise RangeError(f"ids: expected numbers of tokens, got {tokens.min()}")
    return tokens.astype(np.int64)


def _at_least_one(name: str, number: Any) -> int:
    if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < 1:
        raise ArgumentError(f"{name}: expected a whole number of at least 1, got {number!r}")
    return int(number)
