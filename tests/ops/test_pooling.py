import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.ops import max_pool_features


def test_maps_of_images_are_pooled_by_windows_of_their_own():
    large = jnp.arange(64.0).reshape(1, 8, 4, 2)
    small = -jnp.ones((1, 2, 2, 1))
    pooled = max_pool_features([large, small], (4, 2))
    np.testing.assert_array_equal(pooled, [[30.0, 31.0, 62.0, 63.0, -1.0]])


def test_gan3d_check_08_feature_pooling_of_one_hot_activations_is_exact():
    sizes, channels = (16, 8, 4), (3, 4, 5)
    activations, expected = [], []
    for size, width in zip(sizes, channels, strict=True):
        place = (1, size - 1, 0, size // 2, width - 1)
        activations.append(
            jnp.full((2, size, size, size, width), -1.0).at[place].set(7.0)
        )
        pooled = np.full((2, 2, 2, 2, width), -1.0)
        pooled[1, 1, 0, 1, width - 1] = 7
        expected.append(pooled.reshape(2, -1))
    features = jax.jit(lambda a: max_pool_features(a, (8, 4, 2)))(activations)
    np.testing.assert_array_equal(features, np.concatenate(expected, axis=1))


def test_gan3d_check_02_feature_vector_of_the_published_widths_has_7168_numbers():
    activations = [
        jax.ShapeDtypeStruct((2, n, n, n, c), jnp.float32)
        for n, c in ((16, 128), (8, 256), (4, 512))
    ]
    features = jax.eval_shape(lambda a: max_pool_features(a, (8, 4, 2)), activations)
    assert features.shape == (2, 7168)
