"""Hole masks, compositing, importance weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.ops import (
    HOLE_MASKS,
    average_pool,
    composite,
    draw_hole_mask,
    importance_weights,
    masks,
)


def _draw(kind, batch=4, height=64, width=64, seed=0):
    draw = jax.jit(draw_hole_mask, static_argnums=(0, 2, 3, 4))
    return np.asarray(draw(kind, jax.random.key(seed), batch, height, width))


@pytest.mark.parametrize("kind", HOLE_MASKS)
@pytest.mark.parametrize("size", [(64, 64), (20, 33)], ids=str)
def test_masks_are_binary_and_repeatable(kind, size):
    mask = _draw(kind, 3, *size)
    assert mask.shape == (3, *size, 1) and mask.dtype == np.float32
    assert set(np.unique(mask)) <= {0.0, 1.0}
    np.testing.assert_array_equal(mask, _draw(kind, 3, *size))


@pytest.mark.parametrize(
    "kind, missing",
    [("center", 0.25), ("left", 0.5), ("half", 0.5), ("grid", 15 / 16)]
    + [("full", 0.0)],
)
def test_missing_share_is_the_published_one(kind, missing):
    np.testing.assert_array_equal(_draw(kind).mean(axis=(1, 2, 3)), missing)


def test_center_leaves_out_rows_and_columns_16_to_47():
    mask = _draw("center")[0, :, :, 0]
    expected = np.zeros((64, 64))
    expected[16:48, 16:48] = 1
    np.testing.assert_array_equal(mask, expected)


def test_random_leaves_out_four_fifths_pixel_by_pixel():
    mask = _draw("random", batch=16)
    assert mask.mean() == pytest.approx(0.8, abs=0.01)
    assert np.abs(mask[0] - mask[1]).mean() > 0.2


def test_half_draws_each_of_the_four_sides():
    mask = _draw("half", batch=64)[..., 0].astype(int)
    corners = {(m[0, 0], m[0, -1], m[-1, 0]) for m in mask}
    # left: (1, 0, 1), right: (0, 1, 0), top: (1, 1, 0), bottom: (0, 0, 1)
    assert corners == {(1, 0, 1), (0, 1, 0), (1, 1, 0), (0, 0, 1)}


def test_pattern_leaves_out_between_20_and_30_per_cent_in_blobs():
    mask = _draw("pattern", batch=32)[..., 0]
    share = mask.mean(axis=(1, 2))
    assert (share > 0.2).all() and (share < 0.3).all()
    assert len({m.tobytes() for m in mask}) == 32
    # Blobs: neighbours agree far more often than the 62 % of independent pixels.
    assert (mask[:, 1:] == mask[:, :-1]).mean() > 0.95


def test_pattern_ends_where_no_window_is_acceptable():
    mask = masks.pattern_hole(jax.random.key(0), 2, 1, 2, max_draws=20)
    assert mask.shape == (2, 1, 2, 1)


def test_unknown_mask_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'center'"):
        draw_hole_mask("centre", jax.random.key(0), 1, 8, 8)


def test_every_kind_on_offer_leaves_something_known():
    """What the task `lowres` knows is no pixel; it is the mode `super_resolve`."""
    assert all(_draw(kind).min() == 0 for kind in HOLE_MASKS)
    with pytest.raises(UserError, match="hole mask 'lowres'.*choose one of center"):
        draw_hole_mask("lowres", jax.random.key(0), 1, 8, 8)


def test_composite_keeps_known_pixels_bit_for_bit_beside_nan():
    key_known, key_generated, key_mask = jax.random.split(jax.random.key(1), 3)
    known = jax.random.normal(key_known, (2, 8, 8, 3))
    generated = jax.random.normal(key_generated, (2, 8, 8, 3))
    hole = jax.random.bernoulli(key_mask, 0.5, (2, 8, 8, 1)).astype(jnp.float32)
    expected = np.where(np.asarray(hole) == 1, generated, known)
    actual = composite(
        jnp.where(hole == 1, jnp.nan, known),
        jnp.where(hole == 1, generated, jnp.nan),
        hole,
    )
    np.testing.assert_array_equal(actual, expected)


def test_composite_passes_the_gradient_of_the_hole_only():
    hole = jnp.zeros((1, 4, 4, 1)).at[:, 1:3, 1:3].set(1)
    image = jnp.ones((1, 4, 4, 3))
    gradient = jax.grad(lambda g: jnp.sum(composite(image, g, hole)))(2 * image)
    np.testing.assert_array_equal(gradient, jnp.broadcast_to(hole, image.shape))


@pytest.mark.parametrize("border", ["symmetric", "count"])
def test_semantic_inpainting_check_02_importance_weights_of_the_central_hole(border):
    hole = jnp.asarray(_draw("center", batch=1))
    weights = np.asarray(importance_weights(hole, 7, border))[0, :, :, 0]
    edge = weights[32, 12:16][::-1]
    np.testing.assert_allclose(edge, [21 / 49, 14 / 49, 7 / 49, 0], rtol=1e-6)
    assert weights[15, 15] == pytest.approx(9 / 49)
    assert np.count_nonzero(weights) == 420
    assert weights.sum() == pytest.approx(5232 / 49, rel=1e-6)
    assert (weights[16:48, 16:48] == 0).all()


def _weights_by_hand(hole, window, border):
    reach = window // 2
    mode = {"symmetric": "symmetric", "count": "constant"}[border]
    padded = np.pad(hole, reach, mode=mode)
    inside = np.pad(np.ones_like(hole), reach, mode=mode)
    out = np.zeros_like(hole)
    for i, j in np.ndindex(*hole.shape):
        place = slice(i, i + window), slice(j, j + window)
        out[i, j] = (1 - hole[i, j]) * padded[place].sum() / inside[place].sum()
    return out


@pytest.mark.parametrize("border", ["symmetric", "count"])
@pytest.mark.parametrize("window", [3, 7])
def test_importance_weights_at_the_border_follow_their_convention(border, window):
    hole = np.asarray(_draw("random", 1, 9, 12))
    actual = importance_weights(jnp.asarray(hole), window, border)[0, :, :, 0]
    expected = _weights_by_hand(hole[0, :, :, 0], window, border)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_low_resolution_task_knows_block_means():
    image = jax.random.normal(jax.random.key(2), (2, 16, 24, 3))
    small = average_pool(image, 8)
    assert small.shape == (2, 2, 3, 3)
    np.testing.assert_allclose(
        small[1, 1, 2], image[1, 8:, 16:].mean(axis=(0, 1)), rtol=1e-5, atol=1e-6
    )
