"""Modules: PyTorch's habits on plain attributes.

A module's parameters, buffers and children are its attributes, found when asked for; there is nothing to register and
no constructor to call first.  Subclass it, assign `Parameter`s and modules to attributes, write `forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from portml.autograd import Tensor, grad_enabled, lift
from portml.autograd.parameter import Parameter
from portml.backends import (
    Array,
    Backend,
    backend_of,
    device_of,
    dtype_kind,
    get_backend,
    is_tensor,
    library_of,
    operations,
    to_numpy,
)
from portml.backends.doorway import change, depend, inside, observers
from portml.errors import ArgumentError, CheckpointError, DtypeError, MixedBackendsError, PortmlError, ShapeError
from portml.nn.hooks import Handle, Hooks, call_with_hooks
from portml.random import Generator

__all__ = ["Module"]

Self = TypeVar("Self", bound="Module")
_SETTINGS = (bool, int, float, str, tuple, type(None))


class Module:
    """A function with parameters.

    Calling a module runs its `forward`.  Raw arrays given to it are lifted to Tensors, so that what the parameters do
    to them is recorded; where nothing is recorded (inside `no_grad`, or with every parameter frozen) raw arrays come
    back.

    Attributes
    ----------
    training : bool
        Whether layers such as dropout and batch normalisation behave as in training; see `train` and `eval`.
    """

    training: bool = True
    _buffers: tuple[str, ...] = ()
    _hooks: Hooks | None = None

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes; every subclass says it."""
        raise ArgumentError(f"{type(self).__name__} has no forward method; define what it computes")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run `forward`, lifting raw arrays as the class says, with the hooks that are registered around it."""
        if observers.get():
            depend(self, self._settings, marked=True)
            if any(map(_is_loose, vars(self).items())):
                depend(self, self._loose_settings)
            with inside(self):
                return self._run_forward(inputs, options)
        return self._run_forward(inputs, options)

    def _run_forward(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        forward = self.forward if self._hooks is None else partial(call_with_hooks, self)
        try:
            for given in inputs:  # a loop: `any` of a generator would take as long as a small layer
                if isinstance(given, Tensor):
                    return forward(*inputs, **options)
            if grad_enabled():
                inputs = tuple(lift(given) if hasattr(given, "dtype") else given for given in inputs)
            return _raw_unless_tracked(forward(*inputs, **options))
        except Exception as error:
            self._refuse_misplaced(inputs, error)
            raise

    # What a module is made of

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Modules that are attributes of this one, by name."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        """Modules that are attributes of this one."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """The module itself and all below it, each once, with dotted names."""
        seen: set[int] = set()
        for name, module in self._walk(prefix):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def modules(self) -> Iterator[Module]:
        """The module itself and all below it, each once."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name; "" is this one.  Raises ArgumentError if there is none."""
        module: Module = self
        for name in target.split(".") if target else ():
            found = vars(module).get(name)
            if not isinstance(found, Module):
                raise ArgumentError(f"target: {target!r} is no module of {type(self).__name__}; see named_modules()")
            module = found
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name.  Raises ArgumentError if there is none."""
        path, _, name = target.rpartition(".")
        found = vars(self.get_submodule(path)).get(name)
        if not isinstance(found, Parameter):
            raise ArgumentError(f"target: {target!r} is no parameter of {type(self).__name__}; see named_parameters()")
        return found

    def named_parameters(self, prefix: str = "", *, remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Parameters with dotted names; one that is shared comes once, unless `remove_duplicate` is False."""
        seen: set[int] = set()
        for name, module in self._walk(prefix):
            for attribute, value in vars(module).items():
                if isinstance(value, Parameter) and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield _dotted(name, attribute), value

    def parameters(self) -> Iterator[Parameter]:
        """Parameters, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Array]]:
        """Arrays that are state but not learnt, such as running statistics, with dotted names."""
        for name, module in self._walk(prefix):
            for attribute in module._buffers:
                value = getattr(module, attribute)
                if value is not None:
                    yield _dotted(name, attribute), value

    def buffers(self) -> Iterator[Array]:
        """Arrays that are state but not learnt."""
        return (buffer for _, buffer in self.named_buffers())

    def named_generators(self) -> Iterator[tuple[str, Generator]]:
        """Random generators of the layers, such as dropout's, with dotted names; each once."""
        seen: set[int] = set()
        for name, module in self.named_modules():
            for attribute, value in vars(module).items():
                if isinstance(value, Generator) and id(value) not in seen:
                    seen.add(id(value))
                    yield _dotted(name, attribute), value

    def register_buffer(self, name: str, value: Array | None) -> None:
        """Make an array part of the state: saved, loaded and moved with the parameters, but not learnt."""
        setattr(self, name, value)
        if name not in self._buffers:
            self._buffers = (*self._buffers, name)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """The same as assigning the attribute."""
        setattr(self, name, parameter)

    def add_module(self, name: str, module: Module | None) -> None:
        """The same as assigning the attribute, for names such as "0" that Python cannot write after a dot."""
        if "." in name or not name:
            raise ArgumentError(f"name: {name!r} cannot name a child; expected a word without dots")
        setattr(self, name, module)

    # Hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call ``hook(module, inputs)`` before `forward`; what it returns, unless None, are the inputs instead.

        Parameters
        ----------
        hook : callable
            Returns None, a tuple of inputs or a single one; with `with_kwargs` it is called as
            ``hook(module, inputs, options)`` and returns None or both.
        prepend : bool
            Call it before the hooks that are there.
        with_kwargs : bool

        Returns
        -------
        Handle
            Its ``remove()`` takes the hook away.
        """
        return self._add_hook("before", hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call ``hook(module, inputs, output)`` after `forward`; what it returns, unless None, is the output instead.

        With `with_kwargs` it is called as ``hook(module, inputs, options, output)``; the rest is as in
        `register_forward_pre_hook`.
        """
        return self._add_hook("after", hook, prepend, with_kwargs)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call ``hook(module, grad_output)`` in `backward`, as soon as the gradients of the outputs are known.

        What it returns, unless None, are these gradients instead; they come as a tuple of Tensors.
        """
        return self._add_hook("backward_before", hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call ``hook(module, grad_input, grad_output)`` in `backward`, when the gradients of the inputs are known.

        Both are tuples of Tensors, with None for an input that takes no gradient; what the hook returns, unless None,
        are the gradients of the inputs instead.  Where no input takes a gradient it is called as soon as those of the
        outputs are known.
        """
        return self._add_hook("backward", hook, prepend)

    # State

    def state_dict(self) -> dict[str, Array]:
        """Parameters and buffers by dotted name, as raw arrays that share memory with the module.

        Names and layouts are PyTorch's.
        """
        state: dict[str, Array] = {}
        for name, module in self._walk(""):
            for attribute, value in module._own_state():
                state[_dotted(name, attribute)] = value.value if is_tensor(value) else value
        return state

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> tuple[list[str], list[str]]:
        """Copy values into the parameters and buffers.

        Parameters
        ----------
        state : mapping of str to array
            Arrays of any backend, PyTorch's included.  Values are converted to the data types that are here.
        strict : bool
            Refuse a state with names missing or too many.

        Returns
        -------
        missing, unexpected : lists of str

        Raises
        ------
        CheckpointError
            If names, shapes or kinds of numbers do not fit; all of them are listed, and nothing has been written.
        """
        if not isinstance(state, Mapping):
            raise CheckpointError(f"state: expected a dictionary of arrays by name, got a {type(state).__name__}")
        own: dict[str, Any] = {}
        for name, module in self._walk(""):
            own |= {_dotted(name, attribute): value for attribute, value in module._own_state()}
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        complaints = [f"{name} is missing" for name in missing if strict]
        complaints += [f"{name} is unexpected" for name in unexpected if strict]
        # All are converted before the first is written, so that a state that is refused leaves nothing behind.
        ready = []
        for name, destination in own.items():
            if name in state:
                try:
                    ready.append((destination, _fitting(state[name], destination)))
                except PortmlError as error:
                    complaints.append(f"{name}: {error}")
        if complaints:
            raise CheckpointError(f"state: does not fit {type(self).__name__}: {'; '.join(complaints)}")
        for destination, values in ready:
            if isinstance(destination, Parameter):
                destination.assign(values)
            else:
                operations.write_into(destination, values)
        return missing, unexpected

    def train(self: Self, mode: bool = True) -> Self:
        """Set the training mode of this module and all below it."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Leave the training mode: dropout drops nothing, batch normalisation uses its running statistics."""
        return self.train(False)

    def requires_grad_(self: Self, wanted: bool = True) -> Self:
        """Thaw or freeze every parameter."""
        for parameter in self.parameters():
            parameter.requires_grad = wanted
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of every parameter."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self: Self, backend: str | Backend | None = None, *, dtype: Any = None) -> Self:
        """Move parameters, buffers and generators to a backend, or convert them to a floating data type, in place.

        An optimizer built before holds the old arrays and refuses its next step; build it afterwards.
        """
        opened = None if backend is None else get_backend(backend)
        if dtype is not None and dtype_kind(dtype) not in ("float", "complex"):
            raise DtypeError(f"dtype: expected a floating data type, got {dtype!r}; parameters hold fractions")
        for parameter in self.parameters():
            target = opened or backend_of(parameter.value)
            moved = target.asarray(parameter.value, dtype=dtype)
            if moved is not parameter.value:
                parameter.rebind(moved)
        for module in self.modules():
            module._move_buffers(opened, dtype)
        if opened is not None:
            for _, generator in self.named_generators():
                generator.to(opened)
        return self

    def apply(self: Self, function: Callable[[Module], Any]) -> Self:
        """Call `function` on every module below this one, then on itself."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses, before the children."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.named_children()]
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + "\n  ".join([extra, *lines] if extra else lines) + "\n)"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Python asks here only for what is no attribute: perhaps a parameter that is computed from others.
            computed = _computed(self, name)
            if computed is not None:
                return computed()
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        computed = _computed(self, name)
        if computed is not None:
            computed.invert(value)
            return
        if isinstance(vars(self).get(name), Parameter) and not isinstance(value, Parameter | None):
            raise ArgumentError(
                f"{name}: a parameter was to be replaced by a {type(value).__name__}, and would no longer be learnt; "
                f"write {name}.assign(values), or assign a Parameter"
            )
        change()
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        change()
        super().__delattr__(name)

    def _settings(self) -> list[Any]:
        """What a run rests on, beside the numbers in its arrays: settings by value, all else by its identity."""
        return [_setting(value) for value in vars(self).values()]

    def _loose_settings(self) -> list[Any]:
        """The same of the lists, dicts and sets among them, which change without a word."""
        loose = [value for name, value in vars(self).items() if _is_loose((name, value))]
        return [
            [_setting(part) for part in ([*each, *each.values()] if isinstance(each, dict) else each)] for each in loose
        ]

    def _add_hook(self, kind: str, hook: Callable[..., Any], prepend: bool, with_kwargs: bool = False) -> Handle:
        change()
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks.add(kind, hook, prepend, with_kwargs)

    def _refuse_misplaced(self, inputs: tuple[Any, ...], error: Exception) -> None:
        """Raise what says so if the error may be that this module's own arrays are not where the inputs are."""
        if isinstance(error, MixedBackendsError) and error.__cause__ is not None:
            return  # a module inside has said so already
        given = [each for each in inputs if hasattr(each, "dtype")]
        for name, own in self._own_state():
            for each in given:
                here, there = _place_of(own), _place_of(each)
                if here != there:
                    libraries = f"mix {there[0]} and {here[0]}" if there[0] != here[0] else "are on two devices"
                    raise MixedBackendsError(
                        f"{type(self).__name__}: the input and the parameters {libraries}: {name} of shape "
                        f"{tuple(own.shape)} is on {' '.join(here)}, the input of shape {tuple(each.shape)} on "
                        f"{' '.join(there)}; move the module with module.to(...) or the input with portml.backends.to"
                    ) from error

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        """The module itself and all below it, shared ones as often as they occur."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(_dotted(prefix, name))

    def _own_state(self) -> Iterator[tuple[str, Any]]:
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield name, value
        for name in self._buffers:
            if getattr(self, name) is not None:
                yield name, getattr(self, name)

    def _move_buffers(self, backend: Backend | None, dtype: Any) -> None:
        for name in self._buffers:
            value = getattr(self, name)
            if value is not None:
                floating = "float" in str(value.dtype)
                target = backend or backend_of(value)
                setattr(self, name, target.asarray(value, dtype=dtype if floating else None))


def _setting(value: Any) -> Any:
    if isinstance(value, Parameter):
        return id(value.value), value.requires_grad
    if isinstance(value, Module) and type(value).forward is Module.forward:  # it is not called: its parts are
        return id(value), value._settings()
    return value if isinstance(value, _SETTINGS) else id(value)


def _is_loose(named: tuple[str, Any]) -> bool:
    return isinstance(named[1], list | dict | set) and not named[0].startswith("_")


def _computed(module: Module, name: str) -> Any:
    """What computes this parameter of the module from others, if anything does; see `portml.nn.parametrisation`."""
    parametrised = vars(module).get("parametrizations")
    found = None if parametrised is None else vars(parametrised).get(name)
    return found if isinstance(found, Module) else None


def _place_of(array: Array) -> tuple[str, str]:
    """The library and device of an array or Tensor."""
    raw = array.value if is_tensor(array) else array
    return library_of(raw).name, str(device_of(raw))


def _dotted(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _fitting(source: Any, destination: Any) -> Array:
    """Values of a state in the shape and data type of where they go, and on its backend."""
    if not hasattr(source, "shape") or not hasattr(source, "dtype"):
        raise DtypeError(f"expected an array, got a {type(source).__name__}")
    if tuple(source.shape) != tuple(destination.shape):
        raise ShapeError(f"expected {tuple(destination.shape)}, got {tuple(source.shape)}")
    if hasattr(source, "detach"):  # a Tensor of this library or of PyTorch
        source = source.detach()
    backend = backend_of(destination)
    if not is_tensor(source) and type(source).__module__.partition(".")[0] not in ("numpy", "cupy", "array_api_strict"):
        source = _exported(source)
    values = backend.asarray(source)
    given, wanted = dtype_kind(values.dtype), dtype_kind(destination.dtype)
    if _BREADTH[given] > _BREADTH[wanted]:
        raise DtypeError(f"expected {destination.dtype}, got {values.dtype}, which holds more than that")
    return backend.asarray(values, dtype=destination.dtype)


def _exported(source: Any) -> Array:
    """An array of a library that is no backend, on the host."""
    try:
        return to_numpy(source)
    except (BufferError, RuntimeError, TypeError) as error:
        raise DtypeError(
            f"{type(source).__name__} of {source.dtype} cannot be read ({error}); convert it first"
        ) from error


# What a conversion may widen but not narrow: it would drop an imaginary part or a fraction.
_BREADTH = {"bool": 0, "uint": 0, "int": 0, "float": 1, "complex": 2, "other": 3}


def _raw_unless_tracked(result: Any) -> Any:
    """Results of a module that was given raw arrays: raw again where no gradient is recorded."""
    if isinstance(result, Tensor):
        return result if result.requires_grad else result.value
    if isinstance(result, tuple):
        parts = map(_raw_unless_tracked, result)
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    return result
