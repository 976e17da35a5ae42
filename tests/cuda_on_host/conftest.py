from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portml.backends.cuda import all_cuda_kernels, launcher_registered
from tests.cuda_on_host.library import HostLibrary


@pytest.fixture(scope="session")
def host_library(request: pytest.FixtureRequest) -> HostLibrary:
    """Every CUDA kernel compiled for the host; kept between runs as long as the sources stay the same."""
    cache = getattr(request.config, "cache", None)
    folder = cache.mkdir("cuda_on_host") if cache is not None else Path(tempfile.gettempdir(), "portml-cuda-on-host")
    return HostLibrary(folder, all_cuda_kernels())


@pytest.fixture
def cuda_on_host(host_library: HostLibrary, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostLibrary]:
    """NumPy arrays run CUDA kernels, so that the glue for CuPy can be called with them.

    ``numpy.empty`` gives arrays full of NaN or -1, so that what a kernel forgets to write is found out.
    """
    monkeypatch.setattr(np, "empty", _poisoned(np.empty))
    with launcher_registered("numpy", host_library):
        yield host_library


def _poisoned(empty: Any) -> Any:
    def poisoned(*arguments: Any, **options: Any) -> Any:
        array = empty(*arguments, **options)
        array.reshape(-1).view(np.uint8)[:] = 0x01 if array.dtype == np.bool_ else 0xFF
        return array

    return poisoned
