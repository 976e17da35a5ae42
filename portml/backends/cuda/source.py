"""A CUDA kernel is data: its parameters and its body, from which complete CUDA C++ is written for each type.

Because it is data, every kernel can be listed, compiled without a GPU, and executed on the host by tests.

What a body may use
-------------------
``T``
    The floating-point type of this variant, ``float`` or ``double``; not in kernels with ``types=()``.
``int8  uint8  int32  uint32  int64  uint64``
    Integer types; every index is an ``int64``.
``maximum(a, b)``, ``minimum(a, b)``
    As in the Array API standard a NaN wins, whereas CUDA's own ``max`` and ``fmax`` drop it.
``INFINITY``, ``NAN`` and CUDA's mathematical functions, overloaded on the type: ``exp(x)``, ``tanh(x)``, ``rsqrt(x)``
    Literals are written ``T(0.5)``; a bare ``0.5`` would compute in double precision.
``i`` and ``n`` (elementwise)
    The body runs once for each index ``0 <= i < n``.
``row`` and ``rows`` (block)
    The body is run by a whole block of ``THREADS`` threads for each ``0 <= row < rows``; it may use ``__shared__``
    arrays, ``__syncthreads()``, atomics on integers, and

    ``block_sum(value, scratch)``, ``block_maximum(value, scratch)``
        The sum or maximum over the block, returned to every thread, always in the same order.  Every thread must call
        it; declare ``__shared__ T scratch[THREADS];``.

    A body ends a row early with ``continue``, the whole block together, never with ``return``.

Arrays are C-contiguous.  A result may be the very array that an argument is (an update in place), so that a body reads
what it needs at an index before it writes there.  No warp shuffles: the host, where tests execute kernels, has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from portml.errors import ArgumentError

__all__ = ["DTYPES", "CudaKernel", "Parameter"]

DTYPES = {
    "float": "float32",
    "double": "float64",
    "int8": "int8",
    "uint8": "uint8",
    "int32": "int32",
    "uint32": "uint32",
    "int64": "int64",
    "uint64": "uint64",
    "bool": "bool",
}
"""The name of the data type of an array for each type of C++; ``T`` is one of the first two."""

_DECLARATION = re.compile(r"(?P<const>const\s+)?(?P<type>\w+)\s*(?P<pointer>\*)?\s*(?P<name>[A-Za-z_]\w*)")

_PRELUDE = """\
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#ifndef NAN
#define NAN __int_as_float(0x7fffffff)
#endif
typedef signed char int8;
typedef unsigned char uint8;
typedef int int32;
typedef unsigned int uint32;
typedef long long int64;
typedef unsigned long long uint64;
"""

_ARITHMETIC = """\
typedef {type} T;
__device__ T maximum(T a, T b) {{ return a > b || a != a ? a : b; }}
__device__ T minimum(T a, T b) {{ return a < b || a != a ? a : b; }}
"""

_REDUCTIONS = """\
__device__ T block_sum(T value, T* scratch) {
  scratch[threadIdx.x] = value;
  __syncthreads();
  for (int half = THREADS / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) scratch[threadIdx.x] += scratch[threadIdx.x + half];
    __syncthreads();
  }
  value = scratch[0];
  __syncthreads();
  return value;
}
__device__ T block_maximum(T value, T* scratch) {
  scratch[threadIdx.x] = value;
  __syncthreads();
  for (int half = THREADS / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) scratch[threadIdx.x] = maximum(scratch[threadIdx.x], scratch[threadIdx.x + half]);
    __syncthreads();
  }
  value = scratch[0];
  __syncthreads();
  return value;
}
"""

# The step of a loop runs after `continue` too: the barrier keeps a fast thread from overwriting the shared arrays of
# the row before, and indices of 64 bits with strides reach any size with any number of blocks.
_LOOPS = {
    "elementwise": """\
  const int64 stride = (int64)gridDim.x * blockDim.x;
  for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride) {""",
    "block": """\
  for (int64 row = blockIdx.x; row < rows; __syncthreads(), row += gridDim.x) {""",
}
_INDEX = {"elementwise": "i", "block": "row"}
_COUNT = {"elementwise": "n", "block": "rows"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a CUDA kernel.

    Attributes
    ----------
    type : str
        ``T`` or a key of `DTYPES`.
    name : str
    is_pointer : bool
        Whether it is an array; else it is a scalar passed by value.
    is_constant : bool
        Whether the kernel only reads it.
    """

    type: str
    name: str
    is_pointer: bool = False
    is_constant: bool = True

    @property
    def declaration(self) -> str:
        """The parameter as C++ writes it."""
        return f"{'const ' if self.is_constant else ''}{self.type}{'*' if self.is_pointer else ''} {self.name}"

    @classmethod
    def parse(cls, declaration: str) -> Parameter:
        """Read one declaration, such as ``const T* x``, ``T* y`` or ``int64 n_rows``."""
        match = _DECLARATION.fullmatch(declaration.strip())
        if match is None or match["type"] not in {"T", *DTYPES}:
            raise ArgumentError(
                f"parameters: {declaration!r} is not understood; write 'const T* x' (read), 'T* y' (written) or "
                f"'int64 n' (scalar) with T or one of {', '.join(DTYPES)}"
            )
        pointer = match["pointer"] is not None
        return cls(match["type"], match["name"], pointer, is_constant=match["const"] is not None or not pointer)


@dataclass(frozen=True, eq=False)
class CudaKernel:
    """A CUDA kernel as data; what its body may use is said at the top of this module.

    Two kernels are equal if they are the same object, so that looking one up costs no comparison of texts.

    Parameters
    ----------
    name : str
        An identifier; the entry point is ``portml_<name>_<type>``, or ``portml_<name>`` without types.
    parameters : str
        Declarations as in C++, separated by commas: ``"const T* x, T* y, int64 n_columns, T eps"``.  A pointer that is
        not const is written.  Any pointer may be given as None, which the body sees as a null pointer.
    body : str
        Run for every index ``i`` of ``n``, or by a whole block for every ``row`` of ``rows``, as the style says.
    preamble : str
        Device functions and constants that stand before the kernel.
    types : tuple of str
        What ``T`` may be.  Empty for kernels that have no ``T``.
    style : {"elementwise", "block"}
    threads : int
        Threads of a block, a power of two; ``THREADS`` in the source.

    Raises
    ------
    ArgumentError
        If a name, declaration, type, style or number of threads is not one that can be compiled.
    """

    name: str
    parameters: str
    body: str
    preamble: str = ""
    types: tuple[str, ...] = ("float", "double")
    style: str = "elementwise"
    threads: int = 256

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ArgumentError(f"name: expected an identifier, got {self.name!r}")
        if self.style not in _LOOPS:
            raise ArgumentError(f"style of {self.name}: expected one of {tuple(_LOOPS)}, got {self.style!r}")
        if not set(self.types) <= {"float", "double"}:
            raise ArgumentError(f"types of {self.name}: expected 'float' and 'double', got {self.types}")
        if self.threads not in (32, 64, 128, 256, 512, 1024):
            raise ArgumentError(f"threads of {self.name}: expected a power of two from 32 to 1024, got {self.threads}")
        reserved = {_COUNT[self.style], _INDEX[self.style], "T", "THREADS"}
        taken = {parameter.name for parameter in self.parsed} & reserved
        if taken:
            raise ArgumentError(f"parameters of {self.name}: {sorted(taken)} have a meaning here; choose other names")
        uses_type = any(parameter.type == "T" for parameter in self.parsed)
        if uses_type and not self.types:
            raise ArgumentError(f"parameters of {self.name}: T needs types, for example types=('float', 'double')")

    @cached_property
    def parsed(self) -> tuple[Parameter, ...]:
        """The parameters, one by one, without the count that `source` adds at the end."""
        return tuple(Parameter.parse(declaration) for declaration in self.parameters.split(","))

    @property
    def variants(self) -> tuple[str | None, ...]:
        """Everything that `source` takes."""
        return self.types or (None,)

    def entry(self, T: str | None = None) -> str:
        """The name of the compiled function."""
        self._check_type(T)
        return f"portml_{self.name}" if T is None else f"portml_{self.name}_{T}"

    def source(self, T: str | None = None) -> str:
        """Complete CUDA C++ of one variant.

        Parameters
        ----------
        T : {"float", "double"} or None
            One of `variants`.

        Returns
        -------
        str
            A translation unit with one ``extern "C" __global__`` function named `entry`, which takes the parameters and
            then ``const int64 n`` (elementwise) or ``const int64 rows`` (block).  Errors of a compiler give lines of
            ``<name>.preamble`` and ``<name>.body``.
        """
        return "".join(f"{line}\n" for line in self._lines(T))

    def _lines(self, T: str | None) -> Iterator[str]:
        declared = [parameter.declaration for parameter in self.parsed] + [f"const int64 {_COUNT[self.style]}"]
        yield _PRELUDE.rstrip()
        if T is not None:
            yield _ARITHMETIC.format(type=T).rstrip()
        yield f"enum {{ THREADS = {self.threads} }};"  # no variable, which would be one that some kernels never use
        if T is not None and self.style == "block":
            yield _REDUCTIONS.rstrip()
        if self.preamble:
            yield f'#line 1 "{self.name}.preamble"'
            yield self.preamble.strip("\n")
        yield f'extern "C" __global__ __launch_bounds__({self.threads}) void {self.entry(T)}({", ".join(declared)}) {{'
        yield _LOOPS[self.style]
        yield f'#line 1 "{self.name}.body"'
        yield self.body.strip("\n")
        yield "  }"
        yield "}"

    def _check_type(self, T: str | None) -> None:
        if T not in self.variants:
            raise ArgumentError(f"T: the kernel {self.name} is written for {self.variants}, got {T!r}")
