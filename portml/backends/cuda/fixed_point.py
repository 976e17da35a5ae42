"""Sums by atomics that are the same on every run: integer multiples of a power of two, which no order rounds apart.

Floating-point atomics add in whatever order threads come, and the last bits of the sum depend on it.  Integers do not
round.  A number is rounded once, to a share of the largest that is as fine as sums of n of them leave room for in 64
bits: 2**-42 of it for a million.
"""

from __future__ import annotations

__all__ = ["ADD_FIXED", "TO_REAL", "bits_for"]

ADD_FIXED = """
__device__ int64 to_fixed(double value, double largest, int64 bits) {
  int exponent;
  frexp(largest, &exponent);
  return llrint(ldexp(value, (int)bits - exponent));
}
__device__ void add(int64* sum, int64 value) { atomicAdd((uint64*)sum, (uint64)value); }
"""

TO_REAL = """
__device__ double to_real(int64 value, double largest, int64 bits) {
  int exponent;
  frexp(largest, &exponent);
  return ldexp((double)value, exponent - (int)bits);
}
"""


def bits_for(count: int) -> int:
    """Of how many bits numbers may be, so that the sum of `count` of them fits into 63."""
    return 62 - max(count, 1).bit_length()
