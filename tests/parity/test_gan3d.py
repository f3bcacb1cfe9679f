"""3D-GAN against its transcription in PyTorch: same weights in, same numbers out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import core
from jaxgan.systems.gan3d import GAN3D
from tests.parity import compare

pytestmark = [pytest.mark.slow, pytest.mark.picked]  # a minute
RECORD = compare.load("gan3d")
SYSTEM = GAN3D(z_dim=16, channels=(32, 16, 8, 4), dtype="float64")
NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
STATISTICS = ("mean", "var")


def names(letter: str, layer: str, first: str, last: str) -> dict[str, str]:
    """Our leaves to official names; `first` and `last` are layers 1 and 5."""
    found = {}
    for i in range(1, 6):
        ours = {1: first, 5: last}.get(i, f"{layer}{i}/kernel")
        found[ours] = f"{letter}.layer{i}.0.weight"
        if i < 5:
            for mine, theirs in NORM.items():
                found[f"{layer}{i}_norm/{mine}"] = f"{letter}.layer{i}.1.{theirs}"
    return found


NAMES = {
    "generator": names("G", "up", "up1_kernel", "up5/kernel"),
    "discriminator": names("D", "conv", "conv1/kernel", "head_kernel"),
}


def of(names: dict[str, str], statistics: bool) -> dict[str, str]:
    return {k: v for k, v in names.items() if k.endswith(STATISTICS) == statistics}


@pytest.fixture(scope="module")
def stepped():
    """The official weights, and what one step with the recorded noise makes of them."""
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        voxels = jnp.asarray(compare.probe_voxels(4, 64), jnp.float64)
        z = jnp.asarray(compare.probe_latent(8, 16, 0.0, 1.0), jnp.float64)
        draws = iter((z[:4], z[4:]))
        patch.setattr(core, "draw_latent", lambda *_: next(draws))
        init = compare.blank(SYSTEM.init, jax.random.key(0), {"voxels": voxels}, {})
        params = {
            n: compare.official_tree(RECORD, of(NAMES[n], False), init.params[n])
            for n in NAMES
        }
        stats = {
            n: {
                "batch_stats": compare.official_tree(
                    RECORD, of(NAMES[n], True), init.stats[n]["batch_stats"]
                )
            }
            for n in NAMES
        }
        to64 = lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x  # noqa: E731
        state = init.replace(
            params=jax.tree.map(jnp.asarray, params),
            stats=jax.tree.map(jnp.asarray, stats),
            opt_state=jax.tree.map(to64, init.opt_state),
        )

        @jax.jit
        def run(state):
            def grads(state, loss, name, *args):
                fixed = core.Fixed(state.params, state.stats, {})
                trained = {name: state.params[name]}
                return jax.grad(lambda t: loss(t, fixed, *args)[0])(trained)[name]

            old_d = grads(
                state, SYSTEM.discriminator_loss, "discriminator", voxels, z[:4]
            )
            batch = {"voxels": voxels}
            after, metrics = SYSTEM.step(state, {}, batch, jax.random.key(0))
            # Where G's own update looks: the new D beside the old G.
            new = {"discriminator": after.params["discriminator"]}
            between = state.replace(params={**state.params, **new})
            step_g = grads(between, SYSTEM.generator_loss, "generator", z[4:])
            fake, _ = core.forward(
                SYSTEM.networks()["generator"],
                state.params["generator"],
                state.stats["generator"],
                z[:4],
                train=True,
            )
            return fake, old_d, step_g, after, metrics

        return jax.device_get((state, *run(state)))


def test_the_fake_is_the_official_one(stepped):
    compare.check(RECORD["outputs"]["fake"], stepped[1])


def test_gradients_of_the_official_step(stepped):
    for entries, name, gradients in (
        ("old/D", "discriminator", stepped[2]),
        ("step/G", "generator", stepped[3]),
    ):
        compare.check_tree(
            RECORD["gradients"][entries], RECORD, of(NAMES[name], False), gradients
        )


def test_losses_and_accuracy_of_the_official_step(stepped):
    metrics, recorded = stepped[5], RECORD["losses"]["step"]
    ours = {"D": metrics["loss/discriminator"], "G": metrics["loss/generator"]}
    compare.check_scalars(recorded, ours)
    accuracy = RECORD["losses"]["old"]["accuracy"]
    assert metrics["accuracy/discriminator"] == pytest.approx(accuracy)


def test_updates_and_statistics_of_the_official_step(stepped):
    before, after = stepped[0], stepped[4]
    for name in NAMES:
        moved = jax.tree.map(np.subtract, after.params[name], before.params[name])
        compare.check_tree(
            RECORD["after_step"]["updates"],
            RECORD,
            of(NAMES[name], False),
            moved,
            rtol=1e-4,
        )
    compare.check_tree(
        RECORD["after_step"]["statistics, D step only"],
        RECORD,
        of(NAMES["discriminator"], True),
        after.stats["discriminator"]["batch_stats"],
    )
