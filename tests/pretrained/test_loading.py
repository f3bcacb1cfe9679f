"""Where weights come from, and every way in which they can be wrong."""

import json
import logging
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxgan.core.errors import UserError
from jaxgan.pretrained import NETWORKS, VGG, import_file, load_weights, require
from jaxgan.pretrained.convert import flatten
from jaxgan.pretrained.readers import METADATA_KEY
from tests.pretrained.support import probe_file

SMALL = VGG(depth=19, taps=("relu2_2",))  # 260,160 parameters
NAMES = ("conv1_1", "conv1_2", "conv2_1", "conv2_2")


@pytest.fixture(autouse=True)
def no_folder(monkeypatch):
    monkeypatch.delenv("JAXGAN_WEIGHTS", raising=False)


@pytest.fixture
def source(tmp_path):
    """The first four layers of VGG-19 under PyTorch's names."""
    return probe_file("vgg19", tmp_path, SMALL)


def _rewrite(path, change, metadata=None):
    arrays = safetensors.numpy.load_file(path)
    change(arrays)
    safetensors.numpy.save_file(arrays, path, metadata=metadata)


def _both(match, *args, **kwargs):
    """Asserts that the check before a run and the loader say the same, in one line."""
    messages = []
    for function in (require, load_weights):
        with pytest.raises(UserError, match=match) as caught:
            function(*args, **kwargs)
        assert "\n" not in str(caught.value)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    return messages[0]


def test_check_05_missing_weights_say_what_is_accepted_and_where_it_goes(tmp_path):
    message = _both("VGG-19 weights not found: set", "vgg19")
    assert (
        "set pretrained.vgg19=PATH (accepted: vgg19-dcbb9e9d.pth, vgg19 keras notop "
        ".h5) or pretrained.vgg19=random for tests"
    ) in message
    assert "published by torchvision" in message
    assert "32 tensors such as conv1_1/kernel (3, 3, 3, 64)" in message
    missing = tmp_path / "nowhere.safetensors"
    message = _both("VGG-19 weights not found", "vgg19", missing)
    assert f"(no file {missing})" in message


def test_check_05_wrong_shape(source):
    def crop(arrays):
        arrays["features.5.weight"] = arrays["features.5.weight"][:, :32].copy()

    _rewrite(source, crop)
    _both(
        r"conv2_1/kernel: expected \(3, 3, 64, 128\), file has \(3, 3, 32, 128\)",
        "vgg19",
        source,
        network=SMALL,
        convention="caffe",
    )


def test_check_05_missing_and_extra_keys(source):
    _rewrite(source, lambda arrays: arrays.pop("features.5.bias"))
    arguments = {"network": SMALL, "convention": "caffe"}
    _both("missing conv2_1/bias; is it", "vgg19", source, **arguments)

    def rename(arrays):
        arrays["features.1.bias"] = np.zeros(128, np.float32)

    _rewrite(source, rename)
    _both(
        "missing conv2_1/bias; unexpected features.1.bias",
        "vgg19",
        source,
        **arguments,
    )


def test_check_05_unknown_hash_asks_for_the_convention(source):
    message = _both("unknown file hash [0-9a-f]{16}", "vgg19", source, network=SMALL)
    assert "state the input convention (torchvision, caffe, caffe_rgb" in message
    for convention in ("torchvision", "caffe_rgb"):
        weights = load_weights("vgg19", source, network=SMALL, convention=convention)
        assert weights.convention == convention
    _both("did you mean 'caffe'", "vgg19", source, network=SMALL, convention="cafe")


def test_check_05_known_hashes_decide_the_convention(source, monkeypatch):
    import dataclasses
    import hashlib
    import types

    from jaxgan.pretrained import registry

    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    md5 = hashlib.md5(source.read_bytes()).hexdigest()
    spec = registry.find("vgg19")

    def known(**fields):
        file = registry.KnownFile("probe", **fields)
        table = {"vgg19": dataclasses.replace(spec, files=(*spec.files, file))}
        monkeypatch.setattr(registry, "NETWORKS", types.MappingProxyType(table))

    known(convention="caffe", sha256=sha256[:8])
    require("vgg19", source, network=SMALL)
    weights = load_weights("vgg19", source, network=SMALL)
    assert weights.convention == "caffe" and weights.sha256 == sha256
    message = "the convention of this file is caffe, not torchvision"
    _both(message, "vgg19", source, network=SMALL, convention="torchvision")
    known(convention="caffe_rgb", md5=md5)
    assert load_weights("vgg19", source, network=SMALL).convention == "caffe_rgb"
    known(sha256=sha256, refused="these are old heads; take v0.1")
    _both("these are old heads; take v0.1", "vgg19", source, network=SMALL)


def test_published_hashes_are_complete_enough_to_identify():
    files = [file for spec in NETWORKS.values() for file in spec.files]
    assert len(files) >= 16
    for file in files:
        assert len(file.sha256) >= 8 or len(file.md5) == 32
        assert bool(file.convention) != bool(file.refused)
    for spec in NETWORKS.values():
        conventions = {f.convention for f in spec.files if f.convention}
        assert conventions <= set(spec.conventions)


