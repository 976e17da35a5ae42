"""Transfer learning: names find each other or are reported, what is frozen stays, deep layers learn slowest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portml import nn, no_grad, optim
from portml.backends import Backend, is_tensor, to_numpy
from portml.errors import ArgumentError, CheckpointError
from portml.train import (
    discriminative_groups,
    extract_features,
    freeze,
    load_matching,
    replace_head,
    unfreeze,
)
from tests.tolerances import assert_close

NAMES = [
    "features.0.weight",
    "features.0.bias",
    "features.1.weight",
    "features.1.bias",
    "features.1.running_mean",
    "features.1.running_var",
    "features.1.num_batches_tracked",
    "classifier.weight",
    "classifier.bias",
]
PARAMETERS = [name for name in NAMES if name.endswith(("weight", "bias"))]


class Network(nn.Module):
    """Features with batch normalisation, and a head."""

    def __init__(self, backend: Backend | str = "numpy", n_classes: int = 3, dtype: str = "float32") -> None:
        options: dict[str, Any] = {"backend": backend, "dtype": dtype}
        self.features = nn.Sequential(nn.Linear(4, 5, rng=0, **options), nn.BatchNorm1d(5, **options), nn.ReLU())
        self.classifier = nn.Linear(5, n_classes, rng=1, **options)

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x))


def published(n_classes: int = 3, dtype: str = "float32") -> dict[str, Any]:
    """Other numbers for every name, as a file gives them."""
    rng = np.random.default_rng(1)
    state = Network(n_classes=n_classes).state_dict()
    drawn = {name: rng.random(tuple(value.shape)).astype(dtype) for name, value in state.items()}
    return drawn | {"features.1.num_batches_tracked": np.asarray(5)}


def numbers(model: nn.Module) -> dict[str, Any]:
    return {name: to_numpy(value).copy() for name, value in model.state_dict().items()}


def assert_untouched(model: nn.Module, before: dict[str, Any]) -> None:
    for name, value in numbers(model).items():
        np.testing.assert_array_equal(value, before[name])


# Names


def test_equal_names_are_loaded_on_every_backend(backend: Backend) -> None:
    model, arrays = Network(backend), published()
    report = load_matching(model, arrays)
    assert report.loaded == NAMES
    assert (report.unmatched, report.missing, report.misshapen) == ([], [], {})
    for name in NAMES:
        np.testing.assert_array_equal(to_numpy(model.state_dict()[name]), arrays[name])


def test_counts_of_batches_are_passed_over_where_there_are_none() -> None:
    model = nn.Linear(2, 1, rng=0, backend="numpy")
    arrays = {"weight": np.ones((1, 2), "float32"), "bias": np.ones(1, "float32"), "num_batches_tracked": np.int64(3)}
    assert load_matching(model, arrays).loaded == ["weight", "bias"]


def test_everything_that_does_not_fit_is_reported_at_once_and_nothing_is_loaded() -> None:
    model = Network()
    before = numbers(model)
    arrays = published(n_classes=7)
    arrays["features.0.weights"] = arrays.pop("features.0.weight")
    arrays["elsewhere"] = np.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        load_matching(model, arrays)
    text = str(caught.value)
    for part in (
        "arrays: do not fit Network, and nothing was loaded",
        "classifier.weight has shape (3, 5) here and (7, 5) in the file",
        "classifier.bias has shape (3,) here and (7,) in the file",
        "features.0.weights is unmatched (is it features.0.weight here?)",
        "elsewhere is unmatched;",
        "features.0.weight is missing",
        "partial=True",
    ):
        assert part in text
    assert_untouched(model, before)


def test_what_fits_is_loaded_on_request_and_the_rest_reported() -> None:
    model, arrays = Network(), published(n_classes=7)
    before = numbers(model)
    del arrays["features.1.bias"]
    arrays["extra"] = np.zeros(1)
    report = load_matching(model, arrays, partial=True)
    assert report.unmatched == ["extra"]
    assert report.missing == ["features.1.bias"]
    assert report.misshapen == {"classifier.weight": ((3, 5), (7, 5)), "classifier.bias": ((3,), (7,))}
    after = numbers(model)
    np.testing.assert_array_equal(after["features.0.weight"], arrays["features.0.weight"])
    for name in ("features.1.bias", "classifier.weight", "classifier.bias"):
        np.testing.assert_array_equal(after[name], before[name])


@pytest.mark.parametrize(
    "mapping",
    [
        {
            "backbone.": "features.",
            "backbone.layer.": "features.0.",
            "backbone.norm.": "features.1.",
            "fc.": "classifier.",
        },
        {
            "backbone.layer.weight": "features.0.weight",
            "backbone.layer.": "features.0.",
            "backbone.norm.": "features.1.",
            "fc.weight": "classifier.weight",
            "fc.bias": "classifier.bias",
        },
        lambda name: (
            name.replace("backbone.layer", "features.0")
            .replace("backbone.norm", "features.1")
            .replace("fc", "classifier")
        ),
    ],
    ids=["beginnings", "names and beginnings", "a function"],
)
def test_names_are_translated_the_longest_key_first(mapping: Any) -> None:
    arrays = published()
    theirs = {
        name.replace("features.0", "backbone.layer")
        .replace("features.1", "backbone.norm")
        .replace("classifier", "fc"): a
        for name, a in arrays.items()
    }
    model = Network()
    assert load_matching(model, theirs, mapping).unmatched == []
    np.testing.assert_array_equal(to_numpy(model.classifier.weight.value), arrays["classifier.weight"])
    np.testing.assert_array_equal(
        to_numpy(model.state_dict()["features.1.running_var"]), arrays["features.1.running_var"]
    )


def test_none_leaves_arrays_out_without_reporting_them() -> None:
    model = Network()
    before = numbers(model)
    report = load_matching(model, published(n_classes=7), {"classifier.": None}, partial=True)
    assert (report.unmatched, report.misshapen) == ([], {})
    assert report.missing == ["classifier.weight", "classifier.bias"]
    np.testing.assert_array_equal(numbers(model)["classifier.bias"], before["classifier.bias"])


@pytest.mark.parametrize("wrong_shape", [False, True])
def test_two_arrays_for_one_name_are_refused(wrong_shape: bool) -> None:
    arrays = published(n_classes=7 if wrong_shape else 3) | {"head.weight": np.zeros((3, 5), "float32")}
    with pytest.raises(
        CheckpointError, match=r"mapping: two arrays go to 'classifier\.weight', one of them 'head\.weight'"
    ):
        load_matching(Network(), arrays, {"head.": "classifier."}, partial=True)


def test_numbers_are_converted_to_the_models_type_and_complex_ones_refused(backend: Backend) -> None:
    model = Network(backend)
    load_matching(model, published(dtype="float64"))
    assert str(to_numpy(model.classifier.weight.value).dtype) == "float32"
    before = numbers(model)
    with pytest.raises(CheckpointError, match="complex"):
        load_matching(model, published(dtype="complex64"))
    assert_untouched(model, before)


def test_read_only_arrays_are_copied() -> None:
    arrays = published()
    for array in arrays.values():
        array.flags.writeable = False
    model = Network()
    load_matching(model, arrays)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    nn.functional.mse_loss(model(np.ones((2, 4), "float32")), np.zeros((2, 3), "float32")).backward()
    optimizer.step()
    np.testing.assert_array_equal(arrays["classifier.bias"], published()["classifier.bias"])


# Freezing


@pytest.mark.parametrize(
    ("patterns", "frozen"),
    [
        ((), PARAMETERS),
        (("features",), PARAMETERS[:4]),
        (("features.0",), PARAMETERS[:2]),
        (("*.bias",), ["features.0.bias", "features.1.bias", "classifier.bias"]),
        (("features.?.weight", "classifier"), ["features.0.weight", "features.1.weight", *PARAMETERS[4:]]),
    ],
)
def test_patterns_say_what_is_frozen(patterns: tuple[str, ...], frozen: list[str]) -> None:
    model = Network()
    assert freeze(model, *patterns) == frozen
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == frozen
    assert unfreeze(model, *patterns) == frozen
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("change", [freeze, unfreeze])
def test_a_pattern_that_fits_nothing_is_refused_and_nothing_changed(change: Any) -> None:
    model = Network()
    freeze(model, "classifier.bias")
    with pytest.raises(
        ArgumentError, match=r"'clasifier\.bias' fits no parameter of Network; is it 'classifier\.bias'"
    ):
        change(model, "features", "clasifier.bias")
    with pytest.raises(ArgumentError, match=r"patterns: 'zzz' fits no parameter of Network; see named_parameters"):
        change(model, "zzz")
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["classifier.bias"]


@pytest.mark.parametrize("optimizer", [optim.SGD, optim.AdamW])
def test_what_is_frozen_stays_bit_for_bit_and_learns_again_when_thawed(optimizer: Any, backend: Backend) -> None:
    model = Network(backend)
    model.features.eval()  # or the running statistics would move
    freeze(model, "features")
    stepping = optimizer(model.parameters(), lr=0.1, weight_decay=0.1)
    before = numbers(model)
    for frozen in (True, False):
        if not frozen:
            unfreeze(model, "features")
        x, y = backend.asarray(np.ones((6, 4), "float32")), backend.asarray(np.zeros((6, 3), "float32"))
        stepping.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        assert (model.features[0].weight.grad is None) == frozen
        stepping.step()
        after = numbers(model)
        assert (after["features.0.weight"] == before["features.0.weight"]).all() == frozen
        assert (after["classifier.weight"] != before["classifier.weight"]).any()


# Heads


def test_a_head_is_replaced_in_its_place(backend: Backend) -> None:
    model = Network(backend).eval()
    old, new = model.classifier, nn.Linear(5, 7, rng=2, backend=backend)
    assert replace_head(model, "classifier", new) is old
    assert model.classifier is new
    assert not new.training
    assert model(backend.asarray(np.ones((2, 4), "float32"))).shape == (2, 7)


def test_a_module_in_a_row_is_replaced_in_its_place() -> None:
    model = Network()
    norm = nn.LayerNorm(5, backend="numpy")
    replace_head(model, "features.1", norm)
    assert [*model.features][1] is norm
    assert len(model.features) == 3
    assert [name for name, _ in model.named_parameters()] == PARAMETERS


@pytest.mark.parametrize(
    ("target", "head", "message"),
    [
        ("clasifier", nn.ReLU(), "'clasifier' is no module of Network"),
        ("features.9", nn.ReLU(), "'features.9' is no module of Network"),
        ("", nn.ReLU(), "expected the name of a module within the model"),
        ("classifier", "a head", "head: expected a module, got a str"),
    ],
    ids=["a name", "a number", "nothing", "a string"],
)
def test_a_head_without_a_place_is_refused(target: str, head: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        replace_head(Network(), target, head)


# Learning rates


def test_learning_rates_fall_towards_the_input() -> None:
    model = Network()
    groups = discriminative_groups(model, 0.1, decay=0.5)
    assert [group["lr"] for group in groups] == [0.05, 0.1]
    assert [p for group in groups for p in group["params"]] == [*model.parameters()]
    stages = ["features.0", ("features.1", "nothing.*"), "*"]
    groups = discriminative_groups(model, 0.08, decay=0.25, stages=stages)
    assert [(len(group["params"]), group["lr"]) for group in groups] == [(2, 0.005), (2, 0.02), (2, 0.08)]


def test_an_optimizer_moves_each_stage_by_its_own_rate(backend: Backend) -> None:
    model = Network(backend)
    model.features.eval()
    optimizer = optim.SGD(
        discriminative_groups(model, 0.1, decay=0.5, stages=["features.0", "features.1", "*"]), lr=1.0
    )
    before = numbers(model)
    x, y = backend.asarray(np.ones((6, 4), "float32")), backend.asarray(np.zeros((6, 3), "float32"))
    nn.functional.mse_loss(model(x), y).backward()
    optimizer.step()
    for name, parameter in model.named_parameters():
        rate = {"features.0": 0.025, "features.1": 0.05, "classifier": 0.1}[name.rpartition(".")[0]]
        step = before[name] - to_numpy(parameter.value)
        np.testing.assert_allclose(step, rate * to_numpy(parameter.grad), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": ["features"]}, "classifier.weight, classifier.bias are in no stage"),
        ({"stages": ["features", "features.0", "*"]}, "'features.0',. fit no parameter that is in no stage before"),
        ({"stages": ["*", "zzz"]}, "'zzz',. fit no parameter"),
        ({"lr": "fast"}, "lr: expected a number"),
        ({"lr": 0.0}, "lr, decay: expected lr > 0"),
        ({"lr": float("nan")}, "lr, decay: expected lr > 0"),
        ({"decay": 0.0}, "decay in .0, 1."),
        ({"decay": 1.5}, "decay in .0, 1."),
    ],
)
def test_stages_that_leave_something_out_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        discriminative_groups(Network(), **({"lr": 0.1} | options))


# Features


def test_features_are_what_the_modules_made(backend: Backend) -> None:
    model = Network(backend).eval()
    x = backend.asarray(np.random.default_rng(0).random((3, 4)).astype("float32"))
    with no_grad():
        one = extract_features(model, x, "features.0")
        several = extract_features(model, x, ["features", "features.0", "classifier"])
        assert_close(one, model.features[0](x), "exact")
        assert [*several] == ["features", "features.0", "classifier"]
        assert_close(several["features"], model.features(x), "exact")
        assert_close(several["classifier"], model(x), "exact")
    assert is_tensor(extract_features(model, x, "features"))
    extract_features(model, x, "features").backward(x[:, :1] + 0 * one)
    assert model.features[0].weight.grad is not None


def test_the_model_is_run_no_further_than_needed_and_left_without_hooks() -> None:
    model, called = Network(), []
    handle = model.classifier.register_forward_pre_hook(lambda *_: called.append("classifier"))
    extract_features(model, np.ones((2, 4), "float32"), "features")
    assert called == []
    handle.remove()
    for module in model.modules():
        assert not (module._hooks and (module._hooks.before or module._hooks.after))


def test_an_error_in_the_model_leaves_no_hooks_either() -> None:
    model = Network()
    with pytest.raises(Exception, match="shape"):
        extract_features(model, np.ones((2, 9), "float32"), "classifier")
    assert not (model.classifier._hooks and model.classifier._hooks.after)


def test_modules_that_are_not_there_or_not_called_are_named() -> None:
    model = Network()
    x = np.ones((2, 4), "float32")
    with pytest.raises(ArgumentError, match=r"'features\.7' is no module"):
        extract_features(model, x, "features.7")
    with pytest.raises(ArgumentError, match="at least one module"):
        extract_features(model, x, [])
    model.spare = nn.ReLU()  # type: ignore[attr-defined]
    with pytest.raises(ArgumentError, match="Network does not call spare for this input"):
        extract_features(model, x, ["spare", "features"])


def test_of_a_module_that_is_called_twice_the_first_features_count() -> None:
    model = Network()
    model.features = nn.Sequential(model.features[0], nn.Linear(5, 4, rng=1, backend="numpy"), model.features[0])
    x = np.ones((2, 4), "float32")
    both = extract_features(model, x, ["features.0", "classifier"])
    np.testing.assert_array_equal(to_numpy(both["features.0"]), to_numpy(model.features[0](x)))


def test_a_model_of_several_inputs_takes_a_tuple() -> None:
    attention = nn.MultiheadAttention(4, 2, batch_first=True, rng=0, backend="numpy")
    x = np.ones((2, 3, 4), "float32")
    assert extract_features(attention, (x, x, x), "out_proj").shape == (2, 3, 4)
