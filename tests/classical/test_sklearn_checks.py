"""scikit-learn's own checks of what an estimator must do, and the failures that are argued for.

A line of `CHECKED` is an estimator, by the name it has in `portml.classical` and its arguments, and the checks it is
expected to fail: ``{name of the check: why that is right}``.  It is strict: a check that passes although it is listed
fails, and so does the name of one that does not exist.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils._array_api import NamespaceAndDevice
from sklearn.utils.estimator_checks import parametrize_with_checks

import portml.classical

NO_INVERSE = "without add_indicator its inverse_transform is refused, as scikit-learn's own is, and the check calls it"

WEIGHTS_AND_VARIANCE = (
    "gamma='scale' is by the variance of X, which does not know of weights, and the solver stops at tol; scikit-learn "
    "expects this of its own too, and with gamma=0.1 and a small tol the check passes, see below"
)
FOLDS_OF_SAMPLES = "repeated samples fall into other folds of the cross-validation than one with a weight"
ORDER_OF_SAMPLES = "the dual takes samples in a random order, of which there is another one when some are repeated"
MISJUDGED_AGAIN = "a sample of weight 2 moves the weights once, two samples each time that they are misjudged"

COUNTED_ON_THE_HOST = "the iterations are counted on the host, where the loop of the solver is, and n_iter_ stays there"
LEAVES_COUNT_SAMPLES = "a leaf has at least so many samples, whatever they weigh; scikit-learn expects this of its own"
DRAWS_OF_SAMPLES = (
    "a sample with weight 2 is drawn like any other, repeated samples are drawn apart; as in scikit-learn"
)

ON_A_DEVICE = "check_array_api_mixed_inputs"
"""Checked once of every class: with X on a device, and targets and weights on the host, results stay where X is."""

CHECKED: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("StandardScaler", {}, {}),
    ("MinMaxScaler", {}, {}),
    ("SimpleImputer", {}, {"check_array_api_input": NO_INVERSE, ON_A_DEVICE: NO_INVERSE}),
    ("SimpleImputer", {"strategy": "median", "add_indicator": True}, {}),
    ("OneHotEncoder", {"handle_unknown": "ignore"}, {}),
    ("OrdinalEncoder", {"handle_unknown": "use_encoded_value", "unknown_value": -1}, {}),
    ("SVC", {}, {"check_sample_weight_equivalence_on_dense_data": WEIGHTS_AND_VARIANCE}),
    ("SVC", {"gamma": 0.1, "tol": 1e-10}, {}),
    ("SVC", {"kernel": "precomputed"}, {}),
    (
        "SVC",
        {"probability": True, "random_state": 0},
        {"check_sample_weight_equivalence_on_dense_data": FOLDS_OF_SAMPLES},
    ),
    ("SVR", {}, {"check_sample_weight_equivalence_on_dense_data": WEIGHTS_AND_VARIANCE}),
    ("SVR", {"gamma": 0.1, "tol": 1e-10}, {}),
    ("SVR", {"kernel": "precomputed"}, {}),
    ("LinearSVC", {}, {}),
    (
        "LinearSVC",
        {"loss": "hinge", "random_state": 0},
        {"check_sample_weight_equivalence_on_dense_data": ORDER_OF_SAMPLES},
    ),
    ("LinearRegression", {}, {}),
    ("LinearRegression", {"positive": True}, {}),
    ("LinearRegression", {"solver": "qr"}, {}),
    ("Ridge", {}, {}),
    ("Ridge", {"solver": "svd"}, {}),
    ("Lasso", {}, {}),
    ("Lasso", {"precompute": False, "positive": True}, {}),
    ("ElasticNet", {}, {}),
    ("ElasticNet", {"solver": "fista"}, {}),
    ("LogisticRegression", {}, {ON_A_DEVICE: COUNTED_ON_THE_HOST}),
    ("LogisticRegression", {"solver": "newton-cholesky", "class_weight": "balanced"}, {}),
    ("Perceptron", {}, {"check_sample_weight_equivalence_on_dense_data": MISJUDGED_AGAIN}),
    ("DecisionTreeClassifier", {"max_features": 2, "random_state": 0}, {}),
    ("DecisionTreeClassifier", {"max_bins": 255}, {}),
    ("DecisionTreeRegressor", {}, {}),
    (
        "HistGradientBoostingClassifier",
        {"max_iter": 5, "min_samples_leaf": 5},
        {"check_sample_weight_equivalence_on_dense_data": LEAVES_COUNT_SAMPLES},
    ),
    (
        "HistGradientBoostingRegressor",
        {"max_iter": 5, "min_samples_leaf": 5},
        {"check_sample_weight_equivalence_on_dense_data": LEAVES_COUNT_SAMPLES},
    ),
    (
        "RandomForestClassifier",
        {"n_estimators": 5, "random_state": 0},
        {"check_sample_weight_equivalence_on_dense_data": DRAWS_OF_SAMPLES},
    ),
    (
        "RandomForestRegressor",
        {"n_estimators": 5, "random_state": 0},
        {"check_sample_weight_equivalence_on_dense_data": DRAWS_OF_SAMPLES},
    ),
    ("KNeighborsClassifier", {}, {}),
    ("KNeighborsClassifier", {"weights": "distance", "metric": "cosine", "block_size": 500}, {}),
    ("KNeighborsRegressor", {}, {}),
    (
        "KMeans",
        {"n_clusters": 3, "random_state": 0},
        {"check_sample_weight_equivalence_on_dense_data": DRAWS_OF_SAMPLES},
    ),
    (
        "MiniBatchKMeans",
        {"n_clusters": 3, "random_state": 0},
        {"check_sample_weight_equivalence_on_dense_data": DRAWS_OF_SAMPLES},
    ),
    ("GaussianNB", {}, {}),
    ("MultinomialNB", {}, {}),
    ("BernoulliNB", {}, {}),
]

FURTHER_CHECKS = (
    "check_dataframe_column_names_consistency",
    "check_inplace_ensure_writeable",
)
"""Checks that scikit-learn makes of its own estimators alone."""
FURTHER_CHECKS_OF_TRANSFORMERS = (
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
)
FURTHER_CHECKS_OF_CLUSTERERS = (
    "check_clusterer_compute_labels_predict",
    "check_clustering",
    "check_estimators_partial_fit_n_features",
)
"""Checks that scikit-learn makes of subclasses of its ClusterMixin."""

# What the checks provoke on purpose, and that the estimators are none of scikit-learn's classes.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Estimator .* does not inherit from `sklearn.base.BaseEstimator`:UserWarning"),
    pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names:UserWarning"),
    pytest.mark.filterwarnings("ignore:The number of unique classes is greater than 50%:UserWarning"),
]


def estimators() -> list[Any]:
    return [getattr(portml.classical, name)(**arguments) for name, arguments, _ in CHECKED]


def expected_failures(estimator: Any) -> dict[str, str]:
    return {
        check: why
        for name, arguments, failures in CHECKED
        for check, why in failures.items()
        if repr(getattr(portml.classical, name)(**arguments)) == repr(estimator)
    }


def collected() -> tuple[list[Any], Callable[..., Any]]:
    """The cases of `parametrize_with_checks`, and what names them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the estimators are no subclasses of BaseEstimator
        mark = parametrize_with_checks(estimators(), expected_failed_checks=expected_failures, xfail_strict=True).mark
        return list(mark.args[1]), mark.kwargs["ids"]


