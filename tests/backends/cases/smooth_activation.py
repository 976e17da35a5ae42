from __future__ import annotations

from collections.abc import Iterator

from portml.backends.kernels import error_function, gated_activation, piecewise_activation, smooth_activation
from tests.backends.cases.activation import elementwise_inputs
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(
    error_function.erf,
    error_function.erfc,
    smooth_activation.logsigmoid,
    smooth_activation.mish,
    smooth_activation.selu,
    smooth_activation.softsign,
    smooth_activation.tanhshrink,
    piecewise_activation.hardsigmoid,
    piecewise_activation.hardswish,
    piecewise_activation.relu6,
)
def plain_cases(draw: Draw) -> Iterator[Case]:
    for x in elementwise_inputs(draw):
        yield case(x)
    yield case(4 * draw.normal(5, 11))


@cases(smooth_activation.gelu)
def gelu_cases(draw: Draw) -> Iterator[Case]:
    for x in elementwise_inputs(draw):
        yield case(x, approximate="none")
        yield case(x, approximate="tanh")


@cases(smooth_activation.celu)
def celu_cases(draw: Draw) -> Iterator[Case]:
    for x in elementwise_inputs(draw):
        yield case(x, alpha=1.0)
        yield case(x, alpha=0.7)
    yield case(draw.normal(3, 7), alpha=-1.5)


@cases(piecewise_activation.hardtanh)
def hardtanh_cases(draw: Draw) -> Iterator[Case]:
    for x in elementwise_inputs(draw):
        yield case(x, min_val=-0.7, max_val=1.2)


@cases(piecewise_activation.hardshrink, piecewise_activation.softshrink)
def shrink_cases(draw: Draw) -> Iterator[Case]:
    for x in elementwise_inputs(draw):
        yield case(x, lambd=0.6)


@cases(piecewise_activation.threshold)
def threshold_cases(draw: Draw) -> Iterator[Case]:
    for x in elementwise_inputs(draw):
        yield case(x, threshold=0.3, value=-2.0)


def halved(draw: Draw) -> Iterator[Case]:
    yield case(2 * draw.normal(3, 14), axis=-1)
    yield case(2 * draw.normal(2, 6, 7), axis=1)
    yield case(2 * draw.normal(6, 43), axis=0)
    yield case(draw.normal(2), axis=0)
    yield case(draw.normal(0, 4), axis=1)
    yield case(draw.normal(3, 0), axis=1)
    yield case(5 * draw.normal(2, 514), axis=-1)


@cases(gated_activation.glu, gated_activation.swiglu, gated_activation.reglu)
def gated_cases(draw: Draw) -> Iterator[Case]:
    yield from halved(draw)


@cases(gated_activation.geglu)
def geglu_cases(draw: Draw) -> Iterator[Case]:
    for each in halved(draw):
        yield case(*each.arguments, **each.statics, approximate="none")
        yield case(*each.arguments, **each.statics, approximate="tanh")


@cases(gated_activation.prelu, tolerance="reduction")
def prelu_cases(draw: Draw) -> Iterator[Case]:
    for shape in ((5, 3), (2, 3, 7), (4, 3, 5, 33), (0, 3)):
        yield case(draw.normal(*shape), draw.normal(3))
        yield case(draw.normal(*shape), draw.normal(1))
    yield case(draw.normal(257), draw.normal(1))
    yield case(draw.normal(), draw.normal(1))


@cases(gated_activation.maxout)
def maxout_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(3, 14), pieces=2, axis=-1)
    yield case(draw.normal(2, 9, 7), pieces=3, axis=1)
    yield case(draw.normal(0, 4), pieces=4, axis=1)
    yield case(draw.normal(5, 3), pieces=1, axis=0)
