"""The pretrained networks that a run loads before its first step."""

import dataclasses

import jax
import pytest

from jaxgan.core import Pretrained
from jaxgan.core.errors import UserError
from jaxgan.pretrained.registry import find
from jaxgan.training.frozen import load_frozen
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


def test_unknown_names_are_refused_and_unused_known_ones_ignored():
    with pytest.raises(
        UserError, match="unknown config key 'pretrained.vgg91' .*vgg19"
    ):
        load_frozen(Needy(), {"vgg91": "random"}, stages=())
    assert load_frozen(toy.Borrower(), {"vgg19": "nowhere.npz"}, stages=()) == {}
