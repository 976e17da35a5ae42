"""Peak memory of attention and its gradient by the length of the sequence, beside the formula with all weights."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np

from portml.backends import kernels_switched
from portml.backends.kernels.attention import (
    scaled_dot_product_attention_backward,
    scaled_dot_product_attention_saving,
)

LENGTHS = (1024, 4096, 16384)
WIDTH = 64
STATICS: dict[str, Any] = {"is_causal": False, "scale": None, "dropout_p": 0.0}


def peak(length: int, kernels: str) -> tuple[float, float, float]:
    """MiB above the arguments, forward and in all, and seconds, of one head in float32."""
    draw = np.random.default_rng(0)
    q, k, v, g = (draw.standard_normal((1, 1, length, WIDTH), dtype="float32") for _ in range(4))
    rest = (q, k, v, None, None, None)
    with kernels_switched(kernels, "numpy"):
        scaled_dot_product_attention_saving(*(each[:, :, :8] for each in (q, k, v)), None, None, None, **STATICS)
        tracemalloc.start()
        start = time.perf_counter()
        _, saved = scaled_dot_product_attention_saving(*rest, **STATICS)
        forward = tracemalloc.get_traced_memory()[1]
        needs = (True, True, True, False, False, False)
        scaled_dot_product_attention_backward(g, saved, *rest, needs=needs, **STATICS)
        seconds = time.perf_counter() - start
        both = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return forward / 2**20, both / 2**20, seconds


def main() -> None:
    """Print a table; the formula is left out where its weights would not fit."""
    print(f"one head of {WIDTH} features, float32; MiB above the arguments")
    for length in LENGTHS:
        for kernels in ("agnostic", "fused"):
            if kernels == "fused" or length <= 4096:
                forward, both, seconds = peak(length, kernels)
                print(f"T {length:6}  {kernels:9} forward {forward:8.1f}  with gradient {both:8.1f}  {seconds:6.2f} s")


if __name__ == "__main__":
    main()
