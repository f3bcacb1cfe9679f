"""What a choice is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

Tree = Any  # of arrays, or of their shapes
Moments = Callable[[jax.Array, Sequence[int]], tuple[jax.Array, jax.Array]]


def _as_given(*arguments: Tree) -> tuple[Tree, ...]:
    return arguments


class Form(NamedTuple):
    """One way to write a piece of a step.

    Attributes:
      call: what is timed, a function of trees of arrays.
      enter: makes `call`'s arguments of the choice's, as a run would hold them: in
        another layout, say, or stacked. Not timed.
      leave: makes of `call`'s results what the library's form returns. Not timed.
      differs: what it computes otherwise by design; empty: it must equal the library's.
    """

    call: Callable[..., Tree]
    enter: Callable[..., tuple[Tree, ...]] = _as_given
    leave: Callable[[Tree], Tree] = lambda out: out
    differs: str = ""


class Choice(NamedTuple):
    """A piece of a step, and the forms it can have.

    Attributes:
      arguments: shapes of what all forms begin with.
      forms: by name; the first is the library's.
      trains: whether it is differentiated, with respect to all that `call` takes.
    """

    arguments: tuple[Tree, ...]
    forms: Mapping[str, Form]
    trains: bool = True


class Setting(NamedTuple):
    """How large the arrays of a choice are, and of what.

    Attributes:
      dtype: compute dtype; the parameters of modules are float32.
      batch: what all batches are multiplied by.
      small: a fraction of the channels, sides and depth, for tests.
    """

    dtype: str = "float32"
    batch: int = 1
    small: bool = False

    def channels(self, n: int) -> int:
        """How many where there are `n` at full size."""
        return max(n // 32, 4) if self.small and n > 8 else n

    def side(self, n: int) -> int:
        """Of a map whose side is `n` at full size."""
        return max(n // 8, 4) if self.small else n

    def depth(self, n: int) -> int:
        """How many layers where there are `n` at full size."""
        return max(n // 2, 1) if self.small else n

    def maps(self, batch: int, side: int, channels: int, rank: int = 2) -> Tree:
        """The shape of activations, NHWC or NDHWC, in the compute dtype."""
        sides = (self.side(side),) * rank
        shape = (self.batch * batch, *sides, self.channels(channels))
        return jax.ShapeDtypeStruct(shape, jnp.dtype(self.dtype))

    def kernel(self, window: int, fan_in: int, fan_out: int, rank: int = 2) -> Tree:
        """The shape of a convolution's kernel in the compute dtype."""
        channels = (self.channels(fan_in), self.channels(fan_out))
        return jax.ShapeDtypeStruct((window,) * rank + channels, jnp.dtype(self.dtype))


def params_of(module: nn.Module, *inputs: Tree, **options: Any) -> Tree:
    """The shapes of a module's parameters, of those of its inputs."""

    def init(*inputs: Tree) -> Tree:
        return module.init(jax.random.key(0), *inputs, **options)["params"]

    return jax.eval_shape(init, *inputs)


def apply(module: nn.Module, params: Tree, *inputs: Tree, **options: Any) -> Tree:
    """A module's results."""
    return module.apply({"params": params}, *inputs, **options)


def stacked(*trees: Tree) -> Tree:
    """Equal trees as one, their leaves along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def one_pass(x: jax.Array, axes: Sequence[int]) -> tuple[jax.Array, jax.Array]:
    """Mean and variance by sums of `x` and of its square, the axes kept."""
    mean = jnp.mean(x, axes, keepdims=True)
    square = jnp.mean(jnp.square(x), axes, keepdims=True)
    return mean, jnp.maximum(square - jnp.square(mean), 0.0)


def two_passes(x: jax.Array, axes: Sequence[int]) -> tuple[jax.Array, jax.Array]:
    """Mean, then the mean square of the differences from it, the axes kept."""
    mean = jnp.mean(x, axes, keepdims=True)
    return mean, jnp.mean(jnp.square(x - mean), axes, keepdims=True)


def normalized(
    x: jax.Array,
    axes: Sequence[int],
    moments: Moments = one_pass,
    dtype: Any = jnp.float32,
    scale: Any = 1.0,
    bias: Any = 0.0,
) -> jax.Array:
    """A norm over these axes, its statistics in `dtype`, for layouts of any order."""
    mean, var = moments(x.astype(dtype), axes)
    factor = jnp.asarray(scale, dtype) * lax.rsqrt(var + 1e-5)
    offset = jnp.asarray(bias, dtype) - mean * factor
    return (x * factor + offset).astype(x.dtype)
