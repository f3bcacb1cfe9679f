import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from jaxgan.core.errors import UserError
from jaxgan.evaluation import features, fid, frechet
from tests.evaluation import vectors


def first_pixels(params, images):
    """The first three pixels of each image, weighted."""
    assert images.dtype == jnp.uint8
    return params * images.astype(jnp.float32).reshape(len(images), -1)[:, :9]


def expected(*batches):
    return np.concatenate(
        [
            0.5 * batch.astype(np.float32).reshape(len(batch), -1)[:, :9]
            for batch in batches
        ]
    )


@pytest.mark.parametrize("batch_size", [1, 4, 7, 64])
def test_every_image_arrives_once_and_in_order(batch_size):
    batches = [vectors.noise(n, n, 5, 4, 3) for n in (3, 1, 9, 4)]
    collected = features.collect(first_pixels, 0.5, batches, batch_size=batch_size)
    np.testing.assert_array_equal(collected, expected(*batches))


def test_images_of_several_sizes_are_batched_by_size_and_returned_in_order():
    batches = [
        vectors.noise(i, 2, *size, 3) for i, size in enumerate([(5, 4), (8, 8)] * 3)
    ]
    collected = features.collect(first_pixels, 0.5, batches, batch_size=4)
    np.testing.assert_array_equal(collected, expected(*batches))


def test_the_ragged_tail_is_padded_and_masked():
    parts = list(features.rebatch([vectors.noise(0, 10, 2, 2, 3)], 4))
    assert [len(part.images) for part in parts] == [4, 4, 4]
    assert [part.weight.sum() for part in parts] == [4, 4, 2]
    np.testing.assert_array_equal(parts[2].position, [8, 9])
    # Padding is a real picture: networks that normalise stay finite.
    np.testing.assert_array_equal(parts[2].images[3], parts[2].images[0])


def test_float_images_are_quantised_before_the_network():
    images = vectors.noise(0, 3, 4, 4, 3)
    floats = images.astype(np.float32) / 127.5 - 1
    collected = features.collect(first_pixels, 0.5, [floats, floats], batch_size=4)
    np.testing.assert_array_equal(collected, expected(images, images))


@pytest.mark.parametrize("chunk_rows", [1, 12, 2048])
def test_moments_are_those_of_the_collected_features(monkeypatch, chunk_rows):
    monkeypatch.setattr(features, "_CHUNK_ROWS", chunk_rows)
    monkeypatch.setattr(features, "_CHUNK_ROWS_PER_DIMENSION", 0)
    batches = [vectors.noise(n, n, 5, 4, 3) for n in (3, 20, 9)]
    streamed = features.moments(first_pixels, 0.5, batches, batch_size=6)
    exact = frechet.from_features(expected(*batches))
    assert streamed.count == exact.count == 32
    np.testing.assert_allclose(streamed.mean, exact.mean, rtol=1e-7)
    np.testing.assert_allclose(streamed.m2, exact.m2, rtol=1e-5, atol=1)


def lookup(params, images):
    """Row number `image` of a table."""
    return params[images[:, 0, 0, 0].astype(int)]


def test_check_01_distance_of_streamed_features():
    images = np.arange(6, dtype=np.uint8)[:, None, None, None]
    moments = [
        features.moments(lookup, jnp.asarray(x, jnp.float32), [images], batch_size=4)
        for x in vectors.features()
    ]
    assert frechet.distance(*moments) == pytest.approx(0.7899533, rel=1e-6)


def test_streams_with_fewer_images_than_dimensions_are_summed_in_float64():
    random = np.random.default_rng(0)
    mix = random.normal(size=(96, 96)) * np.linspace(0, 1, 96) ** 2
    table = (random.normal(size=(30, 96)) @ mix).clip(0).astype(np.float32)
    reference = frechet.from_features((random.normal(size=(2000, 96)) @ mix).clip(0))
    images = np.arange(30, dtype=np.uint8)[:, None, None, None]
    streamed = features.moments(lookup, jnp.asarray(table), [images], batch_size=8)
    exact = frechet.distance(frechet.from_features(table), reference)
    assert frechet.distance(streamed, reference) == pytest.approx(exact, rel=1e-9)
    # What float32 sums on the device would have made of it.
    device = frechet.update(frechet.empty(96), table)
    assert frechet.distance(device, reference) != pytest.approx(exact, rel=1e-5)


