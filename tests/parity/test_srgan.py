"""SRResNet and SRGAN against a PyTorch port's networks: same weights, same numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import core, losses
from jaxgan.networks.srresnet import SRDiscriminator, SRResNet
from jaxgan.pretrained import VGG, LoadedWeights, extract
from jaxgan.pretrained.probe import probe_image, probe_tensor
from jaxgan.pretrained.vgg import source_modules
from jaxgan.systems.srgan import SRGAN
from tests.parity import compare

pytestmark = [pytest.mark.slow, pytest.mark.picked]  # a minute
RECORD = compare.load("srgan")
SYSTEM = SRGAN(
    image_size=32,
    num_blocks=2,
    generator_channels=8,
    discriminator_channels=8,
    dtype="float64",
    vgg_dtype="float64",
)
NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
STATISTICS = ("mean", "var")


def layer(ours: str, theirs: str, *leaves: str) -> dict[str, str]:
    """Leaves of one layer; `kernel`, `bias` or `slope`, or those of a norm."""
    table = {"kernel": "weight", "slope": "weight", "bias": "bias", **NORM}
    return {f"{ours}/{leaf}": f"{theirs}.{table[leaf]}" for leaf in leaves}


def generator_names(blocks: int, ups: int) -> dict[str, str]:
    names = layer("stem", "G.conv1.0", "kernel", "bias")
    names |= layer("stem_prelu", "G.conv1.1", "slope")
    for i in range(blocks):
        for j, (part, leaves) in enumerate(
            {
                "conv1": ("kernel",),
                "norm1": NORM,
                "prelu": ("slope",),
                "conv2": ("kernel",),
                "norm2": NORM,
            }.items()
        ):
            names |= layer(f"block{i + 1}/{part}", f"G.trunk.{i}.rcb.{j}", *leaves)
    names |= layer("mid", "G.conv2.0", "kernel") | layer("mid_norm", "G.conv2.1", *NORM)
    for i in range(ups):
        theirs = f"G.upsampling.{i}.upsample_block"
        names |= layer(f"up{i + 1}/conv", f"{theirs}.0", "kernel", "bias")
        names |= layer(f"up{i + 1}/prelu", f"{theirs}.2", "slope")
    return names | layer("head", "G.conv3", "kernel", "bias")


def discriminator_names(gap: bool = False) -> dict[str, str]:
    trunk = "D.net" if gap else "D.features"
    dense, head = ("D.net.24", "D.net.26") if gap else ("D.classifier.0",) * 2
    head = head if gap else "D.classifier.2"
    names = layer("conv1", f"{trunk}.0", "kernel", "bias")
    for i in range(1, 8):
        leaves = ("kernel", "bias") if gap else ("kernel",)
        names |= layer(f"conv{i + 1}", f"{trunk}.{3 * i - 1}", *leaves)
        names |= layer(f"conv{i + 1}_norm", f"{trunk}.{3 * i}", *NORM)
    names |= layer("dense", dense, "kernel", "bias")
    return names | layer("head", head, "kernel", "bias")


NAMES = {"generator": generator_names(2, 2), "discriminator": discriminator_names()}


def of(names: dict[str, str], statistics: bool) -> dict[str, str]:
    return {k: v for k, v in names.items() if k.endswith(STATISTICS) == statistics}


def official(record, names, variables):
    """The official weights in place of `variables`."""
    return {
        "params": compare.official_tree(record, of(names, False), variables["params"]),
        "batch_stats": compare.official_tree(
            record, of(names, True), variables["batch_stats"]
        ),
    }


def vgg_weights() -> LoadedWeights:
    module = VGG(depth=19, taps=("relu5_4",))
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    params = {}
    for theirs, ours in source_modules(19).items():
        if theirs.startswith("features") and ours in shapes["params"]:
            *window, fan_in, fan_out = shapes["params"][ours]["kernel"].shape
            kernel = probe_tensor(f"{theirs}.weight", (fan_out, fan_in, *window))
            bias = probe_tensor(f"{theirs}.bias", (fan_out,))
            params[ours] = {
                "kernel": jnp.asarray(kernel.transpose(2, 3, 1, 0), jnp.float64),
                "bias": jnp.asarray(bias, jnp.float64),
            }
    return LoadedWeights({"params": params}, "vgg19", "torchvision", "", "probe")


@dataclasses.dataclass
class Stepped:
    """What the official weights give; arrays of the host."""

    state: core.TrainState
    outputs: dict
    gradients: dict
    terms: dict
    after: dict  # {step: (state, metrics)}


@pytest.fixture(scope="module")
def stepped() -> Stepped:
    with jax.enable_x64(True):
        lr = jnp.asarray(probe_image(2, 8, 8, 3, 0.0, 1.0), jnp.float64)
        hr = jnp.asarray(probe_image(2, 32, 32, 3), jnp.float64)
        batch, key = {"lr": lr, "hr": hr}, jax.random.key(0)
        frozen = {"vgg19": vgg_weights()}
        state = compare.blank(SYSTEM.init, key, batch, frozen)
        variables = {
            n: official(RECORD, NAMES[n], {"params": state.params[n], **state.stats[n]})
            for n in NAMES
        }
        to64 = lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x  # noqa: E731
        state = state.replace(
            params={n: v["params"] for n, v in variables.items()},
            stats={n: {"batch_stats": v["batch_stats"]} for n, v in variables.items()},
            opt_state=jax.tree.map(to64, state.opt_state),
        )
        small = jnp.asarray(probe_image(1, 5, 7, 3, 0.0, 1.0), jnp.float64)
        values = jax.jit(evaluate)(state, frozen, batch, small)
        return Stepped(*jax.device_get((state, *values)))


def evaluate(state, frozen, batch, small):
    lr, hr = batch["lr"], batch["hr"]
    networks, fixed = SYSTEM.networks(), core.Fixed(state.params, state.stats, frozen)
    generator = {"generator": state.params["generator"]}

    def run(name, image, train, params=state.params):
        return core.forward(
            networks[name], params[name], state.stats[name], image, train=train
        )[0]

    sr = run("generator", lr, True)
    outputs = {
        "lr": lr,
        "hr": hr,
        "sr": sr,
        "logits_real": run("discriminator", hr, True),
        "logits_fake": run("discriminator", sr, True),
        "sr, eval mode": run("generator", lr, False),
        "logits_real, eval mode": run("discriminator", hr, False),
        "sr of 5 x 7, eval mode": run("generator", small, False),
    }
    for convention in ("torchvision", "caffe"):
        weights = dataclasses.replace(frozen["vgg19"], convention=convention)
        network = VGG(depth=19, taps=("relu2_2", "relu5_4"), dtype=jnp.float64)
        for tap, features in extract(network, weights, hr).items():
            outputs[f"{tap} of hr, {convention}"] = features

    gradients, terms = {}, {}

    def differentiate(name, loss, trained, fixed, *args):
        grads, out = jax.grad(lambda t: _swap(loss(t, fixed, *args)), has_aux=True)(
            trained
        )
        gradients[name] = next(iter(grads.values()))
        terms[name] = out[1].metrics, out[0]

    weights = dataclasses.replace(frozen["vgg19"], convention="caffe")
    caffe = fixed.replace(frozen={"vgg19": weights})

    def one(name, fixed=fixed, **changes):
        system = dataclasses.replace(SYSTEM, **changes)
        differentiate(name, system.generator_loss, generator, fixed, lr, hr)

    alone = {"lambda_adversarial": 0.0}
    one("old/G mse", content="mse", **alone)
    one("old/G vgg54", content="vgg54", **alone)
    one("old/G vgg22", content="vgg22", **alone)
    one("old/G vgg54_caffe", caffe, **alone)
    one("old/G")
    adversarial = {"vgg_rescale": 0.0, "lambda_adversarial": 1.0}
    one("old/G adversarial", **adversarial)
    discriminator = {"discriminator": state.params["discriminator"]}
    differentiate("old/D", SYSTEM.discriminator_loss, discriminator, fixed, hr, sr)

    def tv(trained, fixed):
        return losses.total_variation(run("generator", lr, True, trained)), core.Out()

    differentiate("old/G tv", tv, generator, fixed)
    key = jax.random.key(0)
    after = {"srgan": SYSTEM.srgan_step(state, frozen, batch, key)}
    moved = fixed.replace(params=state.params | {"discriminator": None})
    moved.params["discriminator"] = after["srgan"][0].params["discriminator"]
    one("step/G", fixed=moved)
    one("step/G adversarial", fixed=moved, **adversarial)
    after["mse"] = SYSTEM.srresnet_step(state, frozen, batch, key)
    after["mse, again"] = SYSTEM.srresnet_step(after["mse"][0], frozen, batch, key)
    g_first = dataclasses.replace(SYSTEM, update_order="g_first")
    after["g_first"] = g_first.srgan_step(state, frozen, batch, key)
    return outputs, gradients, terms, after


def _swap(result):
    return result[0], result


def test_outputs_of_all_networks(stepped):
    assert stepped.outputs.keys() == RECORD["outputs"].keys()
    for name, array in stepped.outputs.items():
        compare.check(RECORD["outputs"][name], array)


def test_gradients_of_every_loss(stepped):
    for name, gradients in stepped.gradients.items():
        network = "discriminator" if name == "old/D" else "generator"
        names, entries = of(NAMES[network], False), RECORD["gradients"][name]
        compare.check_tree(entries, RECORD, names, gradients)


def test_loss_terms(stepped):
    old = RECORD["losses"]["old"]
    total = {name: value for name, (_, value) in stepped.terms.items()}
    ours = {
        "mse": total["old/G mse"],
        "vgg54": total["old/G vgg54"],
        "vgg22": total["old/G vgg22"],
        "vgg54_caffe": total["old/G vgg54_caffe"],
        "tv": total["old/G tv"],
        "G": total["old/G"],
        "D": total["old/D"],
        "adversarial": stepped.terms["old/G"][0]["adversarial"] / 1e-3,
    }
    compare.check_scalars(old, ours)


def test_loss_terms_of_the_steps(stepped):
    recorded, metrics = RECORD["losses"]["step"], stepped.after["srgan"][1]
    ours = {
        "vgg54": metrics["loss/generator/vgg54"],
        "adversarial": metrics["loss/generator/adversarial"] / 1e-3,
        "G": metrics["loss/generator"],
        "D": metrics["loss/discriminator"],
    }
    compare.check_scalars(recorded, ours)
    again = stepped.after["mse, again"][1]["loss/srresnet/mse"]
    compare.check_scalars(RECORD["losses"]["step 2, mse"], {"mse": again})


@pytest.mark.parametrize(
    ("step", "group", "networks"),
    [
        ("mse", "after_step, mse", ("generator",)),
        ("srgan", "after_step", ("generator", "discriminator")),
        ("g_first", "after_step, g_first", ("generator",)),
    ],
)
def test_updates_of_the_steps(stepped, step, group, networks):
    for name in networks:
        moved = jax.tree.map(
            np.subtract, stepped.after[step][0].params[name], stepped.state.params[name]
        )
        # Adam's first step is the sign of a gradient: one that is zero but for
        # rounding decides nothing.
        entries = RECORD[group]["updates"]
        compare.check_tree(entries, RECORD, of(NAMES[name], False), moved, rtol=1e-4)


def test_running_statistics_of_the_steps(stepped):
    for step, group, name in (
        ("mse", RECORD["after_step, mse"]["statistics"], "generator"),
        ("srgan", RECORD["after_step"]["statistics"], "generator"),
        ("srgan", RECORD["after_step"]["statistics, D step only"], "discriminator"),
    ):
        stats = stepped.after[step][0].stats[name]["batch_stats"]
        compare.check_tree(group, RECORD, of(NAMES[name], True), stats)


@pytest.mark.parametrize(
    ("entry", "network", "names"),
    [
        ("srresnet x2", SRResNet(scale=2), generator_names(16, 1)),
        ("srresnet x4", SRResNet(scale=4), generator_names(16, 2)),
        ("srresnet x8", SRResNet(scale=8), generator_names(16, 3)),
        ("discriminator, 96 px", SRDiscriminator(), discriminator_names()),
        (
            "discriminator, pooled head, 48 px",
            SRDiscriminator(head="gap", conv_bias=True),
            discriminator_names(gap=True),
        ),
    ],
)
def test_networks_at_full_size(entry, network, names):
    record = RECORD["full_size"][entry]
    low = 0.0 if isinstance(network, SRResNet) else -1.0
    with jax.enable_x64(True):
        image = jnp.asarray(probe_image(*record["input"], low, 1.0), jnp.float64)
        network = network.clone(dtype=jnp.float64)
        shapes = jax.eval_shape(
            lambda: network.init(jax.random.key(0), image, train=False)
        )
        variables = official(record, names, shapes)
        assert (
            sum(x.size for x in jax.tree.leaves(variables["params"]))
            == (record["parameters"])
        )
        run = jax.jit(lambda v, x: core.predict(network, v, x, train=True))
        compare.check(record["output"], run(variables, image))


def test_vgg_features_at_full_size():
    with jax.enable_x64(True):
        image = jnp.asarray(probe_image(2, 96, 96, 3), jnp.float64)
        network = VGG(depth=19, taps=("relu2_2", "relu5_4"), dtype=jnp.float64)
        features = jax.jit(extract, static_argnums=0)(network, vgg_weights(), image)
        for tap, values in features.items():
            entry = RECORD["full_size"][f"vgg19 {tap}, 96 px"]
            compare.check(entry["output"], values)
