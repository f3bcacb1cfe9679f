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


def test_collectives_are_listed_with_what_a_device_receives():
    axes = ("data", "model")
    kinds = (jax.sharding.AxisType.Auto,) * 2
    mesh = jax.make_mesh((4, 2), axes, axis_types=kinds)
    split = jax.sharding.PartitionSpec(axes)

    def exchange(x):  # [2, 12]
        pairs = [(i, (i + 1) % 4) for i in range(4)]
        for _ in range(2):  # in a loop, two that depend on each other
            x = lax.fori_loop(0, 5, lambda _, x: lax.psum(jnp.sin(x), "data"), x)
        return (
            x,
            lax.all_gather(x, "model", tiled=True),
            lax.psum_scatter(x, "data", scatter_dimension=1, tiled=True),
            lax.all_to_all(x, "data", 1, 0, tiled=True),
            lax.ppermute(x.astype(jnp.int8), "data", pairs),
        )

    mapped = jax.shard_map(
        exchange, mesh=mesh, in_specs=split, out_specs=split, check_vma=False
    )
    program = compiled(mapped, jnp.ones((16, 12)))
    found = {
        (c.kind, c.size, c.dtypes, c.group_size, c.times)
        for c in hlo.collective_list(hlo.text_of(program))
    }
    assert found == {
        ("all-reduce", 96, ("f32",), 4, 5),
        ("all-gather", 192, ("f32",), 2, 1),
        ("reduce-scatter", 24, ("f32",), 4, 1),
        ("all-to-all", 96, ("f32",), 4, 1),
        ("collective-permute", 24, ("s8",), 8, 1),
    }
    assert hlo.collectives(program)["all-reduce"] == 2


# Lines as XLA prints them for GPUs and TPUs, attributes that say nothing left out.
SPELLINGS = """\
HloModule step, num_partitions=8

%fused (param: f32[4,8]) -> (f32[4,8], f32[8,8], u32[]) {
  %gather.1 = f32[8,8]{1,0:T(8,128)} all-gather(%param), replica_groups={{0,1},{2,3},{4,5},{6,7}}
  ROOT %start = (f32[4,8]{1,0}, f32[8,8]{1,0}, u32[]{:S(2)}) custom-call(%gather.1), custom_call_target="AsyncCollectiveStart"
}

%async_collective_fusion.1 (param: f32[4,8]) -> (f32[4,8], f32[8,8]) {
  %gather.2 = f32[8,8]{1,0:T(8,128)} all-gather(%param), replica_groups={{0,1},{2,3},{4,5},{6,7}}
  ROOT %both = (f32[4,8]{1,0}, f32[8,8]{1,0}) tuple(%param, %gather.2)
}

%fused.2 (param: f32[4,8]) -> f32[8,8] {
  %gather.3 = f32[8,8]{1,0:T(8,128)} all-gather(%param), replica_groups={{0,1},{2,3},{4,5},{6,7}}
  ROOT %done = f32[8,8]{1,0} custom-call(%gather.3), custom_call_target="AsyncCollectiveDone"
}

%condition (state: (s32[], f32[4,8])) -> pred[] {
  %limit = s32[]{:T(128)} constant(3)
  %state = (s32[], f32[4,8]) parameter(0)
  %counter = s32[]{:T(128)} get-tuple-element(%state), index=0
  ROOT %go = pred[]{:T(512)} compare(%counter, %limit), direction=LT
}

%body (state.1: (s32[], f32[4,8])) -> (s32[], f32[4,8]) {
  %permute = (bf16[2,3]{1,0:T(8,128)(2,1)}, bf16[2,3]{1,0}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%x), channel_id=1, source_target_pairs={{0,1},{1,2},{2,0}}
  %permuted = bf16[2,3]{1,0} collective-permute-done(%permute)
  %scatter = ((f32[4,8]{1,0}, f32[4]{0}), (f32[1,8]{1,0}, f32[1]{0})) reduce-scatter-start(%x, %y), replica_groups=[2,4]<=[4,2]T(1,0), dimensions={0}
  %scattered = (f32[1,8]{1,0}, f32[1]{0}) reduce-scatter-done(%scatter)
}

ENTRY %main (x: f32[4,8]) -> f32[4,8] {
  %reduce = (f32[128]{0:T(128)S(1)}, bf16[]{:T(256)}, /*index=2*/pred[4]{0}) all-reduce-start(%x, %y, %z), replica_groups=mesh['a'=2,'b'=4] {'b'}, metadata={op_name="jit(step)/reduce_sum"}
  %reduced = (f32[128]{0:T(128)S(1)}, bf16[]{:T(256)}, /*index=2*/pred[4]{0}) all-reduce-done(%reduce)
  %part = f32[2]{0} all-reduce(%x), replica_groups=mesh['a'=8] {'a':(2)2}
  %all = f32[2]{0} all-reduce(%x), replica_groups={}
  %loop = (s32[], f32[4,8]) while(%t), condition=%condition, body=%body
  %fusion = (f32[4,8]{1,0}, f32[8,8]{1,0}, u32[]) fusion(%x), kind=kLoop, calls=%fused
  %fusion.1 = (f32[4,8]{1,0}, f32[8,8]{1,0}) fusion(%x), kind=kLoop, calls=%async_collective_fusion.1
  %fusion.2 = f32[8,8]{1,0} fusion(%x), kind=kLoop, calls=%fused.2
}
"""  # noqa: E501


def test_collectives_of_gpu_and_tpu_programs_are_read():
    found = [
        (c.kind, c.size, c.dtypes, c.group_size, c.times)
        for c in hlo.collective_list(SPELLINGS)
    ]
    assert found == [
        ("all-gather", 8 * 8 * 4, ("f32",), 2, 1),
        ("collective-permute", 2 * 3 * 2, ("bf16",), 3, 3),
        ("reduce-scatter", (8 + 1) * 4, ("f32",), 4, 3),
        ("all-reduce", 128 * 4 + 2 + 4, ("bf16", "f32", "pred"), 4, 1),
        ("all-reduce", 8, ("f32",), 2, 1),
        ("all-reduce", 8, ("f32",), 8, 1),
    ]
    reduced = hlo.collective_list(SPELLINGS)[3]
    assert reduced.results == (("f32", (128,)), ("bf16", ()), ("pred", (4,)))
    assert reduced.op_name == "jit(step)/reduce_sum"
