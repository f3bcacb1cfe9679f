"""Normalisation with one-pass float32 statistics, folded to `x * s + t`."""

from __future__ import annotations

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.networks.initializers import Initializer, scale_normal_002
from jaxgan.networks.parameters import parameter


class BatchNorm(nn.Module):
    """Batch norm (Ioffe and Szegedy, 2015) over all axes but the last.

    A sharded batch is normalised as the whole batch. Running statistics live in the
    collection `batch_stats` as `mean` and `var`; a batch is normalised by its biased
    variance, and its unbiased one enters the running average, as in torch and TF.

    Attributes:
      momentum: share of the old running statistics that an update keeps.
      epsilon: added to the variance.
      use_scale: whether there is a scale.
      use_bias: whether there is an offset.
      groups: how many equal parts of the batch have statistics of their own; 0 gives
        every example its own, which is what a reference trained with batch 1 computed.
      scale_init: initialiser of the scale.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    use_scale: bool = True
    use_bias: bool = True
    groups: int = 1
    scale_init: Initializer = scale_normal_002

    @nn.compact
    def __call__(
        self, x: Float[Array, "b *size c"], *, train: bool
    ) -> Float[Array, "b *size c"]:
        shape, channels = x.shape, x.shape[-1:]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels)
        groups = self.groups if train else 1
        if groups > 1:  # [g, b / g, ...]; the other two cases need no reshape
            x = x.reshape(groups, x.shape[0] // groups, *x.shape[1:])
        if train:
            first = 0 if groups == 1 else 1
            mean, var = _moments(x, tuple(range(first, x.ndim - 1)))
            if not self.is_initializing():
                keep = self.momentum
                count = x.size // mean.size  # symbolic while a mode is exported
                running_mean.value, running_var.value = _averaged(
                    running_mean.value, running_var.value, mean, var, count, keep
                )
        else:
            mean, var = running_mean.value, running_var.value
        scale, bias, zeros = 1.0, 0.0, nn.initializers.zeros
        if self.use_scale:
            scale = parameter(self, "scale", self.scale_init, channels)
        if self.use_bias:
            bias = parameter(self, "bias", zeros, channels)
        factor = scale * jax.lax.rsqrt(var + self.epsilon)
        offset = bias - mean * factor
        return _folded(x, factor, offset).reshape(shape)


class InstanceNorm(nn.Module):
    """Instance norm (Ulyanov et al., 2016): per example and channel, biased variance.

    Attributes:
      epsilon: added to the variance.
      affine: whether there are a scale and an offset (torch's default has none).
    """

    epsilon: float = 1e-5
    affine: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b *size c"]) -> Float[Array, "b *size c"]:
        if not self.affine:
            return _standardized(x, self.epsilon)
        scale = parameter(self, "scale", scale_normal_002, x.shape[-1:])
        bias = parameter(self, "bias", nn.initializers.zeros, x.shape[-1:])
        mean, var = _moments(x, tuple(range(1, x.ndim - 1)))
        factor = jax.lax.rsqrt(var + self.epsilon)
        offset = -mean * factor
        return _folded(x, factor * scale, offset * scale + bias)


class Norm(nn.Module):
    """The norm of a network that may be built with either.

    Attributes:
      kind: `batch`, `instance`, `instance_affine` or `none`.
      groups: see `BatchNorm`.
    """

    kind: str
    groups: int = 1

    @nn.compact
    def __call__(
        self, x: Float[Array, "b *size c"], *, train: bool
    ) -> Float[Array, "b *size c"]:
        match self.kind:
            case "batch":
                return BatchNorm(groups=self.groups, name="batch")(x, train=train)
            case "instance":
                return InstanceNorm(name="instance")(x)
            case "instance_affine":
                return InstanceNorm(affine=True, name="instance")(x)
            case "none":
                return x
        raise ValueError(f"norm {self.kind!r}")


def bias_before(norm: str) -> bool:
    """Whether the references keep a convolution's bias before this norm: not before
    batch norm, which has an offset of its own."""
    return norm != "batch"


# Layers of one shape are traced, differentiated and lowered once. These functions take
# no parameters, so no gradient leaves them that is yet to be summed over devices: in a
# call each such sum would be a reduction of its own.


@partial(jax.jit, static_argnums=1)
def _standardized(x: Array, epsilon: float) -> Array:
    mean, var = _moments(x, tuple(range(1, x.ndim - 1)))
    factor = jax.lax.rsqrt(var + epsilon)
    return _folded(x, factor, -mean * factor)


@partial(jax.jit, static_argnums=(4, 5))
def _averaged(
    running_mean: Array,
    running_var: Array,
    mean: Array,
    var: Array,
    count: Any,
    keep: float,
) -> tuple[Array, Array]:
    unbiased = var * (count / jnp.maximum(count - 1, 1))

    def average(running: Array, new: Array) -> Array:
        new = new if new.ndim == running.ndim else jnp.mean(new, axis=0)
        return keep * running + (1.0 - keep) * new.astype(running.dtype)

    return average(running_mean, mean), average(running_var, unbiased)


@partial(jax.jit, static_argnums=1)
def _moments(x: Array, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Mean and variance in one pass over float32 values."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = jnp.mean(x, axes)
    return mean, jnp.maximum(jnp.mean(jnp.square(x), axes) - jnp.square(mean), 0.0)


def _folded(x: Array, factor: Array, offset: Array) -> Array:
    """`x * factor + offset`, each for all of a batch, or for its parts `[g, c]`."""
    if factor.ndim > 1:
        spread = (x.shape[0], *[1] * (x.ndim - 2), x.shape[-1])
        factor, offset = factor.reshape(spread), offset.reshape(spread)
    return (x * factor + offset).astype(x.dtype)
