import dataclasses

import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.evaluation import fid, frechet, image_sets, kid
from jaxgan.evaluation.image_sets import ImageSets
from jaxgan.evaluation.inception_score import inception_score
from tests.evaluation.stubs import feature_network, noise

X, Y = noise(0, 12, 4, 4, 3), noise(1, 9, 4, 4, 3)


def features(images):
    return 2.0 * images.reshape(len(images), -1)[:, :6].astype(np.float64) / 255.0


def gathered(network, *cuts):
    acc, start = ImageSets(network, batch_size=5), 0
    for stop in (*cuts, len(X)):
        acc = image_sets.update(acc, {"": X[start:stop]})
        start = stop
    padded = np.concatenate([Y, Y[:3]])
    weight = np.arange(12) < 9
    return image_sets.update(acc, {"reference": padded}, weight)


def test_fid_and_kid_are_those_of_the_features_whatever_the_batches():
    row = image_sets.result(gathered(feature_network()), "reference")
    x, y = features(X), features(Y)
    expected = frechet.frechet_distance(x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T))
    assert row["fid/clean"] == pytest.approx(expected, rel=1e-6)
    assert (row["fid/clean/num_samples"], row["fid/clean/num_reference"]) == (12, 9)
    for key, value in kid.kid(x, y).items():
        assert row[key.replace("kid", "kid/clean", 1)] == pytest.approx(value, rel=1e-4)
    other = image_sets.result(gathered(feature_network(), 1, 8), "reference")
    assert other == pytest.approx(row, rel=1e-9)


def test_figures_of_random_features_say_so():
    row = image_sets.result(gathered(feature_network(True)), "reference")
    assert row and all(key.startswith("random_") for key in row)


def test_nothing_is_gathered_without_a_network():
    acc = gathered(None)
    assert not acc.rows and image_sets.result(acc, "reference") == {}


def test_a_set_ends_the_names_of_its_figures():
    acc = image_sets.update(gathered(feature_network()), {"/copy": Y})
    row = image_sets.result(acc, "reference", ["", "/copy"])
    assert row["fid/clean/copy"] == pytest.approx(0, abs=1e-9)
    assert row["fid/clean"] > 0.1
    assert row["fid/clean/copy/num_samples"] == row["kid/clean/copy/num_samples"] == 9


def test_statistics_from_a_file_stand_for_the_reference_images(tmp_path):
    acc = gathered(feature_network())
    fid.save_statistics(tmp_path / "y.npz", image_sets.statistics(acc, "reference"))
    known = {"reference": fid.load_statistics(tmp_path / "y.npz", variant="clean")}
    acc_known = ImageSets(feature_network(), 5, known)
    # Images of a known set are not looked at.
    acc_known = image_sets.update(acc_known, {"": X, "reference": X})
    assert acc_known.rows.keys() == {""}
    row = image_sets.result(acc_known, "reference")
    full = image_sets.result(acc, "reference")
    assert row["fid/clean"] == pytest.approx(full["fid/clean"], rel=1e-9)
    assert row["fid/clean/num_reference"] == 9
    assert not any("kid" in key for key in row)


def test_two_halves_merge_to_the_whole():
    whole = gathered(feature_network())
    first = image_sets.update(ImageSets(feature_network(), 5), {"": X[:7]})
    second = image_sets.update(
        ImageSets(feature_network(), 5), {"": X[7:], "reference": Y}
    )
    merged = image_sets.result(image_sets.merge(first, second), "reference")
    assert merged == pytest.approx(image_sets.result(whole, "reference"), rel=1e-9)


def test_moments_of_many_rows_are_merged_block_by_block(monkeypatch):
    monkeypatch.setattr(image_sets, "_BLOCK", 5)
    rows = features(noise(2, 23, 4, 4, 3)).astype(np.float32)
    found = image_sets.moments(rows)
    np.testing.assert_allclose(found.covariance, np.cov(rows.T.astype(float)))


def test_inception_scores_are_those_of_the_classified_features():
    classifier = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    network = dataclasses.replace(feature_network(), classifier=classifier)
    acc = image_sets.update(gathered(network), {"/few": Y})
    row = image_sets.inception_scores(acc, ["", "/few"])
    expected = inception_score(features(X) @ classifier, splits=10)
    for key, value in expected.items():
        found = row[key.replace("is", "is/clean", 1)]
        assert found == pytest.approx(value, rel=1e-5)
    assert row["is/clean"] > 1.01
    assert row["is/clean/few/splits"] == 9  # as many as images
    # Without a classifier there is no score, and random weights say what they are.
    assert image_sets.inception_scores(gathered(feature_network())) == {}
    assert image_sets.inception_scores(gathered(None)) == {}
    network = dataclasses.replace(network, is_random=True)
    row = image_sets.inception_scores(gathered(network))
    assert row and all(key.startswith("random_is/clean") for key in row)


def test_batches_are_filled_across_sets_and_updates():
    """Images wait, less than a batch of them, and keep their order."""
    acc = ImageSets(feature_network(), batch_size=5)
    for i in range(9):
        acc = image_sets.update(acc, {"": X[i : i + 1], "reference": Y[i : i + 1]})
        assert sum(len(part) for _, part in acc.waiting) == 2 * (i + 1) % 5
    for name, images in (("", X[:9]), ("reference", Y)):
        found = image_sets.joined(acc, name)
        np.testing.assert_allclose(found, features(images), rtol=1e-6)
    # What waits holds no more than itself of the array that it came with.
    acc = image_sets.update(ImageSets(feature_network(), batch_size=5), {"": X})
    ((_, part),) = acc.waiting
    assert len(part) == 2 and part.base is None


def test_what_cannot_be_compared_is_refused():
    acc = ImageSets(feature_network())
    with pytest.raises(UserError, match="grey or RGB images, got 2 channels"):
        image_sets.update(acc, {"": noise(0, 2, 4, 4, 2)})
    grey = image_sets.update(acc, {"": noise(0, 2, 4, 4, 1)})
    assert image_sets.joined(grey, "").shape == (2, 6)
    with pytest.raises(UserError, match="a set of them is empty"):
        image_sets.result(grey, "reference")
    with pytest.raises(UserError, match="diverged"):
        image_sets.update(acc, {"": np.full((1, 4, 4, 3), np.nan, np.float32)})
