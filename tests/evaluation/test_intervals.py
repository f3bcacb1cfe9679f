"""Intervals of means over images (`evaluation.bootstrap`), in every protocol."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxgan.core.errors import UserError
from jaxgan.data import from_arrays
from jaxgan.evaluation import protocols, psnr
from jaxgan.evaluation.bootstrap import bootstrap_interval
from jaxgan.evaluation.folders import compare_folders
from jaxgan.evaluation.options import Options
from tests.evaluation import stubs
from tests.evaluation.stubs import config, judge, noise
from tests.evaluation.test_protocols import cubes, inpainter, upscaler

A, B = noise(0, 6, 32, 32, 3) // 2, noise(1, 6, 32, 32, 3)


def picture(z):
    return jnp.tanh(z[:, :1, None, None]) * np.ones((32, 32, 3), np.float32)


def shape(z):
    return jnp.where(z[:, :1, None, None, None] > 0, *cubes(5, 8).astype(np.float32))


def negated(image, key=None):
    return -image


# {protocol: (system, source, task, figures with an interval)}
CASES = {
    "pix2pix": (
        stubs.translator(negated),
        stubs.pairs(A, B),
        "paired",
        ["l1", "psnr", "ssim", "psnr/copy_of_input", "psnr/mean_image"],
    ),
    "cyclegan": (
        stubs.cycler(negated),
        stubs.pairs(A, B),
        "unpaired",
        ["l1/a_to_b", "psnr/b_to_a", "l1/cycle_a/mean_image"],
    ),
    "semantic_inpainting": (
        inpainter(),
        from_arrays(image=noise(2, 6, 16, 16, 3)),
        "masked",
        ["psnr_full/center", "psnr_hole/center/mean_fill"],
    ),
    "srgan": (
        upscaler(),
        from_arrays(image=noise(3, 6, 64, 64, 3)),
        "low_high",
        ["psnr_y", "ssim_y/bicubic"],
    ),
    "gan": (
        stubs.generator(picture),
        from_arrays(image=A),
        "images",
        ["parzen", "parzen/gaussian_pixels", "nearest_training"],
    ),
    "dcgan": (
        stubs.generator(picture),
        from_arrays(image=A),
        "images",
        ["nearest_training/gaussian_pixels", "memorisation/nearest_6"],
    ),
    "gan3d": (
        stubs.generator(shape, output="voxels"),
        from_arrays(voxels=cubes(3, 4, 8, 9)),
        "voxels",
        ["nearest_training_iou"],
    ),
}


def test_every_protocol_is_among_the_cases():
    assert CASES.keys() == protocols.PROTOCOLS.keys()


@pytest.mark.parametrize("name", CASES)
def test_means_over_images_have_intervals_where_they_are_asked_for(name):
    system, source, task, expected = CASES[name]
    more = {"masks": "center", "paired": name == "cyclegan", "crops": name == "srgan"}
    given = config(name, source, task, bootstrap=20, num_probe=0, **more)
    given["data"]["image_size"] = 16 if name in ("semantic_inpainting", "gan3d") else 32
    row = judge(system, given)
    assert row["bootstrap/num_resamples"] == 20 and row["bootstrap/seed"] == 0
    for key in expected:
        assert row[f"{key}/low"] <= row[key] <= row[f"{key}/high"], key
    assert row[f"{expected[0]}/low"] < row[f"{expected[0]}/high"]
    given["evaluation"]["bootstrap"] = 0
    plain = judge(system, given)
    own = {key for key in row if key.endswith(("/low", "/high"))}
    assert row.keys() - plain.keys() == own | {
        "bootstrap/num_resamples",
        "bootstrap/seed",
    }


def test_an_interval_is_drawn_from_the_images_of_its_mean():
    given = config("pix2pix", stubs.pairs(A, B), "paired", bootstrap=50, batch_size=4)
    given["data"]["image_size"] = 32
    row = judge(stubs.translator(negated), given)
    interval = bootstrap_interval(np.asarray(psnr.psnr(A, B)), num_resamples=50)
    found = (row["psnr/copy_of_input/low"], row["psnr/copy_of_input/high"])
    assert found == pytest.approx(interval, rel=1e-5)


def test_of_folders_namesakes_alone_have_intervals(tmp_path):
    for name, images in {"a": A, "b": B}.items():
        (tmp_path / name).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"{i}.png")
    folders, options = (str(tmp_path / "a"), str(tmp_path / "b")), Options(bootstrap=20)
    row = compare_folders(*folders, options)
    for key in ("psnr", "ssim", "l1"):
        assert row[f"{key}/low"] < row[key] < row[f"{key}/high"]
    (tmp_path / "a" / "0.png").rename(tmp_path / "a" / "other.png")
    with pytest.raises(UserError, match="evaluation.bootstrap .* of the same names"):
        compare_folders(*folders, options, stubs.feature_network())
