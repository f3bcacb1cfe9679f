"""Check 2: figures do not depend on batch size, order of batches or device count."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from jaxgan.evaluation import (
    features,
    frechet,
    inception_score,
    per_image,
    psnr,
    segmentation,
)
from jaxgan.evaluation.kid import kid
from tests.evaluation import check_02_rows, vectors

REAL, FAKE = vectors.noise(0, 150, 6, 6, 3), vectors.noise(1, 150, 6, 6, 3) // 2


def test_check_02_batches_of_7_and_64_give_the_same_figures(monkeypatch):
    # Several chunks, so that the streamed route is what is compared.
    monkeypatch.setattr(features, "_CHUNK_ROWS", 16)
    rows = [check_02_rows.rows(REAL, FAKE, batch_size=size) for size in (7, 64)]
    assert rows[0].keys() == rows[1].keys()
    for key in rows[0]:
        # float32 sums of one chunk differ in their last digit, all else is exact.
        assert rows[0][key] == pytest.approx(rows[1][key], rel=1e-6), key
    for key in ("psnr", "iou", "psnr/num_samples", "pixel_accuracy"):
        assert rows[0][key] == rows[1][key]


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
                x = check_02_rows.network(1.0, batch)
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
    x, y = (np.asarray(check_02_rows.network(1.0, images)) for images in (REAL, FAKE))
    order = np.random.default_rng(0).permutation(150)
    whole = {"num_subsets": 1}
    assert kid(x[order], y, **whole)["kid"] == pytest.approx(
        kid(x, y, **whole)["kid"], rel=1e-6
    )
    scores = [inception_score.inception_score(z, splits=1)["is"] for z in (y, y[order])]
    assert scores[0] == pytest.approx(scores[1], rel=1e-9)


def test_check_02_one_and_eight_devices_give_the_same_figures():
    script = "from tests.evaluation import check_02_rows; check_02_rows.main()"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    output = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=200,
        env=environment,
    )
    assert output.returncode == 0, output.stderr
    one, eight = (json.loads(line) for line in output.stdout.splitlines()[-2:])
    assert one.keys() == eight.keys()
    for key in one:
        assert one[key] == pytest.approx(eight[key], rel=1e-6), key
