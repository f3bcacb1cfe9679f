"""pix2pix against the official PyTorch model: same weights in, same numbers out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import core
from jaxgan.pretrained.probe import probe_image
from jaxgan.systems.pix2pix import Pix2Pix
from tests.parity import compare

RECORD = compare.load("pix2pix")
SYSTEM = Pix2Pix(
    image_size=128,
    generator_channels=8,
    discriminator_channels=8,
    dropout_layers=(),
    norm_groups=1,
    dtype="float64",
)


def generator_names(depth: int) -> dict[str, str]:
    """Our leaves to the names of the nested `UnetSkipConnectionBlock`s."""
    names, prefix = {}, "G.model.model"
    for i in range(1, depth + 1):
        first, last = i == 1, i == depth
        conv = 0 if first else 1
        up = 3 if first or last else 5
        names[f"down{i}/kernel"] = f"{prefix}.{conv}.weight"
        if not first and not last:
            for ours, theirs in NORM.items():
                names[f"down{i}_norm/batch/{ours}"] = f"{prefix}.2.{theirs}"
        j = depth + 1 - i  # decoder layers count from the innermost
        names[f"up{j}/kernel"] = f"{prefix}.{up}.weight"
        if first:
            names[f"up{j}/bias"] = f"{prefix}.{up}.bias"
        else:
            for ours, theirs in NORM.items():
                names[f"up{j}_norm/batch/{ours}"] = f"{prefix}.{up + 1}.{theirs}"
        prefix += f".{1 if first else 3}.model"
    return names


NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def discriminator_names(layers: int) -> dict[str, str]:
    names = {"conv1/kernel": "D.model.0.weight", "conv1/bias": "D.model.0.bias"}
    for i in range(layers):
        names[f"conv{i + 2}/kernel"] = f"D.model.{2 + 3 * i}.weight"
        for ours, theirs in NORM.items():
            names[f"conv{i + 2}_norm/batch/{ours}"] = f"D.model.{3 + 3 * i}.{theirs}"
    head = f"D.model.{2 + 3 * layers}"
    return names | {"head/kernel": f"{head}.weight", "head/bias": f"{head}.bias"}


NAMES = {"generator": generator_names(7), "discriminator": discriminator_names(3)}
STATISTICS = ("mean", "var")


def of(names: dict[str, str], statistics: bool) -> dict[str, str]:
    return {k: v for k, v in names.items() if k.endswith(STATISTICS) == statistics}


@pytest.fixture(scope="module")
def stepped():
    """The official weights, and what one step makes of them."""
    with jax.enable_x64(True):
        image = jnp.asarray(probe_image(4, 128, 128, 3), jnp.float64)
        batch = {"a": image[:2], "b": image[2:]}
        init = compare.blank(SYSTEM.init, jax.random.key(0), batch, {})
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
        to64 = lambda x: x.astype(np.float64) if x.dtype == np.float32 else x  # noqa: E731
        opt_state = jax.tree.map(to64, init.opt_state)
        state = init.replace(params=params, stats=stats, opt_state=opt_state)
        key = jax.random.key(0)

        @jax.jit
        def run(state):
            fixed = core.Fixed(state.params, state.stats, {})

            def grads(loss, name, fixed):
                trained = {name: state.params[name]}
                (_, out), g = jax.value_and_grad(loss, has_aux=True)(
                    trained, fixed, batch["a"], batch["b"], key=key
                )
                return g[name], out

            old = {
                "D": grads(SYSTEM.discriminator_loss, "discriminator", fixed),
                "G": grads(SYSTEM.generator_loss, "generator", fixed),
            }
            after, metrics = SYSTEM.step(state, {}, batch, key)
            moved = fixed.replace(
                params={**state.params, "discriminator": after.params["discriminator"]}
            )
            step = grads(SYSTEM.generator_loss, "generator", moved)
            fake, _ = SYSTEM._generate(
                state.params["generator"], state.stats["generator"], batch["a"], key
            )
            return fake, old, step, after, metrics

        return jax.device_get((state, *run(state)))


def test_the_fake_is_the_official_one(stepped):
    compare.check(RECORD["outputs"]["fake_B"], stepped[1])


def test_gradients_at_the_old_parameters(stepped):
    for player, name in (("D", "discriminator"), ("G", "generator")):
        gradients, _ = stepped[2][player]
        names = of(NAMES[name], False)
        entries = RECORD["gradients"][f"old/{player}"]
        compare.check_tree(entries, RECORD, names, gradients)


def test_the_generator_is_judged_by_the_updated_discriminator(stepped):
    gradients, _ = stepped[3]
    entries = RECORD["gradients"]["step/G"]
    compare.check_tree(entries, RECORD, of(NAMES["generator"], False), gradients)


def test_loss_terms_of_the_official_step(stepped):
    metrics = stepped[5]
    recorded = RECORD["losses"]["step"]
    ours = {
        "G_GAN": metrics["loss/generator/adversarial"],
        "G_L1": metrics["loss/generator/l1"],
        "D_real": 2 * metrics["loss/discriminator/real"],
        "D_fake": 2 * metrics["loss/discriminator/fake"],
        "D": metrics["loss/discriminator"],
    }
    compare.check_scalars(recorded, ours)


def test_updates_of_the_official_step(stepped):
    before, after = stepped[0], stepped[4]
    for name, names in NAMES.items():
        moved = jax.tree.map(np.subtract, after.params[name], before.params[name])
        entries = RECORD["after_step"]["updates"]
        # Adam's first step is the sign of a gradient: one that is zero but for
        # rounding decides nothing.
        compare.check_tree(entries, RECORD, of(names, False), moved, rtol=1e-4)


def test_running_statistics_of_the_official_step(stepped):
    stats = stepped[4].stats
    compare.check_tree(
        RECORD["after_step"]["statistics, D step only"],
        RECORD,
        of(NAMES["discriminator"], True),
        stats["discriminator"]["batch_stats"],
    )
    entries = RECORD["after_step"]["statistics"]
    names = of(NAMES["generator"], True)
    compare.check_tree(entries, RECORD, names, stats["generator"]["batch_stats"])
