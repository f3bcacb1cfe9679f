"""The pretrained networks that a run loads before its first step."""

import dataclasses
import json

import jax
import pytest
import safetensors.numpy

from jaxgan.core import Pretrained
from jaxgan.core.errors import UserError
from jaxgan.pretrained import VGG, readers
from jaxgan.pretrained.registry import find
from jaxgan.training.frozen import load_frozen
from tests.pretrained.support import probe_file
from tests.training import toy


@dataclasses.dataclass(frozen=True)
class Needy(toy.Borrower):
    """Two networks: one for a stage, one for inference."""

    def pretrained(self):
        squeeze = find("squeezenet").network
        return {
            "judge": Pretrained("squeezenet", squeeze, stages=("second",)),
            "eye": Pretrained("squeezenet", squeeze),
        }


SOURCES = {"judge": "random", "eye": "random"}


def test_only_what_the_stages_and_inference_need_is_loaded():
    assert load_frozen(Needy(), SOURCES, stages=("first",)).keys() == {"eye"}
    found = load_frozen(Needy(), SOURCES, stages=("first", "second"))
    assert found.keys() == {"judge", "eye"}
    assert all(x.size for x in jax.tree.leaves(found))


def test_what_is_missing_is_refused_with_the_way_to_get_it():
    with pytest.raises(UserError, match="weights not found.*random.*published by"):
        load_frozen(Needy(), {"judge": "random"}, stages=())
    with pytest.raises(UserError, match="no file nowhere.npz"):
        load_frozen(Needy(), {**SOURCES, "judge": "nowhere.npz"}, stages=("second",))


def test_the_system_states_the_convention_of_a_file_that_does_not(tmp_path):
    network = VGG(depth=19, taps=("relu1_1",))
    silent = probe_file("vgg19", tmp_path, network)

    def load(convention, source):
        needed = {"vgg19": Pretrained("vgg19", network, (), convention)}
        system = type("Stating", (toy.Borrower,), {"pretrained": lambda self: needed})
        return load_frozen(system(), {"vgg19": str(source)}, stages=())["vgg19"]

    with pytest.raises(UserError, match="unknown file hash .*state the input conv"):
        load(None, silent)
    for convention in ("torchvision", "caffe", "caffe_rgb", "matconvnet"):
        assert load(convention, silent).convention == convention
    assert load("caffe", "random").convention == "caffe"
    metadata = {"network": "vgg19", "convention": "caffe", "source_sha256": "0"}
    stating = tmp_path / "stating.safetensors"
    safetensors.numpy.save_file(
        safetensors.numpy.load_file(silent),
        stating,
        {readers.METADATA_KEY: json.dumps(metadata)},
    )
    assert load(None, stating).convention == load("caffe", stating).convention
    with pytest.raises(UserError, match="of this file is caffe, not torchvision"):
        load("torchvision", stating)


def test_unknown_names_are_refused_and_unused_known_ones_ignored():
    with pytest.raises(
        UserError, match="unknown config key 'pretrained.vgg91' .*vgg19"
    ):
        load_frozen(Needy(), {"vgg91": "random"}, stages=())
    assert load_frozen(toy.Borrower(), {"vgg19": "nowhere.npz"}, stages=()) == {}
