"""The first GAN against the authors' code: same weights in, same numbers out."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import core
from jaxgan.pretrained.probe import probe_image
from jaxgan.systems.gan import GAN
from tests.parity import compare

RECORD = compare.load("gan")
SYSTEM = GAN(
    image_size=8,
    z_dim=10,
    hidden_units=(24, 20),
    discriminator_units=(10, 8),
    keep_input=1.0,
    keep_hidden=1.0,
    dtype="float64",
)
ROOT_3 = np.sqrt(3.0)


def dense(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}/kernel": f"{theirs}.weight", f"{ours}/bias": f"{theirs}.bias"}


NAMES = {
    "generator": dense("hidden1", "G.h0")
    | dense("hidden2", "G.h1")
    | dense("output", "G.y"),
    "discriminator": dense("maxout1/Dense_0", "D.h0")
    | dense("maxout2/Dense_0", "D.h1")
    | dense("head", "D.y"),
}


def official_params(record, shapes) -> dict:
    return {n: compare.official_tree(record, NAMES[n], shapes[n]) for n in NAMES}


@pytest.fixture(scope="module")
def ran():
    """Gradients at the official weights, and what two steps make of them."""
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        image = jnp.asarray(probe_image(6, 8, 8, 1), jnp.float64)
        z = jnp.asarray(compare.probe_latent(6, 10, -ROOT_3, ROOT_3), jnp.float64)
        patch.setattr(core, "draw_latent", lambda *_: z)
        state = compare.blank(SYSTEM.init, jax.random.key(0), {"image": image}, {})
        params = official_params(RECORD, state.params)
        wide = lambda x: x.astype(np.float64) if x.dtype == np.float32 else x  # noqa: E731
        opt_state = jax.tree.map(wide, state.opt_state)
        state = state.replace(params=params, opt_state=opt_state)
        fixed = core.Fixed(params, state.stats, {})
        real = SYSTEM._to_network(image)

        @jax.jit
        def run(state):
            def grads(system, name):
                loss = getattr(system, f"{name}_loss")
                (value, _), g = jax.value_and_grad(loss, has_aux=True)(
                    {name: params[name]}, fixed, real, z, key=jax.random.key(1)
                )
                return value, g[name]

            losses = {
                "D": grads(SYSTEM, "discriminator"),
                "G": grads(SYSTEM, "generator"),
            }
            for name in ("minimax", "blend"):
                system = dataclasses.replace(SYSTEM, loss=name)
                losses[f"G, {name}"] = grads(system, "generator")
            batch, key = {"image": image}, jax.random.key(0)
            first, metrics = SYSTEM.step(state, {}, batch, key)
            second, later = SYSTEM.step(first, {}, batch, key)
            return losses, first, second, metrics, later

        return jax.device_get((params, *run(state)))


def test_losses_and_gradients_are_the_official_ones(ran):
    for name, (value, gradients) in ran[1].items():
        entry = name.replace(", ", "_")
        compare.check_scalars(RECORD["losses"]["old"], {entry: value})
        network = "discriminator" if name == "D" else "generator"
        entries = RECORD["gradients"][f"old/{name}"]
        compare.check_tree(entries, RECORD, NAMES[network], gradients)


@pytest.mark.parametrize(("group", "i"), [("after_step", 2), ("after_two_steps", 3)])
def test_both_networks_move_at_once_with_momentum(ran, group, i):
    for name, names in NAMES.items():
        moved = jax.tree.map(np.subtract, ran[i].params[name], ran[0][name])
        compare.check_tree(RECORD[group]["updates"], RECORD, names, moved)


def test_losses_of_two_steps(ran):
    for name, metrics in (("step", ran[4]), ("step 2", ran[5])):
        ours = {"D": metrics["loss/discriminator"], "G": metrics["loss/generator"]}
        compare.check_scalars(RECORD["losses"][name], ours)


def test_full_size_networks_are_the_official_ones():
    system, record = GAN(dtype="float64"), RECORD["full_size"]
    with jax.enable_x64(True):
        image = jnp.asarray(probe_image(4, 28, 28, 1), jnp.float64)
        z = jnp.asarray(compare.probe_latent(4, 100, -ROOT_3, ROOT_3), jnp.float64)
        inputs = {"generator": z, "discriminator": system._to_network(image)}
        shapes = jax.eval_shape(system.init, jax.random.key(0), {"image": image}, {})
        for name, module in system.networks().items():
            own = official_params(
                {
                    "tensors": record["generator"]["tensors"]
                    | record["discriminator"]["tensors"]
                },
                shapes.params,
            )[name]
            out = jax.jit(
                lambda p, x, m=module: core.forward(m, p, {}, x, train=False)[0]
            )(own, inputs[name])
            out = np.asarray(out).reshape(record[name]["output"]["shape"])
            compare.check(record[name]["output"], out)
