"""What calls cost by counting: additions and multiplications, bytes, and the least time that a machine needs for them.

A matrix product (m, k) @ (k, n) counts 2 m k n; what works number by number counts one for each number of its largest
array, a lower bound.  Bytes are those of the arguments and of the results, each read or written once.  The *roof* of
a machine is its speed in large matrix products and in copying; the least time of a call is the larger of operations /
speed and bytes / bandwidth.  [Williams, Waterman & Patterson 2009]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from portml.backends import Backend, Call
from portml.backends.memory import item_bytes

__all__ = ["Roof", "bytes_of", "measure_roof", "operations_of"]

_MEASURED: dict[str, Roof] = {}


class Roof(NamedTuple):
    """How fast a device is at best.

    Attributes
    ----------
    operations : float
        Additions and multiplications a second, in a float32 matrix product.
    bandwidth : float
        Bytes a second, read and written, in a copy.
    """

    operations: float
    bandwidth: float

    def least_seconds(self, operations: float, n_bytes: float) -> float:
        """What a call of so many operations and bytes takes at least."""
        return max(operations / self.operations, n_bytes / self.bandwidth)


def measure_roof(backend: Backend) -> Roof:
    """Measure a device, once in a process; takes about a tenth of a second."""
    name = repr(backend)
    if name not in _MEASURED:
        n = 1024 if not backend.host else 512
        a, b = backend.full((n, n), 1.0), backend.full((n, n), 1.0)
        block = backend.zeros((1 << 24,), "uint8")
        product = _best_of(backend, lambda: a @ b)
        copy = _best_of(backend, lambda: backend.xp.asarray(block, copy=True))
        _MEASURED[name] = Roof(2.0 * n**3 / product, 2.0 * (1 << 24) / copy)
    return _MEASURED[name]


def bytes_of(call: Call, result: Any) -> int:
    """Bytes of a call's arguments and results."""
    return sum({id(array): _n_bytes(array) for array in (*_arrays(call.arguments), *_arrays(result))}.values())


def operations_of(call: Call, result: Any) -> int:
    """Additions and multiplications of a call."""
    name = call.kernel.name.removesuffix("_saving")
    forward = name.removesuffix("_backward")
    if forward not in _COUNTS:
        return max((math.prod(array.shape) for array in (*_arrays(call.arguments), *_arrays(result))), default=0)
    count, n_products = _COUNTS[forward]
    if forward == name:
        return count(next(_arrays(result)), *call.arguments)
    # A gradient kernel is given the cotangent, what was saved, and the forward one's arguments.
    cotangent = next(_arrays(call.arguments))
    wanted = call.statics.get("needs", (True,) * n_products)[:n_products]
    return count(cotangent, *call.arguments[2:]) * sum(map(bool, wanted))


def _matmul(y: Any, x1: Any, x2: Any) -> int:
    return 2 * _size(y) * int(x1.shape[-1])


def _linear(y: Any, x: Any, weight: Any, *bias: Any) -> int:
    return 2 * _size(y) * int(weight.shape[-1])


def _convolution(y: Any, x: Any, weight: Any, *bias: Any) -> int:
    return 2 * _size(y) * int(math.prod(weight.shape[1:]))


def _convolution_transpose(y: Any, x: Any, weight: Any, *bias: Any) -> int:
    return 2 * _size(x) * int(math.prod(weight.shape[1:]))


def _attention(y: Any, query: Any, key: Any, value: Any, *masks: Any) -> int:
    return 2 * int(math.prod(query.shape[:-1])) * int(key.shape[-2]) * int(query.shape[-1] + value.shape[-1])


def _packed_attention(y: Any, packed: Any, *masks: Any) -> int:
    return 4 * _size(y) * int(packed.shape[1])


def _recurrent(y: Any, x: Any, *others: Any) -> int:
    matrices = [each for each in others if hasattr(each, "shape") and len(each.shape) == 2]
    # States are matrices too, of as many rows as there are sequences; weights have a multiple of the units.
    weights = [each for each in matrices if tuple(each.shape) != (x.shape[1], y.shape[-1])]
    return 2 * int(math.prod(x.shape[:2])) * sum(_size(weight) for weight in weights)


# How a kernel's operations are counted, and to how many of its first arguments the gradient costs as much again.
_COUNTS: dict[str, tuple[Callable[..., int], int]] = {
    "matmul": (_matmul, 2),
    "linear": (_linear, 2),
    "convolution": (_convolution, 2),
    "convolution_transpose": (_convolution_transpose, 2),
    "scaled_dot_product_attention": (_attention, 3),
    "packed_attention": (_packed_attention, 1),
    "lstm": (_recurrent, 2),
    "gru": (_recurrent, 2),
    "recurrent": (_recurrent, 2),
}


def _best_of(backend: Backend, work: Callable[[], Any]) -> float:
    work()
    times = []
    for _ in range(7):
        backend.synchronize()
        first = backend.mark()
        work()
        times.append(backend.seconds_between(first, backend.mark()))
    return max(min(times), 1e-9)


def _arrays(tree: Any) -> Iterator[Any]:
    if isinstance(tree, tuple):
        for part in tree:
            yield from _arrays(part)
    elif hasattr(tree, "shape"):
        yield tree


def _size(array: Any) -> int:
    return int(math.prod(array.shape))


def _n_bytes(array: Any) -> int:
    return _size(array) * item_bytes(array.dtype)
