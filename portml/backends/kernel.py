"""Kernels: operations that the standard lacks, or that are worth fusing.

A kernel's *body* is its agnostic twin: the readable algorithm in plain Array API calls.  It runs on any library, is the
oracle of every faster version, and, run on Tensors, the way to derivatives of any order.  An *override* is a faster way
to the same numbers on one library, registered by that library's name::

    @kernel
    def softplus(x):
        xp = namespace(x)
        return xp.log1p(xp.exp(x))

    @softplus.on("numpy")
    def _(x, out=None):
        return np.logaddexp(x, 0, out=out)

A library may have a compiler, as NumPy has Numba: what is registered under the compiler's name stands before the
library's own override where the compiler is installed.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, Protocol, overload

from portml.backends.doorway import Call, change, observers
from portml.backends.namespaces import Library, is_tensor, library_of
from portml.errors import ArgumentError, DtypeError

__all__ = ["Kernel", "KernelFunction", "Signature", "kernel", "kernel_table", "kernels_in_use", "use_kernels"]

KINDS = ("out", "view", "write", "fresh")
MODES = ("fused", "pure", "agnostic")
NAMED_MODES = "'fused', 'pure' or 'agnostic'"
_TABLE: dict[str, Kernel] = {}
_EVERY: list[Kernel] = []
_MODE: dict[str, str] = {}
REQUIRED: Any = inspect.Parameter.empty


class KernelFunction(Protocol):
    """What `kernel` returns: a plain function with the body's signature and `out=`, and these attributes."""

    agnostic: Callable[..., Any]
    kernel: Kernel

    def __call__(self, *arguments: Any, **statics: Any) -> Any:
        """Run the kernel on the library of its arguments."""

    def on(self, library: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register an override for the library of that name."""

    def gradient(
        self, *, backward: KernelFunction, saving: KernelFunction | None = None, takes_complex: bool = False
    ) -> None:
        """Declare the kernels that compute this kernel's gradient."""


class Signature:
    """A kernel's parameters: arrays first, then statics.

    Parameters
    ----------
    arrays : tuple of str
        Names of the array parameters; a single name that starts with ``*`` takes any number.
    statics : dict
        Name to default (`REQUIRED` where there is none).
    positional : tuple of str
        Statics that may also be given by position, as in ``reshape(x, shape)``.
    """

    __slots__ = ("arrays", "positional", "statics")

    def __init__(
        self, arrays: tuple[str, ...], statics: dict[str, Any] | None = None, positional: tuple[str, ...] = ()
    ) -> None:
        self.arrays = arrays
        self.statics = statics or {}
        self.positional = positional

    @classmethod
    def of(cls, body: Callable[..., Any]) -> Signature:
        """Read a body's signature: positional parameters are arrays, keyword-only ones statics."""
        arrays: list[str] = []
        statics: dict[str, Any] = {}
        for parameter in inspect.signature(body).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY:
                statics[parameter.name] = parameter.default
            elif parameter.kind is parameter.VAR_POSITIONAL:
                arrays.append(f"*{parameter.name}")
            elif parameter.kind is parameter.VAR_KEYWORD or parameter.default is not parameter.empty:
                raise ArgumentError(
                    f"{body.__name__}: parameter {parameter.name!r} must be a plain array or a keyword-only static"
                )
            else:
                arrays.append(parameter.name)
        return cls(tuple(arrays), statics)


class Kernel:
    """A named operation with its bodies: one agnostic, any number of overrides.

    Attributes
    ----------
    name : str
    body : callable or None
        The agnostic twin; None for the operations of the standard, which every library has itself.
    kind : {"out", "view", "write", "fresh"}
        What a recording must know: a new result, a view of an argument, a write into one, or a new draw.
    differentiable : bool
    table : dict of str to callable
        Overrides by library name.
    rules, joint_rule : tuple of callables, callable, or None
        How a gradient flows through an operation of the standard, as `portml.autograd.rules` says.
    saving, backward : kernel functions or None
        The kernels of the gradient; where there is none the body itself is differentiated.
    takes_complex : bool
        Whether these are right for complex numbers too.
    function : KernelFunction
        What is called.
    prepare : callable
        Generates the code of `function` and returns it; its first call does so.
    """

    def __init__(
        self,
        name: str,
        body: Callable[..., Any] | None,
        signature: Signature,
        *,
        kind: str = "out",
        differentiable: bool = True,
        primitive: Callable[[Any], Callable[..., Any]] | None = None,
    ) -> None:
        if kind not in KINDS:
            raise ArgumentError(f"{name}: kind must be one of {KINDS}, got {kind!r}")
        self.name = name
        self.body = body
        self.signature = signature
        self.kind = kind
        self.differentiable = differentiable
        self.primitive = primitive
        self.table: dict[str, Callable[..., Any]] = {}
        self.saving: KernelFunction | None = None
        self.backward: KernelFunction | None = None
        self.takes_complex = False
        self.rules: tuple[Callable[..., Any] | None, ...] | None = None
        self.joint_rule: Callable[..., Any] | None = None
        self._cache: dict[Any, Callable[..., Any]] = {}
        self._takes_out: set[Callable[..., Any]] = set()
        self._protocols: set[Callable[..., Any]] = set()
        _EVERY.append(self)
        self.prepare: Callable[[], Any]
        self.function: Any = _dispatcher(self)

    def __repr__(self) -> str:
        return f"<kernel {self.name}, overridden on {', '.join(sorted(self.table)) or 'nothing'}>"

    def on(self, library: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register an override for the library of that name; it may add ``out=None`` to the body's signature."""

        def register(override: Callable[..., Any]) -> Callable[..., Any]:
            parameters = inspect.signature(override).parameters
            if "out" in parameters:
                self._takes_out.add(override)
            self.table[library] = override
            self._cache.clear()
            return override

        return register

    def gradient(
        self, *, backward: KernelFunction, saving: KernelFunction | None = None, takes_complex: bool = False
    ) -> None:
        """Declare the kernels of the gradient.

        Parameters
        ----------
        backward : kernel
            ``backward(g, saved, *arrays, needs, **statics)`` gives one gradient for each array, None where
            ``needs[i]`` is False.
        saving : kernel, optional
            ``saving(*arrays, **statics)`` gives the result and what the backward wants to keep; without it the
            result itself is kept.
        takes_complex : bool
            Whether `backward` is right for complex numbers too: conjugates stand where they must.
        """
        self.saving, self.backward, self.takes_complex = saving, backward, takes_complex

    def writes_out(self, implementation: Callable[..., Any]) -> bool:
        """Whether this implementation takes ``out=`` itself; else its result is copied there."""
        return implementation in self._takes_out

    def implementation(self, *arguments: Any) -> Callable[..., Any]:
        """The body or override that runs for these raw arrays."""
        # What a kernel saved for its gradient may be a tuple; its arrays are beside the others.
        library = library_of(*(argument for argument in arguments if type(argument) is not tuple))
        library.load_overrides(self.topic)
        override = self._override(library)
        if override is not None:
            return override
        if self.body is not None:
            return self.body
        assert self.primitive is not None
        return self.primitive(library.xp)

    def _override(self, library: Library) -> Callable[..., Any] | None:
        if self.body is None:
            # It mends the library, whichever bodies are in use.
            return self.table.get(library.name)
        mode = kernels_in_use(library.name)
        if mode == "agnostic":
            return None
        if mode == "fused" and library.compiler is not None:
            library.load_compiled(self.topic)
            if library.compiler in self.table:
                return self.table[library.compiler]
        return self.table.get(library.name)

    @property
    def topic(self) -> str:
        """The name of the module that its body is written in."""
        return "" if self.body is None else self.body.__module__.rpartition(".")[2]

    def resolve(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """Find and remember what runs for arguments of these types; a Tensor among them answers for itself."""
        tensor = next((argument for argument in arguments if is_tensor(argument)), None)
        if tensor is None:
            chosen = self.implementation(*arguments)
        else:
            chosen = type(tensor).__portml_evaluate__(self, arguments)
            self._protocols.add(chosen)
        types = tuple(map(type, arguments))
        self._cache[types[0] if len(self.signature.arrays) == 1 and not self._starred else types] = chosen
        return chosen

    def enter(
        self, implementation: Callable[..., Any], arguments: tuple[Any, ...], statics: dict[str, Any], out: Any
    ) -> Any:
        """The slow way in: somebody watches, or wants the result in a buffer of theirs."""
        if implementation in self._protocols:
            if out is not None:
                raise DtypeError(f"{self.name}: out= takes raw arrays only; call it with Tensor.value, or without out=")
            return implementation(*arguments, **statics)
        return Call(self, implementation, arguments, statics, out).enter()

    def forget(self) -> None:
        """Choose anew at the next call."""
        self._cache.clear()

    @property
    def _starred(self) -> bool:
        return self.signature.arrays[:1] != () and self.signature.arrays[0].startswith("*")


@overload
def kernel(body: Callable[..., Any], /) -> KernelFunction: ...
@overload
def kernel(*, kind: str = "out", differentiable: bool = True) -> Callable[[Callable[..., Any]], KernelFunction]: ...
def kernel(
    body: Callable[..., Any] | None = None, /, *, kind: str = "out", differentiable: bool = True
) -> KernelFunction | Callable[[Callable[..., Any]], KernelFunction]:
    """Make a kernel of its agnostic body.

    The result is a function with the body's own signature and ``out=``: positional parameters are arrays (or scalars,
    or None), keyword-only ones are statics.

    Parameters
    ----------
    body : callable
        The agnostic twin, in pure standard calls on ``namespace(...)`` of its arrays.
    kind : {"out", "view", "write", "fresh"}
        What the result is: new, a view of an argument, written into an argument, or a new draw.
    differentiable : bool
        False where no gradient flows (indices, random words).
    """

    def make(body: Callable[..., Any]) -> KernelFunction:
        name = body.__name__
        taken = _TABLE[name].function.__module__ if name in _TABLE else body.__module__
        if taken != body.__module__:
            raise ArgumentError(f"a kernel named {name!r} exists already in {taken}; choose another name")
        made = Kernel(name, body, Signature.of(body), kind=kind, differentiable=differentiable)
        _TABLE[name] = made
        return made.function  # type: ignore[no-any-return]

    return make if body is None else make(body)


def kernel_table() -> dict[str, Kernel]:
    """Every kernel by name, those of all topics and of their CUDA, NumPy and compiled overrides loaded."""
    importlib.import_module("portml.backends.operations")
    for package in ("portml.backends.kernels", "portml.backends._numpy", "portml.backends.cuda"):
        module = importlib.import_module(package)
        for found in pkgutil.iter_modules(module.__path__, f"{package}."):
            importlib.import_module(found.name)
    compiled = importlib.import_module("portml.backends._numba")
    for found in pkgutil.iter_modules(compiled.__path__):
        compiled.load(found.name)
    return dict(_TABLE)


def use_kernels(kernels: str, library: str) -> None:
    """Choose for the whole process which bodies run on the arrays of a library.

    Parameters
    ----------
    kernels : {"fused", "pure", "agnostic"}
        "fused" runs the overrides, "pure" the same without those that are compiled on the spot, "agnostic" the very
        same from-scratch bodies as everywhere.
    library : str
        The library's name, as in ``get_backend``.
    """
    if kernels not in MODES:
        raise ArgumentError(f"kernels must be {NAMED_MODES}, got {kernels!r}")
    if kernels_in_use(library) != kernels:
        _MODE[library] = kernels
        change()
        for each in _EVERY:
            each.forget()


def kernels_in_use(library: str) -> str:
    """Which bodies run on the arrays of a library: "fused", or what `use_kernels` or ``$PORTML_KERNELS`` chose."""
    mode = _MODE.get(library)
    if mode is None:
        mode = os.environ.get("PORTML_KERNELS") or "fused"
        if mode not in MODES:
            raise ArgumentError(f"the environment variable PORTML_KERNELS must be {NAMED_MODES}, got {mode!r}")
        _MODE[library] = mode
    return mode


@contextmanager
def kernels_switched(kernels: str, library: str) -> Iterator[None]:
    """Use these bodies for a while; for tests and comparisons."""
    before = kernels_in_use(library)
    use_kernels(kernels, library)
    try:
        yield
    finally:
        use_kernels(before, library)


def _dispatcher(made: Kernel) -> Any:
    """The function that callers see; its code is generated with the first call.

    Generated, because a generic ``*args, **kwargs`` dispatch costs 1.15 µs a call against 0.13 for a function with the
    kernel's own parameters.  With the first call, because importing portml would take twice as long for the others.
    """
    scope: dict[str, Any] = {}
    function: Any = FunctionType(_first_call.__code__, scope, made.name)

    def prepare() -> Any:
        generated = _generated(made, scope)
        function.__code__ = generated.__code__.replace(co_name=made.name, co_filename=f"<kernel {made.name}>")
        function.__defaults__, function.__kwdefaults__ = generated.__defaults__, generated.__kwdefaults__
        vars(function).pop("__wrapped__", None)
        return function

    made.prepare = scope["prepare"] = prepare
    function.__qualname__ = made.name
    function.__module__ = __name__
    if made.body is not None:
        function.__doc__ = made.body.__doc__
        function.__module__ = made.body.__module__
        function.__qualname__ = made.body.__qualname__
        function.__wrapped__ = made.body  # whose signature is shown until then
    function.agnostic = made.body
    function.kernel = made
    function.on = made.on
    function.gradient = made.gradient
    return function


def _first_call(*arguments: Any, **statics: Any) -> Any:
    """The code of every kernel's function until it is called."""
    return prepare()(*arguments, **statics)  # type: ignore[name-defined]  # noqa: F821  # in the function's own scope


def _generated(made: Kernel, scope: dict[str, Any]) -> Any:
    """Compile the function with the kernel's own parameters; `scope` is where its names are looked up."""
    arrays, statics = made.signature.arrays, made.signature.statics
    starred = arrays[:1] != () and arrays[0].startswith("*")
    names = arrays[0][1:] if starred else ", ".join(arrays)
    packed = names if starred else f"({names},)"
    types = f"tuple(map(type, {names}))" if starred else ", ".join(f"type({name})" for name in arrays)
    given = "".join(f", {name}={name}" for name in statics)
    source = f"""
def dispatch({_parameters(made.signature)}):
    try:
        implementation = cache[{types}]
    except KeyError:
        implementation = resolve({packed})
    if out is None and not watched():
        return implementation({"*" if starred else ""}{names}{given})
    return enter(implementation, {packed}, dict({given[2:]}), out)
"""
    scope |= {f"default_{name}": default for name, default in statics.items()}
    scope |= {"cache": made._cache, "resolve": made.resolve, "enter": made.enter, "watched": observers.get}
    exec(_compiled(source), scope)
    return scope["dispatch"]


@lru_cache
def _compiled(source: str) -> CodeType:
    """Compiled once for all kernels of one signature."""
    return compile(source, "<kernel>", "exec")


def _parameters(signature: Signature) -> str:
    """The parameter list of the generated function, ``out=None`` last."""

    def declared(name: str) -> str:
        return name if signature.statics[name] is REQUIRED else f"{name}=default_{name}"

    starred = signature.arrays[:1] != () and signature.arrays[0].startswith("*")
    parts = list(signature.arrays)
    if not starred:
        parts += ["/"] if signature.positional else []
        parts += [declared(name) for name in signature.positional]
        parts.append("*")
    parts += [declared(name) for name in signature.statics if name not in signature.positional]
    return ", ".join([*parts, "out=None"])
