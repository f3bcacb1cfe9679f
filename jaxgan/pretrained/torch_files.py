"""Tensors out of PyTorch checkpoints, without PyTorch and without unpickling.

A checkpoint describes its tensors by a pickle, a small program that may name any
function to be called. Here the program is only read: its instructions build plain
containers, and the few names that tensors need are recognised as words. Nothing that a
file names is ever imported or called; any other name refuses the whole file.

Formats: the zip archives of PyTorch 1.6 and later, and the older stream of pickles in
which most of torchvision's weights are still published.
"""

import io
import pickletools
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.core.errors import UserError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
# Every name that a file may hold, and what it means here.
_NAMES = {
    "collections OrderedDict": "dict",
    "torch Size": "tuple",
    "torch._utils _rebuild_tensor": "tensor",
    "torch._utils _rebuild_tensor_v2": "tensor",
    "torch._utils _rebuild_parameter": "parameter",
    # Files of 2017 hold objects that are filled after they are made.
    "torch.nn.parameter Parameter": "parameter",
    "torch.autograd.variable Variable": "parameter",
}
for _storage_name, _dtype in _DTYPES.items():
    for _package in ("torch", "torch.cuda"):
        _NAMES[f"{_package} {_storage_name}"] = _dtype
        _tensor_name = _storage_name.replace("Storage", "Tensor")
        _NAMES[f"{_package} {_tensor_name}"] = "empty tensor"
_CONSTANTS = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}
_LITERALS = frozenset(
    "BININT BININT1 BININT2 LONG1 LONG4 INT LONG FLOAT BINFLOAT UNICODE BINUNICODE "
    "SHORT_BINUNICODE BINUNICODE8 STRING BINSTRING SHORT_BINSTRING BINBYTES "
    "SHORT_BINBYTES BINBYTES8".split()
)
_MARK = object()


class _Refused(Exception):
    """The pickle names or does something that no tensor needs."""


@dataclass(frozen=True, eq=False)
class _Word:
    """A name that stands in a pickle; `meaning` is one of ours."""

    meaning: str


@dataclass(frozen=True, eq=False)
class _Storage:
    """A run of numbers in the file, and where a view of it begins."""

    dtype: str
    key: str
    length: int
    offset: int = 0


@dataclass(eq=False)
class _Tensor:
    """A view of a storage; old files make it first and describe it afterwards."""

    storage: _Storage | None = None
    offset: int = 0
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def describe(self, storage: Any, offset: Any, shape: Any, strides: Any) -> None:
        if not isinstance(storage, _Storage):
            raise ValueError("a tensor without storage")
        self.storage, self.offset = storage, storage.offset + offset
        self.shape, self.strides = tuple(shape), tuple(strides)


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Returns {name: tensor} of a checkpoint that holds a state dict.

    One level of wrapping (`state_dict`, `model`, ...) is removed; whatever is no tensor
    (epochs, options) is left out. Half precision is widened to float32.

    Raises:
        UserError: TorchScript, a file that names code, or no state dict.
    """
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                content, tensor = _read_zip(file)
            else:
                file.seek(0)
                content, tensor = _read_legacy(file)
        return {key: tensor(value) for key, value in _state_dict(content, path).items()}
    except _Refused as refusal:
        raise UserError(
            f"{path}: {refusal} can run code when opened; convert it in a sandbox to "
            ".safetensors and pass that"
        ) from None
    except UserError:
        raise
    except Exception as error:  # whatever a damaged file leads to
        raise UserError(
            f"{path}: no readable PyTorch checkpoint ({type(error).__name__}: "
            f"{str(error)[:80]}); download it again"
        ) from error


def _read_zip(file: io.BufferedIOBase) -> tuple[Any, Callable[[_Tensor], np.ndarray]]:
    archive = zipfile.ZipFile(file)
    names = archive.namelist()
    root = next((n[: -len("data.pkl")] for n in names if n.endswith("data.pkl")), None)
    if root is None:
        raise ValueError("a zip archive without data.pkl")
    if any(name.startswith((f"{root}code/", f"{root}constants.pkl")) for name in names):
        raise _Refused("a TorchScript archive")
    order = "<"
    if f"{root}byteorder" in names:
        order = {b"little": "<", b"big": ">"}[archive.read(f"{root}byteorder").strip()]
    content = _interpret(io.BytesIO(archive.read(f"{root}data.pkl")))
    # Tensors are views, all of them must be made while the archive is open.
    storages = {
        key: _numbers(archive.read(f"{root}data/{key}"), storage, order)
        for key, storage in _storages(content).items()
    }
    return content, lambda tensor: _view(tensor, storages)


def _read_legacy(
    file: io.BufferedIOBase,
) -> tuple[Any, Callable[[_Tensor], np.ndarray]]:
    if _interpret(file) != _LEGACY_MAGIC:
        raise _Refused("a pickle that is no PyTorch checkpoint")
    _interpret(file)  # protocol
    order = "<" if _interpret(file)["little_endian"] else ">"
    content = _interpret(file)
    described = _storages(content)
    storages = {}
    for key in _interpret(file):
        (length,) = struct.unpack(f"{order}q", file.read(8))
        storage = described[key]
        size = length * _itemsize(storage.dtype)
        data = file.read(size)
        if length < 0 or len(data) != size:
            raise ValueError(f"truncated after storage {key}")
        storages[key] = _numbers(data, storage, order)
    return content, lambda tensor: _view(tensor, storages)


def _interpret(file: Any) -> Any:
    """Reads one pickle up to its STOP and returns the containers it describes."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def pop_to_mark() -> list[Any]:
        at = max(i for i, item in enumerate(stack) if item is _MARK)
        items = stack[at + 1 :]
        del stack[at:]
        return items

    def word(name: str) -> _Word:
        if name not in _NAMES:
            raise _Refused(f"it names {name.replace(' ', '.')!r}, which")
        return _Word(_NAMES[name])

    argument: Any
    for opcode, argument, _ in pickletools.genops(file):
        name = opcode.name
        if name in ("PROTO", "FRAME"):
            continue
        if name == "STOP":
            return stack.pop()
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            items = tuple(stack[-int(name[-1]) :])
            del stack[-int(name[-1]) :]
            stack.append(items)
        elif name == "TUPLE":
            stack.append(tuple(pop_to_mark()))
        elif name == "LIST":
            stack.append(pop_to_mark())
        elif name == "DICT":
            items = pop_to_mark()
            stack.append(dict(zip(items[::2], items[1::2], strict=True)))
        elif name == "APPEND":
            item = stack.pop()
            stack[-1].append(item)
        elif name == "APPENDS":
            items = pop_to_mark()
            stack[-1].extend(items)
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            stack[-1][key] = value
        elif name == "SETITEMS":
            items = pop_to_mark()
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[int(argument)])
        elif name == "GLOBAL":
            stack.append(word(argument))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(word(f"{module} {attribute}"))
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, function = stack.pop(), stack.pop()
            stack.append(_rebuild(function, arguments))
        elif name == "BUILD":
            _fill(stack[-2], stack.pop())
        else:
            raise _Refused(f"its instruction {name}, which no tensor needs,")
    raise ValueError("a pickle without end")


