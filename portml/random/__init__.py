"""One stream of random numbers on every backend, from a key and a counter.

>>> from portml.random import Generator
>>> rng = Generator(7)
>>> weights = rng.normal(0.0, 0.02, (784, 10))
>>> order = rng.permutation(60_000)

The stream is Philox 4x64-10 [Salmon et al. 2011], keyed as ``numpy.random.Philox(seed)`` is.  Its words are what a
position in it says and nothing else, so the state is three integers, and words, uniforms, integers, permutations,
Bernoulli variables and choices have the same bits on every backend.  Normals agree within 4 units in the last place,
and to the bit on one machine and backend.
"""

from __future__ import annotations

from portml.backends import register_generator
from portml.random.generator import Generator

__all__ = ["Generator"]

register_generator(Generator)
