"""Normal numbers of the CUDA source and of NumPy, which round logarithms and cosines differently."""

from __future__ import annotations

import numpy as np
import pytest

from portml.backends.kernels.random import normal_from_words, words_for_normals
from portml.random import Generator
from tests.cuda_on_host.library import HostLibrary

N = 200_000


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normals_of_the_cuda_source_are_within_4_units_in_the_last_place_of_numpys(
    cuda_on_host: HostLibrary, dtype: str
) -> None:
    words = Generator(1, "numpy").integers(0, 2**64, words_for_normals(N, dtype), "uint64")
    numpys = normal_from_words(words, shape=(N,), dtype=dtype)
    cudas = normal_from_words.kernel.table["cupy"](words, shape=(N,), dtype=dtype)
    distance = np.abs(cudas - numpys) / np.spacing(np.abs(numpys))
    assert distance.max() <= 4
    assert np.mean(distance == 0) > 0.5
