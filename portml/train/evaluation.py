"""What a module makes of data, in evaluation mode and without records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from portml.backends import Array, Backend, backend_of, get_backend, namespace
from portml.data import ArrayDataset, DataLoader
from portml.errors import ArgumentError, DataError
from portml.nn import Module, evaluating
from portml.train.means import RunningMeans

__all__ = ["Loss", "Metric", "Samples", "as_dataset", "backend_of_model", "evaluate", "measure", "predict"]

Loss = Callable[[Array, Array], Array]
Metric = Callable[[Array, Array], Array]
Samples = ArrayDataset | tuple[Any, Any]


def evaluate(
    model: Module, data: Samples, loss: Loss, metrics: Mapping[str, Metric] | None = None, *, batch_size: int = 256
) -> dict[str, float]:
    """The mean loss and metrics over a data set.

    Parameters
    ----------
    model : Module
        Its mode is the one before afterwards.
    data : dataset, or pair of arrays
        Inputs (n_samples, ...) and targets (n_samples, ...).
    loss : callable
        ``loss(output, target)``, a mean over the samples of a batch.
    metrics : mapping of str to callable, optional
        ``metric(target, output)``, means over the samples of a batch too.
    batch_size : int

    Returns
    -------
    dict
        "loss", and the metrics by their names.

    Raises
    ------
    DataError
        If there is no sample.
    """
    means = RunningMeans()
    with evaluating(model):
        for inputs, targets in DataLoader(as_dataset(data), batch_size, backend=backend_of_model(model)):
            output = model(inputs)
            means.add(measure(loss(output, targets), output, targets, metrics or {}), targets.shape[0])
    return means.read()


def predict(model: Module, inputs: Any, *, batch_size: int = 256) -> Array:
    """The outputs of a module for inputs (n_samples, ...), on the module's backend.

    Raises
    ------
    DataError
        If there is no sample.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ArgumentError(f"batch_size: expected a positive integer, got {batch_size!r}")
    backend = backend_of_model(model)
    if not hasattr(inputs, "shape"):
        inputs = backend.asarray(inputs)
    if len(inputs.shape) == 0 or inputs.shape[0] == 0:
        raise DataError(f"inputs: expected at least one sample, (n_samples, ...), got shape {tuple(inputs.shape)}")
    n_samples = inputs.shape[0]
    outputs = []
    with evaluating(model):
        for start in range(0, n_samples, batch_size):
            outputs.append(model(backend.asarray(inputs[start : min(start + batch_size, n_samples), ...])))
    return namespace(*outputs).concat(outputs, axis=0)


def measure(loss: Array, output: Array, targets: Array, metrics: Mapping[str, Metric]) -> dict[str, Array]:
    """The loss and the metrics of one batch, each an array ()."""
    return {"loss": loss, **{name: metric(targets, output) for name, metric in metrics.items()}}


def as_dataset(data: Samples) -> ArrayDataset:
    """A data set of a pair of arrays; a data set as it is.

    Raises
    ------
    ArgumentError
        If it is neither, as a loader is, whose batches are made already.
    DataError
        If its samples have other parts than an input and a target.
    """
    if not isinstance(data, tuple) and not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        raise ArgumentError(
            f"data: expected a data set or a pair of arrays, got a {type(data).__name__}; batches are made here"
        )
    parts = len(data) if isinstance(data, tuple) else len(data[0:1])
    if parts != 2:
        raise DataError(
            f"data: expected inputs and targets, got samples of {parts} parts; leave the others out, as lengths, which "
            "models of symbols see from the padding, or write the loop over a loader"
        )
    return ArrayDataset(*data) if isinstance(data, tuple) else data


def backend_of_model(model: Module) -> Backend:
    """Where the parameters of a module are; the default backend if it has none."""
    parameter = next(model.parameters(), None)
    return get_backend() if parameter is None else backend_of(parameter.value)
