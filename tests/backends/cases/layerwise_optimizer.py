"""Cases of the steps that look at a layer as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from portml.backends.kernels import layerwise_optimizer
from tests.backends.kernel_cases import Case, Draw, case, cases

SHAPES = ((1,), (7, 5), (257,), (0,))


@cases(layerwise_optimizer.lamb_step, tolerance="reduction", in_place=(0, 2, 3), nan=False)
def lamb_cases(draw: Draw) -> Iterator[Case]:
    for shape in SHAPES:
        p, g, m, v = draw.normal(*shape), draw.normal(*shape), draw.normal(*shape), draw.uniform(0.5, 2.0, *shape)
        h = draw.values(0.1, 1.5, 1.2)
        yield case(p, g, m, v, h)
        yield case(p, g, m, v, h, beta1=0.8, beta2=0.9, eps=1e-4, weight_decay=0.1, maximize=True)
        yield case(p * 0, g, m, v, h)


@cases(layerwise_optimizer.lars_step, tolerance="reduction", in_place=(0, 2), nan=False)
def lars_cases(draw: Draw) -> Iterator[Case]:
    for shape in SHAPES:
        p, g, velocity, h = draw.normal(*shape), draw.normal(*shape), draw.normal(*shape), draw.values(0.5)
        yield case(p, g, velocity, h)
        yield case(p, g, velocity, h, momentum=0.5, trust=0.1, weight_decay=0.1, nesterov=True)
        yield case(p, g * 0, velocity, h, weight_decay=0.1, maximize=True)


@cases(layerwise_optimizer.muon_step, tolerance="reduction", in_place=(0, 2))
def muon_cases(draw: Draw) -> Iterator[Case]:
    for shape in ((1, 1), (7, 5), (3, 9), (0, 4)):
        p, g, velocity, h = draw.normal(*shape), draw.normal(*shape), draw.normal(*shape), draw.values(0.1, 0.9)
        yield case(p, g, velocity, h)
        yield case(p, g, velocity, h, momentum=0.5, nesterov=False, scale=2.0, ns_steps=3)
