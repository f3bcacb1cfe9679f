import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation.images import level_pair, levels, range_width, to_uint8


@pytest.mark.parametrize("compile", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_check_09_minus_one_zero_one_become_0_128_255(compile):
    x = jnp.array([[-1.0, 0.0, 1.0]])
    assert compile(levels)(x).tolist() == [[0.0, 128.0, 255.0]]


def test_levels_clip_and_undo_the_usual_scaling():
    assert levels(jnp.array([[-1.7, 3.0]])).tolist() == [[0.0, 255.0]]
    every = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(levels(every / np.float32(127.5) - 1), every)
    np.testing.assert_array_equal(levels(every), every)


def test_unquantised_levels_are_neither_rounded_nor_clipped():
    x = jnp.array([[0.1, 1.2]])
    np.testing.assert_allclose(levels(x, quantize=False), [[140.25, 280.5]], rtol=1e-6)


def test_bfloat16_images_are_quantised_in_float32():
    x = jnp.array([[0.5, -0.25]], jnp.bfloat16)
    assert levels(x).tolist() == [[191.0, 96.0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_does_not_pass_for_black(bad):
    images = np.full((1, 2, 2, 3), bad, np.float32)
    assert np.isnan(levels(images)).all()
    with pytest.raises(UserError, match="NaN or infinity"):
        to_uint8(images)


def test_integer_images_of_unknown_range_are_refused():
    with pytest.raises(TypeError, match="int32"):
        levels(np.zeros((2, 3), np.int32))


def test_images_of_different_shape_do_not_broadcast():
    grey, rgb = np.zeros((1, 4, 4, 1), np.uint8), np.zeros((1, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="differ in shape"):
        level_pair(grey, rgb)


def test_unknown_range_names_the_known_ones():
    assert range_width("signed") == 2.0
    with pytest.raises(UserError, match="did you mean 'signed'.*uint8, signed, unit"):
        range_width("sined")
