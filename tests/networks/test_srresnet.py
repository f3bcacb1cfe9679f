"""SRResNet and its discriminator: shapes, initialisation, what a pixel sees."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import core
from jaxgan.networks.srresnet import (
    PReLU,
    ResidualBlock,
    SRDiscriminator,
    SRResNet,
    SubPixelUpsample,
)
from jaxgan.ops import pixel_shuffle_permutation


def start(network, *shape, **options):
    x = jax.random.normal(jax.random.key(1), shape)
    init = jax.jit(lambda: network.init(jax.random.key(0), x, **options))
    return x, init()


@pytest.mark.parametrize(
    ("network", "size", "parameters"),
    [
        (SRResNet(), 24, 1_547_350),
        (SRResNet(scale=2), 24, 1_399_637),
        (SRResNet(scale=8), 24, 1_695_063),
        (SRResNet(prelu_shared=False), 24, 1_548_547),
        (SRResNet(conv_bias=True), 24, 1_549_462),
        (SRResNet(num_blocks=2, base_channels=16), 8, 38_040),
        (SRDiscriminator(), 96, 23_563_649),
        (SRDiscriminator(head="gap", conv_bias=True), 96, 5_215_425),
        (SRDiscriminator(head="gap", conv_bias=True), 50, 5_215_425),
    ],
)
def test_check_01_parameter_counts(network, size, parameters):
    shapes = jax.eval_shape(
        lambda: network.init(
            jax.random.key(0), jnp.zeros((1, size, size, 3)), train=False
        )
    )
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes["params"])) == (
        parameters
    )


@pytest.mark.parametrize("train", [True, False])
def test_check_03_a_block_whose_last_scale_is_zero_returns_its_input(train):
    x, variables = start(ResidualBlock(), 2, 5, 6, 4, train=True)
    params = variables["params"]
    params["norm2"]["scale"] = jnp.zeros(4)
    y = core.predict(ResidualBlock(), variables, x, train=train)
    np.testing.assert_array_equal(y, x)
    params["norm2"]["scale"] = jnp.ones(4)
    assert np.abs(core.predict(ResidualBlock(), variables, x, train=train) - x).max()


def test_check_04_a_torch_kernel_is_permuted_to_the_other_channel_order():
    torch, ours = SubPixelUpsample(shuffle_order="torch"), SubPixelUpsample()
    x, variables = start(torch, 2, 3, 4, 5)
    permutation = pixel_shuffle_permutation(5, 2)
    conv = variables["params"]["conv"]
    bias = jax.random.normal(jax.random.key(2), conv["bias"].shape)
    conv["bias"] = bias
    moved = {"kernel": conv["kernel"][..., permutation], "bias": bias[permutation]}
    permuted = {"params": {**variables["params"], "conv": moved}}
    expected = torch.apply(variables, x)
    np.testing.assert_array_equal(ours.apply(permuted, x), expected)
    assert np.abs(ours.apply(variables, x) - expected).max() > 0.1


@pytest.mark.parametrize("order", ["depth_to_space", "torch"])
def test_icnr_starts_as_a_nearest_neighbour_enlargement(order):
    network = SubPixelUpsample(icnr=True, shuffle_order=order)
    x, variables = start(network, 1, 4, 4, 3)
    y = network.apply(variables, x)
    blocks = y.reshape(1, 4, 2, 4, 2, 3)
    np.testing.assert_array_equal(
        blocks, np.broadcast_to(blocks[:, :, :1, :, :1], blocks.shape)
    )
    plain = SubPixelUpsample(shuffle_order=order)
    y = plain.apply(start(plain, 1, 4, 4, 3)[1], x).reshape(1, 4, 2, 4, 2, 3)
    assert np.abs(y[:, :, 0] - y[:, :, 1]).max() > 0.1


@pytest.mark.parametrize("upsample", ["pixel_shuffle", "resize_conv"])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_the_halo_is_as_far_as_a_pixel_sees(scale, upsample):
    network = SRResNet(scale, num_blocks=1, base_channels=2, upsample=upsample)
    size, place = 31, 15
    x, variables = start(network, 1, size, size, 3, train=False)

    def corner(x):
        y = core.predict(network, variables, x, train=False)
        return jnp.sum(jnp.sin(y[0, scale * place, scale * place + scale - 1]))

    seen = np.abs(jax.jit(jax.grad(corner))(x)[0]).max(axis=-1)
    rows, columns = (np.flatnonzero(seen.max(axis=i)) for i in (1, 0))
    reach = max(place - rows[0], columns[-1] - place)
    assert network.halo == 10
    assert reach == 10 if upsample == "pixel_shuffle" else 7 < reach <= 10
    # The first row of a pixel's block looks up as far as its last column to the right.
    assert place - rows[0] == columns[-1] - place


def test_prelu_slopes():
    x = jnp.asarray([[[[-2.0, 4.0], [1.0, -8.0]]]])
    for shared, slopes in ((True, ()), (False, (2,))):
        network = PReLU(shared)
        variables = network.init(jax.random.key(0), x)
        assert variables["params"]["slope"].shape == slopes
        np.testing.assert_array_equal(
            network.apply(variables, x), [[[[-0.5, 4.0], [1.0, -2.0]]]]
        )


def test_prelu_sums_its_slope_s_gradient_in_float32():
    x = -jnp.ones((1, 64, 64, 1), jnp.bfloat16)
    network = PReLU()
    variables = network.init(jax.random.key(0), x)
    total = lambda v: jnp.sum(network.apply(v, x).astype(jnp.float32))  # noqa: E731
    gradient = jax.grad(total)(variables)["params"]["slope"]
    assert gradient.dtype == jnp.float32 and gradient == -4096


def test_the_discriminator_pads_both_ends_of_an_even_side():
    network = SRDiscriminator(base_channels=2, dense_units=4, head="gap")
    image, variables = start(network, 1, 16, 16, 3, train=False)
    conv1 = variables["params"]["conv1"]
    # One pixel in the first corner: with torch's padding (1, 1) the stride-2 layer sees
    # it at its window's middle, with TensorFlow's (0, 1) at its beginning.
    conv1["kernel"] = jnp.zeros((3, 3, 3, 2)).at[1, 1].set(1.0)
    kernel = jnp.zeros((3, 3, 2, 2)).at[1, 1].set(1.0)
    variables["params"]["conv2"]["kernel"] = kernel
    for name in (f"conv{i}" for i in range(3, 9)):
        shape = variables["params"][name]["kernel"].shape
        variables["params"][name]["kernel"] = jnp.zeros(shape).at[1, 1].set(1.0)

    def logit(x):
        return jnp.sum(core.predict(network, variables, x, train=False))

    gradient = jax.grad(logit)(jnp.abs(image) + 0.1)
    seen = np.flatnonzero(np.abs(gradient).sum(axis=(0, 2, 3)))
    np.testing.assert_array_equal(seen, [0])


@pytest.mark.parametrize("scale", [3, 16])
def test_other_scales_are_refused(scale):
    with pytest.raises(ValueError, match="scale"):
        start(SRResNet(scale), 1, 4, 4, 3, train=False)
