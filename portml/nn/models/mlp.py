"""The multi-layer perceptron, which trains itself for classification as the guide's network does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, Self

from portml.backends import Array, Backend, backend_of, namespace, operations, to_numpy
from portml.errors import ArgumentError, DivergenceError, ShapeError
from portml.nn.activation import ReLU
from portml.nn.containers import Sequential
from portml.nn.dropout import Dropout
from portml.nn.evaluation_mode import evaluating
from portml.nn.flatten import Flatten
from portml.nn.functional import sigmoid, softmax
from portml.nn.initialisation import generator_for
from portml.nn.linear import Linear
from portml.nn.loss import BCEWithLogitsLoss, CrossEntropyLoss
from portml.nn.module import Module
from portml.optim import SGD, Optimizer
from portml.random import Generator

__all__ = ["MLP"]


class MLP(Sequential):
    """Linear layers with an activation between them.  [Rumelhart, Hinton & Williams 1986]

    Input: (N, ...) with layer_sizes[0] numbers a sample; further axes are flattened.  Output: (N, layer_sizes[-1]), to
    be trained by a `Trainer` and any loss, or by `fit`, which takes them for the logits of classes.

    Parameters
    ----------
    layer_sizes : sequence of int
        Such as ``[784, 128, 10]``: inputs, hidden layers, outputs.
    activation : callable
        Makes the module between two layers.
    dropout : float or sequence of float
        Probability after each hidden layer.
    weight_init : callable, optional
        ``weight_init(shape, rng=rng, dtype=dtype)`` draws each weight, such as `initialisation.he_normal`, and the
        biases are zero; by default both are drawn as `Linear` says.
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str

    Attributes
    ----------
    loss_history_ : list of float
        The mean loss of every epoch of `fit`.

    Examples
    --------
    The guide's network, on XOR:

    >>> import numpy as np
    >>> from portml import nn
    >>> x, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]], dtype="float32"), np.array([0, 1, 1, 0])
    >>> network = nn.models.MLP([2, 8, 1], nn.Tanh, rng=0).fit(x, y, lr=0.5, epochs=2000)
    >>> network.predict(x).tolist()
    [0, 1, 1, 0]
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: Callable[[], Module] = ReLU,
        dropout: float | Sequence[float] = 0.0,
        *,
        weight_init: Callable[..., Array] | None = None,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        hidden = len(layer_sizes) - 2
        if hidden < 0:
            raise ArgumentError(f"layer_sizes: expected at least inputs and outputs, got {list(layer_sizes)}")
        drops = [dropout] * hidden if isinstance(dropout, int | float) else list(dropout)
        if len(drops) != hidden:
            raise ArgumentError(
                f"dropout: expected {hidden} probabilities, one for each hidden layer, got {len(drops)}"
            )
        rng = generator_for(rng, backend)
        layers: list[Module] = [Flatten()]
        for i, (n_in, n_out) in enumerate(pairwise(layer_sizes)):
            layers.append(_linear(n_in, n_out, weight_init, rng, dtype))
            if i < hidden:
                layers.append(activation())
                if drops[i]:
                    layers.append(Dropout(drops[i], rng=rng))
        super().__init__(*layers)
        self.n_outputs = layer_sizes[-1]
        self.loss_history_: list[float] = []

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        lr: float = 0.01,
        epochs: int = 1000,
        batch_size: int | None = None,
        optimizer: Callable[..., Optimizer] = SGD,
        rng: Generator | int = 0,
    ) -> Self:
        """Learn classes: one output is the logit of class 1 against class 0, several are the logits of as many classes.

        Parameters
        ----------
        X : array (n_samples, ...)
        y : array (n_samples,) or (n_samples, 1), integers
            Classes, counted from 0.
        lr : float
        epochs : int
        batch_size : int, optional
            None takes all samples in each step (batch descent), 1 is stochastic descent.
        optimizer : callable
            ``optimizer(parameters, lr=lr)``.
        rng : Generator or int
            Of the order of the samples, where they come in batches.

        Returns
        -------
        MLP
            Itself, in evaluation mode.

        Raises
        ------
        ShapeError
            If `y` has not one class for each sample.
        DivergenceError
            If the loss becomes NaN or infinite.
        """
        backend = self._backend()
        X, y = backend.asarray(X), self._targets(backend.asarray(y), len(X))
        steps = optimizer(self.parameters(), lr=lr)
        order = generator_for(rng, backend)
        n_samples = X.shape[0]
        n_batch = n_samples if batch_size is None else batch_size
        losses = []
        self.train()
        for _ in range(epochs):
            total = 0.0
            for batch in _batches(n_samples, n_batch, order):
                inputs, targets = (X, y) if batch is None else (_rows(X, batch), _rows(y, batch))
                steps.zero_grad()
                loss = self._loss(self(inputs), targets)
                loss.backward()
                steps.step()
                total = total + loss.value * (inputs.shape[0] / n_samples)
            losses.append(total)
        self.loss_history_ = _read(losses)
        self.eval()
        return self

    def predict_proba(self, X: Any) -> Array:
        """Probabilities: (n_samples,) of class 1 for one output, else (n_samples, n_classes)."""
        with evaluating(self):
            logits = self(self._backend().asarray(X))
        return sigmoid(logits[:, 0]) if self.n_outputs == 1 else softmax(logits, axis=1)

    def predict(self, X: Any) -> Array:
        """The most probable class of each sample, (n_samples,) of int64."""
        probability = self.predict_proba(X)
        xp = namespace(probability)
        if self.n_outputs == 1:
            return xp.astype(probability >= 0.5, xp.int64)
        return xp.argmax(probability, axis=1)

    def _loss(self, logits: Array, targets: Array) -> Any:
        if self.n_outputs > 1:
            return CrossEntropyLoss()(logits, targets)
        # (n, 1) as the logits are: (n,) would spread to (n, n) beside them.
        return BCEWithLogitsLoss()(logits, operations.astype(targets, logits.dtype)[:, None])

    def _targets(self, y: Array, n_samples: int) -> Array:
        if tuple(y.shape) == (n_samples, 1):
            y = operations.reshape(y, (n_samples,))
        if tuple(y.shape) != (n_samples,):
            raise ShapeError(
                f"y: expected a class for each of {n_samples} samples, shape ({n_samples},), got {y.shape}"
            )
        xp = namespace(y)
        return xp.astype(y, xp.int64)

    def _backend(self) -> Backend:
        return backend_of(next(self.parameters()).value)


