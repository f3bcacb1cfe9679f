"""The image pool (Shrivastava et al., 2017, section 2.3; CycleGAN's `ImagePool`)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from jaxgan.core.errors import UserError
from jaxgan.core.types import Key


class ImagePool(struct.PyTreeNode):
    """A history of generated images, in logical groups.

    Each group holds `p` images and serves its own share of the batch. The number of
    groups belongs to the config, so that results do not depend on the device count; as
    many groups as devices means that no image ever travels.

    Attributes:
      images: float32 `[groups, p, h, w, c]`, zeros where nothing is stored yet; None
        in a pool of size 0.
      count: int32 `[groups]`, images stored so far.
    """

    images: Any  # a pytree's leaves may be arrays, specs or shardings
    count: Any


def create(size: int, image_shape: tuple[int, ...], groups: int = 1) -> ImagePool:
    """An empty pool of `size` images in all, split evenly over `groups`.

    Raises:
      UserError: if they cannot be split.
    """
    if size % groups:
        raise UserError(
            f"pool_size {size} cannot be split into pool_groups {groups}: "
            "choose a multiple"
        )
    count = jnp.zeros((groups,), jnp.int32)
    if size == 0:  # arrays without elements cannot be saved
        return ImagePool(None, count)
    shape = (groups, size // groups, *image_shape)
    return ImagePool(jnp.zeros(shape, jnp.float32), count)


def query(
    pool: ImagePool, images: Float[Array, "b h w c"], key: Key
) -> tuple[ImagePool, Float[Array, "b h w c"]]:
    """Exchanges new images for a mixture of new and old ones, one after another.

    Per image, in batch order: while its group is not full it is stored and returned;
    then, with probability 1/2 it is returned and not stored, else a uniformly chosen
    stored image is returned and its place taken. Gradients stop here.

    Args:
      pool: the pool; one of size 0 returns the images as they are.
      images: the new images; the batch must be a multiple of the pool's groups.
      key: decides the exchanges.

    References: junyanz/pytorch-CycleGAN-and-pix2pix, `util/image_pool.py`.
    """
    images = jax.lax.stop_gradient(images)
    if pool.images is None:
        return pool, images
    groups, size = pool.images.shape[:2]
    batch = images.shape[0]
    if batch % groups:
        raise UserError(
            f"batch {batch} cannot be split into pool_groups {groups}: "
            "choose a batch size that is a multiple of it"
        )
    # Neighbours in the batch share a group, so a group's share lies on one device.
    grouped = images.astype(pool.images.dtype).reshape(groups, -1, *images.shape[1:])
    coin_key, slot_key = jax.random.split(key)
    coins = jax.random.bernoulli(coin_key, 0.5, grouped.shape[:2])
    slots = jax.random.randint(slot_key, grouped.shape[:2], 0, size)

    def one(
        stored: Float[Array, "p h w c"],
        count: Int[Array, ""],
        image: Float[Array, "h w c"],
        coin: Bool[Array, ""],
        slot: Int[Array, ""],
    ) -> tuple[Float[Array, "p h w c"], Int[Array, ""], Float[Array, "h w c"]]:
        full = count >= size
        slot = jnp.where(full, slot, count)
        old = stored[slot]
        exchange = full & coin
        result = jnp.where(exchange, old, image)
        write = exchange | ~full
        stored = stored.at[slot].set(jnp.where(write, image, old))
        return stored, jnp.minimum(count + 1, size), result

    stored, count, results = pool.images, pool.count, []
    for i in range(batch // groups):  # a later image may draw a slot just written
        stored, count, result = jax.vmap(one)(
            stored, count, grouped[:, i], coins[:, i], slots[:, i]
        )
        results.append(result)
    mixed = jnp.stack(results, axis=1).reshape(images.shape).astype(images.dtype)
    return ImagePool(stored, count), mixed
