"""Poisson blending against a sparse direct solution in double precision."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.ops import draw_hole_mask, poisson_blend
from jaxgan.ops.masks import Rectangle, hole_rectangles, lowres_hole

scipy_sparse = pytest.importorskip("scipy.sparse")
KINDS = ("center", "half", "random", "pattern")
blend = jax.jit(poisson_blend)


def _smooth(seed, size=64, batch=1):
    """Smooth random images within [-0.9, 0.9], so that clipping changes nothing."""
    key = jax.random.key(seed)
    coarse = jax.random.uniform(key, (batch, 5, 5, 3), minval=-0.3, maxval=0.3)
    return jax.image.resize(coarse, (batch, size, size, 3), "cubic")


def _mask(kind, seed=0, size=64, batch=1):
    return draw_hole_mask(kind, jax.random.key(seed), batch, size, size)


def _direct(target, source, hole):
    """The linear system in x itself, one image and channel, assembled edge by edge."""
    height, width = hole.shape
    number = -np.ones(hole.shape, int)
    number[hole] = np.arange(hole.sum())
    matrix = scipy_sparse.lil_matrix((hole.sum(), hole.sum()))
    right = np.zeros(hole.sum())
    for i, j in np.argwhere(hole):
        row = number[i, j]
        for k, m in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            if 0 <= k < height and 0 <= m < width:
                matrix[row, row] += 1
                right[row] += source[i, j] - source[k, m]
                if hole[k, m]:
                    matrix[row, number[k, m]] -= 1
                else:
                    right[row] += target[k, m]
    out = target.copy()
    out[hole] = scipy_sparse.linalg.spsolve(matrix.tocsr(), right)
    return out


def _direct_batch(target, source, mask):
    target, source = np.asarray(target, np.float64), np.asarray(source, np.float64)
    out = np.empty_like(target)
    for b, c in np.ndindex(target.shape[0], target.shape[-1]):
        hole = np.asarray(mask)[b, :, :, 0] == 1
        out[b, :, :, c] = _direct(target[b, :, :, c], source[b, :, :, c], hole)
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_semantic_inpainting_check_04_conjugate_gradients_equal_a_direct_solution(kind):
    target, source, mask = _smooth(0), _smooth(1), _mask(kind)
    actual = np.asarray(blend(target, source, mask))
    expected = _direct_batch(target[..., :1], source[..., :1], mask)
    np.testing.assert_allclose(actual[..., :1], expected, atol=1e-5)
    known = np.broadcast_to(np.asarray(mask) == 0, actual.shape)
    np.testing.assert_array_equal(actual[known], np.asarray(target)[known])


def test_semantic_inpainting_check_04_sine_transform_equals_a_direct_solution():
    target, source, mask = _smooth(2), _smooth(3), _mask("center")
    actual = poisson_blend(target, source, mask, method="dst")
    expected = _direct_batch(target[..., :1], source[..., :1], mask)
    np.testing.assert_allclose(actual[..., :1], expected, atol=1e-5)
    static = jax.jit(
        functools.partial(poisson_blend, method="dst", rectangle=(16, 16, 32, 32))
    )
    np.testing.assert_allclose(static(target, source, mask), actual, atol=1e-6)


@pytest.mark.parametrize("rectangle", [(0, 0, 20, 9), (3, 13, 20, 11), (4, 0, 9, 24)])
def test_transforms_know_the_image_border(rectangle):
    """A corner, a right edge, and a stripe from side to side."""
    target, source = _smooth(2, 24)[..., :1], _smooth(3, 24)[..., :1]
    rows, columns = Rectangle(*rectangle).slices()
    mask = jnp.zeros((1, 24, 24, 1)).at[:, rows, columns].set(1)
    actual = poisson_blend(target, source, mask, method="dst")
    np.testing.assert_allclose(actual, _direct_batch(target, source, mask), atol=1e-5)


def test_auto_solves_rectangles_directly_and_others_by_conjugate_gradients():
    masks = [_mask(kind, size=32) for kind in ("center", "left", "random", "full")]
    mask = jnp.concatenate([*masks, _mask("half", size=32, batch=8)])
    target, source = _smooth(7, 32, len(mask)), _smooth(8, 32, len(mask))
    auto = jax.jit(functools.partial(poisson_blend, method="auto"))
    actual = auto(target, source, mask)
    np.testing.assert_allclose(actual, blend(target, source, mask), atol=5e-6)
    known = np.broadcast_to(np.asarray(mask) == 0, actual.shape)
    np.testing.assert_array_equal(actual[known], target[known])
    # Without iterations all but the random hole are solved, whatever stands beside.
    still = poisson_blend(target, source, mask, method="auto", max_iters=0)
    solved = np.arange(len(mask)) != 2
    np.testing.assert_allclose(still[solved], actual[solved], atol=1e-6)
    assert np.abs(still[2] - actual[2]).max() > 0.01


@pytest.mark.parametrize("size", [(16, 16), (9, 14), (2, 3), (1, 5)])
def test_rectangular_kinds_are_among_the_rectangles(size):
    known = []
    for rectangle in hole_rectangles(*size):
        known.append(np.zeros(size))
        known[-1][rectangle.slices()] = 1
    for kind in ("center", "half", "left"):
        for hole in draw_hole_mask(kind, jax.random.key(0), 16, *size)[..., 0]:
            assert not hole.any() or any((hole == one).all() for one in known)


@pytest.mark.parametrize("kind", KINDS)
def test_semantic_inpainting_check_04_a_constant_offset_vanishes(kind):
    target = _smooth(4)
    np.testing.assert_allclose(
        blend(target, target + 0.3, _mask(kind)), target, atol=1e-5
    )


def test_semantic_inpainting_check_04_all_known_is_the_target_and_none_the_source():
    target, source = _smooth(5), _smooth(6)
    np.testing.assert_array_equal(blend(target, source, _mask("full")), target)
    hole = jnp.ones_like(_mask("full"))
    np.testing.assert_array_equal(blend(target, source, hole), source)


def test_semantic_inpainting_check_04_a_batch_of_different_masks_equals_one_by_one():
    masks = [_mask(kind, size=32) for kind in (*KINDS, "full")]
    mask = jnp.concatenate([*masks, jnp.ones_like(masks[0])])
    target, source = _smooth(7, 32, len(mask)), _smooth(8, 32, len(mask))
    together = blend(target, source, mask)
    for i in range(len(mask)):
        alone = blend(target[i : i + 1], source[i : i + 1], mask[i : i + 1])
        np.testing.assert_allclose(together[i : i + 1], alone, atol=1e-6)


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_semantic_inpainting_check_05_the_image_border_is_a_natural_condition(side):
    size = 32
    index = np.arange(size)
    ramp = np.clip(size // 2 - index, 0, None) / size  # falls to 0 at the seam
    hole = (index < size // 2).astype(np.float32)
    if side in ("right", "bottom"):
        ramp, hole = ramp[::-1], hole[::-1]
    shape = (1, 1, size, 1) if side in ("left", "right") else (1, size, 1, 1)
    mask = jnp.broadcast_to(jnp.asarray(hole).reshape(shape), (1, size, size, 1))
    target = _smooth(9, size)[..., :1]
    source = target + jnp.asarray(ramp, jnp.float32).reshape(shape)
    actual = blend(target, source, mask)
    np.testing.assert_allclose(actual, _direct_batch(target, source, mask), atol=1e-5)
    # A solver that takes zero outside the image is far off (0.1 and more).
    np.testing.assert_allclose(actual, source, atol=0.05)


@pytest.mark.parametrize("method", ["cg", "dst", "auto"])
def test_semantic_inpainting_check_06_the_target_inside_the_hole_has_no_influence(
    method,
):
    target, source, mask = _smooth(10, 32), _smooth(11, 32), _mask("center", size=32)
    expected = poisson_blend(target, source, mask, method)
    for junk in (jnp.nan, jnp.inf, 1e30, -7.0):
        dirty = jnp.where(mask == 1, junk, target)
        np.testing.assert_array_equal(
            poisson_blend(dirty, source, mask, method), expected
        )


def test_the_hole_is_clipped_and_known_pixels_are_not():
    mask = _mask("center", size=16)
    target = jnp.full((1, 16, 16, 1), 1.5)
    source = jnp.zeros_like(target).at[:, 8, 8].set(3.0)
    blended = np.asarray(blend(target, source, mask))
    assert (blended[np.asarray(mask) == 0] == 1.5).all()
    assert (blended[np.asarray(mask) == 1] == 1.0).all()


def test_bfloat16_images_keep_their_known_bits():
    target, source = _smooth(12, 32).astype(jnp.bfloat16), _smooth(13, 32)
    mask = _mask("half", size=32)
    blended = blend(target, source, mask)
    assert blended.dtype == jnp.bfloat16
    known = np.broadcast_to(np.asarray(mask) == 0, blended.shape)
    np.testing.assert_array_equal(
        np.asarray(blended, np.float32)[known], np.asarray(target, np.float32)[known]
    )


def test_a_source_that_is_not_finite_does_not_loop_to_the_end():
    target, mask = _smooth(14, 32), _mask("half", size=32)
    source = jnp.full_like(target, jnp.nan)
    blended = poisson_blend(target, source, mask, max_iters=2**30)
    known = np.broadcast_to(np.asarray(mask) == 0, blended.shape)
    np.testing.assert_array_equal(blended[known], target[known])


@pytest.mark.parametrize("kind", ["random", "full", "lowres", "half"])
def test_holes_that_the_sine_transform_cannot_solve_are_refused(kind):
    mask = lowres_hole(jax.random.key(0), 8, 32, 32)
    mask = mask if kind == "lowres" else _mask(kind, size=32, batch=8)
    with pytest.raises(UserError, match="use method='cg'"):
        poisson_blend(_smooth(0, 32, 8), _smooth(1, 32, 8), mask, "dst")


def test_the_sine_transform_inside_jit_asks_for_the_rectangle():
    with pytest.raises(UserError, match="rectangle="):
        jax.jit(functools.partial(poisson_blend, method="dst"))(
            _smooth(0, 32), _smooth(1, 32), _mask("center", size=32)
        )
