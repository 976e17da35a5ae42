"""Batches of a data set, shuffled reproducibly, with a position that a checkpoint can hold."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

from portml.backends import Array, Backend, get_backend, to_numpy
from portml.data.dataset import Dataset
from portml.errors import ArgumentError, CheckpointError, DataError
from portml.random import Generator

__all__ = ["DataLoader"]


class DataLoader:
    """Iterate over a data set in batches; each ``for`` is one epoch.

    Parameters
    ----------
    dataset : Dataset
        Such as an `ArrayDataset`.  Where its arrays live, the batches are gathered: a data set moved to a GPU with
        ``dataset.to("cupy")`` is never copied again.
    batch_size : int, default 32
    shuffle : bool, default False
        Whether each epoch has an order of its own: one ``rng.permutation(len(dataset))``.
    rng : portml.random.Generator, optional
        Needed to shuffle; the loader's own from then on (see `load_state_dict`).
    drop_last : bool, default False
        Whether a last batch of fewer than `batch_size` samples is left out.
    backend : str or Backend, optional
        Where batches are handed over; a batch that lies elsewhere is copied there.  None leaves the batches of a data
        set on a device where they are, and brings those of the host to the default backend (``$PORTML_BACKEND``).

    Yields
    ------
    tuple of arrays
        What ``dataset[positions]`` gives: for an `ArrayDataset` the inputs (n_batch, ...) and the targets (n_batch,
        ...).

    Raises
    ------
    DataError
        If the data set is empty, or shorter than one batch while `drop_last` is set.
    ArgumentError
        If `batch_size` is no positive integer, or `rng` is missing although `shuffle` is set.

    Notes
    -----
    A ``for`` that is left early and begun again begins a new epoch with a new order.  To go on within the old one, in
    the same process or another, give its state to `load_state_dict` first: the next ``for`` then yields the batches
    that were left, each the same to the bit.

    Examples
    --------
    >>> import numpy
    >>> from portml.data import ArrayDataset, DataLoader
    >>> dataset = ArrayDataset(numpy.arange(5.0), numpy.arange(5))
    >>> [targets.tolist() for _, targets in DataLoader(dataset, batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 32,
        shuffle: bool = False,
        rng: Generator | None = None,
        *,
        drop_last: bool = False,
        backend: str | Backend | None = None,
    ) -> None:
        given: Any = batch_size  # NumPy's integers are welcome too
        if not isinstance(given, Integral) or isinstance(given, bool) or given < 1:
            raise ArgumentError(f"batch_size: expected a positive integer, got {batch_size!r}")
        if shuffle and rng is None:
            raise ArgumentError("rng: a generator is needed to shuffle, got None; give portml.random.Generator(seed)")
        if rng is not None and not isinstance(rng, Generator):
            raise ArgumentError(f"rng: expected a portml.random.Generator, got {rng!r}; give Generator(seed)")
        if len(dataset) == 0:
            raise DataError("dataset: expected at least one sample, got an empty data set")
        if drop_last and len(dataset) < batch_size:
            raise DataError(
                f"dataset: expected at least one batch of {batch_size} samples as drop_last is set, got {len(dataset)}"
            )
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.backend = _default_backend(dataset) if backend is None else get_backend(backend)
        self._rng = rng
        self._epoch = 0
        self._batch = 0
        # The generator's state before this epoch's permutation was drawn; None between epochs.
        self._epoch_start: dict[str, int] | None = None
        self._resuming = False

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        whole, left = divmod(len(self.dataset), self.batch_size)
        return whole if self.drop_last or left == 0 else whole + 1

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        """One epoch, or what is left of one after `load_state_dict`."""
        order = self._begin_epoch()
        epoch, start = self._epoch, self._epoch_start
        for batch in range(self._batch, len(self)):
            gathered = self._gather(order, batch)
            # Counted before it is handed over: a state taken while the caller works on it points behind it.
            self._epoch, self._batch, self._epoch_start = epoch, batch + 1, start
            yield gathered
        self._epoch, self._batch, self._epoch_start = epoch + 1, 0, None

    @property
    def epoch(self) -> int:
        """Number of the epoch under way, or of the next one between epochs, from 0."""
        return self._epoch

    @property
    def batch(self) -> int:
        """Number of batches of the epoch under way that were handed over."""
        return self._batch

    def state_dict(self) -> dict[str, Any]:
        """The position: whole numbers, truth values and a dictionary of whole numbers, which JSON takes.

        Returns
        -------
        dict
            ``epoch`` and ``batch``, the batches handed over in it; ``generator``, the state from which the order of
            that epoch is drawn (None without shuffling); and what must agree when it is loaded again: ``n_samples``,
            ``batch_size``, ``shuffle``, ``drop_last``.
        """
        generator = self._epoch_start
        if generator is None and self._rng is not None and self.shuffle:
            generator = self._rng.state()
        return {"epoch": self._epoch, "batch": self._batch, "generator": generator, **self._agreeing()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a position: the next ``for`` yields what was left of that epoch.

        The generator given at construction is replaced by one of the saved state, not rewound: whoever else holds it is
        not disturbed.

        Raises
        ------
        CheckpointError
            If the state is no loader's, or of a loader with other samples or settings.
        """
        expected = self._agreeing()
        missing = {"epoch", "batch", "generator", *expected} - set(state)
        if missing:
            raise CheckpointError(f"state: expected the state of a DataLoader, but {sorted(missing)} are missing")
        for name, value in expected.items():
            if state[name] != value:
                raise CheckpointError(
                    f"state: {name} was {state[name]!r} when it was saved and is {value!r} now; "
                    "build the loader as it was to go on"
                )
        epoch, batch, generator = state["epoch"], state["batch"], state["generator"]
        if not isinstance(epoch, int) or not isinstance(batch, int) or epoch < 0 or not 0 <= batch <= len(self):
            raise CheckpointError(f"state: expected batch in 0..{len(self)} of some epoch, got {batch!r} of {epoch!r}")
        if self.shuffle:
            if not isinstance(generator, dict):
                raise CheckpointError(f"state: expected the generator's state as a dictionary, got {generator!r}")
            assert self._rng is not None
            try:
                self._rng = Generator.from_state(generator, self._rng.backend)
            except ArgumentError as error:
                raise CheckpointError(f"state: of its generator, {error}") from error
        self._epoch, self._batch = epoch, batch
        self._epoch_start = None
        self._resuming = True

    def _agreeing(self) -> dict[str, int]:
        """What a state and the loader it is loaded into must have in common."""
        return {
            "n_samples": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
        }

    def _begin_epoch(self) -> Array | None:
        """Step to the epoch to iterate over and draw its order; None is the order of the data set."""
        if self._resuming:
            self._resuming = False
        elif self._batch > 0:
            self._epoch, self._batch = self._epoch + 1, 0
        if not self.shuffle:
            return None
        assert self._rng is not None
        self._epoch_start = self._rng.state()
        return self._beside_dataset(self._rng.permutation(len(self.dataset)))

    def _beside_dataset(self, order: Array) -> Array:
        """The order where the samples are gathered, on the host for data sets that do not say; once an epoch."""
        place = getattr(self.dataset, "backend", None)
        return to_numpy(order) if place is None else place.asarray(order)

    def _gather(self, order: Array | None, batch: int) -> tuple[Array, ...]:
        """The samples of one batch, where they are wanted."""
        place = slice(batch * self.batch_size, min((batch + 1) * self.batch_size, len(self.dataset)))
        gathered = self.dataset[place if order is None else order[place]]
        return gathered if self.backend is None else tuple(self.backend.asarray(array) for array in gathered)


def _default_backend(dataset: Dataset) -> Backend | None:
    """Where batches go if nobody says: the data decide, unless they lie on the host; None leaves them as they come."""
    place: Backend | None = getattr(dataset, "backend", None)
    return get_backend() if place is not None and place.host else place
