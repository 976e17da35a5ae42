"""Every CUDA kernel compiles for a GPU, although there is none."""

from __future__ import annotations

import pytest

from portml.backends.cuda import CudaKernel, all_cuda_kernels
from tests.backends import nvrtc

ARCHITECTURES = ("sm_80", "sm_90")

pytestmark = pytest.mark.nvrtc


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    ("kernel", "T"), [pytest.param(*each, id=each[0].entry(each[1])) for each in all_cuda_kernels()]
)
def test_a_kernel_compiles_without_errors_or_warnings(kernel: CudaKernel, T: str | None, architecture: str) -> None:
    entry = kernel.entry(T)
    assert entry.encode() in nvrtc.compile_to_cubin(kernel.source(T), architecture, f"{entry}.cu")


def test_an_error_gives_the_line_of_the_body() -> None:
    kernel = CudaKernel("mistaken", "T* y", "y[i] = T(1);\ny[i] = unknown(2);")
    with pytest.raises(nvrtc.NvrtcError, match=r"mistaken\.body\(2\): error"):
        nvrtc.compile_to_cubin(kernel.source("float"), "sm_80")
