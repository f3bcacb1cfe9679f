"""The compiled parts of a run: the columns of a grid keep their order."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.training import sharding
from jaxgan.training.programs import Programs
from tests.training import toy


@dataclasses.dataclass(frozen=True)
class Unsorted(toy.Toy):
    """Its columns are in no alphabetical order."""

    def sample_grid(self, variables, frozen, batch, key):
        images = batch["image"]
        return {"truth": images, "input": -images, "made": 2 * images}


def test_a_grid_keeps_the_order_of_its_system():
    mesh = sharding.make_mesh({"data": 1, "model": 1})
    system = Unsorted()
    programs = Programs(system, 0, mesh, {})
    key, batch = jax.random.key(0), {"image": jnp.ones((2, 4, 4, 1))}
    state = system.init(key, batch, {})
    for _ in range(2):  # the second is not traced
        columns = programs.sample(state, batch, key)
        assert list(columns) == ["truth", "input", "made"]
        np.testing.assert_array_equal(columns["input"], -columns["truth"])
