"""Reads the tensors of PyTorch files without PyTorch, and without running what they hold.

`torch.save` writes a zip file: a pickle, which could call anything when unpickled, and raw
numbers. Here the pickle is never unpickled. Its opcodes are followed one by one; what they would
call is only noted down.
"""

from __future__ import annotations

import collections
import dataclasses
import io
import itertools
import pickletools
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import safetensors
import tensorflow as tf

from simclr_tf.errors import SettingError, first_line

_SAFETENSORS = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": tf.bfloat16.as_numpy_dtype,
    "I64": np.int64,
    "I32": np.int32,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_STORAGES = {
    "Float": np.float32,
    "Double": np.float64,
    "Half": np.float16,
    "BFloat16": tf.bfloat16.as_numpy_dtype,
    "Long": np.int64,
    "Int": np.int32,
    "Short": np.int16,
    "Char": np.int8,
    "Byte": np.uint8,
    "Bool": np.bool_,
}
_TENSOR = "torch._utils._rebuild_tensor_v2"
_PARAMETER = "torch._utils._rebuild_parameter"
_MOST_SETTINGS = 10_000  # that are looked through, beside the weights
_WEIGHTS = ("state_dict", "model_state_dict", "model")  # where training loops keep the weights


@dataclasses.dataclass(eq=False)
class _Note:
    """Something that unpickling would look up (no arguments), or look up and call.

    Attributes:
      name: of what would be looked up.
      arguments: that it would be called with.
      state: that the object would get.
    """

    name: str
    arguments: Any = None
    state: Any = None


class _Unsafe(Exception):
    """Something that is not known to be a tensor stands where one must be."""


class PyTorchFile(NamedTuple):
    """What a file holds.

    Attributes:
      tensors: by name.
      settings: what lies beside them, such as hyperparameters: plain values by the last part of
        their name, the outermost of several.
    """

    tensors: dict[str, np.ndarray]
    settings: dict[str, Any]


def read(path: str) -> PyTorchFile:
    """Reads a .safetensors file, or what torch.save wrote.

    Raises:
      SettingError: unreadable, or something else stands where a tensor must be.
    """
    if not tf.io.gfile.exists(path) or tf.io.gfile.isdir(path):
        raise SettingError(
            "input", path, "is no file", "give a .ckpt, .pt, .pth or .safetensors file"
        )
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    try:
        if path.endswith(".safetensors"):
            return PyTorchFile(_read_safetensors(content), {})
        if not zipfile.is_zipfile(io.BytesIO(content)):
            raise SettingError(
                "input",
                path,
                "is not what torch.save writes since PyTorch 1.6",
                "load it in PyTorch and save its state_dict again",
            )
        return _read_zip(content)
    except _Unsafe as error:
        raise SettingError(
            "input",
            path,
            f"holds {error} where a tensor must be, which is not run here",
            "in PyTorch, save the network's state_dict",
        ) from None
    except (
        *(safetensors.SafetensorError, zipfile.BadZipFile, EOFError, NotImplementedError),
        *(ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError),
        *(MemoryError, RecursionError, RuntimeError, OSError),
    ) as error:
        raise SettingError(
            "input",
            path,
            f"cannot be read ({first_line(error)[:200]})",
            "it is damaged or incomplete, copy it again",
        ) from None


def _read_safetensors(content: bytes) -> dict[str, np.ndarray]:
    return {
        name: np.frombuffer(found["data"], _SAFETENSORS[found["dtype"]]).reshape(found["shape"])
        for name, found in safetensors.deserialize(content)
    }


def _read_zip(content: bytes) -> PyTorchFile:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = {info.filename.partition("/")[2]: info for info in archive.infolist()}
        if any(info.compress_type != zipfile.ZIP_STORED for info in names.values()):
            raise ValueError("it is compressed, as torch.save never does")
        if "byteorder" in names and archive.read(names["byteorder"]) != b"little":
            raise ValueError("its numbers are big-endian")
        top = _follow(archive.read(names["data.pkl"]))
        weights = next((top[key] for key in _WEIGHTS if isinstance(top.get(key), dict)), top)
        tensors = {
            str(name): _spread(value, must_be=weights is not top) for name, value in weights.items()
        }
        read = {
            name: _materialize(value, archive, names)
            for name, value in tensors.items()
            if value is not None
        }
        beside = {name: value for name, value in top.items() if value is not weights}
        return PyTorchFile(read, _settings(beside if weights is not top else {}))


