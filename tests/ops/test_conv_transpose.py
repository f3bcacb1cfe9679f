"""Transposed convolution against its definition, autodiff, and in compiled form."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.ops import conv_transpose

CASES = {
    # name: (x shape, kernel shape, stride, padding, output_padding)
    "k4s2p1": ((2, 3, 5, 3), (4, 4, 2, 3), 2, 1, 0),
    "k3s2p1_output_padding": ((2, 4, 3, 3), (3, 3, 2, 3), 2, 1, 1),
    "k5s2_same": ((2, 3, 4, 2), (5, 5, 3, 2), 2, ((1, 2), (1, 2)), 0),
    "k4s1p0_from_one_pixel": ((2, 1, 1, 4), (4, 4, 3, 4), 1, 0, 0),
    "k7s1p3": ((1, 5, 6, 2), (7, 7, 3, 2), 1, 3, 0),
    "per_axis": ((2, 3, 4, 2), (3, 5, 3, 2), (1, 3), (1, (2, 0)), (0, 2)),
    "3d_k4s2p1": ((2, 2, 3, 2, 3), (4, 4, 4, 2, 3), 2, 1, 0),
    "3d_k3s2p1_output_padding": ((1, 2, 2, 3, 2), (3, 3, 3, 2, 2), 2, 1, 1),
}


def _case(name, dtype=np.float32):
    x_shape, kernel_shape, *rest = CASES[name]
    rng = np.random.default_rng(0)
    x, kernel = (rng.normal(size=s).astype(dtype) for s in (x_shape, kernel_shape))
    return x, kernel, rest


def _torch_semantics(x, kernel, stride, padding, output_padding):
    """Each pixel stamps its kernel onto the output; then the padding is cut off."""
    rank = x.ndim - 2
    strides = (stride,) * rank if isinstance(stride, int) else stride
    extra = (
        (output_padding,) * rank if isinstance(output_padding, int) else output_padding
    )
    padding = (padding,) * rank if isinstance(padding, int) else padding
    pads = [(p, p) if isinstance(p, int) else p for p in padding]
    window, out_channels = kernel.shape[:-2], kernel.shape[-2]
    full = [
        (n - 1) * s + k + e for n, s, k, e in zip(x.shape[1:-1], strides, window, extra)
    ]
    out = np.zeros((x.shape[0], *full, out_channels), x.dtype)
    for position in np.ndindex(*x.shape[1:-1]):
        place = tuple(
            slice(p * s, p * s + k) for p, s, k in zip(position, strides, window)
        )
        pixel = x[(slice(None), *position)]
        out[(slice(None), *place)] += np.einsum("bi,...oi->b...o", pixel, kernel)
    crop = tuple(slice(lo, n - hi) for (lo, hi), n in zip(pads, full))
    return out[(slice(None), *crop)]


def _lax_conv_transpose(x, kernel, stride, padding, output_padding):
    """The same map by `lax.conv_transpose`, whose gradients autodiff derives."""
    rank = x.ndim - 2
    strides = (stride,) * rank if isinstance(stride, int) else stride
    extra = (
        (output_padding,) * rank if isinstance(output_padding, int) else output_padding
    )
    padding = (padding,) * rank if isinstance(padding, int) else padding
    pads = [(p, p) if isinstance(p, int) else p for p in padding]
    names = ("NHWC", "HWIO", "NHWC") if rank == 2 else ("NDHWC", "DHWIO", "NDHWC")
    return lax.conv_transpose(
        x,
        kernel,
        strides,
        [
            (k - 1 - lo, k - 1 - hi + e)
            for k, (lo, hi), e in zip(kernel.shape, pads, extra)
        ],
        dimension_numbers=names,
        transpose_kernel=True,
    )


@pytest.mark.parametrize("name", CASES)
def test_forward_has_torch_semantics(name):
    x, kernel, rest = _case(name)
    expected = _torch_semantics(x, kernel, *rest)
    actual = jax.jit(lambda x, k: conv_transpose(x, k, *rest))(x, kernel)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_gradients_equal_autodiff_of_lax_conv_transpose(name):
    x, kernel, rest = _case(name)
    value, pull = jax.vjp(lambda x, k: conv_transpose(x, k, *rest), x, kernel)
    expected, expected_pull = jax.vjp(
        lambda x, k: _lax_conv_transpose(x, k, *rest), x, kernel
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
    cotangent = np.random.default_rng(1).normal(size=value.shape).astype(np.float32)
    for ours, theirs in zip(pull(cotangent), expected_pull(cotangent)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["k4s2p1", "k3s2p1_output_padding", "3d_k4s2p1"])
def test_reverse_over_reverse_equals_lax(name):
    x, kernel, rest = _case(name)

    def penalty(function):
        def loss(x, k):
            gradient = jax.grad(lambda x: jnp.sum(jnp.tanh(function(x, k, *rest))))(x)
            return jnp.sum(gradient**2)

        return jax.grad(loss, (0, 1))(x, kernel)

    for ours, theirs in zip(penalty(conv_transpose), penalty(_lax_conv_transpose)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_double_precision_gradient_passes_finite_differences():
    x, kernel, rest = _case("k3s2p1_output_padding", np.float64)
    with jax.enable_x64(True):
        x, kernel = jnp.asarray(x), jnp.asarray(kernel)

        def loss(x, k):
            return jnp.sum(jnp.sin(conv_transpose(x, k, *rest)))

        gradients = jax.grad(loss, (0, 1))(x, kernel)
        rng = np.random.default_rng(2)
        dx, dk = rng.normal(size=x.shape), rng.normal(size=kernel.shape)
        h = 1e-6
        numeric = loss(x + h * dx, kernel + h * dk) - loss(x - h * dx, kernel - h * dk)
        analytic = jnp.sum(gradients[0] * dx) + jnp.sum(gradients[1] * dk)
        assert gradients[0].dtype == jnp.float64
        np.testing.assert_allclose(analytic, numeric / (2 * h), rtol=1e-7)


def test_bfloat16_stays_bfloat16_and_is_close():
    x, kernel, rest = _case("k4s2p1")
    low = [jnp.asarray(a, jnp.bfloat16) for a in (x, kernel)]
    value, pull = jax.vjp(lambda x, k: conv_transpose(x, k, *rest), *low)
    gradients = pull(jnp.ones_like(value))
    assert {value.dtype, *(g.dtype for g in gradients)} == {jnp.dtype(jnp.bfloat16)}
    exact = _torch_semantics(*[np.asarray(a.astype(jnp.float32)) for a in low], *rest)
    np.testing.assert_allclose(value.astype(jnp.float32), exact, rtol=2e-2, atol=5e-2)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)], ids=str)
def test_vmap_of_value_and_gradient_equals_a_loop(axes):
    x, kernel, rest = _case("k3s2p1_output_padding")
    xs = np.stack([x, 2 * x, x - 1]) if axes[0] == 0 else x
    kernels = np.stack([kernel, kernel + 1, -kernel]) if axes[1] == 0 else kernel

    def value_and_gradients(x, k):
        loss = lambda x, k: jnp.sum(conv_transpose(x, k, *rest) ** 2)  # noqa: E731
        return jax.value_and_grad(loss, (0, 1))(x, k)

    mapped = jax.vmap(value_and_gradients, axes)(xs, kernels)
    for i in range(3):
        single = value_and_gradients(
            xs[i] if axes[0] == 0 else xs, kernels[i] if axes[1] == 0 else kernels
        )
        for a, b in zip(jax.tree.leaves(mapped), jax.tree.leaves(single)):
            np.testing.assert_allclose(a[i], b, rtol=2e-4, atol=1e-3)


def slow_convolutions(compiled_text):
    """Convolutions over a reversed feature-map-sized window miss the fast paths."""
    found = []
    for line in compiled_text.splitlines():
        window = re.search(r"convolution\(.*window=\{size=(\S+) (.*?)\}", line)
        if window and "rhs_reversal" in window[2]:
            if max(int(n) for n in window[1].split("x")) >= 16:
                found.append(line.strip())
    return found


@pytest.mark.parametrize(
    "x_shape, kernel_shape, rest",
    [
        ((1, 16, 16, 8), (3, 3, 8, 8), (2, 1, 1)),
        ((1, 16, 16, 8), (4, 4, 8, 8), (2, 1, 0)),
        ((1, 16, 16, 16, 2), (4, 4, 4, 2, 2), (2, 1, 0)),
    ],
    ids=["k3", "k4", "3d_k4"],
)
def test_compiled_gradient_has_no_slow_convolution(x_shape, kernel_shape, rest):
    def text(function):
        gradient = jax.grad(lambda x, k: jnp.sum(function(x, k, *rest) ** 2), (0, 1))
        specs = [jax.ShapeDtypeStruct(s, jnp.float32) for s in (x_shape, kernel_shape)]
        return jax.jit(gradient).lower(*specs).compile().as_text()

    ours = text(conv_transpose)
    assert " convolution(" in ours
    assert slow_convolutions(ours) == []
    # The same look at autodiff of lax finds one: the check can fail.
    assert len(slow_convolutions(text(_lax_conv_transpose))) > 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (((1, 4, 4, 3), (4, 4, 3, 2), 2, 1, 0), "in_channels = 3"),
        (((1, 4, 4, 3), (4, 4, 4, 2, 3), 2, 1, 0), "same rank"),
        (((1, 4, 4, 3), (3, 3, 2, 3), 2, 1, 2), "output_padding"),
        (((1, 4, 4, 3), (3, 3, 2, 3), 2, (1, 1, 1), 0), "one entry for 2 axes"),
        (((1, 1, 1, 3), (3, 3, 2, 3), 2, 2, 0), "leaves nothing"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    x_shape, kernel_shape, *rest = arguments
    with pytest.raises(ValueError, match=message):
        conv_transpose(jnp.zeros(x_shape), jnp.zeros(kernel_shape), *rest)
