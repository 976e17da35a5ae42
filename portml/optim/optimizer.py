"""What all optimizers share: parameter groups, flat storage, state, and the order of a step.

An optimizer says three things: the names of its state arrays, the numbers of its next step (worked out on the host in
float64 and put into a slot), and the kernel that takes the step on flat arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, ClassVar

from portml.autograd import Tensor, enable_grad
from portml.backends import Array, Slot, dtype_kind, operations
from portml.backends.doorway import change, depend
from portml.errors import ArgumentError, CheckpointError, DtypeError
from portml.optim.storage import FlatStorage, Run, by_kind, refuse_computed, unique

__all__ = ["Optimizer", "check_at_least_zero", "check_betas"]


class Optimizer:
    """The base of all optimizers.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        Parameters, or groups ``{"params": [...], "lr": 0.1, ...}`` with options of their own.
    defaults : dict
        Options of groups that do not set them.

    Attributes
    ----------
    param_groups : list of dict
        Options may be changed between steps, as a schedule does with ``"lr"``.
    """

    slot_size: ClassVar[int] = 1
    takes_complex: ClassVar[bool] = False
    # Whether each parameter takes a step of its own, in its own shape, as where a step depends on the layer's norm.
    layerwise: ClassVar[bool] = False

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self._storages: list[list[FlatStorage]] = []
        self._states: dict[int, dict[str, Array]] = {}
        self._slots: dict[tuple[int, int, int], Slot] = {}
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise ArgumentError(
                f"params: expected several parameters, as model.parameters() gives them, got a {type(params).__name__}"
            )
        given: list[Any] = list(params)
        if given and all(isinstance(group, Mapping) for group in given):
            for group in given:
                self.add_param_group(dict(group))
        else:
            self.add_param_group({"params": given})

    # What a subclass says

    def state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Names of the state arrays of a group, PyTorch's."""
        raise ArgumentError(f"{type(self).__name__} does not name its state")

    def initial_state(self, group: dict[str, Any]) -> float:
        """What the state arrays hold before the first step."""
        return 0.0

    def derived_state(self, group: dict[str, Any], steps: int) -> dict[str, float]:
        """Entries that PyTorch keeps in the state and that follow from the count of steps; written, and not read."""
        return {}

    def slot_values(self, group: dict[str, Any], steps: int) -> tuple[float, ...]:
        """The numbers of the next step, the one that makes `steps`: learning rate, bias corrections."""
        raise ArgumentError(f"{type(self).__name__} does not say the numbers of its step")

    def update(self, group: dict[str, Any], arrays: tuple[Array, ...], slot: Array, out: tuple[Array, ...]) -> None:
        """Take a step: `arrays` are values, gradients and states; results go to `out`, without gradients.

        All are flat, of many parameters one behind the other; of a `layerwise` optimizer they are one parameter's.
        """
        raise ArgumentError(f"{type(self).__name__} does not say how it takes a step")

    def check(self, group: dict[str, Any]) -> None:
        """Refuse options out of range."""
        check_at_least_zero(group, "lr", "weight_decay", "eps", "momentum", "lr_decay")

    # What a user calls

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Update every parameter that got a gradient since `zero_grad`.

        Parameters
        ----------
        closure : callable, optional
            Clears the gradients, works out the loss, calls its `backward`, and returns it; called first.

        Returns
        -------
        Tensor or None
            What the closure returned.

        Raises
        ------
        StaleOptimizerError
            If the parameters were moved or packed by another optimizer.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        depend(self, self._options_in_calls)
        depend(self, self._staleness, marked=True)
        for group, storages in zip(self.param_groups, self._storages, strict=True):
            self.check(group)
            for storage in storages:
                for run in storage.runs():
                    self._step_run(group, storage, run)
        return loss

    def zero_grad(self) -> None:
        """Forget all gradients: a parameter that gets none before the next step stays as it is."""
        for storages in self._storages:
            for storage in storages:
                storage.clear_gradients()

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add a group of parameters with options of its own.

        Raises
        ------
        ArgumentError
            If it has no parameters, an unknown option, or a parameter of another group.
        """
        if "params" not in group:
            raise ArgumentError(f"group: expected a 'params' entry, got {sorted(group)}")
        given = group["params"]
        parameters = unique([given] if isinstance(given, Tensor) else given)
        unknown = sorted(set(group) - set(self.defaults) - {"params"})
        if unknown:
            raise ArgumentError(f"group: {type(self).__name__} has no option {', '.join(unknown)}")
        taken = {id(parameter) for other in self.param_groups for parameter in other["params"]}
        if any(id(parameter) in taken for parameter in parameters):
            raise ArgumentError("group: a parameter is in another group already; each belongs to one")
        complete = {**self.defaults, **group, "params": parameters}
        self.check(complete)
        if not self.takes_complex:
            _refuse_complex(type(self).__name__, parameters)
        # Last what changes anything: a group that is refused leaves the optimizer and its parameters as they were.
        refuse_computed(parameters)
        self._storages.append([FlatStorage(kind) for kind in by_kind(parameters)])
        self.param_groups.append(complete)

    # Checkpoints, in PyTorch's form

    def state_dict(self) -> dict[str, Any]:
        """The state as PyTorch writes it: ``{"state": {index: {name: array}}, "param_groups": [...]}``."""
        indices = self._indices()
        state: dict[int, dict[str, Any]] = {}
        for group, storages in zip(self.param_groups, self._storages, strict=True):
            for storage in storages:
                arrays = self._states.get(id(storage), {})
                for i, parameter in enumerate(storage.parameters):
                    if storage.steps[i]:
                        views = {name: storage.view(flat, i) for name, flat in arrays.items()}
                        derived = self.derived_state(group, storage.steps[i])
                        state[indices[id(parameter)]] = {"step": storage.steps[i], **derived, **views}
        groups = [
            {**_options(each), "params": [indices[id(parameter)] for parameter in each["params"]]}
            for each in self.param_groups
        ]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state of an optimizer of the same kind over parameters of the same shapes.

        Raises
        ------
        CheckpointError
            If groups, names or shapes differ, or it is no such state; nothing has been written.
        """
        groups, arrays = _parts_of_state(state)
        sizes = [len(group["params"]) for group in groups]
        expected = [len(group["params"]) for group in self.param_groups]
        if sizes != expected:
            raise CheckpointError(f"state: expected parameter groups of {expected} parameters, got {sizes}")
        order = [index for group in groups for index in group["params"]]
        unknown = [index for index in arrays if index not in order]
        if unknown:
            raise CheckpointError(f"state: has arrays of parameters {unknown}, but its groups list {order}")
        parts = {place: arrays[index] for place, index in enumerate(order) if arrays.get(index)}
        names = [
            self.state_names({**group, **options})
            for group, options in zip(self.param_groups, groups, strict=True)
            for _ in group["params"]
        ]
        self._check_state(parts, names)
        for group, options in zip(self.param_groups, groups, strict=True):
            group.update({name: value for name, value in options.items() if name in self.defaults})
        indices = self._indices()
        for group, storages in zip(self.param_groups, self._storages, strict=True):
            for storage in storages:
                self._load_storage(group, storage, [parts.get(indices[id(p)], {}) for p in storage.parameters])

    def __getstate__(self) -> dict[str, Any]:
        return {"groups": self.param_groups, "defaults": self.defaults, "state": self.state_dict()}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        Optimizer.__init__(self, saved["groups"], saved["defaults"])
        self.load_state_dict(saved["state"])

    def __repr__(self) -> str:
        groups = "; ".join(
            ", ".join(f"{name}={value}" for name, value in _options(group).items()) for group in self.param_groups
        )
        return f"{type(self).__name__}({groups})"

    def _options_in_calls(self) -> list[tuple[Any, ...]]:
        """The options that the calls of a step take as they are; the learning rate comes by the slot."""
        names = [name for name in self.defaults if name != "lr"]
        return [tuple(map(group.get, names)) for group in self.param_groups]

    def _staleness(self) -> list[bool]:
        return [storage.stale for storages in self._storages for storage in storages]

    def _step_run(self, group: dict[str, Any], storage: FlatStorage, run: Run) -> None:
        states = self._state_of(group, storage)
        slot = self._slot_of(group, storage, run)
        everything = (storage.values, storage.gradients, *states.values())
        if self.layerwise:
            numbers = slot.refill()
            for i in range(run.first, run.last):
                values, gradients, *rest = (storage.view(flat, i) for flat in everything)
                self.update(group, (values, gradients, *rest), numbers, (values, *rest))
            return
        if run.stop - run.start != storage.values.shape[0]:
            everything = tuple(flat[run.start : run.stop] for flat in everything)
        values, _, *rest = everything
        self.update(group, everything, slot.refill(), (values, *rest))

    def _state_of(self, group: dict[str, Any], storage: FlatStorage) -> dict[str, Array]:
        states = self._states.setdefault(id(storage), {})
        for name in self.state_names(group):
            if name not in states:
                states[name] = storage.full(self.initial_state(group))
        return states

    def _slot_of(self, group: dict[str, Any], storage: FlatStorage, run: Run) -> Slot:
        """The slot of a run; refilling it counts the step, so that a replayed step counts too."""
        key = (id(storage), run.first, run.last)
        if key not in self._slots:

            def compute() -> tuple[float, ...]:
                return self.slot_values(group, storage.advance(run.first, run.last))

            self._slots[key] = Slot(storage.backend, compute, self.slot_size, storage.values.dtype)
        return self._slots[key]

    def _indices(self) -> dict[int, int]:
        every = [parameter for group in self.param_groups for parameter in group["params"]]
        return {id(parameter): index for index, parameter in enumerate(every)}

    def _check_state(self, parts: Mapping[int, Mapping[str, Any]], names: Sequence[tuple[str, ...]]) -> None:
        every = [parameter for group in self.param_groups for parameter in group["params"]]
        for index, arrays in parts.items():
            passed_over = {"step", *self.derived_state(self.defaults, 1)}
            given = sorted(name for name, array in arrays.items() if name not in passed_over and array is not None)
            # PyTorch's SGD keeps None where no velocity has begun.
            if given and given != sorted(names[index]):
                raise CheckpointError(
                    f"state: parameter {index} has {', '.join(given)}, but {type(self).__name__} keeps "
                    f"{', '.join(names[index]) or 'nothing'}; load a state of the same kind of optimizer"
                )
            for name in given:
                shape = tuple(getattr(arrays[name], "shape", ()))
                if shape != tuple(every[index].shape):
                    raise CheckpointError(
                        f"state: {name} of parameter {index} has shape {shape}, expected {tuple(every[index].shape)}"
                    )

    def _load_storage(self, group: dict[str, Any], storage: FlatStorage, parts: list[Mapping[str, Any]]) -> None:
        states = self._state_of(group, storage)
        change()  # of the counts of steps
        for i, part in enumerate(parts):
            # A state without a count, as PyTorch's SGD writes it, has taken at least one step.
            storage.steps[i] = int(part.get("step", 1 if part else 0))
            for name, flat in states.items():
                view = storage.view(flat, i)
                source = part.get(name)
                if source is None:
                    fill = operations.full_like(view, self.initial_state(group))
                else:
                    fill = storage.backend.asarray(source, view.dtype)
                operations.write_into(view, fill)


