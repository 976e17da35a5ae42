"""What a pickle says, without doing it.

A pickle is a program for a small machine with a stack, and one of its instructions calls any function by name: to
unpickle a file is to run it.  This reads the few instructions that containers, numbers and strings need, on a stack of
its own; a name is looked up in a table of the caller's, and nothing is ever imported or called that is not in it.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from portml.errors import CheckpointError

__all__ = ["read_pickle"]

Names = Mapping[str, Callable[..., Any]]

# Each byte may be an empty dictionary of 64, so this bounds the memory too; ten thousand tensors need 2 MiB.
_LARGEST = 16 << 20
_MARK = object()
_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES"),
}
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_LENGTHS = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Name:
    """A global that the pickle names; inert until an instruction to call it is looked up."""

    def __init__(self, name: str) -> None:
        self.name = name


def read_pickle(content: bytes, names: Names, persistent: Callable[[Any], Any]) -> Any:
    """The object that a pickle describes.

    Parameters
    ----------
    content : bytes
    names : mapping of str to callable
        What stands for the globals that the pickle may call, by "module.name"; a call is made with the arguments in
        the pickle.
    persistent : callable
        Called with each persistent identifier; `_Name` objects in it are replaced by their names.

    Returns
    -------
    object
        Of dictionaries, lists, tuples, numbers, strings, bytes, and what `names` and `persistent` return.

    Raises
    ------
    CheckpointError
        If the pickle names or does anything else, or is damaged.
    """
    if len(content) > _LARGEST:
        raise CheckpointError(f"its pickle has {len(content)} bytes; a table of tensors needs less than {_LARGEST}")
    machine = _Machine(names, persistent)
    try:
        for instruction, argument, _ in pickletools.genops(content):
            if instruction.name == "STOP":
                return machine.result()
            machine.do(instruction.name, argument)
    except CheckpointError:
        raise
    except Exception as error:  # whatever a damaged program makes this trip over
        raise CheckpointError(f"its pickle is damaged ({type(error).__name__}: {error})") from error
    raise CheckpointError("its pickle has no end")


class _Machine:
    def __init__(self, names: Names, persistent: Callable[[Any], Any]) -> None:
        self.names = names
        self.persistent = persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self.stack) != 1:
            raise CheckpointError(f"its pickle leaves {len(self.stack)} objects, expected one")
        return self.stack[0]

    def do(self, name: str, argument: Any) -> None:
        """One instruction."""
        stack = self.stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in _LENGTHS:
            stack[-_LENGTHS[name] :] = [tuple(stack[-_LENGTHS[name] :])]
        elif name == "GLOBAL":
            stack.append(self.allowed(argument.replace(" ", ".")))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(self.allowed(f"{_of(str, module)}.{_of(str, attribute)}"))
        elif name not in ("PROTO", "FRAME"):
            self.put_together(name)

    def put_together(self, name: str) -> None:
        """The instructions that take objects off the stack and make one of them."""
        stack = self.stack
        if name == "TUPLE":
            stack.append(tuple(self.to_mark()))
        elif name in ("APPEND", "APPENDS"):
            items = self.to_mark() if name == "APPENDS" else [stack.pop()]
            _of(list, stack[-1]).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = self.to_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            into = _of(dict, stack[-1])
            for key, value in zip(items[::2], items[1::2], strict=True):
                if not isinstance(key, str | int | float):  # hashing a deep tuple may take for ever
                    raise CheckpointError(f"its pickle has a dictionary with a key of type {type(key).__name__}")
                into[key] = value
        elif name == "BINPERSID":
            stack.append(self.persistent(_named(stack.pop())))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            if not isinstance(function, _Name) or not isinstance(arguments, tuple):
                raise CheckpointError(f"its pickle calls a {type(function).__name__}")
            stack.append(self.names[function.name](*map(_named, arguments)))
        elif name == "BUILD":
            # Attributes of an ordered dictionary, such as the versions of layers; nothing is set.
            stack.pop()
            _of(dict, stack[-1])
        else:
            raise CheckpointError(
                f"its pickle has the instruction {name}, which no table of tensors needs; the file may be malicious"
            )

    def allowed(self, name: str) -> _Name:
        if name not in self.names:
            raise CheckpointError(
                f"its pickle names {name!r}, which is nothing that a table of tensors needs; it may be malicious. "
                "Save the arrays alone: torch.save(model.state_dict(), path)"
            )
        return _Name(name)

    def to_mark(self) -> list[Any]:
        """The objects above the last mark, taken off with it."""
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise CheckpointError("its pickle is damaged (a mark is missing)")
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise CheckpointError(f"its pickle treats a {type(value).__name__} as a {kind.__name__}")
    return value


def _named(value: Any) -> Any:
    """Names instead of the inert globals, also within a tuple."""
    if isinstance(value, tuple):
        return tuple(each.name if isinstance(each, _Name) else each for each in value)
    return value.name if isinstance(value, _Name) else value
