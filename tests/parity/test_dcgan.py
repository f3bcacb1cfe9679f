"""DCGAN in three lineages against the official codes: same weights, same numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import core
from jaxgan.networks.dcgan import dcgan_pair
from jaxgan.pretrained.probe import probe_image
from jaxgan.systems.dcgan import DCGAN
from tests.parity import compare

RECORDS = {
    "torch": compare.load("dcgan"),
    "theano": compare.load("dcgan_theano"),
    "tf": compare.load("dcgan_tf"),
}
WIDTHS = {"torch": 64, "theano": 128, "tf": 64}  # at full size
NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
STATISTICS = ("mean", "var")


def layer(ours: str, theirs: str, bias: bool) -> dict[str, str]:
    names = {f"{ours}/kernel": f"{theirs}.weight"}
    return names | ({f"{ours}/bias": f"{theirs}.bias"} if bias else {})


def norm(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}/{k}": f"{theirs}.{v}" for k, v in NORM.items()}


def names_of(lineage: str) -> dict[str, dict[str, str]]:
    if lineage == "torch":
        stem, ups = "G.main.0", [f"G.main.{i}" for i in (3, 6, 9, 12)]
        convs, head = [f"D.main.{i}" for i in (0, 2, 5, 8)], "D.main.11"
        generator_norms = [f"G.main.{i}" for i in (1, 4, 7, 10)]
        discriminator_norms = [f"D.main.{i}" for i in (3, 6, 9)]
    elif lineage == "theano":
        stem, ups = "G.gw", ["G.gw2", "G.gw3", "G.gw4", "G.gwx"]
        convs, head = ["D.dw", "D.dw2", "D.dw3", "D.dw4"], "D.dwy"
        generator_norms = ["G.bn", "G.bn2", "G.bn3", "G.bn4"]
        discriminator_norms = ["D.bn2", "D.bn3", "D.bn4"]
    else:
        stem, ups = "G.g_h0_lin", [f"G.g_h{i}" for i in (1, 2, 3, 4)]
        convs, head = [f"D.d_h{i}_conv" for i in range(4)], "D.d_h4_lin"
        generator_norms = [f"G.g_bn{i}" for i in range(4)]
        discriminator_norms = [f"D.d_bn{i}" for i in (1, 2, 3)]
    bias = lineage == "tf"
    generator = layer("stem", stem, bias) | norm("stem_norm", generator_norms[0])
    for i, name in enumerate(ups, 1):
        generator |= layer(f"up{i}", name, bias)
        if i < 4:
            generator |= norm(f"up{i}_norm", generator_norms[i])
    discriminator = layer("head", head, bias)
    for i, name in enumerate(convs, 1):
        discriminator |= layer(f"conv{i}", name, bias)
        if i > 1:
            discriminator |= norm(f"conv{i}_norm", discriminator_norms[i - 2])
    return {"generator": generator, "discriminator": discriminator}


def of(names: dict[str, str], statistics: bool) -> dict[str, str]:
    return {k: v for k, v in names.items() if k.endswith(STATISTICS) == statistics}


def system(lineage: str) -> DCGAN:
    return DCGAN(
        lineage=lineage,
        generator_channels=8,
        discriminator_channels=8,
        z_dim=20,
        l2=0.0,
        dtype="float64",
    )


def float64(tree):
    wide = lambda x: x.astype(np.float64) if x.dtype == np.float32 else x  # noqa: E731
    return jax.tree.map(wide, tree)


def official_state(lineage: str, batch) -> core.TrainState:
    """The official weights; where the official code keeps no statistics, ours."""
    record, names = RECORDS[lineage], names_of(lineage)
    state = jax.jit(system(lineage).init)(jax.random.key(0), batch, {})
    params, stats = {}, {}
    for n in names:
        params[n] = compare.official_tree(record, of(names[n], False), state.params[n])
        stats[n] = float64(state.stats[n])
        if lineage != "theano":
            own = state.stats[n]["batch_stats"]
            own = compare.official_tree(record, of(names[n], True), own)
            stats[n] = {"batch_stats": own}
    return state.replace(params=params, stats=stats, opt_state=float64(state.opt_state))


@pytest.fixture(scope="module", params=RECORDS)
def forwards(request):
    """Outputs, losses and gradients at the official weights."""
    lineage = request.param
    with jax.enable_x64(True):
        dcgan = system(lineage)
        real = jnp.asarray(probe_image(4, 64, 64, 3), jnp.float64)
        z = jnp.asarray(compare.probe_latent(8, 20)[:4], jnp.float64)
        state = official_state(lineage, {"image": real})
        fixed = core.Fixed(state.params, state.stats, {})

        @jax.jit
        def run(fixed):
            def grads(loss, name, *args):
                trained = {name: fixed.params[name]}
                value, g = jax.value_and_grad(loss, has_aux=True)(trained, fixed, *args)
                return value[0], g[name]

            minimax = dataclasses.replace(dcgan, loss="minimax")
            losses = {
                "D": grads(dcgan.discriminator_loss, "discriminator", real, z),
                "G": grads(dcgan.generator_loss, "generator", z),
                "G, minimax": grads(minimax.generator_loss, "generator", z),
            }
            nets, outputs = dcgan.networks(), {}
            for train, suffix in ((True, ""), (False, ", eval mode")):
                apply = lambda n, x, train=train: core.forward(  # noqa: E731
                    nets[n], fixed.params[n], fixed.stats[n], x, train=train
                )[0]
                fake = apply("generator", z)
                outputs["fake" + suffix] = fake
                outputs["logits_real" + suffix] = apply("discriminator", real)
                outputs["logits_fake" + suffix] = apply("discriminator", fake)
            return outputs, losses

        return lineage, *jax.device_get(run(fixed))


def test_outputs_are_the_official_ones(forwards):
    lineage, outputs, _ = forwards
    recorded = RECORDS[lineage]["outputs"]
    for name in recorded:
        if name not in ("z", "real"):
            compare.check(recorded[name], outputs[name])
    assert {"fake", "logits_real", "logits_fake"} <= recorded.keys()


def test_losses_and_gradients_are_the_official_ones(forwards):
    lineage, _, losses = forwards
    record, names = RECORDS[lineage], names_of(lineage)
    recorded = record["losses"]["old"]
    compare.check_scalars(recorded, {"D": losses["D"][0], "G": losses["G"][0]})
    compare.check_scalars(recorded, {"G_minimax": losses["G, minimax"][0]})
    for player, (_, gradients) in losses.items():
        network = "discriminator" if player == "D" else "generator"
        entries = record["gradients"][f"old/{player}"]
        compare.check_tree(entries, record, of(names[network], False), gradients)


@pytest.mark.slow
@pytest.mark.parametrize("lineage", RECORDS)
def test_full_size_networks_are_the_official_ones(lineage):
    record, width = RECORDS[lineage]["full_size"], WIDTHS[lineage]
    inputs = {
        "generator": compare.probe_latent(4, 100),
        "discriminator": probe_image(4, 64, 64, 3),
    }
    with jax.enable_x64(True):
        nets = dcgan_pair(64, 3, width, width, lineage=lineage, dtype=jnp.float64)
        for name, module in nets.items():
            x = jnp.asarray(inputs[name], jnp.float64)
            shapes = jax.eval_shape(
                lambda k, m=module, x=x: m.init(k, x, train=False), jax.random.key(0)
            )
            names = of(names_of(lineage)[name], False)
            params = compare.official_tree(record[name], names, shapes["params"])
            stats = jax.tree.map(
                lambda s: jnp.zeros(s.shape, jnp.float64), shapes["batch_stats"]
            )
            run = jax.jit(
                lambda p, s, x, m=module: core.forward(
                    m, p, {"batch_stats": s}, x, train=True
                )[0]
            )
            compare.check(record[name]["output"], run(params, stats, x))


@pytest.fixture(scope="module")
def stepped():
    """One step of the Torch lineage, its two draws of noise given."""
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        batch = {"image": jnp.asarray(probe_image(4, 64, 64, 3), jnp.float64)}
        noise = jnp.asarray(compare.probe_latent(8, 20), jnp.float64)
        patch.setattr(core, "draw_latent", lambda *_: noise.reshape(2, 4, 20))
        state = official_state("torch", batch)
        after, metrics = {}, {}
        for reuse in (False, True):
            dcgan = dataclasses.replace(system("torch"), reuse_noise=reuse)
            step = jax.jit(lambda s, b, k, d=dcgan: d.step(s, {}, b, k))
            after[reuse], metrics[reuse] = jax.device_get(
                step(state, batch, jax.random.key(0))
            )
        return state, after, metrics


def test_losses_of_a_step_with_fresh_and_with_reused_noise(stepped):
    recorded, metrics = RECORDS["torch"]["losses"], stepped[2]
    compare.check_scalars(
        recorded["step"],
        {
            "D": metrics[False]["loss/discriminator"],
            "G": metrics[False]["loss/generator"],
        },
    )
    compare.check_scalars(
        recorded["step, reuse_noise"], {"G": metrics[True]["loss/generator"]}
    )


def test_updates_of_a_step(stepped):
    before, after = stepped[0], stepped[1][False]
    for name, names in names_of("torch").items():
        moved = jax.tree.map(np.subtract, after.params[name], before.params[name])
        entries = RECORDS["torch"]["after_step"]["updates"]
        # Adam's first step is the sign of a gradient: one that is zero but for
        # rounding decides nothing.
        tree = of(names, False)
        compare.check_tree(entries, RECORDS["torch"], tree, moved, rtol=1e-4)


def test_the_discriminator_counts_its_own_passes_only(stepped):
    record, stats = RECORDS["torch"], stepped[1][False].stats
    names = of(names_of("torch")["discriminator"], True)
    entries = record["after_step"]["statistics, D step only"]
    own = stats["discriminator"]["batch_stats"]
    compare.check_tree(entries, record, names, own)
