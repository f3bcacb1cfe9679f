"""The image pool (Shrivastava et al., 2017, section 2.3; CycleGAN's `ImagePool`)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from jaxgan.core import placement
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

    A pool whose groups the mesh's devices cannot share evenly is whole on each of them,
    and the batch is gathered.

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
    trades = _trades(pool.count, coins, slots, size)
    travels = groups % placement.devices() != 0
    if travels:  # the batch, once; left to itself, XLA moves indices and whole pools
        grouped, trades = placement.replicated((grouped, trades))

    def choose(where: Bool[Array, "g m"], yes: Any, no: Any) -> Any:
        ones = (1,) * (grouped.ndim - where.ndim)
        return jnp.where(where.reshape(*where.shape, *ones), yes, no)

    stored = jax.vmap(_take)(pool.images, trades.slot)
    written = jax.vmap(_take)(grouped, jnp.maximum(trades.writer, 0))
    old = choose(trades.writer < 0, stored, written)
    mixed = choose(trades.returns_old, old, grouped).reshape(images.shape)
    store = jax.vmap(_put)(pool.images, trades.place, grouped)
    if travels:
        mixed, store = placement.over_batch(mixed), placement.replicated(store)
    count = jnp.minimum(pool.count + grouped.shape[1], size)
    return ImagePool(store, count), mixed.astype(images.dtype)


class _Trades(NamedTuple):
    """What becomes of every image of a batch, `[groups, batch / groups]` each.

    Attributes:
      returns_old: whether an older image is returned instead.
      slot: that it would exchange with.
      writer: which image of the batch last wrote that slot before, -1 if none.
      place: the slot where it stays; beyond the pool if it does not stay.
    """

    returns_old: Bool[Array, "g m"]
    slot: Int[Array, "g m"]
    writer: Int[Array, "g m"]
    place: Int[Array, "g m"]


def _trades(
    count: Int[Array, " g"],
    coins: Bool[Array, "g m"],
    slots: Int[Array, "g m"],
    size: int,
) -> _Trades:
    """Index arithmetic in place of exchanges one after another."""
    m = coins.shape[1]
    numbers = np.arange(m, dtype=np.int32)
    before = numbers[:, None] > numbers  # [i, j]: j comes before i
    filled = count[:, None] + numbers
    full = filled >= size
    slot = jnp.where(full, slots, filled)
    nowhere = size + numbers  # a place of its own, so that places are unique
    written = jnp.where(full & ~coins, nowhere, slot)
    same = written[:, :, None] == written[:, None, :]
    return _Trades(
        returns_old=full & coins,
        slot=slot,
        writer=jnp.max(jnp.where(same & before, numbers, -1), axis=-1),
        place=jnp.where(jnp.any(same & before.T, axis=-1), nowhere, written),
    )


def _take(images: Float[Array, "n h w c"], i: Int[Array, " m"]) -> Array:
    return images[i]


def _put(
    images: Float[Array, "p h w c"], i: Int[Array, " m"], new: Float[Array, "m h w c"]
) -> Array:
    """Those of `i` within the pool."""
    return images.at[i].set(new, mode="drop", unique_indices=True)