def _parts_of_state(state: Any) -> tuple[list[Mapping[str, Any]], Mapping[int, Mapping[str, Any]]]:
    """Groups and arrays of what `Optimizer.state_dict` gives, or CheckpointError."""
    groups, arrays = (state.get(name) for name in ("param_groups", "state")) if isinstance(state, Mapping) else (0, 0)
    if not isinstance(groups, list | tuple) or not isinstance(arrays, Mapping) or not all(map(_is_group, groups)):
        raise CheckpointError(
            "state: expected the state of an optimizer, a dictionary with 'state' and 'param_groups', "
            f"got {sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__}"
        )
    return list(groups), arrays


def _is_group(group: Any) -> bool:
    return isinstance(group, Mapping) and isinstance(group.get("params"), list | tuple)


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


def check_at_least_zero(group: dict[str, Any], *names: str) -> None:
    """Raise ArgumentError unless those of these options that the group has are numbers of at least 0."""
    for name in names:
        if name in group and not (isinstance(group[name], Real) and group[name] >= 0):
            raise ArgumentError(f"{name}: expected a number of at least 0, got {group[name]!r}")


def check_betas(group: dict[str, Any]) -> None:
    """Raise ArgumentError unless "betas" are two numbers from 0 to below 1."""
    betas = group["betas"]
    if not isinstance(betas, tuple | list) or len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ArgumentError(f"betas: expected two numbers in [0, 1), got {betas!r}")


def _refuse_complex(optimizer: str, parameters: list[Tensor]) -> None:
    """Raise DtypeError for complex parameters: squares of gradients would have to be squares of absolute values."""
    for parameter in parameters:
        if dtype_kind(parameter.dtype) == "complex":
            raise DtypeError(
                f"params: {optimizer} takes real parameters, got one of {parameter.dtype}; "
                "keep real and imaginary parts as two parameters, or use SGD"
            )
