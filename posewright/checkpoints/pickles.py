"""Read the tensors of a pickle without running it.

`pickletools` of the standard library only splits a pickle into its instructions.  `Reader` follows
those that make plain values (numbers, text, tuples, lists, dicts) and tensors; every class or
function that the file names becomes an inert `Stub`, and calling it another one.  So nothing of the
file is imported, called or built, whatever the file says.
"""

from __future__ import annotations

import math
import pickletools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.errors import ModelError

__all__ = ["BFLOAT16", "Array", "Storage", "Stub", "flat_array", "read_pickle"]

Array = NDArray[Any]
# NumPy has no such numbers: they are read as float32, which holds them all
BFLOAT16 = np.dtype([("bfloat16", "<u2")])

# the names that torch.save gives its storages
_DTYPES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": BFLOAT16,
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
_LIMIT = 2_000_000  # instructions; the largest published checkpoint has some 10,000
_COPIED = 200_000  # items of lists that become dicts
_DIMENSIONS = 64  # torch has no tensor of more
_KEY = 100  # parts of a tuple that is a key
_SHARED, _REPEATED = 4, 1 << 24  # times that storages may be shared, and elements besides


@dataclass(eq=False)
class Stub:
    """What a file calls by `name`; with what, and which state it gave it.  Does nothing."""

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Storage:
    """A typed block of a checkpoint: `load` returns its bytes."""

    name: str
    dtype: np.dtype[Any]
    load: Callable[[], Array]


Find = Callable[[str, np.dtype[Any], int], Array]


def read_pickle(data: bytes, find: Find) -> tuple[Any, int]:
    """Return what a pickle describes, and how many bytes of `data` it took.

    find: (key, dtype, number of elements) -> the flat tensor of a storage.
    ModelError: damaged, truncated, endless, or tensors that reach outside of their storage.
    """
    reader = _Reader(find)
    last = 0
    try:
        with warnings.catch_warnings():
            # pickletools unescapes texts, and Python warns of an escape that it does not know
            warnings.simplefilter("ignore", DeprecationWarning)
            for count, (op, arg, position) in enumerate(pickletools.genops(data)):
                if count > _LIMIT:
                    raise ModelError("the checkpoint's pickle has too many instructions")
                reader.step(op.name, arg)
                last = position or 0
        return reader.stack[-1], last + 1
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RuntimeError,
        OverflowError,
    ) as error:
        raise ModelError(f"the checkpoint's pickle is damaged ({error}); get it again") from error


def flat_array(data: bytes, dtype: np.dtype[Any]) -> Array:
    """Return the numbers in some bytes, in an array of their own."""
    if dtype == BFLOAT16:
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, dtype).copy()


_MARK = object()
_PUSHED = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING "
    "BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 UNICODE BINUNICODE SHORT_BINUNICODE "
    "BINUNICODE8".split()
)
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


