"""Networks of image translation at the papers' sizes: same weights, same numbers."""

import jax
import jax.numpy as jnp
import pytest

from jaxgan import core
from jaxgan.networks.patchgan import PatchDiscriminator, PixelDiscriminator
from jaxgan.networks.resnet import ResNetGenerator
from jaxgan.networks.unet import UNet
from jaxgan.pretrained.probe import probe_image
from tests.parity import compare

PIX2PIX, CYCLEGAN = compare.load("pix2pix"), compare.load("cyclegan")
WEIGHTS = {"kernel": "weight", "bias": "bias"}
NORM = {"scale": "weight", "bias": "bias"}
RUNNING = {"mean": "running_mean", "var": "running_var"}


def names_of(network, prefix: str) -> dict[str, str]:
    """Our leaves to the official names, also those that only some variants have."""
    modules, norms = {}, {}
    if isinstance(network, UNet):
        depth, at = network.num_downs, f"{prefix}.model.model"
        for i in range(1, depth + 1):
            first, last, j = i == 1, i == depth, depth + 1 - i
            up = 3 if first or last else 5
            modules |= {
                f"down{i}": f"{at}.{0 if first else 1}",
                f"up{j}": f"{at}.{up}",
            }
            norms |= {f"down{i}_norm": f"{at}.2", f"up{j}_norm": f"{at}.{up + 1}"}
            at += f".{1 if first else 3}.model"
    elif isinstance(network, ResNetGenerator):
        up = 10 + network.num_blocks
        layers = {"stem": 1, "down1": 4, "down2": 7, "up1": up, "up2": up + 3}
        modules = {layer: f"{prefix}.model.{i}" for layer, i in layers.items()}
        norms = {
            f"{layer}_norm": f"{prefix}.model.{i + 1}" for layer, i in layers.items()
        }
        modules["head"] = f"{prefix}.model.{up + 7}"
        for i in range(network.num_blocks):
            block = f"{prefix}.model.{10 + i}.conv_block"
            for j, k in ((1, 1), (2, 5)):
                modules[f"block{i + 1}/conv{j}"] = f"{block}.{k}"
                norms[f"block{i + 1}/norm{j}"] = f"{block}.{k + 1}"
    elif isinstance(network, PatchDiscriminator):
        layers = network.num_layers
        modules = {
            "conv1": f"{prefix}.model.0",
            "head": f"{prefix}.model.{2 + 3 * layers}",
        }
        for i in range(layers):
            modules[f"conv{i + 2}"] = f"{prefix}.model.{2 + 3 * i}"
            norms[f"conv{i + 2}_norm"] = f"{prefix}.model.{3 + 3 * i}"
    else:
        modules = {"conv1": f"{prefix}.net.0", "conv2": f"{prefix}.net.2"}
        modules["head"] = f"{prefix}.net.5"
        norms = {"conv2_norm": f"{prefix}.net.3"}
    names = {
        f"{ours}/{leaf}": f"{theirs}.{name}"
        for ours, theirs in modules.items()
        for leaf, name in WEIGHTS.items()
    }
    for ours, theirs in norms.items():
        for leaf, name in (NORM | RUNNING).items():
            names[f"{ours}/batch/{leaf}"] = f"{theirs}.{name}"
    return names


@pytest.mark.slow
@pytest.mark.parametrize(
    ("record", "entry", "network"),
    [
        (PIX2PIX, "unet_256, batch norm", UNet()),
        (PIX2PIX, "unet_256, instance norm", UNet(norm="instance")),
        (PIX2PIX, "unet_128, batch norm", UNet(num_downs=7, norm_groups=1)),
        *(
            (PIX2PIX, f"patchgan, n_layers {n}", PatchDiscriminator(num_layers=n))
            for n in (1, 2, 3, 4, 5)
        ),
        (PIX2PIX, "patchgan, n_layers 3, 3 channels", PatchDiscriminator()),
        (PIX2PIX, "pixel discriminator", PixelDiscriminator()),
        (CYCLEGAN, "resnet_9blocks", ResNetGenerator()),
        (CYCLEGAN, "resnet_6blocks", ResNetGenerator(num_blocks=6)),
        (
            CYCLEGAN,
            "resnet_9blocks, batch norm",
            ResNetGenerator(norm="batch", norm_groups=1),
        ),
        *(
            (
                CYCLEGAN,
                f"patchgan, n_layers {n}",
                PatchDiscriminator(num_layers=n, norm="instance"),
            )
            for n in (1, 5)
        ),
        (CYCLEGAN, "pixel discriminator", PixelDiscriminator(norm="instance")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_outputs_at_full_size(record, entry, network):
    entry = record["full_size"][entry]
    batch, height, width, channels = entry["input"]
    prefix = min(entry["tensors"]).split(".")[0]
    names = names_of(network, prefix)
    with jax.enable_x64(True):
        if channels == 6:  # condition and image are two pictures
            image = jnp.concatenate([*probe_image(2, height, width, 3)], axis=-1)[None]
        else:
            image = probe_image(batch, height, width, channels)
        image = jnp.asarray(image, jnp.float64)
        network = network.clone(dtype=jnp.float64)
        shapes = jax.eval_shape(
            lambda: network.init(jax.random.key(0), image, train=False)
        )
        variables = {}
        for kind, tree in shapes.items():
            of = {
                ours: theirs
                for ours, theirs in names.items()
                if theirs in entry["tensors"]
                and ours.endswith(tuple(RUNNING)) == (kind == "batch_stats")
            }
            variables[kind] = compare.official_tree(entry, of, tree)
        used = sum(x.size for x in jax.tree.leaves(variables["params"]))
        assert used == entry["parameters"]
        options = {"dropout": False} if isinstance(network, UNet) else {}
        run = jax.jit(lambda v, x: core.predict(network, v, x, train=True, **options))
        compare.check(entry["output"], run(variables, image))
