from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portml.backends.kernels.attention import attention_weights, packed_attention, scaled_dot_product_attention
from tests.backends.kernel_cases import Case, Draw, case, cases

PLAIN = {"is_causal": False, "scale": None, "dropout_p": 0.0}
CAUSAL = {**PLAIN, "is_causal": True}


@cases(scaled_dot_product_attention, tolerance="reduction")
def attention_cases(draw: Draw) -> Iterator[Case]:
    def heads(*shape: int, keys: int, values: int) -> tuple[np.ndarray, ...]:
        *lead, _, width = shape
        return draw.normal(*shape), draw.normal(*lead, keys, width), draw.normal(*lead, keys, values)

    small = heads(2, 3, 5, 4, keys=7, values=6)
    yield case(*small, None, None, None, **PLAIN)
    yield case(*small, None, None, None, **CAUSAL)
    yield case(*small, draw.normal(5, 7), None, None, **{**PLAIN, "scale": 0.3})
    yield case(*small, draw.normal(2, 1, 1, 7), None, None, **CAUSAL)
    yield case(*small, draw.normal(2, 3, 5, 7), None, None, **PLAIN)
    nowhere = draw.booleans(2, 1, 5, 7)
    nowhere[0, 0, 2] = False
    yield case(*small, nowhere, None, None, **PLAIN)
    yield case(*small, nowhere[0], None, None, **CAUSAL)
    yield case(*small, np.asarray([[[[True]]], [[[False]]]]), None, None, **PLAIN)
    yield case(*small, np.where(nowhere, 0, -np.inf).astype(draw.dtype), None, None, **PLAIN)
    yield case(*heads(9, 4, keys=3, values=2), None, None, None, **CAUSAL)
    yield case(*heads(3, 2, 4, keys=5, values=4), draw.booleans(2, 5), None, None, **PLAIN)
    yield case(*heads(2, 1, 3, 2, 4, keys=5, values=1), draw.booleans(3, 1, 5), None, None, **PLAIN)
    # Far apart: exponentials that overflow unless the maximum is taken off first.
    query, key, value = heads(1, 2, 6, 4, keys=6, values=3)
    yield case(query * 12, key * 12, value, None, None, None, **CAUSAL)
    # Grouped queries
    grouped = draw.normal(2, 6, 5, 4), draw.normal(2, 2, 7, 4), draw.normal(2, 2, 7, 3)
    yield case(*grouped, None, None, None, **PLAIN)
    yield case(*grouped, draw.normal(6, 5, 1), None, None, **CAUSAL)
    yield case(draw.normal(4, 3, 2), draw.normal(1, 3, 2), draw.normal(1, 3, 2), None, None, None, **PLAIN)
    # Wide heads, and wider ones than tiles have room for; values as wide as the queries are not
    yield case(*heads(1, 2, 19, 40, keys=21, values=33), None, None, None, **CAUSAL)
    yield case(*heads(1, 1, 18, 65, keys=9, values=128), draw.booleans(18, 9), None, None, **PLAIN)
    yield case(*heads(1, 5, 130, keys=3, values=3), None, None, None, **PLAIN)
    # Dropout, with an odd number of weights in a row
    words = draw.integers(0, 2**63 - 1, 2, dtype="uint64"), draw.integers(0, 2**63 - 1, 4, dtype="uint64")
    for p in (0.3, 1.0):
        yield case(*small, None, *words, **{**PLAIN, "dropout_p": p})
    yield case(*grouped, draw.booleans(5, 7), *words, **{**CAUSAL, "dropout_p": 0.5})
    last = np.asarray([2**64 - 2, 2**64 - 1, 5, 0, 3], dtype="uint64")  # a counter that carries, within a block
    yield case(*small, None, words[0], last, **{**PLAIN, "dropout_p": 0.5})
    # Nothing to ask, nothing to attend to, nothing to say
    yield case(*heads(2, 0, 4, keys=3, values=2), None, None, None, **PLAIN)
    yield case(*heads(2, 3, 4, keys=0, values=2), None, None, None, **PLAIN)
    yield case(*heads(0, 3, 4, keys=2, values=2), None, None, None, **CAUSAL)
    yield case(*heads(2, 3, 0, keys=2, values=2), None, None, None, **PLAIN)
    # Several tiles, the last of them small; and arrays that are not contiguous
    yield case(*heads(2, 150, 5, keys=300, values=3), None, None, None, **PLAIN)
    yield case(*heads(1, 270, 3, keys=530, values=2), None, None, None, **PLAIN)
    yield case(*heads(1, 300, 3, keys=270, values=2), draw.normal(270), *words, **{**CAUSAL, "dropout_p": 0.2})
    spread = [np.swapaxes(draw.normal(2, 5, 3, 8), 1, 2)[..., ::2] for _ in range(3)]
    yield case(*spread, None, None, None, **PLAIN)


@cases(packed_attention, tolerance="reduction")
def packed_attention_cases(draw: Draw) -> Iterator[Case]:
    words = draw.integers(0, 2**63 - 1, 2, dtype="uint64"), draw.integers(0, 2**63 - 1, 4, dtype="uint64")
    yield case(draw.normal(2, 5, 24), None, None, None, n_heads=2, **PLAIN)
    yield case(draw.normal(3, 7, 9), draw.booleans(3, 1, 1, 7), None, None, n_heads=3, **CAUSAL)
    yield case(draw.normal(2, 5, 12), draw.normal(2, 1, 5, 5), *words, n_heads=1, **{**PLAIN, "dropout_p": 0.4})
    yield case(draw.normal(0, 5, 12), None, None, None, n_heads=2, **PLAIN)
    yield case(draw.normal(2, 0, 12), None, None, None, n_heads=2, **PLAIN)
    yield case(draw.normal(1, 290, 12), None, None, None, n_heads=2, **CAUSAL)
    yield case(np.swapaxes(draw.normal(5, 2, 12), 0, 1), None, None, None, n_heads=2, **PLAIN)


@cases(attention_weights, tolerance="reduction")
def attention_weights_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(2, 4, 3, 5), draw.normal(2, 2, 6, 5), None, is_causal=False, scale=None)
    nowhere = draw.booleans(3, 6)
    nowhere[1] = False
    yield case(draw.normal(2, 4, 3, 5), draw.normal(2, 4, 6, 5), nowhere, is_causal=True, scale=0.7)
