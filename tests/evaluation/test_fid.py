import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation import features, fid, frechet
from tests.evaluation import vectors
from tests.evaluation.test_resize import pillow_bilinear


def grid(params, images):
    """A feature network without weights: colours and contrasts of a 4x4 grid."""
    b, h, w, _ = images.shape
    cells = images[:, : h // 4 * 4, : w // 4 * 4].reshape(b, 4, h // 4, 4, w // 4, 3)
    means = cells.mean((2, 4))
    contrasts = jnp.square(cells - means[:, :, None, :, None]).mean((2, 4))
    return jnp.concatenate([means, params * contrasts], -1).reshape(b, -1)


def reference(variant="clean", sha="a" * 64):
    moments = frechet.from_features(vectors.features()[0])
    return fid.statistics(moments, variant=variant, network_sha256=sha)


def test_scalings_of_the_variants():
    flat = np.full((1, 8, 8, 3), 64, np.uint8)
    for variant, expected in (
        ("tensorflow", (64 - 128) / 128),
        ("clean", (64 - 128) / 128),
        ("torch", 2 * 64 / 255 - 1),
        ("jax_fid", 2 * 64 / 255 - 1),
    ):
        images = fid.preprocess(flat, variant=variant, size=(5, 6))
        assert images.shape == (1, 5, 6, 3) and images.dtype == jnp.float32
        np.testing.assert_allclose(images, expected, atol=1e-6)


def test_clean_clips_the_overshoot_and_does_not_round():
    edge = np.zeros((1, 8, 8, 3), np.uint8)
    edge[:, :, 4:] = 255
    images = np.asarray(fid.preprocess(edge, variant="clean", size=(20, 20)))
    assert images.min() == -1.0 and images.max() == np.float32(127 / 128)
    levels = images * 128 + 128
    assert not np.allclose(levels, np.round(levels), atol=1e-3)


def test_jax_fid_resizes_8_bit_images_or_none():
    images = vectors.noise(0, 2, 20, 14, 3)
    small = [pillow_bilinear(image, (9, 9)) for image in images]
    found = fid.preprocess(images, variant="jax_fid", size=(9, 9))
    np.testing.assert_allclose(found, np.float32(small) * 2 / 255 - 1, atol=1e-6)
    kept = fid.preprocess(images, variant="jax_fid")
    np.testing.assert_allclose(kept, np.float32(images) * 2 / 255 - 1, atol=1e-6)
    assert fid.preprocess(images, variant="torch").shape == (2, 299, 299, 3)


def test_jax_fid_sees_every_size_as_it_is():
    sizes = ((8, 12), (16, 8), (8, 12))
    batches = [vectors.noise(i, 3, *size, 3) for i, size in enumerate(sizes)]
    network = fid.Preprocessed(grid, "jax_fid")
    found = features.collect(network, 1.0, batches, batch_size=4)
    expected = [grid(1.0, batch * np.float32(2 / 255) - 1) for batch in batches]
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-5)
    resizes = fid.Preprocessed(grid, "jax_fid", (8, 8))
    alike = features.collect(resizes, 1.0, batches, batch_size=4)
    assert alike.shape == found.shape and not np.allclose(alike, found, atol=1e-2)


def test_float_images_enter_as_their_8_bit_levels():
    images = vectors.noise(0, 1, 9, 9, 3)
    floats = images.astype(np.float32) / 127.5 - 1 + 0.003
    np.testing.assert_array_equal(
        fid.preprocess(floats, variant="torch"), fid.preprocess(images, variant="torch")
    )


def test_unknown_variant_suggests_the_nearest():
    with pytest.raises(UserError, match="did you mean 'clean'"):
        fid.preprocess(np.zeros((1, 8, 8, 3), np.uint8), variant="claen")