def _spread(value: Any, *, must_be: bool) -> tuple | None:
    """Returns the arguments that would rebuild a tensor; None for what is none.

    Raises:
      _Unsafe: `must_be`, and it is another object.
    """
    if isinstance(value, _Note) and value.name == _PARAMETER:
        value = value.arguments[0]
    if isinstance(value, _Note) and value.name == _TENSOR:
        return value.arguments
    if isinstance(value, _Note) and must_be:
        raise _Unsafe(value.name[:100])
    return None


def _settings(beside: dict) -> dict[str, Any]:
    """Returns the plain values in what lies beside weights, whatever holds them.

    OmegaConf's nodes keep a value as their state's `_val`, and children as `_content`.
    """
    found: dict[str, Any] = {}
    waiting: collections.deque[tuple[Any, Any]] = collections.deque([("", beside)])
    for _ in range(_MOST_SETTINGS):  # a pickle may hold itself
        if not waiting:
            break
        name, value = waiting.popleft()
        if isinstance(value, _Note) and isinstance(value.state, dict):
            state = value.state
            waiting.append((name, state.get("_val", state.get("_content", state))))
        elif isinstance(value, dict):
            waiting.extend(itertools.islice(value.items(), _MOST_SETTINGS - len(waiting)))
        elif isinstance(value, (str, int, float)) or _are_numbers(value):
            found.setdefault(str(name), value)
    return found


def _are_numbers(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(isinstance(each, float) for each in value)


def _materialize(
    arguments: tuple, archive: zipfile.ZipFile, names: Mapping[str, zipfile.ZipInfo]
) -> np.ndarray:
    storage, offset, shape, strides = arguments[:4]
    _, kind, key, *_ = storage.arguments
    # What is nested in itself takes for ever to be counted, or named.
    if not isinstance(key, str) or not all(type(n) is int for n in (offset, *shape, *strides)):
        raise ValueError("a tensor has no plain shape and place")
    dtype = np.dtype(_STORAGES[kind.name.removeprefix("torch.").removesuffix("Storage")])
    numbers = np.frombuffer(archive.read(names[f"data/{key}"]), dtype)
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides))
    if min((offset, *shape, *strides)) < 0 or len(shape) != len(strides):
        raise ValueError("a tensor has a negative shape")
    count = int(np.prod(shape, dtype=object))
    if count > numbers.size or (count and last >= numbers.size):
        raise ValueError("a tensor is larger than its storage")
    steps = [step * dtype.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps).copy()


def _follow(pickled: bytes) -> dict:
    """Returns the dictionary that the pickle describes, with `_Note`s for its objects."""
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(pickled):
        machine.step(opcode.name, argument)
    if not isinstance(machine.stack[-1], dict):
        raise ValueError("it holds no dictionary of tensors")
    return machine.stack[-1]


class _Machine:
    """What a pickle's opcodes work on: a stack, marks in it, and what is remembered.

    Follows the opcodes that PyTorch's pickles consist of, protocols 2 to 5. Whatever they would
    look up or call becomes a `_Note`.
    """

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[Any, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Follows one opcode. Raises _Unsafe, or one of Python's errors for damaged ones."""
        stack = self.stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _MADE:
            stack.append(_MADE[name]())
        elif name in _LITERALS:
            stack.append(argument)
        elif name == "MARK":
            self._marks.append(len(stack))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "TUPLE"):
            self._collect(name)
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        else:
            self._note(name, argument)

    def _collect(self, name: str) -> None:
        count = {"APPEND": 1, "SETITEM": 2}.get(name)
        start = len(self.stack) - count if count else self._marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        if name == "TUPLE":
            self.stack.append(tuple(items))
        elif name.startswith("APPEND") and isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)
        elif name.startswith("SETITEM") and isinstance(self.stack[-1], dict):
            pairs = zip(items[::2], items[1::2])
            # Other keys cannot lead to a tensor, and hashing them could take any time.
            self.stack[-1].update((k, v) for k, v in pairs if isinstance(k, (str, int, float)))

    def _note(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in ("GLOBAL", "STACK_GLOBAL"):
            words = argument.split(" ") if name == "GLOBAL" else [stack.pop(-2), stack.pop()]
            stack.append(_Note(".".join(words)))
        elif name == "BINPERSID":
            stack.append(_Note("storage", stack.pop()))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments = stack.pop()
            made = stack.pop().name
            empty = made == "collections.OrderedDict" and not arguments
            stack.append({} if empty else _Note(made, arguments))
        elif name == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], _Note):
                stack[-1].state = state
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise ValueError(f"its pickle uses {name}")


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_MADE = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": list}
_LITERALS = frozenset(
    "BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
    "SHORT_BINSTRING BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8".split()
)
