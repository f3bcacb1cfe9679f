"""Check 2: figures do not depend on batch size, order of batches or device count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgan.evaluation import (
    features,
    fid,
    frechet,
    per_image,
    psnr,
    segmentation,
)
from jaxgan.evaluation.inception_score import inception_score
from jaxgan.evaluation.kid import kid
from tests.evaluation import vectors

REAL, FAKE = vectors.noise(0, 150, 6, 6, 3), vectors.noise(1, 150, 6, 6, 3) // 2


def network(params, images):
    """Twelve numbers an image, without weights."""
    pixels = images.astype(jnp.float32).reshape(len(images), -1) / 255.0
    return jnp.tanh(params * pixels[:, :12] * pixels[:, 12:24] + pixels[:, 24:36])


def rows(real, fake, *, batch_size: int, mesh: Mesh | None = None) -> dict[str, float]:
    """FID, KID, IS, PSNR and segmentation scores of `fake` against `real`."""
    args = {"batch_size": batch_size, "mesh": mesh}
    reference = features.moments(network, 1.0, [real], **args)
    statistics = fid.statistics(reference, variant="local")
    row = fid.result(features.moments(network, 1.0, [fake], **args), statistics)
    x, y = (features.collect(network, 1.0, [part], **args) for part in (fake, real))
    row |= kid(x, y, num_subsets=11, subset_size=40, mesh=mesh)
    row |= inception_score(x, splits=2)
    images, counts = per_image.PerImage(), segmentation.empty(4)
    pairs = zip(
        features.rebatch([fake], batch_size),
        features.rebatch([real], batch_size),
        strict=True,
    )
    split = (
        None if mesh is None else NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    )
    for a, b in pairs:
        weight = a.weight
        a, b = jax.device_put((a.images, b.images), split)
        images = per_image.update(images, {"psnr": psnr.psnr(a, b)}, weight)
        labels, guesses = b[..., 0] // 64, a[..., 0] // 64
        counts = segmentation.update(counts, labels, guesses, weight)
    return row | per_image.result(images) | segmentation.result(counts)


def test_check_02_batches_of_7_and_64_give_the_same_figures(monkeypatch):
    # Several chunks, so that the streamed route is what is compared.
    monkeypatch.setattr(features, "_CHUNK_ROWS", 16)
    small, large = [rows(REAL, FAKE, batch_size=size) for size in (7, 64)]
    assert small.keys() == large.keys()
    for key in small:
        # float32 sums of one chunk differ in their last digit, all else is exact.
        assert small[key] == pytest.approx(large[key], rel=1e-6), key
    for key in ("psnr", "iou", "psnr/num_samples", "pixel_accuracy"):
        assert small[key] == large[key]


def test_check_02_the_order_of_batches_does_not_matter():
    parts = [slice(low, min(low + 7, 150)) for low in range(0, 150, 7)]
    orders = (range(22), np.random.default_rng(0).permutation(22))
    results = []
    for order in orders:
        moments = [frechet.empty(12), frechet.empty(12)]
        images, counts = per_image.PerImage(), segmentation.empty(4)
        for i in order:
            part = parts[i]
            for side, batch in enumerate((REAL[part], FAKE[part])):
                x = network(1.0, batch)
                moments[side] = frechet.update(moments[side], x)
            images = per_image.update(
                images, {"psnr": psnr.psnr(FAKE[part], REAL[part])}
            )
            labels, guesses = REAL[part, ..., 0] // 64, FAKE[part, ..., 0] // 64
            counts = segmentation.update(counts, labels, guesses)
        row = {"fid": frechet.distance(*moments)}
        results.append(row | per_image.result(images) | segmentation.result(counts))
    for key in results[0]:
        assert results[0][key] == pytest.approx(results[1][key], rel=1e-9), key


def test_check_02_the_order_of_images_does_not_matter_to_whole_sets():
    x, y = (np.asarray(network(1.0, images)) for images in (REAL, FAKE))
    order = np.random.default_rng(0).permutation(150)
    whole = {"num_subsets": 1}
    # The kernel is float32 on the device: 1e-8, not the 1e-9 of float64.
    assert kid(x[order], y, **whole)["kid"] == pytest.approx(
        kid(x, y, **whole)["kid"], rel=1e-7
    )
    scores = [inception_score(z, splits=1)["is"] for z in (y, y[order])]
    assert scores[0] == pytest.approx(scores[1], rel=1e-9)


def test_check_02_one_and_eight_devices_give_the_same_figures(monkeypatch):
    monkeypatch.setattr(features, "_CHUNK_ROWS", 16)
    devices = np.array(jax.devices())
    assert len(devices) == 8
    mesh = Mesh(devices.reshape(4, 2), ("data", "model"))
    one, eight = (rows(REAL, FAKE, batch_size=24, mesh=m) for m in (None, mesh))
    assert one.keys() == eight.keys()
    for key in one:
        assert one[key] == pytest.approx(eight[key], rel=1e-6), key


def test_check_02_batches_are_split_over_the_whole_mesh():
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))
    run = features._run(network, 1.0, [REAL[:5]], batch_size=3, mesh=mesh)
    (batch,) = run  # rounded up to 8 images, one a device
    assert batch[0].shape == (8, 12)
    assert {s.data.shape for s in batch[0].addressable_shards} == {(1, 12)}
