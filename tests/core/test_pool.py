"""The image pool (cyclegan.md, acceptance check 7)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core import UserError, pool

QUERY = jax.jit(pool.query)


def numbered(*numbers: int) -> jax.Array:
    """1x1 images that carry their number."""
    return jnp.asarray(numbers, jnp.float32).reshape(-1, 1, 1, 1)


def test_cyclegan_check_07_the_first_fill_returns_its_inputs_then_half_are_old(key):
    state, old, seen = pool.create(50, (1, 1, 1)), 0, set()
    for i in range(50):
        state, out = QUERY(state, numbered(i), jax.random.fold_in(key, i))
        assert out.item() == i
        seen.add(i)
    for i in range(50, 450):
        state, out = QUERY(state, numbered(i), jax.random.fold_in(key, i))
        if out.item() != i:
            old += 1
            assert out.item() in seen
            stored = np.asarray(state.images).ravel()
            assert out.item() not in stored and i in stored
            seen.remove(int(out.item()))
            seen.add(i)
        assert state.count.item() == 50
    assert 160 <= old <= 240  # binomial(400, 1/2), four standard deviations


def test_cyclegan_check_07_size_zero_is_the_identity(key):
    images = numbered(1, 2, 3)
    empty = pool.create(0, (1, 1, 1))
    _, out = pool.query(empty, images, key)
    np.testing.assert_array_equal(out, images)
    # A checkpoint cannot hold an array without elements.
    assert all(x.size for x in jax.tree.leaves(empty))


def test_a_batch_equals_its_images_one_after_another(key):
    """A later image may draw a slot that an earlier one of its batch wrote."""
    state = pool.create(4, (1, 1, 1))
    returned = []
    for i in range(40):
        images = numbered(*range(8 * i, 8 * i + 8))
        state, out = QUERY(state, images, jax.random.fold_in(key, i))
        returned += np.asarray(out).ravel().tolist()
        assert len(set(np.asarray(state.images).ravel())) == 4
    # Once the pool is full (it returns what fills it), nothing is returned twice.
    assert len(returned[4:]) == len(set(returned[4:]))


def exchanged(state, images, key):
    """The reference: one image after another, in Python."""
    groups, size = state.images.shape[:2]
    share = len(images) // groups
    coin_key, slot_key = jax.random.split(key)
    coins = np.asarray(jax.random.bernoulli(coin_key, 0.5, (groups, share)))
    slots = np.asarray(jax.random.randint(slot_key, (groups, share), 0, size))
    stored, count = np.array(state.images), np.array(state.count)
    result = np.array(images)
    for n, image in enumerate(np.asarray(images)):
        group, i = divmod(n, share)
        if count[group] < size:
            stored[group, count[group]] = image
            count[group] += 1
        elif coins[group, i]:
            slot = slots[group, i]
            result[n] = stored[group, slot]
            stored[group, slot] = image
    return pool.ImagePool(stored, count), result


@pytest.mark.parametrize(
    ("size", "batch", "groups"),
    [
        *((50, 1, 1), (50, 8, 1), (5, 3, 1), (4, 8, 1), (1, 6, 1), (3, 32, 1)),
        *((16, 8, 8), (16, 32, 8), (8, 8, 2), (2, 12, 2), (12, 9, 3)),
    ],
)
def test_indices_exchange_as_one_image_after_another_does(size, batch, groups, key):
    """Bit for bit: while a pool fills, is passed, and slots are drawn repeatedly."""
    state = pool.create(size, (2, 1, 3), groups)
    for i in range(40):
        own, image_key = jax.random.split(jax.random.fold_in(key, i))
        images = jax.random.normal(image_key, (batch, 2, 1, 3))
        wanted = exchanged(state, images, own)
        state, mixed = QUERY(state, images, own)
        for found, reference in zip(
            (*jax.tree.leaves(state), mixed),
            (wanted[0].images, wanted[0].count, wanted[1]),
            strict=True,
        ):
            assert np.asarray(found).tobytes() == reference.tobytes()


def test_half_precision_images_come_back_as_they_went(key):
    state = pool.create(2, (1, 1, 1))
    for i in range(8):
        images = jnp.asarray([[[[i + 0.5]]], [[[-i]]]], jnp.bfloat16)
        wanted = exchanged(state, images.astype(jnp.float32), key)[1]
        state, mixed = QUERY(state, images, key)
        assert mixed.dtype == jnp.bfloat16 and state.images.dtype == jnp.float32
        np.testing.assert_array_equal(mixed.astype(jnp.float32), wanted)


def test_groups_keep_to_their_share_of_the_batch(key):
    state = pool.create(8, (1, 1, 1), groups=2)
    for i in range(20):
        low, high = range(4 * i, 4 * i + 4), range(1000 + 4 * i, 1004 + 4 * i)
        state, out = QUERY(state, numbered(*low, *high), jax.random.fold_in(key, i))
        out = np.asarray(out).ravel()
        assert (out[:4] < 1000).all() and (out[4:] >= 1000).all()


def test_gradients_stop_at_the_pool(key):
    state = pool.create(2, (1, 1, 1))
    grads = jax.grad(lambda x: jnp.sum(pool.query(state, x, key)[1]))(numbered(1, 2))
    assert not grads.any()


def test_sizes_that_do_not_divide_are_refused(key):
    with pytest.raises(UserError, match="pool_size 50.*pool_groups 4"):
        pool.create(50, (1, 1, 1), groups=4)
    with pytest.raises(UserError, match="batch 3.*pool_groups 2"):
        pool.query(pool.create(4, (1, 1, 1), groups=2), numbered(1, 2, 3), key)
