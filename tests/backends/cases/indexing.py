"""Cases of indexing: every kind of key, indices that repeat, masks, rows that nothing is added to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from portml.backends.kernels.index_keys import split_key
from portml.backends.kernels.indexing import (
    advanced_getitem,
    advanced_setitem,
    advanced_unindex,
    basic_getitem,
    basic_setitem,
    basic_unindex,
    pad,
)
from portml.backends.kernels.rows import embedding, index_add, one_hot, scatter_along_axis
from tests.backends.kernel_cases import Case, Draw, case, cases

SHAPE = (3, 4, 5)
BASIC_KEYS = (
    (),
    np.s_[1],
    np.s_[...],
    np.s_[..., -1],
    np.s_[0, 1:3, None, ::-2],
    np.s_[2, 3, 4],
    np.s_[None, 1:2, ..., None],
    np.s_[:, 3:1],
    np.s_[-2:100, ::3],
)


def advanced_keys(draw: Draw) -> Iterator[Any]:
    few, pairs = draw.integers(-3, 3, 4), draw.integers(-3, 3, 2, 1)
    yield few
    yield np.s_[:, few]
    yield np.s_[1, :, few]
    yield np.s_[:, 1, few]
    yield np.s_[few, pairs]
    yield np.s_[pairs, ..., few]
    yield np.s_[:, None, pairs, ::2]
    yield np.s_[few[:0], 1:]
    yield np.s_[np.asarray(2), 1]
    yield few.astype("int32")


def masks(draw: Draw) -> Iterator[Any]:
    yield draw.booleans(*SHAPE)
    yield draw.booleans(3)
    yield np.s_[:, draw.booleans(4, 5)]
    yield np.s_[1, :, draw.booleans(5)]
    yield np.zeros(SHAPE, bool)


@cases(basic_getitem, tolerance="exact")
def basic_getitem_cases(draw: Draw) -> Iterator[Case]:
    for key in BASIC_KEYS:
        yield case(draw.normal(*SHAPE), key=split_key(key)[0])


@cases(basic_unindex, tolerance="exact")
def basic_unindex_cases(draw: Draw) -> Iterator[Case]:
    for key in BASIC_KEYS:
        yield case(draw.normal(*np.empty(SHAPE)[key].shape), key=split_key(key)[0], shape=SHAPE)


@cases(basic_setitem, tolerance="exact")
def basic_setitem_cases(draw: Draw) -> Iterator[Case]:
    for key in BASIC_KEYS:
        template, _ = split_key(key)
        yield case(draw.normal(*SHAPE), draw.normal(*np.empty(SHAPE)[key].shape), key=template)
        yield case(draw.normal(*SHAPE), draw.normal(), key=template)


@cases(pad, tolerance="exact")
def pad_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(3, 4), widths=((1, 0), (2, 3)), value=0.0)
    yield case(draw.normal(33), widths=((0, 0),), value=-1.5)
    yield case(draw.normal(0, 2), widths=((1, 1), (0, 1)), value=2.0)


@cases(advanced_getitem, tolerance="exact")
def advanced_getitem_cases(draw: Draw) -> Iterator[Case]:
    for key in (*advanced_keys(draw), *masks(draw)):
        template, arrays = split_key(key)
        yield case(draw.normal(*SHAPE), *arrays, key=template)


@cases(advanced_unindex, tolerance="reduction")
def advanced_unindex_cases(draw: Draw) -> Iterator[Case]:
    for key in (*advanced_keys(draw), *masks(draw)):
        template, arrays = split_key(key)
        yield case(draw.normal(*np.empty(SHAPE)[key].shape), *arrays, key=template, shape=SHAPE)


@cases(advanced_setitem, tolerance="exact")
def advanced_setitem_cases(draw: Draw) -> Iterator[Case]:
    for key in (*advanced_keys(draw), *masks(draw)):
        template, arrays = split_key(key)
        chosen = np.empty(SHAPE)[key].shape
        yield case(draw.normal(*SHAPE), draw.normal(*chosen), *arrays, key=template)
        yield case(draw.normal(*SHAPE), draw.normal(*chosen[-1:]), *arrays, key=template)
        yield case(draw.normal(*SHAPE), draw.normal(), *arrays, key=template)


@cases(index_add, tolerance="reduction")
def index_add_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(33, 3), draw.integers(0, 7, 33), n=7)
    yield case(draw.normal(2, 5, 3, 2), draw.integers(0, 4, 2, 5, dtype="int32"), n=9)
    yield case(draw.normal(257), draw.integers(0, 3, 257), n=3)
    yield case(draw.normal(300, 2), draw.integers(0, 1, 300), n=1)
    yield case(draw.normal(1, 2), draw.integers(0, 1, 1), n=5)
    yield case(draw.normal(0, 2), draw.integers(0, 1, 0), n=5)
    yield case(draw.normal(4, 0), draw.integers(0, 2, 4), n=2)


@cases(embedding, tolerance="exact")
def embedding_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.integers(0, 7, 33), draw.normal(7, 3), padding_idx=None)
    yield case(draw.integers(0, 3, 2, 5), draw.normal(3, 4), padding_idx=1)
    yield case(draw.integers(0, 3, 5, dtype="int32"), draw.normal(3, 2, 2), padding_idx=0)
    yield case(draw.integers(0, 3, 0, 5), draw.normal(3, 4), padding_idx=None)


@cases(one_hot, tolerance="exact")
def one_hot_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.integers(0, 7, 33), n=7, dtype=draw.dtype)
    yield case(draw.integers(0, 3, 2, 5, dtype="int32"), n=4, dtype="int64")
    yield case(draw.integers(0, 3, 0), n=3, dtype=draw.dtype)


@cases(scatter_along_axis, tolerance="reduction")
def scatter_along_axis_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(3, 7, 5), draw.integers(-4, 4, 3, 7, 5), axis=1, shape=(3, 4, 5))
    yield case(draw.normal(3, 7), draw.integers(0, 5, 1, 7), axis=-1, shape=(3, 5))
    yield case(draw.normal(33), draw.integers(-3, 3, 33, dtype="int32"), axis=0, shape=(3,))
    yield case(draw.normal(2, 0), draw.integers(0, 3, 2, 0), axis=1, shape=(2, 3))
