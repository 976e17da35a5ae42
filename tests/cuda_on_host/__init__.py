"""CUDA kernels executed on the host, so that tests need no GPU."""
