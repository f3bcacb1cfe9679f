"""CycleGAN against the official PyTorch model: same weights in, same numbers out."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import core
from jaxgan.pretrained.probe import probe_image
from jaxgan.systems.cyclegan import CycleGAN
from tests.parity import compare

RECORD = compare.load("cyclegan")
BLOCKS = 3
SYSTEM = CycleGAN(
    image_size=64,
    num_blocks=BLOCKS,
    generator_channels=8,
    discriminator_channels=8,
    lambda_b=20.0,
    pool_size=0,
    dtype="float64",
)


def generator_names(name: str) -> dict[str, str]:
    up = 10 + BLOCKS
    places = {"stem": 1, "down1": 4, "down2": 7, "up1": up, "up2": up + 3}
    places["head"] = up + 7
    paths = {ours: f"{name}.model.{i}" for ours, i in places.items()}
    for i in range(BLOCKS):
        for j, k in ((1, 1), (2, 5)):
            paths[f"block{i + 1}/conv{j}"] = f"{name}.model.{10 + i}.conv_block.{k}"
    return _with_bias(paths)


def discriminator_names(name: str) -> dict[str, str]:
    paths = {"conv1": 0, "conv2": 2, "conv3": 5, "conv4": 8, "head": 11}
    return _with_bias({ours: f"{name}.model.{i}" for ours, i in paths.items()})


def _with_bias(paths: dict[str, str]) -> dict[str, str]:
    kernels = {f"{ours}/kernel": f"{theirs}.weight" for ours, theirs in paths.items()}
    biases = {f"{ours}/bias": f"{theirs}.bias" for ours, theirs in paths.items()}
    return kernels | biases


# The official discriminators are named after the generator that they train.
NAMES = {
    "generator_ab": generator_names("G_A"),
    "generator_ba": generator_names("G_B"),
    "discriminator_b": discriminator_names("D_A"),
    "discriminator_a": discriminator_names("D_B"),
}
PLAYERS = {
    "G": ("generator_ab", "generator_ba"),
    "D": ("discriminator_a", "discriminator_b"),
}


@pytest.fixture(scope="module")
def stepped():
    """The official weights, and what one step makes of them."""
    with jax.enable_x64(True):
        image = jnp.asarray(probe_image(4, 64, 64, 3), jnp.float64)
        batch = {"a": image[:2], "b": image[2:]}
        key = jax.random.key(0)
        init = compare.blank(SYSTEM.init, key, batch, {})
        params = {
            n: compare.official_tree(RECORD, NAMES[n], init.params[n]) for n in NAMES
        }
        params = jax.tree.map(jnp.asarray, params)
        to64 = lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x  # noqa: E731
        state = init.replace(
            params=params, opt_state=jax.tree.map(to64, init.opt_state)
        )

        @jax.jit
        def run(state):
            fixed = core.Fixed(state.params, state.stats, {})

            def grads(loss, player, *args):
                trained = {n: state.params[n] for n in PLAYERS[player]}
                (_, out), g = jax.value_and_grad(loss, has_aux=True)(
                    trained, fixed, *args
                )
                return g, out

            g, out = grads(SYSTEM.generators_loss, "G", batch["a"], batch["b"])
            fakes = out.values
            d, _ = grads(
                SYSTEM.discriminators_loss,
                "D",
                batch["a"],
                batch["b"],
                fakes["fake_a"],
                fakes["fake_b"],
            )
            return fakes, g | d, SYSTEM.step(state, {}, batch, key)

        return jax.device_get((state, *run(state)))


def test_fakes_are_the_official_ones(stepped):
    compare.check(RECORD["outputs"]["fake_B"], stepped[1]["fake_b"])
    compare.check(RECORD["outputs"]["fake_A"], stepped[1]["fake_a"])


@pytest.mark.parametrize("player", PLAYERS)
def test_gradients_of_a_player(stepped, player):
    entries = RECORD["gradients"].get(f"step/{player}")
    entries = entries or RECORD["gradients"][f"old/{player}"]
    for network in PLAYERS[player]:
        compare.check_tree(entries, RECORD, NAMES[network], stepped[2][network])


def test_loss_terms_of_the_official_step(stepped):
    _, metrics = stepped[3]
    g, d = "loss/generators/", "loss/discriminators/"
    ours = {
        "G_A": metrics[g + "adversarial_ab"],
        "G_B": metrics[g + "adversarial_ba"],
        "cycle_A": metrics[g + "cycle_a"],
        "cycle_B": metrics[g + "cycle_b"],
        "idt_A": metrics[g + "identity_ab"],
        "idt_B": metrics[g + "identity_ba"],
        "D_A": metrics[d + "b"],
        "D_B": metrics[d + "a"],
    }
    compare.check_scalars(RECORD["losses"]["step"], ours)


def test_updates_of_the_official_step(stepped):
    """Except biases before a norm: their gradient is rounding noise, and Adam's first
    step is its sign."""
    state, (after, _) = stepped[0], stepped[3]
    entries = RECORD["after_step"]["updates"]
    for network, names in NAMES.items():
        moved = jax.tree.map(np.subtract, after.params[network], state.params[network])
        # Only kernels, and the biases that no norm follows.
        for path, official in names.items():
            if path.endswith("kernel") or path in ("head/bias", "conv1/bias"):
                leaf = moved
                for part in path.split("/"):
                    leaf = leaf[part]
                info = RECORD["tensors"][official]
                compare.check(
                    entries[official], compare.flax_to_torch(info, leaf), 1e-4
                )


def test_the_lua_norm_has_an_affine_part_of_the_stated_size():
    lua = dataclasses.replace(CycleGAN(), norm="instance_affine")
    image = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    batch = {"a": image, "b": image}
    state = jax.eval_shape(lua.init, jax.random.key(0), batch, {})
    leaves = jax.tree.leaves(state.params["generator_ab"])
    assert sum(x.size for x in leaves) == 11_388_675
