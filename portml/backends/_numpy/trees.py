"""Growing decision trees in NumPy: counting where codes are few, else sorting one key for each sample and column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.trees import (
    column_order,
    node_statistics,
    regroup_samples,
    route_samples,
    split_nodes,
    tree_leaves,
)

__all__: list[str] = []

Numbers = NDArray[Any]