class _Reader:
    """The stack and the memo of one pickle."""

    def __init__(self, find: Find) -> None:
        self.find = find
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.stored: dict[str, int] = {}  # elements of each storage that a tensor was made of
        self.made = 0  # elements of all tensors
        self.copied = 0  # items of dicts that were made of lists

    def step(self, op: str, arg: Any) -> None:
        """Follow one instruction."""
        push = self.stack.append
        if op in _PUSHED:
            push(arg)
        elif op in _CONSTANTS:
            push(_CONSTANTS[op])
        elif op in ("PROTO", "FRAME", "STOP"):
            pass
        elif op == "MARK":
            push(_MARK)
        elif op in ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"):
            push({} if op == "EMPTY_DICT" else [])
        elif op in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[int(arg)] = self.stack[-1]
        elif op == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif op in ("GET", "BINGET", "LONG_BINGET"):
            push(self.memo[int(arg)])
        else:
            method = getattr(self, f"_{op.lower()}", None)
            if method is None:
                raise ValueError(f"instruction {op}")
            method(arg)

    def _marked(self) -> list[Any]:
        """Take all values down to the last mark."""
        start = len(self.stack) - 1
        while self.stack[start] is not _MARK:  # an IndexError where there is none
            start -= 1
        values = self.stack[start + 1 :]
        del self.stack[start:]
        return values

    def _take(self, count: int) -> tuple[Any, ...]:
        values = tuple(self.stack[-count:])
        if len(values) < count:
            raise ValueError("stack is empty")
        del self.stack[-count:]
        return values

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._marked()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._marked()))

    def _tuple1(self, _: Any) -> None:
        self.stack.append(self._take(1))

    def _tuple2(self, _: Any) -> None:
        self.stack.append(self._take(2))

    def _tuple3(self, _: Any) -> None:
        self.stack.append(self._take(3))

    def _list(self, _: Any) -> None:
        self.stack.append(self._marked())

    _frozenset = _list

    def _dict(self, _: Any) -> None:
        made: dict[Any, Any] = {}
        _update(made, self._marked())
        self.stack.append(made)

    def _append(self, _: Any) -> None:
        (value,) = self._take(1)
        _extend(self.stack[-1], [value])

    def _appends(self, _: Any) -> None:
        values = self._marked()
        _extend(self.stack[-1], values)

    _additems = _appends

    def _setitem(self, _: Any) -> None:
        _update(self.stack[-3], list(self._take(2)))

    def _setitems(self, _: Any) -> None:
        values = self._marked()
        _update(self.stack[-1], values)

    def _global(self, name: str) -> None:
        self.stack.append(Stub(name.replace(" ", ".")))

    def _stack_global(self, _: Any) -> None:
        module, name = self._take(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a class whose name is no text")
        self.stack.append(Stub(f"{module}.{name}"))

    def _inst(self, name: str) -> None:
        self.stack.append(Stub(name.replace(" ", "."), tuple(self._marked())))

    def _obj(self, _: Any) -> None:
        kind, *args = self._marked()
        self.stack.append(self._called(kind, tuple(args)))

    def _newobj(self, _: Any) -> None:
        kind, args = self._take(2)
        self.stack.append(self._called(kind, args))

    _reduce = _newobj

    def _newobj_ex(self, _: Any) -> None:
        kind, args, _keywords = self._take(3)
        self.stack.append(self._called(kind, args))

    def _build(self, _: Any) -> None:
        (state,) = self._take(1)
        if isinstance(self.stack[-1], Stub):
            self.stack[-1].state = state

    def _called(self, kind: Any, args: Any) -> Any:
        """Return the tensor or dict that a call makes, or a stub that records it."""
        name = kind.name if isinstance(kind, Stub) else "?"
        args = args if isinstance(args, tuple) else (args,)
        if name == "collections.OrderedDict":
            made: dict[Any, Any] = {}
            pairs = args[0] if args and isinstance(args[0], list) else []
            self.copied += len(pairs)
            if self.copied > _COPIED:  # a file may name one list as often as it likes
                raise ValueError("dicts of too many items")
            for key, value in pairs:
                _update(made, [key, value])
            return made
        if name in ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"):
            return self._tensor(*args[:4])
        if name in (
            "torch._utils._rebuild_parameter",
            "torch._utils._rebuild_parameter_with_state",
        ) and isinstance(args[0], np.ndarray):
            return args[0]
        return Stub(name, args)

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any) -> Array:
        """Return a copy of a view of a storage; a ValueError where it would reach outside.

        Views may repeat elements, and share storages: all of them together may hold some times as
        many elements as the storages.
        """
        if not isinstance(storage, Storage):
            raise ValueError("a tensor without storage")
        if len(size) > _DIMENSIONS or len(stride) > _DIMENSIONS:
            raise ValueError("a tensor of too many dimensions")
        numbers = [offset, *size, *stride]
        if not all(type(n) is int and 0 <= n < 2**48 for n in numbers) or len(size) != len(stride):
            raise ValueError("a tensor of impossible shape")
        flat = storage.load()
        self.stored[storage.name] = flat.size
        self.made += math.prod(size)
        if self.made > _SHARED * sum(self.stored.values()) + _REPEATED:
            raise ValueError("tensors that repeat their storages too often")
        if 0 in size:
            return np.zeros(size, flat.dtype)
        reach = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if reach >= flat.size:
            raise ValueError("a tensor that reaches outside of its storage")
        steps = [flat.itemsize * step for step in stride]
        return np.lib.stride_tricks.as_strided(flat[offset:], size, steps).copy()

    def _persid(self, _: Any) -> None:
        raise ValueError("a persistent id of protocol 0")

    def _binpersid(self, _: Any) -> None:
        (key,) = self._take(1)
        if isinstance(key, tuple) and len(key) == 4 and key[0] == "module":
            self.stack.append(key[1])  # an old file that holds the module's source: a name, unused
            return
        if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage":
            raise ValueError("a persistent id that is no storage")
        kind = key[1].name.rpartition(".")[2] if isinstance(key[1], Stub) else ""
        if kind not in _DTYPES or not isinstance(key[4], int):
            raise ValueError(f"a storage of type {kind or 'unknown'}")
        if not isinstance(key[2], (str, int)):
            raise ValueError("a storage whose key is no name")
        dtype, name, count = _DTYPES[kind], str(key[2]), key[4]
        self.stack.append(Storage(name, dtype, lambda: self.find(name, dtype, count)))


def _extend(target: Any, values: list[Any]) -> None:
    """Append to a list; what a file appends to a stub is kept beside it."""
    if isinstance(target, Stub):
        target.items.extend(values)
    else:
        target.extend(values)


def _update(target: Any, values: list[Any]) -> None:
    """Set the items of a dict; what a file sets on a stub is kept beside it."""
    pairs = list(zip(values[::2], values[1::2], strict=True))
    if isinstance(target, Stub):
        target.items.extend(pairs)
        return
    for key, _ in pairs:
        # the hash of a tuple takes time exponential in how often a file puts one into itself
        if isinstance(key, tuple) and any(isinstance(part, tuple) for part in key[:_KEY]):
            raise ValueError("a key of tuples in tuples")
        if isinstance(key, tuple) and len(key) > _KEY:  # is hashed as often as the file says
            raise ValueError("a key of too many parts")
    target.update(pairs)
