"""Random numbers from a counter: Philox 4x64-10 words, and what distributions make of them.

A *word* is a uniform 64-bit integer that depends on a key, on its position in the stream, and on nothing else.  So any
machine, any thread, any device computes any part of the stream by itself, a stream is restarted by setting an integer,
and a recorded step draws anew when its counter is refilled.

Every distribution here takes a number of words that is known beforehand, which is what a counter demands: no rejection.

References
----------
J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: Parallel random numbers: as easy as 1, 2, 3. SC11, 2011.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.kernel import kernel
from portml.backends.namespaces import Array, device_of, namespace
from portml.errors import ShapeError

__all__ = [
    "bernoulli_from_words",
    "categories_from_words",
    "check_words",
    "integers_from_words",
    "normal_from_words",
    "normal_quantile",
    "permutation_from_words",
    "philox_words",
    "truncated_normal_from_words",
    "uniform_from_words",
    "words_for_normals",
    "words_for_uniforms",
]

MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)  # the golden ratio and sqrt(3) - 1, as fractions of 2**64
ROUNDS = 10

LOW_HALF = (1 << 32) - 1
# A Python scalar of 2**63 or more is refused by some libraries next to an array; these bounds stay below.
LOW_63_BITS = (1 << 63) - 1


@kernel(differentiable=False)
def philox_words(key: Array, counter: Array, *, n: int) -> Array:
    """The first n words of the Philox 4x64-10 stream that follows a counter.  [Salmon et al. 2011, sec. 3.3]

    The counter, read as an integer of 256 bits, is raised by 1, 2, 3, …; each value is encrypted under the key to a
    block of four words.  One of the ten rounds maps ``(x0, x1, x2, x3)`` to
    ``(hi(M1 x2) ^ x1 ^ k0, lo(M1 x2), hi(M0 x0) ^ x3 ^ k1, lo(M0 x0))``, with hi and lo the halves of a product of 128
    bits; between rounds the key grows by the Weyl constants.

    Parameters
    ----------
    key : array (2,), uint64
    counter : array (4,) or (5,), uint64
        Least significant word first.  A fifth element, 0 to 3, says how many words of the first block to skip.
    n : int

    Returns
    -------
    array (n,), uint64
        What ``numpy.random.Philox(key=key, counter=counter).random_raw(n)`` gives, after the skipped ones.
    """
    xp = namespace(key, counter)
    begins_within_block = counter.shape[0] == 5
    n_blocks = (n + 3 + 3 * begins_within_block) // 4
    x0, x1, x2, x3 = _counters(xp, counter, n_blocks)
    keys = _round_keys(xp, key)
    for turn in range(ROUNDS):
        high0, low0 = _multiply(x0, MULTIPLIERS[0])
        high1, low1 = _multiply(x2, MULTIPLIERS[1])
        x0, x1 = high1 ^ x1 ^ keys[turn, :1], low1
        x2, x3 = high0 ^ x3 ^ keys[turn, 1:], low0
    words = xp.reshape(xp.stack((x0, x1, x2, x3), axis=-1), (4 * n_blocks,))
    if begins_within_block:
        skipped = xp.astype(counter[4:], xp.int64)
        return xp.take(words, xp.arange(n, dtype=xp.int64, device=device_of(words)) + skipped, axis=0)
    return words[:n]


@kernel(differentiable=False)
def uniform_from_words(
    words: Array, *, shape: tuple[int, ...], dtype: str, low: float = 0.0, high: float = 1.0
) -> Array:
    """Uniform: low + (high - low) u, u a multiple of 2**-53 (float64) or 2**-24 (float32) in [0, 1).

    A word gives one float64 (its highest 53 bits) or two float32 (the highest 24 bits of its low, then of its high
    half), as NumPy draws them.

    Parameters
    ----------
    words : array (`words_for_uniforms` (prod(shape), dtype),), uint64
    shape : tuple of int
    dtype : {"float32", "float64"}
    low, high : float

    Returns
    -------
    array of that shape and dtype
        Bit-equal on every backend.
    """
    xp = namespace(words)
    size = math.prod(shape)
    check_words(words, words_for_uniforms(size, dtype))
    if dtype == "float64":
        u = xp.astype(words >> 11, xp.float64) * 2.0**-53
    else:
        u = xp.astype(_halves(xp, words) >> 8, xp.float32)[:size] * 2.0**-24
    if (low, high) != (0.0, 1.0):
        u = u * (high - low) + low
    return xp.reshape(u, shape)


@kernel(differentiable=False)
def normal_from_words(
    words: Array, *, shape: tuple[int, ...], dtype: str, mean: float = 0.0, std: float = 1.0
) -> Array:
    """Normal: mean + std z with z standard normal, by the transform of Box and Muller [1958].

    ``z[2i] = r cos(a)`` and ``z[2i+1] = r sin(a)`` with ``r = sqrt(-2 log u)``, u uniform in (0, 1], and a uniform in
    [0, 2 pi].  For float64, u and a take a word each; for float32 they take the low and the high half of one word, and
    the radius is worked out in float64: near u = 1 the logarithm of a float32 would be coarse and, on NumPy, wrong by
    some units in the last place.

    Parameters
    ----------
    words : array (`words_for_normals` (prod(shape), dtype),), uint64
    shape : tuple of int
    dtype : {"float32", "float64"}
    mean, std : float

    Returns
    -------
    array of that shape and dtype
        Standard normals agree between backends within 4 units in the last place, as libraries round log, sin and cos
        differently.  |z| is at most 6.66 (float32) or 8.57 (float64).
    """
    xp = namespace(words)
    size = math.prod(shape)
    check_words(words, words_for_normals(size, dtype))
    if dtype == "float64":
        pairs = xp.reshape(words >> 11, (words.shape[0] // 2, 2))
        u = (xp.astype(pairs[:, 0], xp.float64) + 1.0) * 2.0**-53
        angle = xp.astype(pairs[:, 1], xp.float64) * (math.tau * 2.0**-53)
    else:
        u = (xp.astype(words & LOW_HALF, xp.float64) + 1.0) * 2.0**-32
        angle = xp.astype(words >> 32, xp.float32) * (math.tau * 2.0**-32)
    radius = xp.astype(xp.sqrt(xp.log(u) * -2.0), angle.dtype)
    z = xp.stack((radius * xp.cos(angle), radius * xp.sin(angle)), axis=-1)
    z = xp.reshape(z, (2 * z.shape[0],))[:size]
    if (mean, std) != (0.0, 1.0):
        z = z * std + mean
    return xp.reshape(z, shape)


@kernel(differentiable=False)
def truncated_normal_from_words(
    words: Array, *, shape: tuple[int, ...], dtype: str, mean: float, std: float, low: float, high: float
) -> Array:
    """A normal variable on condition that it lies in [low, high]: the quantile of a uniform share of that interval.

    ``z = Q(F(a) + u (F(b) - F(a)))`` with the standard normal's distribution F and quantile Q,
    ``a = (low - mean) / std`` and b likewise.  An interval in the upper half is mirrored to the lower one, where F has
    more digits.

    Parameters
    ----------
    words : array (prod(shape),), uint64
    shape : tuple of int
    dtype : {"float32", "float64"}
    mean, std, low, high : float

    Returns
    -------
    array of that shape and dtype
        Worked out in float64.
    """
    xp = namespace(words)
    check_words(words, math.prod(shape))
    a, b = (low - mean) / std, (high - mean) / std
    sign = -1.0 if a + b > 0.0 else 1.0
    below_a, below_b = sorted((normal_distribution(sign * a), normal_distribution(sign * b)))
    u = (xp.astype(words >> 11, xp.float64) + 0.5) * 2.0**-53  # never 0 or 1, where the quantile is infinite
    z = normal_quantile.agnostic(u * (below_b - below_a) + below_a)
    value = xp.clip(z * (sign * std) + mean, low, high)
    return xp.reshape(xp.astype(value, getattr(xp, dtype)), shape)


@kernel(differentiable=False)
def integers_from_words(words: Array, *, shape: tuple[int, ...], dtype: str, low: int, high: int) -> Array:
    """Integers in [low, high): low + floor(word (high - low) / 2**64), the high half of a product of 128 bits.

    Without the rejection of Lemire [2019], a value's probability is off by less than 2**-64; a count of words that is
    known beforehand is worth that.

    Parameters
    ----------
    words : array (prod(shape),), uint64
    shape : tuple of int
    dtype : str
        A type of integers that holds low and high - 1.
    low, high : int
        ``high - low`` is 1 to 2**64.

    Returns
    -------
    array of that shape and dtype
        Bit-equal on every backend.
    """
    xp = namespace(words)
    check_words(words, math.prod(shape))
    span = high - low
    offset = words if span == 1 << 64 else _multiply(words, span)[0]
    if low >= 0:
        value = offset + low
    else:
        # An offset of 2**63 or more is no int64: its top bit is added afterwards, in two halves that are.
        top = xp.astype(offset >> 63, xp.int64) * (1 << 62)
        value = xp.astype(offset & LOW_63_BITS, xp.int64) + low + top + top
    return xp.reshape(xp.astype(value, getattr(xp, dtype)), shape)


@kernel(differentiable=False)
def bernoulli_from_words(words: Array, *, shape: tuple[int, ...], p: float) -> Array:
    """True with probability p: ``u < p`` with a float64 uniform u for each element.

    Parameters
    ----------
    words : array (prod(shape),), uint64
    shape : tuple of int
    p : float

    Returns
    -------
    array of that shape, bool
        Bit-equal on every backend.
    """
    u = uniform_from_words.agnostic(words, shape=(math.prod(shape),), dtype="float64")
    return namespace(words).reshape(u < p, shape)


@kernel(differentiable=False)
def categories_from_words(words: Array, cumulative: Array, *, shape: tuple[int, ...]) -> Array:
    """Category k with probability ``cumulative[k] - cumulative[k-1]``: the number of entries that are at most u.

    Parameters
    ----------
    words : array (prod(shape),), uint64
    cumulative : array (n_categories,), float64
        The cumulative distribution; its last entry is 1.
    shape : tuple of int

    Returns
    -------
    array of that shape, int64
        Bit-equal on every backend.
    """
    xp = namespace(words, cumulative)
    u = uniform_from_words.agnostic(words, shape=(math.prod(shape),), dtype="float64")
    return xp.reshape(xp.astype(xp.searchsorted(cumulative, u, side="right"), xp.int64), shape)


@kernel(differentiable=False)
def permutation_from_words(words: Array, *, n: int) -> Array:
    """The first n entries of the order in which the words are sorted, equal ones in the order they stand.

    Parameters
    ----------
    words : array (n_words,), uint64
    n : int
        At most n_words.

    Returns
    -------
    array (n,), int64
        All of it is a permutation of 0 to n_words - 1, each with the same probability but for the chance, less than
        n_words**2 / 2**65, that two words are equal.  Bit-equal on every backend.
    """
    xp = namespace(words)
    return xp.astype(xp.argsort(words, stable=True)[:n], xp.int64)


@kernel(differentiable=False)
def normal_quantile(p: Array) -> Array:
    """The z below which a standard normal variable lies with probability p.  [Wichura 1988, AS 241, PPND16]

    Parameters
    ----------
    p : array, float64
        In (0, 1).

    Returns
    -------
    array of p's shape, float64
        With a relative error of about 1e-16.
    """
    xp = namespace(p)
    q = p - 0.5
    central = xp.abs(q) <= 0.425
    s = 0.180625 - q * q
    middle = q * _polynomial(s, _MIDDLE[0]) / _polynomial(s, _MIDDLE[1])
    # Where another branch holds, r is given a value that keeps this one finite.
    tail = xp.where(central, xp.asarray(0.05, dtype=p.dtype, device=device_of(p)), xp.minimum(p, 1.0 - p))
    r = xp.sqrt(-xp.log(tail))
    near = _polynomial(r - 1.6, _NEAR[0]) / _polynomial(r - 1.6, _NEAR[1])
    far = _polynomial(r - 5.0, _FAR[0]) / _polynomial(r - 5.0, _FAR[1])
    outer = xp.where(r <= 5.0, near, far)
    return xp.where(central, middle, xp.where(q < 0.0, -outer, outer))


def normal_distribution(z: float) -> float:
    """The probability that a standard normal variable is below z, accurate in the lower tail."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def words_for_uniforms(size: int, dtype: str) -> int:
    """How many words `uniform_from_words` takes for so many values."""
    return size if dtype == "float64" else (size + 1) // 2


