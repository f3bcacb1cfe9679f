"""Weights files of other frameworks; each is written here in its own format."""

import json
import pickle

import h5py
import numpy as np
import pytest
import safetensors.numpy
import scipy.io

from jaxgan.core.errors import UserError
from jaxgan.pretrained.readers import METADATA_KEY, read_runtime, read_source


def _sample():
    generator = np.random.default_rng(0)
    return {
        "conv1_1/kernel": generator.normal(size=(3, 3, 3, 4)).astype(np.float32),
        "conv1_1/bias": generator.normal(size=4).astype(np.float32),
    }


def _assert_equal(arrays, expected):
    assert arrays.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(arrays[key], value)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_runtime_formats_give_tensors_or_their_shapes_alone(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".npz":
        np.savez(path, **_sample())
    else:
        metadata = {METADATA_KEY: json.dumps({"network": "vgg19"})}
        safetensors.numpy.save_file(_sample(), path, metadata=metadata)
        assert read_runtime(path).metadata == {"network": "vgg19"}
    _assert_equal(read_runtime(path).arrays, _sample())
    outlines = read_runtime(path, shapes_only=True).arrays
    assert {k: v.shape for k, v in outlines.items()} == {
        k: v.shape for k, v in _sample().items()
    }
    assert not any(outlines["conv1_1/kernel"].strides)  # takes no memory


def test_check_05_pickles_inside_npz_are_refused_without_opening(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, weights=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="can run code when opened; convert it in a"):
        read_runtime(path)
    with pytest.raises(UserError, match="can run code when opened"):
        read_runtime(path, shapes_only=True)


@pytest.mark.parametrize("name", ["vgg19.npy", "inception.pickle", "x.pkl", "nn4.t7"])
def test_check_05_pickled_formats_are_refused_by_name(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"conv1_1": np.zeros(3)}))
    for read in (read_runtime, read_source):
        with pytest.raises(UserError, match="can run code when opened; convert it in"):
            read(path)


def test_runs_point_to_the_importer_for_other_formats(tmp_path):
    with pytest.raises(UserError, match="convert it once: python -m jaxgan.import_we"):
        read_runtime(tmp_path / "vgg19-dcbb9e9d.pth")
    with pytest.raises(UserError, match="unknown kind of weights file '.onnx'"):
        read_source(tmp_path / "vgg19.onnx")


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".h5", ".mat", ".pb"])
def test_damaged_files_are_named(suffix, tmp_path):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(b"\xffnot what it says")
    with pytest.raises(UserError, match=f"broken{suffix}: no readable") as caught:
        read_source(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("style", ["old", "nested", "with_top_level"])
def test_keras_files_of_three_ages(style, tmp_path):
    path = tmp_path / "vgg19.h5"
    root = "model_weights/" if style == "with_top_level" else ""
    leaves = ("block1_conv1/kernel:0", "block1_conv1/bias:0")
    if style == "old":
        leaves = ("block1_conv1_W_1:0", "block1_conv1_b_1:0")
    with h5py.File(path, "w") as file:
        for leaf, array in zip(leaves, _sample().values(), strict=True):
            file[f"{root}block1_conv1/{leaf}"] = array
        file.create_group(f"{root}block1_pool")
    expected = {k.replace("conv1_1", "block1_conv1"): v for k, v in _sample().items()}
    _assert_equal(read_source(path), expected)


@pytest.mark.parametrize("age", ["weights", "filters"])
def test_matconvnet_files_of_two_ages(age, tmp_path):
    kernel, bias = _sample().values()
    relu = {"name": "relu1_1", "type": "relu"}
    conv = {"name": "conv1_1", "type": "conv"}
    if age == "weights":
        cells = np.empty((1, 2), object)
        cells[0, 0], cells[0, 1] = kernel, bias[None]
        conv["weights"] = cells
    else:
        conv |= {"filters": kernel, "biases": bias[None]}
    layers = np.empty((1, 2), object)
    layers[0, 0], layers[0, 1] = conv, relu
    path = tmp_path / "imagenet-vgg.mat"
    scipy.io.savemat(path, {"layers": layers})
    _assert_equal(read_source(path), _sample())


def _varint(value):
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _field(number, value):
    """Encodes one protocol buffer field: an integer, or bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


@pytest.mark.parametrize("version", ["new", "v1"])
def test_caffe_models_of_both_versions(version, tmp_path):
    kernel, bias = _sample().values()
    weight = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))

    def blob(array):
        data = _field(5, array.astype("<f4").tobytes())
        if version == "new":
            sizes = b"".join(map(_varint, array.shape))
            return _field(7, _field(1, sizes)) + data
        shape = (1,) * (4 - array.ndim) + array.shape
        return b"".join(_field(i, n) for i, n in enumerate(shape, start=1)) + data

    dense = weight.reshape(4, -1)
    number, name, blobs = (100, 1, 7) if version == "new" else (2, 4, 6)
    net = _field(1, b"VGG")
    for layer, weights in ((b"conv1_1", weight), (b"fc6", dense)):
        content = _field(name, layer)
        content += _field(blobs, blob(weights)) + _field(blobs, blob(bias))
        net += _field(number, content)
    net += _field(number, _field(name, b"relu1_1"))
    path = tmp_path / "VGG_ILSVRC_19_layers.caffemodel"
    path.write_bytes(net)
    expected = {
        "conv1_1.weight": weight,
        "conv1_1.bias": bias,
        "fc6.weight": dense,
        "fc6.bias": bias,
    }
    _assert_equal(read_source(path), expected)


def test_frozen_tensorflow_graphs_give_their_constants(tmp_path):
    kernel, bias = _sample().values()

    def node(name, array, op=b"Const", content=True):
        sizes = b"".join(_field(2, _field(1, n)) for n in array.shape)
        tensor = _field(1, 1) + _field(2, sizes)
        data = array.astype("<f4").tobytes()
        tensor += _field(4 if content else 5, data)
        value = _field(1, b"value") + _field(2, _field(8, tensor))
        return _field(1, _field(1, name) + _field(2, op) + _field(5, value))

    path = tmp_path / "classify_image_graph_def.pb"
    path.write_bytes(
        node(b"mixed/tower/conv_1/conv2d_params", kernel)
        + node(b"mixed/tower/conv_1/batchnorm/moving_variance", bias, content=False)
        + node(b"mixed/tower/conv_1/batchnorm/gamma", np.full(4, 2.0), content=True)
        + node(b"softmax/biases", bias)
        + node(b"pool_3/shape", bias)
        + node(b"other/weights", bias, op=b"Identity")
    )
    expected = {
        "mixed/tower/conv_1/conv/kernel": kernel,
        "mixed/tower/conv_1/bn/var": bias,
        "mixed/tower/conv_1/bn/scale": np.full(4, 2.0),
        "softmax/bias": bias,
    }
    _assert_equal(read_source(path), expected)


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(UserError, match="reading .h5 needs h5py: pip install h5py"):
        read_source(tmp_path / "vgg19.h5")
