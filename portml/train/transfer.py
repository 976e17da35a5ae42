"""Transfer learning: begin from what another network has learnt.

Weights are loaded by name into the layers that fit, the head is replaced by one for the new classes, and the layers
below are frozen, or learn the more slowly the closer they are to the input, where features are general.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from portml.autograd.parameter import Parameter
from portml.backends import is_tensor
from portml.errors import ArgumentError, CheckpointError
from portml.nn import Module
from portml.random.arguments import checked_real

__all__ = [
    "Matching",
    "discriminative_groups",
    "extract_features",
    "freeze",
    "load_matching",
    "replace_head",
    "unfreeze",
]

Mapped = Mapping[str, str | None] | Callable[[str], str | None]


@dataclass
class Matching:
    """How names of a file and of a model fit together.

    Attributes
    ----------
    loaded : list of str
        Names in the model.
    unmatched : list of str
        Names in the file that the model has no place for; those that a mapping left out on purpose are not among them.
    missing : list of str
        Names in the model that the file does not fill.
    misshapen : dict of str to (shape, shape)
        Names in the model, with the shape there and the shape in the file.
    """

    loaded: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    def complaints(self) -> list[str]:
        """What does not fit, a line each, with the nearest name where one looks alike."""
        lines = [
            f"{name} has shape {here} here and {there} in the file" for name, (here, there) in self.misshapen.items()
        ]
        for name in self.unmatched:
            near = difflib.get_close_matches(name, self.missing, 1)
            lines.append(f"{name} is unmatched" + (f" (is it {near[0]} here?)" if near else ""))
        return lines + [f"{name} is missing" for name in self.missing]


def load_matching(
    model: Module, arrays: Mapping[str, Any], mapping: Mapped | None = None, *, partial: bool = False
) -> Matching:
    """Copy arrays into the parameters and buffers of the same names.

    Parameters
    ----------
    model : Module
    arrays : mapping of str to array
        Such as `portml.data.load_weights` gives.
    mapping : mapping or callable, optional
        From names in `arrays` to names in the model.  A key that ends in "." stands for all names that begin with it,
        of which this part is replaced; the longest key counts.  None as value leaves an array out on purpose.
    partial : bool
        Load what fits and report the rest, instead of refusing it.

    Returns
    -------
    Matching

    Raises
    ------
    CheckpointError
        If anything does not fit and `partial` is False, a number would be narrowed, or two arrays go to one name; all
        is listed, and nothing has been written.

    Notes
    -----
    PyTorch counts batches in ``num_batches_tracked``; such scalars are passed over where the model has none.

    Examples
    --------
    >>> import numpy as np
    >>> from portml import nn
    >>> model = nn.Sequential(nn.Linear(2, 1, rng=0, backend="numpy"))
    >>> load_matching(model, {"fc.weight": np.ones((1, 2)), "fc.bias": np.ones(1)}, {"fc.": "0."}).loaded
    ['0.weight', '0.bias']
    """
    own = model.state_dict()
    report, chosen = Matching(), {}
    for name, array in arrays.items():
        target = _mapped(name, mapping)
        if target is None:
            continue
        if target in chosen or target in report.misshapen:
            raise CheckpointError(f"mapping: two arrays go to {target!r}, one of them {name!r}; map one to None")
        if target not in own:
            if not target.endswith("num_batches_tracked"):
                report.unmatched.append(name)
        elif tuple(array.shape) != tuple(own[target].shape):
            report.misshapen[target] = tuple(own[target].shape), tuple(array.shape)
        else:
            chosen[target] = array
    report.loaded = [name for name in own if name in chosen]
    report.missing = [name for name in own if name not in chosen and name not in report.misshapen]
    if not partial and report.complaints():
        raise CheckpointError(
            f"arrays: do not fit {type(model).__name__}, and nothing was loaded: {'; '.join(report.complaints())}. "
            "Name them with mapping, or load what fits with partial=True"
        )
    model.load_state_dict(chosen, strict=False)
    return report


def freeze(model: Module, *patterns: str) -> list[str]:
    """Stop parameters from learning; unfrozen again by `unfreeze`.

    Parameters
    ----------
    model : Module
    *patterns : str
        Dotted names with ``*`` and ``?``, or names of modules, which stand for all within; none stand for everything.

    Returns
    -------
    list of str
        Names of the parameters.

    Raises
    ------
    ArgumentError
        If a pattern fits no parameter.

    Notes
    -----
    Running statistics of batch normalisation are no parameters: they move in training mode unless the layer is put
    into ``eval()``.
    """
    return _set_learning(model, patterns, False)


def unfreeze(model: Module, *patterns: str) -> list[str]:
    """Let parameters learn again; see `freeze`."""
    return _set_learning(model, patterns, True)


def replace_head(model: Module, target: str, head: Module) -> Module:
    """Put another module in the place of a dotted name.

    Parameters
    ----------
    model : Module
    target : str
        Such as "classifier" or "features.6".
    head : Module

    Returns
    -------
    Module
        The one that was there.

    Raises
    ------
    ArgumentError
        If there is no module of that name, or `head` is none.

    Notes
    -----
    An optimizer built before holds the old parameters: build it afterwards.
    """
    if not isinstance(head, Module):
        raise ArgumentError(f"head: expected a module, got a {type(head).__name__}")
    if not target:
        raise ArgumentError("target: expected the name of a module within the model, got ''")
    old = model.get_submodule(target)
    path, _, name = target.rpartition(".")
    setattr(model.get_submodule(path), name, head)
    head.train(old.training)
    return old


def discriminative_groups(
    model: Module, lr: float, *, decay: float = 0.5, stages: Sequence[str | Sequence[str]] | None = None
) -> list[dict[str, Any]]:
    r"""Parameter groups for an optimizer, that learn the more slowly the closer they are to the input.

    .. math:: \eta_s = \eta \, \text{decay}^{S - 1 - s}, \quad s = 0, \dots, S - 1

    Parameters
    ----------
    model : Module
    lr : float
        Of the last stage.
    decay : float
        In (0, 1].
    stages : sequence of patterns, or of several patterns each, optional
        From the input to the output; a parameter belongs to the first stage that fits it.  By default the children of
        the model in the order of their attributes.

    Returns
    -------
    list of dict
        ``{"params": [...], "lr": ...}`` by stage; frozen parameters are among them, and stay as they are until they are
        unfrozen.

    Raises
    ------
    ArgumentError
        If a parameter is in no stage, a stage is empty, or a number is out of range.

    References
    ----------
    [Howard & Ruder 2018, Universal language model fine-tuning for text classification, section 3.2]

    Examples
    --------
    >>> from portml import nn
    >>> model = nn.Sequential(*(nn.Linear(2, 2, rng=0, backend="numpy") for _ in range(3)))
    >>> [group["lr"] for group in discriminative_groups(model, 0.1, decay=0.5)]
    [0.025, 0.05, 0.1]
    """
    if not checked_real("lr", lr) > 0 or not 0 < checked_real("decay", decay) <= 1:
        raise ArgumentError(f"lr, decay: expected lr > 0 and decay in (0, 1], got {lr!r} and {decay!r}")
    if stages is None:
        listed: list[tuple[str, ...]] = [
            (name,) for name, child in model.named_children() if any(True for _ in child.parameters())
        ]
    else:
        listed = [(stage,) if isinstance(stage, str) else tuple(stage) for stage in stages]
    left = dict(model.named_parameters())
    groups = []
    for depth, patterns in enumerate(listed):
        names = [name for name in left if any(_fits(name, pattern) for pattern in patterns)]
        if not names and stages is not None:
            raise ArgumentError(
                f"stages: {patterns} fit no parameter that is in no stage before; see named_parameters()"
            )
        if names:
            rate = lr * decay ** (len(listed) - 1 - depth)
            groups.append({"params": [left.pop(name) for name in names], "lr": rate})
    if left:
        raise ArgumentError(f"stages: {', '.join(left)} are in no stage; every parameter needs a learning rate")
    return groups


def extract_features(model: Module, x: Any, targets: str | Sequence[str]) -> Any:
    """What modules within a model make of an input; the model is run no further than they need.

    Parameters
    ----------
    model : Module
        Put it into ``eval()`` before, and call this inside `no_grad` where no gradient is wanted.
    x : array, or tuple of the model's inputs
    targets : str or sequence of str
        Dotted names of modules, as in ``named_modules()``.

    Returns
    -------
    array or Tensor, or dict of them by name
        A single one for a single name; of a module that is called several times, what it made first.

    Raises
    ------
    ArgumentError
        If a name is no module, or the model does not call it.
    """
    names = [targets] if isinstance(targets, str) else list(targets)
    modules = {name: model.get_submodule(name) for name in names}
    if not modules:
        raise ArgumentError("targets: expected the name of at least one module, got none")
    features: dict[str, Any] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: Module, inputs: Any, output: Any) -> None:
            features.setdefault(name, output)
            if len(features) == len(modules):
                raise _Complete

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        model(*(x if isinstance(x, tuple) else (x,)))
    except _Complete:
        pass
    finally:
        for handle in handles:
            handle.remove()
    unreached = [name for name in names if name not in features]
    if unreached:
        raise ArgumentError(f"targets: {type(model).__name__} does not call {', '.join(unreached)} for this input")
    plain = {name: _raw_unless_tracked(features[name]) for name in names}
    return plain[names[0]] if isinstance(targets, str) else plain


class _Complete(BaseException):
    """All features are there; no error, so that nothing on the way takes it for one."""


def _set_learning(model: Module, patterns: Sequence[str], wanted: bool) -> list[str]:
    parameters = dict(model.named_parameters(remove_duplicate=False))
    chosen: dict[str, Parameter] = {} if patterns else parameters
    for pattern in patterns:
        found = {name: parameter for name, parameter in parameters.items() if _fits(name, pattern)}
        if not found:
            near = difflib.get_close_matches(pattern, parameters, 1)
            hint = f"; is it {near[0]!r}?" if near else "; see named_parameters()"
            raise ArgumentError(f"patterns: {pattern!r} fits no parameter of {type(model).__name__}{hint}")
        chosen |= found
    for parameter in chosen.values():
        parameter.requires_grad = wanted
    return [name for name in parameters if name in chosen]


def _fits(name: str, pattern: str) -> bool:
    """Whether a pattern is a parameter's name, or that of a module it is in."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _mapped(name: str, mapping: Mapped | None) -> str | None:
    if mapping is None:
        return name
    if callable(mapping):
        return mapping(name)
    if name in mapping:
        return mapping[name]
    prefixes = [key for key in _prefixes(name) if key in mapping]
    if not prefixes:
        return name
    replaced = mapping[prefixes[-1]]
    return None if replaced is None else replaced + name[len(prefixes[-1]) :]


def _prefixes(name: str) -> Iterator[str]:
    """The name's beginnings that end in a dot, the shortest first."""
    return (name[: dot.end()] for dot in re.finditer(r"\.", name))


def _raw_unless_tracked(value: Any) -> Any:
    return value.value if is_tensor(value) and not value.requires_grad else value
