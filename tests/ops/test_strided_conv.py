"""The convolution by phases or slices equals `lax`, and costs what it must."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.ops.conv_transpose import conv_transpose
from jaxgan.ops.strided_conv import strided_conv
from jaxgan.planning import hlo

CASES = {  # input size, window, strides, padding
    "dcgan_5x5_on_4x4": ((8, 8), (5, 5), (2, 2), ((2, 2), (2, 2))),
    "tensorflow_same": ((8, 8), (5, 5), (2, 2), ((1, 2), (1, 2))),
    "unet_4x4_on_2x2": ((4, 4), (4, 4), (2, 2), ((1, 1), (1, 1))),
    "unet_4x4_on_1x1": ((2, 2), (4, 4), (2, 2), ((1, 1), (1, 1))),
    "padding_alone_meets_some_taps": ((1, 2), (5, 5), (3, 3), ((3, 2), (2, 3))),
    "stride_beyond_the_window": ((7, 9), (2, 3), (4, 4), ((0, 1), (1, 1))),
    "an_axis_of_stride_one": ((5, 4), (5, 5), (2, 1), ((2, 1), (1, 1))),
    "voxels": ((8, 8, 6), (4, 4, 4), (2, 2, 2), ((1, 1), (1, 1), (1, 1))),
    "voxels_to_2x2x2": ((4, 4, 4), (4, 4, 4), (2, 2, 2), ((1, 1), (1, 1), (1, 1))),
    "odd_voxels": ((9, 8, 12), (3, 4, 5), (2, 1, 3), ((0, 2), (1, 1), (2, 1))),
    "large_map": ((16, 17), (4, 4), (2, 2), ((1, 1), (1, 1))),
    "stride_one": ((6, 6), (3, 3), (1, 1), ((1, 1), (1, 1))),
    "negative_padding": ((8, 8), (3, 3), (2, 2), ((-1, 1), (1, -2))),
}


def reference(x, kernel, strides, padding):
    names = ("NHWC", "HWIO", "NHWC") if x.ndim == 4 else ("NDHWC", "DHWIO", "NDHWC")
    return lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=names
    )


def arrays(size, window, inputs=3, outputs=5):
    x_key, kernel_key = jax.random.split(jax.random.key(0))
    x = jax.random.normal(x_key, (2, *size, inputs))
    return x, jax.random.normal(kernel_key, (*window, inputs, outputs))


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_equal_lax(case):
    size, window, strides, padding = CASES[case]

    def run(conv):
        def loss(x, kernel):
            y = conv(x, kernel, strides, padding)
            return jnp.sum(jnp.sin(y)), y

        return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(*arrays(size, window))

    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, atol=2e-4),
        run(strided_conv),
        run(reference),
    )


@pytest.mark.parametrize("case", ["dcgan_5x5_on_4x4", "tensorflow_same"])
def test_no_platform_gets_a_reversed_map_as_a_window(case):
    """XLA would take the map for the kernel; with unequal padding a GPU then computes
    with the zeros between the strides."""
    size, window, strides, padding = CASES[case]
    x, kernel = arrays(size, window)

    def reversed_windows(conv) -> tuple[int, float]:
        loss = lambda x, k: jnp.sum(jnp.sin(conv(x, k, strides, padding)))  # noqa: E731
        compiled = jax.jit(jax.grad(loss, (0, 1))).lower(x, kernel).compile()
        found = hlo.reversed_map_sized_windows(compiled, size=4)
        return len(found), hlo.flops(compiled)

    windows, flops = reversed_windows(strided_conv)
    assert windows == 0
    there, least = reversed_windows(reference)
    assert there == 1  # or XLA has changed, and the phases are not needed any more
    assert flops == pytest.approx(least)


def test_every_platform_lowers():
    """One program: two dimensions on a CPU, which is faster with them, else three."""
    x, kernel = arrays((8, 8, 8), (4, 4, 4))
    run = jax.jit(lambda x, k: strided_conv(x, k, (2,) * 3, ((1, 1),) * 3))
    exported = jax.export.export(run, platforms=("cpu", "cuda", "tpu"))(x, kernel)
    np.testing.assert_allclose(exported.call(x, kernel), run(x, kernel), atol=1e-5)
    for platform, dimensions in (("cuda", 3), ("cpu", 2)):
        text = jax.export.export(run, platforms=(platform,))(x, kernel).mlir_module()
        assert text.count("stablehlo.convolution") == 1
        assert f"stride = {[2] * dimensions}" in text


@pytest.mark.parametrize("case", ["dcgan_5x5_on_4x4", "voxels"])
def test_reverse_over_reverse_equals_lax(case):
    """In float64: entries of 3000 beside those of 1 say little in float32."""
    size, window, strides, padding = CASES[case]
    x, kernel = arrays(size, window)

    def penalty(conv):
        def loss(x, kernel):
            return jnp.sum(jnp.sin(conv(x, kernel, strides, padding)))

        return lambda k: jnp.sum(jnp.square(jax.grad(loss)(x, k)))

    with jax.enable_x64(True):
        x, kernel = np.float64(x), np.float64(kernel)
        ours, theirs = (
            jax.jit(jax.grad(penalty(c)))(kernel) for c in (strided_conv, reference)
        )
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", ["large_map", "tensorflow_same", "odd_voxels"])
def test_forward_mode_and_vmap_equal_lax(case):
    size, window, strides, padding = CASES[case]
    x, kernel = arrays(size, window)
    kernels = jnp.stack([kernel, 2 * kernel - 1])

    def run(conv):
        def slope(x, kernel):
            value = lambda x, k: conv(x, k, strides, padding)  # noqa: E731
            return jax.jvp(value, (x, kernel), (jnp.cos(x), jnp.sin(kernel)))

        def gradient(x, kernel):
            loss = lambda *args: jnp.sum(slope(*args)[1] ** 2)  # noqa: E731
            return jax.grad(loss, (0, 1))(x, kernel)

        mapped = jax.vmap(gradient, (None, 0))(x, kernels)
        return jax.jit(slope)(x, kernel), mapped

    for ours, theirs in zip(
        *(jax.tree.leaves(run(c)) for c in (strided_conv, reference))
    ):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-5)


def transposed(x, kernel):
    return conv_transpose(x, kernel, 2, ((1, 2), (1, 2)))


def strided(x, kernel):
    return strided_conv(x, kernel, (2, 2), ((1, 2), (1, 2)))


@pytest.mark.parametrize("function", [strided, transposed])
def test_a_loop_has_every_pass_in_the_order_of_axes_a_cpu_is_fast_in(function):
    """Inside loops XLA's CPU compiler leaves the order as it is written."""
    x, kernel = arrays((16, 16), (5, 5), inputs=4, outputs=4)

    def orders(conv) -> set[str]:
        def step(carry, _):
            x, kernel = carry
            loss = lambda x, k: jnp.sum(jnp.sin(conv(x, k)))  # noqa: E731
            gradients = jax.grad(loss, (0, 1))(x, kernel)
            return jax.tree.map(jnp.subtract, carry, gradients), None

        loop = jax.jit(lambda *carry: jax.lax.scan(step, carry, length=3)[0])
        text = loop.lower(x, kernel).compile().as_text()
        return set(re.findall(r" convolution\(.*dim_labels=([\w>-]+)", text))

    assert orders(function) == {"b01f_01io->b01f"}
    plain = lambda x, k: reference(x, k, (2, 2), ((1, 2), (1, 2)))  # noqa: E731
    assert len(orders(plain)) > 1  # or XLA has changed, and `_derivative` may go
