"""Differentiation: the Tensor, its tape and rules, and the functional face."""

from __future__ import annotations

from portml.autograd import rules as _rules  # enters the table
from portml.autograd.modes import enable_grad, grad_enabled, no_grad
from portml.autograd.tensor import Tensor, lift, plain

__all__ = ["Tensor", "enable_grad", "grad_enabled", "lift", "no_grad", "plain"]

del _rules
