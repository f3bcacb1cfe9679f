"""Adversarial losses against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import losses


def test_zero_logits_cost_what_a_coin_costs():
    zero = jnp.zeros((4, 1))
    np.testing.assert_allclose(
        losses.bce_discriminator(zero, zero), 2 * np.log(2), 1e-6
    )
    np.testing.assert_allclose(losses.non_saturating_generator(zero), np.log(2), 1e-6)
    np.testing.assert_allclose(losses.minimax_generator(zero), -np.log(2), 1e-6)


def test_soft_targets_by_hand():
    real, fake = jnp.asarray([2.0]), jnp.asarray([-1.0])
    targets = jnp.asarray([0.7]), jnp.asarray([0.3])
    # 0.7 * 0.126928 + 0.3 * 2.126928, and 0.3 * 1.313262 + 0.7 * 0.313262.
    found = losses.soft_bce_discriminator(real, fake, *targets)
    np.testing.assert_allclose(found, 0.726928 + 0.613262, 1e-5)
    slope = jax.grad(losses.soft_non_saturating_generator)(real, jnp.asarray([1.2]))
    np.testing.assert_allclose(slope, [1 / (1 + np.exp(-2.0)) - 1.2], 1e-5)


def test_targets_of_one_and_zero_are_the_published_losses():
    real, fake = jnp.asarray([3.0, -0.5]), jnp.asarray([-30.0, 0.2])
    ones, zeros = jnp.ones(2), jnp.zeros(2)
    np.testing.assert_allclose(
        losses.soft_bce_discriminator(real, fake, ones, zeros),
        losses.bce_discriminator(real, fake),
        1e-6,
    )
    np.testing.assert_allclose(
        losses.soft_non_saturating_generator(fake, ones),
        losses.non_saturating_generator(fake),
        1e-6,
    )


def test_targets_of_another_shape_are_refused():
    with pytest.raises(TypeError):
        losses.soft_non_saturating_generator(jnp.zeros((4, 1)), jnp.ones(4))


def test_pix2pix_check_04_logits_of_one_and_minus_one():
    real, fake = jnp.asarray([1.0]), jnp.asarray([-1.0])
    np.testing.assert_allclose(
        0.5 * losses.bce_discriminator(real, fake), 0.313262, 1e-5
    )
    np.testing.assert_allclose(losses.non_saturating_generator(fake), 1.313262, 1e-5)


def test_cyclegan_check_03_least_squares():
    real, fake = jnp.asarray([0.8]), jnp.asarray([0.3])
    np.testing.assert_allclose(
        0.5 * losses.lsgan_discriminator(real, fake), 0.065, 1e-5
    )
    np.testing.assert_allclose(losses.lsgan_generator(fake), 0.49, 1e-5)


def test_wasserstein_is_a_difference_of_means():
    real, fake = jnp.asarray([1.0, 3.0]), jnp.asarray([-1.0, 0.0])
    np.testing.assert_allclose(losses.wasserstein_discriminator(real, fake), -2.5)
    np.testing.assert_allclose(losses.wasserstein_generator(fake), 0.5)


def test_confident_fakes_leave_the_non_saturating_generator_its_gradient():
    logit = jnp.asarray([-20.0])
    gradient = jax.grad(losses.non_saturating_generator)(logit)
    vanishing = jax.grad(losses.minimax_generator)(logit)
    np.testing.assert_allclose(gradient, [-1.0], rtol=1e-6)
    np.testing.assert_allclose(vanishing, [-2.06e-9], rtol=1e-2)


def test_accuracy_counts_right_calls():
    real, fake = jnp.asarray([1.0, -1.0]), jnp.asarray([-1.0, -1.0])
    assert losses.binary_accuracy(real, fake) == 0.75
    assert losses.binary_accuracy(real + 0.4, fake + 1.3, threshold=0.5) == 0.75


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("bce", losses.bce_discriminator, losses.non_saturating_generator),
        ("lsgan", losses.lsgan_discriminator, losses.lsgan_generator),
        ("wasserstein", losses.wasserstein_discriminator, losses.wasserstein_generator),
    ],
)
def test_a_formula_by_its_parts_is_the_whole(name, discriminator, generator):
    loss = losses.GAN_LOSSES[name]
    real, fake = jnp.asarray([0.3, 2.0]), jnp.asarray([-1.0, 0.4])
    np.testing.assert_allclose(
        loss.real(real) + loss.fake(fake), discriminator(real, fake), rtol=1e-6
    )
    np.testing.assert_allclose(loss.real(fake), generator(fake), rtol=1e-6)


def test_half_precision_is_summed_in_float32():
    logits = jnp.full((4096,), 0.1, jnp.bfloat16)
    assert losses.non_saturating_generator(logits).dtype == jnp.float32
    np.testing.assert_allclose(
        losses.lsgan_generator(logits), np.square(float(logits[0]) - 1), rtol=1e-6
    )


def test_pixel_losses_average_over_everything_and_refuse_other_shapes():
    x, y = jnp.zeros((2, 4, 4, 3)), jnp.full((2, 4, 4, 3), 0.5)
    np.testing.assert_allclose(losses.l1(x, y), 0.5)
    np.testing.assert_allclose(losses.mse(x, y), 0.25)
    for loss in (losses.l1, losses.mse):
        with pytest.raises(Exception, match="(?i)type-check"):
            loss(x, y[..., :1])


def test_total_variation_sums_over_pixels_and_averages_over_the_batch():
    ramp = jnp.broadcast_to(jnp.arange(4.0)[None, :, None, None], (3, 4, 5, 2))
    np.testing.assert_allclose(losses.total_variation(ramp), 3 * 5 * 2)