def _storage(identity: Any) -> _Storage:
    kind, word, key, _, length, *view = identity
    if kind != "storage" or word.meaning not in _DTYPES.values():
        raise _Refused(f"its persistent object {kind!r}")
    offset = 0
    if view and view[0] is not None:  # the older format names views of a storage
        _, offset, _ = view[0]
    return _Storage(word.meaning, str(key), int(length), int(offset))


def _rebuild(word: Any, arguments: tuple[Any, ...]) -> Any:
    """Gives the meaning of a call to one of the known names."""
    meaning = word.meaning if isinstance(word, _Word) else None
    if meaning == "dict":
        return dict(*arguments)
    if meaning == "tuple":
        return tuple(*arguments)
    if meaning == "parameter" and arguments:
        return arguments[0]
    tensor = _Tensor()
    if meaning == "tensor":
        tensor.describe(*arguments[:4])
    elif meaning not in ("empty tensor", "parameter"):
        raise _Refused("its call of something that is no tensor")
    return tensor


def _fill(target: Any, state: Any) -> None:
    """Gives an object its attributes, which matter for the tensors of old files."""
    if isinstance(target, _Tensor) and isinstance(state, tuple):
        if len(state) == 4:
            target.describe(*state)
        elif len(state) == 5 and isinstance(state[0], _Tensor):
            data = state[0]
            target.storage, target.offset = data.storage, data.offset
            target.shape, target.strides = data.shape, data.strides


def _storages(content: Any) -> dict[str, _Storage]:
    """Returns every storage below nested containers."""
    found = {}
    waiting = [content]
    seen = set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, _Tensor) and item.storage is not None:
            found[item.storage.key] = item.storage
        elif isinstance(item, dict | list | tuple) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend(item.values() if isinstance(item, dict) else item)
    return found


def _itemsize(dtype: str) -> int:
    return 2 if dtype == "bf16" else np.dtype(dtype).itemsize


def _numbers(data: bytes, storage: _Storage, order: str) -> np.ndarray:
    if storage.dtype == "bf16":  # the upper half of a float32
        upper = np.frombuffer(data, f"{order}u2").astype(np.uint32) << 16
        return upper.view(np.float32)
    numbers = np.frombuffer(data, f"{order}{storage.dtype}")
    return numbers.astype(np.float32 if storage.dtype == "f2" else storage.dtype)


def _view(tensor: _Tensor, storages: dict[str, np.ndarray]) -> np.ndarray:
    if tensor.storage is None:
        raise ValueError("a tensor without storage")
    numbers = storages[tensor.storage.key]
    if len(tensor.shape) != len(tensor.strides):
        raise ValueError("a tensor with other strides than axes")
    steps = zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((size - 1) * stride for size, stride in steps)
    empty = 0 in tensor.shape
    # A view outside of its storage would read foreign memory.
    if min((tensor.offset, *tensor.shape, *tensor.strides)) < 0 or (
        not empty and last >= len(numbers)
    ):
        raise ValueError("a tensor that reaches outside of its storage")
    if empty:
        return np.zeros(tensor.shape, numbers.dtype)
    strides = [stride * numbers.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.shape, strides, writeable=False
    )


def _state_dict(content: Any, path: Path) -> dict[str, _Tensor]:
    """Returns the tensors of a state dict, below one level of wrapping if need be."""

    def tensors(mapping: Any) -> dict[str, _Tensor]:
        items = mapping.items() if isinstance(mapping, dict) else ()
        return {str(k): v for k, v in items if isinstance(v, _Tensor)}

    candidates = [tensors(content)]
    if isinstance(content, dict):
        named = content.get("state_dict")
        if named is not None:
            candidates = [tensors(named)]
        else:
            candidates += [tensors(value) for value in content.values()]
    filled = [candidate for candidate in candidates if candidate]
    if len(filled) != 1:
        wrapped = ", ".join(map(str, content)) if isinstance(content, dict) else "none"
        raise UserError(
            f"{path}: expected one state dict, found {len(filled)} (entries: "
            f"{wrapped[:200]}); save the network's state_dict() alone"
        )
    return filled[0]