def test_one_network_is_compiled_once_for_all_batches_and_calls():
    calls = []

    def counting(params, images):
        calls.append(images.shape)
        return first_pixels(params, images)

    for count in (5, 9, 2):
        features.collect(
            counting, 0.5, [vectors.noise(0, count, 4, 4, 3)], batch_size=4
        )
    assert calls == [(4, 4, 4, 3)]


SIZES = [(9, 7), (6, 8), (5, 5)]


def of_sizes(*counts):
    """Batches of images of three sizes in turn."""
    return [vectors.noise(i, count, *SIZES[i % 3], 3) for i, count in enumerate(counts)]


def counted(monkeypatch):
    """A network behind a resize to 4x4, the shapes that it was traced for, and the
    lengths of its calls."""
    traced, called = [], []

    def network(params, images):
        traced.append(images.shape)
        return params * images.reshape(len(images), -1)

    def apply(network, params, images, original=features._apply):
        called.append(len(images))
        return original(network, params, images)

    monkeypatch.setattr(features, "_apply", apply)
    return fid.Preprocessed(network, size=(4, 4)), traced, called


def test_batches_fill_across_sizes_and_the_network_is_compiled_once(monkeypatch):
    network, traced, called = counted(monkeypatch)
    batches = of_sizes(3, 1, 9, 4, 1, 1, 2)
    collected = features.collect(network, 2.0, batches, batch_size=4)
    assert called == [4] * 6  # 21 images
    assert traced == [(4, 4, 4, 3)]
    alone = [
        network(2.0, batch[i : i + 1]) for batch in batches for i in range(len(batch))
    ]
    np.testing.assert_allclose(collected, np.concatenate(alone), rtol=1e-6, atol=1e-6)
    streamed = features.moments(network, 2.0, batches, batch_size=4)
    np.testing.assert_allclose(streamed.mean, collected.mean(axis=0), rtol=1e-5)
    assert streamed.count == 21 and len(called) == 12


def test_a_size_is_resized_by_two_programs_at_most(monkeypatch):
    network, _, called = counted(monkeypatch)
    before = fid.preprocess._cache_size()
    for counts in ((12, 0, 0), (7, 2, 1), (2, 3, 8), (0, 1, 2), (4, 8, 4)):
        batches = [batch for batch in of_sizes(*counts) if len(batch)]
        features.collect(network, 1.0, batches, batch_size=4)
    assert fid.preprocess._cache_size() - before <= 2 * len(SIZES)
    assert called == [4] * (3 + 3 + 4 + 1 + 4)


def test_mixed_batches_are_split_over_a_mesh(monkeypatch):
    network, traced, _ = counted(monkeypatch)
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))
    one = [vectors.noise(9, 8, 9, 7, 3)]
    for batches in (one, of_sizes(3, 1, 9)):
        run = list(features._run(network, 2.0, batches, 8, mesh))
        assert {s.data.shape for s in run[0][0].addressable_shards} == {(1, 48)}
        found = features.collect(network, 2.0, batches, batch_size=8, mesh=mesh)
        alone = features.collect(network, 2.0, batches, batch_size=8)
        np.testing.assert_allclose(found, alone, rtol=1e-6, atol=1e-6)
    assert len(traced) == 2  # for the mesh, and without one


def test_an_empty_stream_is_an_error():
    for run in (features.collect, features.moments):
        with pytest.raises(UserError, match="no images to evaluate"):
            run(first_pixels, 0.5, [])


def test_diverged_generators_are_named():
    broken = np.full((2, 4, 4, 3), np.nan, np.float32)
    with pytest.raises(UserError, match="NaN or infinity"):
        features.collect(first_pixels, 0.5, [broken])
