"""Cases of growing and reading trees: sorted and unsorted, weights, missing values, nodes of one sample, ties."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from portml.backends.kernels.tree_growth import grow_tree
from portml.backends.kernels.trees import (
    best_in_nodes,
    node_statistics,
    regroup_samples,
    route_samples,
    split_nodes,
    tree_leaves,
)
from tests.backends.kernel_cases import Case, Draw, case, cases

ROUNDING_ROOM = 1 / 64
"""Targets and weights are multiples of this, so that sums are exact."""

Numbers = np.ndarray[Any, Any]


def level(draw: Draw, sizes: tuple[int, ...], n_features: int, n_codes: int, *, presorted: bool) -> tuple[Any, ...]:
    """Codes, orders, starts and keys for nodes of those sizes; two more samples are in no node."""
    starts = np.cumsum([0, *sizes])
    n_samples = int(starts[-1]) + 2
    codes = draw.integers(0, n_codes, n_features, n_samples, dtype="uint8" if n_codes <= 256 else "int32")
    listed = np.argsort(draw.permutation(n_samples))[: starts[-1]]
    orders = listed[None, :].astype("int32")
    if presorted:
        node = np.repeat(np.arange(len(sizes)), sizes)
        orders = np.stack([listed[np.lexsort((row[listed], node))] for row in codes]).astype("int32")
    return codes, orders, starts.astype("int64"), draw.integers(0, 2**32, len(sizes), dtype="uint32")


def rounded(draw: Draw, n_samples: int) -> Numbers:
    return np.round(draw.normal(n_samples).astype("float64") / ROUNDING_ROOM) * ROUNDING_ROOM


SETTINGS: dict[str, Any] = {
    "criterion": "gini",
    "n_classes": 3,
    "n_codes": 7,
    "presorted": True,
    "missing": False,
    "min_samples_leaf": 1,
    "min_weight_leaf": 0.0,
    "max_features": 4,
}


@cases(split_nodes, tolerance="reduction", nan=False)
def split_nodes_cases(draw: Draw) -> Iterator[Case]:
    for changed in (
        {},
        {"criterion": "squared_error", "presorted": False, "n_codes": 256},
        {"missing": True, "min_samples_leaf": 3},
        {"missing": True, "presorted": False, "criterion": "squared_error"},
        {"missing": True, "presorted": False, "max_features": 2, "min_samples_leaf": 2},
        {"max_features": 2, "presorted": False, "n_codes": 3000, "n_classes": 2},
        {"max_features": 1, "n_codes": 2},
        {"min_weight_leaf": 4.0, "presorted": False, "n_codes": 100},
    ):
        settings = SETTINGS | changed
        for sizes in ((33, 1, 7, 2, 70), (257,), (5, 5)):
            for weighted in (False, True):
                codes, orders, starts, keys = level(
                    draw, sizes, 4, settings["n_codes"], presorted=settings["presorted"]
                )
                n_samples = codes.shape[1]
                if settings["criterion"] == "squared_error":
                    targets = rounded(draw, n_samples)
                else:
                    targets = draw.integers(0, settings["n_classes"], n_samples, dtype="int32")
                weights = np.abs(rounded(draw, n_samples)) + 0.5 if weighted else None
                yield case(codes, orders, starts, targets, weights, keys, **settings)
    codes, orders, starts, keys = level(draw, (100, 60), 3, 40, presorted=False)
    entropy = SETTINGS | {"criterion": "entropy", "n_codes": 40, "presorted": False}
    targets = draw.integers(0, 3, codes.shape[1], dtype="int32")
    yield case(codes, orders, starts, targets, None, keys, **entropy)
    codes, orders, starts, keys = level(draw, (100, 60), 3, 40, presorted=True)
    weights = np.abs(rounded(draw, codes.shape[1])) + 0.5
    yield case(codes, orders, starts, targets, weights, keys, **(entropy | {"presorted": True, "missing": True}))


GROWTH: dict[str, Any] = {
    "criterion": "gini",
    "n_classes": 3,
    "n_codes": 40,
    "missing": False,
    "max_depth": 1000,
    "min_samples_split": 2,
    "min_samples_leaf": 1,
    "min_weight_leaf": 0.0,
    "min_impurity_decrease": 0.0,
    "max_features": 4,
}


@cases(grow_tree, tolerance="reduction", nan=False)
def grow_tree_cases(draw: Draw) -> Iterator[Case]:
    key = draw.integers(0, 2**32, 1, dtype="uint32")
    for presorted, weighted, changed in (
        (True, False, {}),
        (False, True, {"max_features": 2, "n_classes": 2, "min_samples_leaf": 2}),
        (True, True, {"criterion": "squared_error", "max_depth": 4, "min_weight_leaf": 3.0}),
        (False, False, {"criterion": "squared_error", "missing": True, "max_depth": 5}),
        (False, False, {"missing": True, "max_features": 1, "n_codes": 3}),
        (True, False, {"missing": True, "min_impurity_decrease": 1 / 128, "min_samples_split": 9, "n_classes": 2}),
        (False, False, {"max_depth": 0}),
    ):
        growth = GROWTH | changed
        codes = draw.integers(0, growth["n_codes"], 4, 70, dtype="uint8")
        classes, values = draw.integers(0, growth["n_classes"], 70, dtype="int32"), rounded(draw, 70)
        targets = values if growth["criterion"] == "squared_error" else classes
        orders = np.argsort(codes, axis=1, kind="stable").astype("int32") if presorted else None
        weights = np.maximum(np.abs(rounded(draw, 70)) - 0.5, 0.0) if weighted else None
        yield case(codes, orders, targets, weights, key if growth["max_features"] < 4 else None, **growth)
    yield case(codes[:, :1], None, targets[:1], None, None, **GROWTH)
    many = GROWTH | {"criterion": "squared_error", "n_codes": 3000, "max_features": 1, "max_depth": 3}
    yield case(draw.integers(0, 3000, 2, 300, dtype="uint16"), None, rounded(draw, 300), None, key, **many)
    entropy = GROWTH | {"criterion": "entropy", "max_depth": 2, "max_features": 2}
    codes = draw.integers(0, 40, 2, 60, dtype="uint8")
    yield case(codes, None, draw.integers(0, 3, 60, dtype="int32"), None, None, **entropy)
    # Sums that are rounded: in nodes of few samples many splits are the same two groups, and equal but for rounding.
    for criterion, targets in (
        ("squared_error", draw.normal(70).astype("float64") / 3.0),
        ("entropy", draw.integers(0, 3, 70, dtype="int32")),
    ):
        codes, weights = draw.integers(0, 40, 4, 70, dtype="uint8"), draw.integers(1, 4, 70) / 10.0
        for presorted in (False, True):
            orders = np.argsort(codes, axis=1, kind="stable").astype("int32") if presorted else None
            yield case(codes, orders, targets, weights, None, **(GROWTH | {"criterion": criterion}))


@cases(best_in_nodes, tolerance="exact", nan=False)
def best_in_nodes_cases(draw: Draw) -> Iterator[Case]:
    for sizes in ((33, 1, 7, 300), (5,)):
        node, starts = np.repeat(np.arange(len(sizes)), sizes), np.cumsum([0, *sizes])
        scores = draw.integers(0, 9, 3, len(node)).astype(draw.dtype)
        scores[1] = -np.inf
        yield case(scores, node, starts)


@cases(route_samples, tolerance="exact", nan=False)
def route_samples_cases(draw: Draw) -> Iterator[Case]:
    codes = draw.integers(0, 9, 3, 300, dtype="uint8")
    node_of = draw.integers(-1, 4, 300, dtype="int32")
    feature, code, side = draw.integers(0, 3, 4), draw.integers(0, 9, 4), draw.booleans(4)
    left = np.asarray([0, -1, 2, 4], "int32")
    right = np.asarray([1, -1, 3, -1], "int32")
    for missing in (False, True):
        for dtype in ("uint8", "uint16", "int32"):
            numbers = (codes.astype(dtype), node_of, feature, code, side, left, right)
            yield case(*numbers, n_codes=9, missing=missing)


@cases(regroup_samples, tolerance="exact", nan=False)
def regroup_samples_cases(draw: Draw) -> Iterator[Case]:
    for n_rows in (1, 3):
        orders = level(draw, (40, 3, 57), n_rows, 5, presorted=True)[1]
        node = draw.integers(-1, 3, 102, dtype="int32")
        counts = np.bincount(node[orders[0]] + 1, minlength=4)[1:]
        begins = np.cumsum([0, *counts]).astype("int64")
        yield case(orders, node, begins, size=int(begins[-1]))


@cases(node_statistics, tolerance="reduction", nan=False)
def node_statistics_cases(draw: Draw) -> Iterator[Case]:
    _, orders, starts, _ = level(draw, (40, 1, 59), 1, 5, presorted=True)
    classes, values = draw.integers(0, 3, 102, dtype="int32"), rounded(draw, 102)
    for weights in (None, np.abs(values) + 0.5):
        yield case(classes, weights, orders[0], starts, criterion="gini", n_classes=3)
        yield case(values, weights, orders[0], starts, criterion="squared_error", n_classes=1)


@cases(tree_leaves, tolerance="exact", nan=False)
def tree_leaves_cases(draw: Draw) -> Iterator[Case]:
    feature = np.asarray([1, 0, -2, -2, 1, -2, -2])
    threshold = np.asarray([0.1, -0.3, 0.0, 0.0, 0.8, 0.0, 0.0])
    left, right = np.asarray([1, 2, -1, -1, 5, -1, -1]), np.asarray([4, 3, -1, -1, 6, -1, -1])
    side = np.asarray([True, False, False, False, True, False, False])
    for n_samples in (257, 1, 0):
        X = draw.normal(n_samples, 2)
        X[::5, 1] = np.nan
        yield case(X, feature, threshold, side, left, right, depth=2)
    one = np.asarray([-1])
    yield case(draw.normal(3, 2), np.asarray([-2]), np.asarray([0.0]), side[1:2], one, one, depth=0)
