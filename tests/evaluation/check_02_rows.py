"""What check 2 compares: one row of figures for some batch size and mesh."""

import json

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgan.evaluation import features, fid, kid, per_image, psnr, segmentation
from jaxgan.evaluation.inception_score import inception_score
from tests.evaluation import vectors


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
    row |= kid.kid(x, y, num_subsets=11, subset_size=40, mesh=mesh)
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


def main() -> None:
    """Prints the row of one device, then that of a mesh of eight."""
    jax.config.update("jax_num_cpu_devices", 8)
    features._CHUNK_ROWS = 16
    real, fake = vectors.noise(0, 150, 6, 6, 3), vectors.noise(1, 150, 6, 6, 3) // 2
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))
    for devices in (None, mesh):
        print(json.dumps(rows(real, fake, batch_size=24, mesh=devices)))
