"""Machine learning written once, as plain Array API code on whatever array it is given.

What stands here is the public face; each name is imported from its room when it is first used, so that
``import portml`` costs next to nothing and loads no array library.

>>> import numpy as np
>>> import portml
>>> portml.grad(lambda w: portml.namespace(w).sum(w * w))(np.asarray([1.0, 2.0]))
array([2., 4.])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portml import autograd as autograd
    from portml import backends as backends
    from portml import data as data
    from portml import errors as errors
    from portml import metrics as metrics
    from portml import nn as nn
    from portml import optim as optim
    from portml import plots as plots
    from portml import random as random
    from portml import train as train
    from portml.autograd import Tensor as Tensor
    from portml.autograd import check_gradients as check_gradients
    from portml.autograd import enable_grad as enable_grad
    from portml.autograd import grad as grad
    from portml.autograd import hessian as hessian
    from portml.autograd import jacobian as jacobian
    from portml.autograd import jvp as jvp
    from portml.autograd import no_grad as no_grad
    from portml.autograd import stop_gradient as stop_gradient
    from portml.autograd import value_and_grad as value_and_grad
    from portml.autograd import vjp as vjp
    from portml.backends import Array as Array
    from portml.backends import Backend as Backend
    from portml.backends import available_backends as available_backends
    from portml.backends import backend_of as backend_of
    from portml.backends import get_backend as get_backend
    from portml.backends import namespace as namespace
    from portml.backends import to as to
    from portml.backends import to_numpy as to_numpy
    from portml.errors import PortmlError as PortmlError
    from portml.random import Generator as Generator
    from portml.recording import capture as capture
    from portml.recording import profile as profile

__version__ = "0.1.0"

_PUBLIC = {
    "portml": ("autograd", "backends", "data", "errors", "metrics", "nn", "optim", "plots", "random", "train"),
    "portml.autograd": (
        "Tensor",
        "check_gradients",
        "enable_grad",
        "grad",
        "hessian",
        "jacobian",
        "jvp",
        "no_grad",
        "stop_gradient",
        "value_and_grad",
        "vjp",
    ),
    "portml.backends": (
        "Array",
        "Backend",
        "available_backends",
        "backend_of",
        "get_backend",
        "namespace",
        "to",
        "to_numpy",
    ),
    "portml.errors": ("PortmlError",),
    "portml.random": ("Generator",),
    "portml.recording": ("capture", "profile"),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name from its room, once."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'portml' has no attribute {name!r}; dir(portml) lists what it has")
    room = _MODULE_OF[name]
    if room == "portml":
        return importlib.import_module(f"portml.{name}")
    if room == "portml.backends":
        importlib.import_module("portml.random")  # makes what Backend.random gives
    value = globals()[name] = getattr(importlib.import_module(room), name)
    return value


def __dir__() -> list[str]:
    return ["__version__", *sorted(_MODULE_OF)]
