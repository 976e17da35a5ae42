"""How a kernel runs when a Tensor is among its arguments.

One function is generated for each kernel and each pattern of argument types: it takes the raw values out, runs the
kernel on them, wraps the result, and leaves a node on the tape where a gradient is wanted.  Generated code halves the
cost of a small operation against a generic loop over the arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portml.autograd.modes import grad_enabled
from portml.autograd.tape import Leaf, Node, Part
from portml.autograd.tensor import Tensor, lift, plain, tracked
from portml.backends.kernel import Kernel
from portml.backends.namespaces import dtype_kind

__all__ = ["evaluator"]

_NO_STATICS: dict[str, Any] = {}
_SCALARS = frozenset({bool, int, float, complex, type(None)})


def evaluator(kernel: Kernel, types: tuple[type, ...], *, wrapping: bool = False) -> Callable[..., Any]:
    """The function that runs `kernel` on arguments of these types, at least one of them a Tensor's.

    What it does:

    - without gradients, or where no argument is tracked: the kernel on the raw values, the result a plain Tensor;
    - with a rule or a gradient kernel: the same, and a node;
    - with neither: the kernel's own body on Tensors, whose operations leave their nodes.

    Inside `no_grad` parameters count as plain arrays: raw arrays in give raw arrays out, with nothing wrapped.  With
    `wrapping`, as for the functions of a Tensor namespace, Tensors come out whatever goes in.
    """
    if kernel.signature.arrays[:1] and kernel.signature.arrays[0].startswith("*"):
        return _generic(kernel, wrapping)
    return _specialised(kernel, types, wrapping)


def record(
    kernel: Kernel,
    inputs: tuple[Any, ...],
    parents: tuple[Any, ...],
    statics: dict[str, Any],
    frozen: tuple[Leaf, ...] = (),
) -> Any:
    """Run a kernel with a gradient on raw inputs and leave a node on the tape."""
    if kernel.saving is not None:
        output, saved = kernel.saving(*inputs, **statics)
    else:
        output, saved = kernel.function(*inputs, **statics), None
    node = Node(kernel, inputs, parents, statics, output, saved, frozen)
    if type(output) is tuple:
        return tuple(_part(value, node, i) for i, value in enumerate(output))
    return tracked(output, node)


def _part(value: Any, node: Node, index: int) -> Tensor:
    """One of several results; an integer among them takes no gradient."""
    tensor = plain(value)
    if dtype_kind(value.dtype) in ("float", "complex"):
        tensor.node = Part(node, index)
    return tensor


def _has_gradient(kernel: Kernel) -> bool:
    return kernel.rules is not None or kernel.joint_rule is not None or kernel.backward is not None


def _frozen(*arguments: Any) -> tuple[Leaf, ...]:
    """The leaves of the arguments that could take a gradient but are frozen."""
    leaves = (argument._leaf() for argument in arguments if isinstance(argument, Tensor) and argument.node is None)
    return tuple(leaf for leaf in leaves if leaf is not None)


def _plain_results(output: Any) -> Any:
    return tuple(map(plain, output)) if type(output) is tuple else plain(output)


def _generic(kernel: Kernel, wrapping: bool) -> Callable[..., Any]:
    """For kernels that take any number of arrays."""

    def evaluate(*arguments: Any, **statics: Any) -> Any:
        tensors = [isinstance(argument, Tensor) for argument in arguments]
        inputs = tuple(
            argument.value if tensor else argument for argument, tensor in zip(arguments, tensors, strict=True)
        )
        parents = tuple(argument.node if tensor else None for argument, tensor in zip(arguments, tensors, strict=True))
        wanted = kernel.differentiable and any(parent is not None for parent in parents) and grad_enabled()
        if not wanted:
            output = kernel.function(*inputs, **statics)
            raw = not wrapping and not grad_enabled() and _raw_pattern(tuple(map(type, arguments)))
            return output if raw else _plain_results(output)
        if _has_gradient(kernel) or kernel.body is None:
            return record(kernel, inputs, parents, statics, _frozen(*arguments))
        return kernel.body(*map(lift, arguments), **statics)

    return evaluate


def _raw_pattern(types: tuple[type, ...]) -> bool:
    """Whether there are raw arrays among the arguments and every Tensor counts as one."""
    tensors = [kind for kind in types if issubclass(kind, Tensor)]
    raw = any(not issubclass(kind, Tensor) and kind not in _SCALARS for kind in types)
    return raw and all(kind._counts_as_array for kind in tensors)


def _specialised(kernel: Kernel, types: tuple[type, ...], wrapping: bool) -> Callable[..., Any]:
    tensors = [issubclass(kind, Tensor) for kind in types]
    names = [f"a{i}" for i in range(len(types))]
    values = [f"v{i}" if tensor else f"a{i}" for i, tensor in enumerate(tensors)]
    nodes = [f"n{i}" if tensor else "None" for i, tensor in enumerate(tensors)]
    tracked = [node for node in nodes if node != "None"]
    may_be_frozen = [i for i, kind in enumerate(types) if tensors[i] and kind is not Tensor]
    statics = list(kernel.signature.statics)
    given = "".join(f", {name}={name}" for name in statics)
    packed = f"dict({given[2:]})" if statics else "no_statics"
    frozen = ""
    if may_be_frozen:
        some = " or ".join(f"n{i} is None" for i in may_be_frozen)
        frozen = f", find_frozen({', '.join(names[i] for i in may_be_frozen)}) if {some} else ()"
    body = [f"v{i} = a{i}.value; n{i} = a{i}.node" for i, tensor in enumerate(tensors) if tensor]
    if kernel.differentiable and tracked:
        body.append(f"if ({' or '.join(f'{node} is not None' for node in tracked)}) and grad_enabled():")
        if not _has_gradient(kernel) and kernel.body is not None:
            lifted = ", ".join(
                name if kind in _SCALARS else f"lift({name})" for name, kind in zip(names, types, strict=True)
            )
            body.append(f"    return body({lifted}{given})")
        elif kernel.saving is not None:
            body.append(f"    return record(kernel, ({', '.join(values)},), ({', '.join(nodes)},), {packed}{frozen})")
        else:
            body += [
                f"    y = run({', '.join(values)}{given})",
                f"    node = Node(kernel, ({', '.join(values)},), ({', '.join(nodes)},), {packed}, y, None{frozen})",
                "    if type(y) is tuple: return tuple(part(value, node, i) for i, value in enumerate(y))",
                "    t = new(Tensor); t.value = y; t.node = node",
                "    return t",
            ]
    body.append(f"y = run({', '.join(values)}{given})")
    if not wrapping and _raw_pattern(types):
        body.append("if not grad_enabled(): return y")
    body += [
        "if type(y) is tuple: return tuple(map(plain, y))",
        "t = new(Tensor); t.value = y; t.node = None",
        "return t",
    ]
    parameters = ", ".join(names) + (", *, " + ", ".join(statics) if statics else "")
    source = f"def evaluate({parameters}):\n" + "\n".join(f"    {line}" for line in body)
    scope: dict[str, Any] = {
        "Node": Node, "Tensor": Tensor, "body": kernel.body, "grad_enabled": grad_enabled,
        "find_frozen": _frozen, "kernel": kernel, "lift": lift,
        "new": object.__new__, "no_statics": _NO_STATICS, "plain": plain,
        "record": record, "part": _part, "run": kernel.function,
    }  # fmt: skip
    exec(compile(source, f"<{kernel.name} on Tensors>", "exec"), scope)
    return scope["evaluate"]  # type: ignore[no-any-return]
