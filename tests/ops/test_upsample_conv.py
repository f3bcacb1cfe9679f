"""The folded enlargement against repeated pixels and a plain convolution."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.networks.layers import Conv, UpsampleConv
from jaxgan.ops import upsample_conv

CASES = {
    # name: (x shape, kernel shape, padding_mode)
    "k3_zero": ((2, 4, 5, 3), (3, 3, 3, 2), "zero"),
    "k3_reflect": ((2, 4, 5, 3), (3, 3, 3, 2), "reflect"),
    "k3_reflect_one_pixel": ((1, 1, 1, 2), (3, 3, 2, 2), "reflect"),
    "k5_zero": ((1, 3, 4, 2), (5, 5, 2, 3), "zero"),
    "k1_by_3": ((1, 3, 4, 2), (1, 3, 2, 3), "reflect"),
    "3d": ((1, 2, 3, 2, 2), (3, 3, 3, 2, 3), "zero"),
    "3d_reflect": ((1, 2, 3, 2, 2), (3, 3, 3, 2, 3), "reflect"),
}


def repeated(x, kernel, padding_mode):
    rank = x.ndim - 2
    for axis in range(1, rank + 1):
        x = jnp.repeat(x, 2, axis)
    around = ((0, 0), *((k // 2, k // 2) for k in kernel.shape[:rank]), (0, 0))
    x = jnp.pad(x, around, mode="constant" if padding_mode == "zero" else "reflect")
    names = ("NHWC", "HWIO", "NHWC") if rank == 2 else ("NDHWC", "DHWIO", "NDHWC")
    return lax.conv_general_dilated(
        x, kernel, (1,) * rank, "VALID", dimension_numbers=names
    )


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_repeated_pixels(name):
    x_shape, kernel_shape, mode = CASES[name]
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        x, kernel = (jnp.asarray(rng.normal(size=s)) for s in (x_shape, kernel_shape))
        expected, expected_pull = jax.vjp(lambda *a: repeated(*a, mode), x, kernel)
        value, pull = jax.vjp(lambda *a: upsample_conv(*a, mode), x, kernel)
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)
        cotangent = jnp.asarray(rng.normal(size=value.shape))
        for ours, theirs in zip(pull(cotangent), expected_pull(cotangent), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_the_layer_has_the_parameters_of_a_convolution(mode):
    x = jax.random.normal(jax.random.key(0), (2, 6, 4, 3))
    layer = UpsampleConv(5, padding_mode=mode)
    variables = layer.init(jax.random.key(1), x)
    conv = Conv(5, 3, padding=1, padding_mode=mode)
    enlarged = jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
    same = conv.init(jax.random.key(1), enlarged)
    jax.tree.map(np.testing.assert_array_equal, variables, same)
    variables = jax.tree.map(lambda leaf: leaf + 0.1, variables)
    expected = conv.apply(variables, enlarged)
    np.testing.assert_allclose(
        layer.apply(variables, x), expected, rtol=1e-5, atol=1e-6
    )
    half = UpsampleConv(5, padding_mode=mode, dtype="bfloat16").apply(variables, x)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(np.float32), expected, rtol=0.03, atol=0.01)


def test_it_costs_four_ninths():
    x, kernel = jnp.zeros((1, 64, 64, 8)), jnp.zeros((3, 3, 8, 8))

    def flops(function):
        compiled = jax.jit(jax.grad(lambda *a: jnp.sum(function(*a) ** 2), (0, 1)))
        return compiled.lower(x, kernel).compile().cost_analysis()["flops"]

    folded = flops(lambda *a: upsample_conv(*a))
    assert folded < 0.5 * flops(lambda *a: repeated(*a, "zero"))


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_sizes_may_be_symbolic(mode):
    kernel = jax.random.normal(jax.random.key(0), (3, 3, 2, 2))
    b, h, w = jax.export.symbolic_shape("b, h, w")
    exported = jax.export.export(jax.jit(lambda x: upsample_conv(x, kernel, mode)))(
        jax.ShapeDtypeStruct((b, h, w, 2), np.float32)
    )
    x = jax.random.normal(jax.random.key(1), (2, 3, 5, 2))
    np.testing.assert_allclose(
        exported.call(x), repeated(x, kernel, mode), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("kernel", "mode", "says"),
    [
        ((2, 2, 3, 3), "zero", "must be odd"),
        ((5, 5, 3, 3), "reflect", "at most 3"),
        ((3, 3, 3, 3), "symmetric", "choose 'zero' or 'reflect'"),
    ],
)
def test_what_it_cannot_do_is_refused(kernel, mode, says):
    with pytest.raises(ValueError, match=says):
        upsample_conv(jnp.zeros((1, 4, 4, 3)), jnp.zeros(kernel), mode)
