"""The Array API namespace of Tensors with NumPy values: a complete module of the standard, version 2025.12.

>>> import portml.autograd.namespace as xp
>>> x = xp.linspace(0.0, 1.0, 3).requires_grad_()
>>> xp.sum(xp.square(x)).backward()
>>> x.grad
Tensor(array([0., 1., 2.]))

What stands here is made when it is first asked for, by `portml.autograd.namespaces`; ``namespace.pyi`` lists it all.
"""

import sys

from portml.autograd.namespaces import define
from portml.backends.namespaces import NUMPY

define(sys.modules[__name__], NUMPY)
del NUMPY, define, sys
