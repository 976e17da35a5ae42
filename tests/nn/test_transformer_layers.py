"""Attention and transformer layers: formulas, masks, positions, gradients of both orders, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn
from portml.autograd import Tensor, check_gradients, no_grad
from portml.backends import kernels_switched, to_numpy
from portml.errors import ArgumentError, DtypeError, RangeError, ShapeError
from portml.nn import functional

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(2, 5, 6))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_self_attention_is_the_guides_formula(backend):
    layer = nn.MultiheadAttention(6, 2, batch_first=True, rng=0, backend=backend, dtype="float64")
    x = backend.asarray(X)
    y, weights = layer(x, x, x, average_attn_weights=False)
    w, out = to_numpy(layer.in_proj_weight), to_numpy(layer.out_proj.weight)
    q, k, v = ((X @ w[i * 6 : i * 6 + 6].T).reshape(2, 5, 2, 3).swapaxes(1, 2) for i in range(3))
    expected = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(3))
    np.testing.assert_allclose(to_numpy(weights), expected, rtol=1e-10)
    np.testing.assert_allclose(
        to_numpy(y), (expected @ v).swapaxes(1, 2).reshape(2, 5, 6) @ out.T, rtol=1e-9, atol=1e-12
    )


def test_a_mask_that_is_added_is_the_guides(backend):
    layer = nn.MultiheadAttention(6, 1, batch_first=True, rng=0, backend=backend, dtype="float64")
    x, mask = backend.asarray(X), DRAW.normal(size=(5, 5))
    _, weights = layer(x, x, x, attn_mask=backend.asarray(mask))
    q, k, _ = (X @ each.T for each in np.split(to_numpy(layer.in_proj_weight), 3))
    np.testing.assert_allclose(to_numpy(weights), softmax(q @ k.swapaxes(-1, -2) / np.sqrt(6) + mask), rtol=1e-9)


def guides_norm(x):
    return (x - x.mean(axis=-1, keepdims=True)) / (x.std(axis=-1, keepdims=True) + 1e-6)


def guides_block(layer, x, n_heads):
    """Norms behind the sums, a ReLU between two linear maps, and √variance + ε below the fraction."""
    samples, length, dim = x.shape
    w = {name: to_numpy(value) for name, value in layer.state_dict().items()}
    packed = x @ w["self_attn.in_proj_weight"].T + w["self_attn.in_proj_bias"]
    q, k, v = (each.reshape(samples, length, n_heads, -1).swapaxes(1, 2) for each in np.split(packed, 3, axis=-1))
    weights = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(dim // n_heads))
    attended = (weights @ v).swapaxes(1, 2).reshape(x.shape)
    x = guides_norm(x + attended @ w["self_attn.out_proj.weight"].T + w["self_attn.out_proj.bias"])
    hidden = np.maximum(x @ w["linear1.weight"].T + w["linear1.bias"], 0)
    return guides_norm(x + hidden @ w["linear2.weight"].T + w["linear2.bias"]), weights


def test_an_encoder_layer_is_the_guides_block(backend):
    layer = nn.TransformerEncoderLayer(
        6, 2, 8, 0.0, layer_norm_eps=0.0, batch_first=True, rng=0, backend=backend, dtype="float64"
    )
    y, weights = layer(backend.asarray(X), need_weights=True)
    expected, expected_weights = guides_block(layer, X, 2)
    np.testing.assert_allclose(to_numpy(weights), expected_weights, rtol=1e-9)
    np.testing.assert_allclose(to_numpy(y), expected, rtol=1e-5, atol=1e-5)  # as near as the two norms' ε are


def test_the_classifier_is_the_guides_transformer(backend):
    model = nn.models.TransformerClassifier(
        9, 3, 8, 2, 2, 16, 20, padding_idx=None, rng=0, backend=backend, dtype="float64"
    ).eval()
    tokens = DRAW.integers(0, 9, size=(2, 5))
    t, i = np.arange(5)[:, None], np.arange(8)
    angles = t / 10000 ** (i // 2 * 2 / 8)
    x = to_numpy(model.embedding.weight)[tokens] + np.where(i % 2, np.cos(angles), np.sin(angles))
    seen = []
    for layer in model.layers:
        x, weights = guides_block(layer, x, 2)
        seen.append(weights)
    logits = x.mean(axis=1) @ to_numpy(model.classifier.weight).T + to_numpy(model.classifier.bias)
    here = backend.asarray(tokens)
    np.testing.assert_allclose(to_numpy(model.predict_proba(here)), softmax(logits), rtol=1e-4)
    _, weights = model(here, need_weights=True)
    for ours, theirs in zip(weights, seen, strict=True):
        np.testing.assert_allclose(to_numpy(ours), theirs, rtol=1e-3)


def test_weights_or_not_the_result_is_the_same(backend):
    layer = nn.MultiheadAttention(6, 3, batch_first=True, rng=0, backend=backend, dtype="float64")
    x, mask = backend.asarray(X), backend.asarray(np.triu(np.ones((5, 5), bool), 1))
    results = [layer(x, x, x, attn_mask=mask, need_weights=need)[0] for need in (True, False)]
    results.append(layer(x, x, x, is_causal=True, need_weights=False)[0])
    for other in results[1:]:
        np.testing.assert_allclose(to_numpy(other), to_numpy(results[0]), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("need_weights", [True, False])
def test_what_may_attend_to_nothing_gives_the_bias_alone(backend, need_weights):
    layer = nn.MultiheadAttention(6, 2, batch_first=True, rng=0, backend=backend)
    padding = backend.asarray(np.asarray([[False] * 5, [True] * 5]))
    x = backend.asarray(X.astype("float32"))
    y, weights = layer(x, x, x, key_padding_mask=padding, need_weights=need_weights)
    assert not to_numpy(y)[1].any()
    assert np.isfinite(to_numpy(y)).all()
    if need_weights:
        assert not to_numpy(weights)[1].any()
    y.backward(backend.full(y.shape, 1.0))
    assert np.isfinite(to_numpy(layer.in_proj_weight.grad)).all()


def test_what_attends_to_nothing_has_no_gradient(backend, dtype):
    q, k, v = (backend.asarray(DRAW.normal(size=(1, 2, 4, 3)), dtype) for _ in range(3))
    mask = np.ones((1, 1, 4, 4), bool)
    mask[..., 2, :] = False  # what query 2 may see
    mask[..., 3] = False  # who may see key 3
    inputs = [Tensor(each, requires_grad=True) for each in (q, k, v)]
    for options in ({}, {"is_causal": True}, {"dropout_p": 0.5, "rng": 0}):
        y = functional.scaled_dot_product_attention(*inputs, backend.asarray(mask), **options)
        assert not to_numpy(y)[:, :, 2].any()
        for each in inputs:
            each.grad = None
        y.backward(backend.full(y.shape, 1.0, dtype))
        dq, dk, dv = (to_numpy(each.grad) for each in inputs)
        assert all(np.isfinite(each).all() for each in (dq, dk, dv))
        assert not dq[:, :, 2].any()
        assert not dk[:, :, 3].any()
        assert not dv[:, :, 3].any()
        assert dq[:, :, 1].any()


def test_tiles_give_what_the_formula_gives_and_the_same_weights_are_dropped():
    q, k, v = (DRAW.normal(size=(1, 2, 200, 4)) for _ in range(3))
    for options in ({}, {"is_causal": True}, {"dropout_p": 0.4, "rng": 3}):
        tiled = functional.scaled_dot_product_attention(q, k, v, **options)
        with kernels_switched("agnostic", "numpy"):
            plain = functional.scaled_dot_product_attention(q, k, v, **options)
        np.testing.assert_allclose(tiled, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_of_attention_are_right(backend, order):
    q, k, v = (backend.asarray(DRAW.normal(size=(1, 2, 3, 2))) for _ in range(3))
    mask, bias = backend.asarray(np.asarray([[True, False, True], [False] * 3, [True] * 3])), DRAW.normal(size=(3, 3))

    def attend(q, k, v, bias):
        y = functional.scaled_dot_product_attention(q, k, v, mask)
        return y + functional.scaled_dot_product_attention(q, k, v, bias, is_causal=True)

    check_gradients(attend, (q, k, v, backend.asarray(bias)), order=order)


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_of_layers_are_right(backend, order):
    x = backend.asarray(DRAW.normal(size=(1, 3, 4)))
    layer = nn.TransformerEncoderLayer(
        4, 2, 3, 0.0, "swiglu", batch_first=True, norm_first=True, rng=0, backend=backend, dtype="float64"
    )
    check_gradients(lambda x: layer(x, is_causal=True), x, order=order)
    additive = nn.AdditiveAttention(4, 4, 3, rng=0, backend=backend, dtype="float64")
    check_gradients(lambda x: additive(x, x)[0], x, order=order)


def test_additive_attention_is_its_formula(backend):
    layer = nn.AdditiveAttention(6, 4, 3, rng=0, backend=backend, dtype="float64")
    keys, ignored = DRAW.normal(size=(2, 7, 4)), np.asarray([[False] * 7, [True] * 7])
    y, weights = layer(backend.asarray(X), backend.asarray(keys))
    w, u, v = (to_numpy(each) for each in layer.parameters())
    scores = np.tanh((X @ w.T)[:, :, None] + (keys @ u.T)[:, None]) @ v[0]
    np.testing.assert_allclose(to_numpy(weights), softmax(scores), rtol=1e-9)
    np.testing.assert_allclose(to_numpy(y), softmax(scores) @ keys, rtol=1e-9, atol=1e-12)
    y, weights = layer(backend.asarray(X), backend.asarray(keys), mask=backend.asarray(ignored))
    assert not to_numpy(y)[1].any()
    np.testing.assert_allclose(to_numpy(weights)[0], softmax(scores)[0], rtol=1e-9)


@pytest.mark.parametrize("dim", [6, 7, 1])
def test_sinusoidal_positions_are_the_guides_also_for_odd_dims(backend, dim):
    x = backend.zeros((2, 5, dim), "float64")
    with no_grad():
        table = to_numpy(nn.SinusoidalPositions(9, dim)(x, offset=2))[0]
    t, i = np.arange(2, 7)[:, None], np.arange(dim)
    angles = t / 10000 ** (i // 2 * 2 / dim)
    np.testing.assert_allclose(table, np.where(i % 2, np.cos(angles), np.sin(angles)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("interleaved", [False, True])
def test_products_of_rotary_positions_depend_on_the_distance_alone(backend, interleaved):
    turn = nn.RotaryPositions(40, 4, interleaved=interleaved)
    q, k = (backend.asarray(np.broadcast_to(DRAW.normal(size=4), (8, 4)).copy()) for _ in range(2))
    with no_grad():
        near = to_numpy(turn(q)) @ to_numpy(turn(k)).T
        far = to_numpy(turn(q, offset=30)) @ to_numpy(turn(k, offset=30)).T
    np.testing.assert_allclose(near, far, rtol=1e-8)
    np.testing.assert_allclose(np.diag(near, 1), near[0, 1], rtol=1e-8)


def test_keys_that_every_query_meets_are_not_masked(backend):
    layer = nn.MultiheadAttention(6, 2, add_bias_kv=True, add_zero_attn=True, batch_first=True, rng=0, backend=backend)
    x = backend.asarray(X, "float32")
    for mask in (np.ones((2, 5), bool), np.full((2, 5), -np.inf, "float32")):
        for is_causal in (False, True):
            _, weights = layer(x, x, x, key_padding_mask=backend.asarray(mask), is_causal=is_causal)
            weights = to_numpy(weights)
            assert weights.shape == (2, 5, 7)
            assert not weights[..., :5].any()
            np.testing.assert_allclose(weights[..., 5:].sum(axis=-1), 1, rtol=1e-5)


def test_hidden_numbers_and_weights_are_dropped_in_training_only(backend):
    x = backend.asarray(X, "float32")
    layer = nn.TransformerEncoderLayer(6, 2, 64, 0.0, batch_first=True, rng=0, backend=backend)
    layer.dropout.p = 0.5
    attention = nn.MultiheadAttention(6, 2, 0.5, batch_first=True, rng=0, backend=backend)
    for need_weights in (True, False):
        for call in (lambda: layer(x), lambda n=need_weights: attention(x, x, x, need_weights=n)[0]):
            for module in (layer, attention):
                module.eval()
            one, same = to_numpy(call()), to_numpy(call())
            np.testing.assert_array_equal(one, same)
            for module in (layer, attention):
                module.train()
            assert not np.allclose(to_numpy(call()), one)


def test_a_stack_ends_with_its_norm(backend):
    layer = nn.TransformerEncoderLayer(6, 2, 8, 0.0, norm_first=True, batch_first=True, rng=0, backend=backend)
    norm = nn.LayerNorm(6, backend=backend)
    y = to_numpy(nn.TransformerEncoder(layer, 2, norm)(backend.asarray(X, "float32")))
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(axis=-1), 1, rtol=1e-3)


def test_copies_of_a_layer_drop_differently(backend):
    layer = nn.TransformerEncoderLayer(4, 2, 8, 0.5, rng=0, backend=backend)
    encoder = nn.TransformerEncoder(layer, 2)
    x = backend.full((3, 4, 8), 1.0)
    one, other = (to_numpy(each.dropout(x)) for each in encoder.layers)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("activation", ["relu", "gelu", "glu", "geglu", "reglu", "swiglu", nn.functional.silu])
def test_every_activation_serves(backend, activation):
    layer = nn.TransformerEncoderLayer(4, 2, 3, 0.0, activation, rng=0, backend=backend)
    y, weights = layer(backend.full((5, 2, 4), 0.5), need_weights=True)
    assert y.shape == (5, 2, 4)
    assert weights.shape == (2, 2, 5, 5)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.MultiheadAttention(6, 4), ArgumentError, "num_heads: expected a divisor of embed_dim=6, got 4"),
        (lambda: nn.MultiheadAttention(6, 2, dropout=1.5), RangeError, "dropout: expected a probability"),
        (lambda: nn.TransformerEncoderLayer(6, 2, activation="tanh"), ArgumentError, "activation: expected one of"),
        (lambda: nn.RotaryPositions(5, 3), ArgumentError, "dim: expected an even number"),
        (lambda: nn.LearnedPositions(4, 6)(X), RangeError, "positions 0 to 4 were asked for, there are 4"),
        (lambda: nn.TransformerEncoder(3, 1), ArgumentError, "layer: expected a module to copy, got a int"),
        (lambda: nn.Transformer.generate_square_subsequent_mask(2.5), ArgumentError, "size: expected an integer"),
        (lambda: nn.models.TransformerClassifier(9, n_layers=1.5), ArgumentError, "n_layers: expected an integer"),
        (lambda: nn.SinusoidalPositions(9, 4, base=0), RangeError, "base: expected a number above 0, got 0"),
        (lambda: nn.RotaryPositions(9, 6)(X, 1.5), ArgumentError, "offset: expected an integer, got 1.5"),
        (lambda: nn.SinusoidalPositions(9, 4)(X), ShapeError, r"expected \(..., length, 4\)"),
        (lambda: nn.MultiheadAttention(4, 2)(X, X, X), ShapeError, "expected query of"),
        (lambda: nn.MultiheadAttention(6, 2, batch_first=True, dtype="float64")(X, X, X[:, :4]), ShapeError, "as many"),
        (lambda: attend(attn_mask=np.ones((5, 4), bool)), ShapeError, "does not broadcast"),
        (lambda: attend(attn_mask=np.ones((5, 5), int)), DtypeError, "attn_mask: expected truth values"),
        (lambda: functional.scaled_dot_product_attention(X, X[..., :4], X), ShapeError, "n_features"),
        (
            lambda: functional.scaled_dot_product_attention(np.ones((1, 4, 2, 3)), *[np.ones((1, 2, 2, 3))] * 2),
            ShapeError,
            "enable_gqa",
        ),
        (
            lambda: functional.scaled_dot_product_attention(
                np.ones((1, 3, 2, 3)), *[np.ones((1, 2, 2, 3))] * 2, enable_gqa=True
            ),
            ShapeError,
            "3 heads of queries are no multiple of 2",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(make, error, message):
    with pytest.raises(error, match=message):
        make()


def attend(**masks):
    return nn.MultiheadAttention(6, 2, batch_first=True, dtype="float64")(X, X, X, need_weights=False, **masks)


def test_one_array_given_three_times_is_taken_for_itself(backend):
    layer = nn.MultiheadAttention(6, 2, batch_first=True, rng=0, backend=backend, dtype="float64")
    x = backend.asarray(X)
    raw, lifted = layer(x, x, x, need_weights=False)[0], layer(*[Tensor(x)] * 3, need_weights=False)[0]
    np.testing.assert_array_equal(to_numpy(raw), to_numpy(lifted))


@pytest.mark.parametrize("kernels", ["fused", "pure"])
def test_attention_that_sees_nothing_at_all_is_zero_without_a_warning(kernels):
    with kernels_switched(kernels, "numpy"):
        q = Tensor(np.random.default_rng(0).standard_normal((2, 3, 5, 8)).astype("float32"), requires_grad=True)
        y = nn.functional.scaled_dot_product_attention(q, q, q, np.zeros((5, 5), bool))
        assert not y.numpy().any()
        y.backward(np.ones(y.shape, "float32"))
        assert not q.grad.numpy().any()


def test_a_wider_mask_widens_nothing(backend):
    x = backend.asarray(np.random.default_rng(0).standard_normal((2, 3, 4)).astype("float32"))
    bias = backend.asarray(np.asarray([[0.0, -np.inf, -1.0]] * 3))
    layer = nn.MultiheadAttention(4, 2, batch_first=True, rng=0, backend=backend)
    for y in (layer(x, x, x, attn_mask=bias)[0], functional.scaled_dot_product_attention(x, x, x, bias)):
        assert y.dtype == x.dtype


@pytest.mark.parametrize(
    "call",
    [
        lambda: nn.MultiheadAttention(4, 2, batch_first=True, rng=0)([[1.0]], np.ones((1, 2, 4)), np.ones((1, 2, 4))),
        lambda: nn.AdditiveAttention(4, 4, 2, rng=0)([[1.0]], np.ones((1, 2, 4))),
        lambda: functional.scaled_dot_product_attention([[1.0]], np.ones((2, 4)), np.ones((2, 4))),
    ],
)
def test_a_list_for_a_query_is_refused_by_name(call):
    with pytest.raises(ArgumentError, match="query: expected an array, got list"):
        call()
