"""Convolutions as matrix products equal `lax`, and stand where they should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.ops import conv_as_dots, winograd
from jaxgan.ops.strided_conv import strided_conv
from tests.ops.test_strided_conv import reference

CASES = {  # size, window, strides, padding, channels, features
    "residual": ((6, 5), (3, 3), (1, 1), ((0, 0), (0, 0)), 3, 4),
    "unet": ((8, 6), (4, 4), (2, 2), ((1, 1), (1, 1)), 2, 3),
    "uneven": ((7, 9), (3, 4), (2, 3), ((0, 2), (2, 1)), 2, 3),
    "beyond_the_window": ((7, 9), (2, 3), (4, 4), ((0, 1), (1, 1)), 2, 3),
    "cut": ((8, 9), (3, 3), (2, 2), ((-1, 1), (1, -2)), 2, 3),
    "one_output": ((3, 4), (3, 3), (1, 1), ((0, 0), (0, 0)), 3, 4),
    "uneven_borders": ((7, 6), (3, 3), (1, 1), ((1, 1), (0, 2)), 3, 4),
    "two_windows": ((7, 8), (4, 3), (2, 1), ((1, 2), (1, 0)), 2, 3),
    "few": ((7, 8), (5, 3), (1, 1), ((2, 1), (0, 2)), 4, 2),
    "few_cut": ((9, 8), (3, 3), (1, 1), ((-1, 0), (2, -2)), 4, 1),
}


def arrays(case):
    size, window, strides, padding, channels, features = CASES[case]
    keys = jax.random.split(jax.random.key(0))
    x = jax.random.normal(keys[0], (2, *size, channels))
    kernel = jax.random.normal(keys[1], (*window, channels, features))
    return np.float64(x), np.float64(kernel), strides, padding


def is_tile(kernel, strides):
    return winograd.fits(kernel.shape[:2], strides)


def forms(kernel, strides):
    yield lambda *a: conv_as_dots.of_windows(*a, at_once=True)
    yield lambda *a: conv_as_dots.of_windows(*a, at_once=False)
    if max(strides) == 1:
        yield conv_as_dots.of_taps
        yield conv_as_dots.of_planes
    if is_tile(kernel, strides):
        yield winograd.of_tiles


@pytest.mark.parametrize("case", CASES)
def test_every_form_and_its_transposes_equal_lax(case):
    with jax.enable_x64(True):
        x, kernel, strides, padding = arrays(case)

        def run(conv):
            y, pull = jax.vjp(lambda x, k: conv(x, k, strides, padding), x, kernel)
            return y, *pull(jnp.cos(jnp.arange(y.size)).reshape(y.shape))

        wanted = run(reference)
        for form in forms(kernel, strides):
            for ours, theirs in zip(run(form), wanted, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def of_tiles_alone(x, kernel, strides, padding, worth):
    return is_tile(kernel, strides)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "chosen", [{"MANY": 0}, {"MANY": 1 << 22}, {"FEW": 0, "_tiled": of_tiles_alone}]
)
def test_a_convolution_of_products_has_all_derivatives(case, chosen, monkeypatch):
    """As layers that are wide enough have it."""
    for name, value in {"WIDE": 1, "FEW": 2, **chosen}.items():
        monkeypatch.setattr(conv_as_dots, name, value)
    jax.clear_caches()
    with jax.enable_x64(True):
        x, kernel, strides, padding = arrays(case)

        def run(conv):
            value = lambda x, k: conv(x, k, strides, padding)  # noqa: E731
            loss = lambda x, k: jnp.sum(jnp.sin(value(x, k)))  # noqa: E731
            gradients = jax.grad(loss, (0, 1))
            penalty = lambda x, k: sum(  # noqa: E731
                jnp.sum(jnp.square(g)) for g in gradients(x, k)
            )
            several = jnp.stack([kernel, 1 - kernel])
            return (
                jax.jvp(value, (x, kernel), (jnp.cos(x), jnp.sin(kernel))),
                jax.jit(jax.grad(penalty, (0, 1)))(x, kernel),
                jax.vmap(gradients, (None, 0))(x, several),
            )

        for ours, theirs in zip(
            *(jax.tree.leaves(run(conv)) for conv in (strided_conv, reference)),
            strict=True,
        ):
            scale = np.abs(theirs).max()
            np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-12)
    jax.clear_caches()


LAYERS = {  # maps, kernel, stride, padding; convolutions left on a CPU
    "pix2pix, down7": ((1, 4, 4, 512), (4, 4, 512, 512), 2, 1, 0),
    "CycleGAN, 64 px, residual": ((1, 18, 18, 256), (3, 3, 256, 256), 1, 0, 0),
    "CycleGAN, output": ((1, 38, 38, 64), (7, 7, 64, 3), 1, 0, 1),  # to its input
    "CycleGAN, 512 px, residual": ((1, 130, 130, 256), (3, 3, 256, 256), 1, 0, 0),
    "SRGAN, residual": ((1, 24, 24, 64), (3, 3, 64, 64), 1, 1, 2),  # forward a product
}


@pytest.mark.parametrize("layer", LAYERS)
def test_which_passes_become_products_on_a_cpu_and_on_no_other(layer):
    maps, kernel, stride, pad, left = LAYERS[layer]
    specs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (maps, kernel)]

    def loss(x, k):
        return jnp.sum(jnp.sin(strided_conv(x, k, (stride,) * 2, ((pad, pad),) * 2)))

    gradients = jax.jit(jax.grad(loss, (0, 1)))
    for platform, expected in (("cpu", left), ("cuda", 3)):
        exported = jax.export.export(gradients, platforms=(platform,))(*specs)
        found = exported.mlir_module().count("stablehlo.convolution")
        assert found == expected, platform


def test_a_symbolic_batch_exports_as_a_convolution():
    (b,) = jax.export.symbolic_shape("b")
    x = jax.ShapeDtypeStruct((b, 6, 6, 128), jnp.float32)
    kernel = jax.ShapeDtypeStruct((3, 3, 128, 128), jnp.float32)
    run = jax.jit(lambda x, k: strided_conv(x, k, (1, 1), ((0, 0), (0, 0))))
    exported = jax.export.export(run, platforms=("cpu",))(x, kernel)
    assert exported.mlir_module().count("stablehlo.convolution") == 1


@pytest.mark.parametrize("window, stride, bound", [(3, 1, 1.5), (4, 2, 2.5)])
def test_rounding_of_tiles_beside_that_of_a_plain_sum(window, stride, bound):
    keys = jax.random.split(jax.random.key(0))
    x = jax.random.normal(keys[0], (1, 18, 18, 256))
    kernel = jax.random.normal(keys[1], (window, window, 256, 64))
    layer = (stride,) * 2, ((1, 1), (1, 1))
    ours, plain = (conv(x, kernel, *layer) for conv in (winograd.of_tiles, reference))
    with jax.enable_x64(True):
        exact = np.asarray(reference(np.float64(x), np.float64(kernel), *layer))
    ours, plain = (np.std(np.asarray(y) - exact) for y in (ours, plain))
    assert ours < bound * plain
