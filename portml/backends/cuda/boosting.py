"""Histograms of gradients on CuPy's arrays; see `portml.backends.kernels.boosting`."""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.fixed_point import ADD_FIXED, TO_REAL, bits_for
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import boosting as twins
from portml.backends.namespaces import Array, device_of, namespace

__all__: list[str] = []

# Gradients, second derivatives and numbers of samples, one after the other, (3, features, n_codes).
ADD_GRADIENTS = CudaKernel(
    "add_gradients",
    "const uint8* codes, const int64* samples, const double* gradients, const double* hessians, const double* largest, "
    "int64 features, int64 n_codes, int64 bits, int64* sums",
    """
    const int64 sample = samples[i / features], column = i % features, length = features * n_codes;
    const int64 cell = column * n_codes + codes[sample * features + column];
    add(sums + cell, to_fixed(gradients[sample], largest[0], bits));
    if (hessians) add(sums + length + cell, to_fixed(hessians[sample], largest[1], bits));
    add(sums + 2 * length + cell, 1);
    """,
    preamble=ADD_FIXED,
    types=(),
)

READ_GRADIENTS = CudaKernel(
    "read_gradients",
    "const int64* sums, const double* largest, int64 length, int64 bits, int64 has_hessians, double* y",
    """
    const int64 part = i / length;
    const int64 value = sums[part == 1 && !has_hessians ? i + length : i];
    y[i] = part == 0 || (part == 1 && has_hessians) ? to_real(value, largest[part], bits) : (double)value;
    """,
    preamble=TO_REAL,
    types=(),
)


# Registered as it is: gradients are float64 whatever the table is.
@twins.gradient_histograms.on("cupy")
def _gradient_histograms(
    codes: Array, rows: Array, gradients: Array, hessians: Array, *, n_codes: int, out: Any = None
) -> Array:
    xp, n_features = namespace(codes, rows, gradients), codes.shape[1]
    slopes, bends = contiguous(gradients, xp.float64), contiguous(hessians, xp.float64)
    sizes = [xp.max(xp.abs(slopes)), xp.max(xp.abs(slopes if bends is None else bends))]
    largest, bits = xp.stack(sizes), bits_for(rows.shape[0])
    sums = xp.zeros((3, n_features, n_codes), dtype=xp.int64, device=device_of(codes))
    given = (contiguous(codes, xp.uint8), contiguous(rows, xp.int64), slopes, bends, largest)
    launch(ADD_GRADIENTS, *given, n_features, n_codes, bits, sums, size=rows.shape[0] * n_features)
    y = destination(out, sums.shape, xp.float64, slopes)
    launch(READ_GRADIENTS, sums, largest, n_features * n_codes, bits, int(bends is not None), y, size=y.size)
    return deliver(y, out)
