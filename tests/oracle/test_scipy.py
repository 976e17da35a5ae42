"""Code of another library, written for the standard, is differentiated through its own calls."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_scipy_is_differentiated_where_it_is_written_for_the_standard():
    source = """
import numpy as np, portml
from scipy.special import logsumexp
x = portml.Tensor(np.asarray([[0.5, 1.5, 2.0]]), requires_grad=True)
logsumexp(x, axis=1).backward(np.ones(1))
softmax = np.exp(x.numpy()) / np.exp(x.numpy()).sum()
np.testing.assert_allclose(x.grad.numpy(), softmax, rtol=1e-14)
"""
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    subprocess.run([sys.executable, "-c", source], check=True, cwd=Path(__file__).parents[2], env=environment)