CASES, IDS = collected()


@pytest.mark.parametrize(("estimator", "check"), CASES, ids=IDS)
def test_scikit_learns_checks_pass(
    estimator: Any, check: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # or the checks with arrays of other libraries are skipped
    check(estimator)


def further_cases() -> list[Any]:
    cases = []
    for estimator in estimators():
        names = FURTHER_CHECKS
        if hasattr(estimator, "transform"):
            names += FURTHER_CHECKS_OF_TRANSFORMERS
        if estimator._estimator_type == "clusterer":
            names += FURTHER_CHECKS_OF_CLUSTERERS
        for name in names:
            why = expected_failures(estimator).get(name)
            marks = [] if why is None else [pytest.mark.xfail(reason=why, strict=True)]
            cases.append(pytest.param(estimator, name, marks=marks, id=f"{estimator!r}-{name}"))
    return cases


@pytest.mark.parametrize(("estimator", "name"), further_cases())
def test_the_checks_that_scikit_learn_makes_of_its_own_estimators_pass(estimator: Any, name: str) -> None:
    getattr(estimator_checks, name)(type(estimator).__name__, estimator)


def cases_on_a_device() -> list[Any]:
    cases = []
    for name, estimator in {type(each).__name__: each for each in reversed(estimators())}.items():
        why = expected_failures(estimator).get(ON_A_DEVICE)
        marks = [] if why is None else [pytest.mark.xfail(reason=why, strict=True)]
        cases.append(pytest.param(estimator, marks=marks, id=name))
    return cases[::-1]


@pytest.mark.transfers("the check reads the results on the host")
@pytest.mark.parametrize("estimator", cases_on_a_device())
def test_results_stay_on_the_device_of_X(estimator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    device, host = NamespaceAndDevice("array_api_strict", "device1"), NamespaceAndDevice("numpy", None)
    check = getattr(estimator_checks, ON_A_DEVICE)
    check(type(estimator).__name__, estimator, X_ns_and_device=device, other_ns_and_device=host)


@pytest.mark.parametrize(("name", "arguments", "failures"), CHECKED)
def test_every_expected_failure_is_of_a_check_that_is_made_and_says_why(
    name: str, arguments: dict[str, Any], failures: dict[str, str]
) -> None:
    estimator = getattr(portml.classical, name)(**arguments)
    made = {estimator_checks._check_name(case.values[1] if hasattr(case, "values") else case[1]) for case in CASES}
    made |= {ON_A_DEVICE, *FURTHER_CHECKS, *FURTHER_CHECKS_OF_TRANSFORMERS, *FURTHER_CHECKS_OF_CLUSTERERS}
    assert failures.keys() <= made, f"of {estimator!r}"
    assert all(len(why.split()) > 4 for why in failures.values()), "say why the failure is right"