def _linear(n_in: int, n_out: int, weight_init: Callable[..., Array] | None, rng: Generator, dtype: str) -> Linear:
    layer = Linear(n_in, n_out, rng=rng, dtype=dtype)
    if weight_init is not None:
        layer.weight.assign(weight_init((n_out, n_in), rng=rng, dtype=dtype))
        if layer.bias is not None:
            layer.bias.assign(operations.zeros_like(layer.bias.value))
    return layer


def _batches(n_samples: int, n_batch: int, rng: Generator) -> Iterable[Array | None]:
    """Positions of the samples of each batch, in an order drawn anew; None is all of them."""
    if n_batch >= n_samples:
        return [None]
    order = rng.permutation(n_samples)
    return [order[start : min(start + n_batch, n_samples)] for start in range(0, n_samples, n_batch)]


def _rows(x: Array, positions: Array) -> Array:
    return operations.take(x, positions, axis=0)


def _read(losses: list[Array]) -> list[float]:
    """The losses on the host, read together; refused where one is not finite."""
    if not losses:
        return []
    read: list[float] = to_numpy(namespace(*losses).stack(losses)).tolist()
    for epoch, loss in enumerate(read, start=1):
        if not abs(loss) < float("inf"):
            raise DivergenceError(f"the loss became {loss} in epoch {epoch}; try a smaller learning rate")
    return read
