"""Differentiation: the Tensor, its tape and rules, and the functional face."""

from __future__ import annotations

from portml.autograd import rules as _rules  # enters the table
from portml.autograd.checking import check_gradients
from portml.autograd.functional import grad, hessian, jacobian, jvp, stop_gradient, value_and_grad, vjp
from portml.autograd.modes import enable_grad, grad_enabled, no_grad
from portml.autograd.tensor import Tensor, lift, plain

__all__ = [
    "Tensor",
    "check_gradients",
    "enable_grad",
    "grad",
    "grad_enabled",
    "hessian",
    "jacobian",
    "jvp",
    "lift",
    "no_grad",
    "plain",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]

del _rules
