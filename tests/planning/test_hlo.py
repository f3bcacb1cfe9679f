"""What is read from compiled programs: known counts, forms that a GPU is slow at."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan import ops
from jaxgan.planning import hlo

X, KERNEL = jnp.ones((2, 32, 32, 3)), jnp.ones((4, 4, 3, 5))
NAMES = ("NHWC", "HWIO", "NHWC")


def compiled(fn, *arguments):
    return jax.jit(fn).lower(*arguments).compile()


def convolve(x, kernel, **options):
    options = {"window_strides": (1, 1), "padding": "SAME"} | options
    return lax.conv_general_dilated(x, kernel, dimension_numbers=NAMES, **options)


def gradient(fn):
    return jax.grad(lambda x, kernel: jnp.sum(jnp.sin(fn(x, kernel))), (0, 1))


def test_flops_are_those_of_the_formulas():
    dense = compiled(lambda a, b: a @ b, jnp.ones((5, 7)), jnp.ones((7, 3)))
    assert hlo.flops(dense) == 2 * 5 * 7 * 3
    valid = compiled(lambda x, k: convolve(x, k, padding="VALID"), X, KERNEL)
    assert hlo.flops(valid) == 2 * 2 * 29**2 * 16 * 3 * 5


def test_padding_does_not_count():
    kernel = jnp.ones((3, 3, 3, 4))
    program = compiled(convolve, X, kernel)
    rows = 3 * 32 - 2  # the first and the last row lack a tap
    assert hlo.flops(program) == 2 * 2 * rows**2 * 3 * 4
    assert hlo.instructions(program, "convolution") == 1


def test_loops_count_as_often_as_they_run():
    def loop(x):
        return lax.fori_loop(0, 6, lambda _, y: jnp.tanh(y @ y), x)

    assert hlo.flops(compiled(loop, jnp.ones((8, 8)))) == 6 * 2 * 8**3


def test_a_conditional_counts_its_dearer_branch():
    def choose(flag, x):
        return lax.cond(flag, lambda x: x @ x @ x, lambda x: x, x)

    program = compiled(choose, jnp.bool_(True), jnp.ones((8, 8)))
    assert hlo.flops(program) == 2 * 2 * 8**3


def test_autodiff_of_conv_transpose_is_slow_and_ours_is_not():
    swapped = jnp.swapaxes(KERNEL, 2, 3)
    ours = compiled(gradient(lambda x, k: ops.conv_transpose(x, k, 2, 1)), X, swapped)
    theirs = compiled(gradient(convolve_transposed), X, KERNEL)
    assert hlo.slow_convolutions(ours) == []
    assert hlo.slow_convolutions(theirs)
    assert hlo.reversed_map_sized_windows(theirs)


def convolve_transposed(x, kernel):
    return lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=NAMES)


def test_gaps_on_both_sides_are_slow():
    dilated = compiled(
        lambda x, k: convolve(
            x, k, lhs_dilation=(2, 2), rhs_dilation=(2, 2), padding=((1, 1), (1, 1))
        ),
        X,
        jnp.ones((3, 3, 3, 4)),
    )
    assert len(hlo.slow_convolutions(dilated)) == 1


@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_ordinary_gradients_are_not_slow(strides):
    fn = gradient(lambda x, k: convolve(x, k, window_strides=strides))
    program = compiled(fn, X, KERNEL)
    assert hlo.instructions(program, "convolution") == 3
    assert hlo.slow_convolutions(program) == []


def test_collectives_are_counted():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    x = jax.device_put(np.ones((8, 4), np.float32), split)
    mean = jax.jit(lambda x: jnp.mean(x), out_shardings=whole).lower(x).compile()
    assert hlo.collectives(mean) == {"all-reduce": 1}
    alone = jax.jit(lambda x: 2 * x, out_shardings=split).lower(x).compile()
    assert hlo.collectives(alone) == {}
