"""Every estimator beside scikit-learn's on the same real tables: do they give the same answers?

    python -m benchmarks.table_parity [TABLE ...]

Where the optimum is unique, coefficients and decision values are compared, relative to the largest; where it is not,
the objective; trees node by node, as far as no two splits are equally good; and of what draws at random the scores on
rows held out, over ten seeds.  Leaves `results/table_parity.json` and `.md`.  Exit status 1 if something differs.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn import cluster, ensemble, linear_model, naive_bayes, neighbors, preprocessing, svm, tree
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split

from benchmarks.real_tables import TABLES, EncodedTable, load
from portml import classical

RESULTS = Path(__file__).parent / "results"
CLOSE = 1e-5
SEEDS = range(10)
# So many rows are taken of a table that has more, so that a comparison lasts seconds: by models whose work grows with
# their square, by those fitted for ten seeds, and by those that go over the rows many times.
SQUARE, TEN_TIMES, OFTEN = 1_200, 3_000, 20_000


@dataclass(frozen=True)
class Answer:
    """One comparison.

    Attributes
    ----------
    table, estimator, compared : str
    rows, columns : int
        Of what was fitted.
    difference, bound : float
        What was found, and how much may be.
    note : str
    """

    table: str
    estimator: str
    compared: str
    rows: int
    columns: int
    difference: float
    bound: float
    note: str = ""

    @property
    def agrees(self) -> bool:
        """Whether it is within its bound."""
        return self.difference <= self.bound


def main() -> int:
    """Compare, write down, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}; all if none is given")
    chosen = parser.parse_args().tables or [*TABLES]
    path = RESULTS / "table_parity.json"
    known = json.loads(path.read_text())["answers"] if path.exists() else []
    answers = [Answer(**each) for each in known]
    for name in chosen:
        begin = time.process_time()
        answers = [each for each in answers if each.table != name]
        for each in compared(load(name)):
            answers.append(each)
            print(_line(each), flush=True)
        answers.sort(key=lambda each: [*TABLES].index(each.table))
        print(f"{name}: {time.process_time() - begin:.0f} s of processor time", flush=True)
        _write(path, answers)
    return 0 if all(each.agrees for each in answers) else 1


