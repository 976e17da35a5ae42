"""The host execution of CUDA kernels finds what a GPU would punish, or worse, forgive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from portml.backends.cuda import CudaKernel, launch
from tests.cuda_on_host.library import HostLibrary, KernelFault

REVERSE = """
    __shared__ T held[THREADS];
    held[threadIdx.x] = x[row * THREADS + threadIdx.x];
    {barrier}
    y[row * THREADS + threadIdx.x] = held[THREADS - 1 - threadIdx.x];
"""


def block_kernel(name: str, parameters: str, body: str) -> CudaKernel:
    return CudaKernel(name, parameters, body, style="block", threads=32)


def test_blocks_share_memory_and_wait_for_each_other(cuda_on_host: HostLibrary) -> None:
    kernel = block_kernel("reverse", "const T* x, T* y", REVERSE.format(barrier="__syncthreads();"))
    x = np.arange(7 * 32, dtype="float32").reshape(7, 32)
    y = np.zeros_like(x)
    launch(kernel, x, y, blocks=7)
    np.testing.assert_array_equal(y, x[:, ::-1])


def test_a_forgotten_barrier_is_found(cuda_on_host: HostLibrary) -> None:
    kernel = block_kernel("race", "const T* x, T* y", REVERSE.format(barrier=""))
    with pytest.raises(KernelFault, match="order of threads"):
        launch(kernel, np.ones((32,)), np.zeros((32,)), blocks=1)


def test_a_barrier_that_some_threads_never_reach_is_found(cuda_on_host: HostLibrary) -> None:
    kernel = block_kernel("divergent", "T* y", "if (threadIdx.x < 5) __syncthreads(); y[threadIdx.x] = T(1);")
    with pytest.raises(KernelFault, match="others never reach"):
        launch(kernel, np.zeros((32,)), blocks=1)


def test_a_floating_point_atomic_is_found(cuda_on_host: HostLibrary) -> None:
    kernel = block_kernel("atomic", "const T* x, T* y", "atomicAdd(y, x[threadIdx.x]);")
    x = np.random.default_rng(0).standard_normal(32).astype("float32")
    with pytest.raises(KernelFault, match="atomic"):
        launch(kernel, x, np.zeros((1,), dtype="float32"), blocks=1)


def test_shared_memory_starts_as_nan(cuda_on_host: HostLibrary) -> None:
    kernel = block_kernel("unwritten", "T* y", "__shared__ T held[THREADS]; y[threadIdx.x] = held[threadIdx.x];")
    y = np.zeros((32,))
    launch(kernel, y, blocks=1)
    assert np.isnan(y).all()


@pytest.mark.parametrize("place", ["-1", "n"])
def test_a_write_outside_an_array_is_found(cuda_on_host: HostLibrary, place: str) -> None:
    kernel = CudaKernel(f"outside_{place.strip('-')}", "T* y", f"y[{place}] = T(1);")
    with pytest.raises(KernelFault, match=r"wrote (before|behind) y"):
        launch(kernel, np.zeros((5,)), size=5)


@pytest.mark.parametrize(("name", "place"), [("before", "i - 1"), ("behind", "i + 1")])
def test_a_read_outside_an_array_is_found(cuda_on_host: HostLibrary, name: str, place: str) -> None:
    kernel = CudaKernel(f"reads_{name}", "const T* x, T* y", f"y[i] = x[{place}];")
    with pytest.raises(KernelFault, match="out of range"):
        launch(kernel, np.ones((5,)), np.zeros((5,)), size=5)


def test_a_write_into_a_constant_array_is_found(cuda_on_host: HostLibrary) -> None:
    kernel = CudaKernel("writes_constant", "const T* x", "((T*)x)[i] = T(1);")
    with pytest.raises(KernelFault, match="declares const"):
        launch(kernel, np.zeros((5,)), size=5)


def test_arrays_that_overlap_in_part_are_found(cuda_on_host: HostLibrary) -> None:
    kernel = CudaKernel("copies", "const T* x, T* y", "y[i] = x[i];")
    x = np.zeros((6,))
    with pytest.raises(KernelFault, match="overlap"):
        launch(kernel, x[1:], x[:-1], size=5)


def test_an_update_in_place_sees_the_old_values(cuda_on_host: HostLibrary) -> None:
    kernel = CudaKernel("doubles", "const T* x, T* y", "y[i] = x[i] + x[i];")
    x = np.arange(300.0)
    launch(kernel, x, x, size=300)
    np.testing.assert_array_equal(x, 2 * np.arange(300.0))


def test_reductions_of_a_block_agree_with_numpy(cuda_on_host: HostLibrary) -> None:
    kernel = block_kernel(
        "reductions",
        "const T* x, T* sum, T* peak",
        """
        __shared__ T scratch[THREADS];
        const T s = block_sum(x[row * THREADS + threadIdx.x], scratch);
        const T p = block_maximum(x[row * THREADS + threadIdx.x], scratch);
        if (threadIdx.x == 7) { sum[row] = s; peak[row] = p; }
        """,
    )
    x = np.random.default_rng(0).standard_normal((5, 32))
    x[2, 3] = np.nan
    total, peak = np.zeros((5,)), np.zeros((5,))
    launch(kernel, x, total, peak, blocks=5)
    np.testing.assert_allclose(total, x.sum(axis=1))
    np.testing.assert_array_equal(peak, x.max(axis=1))


def test_integers_of_64_bits_multiply_to_128(cuda_on_host: HostLibrary) -> None:
    kernel = CudaKernel("high_words", "const uint64* a, uint64* y", "y[i] = __umul64hi(a[i], a[i]);", types=())
    a = np.asarray([2**63 + 5, 3, 2**64 - 1], dtype="uint64")
    y = np.zeros_like(a)
    launch(kernel, a, y, size=3)
    assert [int(each) for each in y] == [int(each) ** 2 >> 64 for each in a]


def test_a_source_that_does_not_compile_is_reported_with_its_line(cuda_on_host: HostLibrary) -> None:
    kernel = CudaKernel("mistaken", "T* y", "y[i] = T(1);\ny[i] = unknown(2);")
    with pytest.raises(KernelFault, match=r"mistaken\.body:2"):
        launch(kernel, np.zeros((5,)), size=5)


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="install g"):
        HostLibrary(tmp_path, [(CudaKernel("any", "T* y", "y[i] = T(1);"), "float")])