def test_check_05_clean_differs_from_torch_on_a_512_pixel_input():
    real, fake = vectors.noise(0, 4, 512, 512, 3), vectors.noise(1, 4, 512, 512, 3)
    fake = fake // 2 + 60
    rows = {}
    for variant in ("clean", "torch"):
        network = fid.Preprocessed(grid, variant)
        stats = fid.statistics(
            features.moments(network, 10.0, [real], batch_size=2), variant=variant
        )
        acc = features.moments(network, 10.0, [fake], batch_size=2)
        rows |= fid.result(acc, stats)
    # Antialiasing smooths noise that plain bilinear sampling keeps.
    assert rows["fid/clean"] < 0.5 * rows["fid/torch"]
    assert rows["fid/clean/num_samples"] == rows["fid/torch/num_reference"] == 4


def test_check_05_statistics_of_another_variant_are_refused(tmp_path):
    fid.save_statistics(tmp_path / "real.npz", reference("torch"))
    with pytest.raises(
        UserError, match="real.npz' are of variant 'torch', not 'clean'"
    ):
        fid.load_statistics(tmp_path / "real.npz", variant="clean")
    assert fid.load_statistics(tmp_path / "real.npz", variant="torch").num_samples == 6


def test_statistics_survive_the_disk(tmp_path):
    stored = reference()
    fid.save_statistics(tmp_path / "real", stored)
    loaded = fid.load_statistics(tmp_path / "real")
    np.testing.assert_array_equal(loaded.mean, stored.mean)
    np.testing.assert_array_equal(loaded.covariance, stored.covariance)
    for field in ("variant", "num_samples", "network_sha256"):
        assert getattr(loaded, field) == getattr(stored, field)


def test_statistics_without_a_variant_need_an_explicit_one(tmp_path):
    stored = reference()
    np.savez(tmp_path / "ttur.npz", mu=stored.mean, sigma=stored.covariance)
    with pytest.raises(
        UserError, match="do not say which variant.*--fid_variant=tensorflow"
    ):
        fid.load_statistics(tmp_path / "ttur.npz")
    with pytest.raises(UserError, match="do not say which variant"):
        fid.load_statistics(tmp_path / "ttur.npz", variant="clean", is_default=True)
    loaded = fid.load_statistics(tmp_path / "ttur.npz", variant="tensorflow")
    assert loaded.variant == "tensorflow" and loaded.num_samples is None
    acc = frechet.from_features(vectors.features()[1])
    row = fid.result(acc, loaded)
    assert row["fid/tensorflow"] == pytest.approx(0.7899533, abs=1e-7)
    assert set(row) == {"fid/tensorflow", "fid/tensorflow/num_samples"}


def test_statistics_of_another_network_are_refused(tmp_path):
    fid.save_statistics(tmp_path / "a.npz", reference(sha="a" * 64))
    with pytest.raises(UserError, match="sha256 aaaaaaaaaaaa..., not bbbbbbbbbbbb"):
        fid.load_statistics(tmp_path / "a.npz", network_sha256="b" * 64)
    fid.load_statistics(tmp_path / "a.npz", network_sha256="a" * 64)


def test_files_that_are_no_statistics_are_named(tmp_path):
    path = tmp_path / "file.npz"
    with pytest.raises(UserError, match="file.npz' not found"):
        fid.load_statistics(path)
    path.write_bytes(b"no archive at all")
    with pytest.raises(UserError, match="cannot be read as .npz"):
        fid.load_statistics(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(UserError, match="cannot be read as .npz"):
        fid.load_statistics(path)
    np.savez(path, mu=np.zeros(3))
    with pytest.raises(UserError, match="lack sigma: they hold mu"):
        fid.load_statistics(path)
    np.savez(path, mu=np.zeros(3), sigma=np.zeros((3, 2)))
    with pytest.raises(UserError, match=r"are not \[d\] and \[d, d\]"):
        fid.load_statistics(path)
    fid.save_statistics(path, reference())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="cannot be read as .npz"):
        fid.load_statistics(path)


def test_pickled_statistics_are_not_opened(tmp_path):
    path = tmp_path / "pickled.npz"
    np.savez(path, mu=np.array([{"code": 1}], object), sigma=np.zeros((1, 1)))
    with pytest.raises(UserError, match="without pickles"):
        fid.load_statistics(path)


def test_features_of_another_dimension_are_refused():
    acc = frechet.from_features(vectors.wide_features()[0])
    with pytest.raises(UserError, match="16 dimensions, the reference statistics 3"):
        fid.result(acc, reference())
