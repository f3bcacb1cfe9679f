import dataclasses

import numpy as np
import pytest
from PIL import Image
from skimage import metrics

from jaxgan.core.errors import UserError
from jaxgan.evaluation import image_sets
from jaxgan.evaluation.folders import compare_folders
from jaxgan.evaluation.image_sets import ImageSets
from jaxgan.evaluation.options import Options
from tests.evaluation.stubs import feature_network, noise

A, B = noise(0, 5, 16, 20, 3), noise(1, 5, 16, 20, 3)


def write(folder, images, names=None, suffix=".png"):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{names[i] if names else i}{suffix}")
    return str(folder)


@pytest.fixture
def folders(tmp_path):
    return write(tmp_path / "a", A), write(tmp_path / "b", B)


def test_namesakes_are_compared_one_by_one(folders):
    row = compare_folders(*folders)
    psnr = [metrics.peak_signal_noise_ratio(b, a) for a, b in zip(A, B, strict=True)]
    assert row["psnr"] == pytest.approx(np.mean(psnr), rel=1e-5)
    assert row["l1"] == pytest.approx(np.abs(A - B.astype(float)).mean() / 127.5)
    ssim = [
        metrics.structural_similarity(
            a,
            b,
            gaussian_weights=True,
            use_sample_covariance=False,
            channel_axis=-1,
            data_range=255,
        )
        for a, b in zip(A, B, strict=True)
    ]
    assert row["ssim"] == pytest.approx(np.mean(ssim), abs=1e-5)
    assert row["num_pairs"] == 5 and row.keys() == {"psnr", "ssim", "l1", "num_pairs"}


def test_equal_folders_have_no_error_and_suffixes_and_folders_may_differ(tmp_path):
    a = write(tmp_path / "a", A)
    b = write(tmp_path / "b" / "below", A, suffix=".bmp")
    write(tmp_path / "b" / "below", A[:1], ["more"])
    row = compare_folders(a, str(tmp_path / "b"))
    assert row["l1"] == 0 and row["ssim"] == 1
    assert row["psnr"] == np.inf and row["psnr/num_infinite"] == 5
    assert compare_folders(b, a + "/../a/", Options(), feature_network())


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_pictures_are_turned_as_the_camera_noted(tmp_path, suffix):
    """Results of `generate` are upright, the photos that they are held against lie."""
    upright = write(tmp_path / "a", A)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise to be upright
    (tmp_path / "b").mkdir()
    for i, image in enumerate(A):
        lying = Image.fromarray(np.ascontiguousarray(np.rot90(image)))
        lying.save(tmp_path / "b" / f"{i}{suffix}", exif=exif)
    row = compare_folders(upright, str(tmp_path / "b"), Options(), feature_network())
    assert row["l1"] == 0 and row["fid/clean"] == pytest.approx(0, abs=1e-4)


def test_fid_and_kid_of_folders_without_namesakes(tmp_path):
    a = write(tmp_path / "a", A)
    b = write(tmp_path / "b", B, [f"x{i}" for i in range(5)])
    network = feature_network()
    row = compare_folders(a, b, Options(features="inception"), network)
    acc = image_sets.update(ImageSets(network), {"": A, "reference": B})
    assert row == pytest.approx(image_sets.result(acc, "reference"), rel=1e-9)
    few = Options(features="inception", num_examples=3, batch_size=2)
    row = compare_folders(a, b, few, network)
    assert row["fid/clean/num_samples"] == row["fid/clean/num_reference"] == 3


def test_images_of_several_sizes_and_channels(tmp_path):
    images = [A[0], A[1, :8], A[2, ..., 0], A[3]]
    a = write(tmp_path / "a", images)
    b = write(tmp_path / "b", B, [f"x{i}" for i in range(5)])
    options = Options(features="inception", batch_size=2)
    row = compare_folders(a, b, options, feature_network())
    assert row["fid/clean/num_samples"] == 4
    # A grey file and its colour copy are the same picture.
    grey = np.repeat(A[2, ..., :1], 3, axis=-1)
    same = compare_folders(
        write(tmp_path / "c", [A[2, ..., 0]]), write(tmp_path / "d", [grey])
    )
    assert same["l1"] == 0


def test_statistics_are_written_and_read_again(folders, tmp_path):
    path, network = str(tmp_path / "b.npz"), feature_network()
    writes = Options(features="inception", write_reference=path)
    full = compare_folders(*folders, writes, network)
    reads = Options(features="inception", reference=path)
    row = compare_folders(folders[0], None, reads, network)
    assert row["fid/clean"] == pytest.approx(full["fid/clean"], rel=1e-9)
    assert row["fid/clean/num_reference"] == 5 and "kid/clean" not in row
    alone = compare_folders(folders[1], None, writes, network)
    assert alone == {"num_reference": 5}
    again = compare_folders(folders[0], None, reads, network)
    assert again["fid/clean"] == pytest.approx(full["fid/clean"], rel=1e-9)
    other = dataclasses.replace(network, variant="torch")
    with pytest.raises(UserError, match="of variant 'clean', not 'torch'"):
        compare_folders(folders[0], None, reads, other)


def test_statistics_of_other_projects_need_a_stated_variant(folders, tmp_path):
    network, path = feature_network(), str(tmp_path / "ttur.npz")
    own = Options(features="inception", write_reference=path)
    full = compare_folders(*folders, own, network)
    with np.load(path) as stored:
        np.savez(path, mu=stored["mu"], sigma=stored["sigma"])
    reads = Options(features="inception", reference=path)
    with pytest.raises(UserError, match="do not say which variant.*--fid_variant="):
        compare_folders(folders[0], None, reads, network)
    stated = dataclasses.replace(reads, fid_variant="clean")
    row = compare_folders(folders[0], None, stated, network)
    assert row["fid/clean"] == pytest.approx(full["fid/clean"], rel=1e-9)


def test_two_spellings_of_an_umlaut_are_namesakes(tmp_path):
    a = write(tmp_path / "a", A[:1], ["\u00fc"])
    b = write(tmp_path / "b", A[:1], ["u\u0308"])
    assert compare_folders(a, b)["num_pairs"] == 1


def test_what_cannot_be_compared_is_refused(folders, tmp_path):
    a, _ = folders
    with pytest.raises(UserError, match="/nowhere: there is no such folder"):
        compare_folders("/nowhere", a)
    with pytest.raises(UserError, match="pass --images_b=FOLDER"):
        compare_folders(a, None)
    with pytest.raises(UserError, match="--images_b=FOLDER or --reference"):
        compare_folders(a, None, Options(), feature_network())
    other = write(tmp_path / "other", B, list("vwxyz"))
    with pytest.raises(UserError, match="files of the same names.*--features"):
        compare_folders(a, other)
    smaller = write(tmp_path / "smaller", B[:, :12])
    with pytest.raises(UserError, match="0.png is 20x16, but .*0.png is 20x12"):
        compare_folders(a, smaller)
    tiny = [B[0], B[1, :1, :1]]
    c, d = write(tmp_path / "c", tiny), write(tmp_path / "d", tiny)
    with pytest.raises(UserError, match="c/1.png: SSIM .*11x11 .*1x1; remove it"):
        compare_folders(c, d)
    (tmp_path / "a" / "3.png").write_bytes(b"broken")
    with pytest.raises(UserError, match="a/3.png: not an image file; repair"):
        compare_folders(a, folders[1])
