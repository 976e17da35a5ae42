r"""Classification by support vectors: the widest margin between two classes, and a vote over pairs of more.

.. math:: \min_{w, b}\; \tfrac12 \lVert w \rVert^2 + \sum_i C_i \max(0, 1 - y_i (w \cdot \phi(x_i) + b))

Only inner products of samples are needed, so that a kernel :math:`k(x, z) = \phi(x) \cdot \phi(z)` stands for φ.  The
decision is :math:`f(x) = \sum_s \beta_s k(x, z_s) + b` over the support vectors, the samples whose β is not zero.
[Cortes & Vapnik 1995; Chang & Lin 2011]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

from portml.backends import Array, Backend, backend_of, namespace, to_numpy
from portml.classical.class_weights import class_weights
from portml.classical.estimator import Classifier
from portml.classical.platt_scaling import coupled_probabilities, fit_sigmoid, sigmoid_probability
from portml.classical.sequential_minimal_optimisation import DualSolution, solve_dual
from portml.classical.support_vector_machine import SupportVectorMachine
from portml.classical.validation import check_parameter, generator_of, labels_of, read_training_data
from portml.errors import ArgumentError

__all__ = ["SVC"]

FOLDS = 5


class _Problem(NamedTuple):
    """Two classes: which samples (those of the first, then of the second), how many of the first, C of each sample."""

    samples: list[int]
    n_first: int
    C: Array


class SVC(Classifier, SupportVectorMachine):
    """C-support vector classification; of more than two classes each pair is separated and they vote.

    Parameters
    ----------
    C : float
        The price of a sample on the wrong side of its margin.
    kernel : {"linear", "poly", "rbf", "sigmoid", "precomputed"} or callable
        A callable takes two arrays of samples and gives the matrix of its values.
    degree : int
        Of the kernel "poly".
    gamma : {"scale", "auto"} or float
        Of "rbf", "poly" and "sigmoid"; "scale" is 1 / (n_features * X.var()), "auto" 1 / n_features.
    coef0 : float
        Of "poly" and "sigmoid".
    probability : bool
        Whether `fit` also learns probabilities, from the decisions of five-fold cross-validation.
    tol : float
        By how much the conditions for an optimum may be violated.
    cache_size : float
        Megabytes for kernel values.  Where all of them do not fit, the solver works on parts.
    class_weight : dict, "balanced" or None
        Multiplies C of the samples of each class.
    max_iter : int
        Steps of the solver for a pair of classes at most; -1 for no limit of yours.
    decision_function_shape : {"ovr", "ovo"}
        Of more than two classes: a score for each class, or the decision of each pair.
    break_ties : bool
        Whether equal votes are decided by the scores; otherwise the first class wins.
    random_state : int, Generator or None
        Deals the samples into folds, for `probability`.
    backend : str or Backend, optional
        Where X goes when it arrives on the host.

    Attributes
    ----------
    classes_ : array (n_classes,)
    class_weight_ : array (n_classes,)
    support_ : array (n_support,), int32
        Which samples are support vectors, class by class.
    support_vectors_ : array (n_support, n_features)
        Empty if the kernel is precomputed or a callable.
    n_support_ : array (n_classes,), int32
    dual_coef_ : array (n_classes - 1, n_support)
        β.  Row r of a support vector of class c belongs to the pair of c and class r, or r + 1 from c on.
    intercept_ : array (n_pairs,)
    coef_ : array (n_pairs, n_features)
        With a linear kernel alone.
    fit_status_ : int
        0 if the solver came to an end, 1 if it was stopped (which warns).
    n_iter_ : array (n_pairs,), int32
    probA_, probB_ : array (n_pairs,)
        The sigmoids, with `probability`; else empty.
    n_features_in_, feature_names_in_
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        kernel: str | Callable[[Array, Array], Array] = "rbf",
        degree: int = 3,
        gamma: str | float = "scale",
        coef0: float = 0.0,
        probability: bool = False,
        tol: float = 1e-3,
        cache_size: float = 200,
        class_weight: Any = None,
        max_iter: int = -1,
        decision_function_shape: str = "ovr",
        break_ties: bool = False,
        random_state: Any = None,
        backend: Any = None,
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.probability = probability
        self.tol = tol
        self.cache_size = cache_size
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.decision_function_shape = decision_function_shape
        self.break_ties = break_ties
        self.random_state = random_state
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find the support vectors of every pair of classes.

        Parameters
        ----------
        X : array (n_samples, n_features), or (n_samples, n_samples) for a precomputed kernel
        y : array (n_samples,)
            Labels.
        sample_weight : array (n_samples,), optional
            Multiplies C; samples without positive weight are left out.

        Raises
        ------
        ArgumentError
            If a parameter or the data is not valid, there is one class only, or the kernel's values overflow.
        """
        self._check_parameters()
        shape = self.decision_function_shape
        check_parameter(self, "decision_function_shape", shape in ("ovr", "ovo"), "a str among {'ovr', 'ovo'}")
        data = read_training_data(self, X, y, sample_weight, labels=True)
        xp, backend, self.classes_ = data.xp, data.backend, data.classes
        n_classes = self._n_classes
        if n_classes < 2:
            raise ArgumentError(f"The number of classes has to be greater than one; got {n_classes} class")
        weights = backend.asarray(class_weights(self.class_weight, data.y, data.classes), dtype=xp.float64)
        self.class_weight_ = weights
        C = self._bounds(data) * xp.take(weights, data.y, axis=0)
        samples = self._prepare_kernel(data.X)
        members = _members(data.y, C, n_classes)
        problems = [_Problem(members[i] + members[j], len(members[i]), C) for i, j in self._pairs]
        solutions = [self._solve(samples, problem) for problem in problems]
        self._keep(samples, members, solutions, backend)
        if self.probability:
            self._fit_probabilities(samples, problems)
        self._settle(all(solution.converged for solution in solutions))
        return self

    def decision_function(self, X: Any) -> Array:
        """On which side of the boundary samples are, and how far.

        Parameters
        ----------
        X : array (n_samples, n_features), or (n_samples, n_samples_fit) for a precomputed kernel

        Returns
        -------
        array (n_samples,), (n_samples, n_classes) or (n_samples, n_pairs)
            Of two classes positive values mean the second.  Of more, `decision_function_shape` says: the scores of
            all classes, which are their votes and less than half a vote for how clear they were; or for each pair
            (0, 1), (0, 2), ..., (1, 2), ... positive values for its first class.
        """
        decisions = self._decisions(self._read(X))
        if self._n_classes == 2:
            return decisions[:, 0]
        return self._scores(decisions) if self.decision_function_shape == "ovr" else decisions

    def predict(self, X: Any) -> Array:
        """The label of each sample, (n_samples,).

        Parameters
        ----------
        X : array (n_samples, n_features), or (n_samples, n_samples_fit) for a precomputed kernel
        """
        if self.break_ties and self.decision_function_shape == "ovo":
            raise ArgumentError("break_ties must be False when decision_function_shape is 'ovo'")
        decisions = self._decisions(self._read(X))
        xp = namespace(decisions)
        if self._n_classes == 2:
            codes = xp.astype(decisions[:, 0] >= 0, xp.int64)
        else:
            codes = xp.argmax(self._scores(decisions) if self.break_ties else self._votes(decisions), axis=1)
        return labels_of(codes, self.classes_)

    @property
    def predict_proba(self) -> Callable[[Any], Array]:
        """Called with X, the probability of each class, (n_samples, n_classes); only with ``probability=True``.

        They come from cross-validation and may disagree with `predict`; of few samples they mean nothing.
        """
        return self._probabilities_if_wanted()

    @property
    def predict_log_proba(self) -> Callable[[Any], Array]:
        """Called with X, the logarithms of `predict_proba`."""
        probabilities = self._probabilities_if_wanted()

        def logarithms(X: Any) -> Array:
            found = probabilities(X)
            return namespace(found).log(found)

        return logarithms

    # --- fitting ----------------------------------------------------------------------------------------------------

    @property
    def _n_classes(self) -> int:
        return int(self.classes_.shape[0])

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(self._n_classes) for j in range(i + 1, self._n_classes)]

    def _solve(self, X: Array, problem: _Problem) -> DualSolution:
        """Separate two classes: targets are +1 for the first and -1 for the second."""
        xp, backend = namespace(X), backend_of(X)
        indices = backend.asarray(problem.samples, dtype=xp.int64)
        C = xp.take(problem.C, indices, axis=0)
        is_first = xp.arange(len(problem.samples), device=backend.device) < problem.n_first
        return solve_dual(
            self._training_kernel(X, indices),
            xp.where(is_first, xp.ones_like(C), -1.0),
            xp.where(is_first, xp.zeros_like(C), -C),
            xp.where(is_first, C, 0.0),
            tolerance=float(self.tol),
            max_iter=int(self.max_iter),
        )

    def _keep(self, X: Array, members: list[list[int]], solutions: list[DualSolution], backend: Backend) -> None:
        """Arrange what was found for the pairs by support vector, class by class."""
        xp, n_classes = namespace(X), self._n_classes
        parts: dict[tuple[int, int], Array] = {}  # the β of a class against another one
        for (i, j), solution in zip(self._pairs, solutions, strict=True):
            parts[i, j] = solution.variables[: len(members[i])]
            parts[j, i] = solution.variables[len(members[i]) :]
        rows = [
            xp.concat([parts[c, row if row < c else row + 1] for c in range(n_classes)]) for row in range(n_classes - 1)
        ]
        coefficients, intercept = xp.stack(rows), xp.stack([solution.intercept for solution in solutions])
        is_support = to_numpy(xp.any(coefficients != 0, axis=0)).tolist()
        order = [sample for each in members for sample in each]
        class_of = [c for c, each in enumerate(members) for _ in each]
        places = [place for place, used in enumerate(is_support) if used]
        counts = [sum(class_of[place] == c for place in places) for c in range(n_classes)]
        self._starts = [sum(counts[:c]) for c in range(n_classes + 1)]
        self._keep_support(X, backend.asarray([order[place] for place in places], dtype=xp.int64))
        # Of two classes the second is the positive one, as everywhere in classification.
        sign = -1.0 if n_classes == 2 else 1.0
        chosen = xp.take(coefficients, backend.asarray(places, dtype=xp.int64), axis=1)
        self.dual_coef_ = xp.astype(sign * chosen, X.dtype)
        self.intercept_ = xp.astype(sign * intercept, X.dtype)
        self.n_support_ = backend.asarray(counts, dtype=xp.int32)
        self.n_iter_ = backend.asarray([solution.n_iter for solution in solutions], dtype=xp.int32)
        self.probA_ = self.probB_ = self.intercept_[:0]

    def _linear_weights(self) -> Array:
        xp = namespace(self.dual_coef_)
        if self._n_classes == 2:
            return super()._linear_weights()
        weights = []
        for i, j in self._pairs:
            first, second = slice(*self._starts[i : i + 2]), slice(*self._starts[j : j + 2])
            weights.append(
                xp.matmul(self.dual_coef_[j - 1, first], self.support_vectors_[first, :])
                + xp.matmul(self.dual_coef_[i, second], self.support_vectors_[second, :])
            )
        return xp.stack(weights)

    # --- deciding ---------------------------------------------------------------------------------------------------

    def _decisions(self, X: Array) -> Array:
        """The decision of each pair, (n_samples, n_pairs); the kernel with each support vector is worked out once."""
        xp = namespace(X)
        intercept = xp.astype(self.intercept_, X.dtype, copy=False)
        turned = xp.matrix_transpose(self.dual_coef_)
        if self._n_classes == 2:
            return self._kernel_sum(X, turned, 0, turned.shape[0]) + intercept
        sums = [
            self._kernel_sum(X, turned[start:stop, :], start, stop)
            for start, stop in zip(self._starts, self._starts[1:], strict=False)
        ]
        return xp.stack([sums[i][:, j - 1] + sums[j][:, i] for i, j in self._pairs], axis=1) + intercept

    def _votes(self, decisions: Array) -> Array:
        """How many pairs decide for each class, (n_samples, n_classes)."""
        xp = namespace(decisions)
        won = xp.astype(decisions > 0, decisions.dtype)
        return xp.stack(self._sums_by_class(won, 1.0 - won), axis=1)

    def _scores(self, decisions: Array) -> Array:
        """Votes, and between them, by less than half a vote, the sum of the decisions for a class."""
        xp = namespace(decisions)
        confidence = xp.stack(self._sums_by_class(decisions, -decisions), axis=1)
        # Of decisions that are exactly zero the vote goes to the first class here.
        won = xp.astype(decisions >= 0, decisions.dtype)
        votes = xp.stack(self._sums_by_class(won, 1.0 - won), axis=1)
        return votes + confidence / (3.0 * (xp.abs(confidence) + 1.0))

    def _sums_by_class(self, for_first: Array, for_second: Array) -> list[Array]:
        sums: list[Any] = [0.0] * self._n_classes
        for place, (i, j) in enumerate(self._pairs):
            sums[i] = sums[i] + for_first[:, place]
            sums[j] = sums[j] + for_second[:, place]
        return sums

    # --- probabilities ----------------------------------------------------------------------------------------------

    def _fit_probabilities(self, X: Array, problems: list[_Problem]) -> None:
        generator, backend = generator_of(self.random_state, X), backend_of(X)
        sigmoids = []
        for problem in problems:
            order = to_numpy(generator.permutation(len(problem.samples))).tolist()
            decisions = self._held_out_decisions(X, problem, order)
            is_first = backend.asarray([place < problem.n_first for place in order])
            sigmoids.append(fit_sigmoid(decisions, is_first))
        self.probA_ = backend.asarray([a for a, _ in sigmoids], dtype=X.dtype)
        self.probB_ = backend.asarray([b for _, b in sigmoids], dtype=X.dtype)

    def _held_out_decisions(self, X: Array, problem: _Problem, order: list[int]) -> Array:
        """Decisions for the samples of a pair, in this order, each by a machine that has not seen it."""
        xp, backend, n = namespace(X), backend_of(X), len(order)
        decisions = []
        for fold in range(FOLDS):
            held_out = order[fold * n // FOLDS : (fold + 1) * n // FOLDS]
            rest = sorted(set(order) - set(held_out))
            n_first = sum(place < problem.n_first for place in rest)
            if not held_out:
                continue
            if n_first in (0, len(rest)):  # all that was seen is of one class
                certain = 0.0 if not rest else 1.0 if n_first else -1.0
                decisions.append(xp.full((len(held_out),), certain, dtype=xp.float64, device=backend.device))
                continue
            seen = [problem.samples[place] for place in rest]
            solution = self._solve(X, _Problem(seen, n_first, problem.C))
            asked = backend.asarray([problem.samples[place] for place in held_out], dtype=xp.int64)
            values = self._between(X, asked, backend.asarray(seen, dtype=xp.int64))
            decisions.append(xp.matmul(xp.astype(values, xp.float64), solution.variables) + solution.intercept)
        return xp.concat(decisions)

    def _between(self, X: Array, asked: Array, seen: Array) -> Array:
        """Kernel values between two sets of the samples fitted."""
        xp = namespace(X)
        if self._function is None:
            return xp.take(xp.take(X, asked, axis=0), seen, axis=1)
        return self._function(xp.take(X, asked, axis=0), xp.take(X, seen, axis=0))

    def _probabilities_if_wanted(self) -> Callable[[Any], Array]:
        if not self.probability:
            raise AttributeError("predict_proba is not available when probability=False")
        return self._probabilities

    def _probabilities(self, X: Any) -> Array:
        X = self._read(X)
        xp = namespace(X)
        sign = -1.0 if self._n_classes == 2 else 1.0
        pairwise = sigmoid_probability(sign * self._decisions(X), self.probA_, self.probB_)
        return xp.astype(coupled_probabilities(pairwise, self._n_classes), X.dtype, copy=False)


def _members(codes: Array, C: Array, n_classes: int) -> list[list[int]]:
    """The samples of each class that count for anything, in order."""
    members: list[list[int]] = [[] for _ in range(n_classes)]
    for sample, (code, bound) in enumerate(zip(to_numpy(codes).tolist(), to_numpy(C).tolist(), strict=True)):
        if bound > 0:
            members[code].append(sample)
    if sum(bool(each) for each in members) < 2:
        raise ArgumentError("Invalid input - all samples with positive weights belong to the same class.")
    return members
