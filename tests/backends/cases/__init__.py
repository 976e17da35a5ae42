"""Cases of kernels, a module for each topic; how to write one is said in `tests.backends.kernel_cases`."""
