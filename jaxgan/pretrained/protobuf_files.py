"""Tensors out of Caffe models and frozen TensorFlow graphs, without either library.

Both are protocol buffers. Their wire format is a sequence of numbered fields, and only
the few that hold names, shapes and numbers of weights are looked at; no graph is built.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.core.errors import UserError

_FLOAT32 = 1  # TensorFlow's DT_FLOAT
_TENSORFLOW_LEAVES = {
    "conv2d_params": "conv/kernel",
    "batchnorm/gamma": "bn/scale",
    "batchnorm/beta": "bn/bias",
    "batchnorm/moving_mean": "bn/mean",
    "batchnorm/moving_variance": "bn/var",
    "weights": "kernel",
    "biases": "bias",
}


def read_caffe(path: Path) -> dict[str, np.ndarray]:
    """Returns {layer.weight, layer.bias} of a `.caffemodel`, in PyTorch's order.

    Raises:
        UserError: damaged, or no layer with weights in it.
    """

    def layers() -> Iterator[tuple[str, list[memoryview]]]:
        net = _read(path)
        for layer in map(_fields, net[100]):  # LayerParameter: name 1, blobs 7
            yield _text(layer[1]), layer[7]
        for layer in map(_fields, net[2]):  # V1LayerParameter: name 4, blobs 6
            yield _text(layer[4]), layer[6]

    def tensors() -> Iterator[tuple[str, np.ndarray]]:
        for name, blobs in layers():
            for leaf, blob in zip(("weight", "bias"), blobs, strict=False):
                array = _caffe_blob(_fields(blob))
                if leaf == "bias":
                    array = array.ravel()
                elif array.shape[:2] == (1, 1):  # dense layers of old files
                    array = array[0, 0]
                yield f"{name}.{leaf}", array

    return _collect(path, tensors())


def read_tensorflow(path: Path) -> dict[str, np.ndarray]:
    """Returns {scope/conv/kernel, scope/bn/scale, ...} of a frozen graph `.pb`.

    Raises:
        UserError: damaged, or no constants with names of weights in it.
    """

    def tensors() -> Iterator[tuple[str, np.ndarray]]:
        # GraphDef.node 1; NodeDef: name 1, op 2, attr 5; AttrValue.tensor 8
        for node in map(_fields, _read(path)[1]):
            name = _text(node[1])
            leaf = next((x for x in _TENSORFLOW_LEAVES if name.endswith(f"/{x}")), None)
            if leaf is None or node[2][0] != b"Const":
                continue
            for attribute in map(_fields, node[5]):  # map entry: key 1, value 2
                if attribute[1][0] == b"value":
                    tensor = _fields(_fields(attribute[2][0])[8][0])
                    scope = name.removesuffix(leaf)
                    yield scope + _TENSORFLOW_LEAVES[leaf], _tensorflow_tensor(tensor)

    return _collect(path, tensors())


def _read(path: Path) -> dict[int, list[Any]]:
    return _fields(memoryview(path.read_bytes()))


def _collect(
    path: Path, tensors: Iterator[tuple[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    try:
        arrays = dict(tensors)
    except (ValueError, IndexError, struct.error, TypeError) as error:
        raise UserError(
            f"{path}: no readable {path.suffix} file ({str(error)[:80]}); download it "
            "again"
        ) from error
    if not arrays:
        raise UserError(f"{path}: no weights found in this {path.suffix} file")
    return arrays


def _caffe_blob(blob: Mapping[int, list[Any]]) -> np.ndarray:
    """Decodes a BlobProto: data 5, double_data 8, shape 7, or four sizes 1 to 4."""
    numbers = (
        _floats(blob[5], "<f4") if blob[5] else _floats(blob[8], "<f8").astype("f4")
    )
    if blob[7]:
        shape = _integers(_fields(blob[7][0])[1])
    else:
        shape = [blob[i][0] if blob[i] else 1 for i in range(1, 5)]
    return numbers.reshape(shape)


def _tensorflow_tensor(tensor: Mapping[int, list[Any]]) -> np.ndarray:
    """Decodes a TensorProto: dtype 1, tensor_shape 2, tensor_content 4, float_val 5."""
    if tensor[1] != [_FLOAT32]:
        raise ValueError(f"weights of TensorFlow dtype {tensor[1]}")
    sizes = _fields(tensor[2][0])[2] if tensor[2] else []
    shape = [_fields(size)[1][0] for size in sizes]
    if tensor[4]:
        numbers = np.frombuffer(tensor[4][0], "<f4")
    else:  # a last value stands for all that follow
        numbers = _floats(tensor[5], "<f4")
        missing = int(np.prod(shape)) - len(numbers)
        numbers = np.pad(numbers, (0, max(missing, 0)), mode="edge")
    return numbers.reshape(shape)


def _text(values: list[memoryview]) -> str:
    return bytes(values[0]).decode()


def _floats(values: list[memoryview], dtype: str) -> np.ndarray:
    """Joins packed runs and single numbers, both of which arrive as bytes."""
    return np.frombuffer(b"".join(values), dtype)


def _integers(values: list[Any]) -> list[int]:
    integers = []
    for value in values:
        if isinstance(value, int):
            integers.append(value)
            continue
        position = 0
        while position < len(value):
            integer, position = _varint(value, position)
            integers.append(integer)
    return integers


def _fields(message: memoryview) -> dict[int, list[Any]]:
    """Splits a message into {field number: values}: integers, or bytes."""
    fields = defaultdict(list)
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(message, position)
        elif kind in (1, 2, 5):
            if kind == 2:
                size, position = _varint(message, position)
            else:
                size = 8 if kind == 1 else 4
            value = message[position : position + size]
            if len(value) != size:
                raise ValueError("truncated")
            position += size
        else:
            raise ValueError(f"no protocol buffer: wire type {kind}")
        fields[tag >> 3].append(value)
    return fields


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
