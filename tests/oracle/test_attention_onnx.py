"""Attention and rotary positions on ONNX's own cases; those beyond our words are listed with the reason."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from portml.backends.kernels.attention import attention_weights, heads_apart, heads_beside
from portml.backends.kernels.attention import scaled_dot_product_attention as attend
from portml.backends.kernels.positions import rotary_embedding
from tests.oracle.onnx_cases import NodeCase, node_cases

pytestmark = pytest.mark.oracle

Numbers = np.ndarray[Any, Any]

TOLERANCES = {"float32": 1e-5, "float16": 4e-3}


def beyond(case: NodeCase) -> str | None:
    """Why a case is left out; None if it is not."""
    if case.attributes.get("softcap", 0.0):
        return "scores held below a bound by tanh, before the mask is added"
    if any(each is not None and str(each.dtype) == "bfloat16" for each in case.inputs):
        return "bfloat16, which NumPy does not have"
    return None


ATTENTION = list(node_cases("Attention"))


def test_only_soft_caps_and_bfloat16_are_left_out() -> None:
    left = [case.name for case in ATTENTION if beyond(case)]
    assert len(ATTENTION) > 80
    assert len(left) < 20
    assert all("softcap" in name or "bf16" in name or name.endswith("gqa_rank4_mask") for name in left)


@pytest.mark.parametrize("case", [pytest.param(each, id=each.name) for each in ATTENTION if not beyond(each)])
def test_attention_gives_onnxs_results(case: NodeCase) -> None:
    inputs: tuple[Any, ...] = (*case.inputs, *[None] * 7)
    query, key, value, mask, past_key, past_value, lengths = inputs[:7]
    heads: Any = case.attributes.get("q_num_heads"), case.attributes.get("kv_num_heads")
    is_flat = query.ndim == 3
    if is_flat:
        query, key, value = (heads_apart(x, n) for x, n in zip((query, key, value), (*heads, heads[1]), strict=True))
    past = 0
    if past_key is not None:
        past = past_key.shape[2]
        key, value = np.concatenate([past_key, key], axis=2), np.concatenate([past_value, value], axis=2)
    seen, bias = seen_and_added(case, mask, query.shape, key.shape[2], past, lengths)
    scale = case.attributes.get("scale")
    combined = seen if bias is None else np.where(seen, bias, -np.inf).astype(query.dtype)
    with warnings.catch_warnings():  # some hold numbers so large that float16 overflows
        warnings.simplefilter("ignore", RuntimeWarning)
        y = attend(query, key, value, combined, None, None, scale=scale)
        weights = attention_weights(query, key, combined, scale=scale)
    outputs = (*case.outputs, *[None] * 4)[:4]
    agree(heads_beside(y) if is_flat else y, outputs[0])
    for ours, theirs in ((key, outputs[1]), (value, outputs[2])):
        if theirs is not None:
            agree(ours, theirs)
    if case.attributes.get("qk_matmul_output_mode", 0) == 3:
        agree(weights, outputs[3])


def seen_and_added(
    case: NodeCase, mask: Any, shape: tuple[int, ...], n_keys: int, past: int, lengths: Any
) -> tuple[Numbers, Any]:
    """What each query may look at, (samples, heads, queries, keys), and what is added to its scores."""
    seen = np.ones((*shape[:3], n_keys), np.bool_)
    bias = None
    if mask is not None:
        # A mask that is too short says that what lies behind is not looked at.
        rest = [(0, 0)] * (mask.ndim - 1) + [(0, n_keys - mask.shape[-1])]
        if mask.dtype == np.bool_:
            seen &= np.pad(mask, rest, constant_values=False)
        else:
            bias = np.broadcast_to(np.pad(mask, rest, constant_values=-np.inf), seen.shape)
    columns = np.arange(n_keys)
    first = np.full((shape[0], 1, 1, 1), past)
    if lengths is not None:
        lengths = np.asarray(lengths).reshape(-1, 1, 1, 1)
        seen &= columns < lengths
        first = lengths - shape[2]
    rows = first + np.arange(shape[2]).reshape(-1, 1)
    if case.attributes.get("is_causal", 0):
        seen &= columns <= rows
    left, right = (case.attributes.get(f"{side}_window_size", -1) for side in ("left", "right"))
    if left >= 0:
        seen &= columns >= rows - left
    if right >= 0:
        seen &= columns <= rows + right
    return seen, bias


@pytest.mark.parametrize("case", [pytest.param(each, id=each.name) for each in node_cases("RotaryEmbedding")])
def test_rotary_embedding_gives_onnxs_results(case: NodeCase) -> None:
    inputs: tuple[Any, ...] = (*case.inputs, None)
    x, cosine, sine, places = inputs[:4]
    flat_heads = case.attributes.get("num_heads", 0) if x.ndim == 3 else 0
    apart = heads_apart(x, flat_heads) if flat_heads else x
    if places is not None:
        cosine, sine = cosine[places], sine[places]
    pairs = case.attributes.get("rotary_embedding_dim", 0) // 2 or apart.shape[-1] // 2
    cosine, sine = (each[:, np.newaxis, :, :pairs] for each in (cosine, sine))
    y = rotary_embedding(apart, cosine, sine, interleaved=bool(case.attributes.get("interleaved", 0)))
    agree(heads_beside(y) if flat_heads else y, case.outputs[0])


def agree(actual: Any, expected: Any) -> None:
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    tolerance = TOLERANCES[str(actual.dtype)]
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