def words_for_normals(size: int, dtype: str) -> int:
    """How many words `normal_from_words` takes for so many values, which come in pairs."""
    return size + size % 2 if dtype == "float64" else (size + 1) // 2


def check_words(words: Array, expected: int) -> None:
    """Raise ShapeError unless `words` has the shape (expected,)."""
    if words.shape != (expected,):
        raise ShapeError(f"words: expected shape ({expected},) for the shape asked for, got {words.shape}")


def _counters(xp: Any, counter: Array, n_blocks: int) -> tuple[Array, Array, Array, Array]:
    """The four words of counter + 1, …, counter + n_blocks, with carries; each (n_blocks,)."""
    steps = xp.arange(1, n_blocks + 1, dtype=xp.uint64, device=device_of(counter))
    lowest = counter[0:1] + steps
    carry = xp.astype(lowest < steps, xp.uint64)
    values = [lowest]
    for place in (1, 2, 3):
        value = counter[place : place + 1] + carry
        carry = xp.astype(value < carry, xp.uint64)
        values.append(value)
    return values[0], values[1], values[2], values[3]


def _round_keys(xp: Any, key: Array) -> Array:
    """The keys of the rounds, (ROUNDS, 2): the key grown by the Weyl constants once for each."""
    grown = [[turn * constant % (1 << 64) for constant in WEYL] for turn in range(ROUNDS)]
    return xp.reshape(key, (1, 2)) + xp.asarray(grown, dtype=xp.uint64, device=device_of(key))


def _multiply(a: Array, m: int) -> tuple[Array, Array]:
    """The high and low 64 bits of ``a * m``, from products of 32-bit halves; none of the sums overflows."""
    a_high, a_low = a >> 32, a & LOW_HALF
    m_high, m_low = m >> 32, m & LOW_HALF
    lowest = a_low * m_low
    middle = a_high * m_low + (lowest >> 32)
    cross = a_low * m_high + (middle & LOW_HALF)
    high = a_high * m_high + (middle >> 32) + (cross >> 32)
    return high, (cross << 32) | (lowest & LOW_HALF)


def _halves(xp: Any, words: Array) -> Array:
    """The low and the high half of each word in turn, as uint64."""
    return xp.reshape(xp.stack((words & LOW_HALF, words >> 32), axis=-1), (2 * words.shape[0],))


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Horner's scheme, the constant coefficient first."""
    value = x * coefficients[-1] + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        value = value * x + coefficient
    return value


# Numerators and denominators of Wichura's three rational approximations, the constant coefficient first.
_MIDDLE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
_NEAR = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
_FAR = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip
