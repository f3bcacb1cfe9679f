"""What a step does beside its networks, and nothing is differentiated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.flatten_util import ravel_pytree

from benchmarks.choices.base import Choice, Form, Setting, Tree, params_of
from jaxgan import core
from jaxgan.core import pool
from jaxgan.networks.unet import UNet


def optimiser(s: Setting) -> Choice:
    """pix2pix, Adam over its U-Net, float32 throughout."""
    depth = s.depth(8)
    network = UNet(num_downs=depth, base_channels=s.channels(64))
    image = jax.ShapeDtypeStruct((1, 2**depth, 2**depth, 3), jnp.float32)
    params = params_of(network, image, train=True, dropout=False)
    own = {"networks": ("generator",), "learning_rate": 2e-4}
    one_vector = core.player(transform=optax.flatten(optax.scale_by_adam(0.5)), **own)

    def vector(tree: Tree) -> jax.Array:
        return ravel_pytree(tree)[0]

    def trees(out: tuple[Tree, ...]) -> tuple[Tree, ...]:
        params, *moments = out
        return params, *map(ravel_pytree(params)[1], moments)

    forms = {
        "a leaf at a time": Form(*_adam(core.adam(b1=0.5, **own))),
        "one vector": Form(*_adam(one_vector, vector), trees),
    }
    return Choice((params,) * 4, forms, trains=False)


def _adam(
    player: core.Player, held: Callable[[Tree], Tree] = lambda tree: tree
) -> tuple[Callable[..., tuple[Tree, ...]], Callable[..., tuple[Tree, ...]]]:
    """`call` and `enter` of a player that holds Adam's moments so."""

    def call(params: Tree, grads: Tree, state: Tree) -> tuple[Tree, ...]:
        updates, (adam, *_) = player.update(grads, state, params)
        return optax.apply_updates(params, updates), adam.mu, adam.nu

    def enter(params: Tree, grads: Tree, mu: Tree, root: Tree) -> tuple[Tree, ...]:
        adam, *rest = player.init(params)
        nu = jax.tree.map(jnp.square, root)  # a mean of squares is positive
        adam = adam._replace(mu=held(mu), nu=held(nu), count=jnp.int32(9))
        return params, grads, (adam, *rest)

    return call, enter


def image_pool(s: Setting) -> Choice:
    """CycleGAN at 128 px, 16 images and a pool of 50."""
    new = s.maps(16, 128, 3)
    stored = jax.ShapeDtypeStruct((1, 50, *new.shape[1:]), jnp.float32)

    def enter(stored: jax.Array, new: jax.Array) -> tuple[Tree, ...]:
        groups, size = stored.shape[:2]
        free = len(new) // 2  # the first half of the images fills it
        count = jnp.full(groups, size - free, jnp.int32)
        return pool.ImagePool(stored, count), new, jax.random.key(0)

    forms = {
        "gather and scatter": Form(pool.query, enter),
        "fori_loop": Form(_in_turn, enter),
    }
    return Choice((stored, new), forms, trains=False)


def _in_turn(
    history: pool.ImagePool, new: jax.Array, key: jax.Array
) -> tuple[pool.ImagePool, jax.Array]:
    """`pool.query` of a pool of one group, the images exchanged one by one."""
    images, (count,) = history.images[0], history.count
    size, number = len(images), len(new)
    coin_key, slot_key = jax.random.split(key)
    coins = jax.random.bernoulli(coin_key, 0.5, (1, number))[0]
    slots = jax.random.randint(slot_key, (1, number), 0, size)[0]

    def exchange(i: Any, both: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        images, out = both
        full = count + i >= size
        slot = jnp.where(full, slots[i], count + i)
        old, image = images[slot], out[i].astype(images.dtype)
        returned = jnp.where(full & coins[i], old, image).astype(out.dtype)
        kept = jnp.where(full & ~coins[i], old, image)
        return images.at[slot].set(kept), out.at[i].set(returned)

    images, out = lax.fori_loop(0, number, exchange, (images, new))
    count = jnp.minimum(history.count + number, size)
    return pool.ImagePool(images[None], count), out