def compared(table: EncodedTable) -> Iterator[Answer]:
    """All answers for one table."""
    kinds = [_preparation, _clusters, _neighbours, _trees, _seeds]
    kinds += (
        [_linear_classifiers, _bayes, _machines] if table.is_classified else [_linear_regressors, _regressing_machine]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both sides warn of what does not converge in the steps it was given
        for kind in kinds:
            yield from kind(table)


def relative(ours: Any, theirs: Any) -> float:
    """The largest difference, relative to the largest value; what is missing must be on both sides."""
    ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
        return math.inf
    ours, theirs = np.nan_to_num(ours), np.nan_to_num(theirs)
    return float(np.abs(ours - theirs).max() / max(float(np.abs(theirs).max()), 1e-300))


def _preparation(table: EncodedTable) -> Iterator[Answer]:
    pairs: list[tuple[Any, Any, Any]] = [
        (classical.StandardScaler(), preprocessing.StandardScaler(), table.raw),
        (classical.MinMaxScaler(), preprocessing.MinMaxScaler(), table.raw),
        (classical.SimpleImputer(strategy="median"), SimpleImputer(strategy="median"), table.raw),
    ]
    if table.text.shape[1]:
        one_hot = preprocessing.OneHotEncoder(sparse_output=False)
        pairs += [
            (classical.OneHotEncoder(), one_hot, table.text),
            (classical.OrdinalEncoder(), preprocessing.OrdinalEncoder(), table.text),
        ]
    for ours, theirs, X in pairs:
        yield _answer(table, ours, "transformed", X, relative(ours.fit_transform(X), theirs.fit_transform(X)), 1e-9)


def _linear_regressors(table: EncodedTable) -> Iterator[Answer]:
    X, y = table.X, table.y
    rank = np.linalg.matrix_rank(_centred(X).T @ _centred(X), hermitian=True)
    note = "" if rank == X.shape[1] else f"rank {rank} of {X.shape[1]} columns"
    ours, theirs = classical.LinearRegression().fit(X, y), linear_model.LinearRegression().fit(X, y)
    yield _answer(table, ours, "predictions", X, relative(ours.predict(X), theirs.predict(X)), CLOSE, note)
    if not note:
        yield _answer(table, ours, "coefficients", X, relative(ours.coef_, theirs.coef_), CLOSE)
    yield from _both(table, X, classical.Ridge(), linear_model.Ridge(), "coef_")
    strength = 0.01 * float(np.abs(_centred(X).T @ (y - y.mean())).max()) / len(y)
    exact = {"alpha": strength, "tol": 1e-12, "max_iter": 100_000}
    for ours, theirs, share in (
        (classical.Lasso(**exact), linear_model.Lasso(**exact), 1.0),
        (classical.ElasticNet(**exact), linear_model.ElasticNet(**exact), 0.5),
    ):
        Z, z = _some(OFTEN, X, y)
        ours.fit(Z, z), theirs.fit(Z, z)
        least, reached = (_penalised(model, Z, z, strength, share) for model in (theirs, ours))
        yield _answer(table, ours, "objective, above theirs", Z, (reached - least) / least, 1e-9)
        if not note:
            yield _answer(table, ours, "coefficients", Z, relative(ours.coef_, theirs.coef_), CLOSE)


def _linear_classifiers(table: EncodedTable) -> Iterator[Answer]:
    X, y = _some(OFTEN, table.X, table.y)
    exact = {"tol": 1e-10, "max_iter": 10_000}
    ours = classical.LogisticRegression(**exact)
    yield from _both(table, X, ours, linear_model.LogisticRegression(solver="newton-cg", **exact), "coef_", y=y)
    ours = classical.LogisticRegression(solver="newton-cholesky", **exact)
    yield from _both(table, X, ours, linear_model.LogisticRegression(solver="newton-cg", **exact), "coef_", y=y)
    ours, theirs = classical.LinearSVC(**exact), svm.LinearSVC(dual=False, **exact)
    # LibLinear's last steps leave it as far as that from the minimum; the objective tells who is nearer.
    yield from _both(table, X, ours, theirs, "coef_", y=y, bound=1e-4)
    least, reached = (_squared_hinge(model, X, y) for model in (theirs, ours))
    yield _answer(table, ours, "objective, above theirs", X, (reached - least) / least, 1e-9)
    given = {"shuffle": False, "max_iter": 5, "tol": None}
    yield from _both(table, X, classical.Perceptron(**given), linear_model.Perceptron(**given), "coef_", y=y)


def _bayes(table: EncodedTable) -> Iterator[Answer]:
    X = preprocessing.MinMaxScaler().fit_transform(table.X)
    yield from _both(table, table.X, classical.GaussianNB(), naive_bayes.GaussianNB(), "var_")
    yield from _both(table, X, classical.MultinomialNB(), naive_bayes.MultinomialNB(), "feature_log_prob_")
    binarised = {"binarize": 0.5}
    ours, theirs = classical.BernoulliNB(**binarised), naive_bayes.BernoulliNB(**binarised)
    yield from _both(table, X, ours, theirs, "feature_log_prob_")


def _machines(table: EncodedTable) -> Iterator[Answer]:
    X, y = _some(SQUARE, table.X, table.y)
    ours, theirs = classical.SVC(tol=1e-8).fit(X, y), svm.SVC(tol=1e-8).fit(X, y)
    found = relative(ours.decision_function(X), theirs.decision_function(X))
    yield _answer(table, ours, "decision values", X, found, CLOSE, "rbf")
    # Of a linear kernel either side may take minutes to find the last digits where classes overlap.
    given = {"kernel": "linear", "tol": 1e-4}
    ours, theirs = classical.SVC(**given).fit(X, y), svm.SVC(**given).fit(X, y)
    least, reached = (0.5 * (each.coef_**2).sum() - np.abs(each.dual_coef_).sum() for each in (theirs, ours))
    yield _answer(table, ours, "dual objective, above theirs", X, (reached - least) / abs(least), 1e-4, "linear")


def _regressing_machine(table: EncodedTable) -> Iterator[Answer]:
    X, y = _some(SQUARE, table.X, table.y)
    y = (y - y.mean()) / y.std()
    ours, theirs = classical.SVR(tol=1e-8).fit(X, y), svm.SVR(tol=1e-8).fit(X, y)
    yield _answer(table, ours, "predictions", X, relative(ours.predict(X), theirs.predict(X)), CLOSE)


def _neighbours(table: EncodedTable) -> Iterator[Answer]:
    X, y = _some(OFTEN, table.X, table.y)
    asked = X[:500] + 0.01 * np.random.default_rng(0).normal(size=X[:500].shape)  # not equally far from two rows
    kinds = ("KNeighborsClassifier",) if table.is_classified else ("KNeighborsRegressor",)
    for kind in kinds:
        ours = getattr(classical, kind)().fit(X, y)
        theirs = getattr(neighbors, kind)(algorithm="brute").fit(X, y)
        found = relative(ours.kneighbors(asked)[0], theirs.kneighbors(asked)[0])
        yield _answer(table, ours, "distances", X, found, CLOSE)
        yield _answer(table, ours, "predictions", X, relative(ours.predict(asked), theirs.predict(asked)), CLOSE)


def _clusters(table: EncodedTable) -> Iterator[Answer]:
    X = _some(OFTEN, table.X, table.y)[0]
    first = X[np.random.default_rng(0).choice(len(X), 8, replace=False)]
    given = {"n_clusters": 8, "init": first, "n_init": 1, "max_iter": 20, "tol": 0.0}
    ours, theirs = classical.KMeans(**given).fit(X), cluster.KMeans(**given).fit(X)
    found = relative(ours.cluster_centers_, theirs.cluster_centers_)
    yield _answer(table, ours, "centres from the same first ones", X, found, CLOSE)
    for name in ("KMeans", "MiniBatchKMeans"):

        def inertia(library: Any, seed: int, name: str = name) -> float:
            model = getattr(library, name)(8, n_init=3, random_state=seed).fit(X)
            return -float(((X - model.cluster_centers_[model.predict(X)]) ** 2).mean())

        ours, theirs = ([inertia(library, seed) for seed in SEEDS] for library in (classical, cluster))
        yield _noise(table, getattr(classical, name)(), "inertia below zero", X, ours, theirs)


def _trees(table: EncodedTable) -> Iterator[Answer]:
    X = classical.SimpleImputer(strategy="median").fit_transform(table.raw)
    kind = "DecisionTreeClassifier" if table.is_classified else "DecisionTreeRegressor"
    for settings in ({"max_depth": 8}, {"max_depth": 5, "min_samples_leaf": 5}):
        ours = getattr(classical, kind)(random_state=0, **settings).fit(X, table.y)
        theirs = getattr(tree, kind)(random_state=0, **settings).fit(X, table.y)
        counts = _walk(X, ours.tree_, theirs.tree_)
        note = f"depth {settings['max_depth']}: {counts['same']} nodes the same, {counts['tied']} equally good splits"
        yield _answer(table, ours, "nodes that differ untied", X, counts["other"], 0, note)


def _walk(X: Any, ours: Any, theirs: Any) -> dict[str, int]:
    """Nodes that are the same, that have equally good splits, and others.

    Splits that part the rows alike, by whichever feature, lead to nodes that can be compared again; others do not.
    """
    counts = {"same": 0, "tied": 0, "other": 0}
    waiting = [(0, 0, np.arange(len(X)))]
    while waiting:
        a, b, rows = waiting.pop()
        ends = int(ours.children_left[a]) < 0, int(theirs.children_left[b]) < 0
        if any(ends):
            counts["same" if all(ends) else "other"] += 1
            continue
        goes_left = X[rows, int(ours.feature[a])] <= float(ours.threshold[a])
        alike = bool((goes_left == (X[rows, int(theirs.feature[b])] <= float(theirs.threshold[b]))).all())
        if alike:
            counts["same" if int(ours.feature[a]) == int(theirs.feature[b]) else "tied"] += 1
            for side, chosen in (("children_left", goes_left), ("children_right", ~goes_left)):
                waiting.append((int(getattr(ours, side)[a]), int(getattr(theirs, side)[b]), rows[chosen]))
            continue
        whole = float(theirs.impurity[b]) * float(theirs.weighted_n_node_samples[b])
        counts["tied" if abs(_left_over(ours, a) - _left_over(theirs, b)) <= 1e-6 * whole else "other"] += 1
    return counts


def _left_over(grown: Any, node: int) -> float:
    """The impurity of the two nodes below, times their weight."""
    below = int(grown.children_left[node]), int(grown.children_right[node])
    return sum(float(grown.impurity[each]) * float(grown.weighted_n_node_samples[each]) for each in below)


def _seeds(table: EncodedTable) -> Iterator[Answer]:
    X, y = _some(TEN_TIMES, table.raw, table.y)
    filled = classical.SimpleImputer(strategy="median").fit_transform(X)
    kind = "Classifier" if table.is_classified else "Regressor"
    for name, settings, Z in (
        (f"RandomForest{kind}", {"n_estimators": 30}, filled),
        (f"HistGradientBoosting{kind}", {"max_iter": 40, "early_stopping": False}, X),
    ):

        def score(library: Any, seed: int, name: str = name, settings: Any = settings, Z: Any = Z) -> float:
            parts = train_test_split(Z, y, test_size=0.3, random_state=seed)
            model = getattr(library, name)(random_state=seed, **settings).fit(parts[0], parts[2])
            return float(model.score(parts[1], parts[3]))

        ours, theirs = ([score(library, seed) for seed in SEEDS] for library in (classical, ensemble))
        yield _noise(table, getattr(classical, name)(), "score on held-out rows", Z, ours, theirs)


def _noise(table: EncodedTable, model: Any, compared: str, X: Any, ours: list[float], theirs: list[float]) -> Answer:
    """The mean shortfall of our scores, in standard errors; three and a quarter are as rare as one in a hundred."""
    gaps = [b - a for a, b in zip(ours, theirs, strict=True)]
    error = statistics.stdev(gaps) / math.sqrt(len(gaps))
    shortfall = statistics.fmean(gaps)
    # Scores that are all the same have no noise; then rounding is allowed for.
    found = shortfall / error if error > 1e-9 else shortfall / 1e-6
    means = " and ".join(f"{statistics.fmean(each):.4f} ± {statistics.stdev(each):.4f}" for each in (ours, theirs))
    return _answer(table, model, f"{compared}, ten seeds", X, found, 3.25, means)


def _both(
    table: EncodedTable, X: Any, ours: Any, theirs: Any, learnt: str, y: Any = None, bound: float = CLOSE
) -> Iterator[Answer]:
    """Fit both; compare what they learnt, and their decision values or predictions."""
    y = table.y if y is None else y
    ours.fit(X, y), theirs.fit(X, y)
    solver = getattr(ours, "solver", "") if "Logistic" in type(ours).__name__ else ""
    yield _answer(table, ours, learnt, X, relative(getattr(ours, learnt), getattr(theirs, learnt)), bound, solver)
    kinds = ("decision_function", "predict_proba", "predict")
    method = next(name for name in kinds if hasattr(ours, name) and hasattr(theirs, name))
    asked = X[:OFTEN]
    found = relative(getattr(ours, method)(asked), getattr(theirs, method)(asked))
    yield _answer(table, ours, method, X, found, bound, solver)


def _penalised(model: Any, X: Any, y: Any, strength: float, share: float) -> float:
    """What Lasso and ElasticNet minimise, with `share` of the penalty on absolute values."""
    left_over = y - X @ model.coef_ - model.intercept_
    penalty = share * np.abs(model.coef_).sum() + 0.5 * (1 - share) * (model.coef_**2).sum()
    return float((left_over**2).sum() / (2 * len(y)) + strength * penalty)


def _squared_hinge(model: Any, X: Any, y: Any) -> float:
    """What LinearSVC minimises, summed over the classes against the rest; the intercept is penalised too."""
    scores = X @ model.coef_.T + model.intercept_
    sides = np.where(y[:, None] == (model.classes_ if scores.shape[1] > 1 else model.classes_[1:]), 1.0, -1.0)
    penalty = 0.5 * ((model.coef_**2).sum() + (model.intercept_**2).sum())
    return float(penalty + (np.maximum(0.0, 1.0 - sides * scores) ** 2).sum())


def _centred(X: Any) -> Any:
    return X - X.mean(axis=0)


def _some(most: int, X: Any, y: Any) -> tuple[Any, Any]:
    """All rows, or so many drawn at random."""
    if len(X) <= most:
        return X, y
    rows = np.sort(np.random.default_rng(0).choice(len(X), most, replace=False))
    return X[rows], y[rows]


def _answer(
    table: EncodedTable, model: Any, compared: str, X: Any, found: float, bound: float, note: str = ""
) -> Answer:
    return Answer(table.name, type(model).__name__, compared, X.shape[0], X.shape[1], float(found), bound, note)


def _write(path: Path, answers: list[Answer]) -> None:
    path.parent.mkdir(exist_ok=True)
    machine = f"2 shared cores, Python 3.11, NumPy {np.__version__}, scikit-learn {sklearn.__version__}"
    path.write_text(json.dumps({"machine": machine, "answers": [asdict(each) for each in answers]}, indent=1) + "\n")
    apart = sum(not each.agrees for each in answers)
    head = ("table", "estimator", "compared", "rows × columns", "found", "allowed", "")
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, ("---",) * len(head), *map(_cells, answers))]
    path.with_suffix(".md").write_text(
        f"# The same answers as scikit-learn\n\n`python -m benchmarks.table_parity` on {machine}.\n\n"
        f"{len(answers)} comparisons, of which {apart} differ by more than is allowed. Differences of numbers are "
        "relative to the largest; of scores over ten seeds they are how far ours are behind on average, in standard "
        "errors: below zero ours are ahead. Their means stand beside, ours first.\n\n" + "\n".join(lines) + "\n"
    )


def _cells(answer: Answer) -> tuple[str, ...]:
    note = answer.note if answer.agrees else f"**differs** {answer.note}".strip()
    size = f"{answer.rows:,} × {answer.columns}"
    found, bound = f"{answer.difference:.2g}", f"{answer.bound:g}"
    return answer.table, answer.estimator, answer.compared, size, found, bound, note


def _line(answer: Answer) -> str:
    return "  ".join(f"{cell:{width}}" for cell, width in zip(_cells(answer), (16, 30, 28, 14, 9, 7, 0), strict=True))


if __name__ == "__main__":
    raise SystemExit(main())