def test_imported_files_need_nothing_but_their_path(tmp_path, monkeypatch):
    output = tmp_path / "alexnet.safetensors"
    full = probe_file("alexnet", tmp_path)
    imported = import_file("alexnet", full, output)
    monkeypatch.setenv("JAXGAN_WEIGHTS", str(tmp_path))
    require("alexnet")
    loaded = load_weights("alexnet")
    assert loaded.convention == imported.convention == "torchvision"
    assert loaded.sha256 == imported.sha256 and len(loaded.sha256) == 64
    assert not loaded.is_random
    first, second = flatten(imported.variables), flatten(loaded.variables)
    assert first.keys() == second.keys()
    for path in first:
        np.testing.assert_array_equal(first[path], second[path])


def test_a_file_gives_a_shorter_network_only_its_part(tmp_path):
    full = probe_file("vgg19", tmp_path)
    weights = load_weights("vgg19", full, network=SMALL, convention="caffe")
    assert tuple(weights.variables["params"]) == NAMES


def test_import_is_atomic_and_repeatable(tmp_path, monkeypatch):
    output = tmp_path / "out" / "squeezenet.safetensors"
    source = probe_file("squeezenet", tmp_path)
    import_file("squeezenet", source, output, convention="torchvision")
    first = output.read_bytes()
    import_file("squeezenet", source, output)
    assert output.read_bytes() == first

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match="cannot be written .No space left on device"):
        import_file("squeezenet", source, output)
    assert output.read_bytes() == first
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_imported_files_state_their_origin(tmp_path):
    source = probe_file("squeezenet", tmp_path)
    output = tmp_path / "squeezenet.safetensors"
    imported = import_file("squeezenet", source, output)
    with safetensors.safe_open(output, framework="numpy") as file:
        metadata = json.loads(file.metadata()[METADATA_KEY])
        assert "params/fire9/expand3x3/kernel" in file.keys()
    assert metadata == {
        "network": "squeezenet",
        "convention": "torchvision",
        "source_name": source.name,
        "source_sha256": imported.sha256,
    }


def test_an_imported_file_of_another_network_is_refused(source):
    metadata = {METADATA_KEY: json.dumps({"network": "vgg16"})}
    _rewrite(source, lambda arrays: None, metadata)
    _both("was imported as 'vgg16', not 'vgg19'", "vgg19", source, network=SMALL)


def test_numbers_that_are_not_finite_are_refused(source):
    def spoil(arrays):
        arrays["features.5.bias"][3] = np.nan

    _rewrite(source, spoil)
    with pytest.raises(UserError, match="conv2_1/bias holds numbers that are not fin"):
        load_weights("vgg19", source, network=SMALL, convention="caffe")


def test_outputs_must_be_safetensors_in_a_writable_place(tmp_path):
    source = probe_file("squeezenet", tmp_path)
    with pytest.raises(UserError, match="must end in .safetensors"):
        import_file("squeezenet", source, tmp_path / "x.npz")
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "x.safetensors"
    with pytest.raises(UserError, match="cannot be written"):
        import_file("squeezenet", source, below)
    with pytest.raises(UserError, match="no such file; accepted for vgg19: vgg19-dc"):
        import_file("vgg19", tmp_path / "nowhere.pth", below)


def test_unknown_networks_suggest_the_nearest():
    _both("did you mean 'vgg19'", "vgg_19")


def test_random_is_only_by_its_word_and_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        weights = load_weights("vgg19", "random", network=SMALL, seed=3)
    assert "VGG-19 has random weights (seed 3)" in caplog.text
    assert weights.is_random and weights.sha256 == "random"
    assert weights.convention == "torchvision"
    kernel = weights.variables["params"]["conv2_2"]["kernel"]
    assert abs(kernel.std() / np.sqrt(2 / (9 * 128)) - 1) < 0.01
    assert not weights.variables["params"]["conv2_2"]["bias"].any()
    require("vgg19", "random")


def test_random_weights_repeat_by_seed_and_differ_between_layers():
    first, second, other = (
        load_weights("vgg19", "random", network=SMALL, seed=seed) for seed in (0, 0, 1)
    )
    a, b, c = (flatten(w.variables) for w in (first, second, other))
    for path in a:
        np.testing.assert_array_equal(a[path], b[path])
    kernel = ("params", "conv2_1", "kernel")
    assert not np.array_equal(a[kernel], c[kernel])
    assert a[kernel].ravel()[0] != a["params", "conv1_1", "kernel"].ravel()[0]
    # A tap further on must not change the layers before it.
    deeper = load_weights("vgg19", "random", network=VGG(taps=("conv3_1",)))
    np.testing.assert_array_equal(
        deeper.variables["params"]["conv2_1"]["kernel"], a[kernel]
    )


def test_random_norms_do_nothing_until_they_are_given_statistics():
    weights = load_weights("inception_fid", "random")
    leaves = flatten(weights.variables)
    stem = "Conv2d_1a_3x3"
    assert (leaves["params", stem, "bn", "scale"] == 1).all()
    assert (leaves["batch_stats", stem, "bn", "var"] == 1).all()
    assert not leaves["batch_stats", stem, "bn", "mean"].any()


def test_weights_are_a_pytree_of_their_variables_alone():
    weights = load_weights("vgg19", "random", network=SMALL)
    leaves, structure = jax.tree.flatten(weights)
    assert len(leaves) == 8 and all(isinstance(x, jax.Array) for x in leaves)
    doubled = jax.jit(lambda w: jax.tree.map(lambda x: 2 * x, w))(weights)
    assert jax.tree.structure(doubled) == structure
    assert doubled.convention == "torchvision"
    assert doubled.variables["params"]["conv1_1"]["kernel"].dtype == jnp.float32
