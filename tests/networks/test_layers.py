"""Layers and norms against NumPy, and the traps of ports."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.networks.layers import Conv, ConvTranspose
from jaxgan.networks.norms import BatchNorm, InstanceNorm
from jaxgan.networks.patchgan import PatchDiscriminator, receptive_field
from jaxgan.networks.resnet import ResNetGenerator
from jaxgan.networks.unet import UNet

X = jax.random.normal(jax.random.key(2), (4, 6, 6, 3))


def test_cyclegan_check_02_a_stride_two_convolution_pads_both_sides_alike():
    """Torch's padding 1; SAME would pad nothing before."""
    layer = Conv(1, 3, 2, 1, use_bias=False)
    kernel = jnp.ones((3, 3, 1, 1))
    impulse = jnp.zeros((1, 4, 4, 1)).at[0, 0, 0, 0].set(1.0)
    out = layer.apply({"params": {"kernel": kernel}}, impulse)
    np.testing.assert_array_equal(out[0, :, :, 0], [[1.0, 0.0], [0.0, 0.0]])


def test_reflection_repeats_no_edge():
    layer = Conv(1, 3, padding=1, padding_mode="reflect", use_bias=False)
    kernel = jnp.zeros((3, 3, 1, 1)).at[0, 1].set(1.0)  # the pixel above
    ramp = jnp.arange(4.0).reshape(1, 4, 1, 1) * jnp.ones((1, 4, 4, 1))
    out = layer.apply({"params": {"kernel": kernel}}, ramp)
    np.testing.assert_array_equal(out[0, :, 0, 0], [1.0, 0.0, 1.0, 2.0])


def test_cyclegan_check_02_a_transposed_convolution_places_its_kernel_as_torch():
    layer = ConvTranspose(1, 3, output_padding=1, use_bias=False)
    kernel = jnp.arange(9.0).reshape(3, 3, 1, 1)
    impulse = jnp.zeros((1, 2, 2, 1)).at[0, 1, 1, 0].set(1.0)
    out = layer.apply({"params": {"kernel": kernel}}, impulse)[0, :, :, 0]
    expected = np.zeros((4, 4))
    expected[1:, 1:] = np.arange(9.0).reshape(3, 3)  # rows 2 * 1 - 1 ... unflipped
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("groups", [1, 2, 0])
def test_batch_norm_uses_each_group_s_own_statistics(groups):
    norm = BatchNorm(groups=groups)
    variables = norm.init(jax.random.key(0), X, train=True)
    y, new = norm.apply(variables, X, train=True, mutable=["batch_stats"])
    parts = np.split(np.asarray(X), groups or 4)
    scale = np.asarray(variables["params"]["scale"])
    axes = (0, 1, 2)
    expected = np.concatenate(
        [
            (p - p.mean(axes)) / np.sqrt(p.var(axes) + 1e-5) * scale
            for p in map(np.asarray, parts)
        ]
    )
    np.testing.assert_allclose(y, expected, atol=1e-5)
    mean = np.mean([p.mean(axes) for p in parts], axis=0)
    var = np.mean([p.var(axes, ddof=1) for p in parts], axis=0)
    np.testing.assert_allclose(new["batch_stats"]["mean"], 0.1 * mean, atol=1e-6)
    np.testing.assert_allclose(new["batch_stats"]["var"], 0.9 + 0.1 * var, atol=1e-6)


def test_batch_norm_at_test_time_ignores_the_batch():
    norm = BatchNorm()
    variables = norm.init(jax.random.key(0), X, train=True)
    y = norm.apply(variables, X, train=False)
    factor = variables["params"]["scale"] / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(y, X * factor, atol=1e-6)


def test_cyclegan_check_09_instance_norm_ignores_shifts():
    norm = InstanceNorm()
    shift = jax.random.normal(jax.random.key(3), (4, 1, 1, 3))
    np.testing.assert_allclose(norm.apply({}, X), norm.apply({}, X + shift), atol=2e-5)


def test_cyclegan_check_02_instance_norm_by_hand():
    norm, x = InstanceNorm(), np.asarray(X)
    expected = (x - x.mean((1, 2), keepdims=True)) / np.sqrt(
        x.var((1, 2), keepdims=True) + 1e-5
    )
    np.testing.assert_allclose(norm.apply({}, X), expected, atol=1e-5)


def test_statistics_of_half_precision_are_float32():
    x = (X + 30.0).astype(jnp.bfloat16)
    y = InstanceNorm().apply({}, x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(y, np.float32).mean((1, 2)), 0.0, atol=0.02)


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70), (5, 286)])
def test_receptive_fields_of_the_paper(layers, field):
    assert receptive_field(layers) == field


@pytest.mark.parametrize(("layers", "size"), [(1, 64), (2, 96), (3, 144)])
def test_pix2pix_check_03_a_logit_sees_exactly_its_patch(layers, size):
    net = PatchDiscriminator(2, layers, norm="none")
    x = jax.random.normal(jax.random.key(0), (1, size, size, 3))
    params = net.init(jax.random.key(1), x, train=True)

    def logit(x):
        y = net.apply(params, x, train=True)
        return y[0, y.shape[1] // 2, y.shape[2] // 2, 0]

    seen = np.abs(jax.jit(jax.grad(logit))(x)[0]).sum(-1) > 0
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    assert rows[-1] - rows[0] + 1 == columns[-1] - columns[0] + 1
    assert rows[-1] - rows[0] + 1 == receptive_field(layers)
    assert seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()


def test_generators_refuse_sizes_they_cannot_halve():
    x = jnp.zeros((1, 30, 32, 3))
    with pytest.raises(ValueError, match="multiples of 4"):
        jax.eval_shape(
            lambda: ResNetGenerator().init(jax.random.key(0), x, train=False)
        )
    with pytest.raises(ValueError, match="multiples of 32"):
        jax.eval_shape(
            lambda: UNet(num_downs=5).init(jax.random.key(0), x, train=False)
        )


def test_statistics_of_a_batch_of_unknown_size_are_exported():
    norm = BatchNorm()
    variables = norm.init(jax.random.key(0), X, train=True)

    @jax.jit
    def normalize(x):
        return norm.apply(variables, x, train=True, mutable=["batch_stats"])[0]

    (batch,) = jax.export.symbolic_shape("b")
    shape = jax.ShapeDtypeStruct((batch, *X.shape[1:]), X.dtype)
    exported = jax.export.export(normalize)(shape)
    np.testing.assert_allclose(exported.call(X), normalize(X), atol=1e-6)
