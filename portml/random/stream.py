"""A place in a Philox stream: what is saved, reserved and split of a generator of random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Self

from portml.backends import Array, Backend, fill_slot, get_backend
from portml.backends._numpy.random import key_of_seed
from portml.backends.doorway import depend
from portml.backends.kernels.random import philox_words
from portml.errors import ArgumentError, RangeError
from portml.random.arguments import checked_count, checked_integer

__all__ = ["Stream"]

BLOCK = 4  # words
# Draws take the lower half of the 2**256 blocks under a key, the keys of children come from the upper half.
FIRST_CHILD = 1 << 255
STATE = {"key": 1 << 128, "position": BLOCK * FIRST_CHILD + 1, "children": FIRST_CHILD}


class Stream:
    """A key, and how many words and children were taken under it.

    Parameters
    ----------
    seed : int
        Any integer of at least 0.
    backend : str or Backend, optional
        Where to draw; None takes the default backend (see `portml.backends.get_backend`).

    Raises
    ------
    ArgumentError
        If `seed` is no integer of at least 0.
    """

    def __init__(self, seed: int, backend: str | Backend | None = None) -> None:
        number = checked_integer("seed", seed)
        if number < 0:
            raise ArgumentError(f"seed: expected at least 0, got {seed}; secrets.randbits(128) gives a fresh one")
        low, high = key_of_seed(number)
        self._start(get_backend(backend), low | high << 64, 0, 0)

    @classmethod
    def from_state(cls, state: Mapping[str, int], backend: str | Backend | None = None) -> Self:
        """Go on, on any backend, where the generator stood that gave this `state`.

        Raises
        ------
        ArgumentError
            If `state` is not what `state` gives.
        """
        made = cls.__new__(cls)
        made._start(get_backend(backend), *_checked(state))
        return made

    def state(self) -> dict[str, int]:
        """Where this generator stands, as integers that a JSON file holds.

        Returns
        -------
        dict
            ``key`` (128 bits), ``position`` (words taken so far) and ``children`` (generators split off so far).
        """
        return {"key": self._key, "position": self._position, "children": self._children}

    def set_state(self, state: Mapping[str, int]) -> None:
        """Go on where the generator stood that gave this `state`; errors as in `from_state`."""
        self._start(self.backend, *_checked(state))

    def to(self, backend: str | Backend) -> Self:
        """Draw on another backend from here on; the stream goes on where it stands."""
        self._start(get_backend(backend), self._key, self._position, self._children)
        return self

    def split(self, n: int) -> list[Self]:
        """Independent generators on the same backend, other ones at each call.

        The key of child number c is the first half of block 2**255 + c under this generator's key; draws never come to
        those blocks.  So a child is as independent of its siblings and its parent as the outputs of Philox under one
        key are of each other [Claessen & Pałka 2013]; two of n generators have the same key with a probability below
        n**2 / 2**129.

        Parameters
        ----------
        n : int

        Returns
        -------
        list of Generator
        """
        n = checked_count("n", n)
        words = self._words_on_host_from(FIRST_CHILD + self._children, BLOCK * n).tolist()
        self._children += n
        keys = (words[first] | words[first + 1] << 64 for first in range(0, BLOCK * n, BLOCK))
        return [self.from_state({"key": key, "position": 0, "children": 0}, self.backend) for key in keys]

    def counter(self, n_words: int) -> tuple[Array, Array]:
        """Reserve words for a kernel that draws itself.

        Parameters
        ----------
        n_words : int
            The most that the kernel takes.

        Returns
        -------
        key : array (2,), uint64
        counter : array (4,), uint64
            What `portml.backends.kernels.random.philox_words` takes; the words begin with a fresh block.  A recorded
            step fills the counter anew at each replay.
        """
        return self._key_array(), self._slot(checked_count("n_words", n_words), BLOCK)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(key={self._key:#x}, position={self._position}, backend={self.backend.name!r})"

    def __copy__(self) -> Self:
        return self.from_state(self.state(), self.backend)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle names the backend only: the device may be another one where it is opened.
        return self.from_state, (self.state(), self.backend.name)

    def _start(self, backend: Backend, key: int, position: int, children: int) -> None:
        self.backend = backend
        self._key = key
        self._position = position
        self._children = children
        self._key_on_device: Array | None = None

    def _words(self, n: int) -> Array:
        """The next n words, on the device."""
        return philox_words(self._key_array(), self._slot(n, BLOCK + 1), n=n)

    def _words_on_host(self, n: int) -> Array:
        """The next n words, in the host's memory."""
        block, skipped = divmod(self._take(n), BLOCK)
        return self._words_on_host_from(block, skipped + n)[skipped:]

    def _slot(self, n_words: int, size: int) -> Array:
        """A counter for the next words, filled at the doorway: a replay takes words of its own."""
        depend(self, lambda: (self._key, self.backend))
        array = self.backend.empty((size,), "uint64")
        return fill_slot(array, values=partial(self._reserve, n_words, whole_blocks=size == BLOCK))

    def _reserve(self, n_words: int, whole_blocks: bool) -> list[int]:
        """Take the next words, and say where they begin as `philox_words` wants to know it."""
        if whole_blocks:
            self._take(-self._position % BLOCK)
        block, skipped = divmod(self._take(n_words), BLOCK)
        return _digits(block, 4) if whole_blocks else [*_digits(block, 4), skipped]

    def _take(self, n_words: int) -> int:
        """Move on by so many words and return where they begin."""
        start = self._position
        if start + n_words > BLOCK * FIRST_CHILD:
            raise RangeError(f"the stream has 2**257 words, of which {start} are taken; go on with split(1)")
        self._position = start + n_words
        return start

    def _key_array(self) -> Array:
        if self._key_on_device is None:
            self._key_on_device = _array_of_words(self.backend, _digits(self._key, 2))
        return self._key_on_device

    def _words_on_host_from(self, block: int, n: int) -> Array:
        """Words after a counter, beside the doorway: what the host works out is no part of a recorded step."""
        host = get_backend("numpy")
        key, counter = _array_of_words(host, _digits(self._key, 2)), _array_of_words(host, _digits(block, 4))
        return philox_words.kernel.implementation(key, counter)(key, counter, n=n)


def _checked(state: Mapping[str, int]) -> tuple[int, int, int]:
    if not isinstance(state, Mapping) or set(state) != set(STATE):
        raise ArgumentError(f"state: expected a dict of {', '.join(STATE)}, as Generator.state() gives, got {state!r}")
    for name, bound in STATE.items():
        if not 0 <= checked_integer(f"state[{name!r}]", state[name]) < bound:
            raise ArgumentError(f"state[{name!r}]: expected at least 0 and less than {bound}, got {state[name]}")
    return int(state["key"]), int(state["position"]), int(state["children"])


def _digits(number: int, count: int) -> list[int]:
    """A number in words of 64 bits, the least significant first."""
    return [number >> 64 * place & 0xFFFFFFFFFFFFFFFF for place in range(count)]


def _array_of_words(backend: Backend, values: list[int]) -> Array:
    # Not Backend.asarray: without the type in hand NumPy makes float64 of small and large integers together.
    return backend.xp.asarray(values, dtype=backend.dtype("uint64"), device=backend.device)
