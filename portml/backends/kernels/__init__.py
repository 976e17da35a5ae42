"""The agnostic bodies of the kernels, one topic a file."""
