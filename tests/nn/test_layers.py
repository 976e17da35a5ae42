"""Layers: formulas on small numbers, reproducible weights, and refusals that name shapes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from portml import nn
from portml.autograd import no_grad
from portml.backends import get_backend, operations, to_numpy
from portml.errors import ArgumentError, DtypeError, RangeError, ShapeError
from portml.random import Generator
from tests.tolerances import assert_close


def images(backend, *shape, seed=0):
    return backend.asarray(np.random.default_rng(seed).normal(size=shape), dtype="float32")


def test_linear_is_an_affine_map(backend):
    layer = nn.Linear(3, 2, rng=0, backend=backend)
    x = images(backend, 4, 5, 3)
    expected = to_numpy(x) @ to_numpy(layer.weight).T + to_numpy(layer.bias)
    assert_close(layer(x).value, backend.asarray(expected), "reduction")


def test_the_same_seed_gives_the_same_weights_on_every_backend(backend):
    here = nn.models.LeNet5(rng=3, backend=backend).state_dict()
    host = nn.models.LeNet5(rng=3, backend="numpy").state_dict()
    for name, value in here.items():
        np.testing.assert_array_equal(to_numpy(value), to_numpy(host[name]), err_msg=name)


def test_layers_of_one_generator_differ_and_unseeded_ones_differ_too():
    rng = Generator(0, "numpy")
    one, other = nn.Linear(3, 3, rng=rng), nn.Linear(3, 3, rng=rng)
    assert np.all(one.weight.numpy() != other.weight.numpy())
    assert np.all(nn.Linear(3, 3).weight.numpy() != nn.Linear(3, 3).weight.numpy())


def test_linear_and_convolution_start_within_one_over_root_fan_in(backend):
    linear = nn.Linear(100, 50, rng=0, backend=backend)
    conv = nn.Conv2d(4, 8, 5, rng=0, backend=backend)
    for weight, fan_in in ((linear.weight, 100), (linear.bias, 100), (conv.weight, 100), (conv.bias, 100)):
        values = np.abs(to_numpy(weight))
        assert values.max() <= 1 / math.sqrt(fan_in)
        assert values.max() > 0.7 / math.sqrt(fan_in)


def test_lenet5_has_the_papers_sizes(backend):
    model = nn.models.LeNet5(rng=0, backend=backend)
    assert sum(parameter.size for parameter in model.parameters()) == 61706
    with no_grad():
        assert model(images(backend, 2, 1, 28, 28)).shape == (2, 10)


def test_an_mlp_has_dropout_where_it_was_asked_for():
    model = nn.models.MLP([4, 8, 8, 2], dropout=[0.5, 0.0], rng=0)
    kinds = [type(module).__name__ for module in model]
    assert kinds == ["Flatten", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Linear"]
    with pytest.raises(ArgumentError, match="expected 2 probabilities"):
        nn.models.MLP([4, 8, 8, 2], dropout=[0.5])


@pytest.mark.parametrize(
    ("padding", "size"), [(0, 24), (2, 28), ("same", 28), ("valid", 24), ((1, 0), (26, 24))], ids=str
)
def test_convolution_padding_gives_the_size_it_says(backend, padding, size):
    with no_grad():
        y = nn.Conv2d(1, 2, 5, padding=padding, rng=0, backend=backend)(images(backend, 1, 1, 28, 28))
    assert y.shape[2:] == (size if isinstance(size, tuple) else (size, size))


def test_batch_norm_normalises_each_channel_and_follows_with_the_unbiased_variance(backend):
    layer = nn.BatchNorm2d(3, backend=backend)
    x = images(backend, 4, 3, 5, 5)
    y = to_numpy(layer(x))
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), 1, atol=1e-4)
    host = to_numpy(x)
    np.testing.assert_allclose(to_numpy(layer.running_mean), 0.1 * host.mean(axis=(0, 2, 3)), rtol=1e-4, atol=1e-7)
    unbiased = host.var(axis=(0, 2, 3), ddof=1)
    np.testing.assert_allclose(to_numpy(layer.running_var), 0.9 + 0.1 * unbiased, rtol=1e-5)
    assert int(to_numpy(layer.num_batches_tracked)) == 1


def test_batch_norm_without_momentum_keeps_the_plain_mean(backend):
    layer = nn.BatchNorm1d(2, momentum=None, backend=backend)
    batches = [images(backend, 4, 2, seed=seed) for seed in range(3)]
    for batch in batches:
        layer(batch)
    expected = np.mean([to_numpy(batch).mean(axis=0) for batch in batches], axis=0)
    np.testing.assert_allclose(to_numpy(layer.running_mean), expected, rtol=1e-5, atol=1e-6)


def test_batch_norm_in_evaluation_uses_and_keeps_its_running_statistics(backend):
    layer = nn.BatchNorm1d(2, backend=backend)
    layer(images(backend, 8, 2))
    before = to_numpy(layer.running_mean).copy()
    layer.eval()
    with no_grad():
        one = to_numpy(layer(images(backend, 1, 2, seed=1)))
        many = to_numpy(layer(images(backend, 5, 2, seed=1)))
    np.testing.assert_array_equal(to_numpy(layer.running_mean), before)
    np.testing.assert_allclose(one[0], many[0], rtol=1e-6)


def test_layer_norm_normalises_each_sample(backend):
    layer = nn.LayerNorm((3, 5), backend=backend)
    y = to_numpy(layer(images(backend, 4, 3, 5)))
    np.testing.assert_allclose(y.mean(axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(axis=(1, 2)), 1, atol=1e-3)


def test_dropout_draws_anew_each_time_keeps_the_mean_and_rests_in_evaluation(backend):
    layer = nn.Dropout(0.25, rng=0, backend=backend)
    x = backend.full((100, 100), 1.0)
    first, second = to_numpy(layer(x)), to_numpy(layer(x))
    assert np.any(first != second)
    assert set(np.unique(first)) == {np.float32(0.0), np.float32(1 / 0.75)}
    assert abs(first.mean() - 1) < 0.02
    assert layer.eval()(x) is x


def test_dropout_of_one_seed_is_the_same_on_every_backend(backend):
    x = np.ones((7, 9), np.float32)
    here = to_numpy(nn.Dropout(0.5, rng=5, backend=backend)(backend.asarray(x)))
    np.testing.assert_array_equal(here, nn.Dropout(0.5, rng=5, backend="numpy")(x))


def test_dropout_of_everything_gives_zeros_and_no_nan(backend):
    assert not np.any(to_numpy(nn.Dropout(1.0, rng=0, backend=backend)(images(backend, 5, 5))))


def test_the_gradient_of_dropout_goes_through_what_was_kept(backend):
    layer = nn.Sequential(nn.Linear(4, 4, rng=0, backend=backend), nn.Dropout(0.5, rng=0, backend=backend))
    y = layer(images(backend, 6, 4))
    operations.sum(y).backward()
    kept = (to_numpy(y) != 0).sum(axis=0) / 0.5
    np.testing.assert_allclose(to_numpy(layer[0].bias.grad), kept, rtol=1e-6)


def test_embedding_looks_up_rows_and_does_not_learn_the_padding(backend):
    layer = nn.Embedding(5, 3, padding_idx=0, rng=0, backend=backend)
    indices = backend.asarray([[0, 2], [2, 4]])
    y = layer(indices)
    np.testing.assert_array_equal(to_numpy(y), to_numpy(layer.weight)[[[0, 2], [2, 4]]])
    operations.sum(y).backward()
    np.testing.assert_array_equal(to_numpy(layer.weight.grad)[:, 0], [0, 0, 2, 0, 1])


def test_embedding_out_of_range_is_refused_on_the_host_and_nan_on_a_device(backend):
    layer = nn.Embedding(5, 3, rng=0, backend=backend)
    with no_grad():
        for wrong in (5, -1):
            indices = backend.asarray([1, wrong])
            if backend.host:
                with pytest.raises(RangeError):
                    layer(indices)
            else:
                y = to_numpy(layer(indices))
                assert np.all(np.isfinite(y[0]))
                assert np.all(np.isnan(y[1]))


def test_labels_out_of_range_are_refused_on_the_host_and_nan_on_a_device(backend):
    logits = images(backend, 2, 3)
    for wrong in (3, -1):
        labels = backend.asarray([0, wrong])
        if backend.host:
            with pytest.raises(RangeError, match="label"):
                nn.CrossEntropyLoss()(logits, labels)
        else:
            assert np.isnan(to_numpy(nn.CrossEntropyLoss()(logits, labels)))


@pytest.mark.parametrize(
    "name", ["he_normal", "he_uniform", "xavier_normal", "xavier_uniform", "lecun_normal", "lecun_uniform"]
)
def test_initialisers_have_the_variance_of_their_paper(backend, name):
    draw = getattr(nn.initialisation, name)
    values = to_numpy(draw((200, 30, 3, 3), rng=Generator(0, backend)))
    fan_in, fan_out = 270, 1800
    family = name.split("_")[0]
    variance = {"he": 2 / fan_in, "xavier": 2 / (fan_in + fan_out), "lecun": 1 / fan_in}[family]
    assert abs(values.var() / variance - 1) < 0.02
    assert abs(values.mean()) < 3 * math.sqrt(variance / values.size)


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5), (4, 2, 3, 3)], ids=str)
def test_orthogonal_weights_are_orthonormal(backend, shape):
    matrix = to_numpy(nn.initialisation.orthogonal(shape, rng=Generator(0, backend), dtype="float64"))
    matrix = matrix.reshape(shape[0], -1)
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)


def test_truncated_normals_stay_inside(backend):
    values = to_numpy(nn.initialisation.truncated_normal((10000,), rng=Generator(0, backend), std=0.5, low=-1, high=1))
    assert np.abs(values).max() <= 1
    assert values.std() > 0.4


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 0), ArgumentError, "kernel_size: expected an integer of at least 1"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ArgumentError, "groups: expected a divisor of in_channels=3"),
        (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), ArgumentError, "stride of 1 only"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), ArgumentError, "'same' or 'valid', got 'full'"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1), ArgumentError, "padding: expected an integer of at least 0"),
        (lambda: nn.Linear(-1, 2), ArgumentError, "at least 0, got -1, 2"),
        (lambda: nn.Linear(2, 2, rng="seed"), ArgumentError, "rng: expected a portml.random.Generator or a seed"),
        (lambda: nn.Dropout(1.5), RangeError, r"p: expected a probability in \[0, 1\], got 1.5"),
        (lambda: nn.Embedding(5, 3, padding_idx=5), ArgumentError, "padding_idx: expected a row of 5, got 5"),
        (lambda: nn.LayerNorm(()), ArgumentError, "at least one axis"),
        (lambda: nn.BatchNorm1d(0), ArgumentError, "num_features: expected at least 1"),
        (lambda: nn.MSELoss("average"), ArgumentError, "reduction: expected 'mean', 'sum' or 'none'"),
        (lambda: nn.HuberLoss(delta=0), ArgumentError, "delta: expected a number above 0"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), ArgumentError, "label_smoothing: expected a number in"),
        (lambda: nn.initialisation.he_normal((3,), rng=Generator(0)), ShapeError, "two axes or more"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda b: nn.Linear(3, 2, rng=0, backend=b), (5, 4), r"\(5, 4\)"),
        (lambda b: nn.Conv2d(3, 2, 3, rng=0, backend=b), (5, 4, 8, 8), r"\(N, 3, H, W\), got \(5, 4, 8, 8\)"),
        (lambda b: nn.Conv2d(3, 2, 5, rng=0, backend=b), (5, 3, 4, 4), r"4"),
        (lambda b: nn.MaxPool2d(5), (5, 3, 4, 4), r"4"),
        (lambda b: nn.BatchNorm2d(3, backend=b), (5, 3), r"\(N, 3, H, W\), got \(5, 3\)"),
        (lambda b: nn.BatchNorm1d(3, backend=b), (1, 3), "no variance to train on"),
        (lambda b: nn.LayerNorm(3, backend=b), (5, 4), r"\(5, 4\)"),
        (lambda b: nn.Flatten(3, 1), (5, 4), r"do not fit an input of shape \(5, 4\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_with_their_shape(backend, make, shape, message):
    with pytest.raises(ShapeError, match=message):
        make(backend)(images(backend, *shape))


@pytest.mark.parametrize("loss", [nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.BCEWithLogitsLoss, nn.HingeLoss])
def test_a_loss_never_broadcasts(backend, loss):
    with pytest.raises(ShapeError, match=r"\(4,\).*\(4, 1\)|\(4, 1\).*\(4,\)"):
        loss()(images(backend, 4), images(backend, 4, 1))


def test_integers_are_no_input_of_a_parameter():
    with pytest.raises(DtypeError, match="floating data type"):
        nn.Parameter(np.arange(3))


def test_a_generator_of_another_backend_is_refused():
    with pytest.raises(ArgumentError, match="rng draws on numpy, but backend='strict'"):
        nn.Linear(2, 2, rng=Generator(0, "numpy"), backend="strict")


def test_a_model_moved_after_its_data_is_refused_with_both_names():
    model = nn.Linear(2, 2, rng=0, backend="numpy")
    with pytest.raises(TypeError, match=r"mix strict and numpy|mix numpy and strict"):
        model(get_backend("strict").asarray(np.ones((1, 2)), dtype="float32"))


def test_batch_norm_without_running_statistics_uses_the_batchs_own_in_evaluation_too(backend):
    norm = nn.BatchNorm1d(2, track_running_stats=False, affine=False, backend=backend).eval()
    x = backend.asarray([[1.0, 10.0], [3.0, 30.0]], dtype="float32")
    with no_grad():
        np.testing.assert_allclose(to_numpy(norm(x)), [[-1.0, -1.0], [1.0, 1.0]], rtol=1e-4)
    assert norm.state_dict() == {}


def test_layers_made_of_one_generator_drop_by_masks_of_their_own(backend):
    rng = Generator(0, backend)
    before = rng.state()["position"]
    first, second = nn.Dropout(0.5, rng=rng), nn.Dropout(0.5, rng=rng)
    x = backend.full((64,), 1.0)
    with no_grad():
        masks = [to_numpy(layer(x)) for layer in (first, second)]
    assert not np.array_equal(*masks)
    assert rng.state()["position"] == before, "the layers draw from streams of their own"


def test_dropout_of_nothing_gives_its_input_back_and_takes_no_words(backend):
    layer = nn.Dropout(0.0, rng=0, backend=backend)
    x = backend.full((4,), 1.0)
    with no_grad():
        assert layer(x) is x
    assert layer.rng.state()["position"] == 0


def test_an_orthogonal_matrix_of_one_is_either_of_its_signs():
    drawn = {float(nn.initialisation.orthogonal((1, 1), rng=Generator(seed, "numpy"))[0, 0]) for seed in range(20)}
    assert drawn == {-1.0, 1.0}


def test_sizes_and_seeds_may_be_numpys_integers():
    three = np.int64(3)
    assert nn.Conv2d(1, 1, three, padding=(three, three)).kernel_size == (3, 3)
    assert nn.LayerNorm(three).normalized_shape == (3,)
    first, second = (nn.Linear(2, 2, rng=seed) for seed in (three, 3))
    np.testing.assert_array_equal(to_numpy(first.weight), to_numpy(second.weight))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.LayerNorm(-3), "lengths of at least 0"),
        (lambda: nn.BatchNorm1d(2.5), "num_features: expected an integer"),
        (lambda: nn.Dropout("a"), "p: expected a number"),
        (lambda: nn.MaxPool2d(2.0), "kernel_size: expected an integer of at least 1"),
        (lambda: nn.Softmax(2)(np.zeros((2, 3))), r"Softmax: dim=2 is no axis of an input of shape \(2, 3\)"),
        (lambda: nn.LogSoftmax()(np.zeros(())), r"LogSoftmax: dim=-1 is no axis of an input of shape \(\)"),
    ],
)
def test_sizes_that_are_none_are_refused_by_name(build, message):
    with pytest.raises(ArgumentError, match=message):
        build()


def test_flatten_counts_axes_from_the_end_too(backend):
    x = backend.zeros((2, 3, 4, 5))
    with no_grad():
        assert nn.Flatten(-2)(x).shape == (2, 3, 20)
        assert nn.Flatten(-3, -2)(x).shape == (2, 12, 5)


def test_a_padding_row_named_from_the_end_is_not_learnt(backend):
    layer = nn.Embedding(3, 2, padding_idx=-1, rng=0, backend=backend)
    operations.sum(layer(backend.asarray([0, 2, 2]))).backward()
    np.testing.assert_array_equal(to_numpy(layer.weight.grad), [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])


def test_modules_hand_their_options_on(backend):
    logits, labels = backend.asarray([[2.0, 0.0]]), backend.asarray([0])
    images = backend.asarray(np.ones((1, 1, 2, 2)))
    with no_grad():
        smoothed = float(to_numpy(nn.CrossEntropyLoss(label_smoothing=0.5)(logits, labels)))
        inside = to_numpy(nn.AvgPool2d(2, padding=1, count_include_pad=False)(images))
        below = [layer(-images)[0, 0, 0, 0] for layer in (nn.ELU(alpha=2.0), nn.LeakyReLU(negative_slope=0.25))]
    assert smoothed == pytest.approx(math.log(1 + math.exp(-2.0)) + 0.25 * 2.0)
    np.testing.assert_array_equal(inside, np.ones((1, 1, 2, 2)))
    np.testing.assert_allclose([float(to_numpy(value)) for value in below], [2 * math.expm1(-1.0), -0.25])


def test_a_single_sample_can_be_evaluated_by_its_own_statistics(backend):
    norm = nn.BatchNorm1d(2, track_running_stats=False, backend=backend).eval()
    with no_grad():
        np.testing.assert_array_equal(to_numpy(norm(backend.asarray([[3.0, 4.0]], dtype="float32"))), [[0.0, 0.0]])
