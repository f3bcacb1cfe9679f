"""Protocols on systems whose answers are known; baselines worked out in NumPy."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.special import logsumexp
from skimage.color import lab2rgb, rgb2lab
from skimage.metrics import structural_similarity

from jaxgan import core
from jaxgan.core.errors import UserError
from jaxgan.data import from_arrays
from jaxgan.data.augment import palette
from jaxgan.data.tasks.low_high import degrade
from jaxgan.evaluation import (
    feature_network,
    features,
    fid,
    frechet,
    kid,
    protocols,
)
from jaxgan.evaluation.bootstrap import bootstrap_interval
from jaxgan.evaluation.options import Options
from jaxgan.evaluation.protocols import label_maps, probe, setting
from jaxgan.pretrained import LPIPS
from tests import cases
from tests.evaluation import stubs
from tests.evaluation.stubs import config, judge, noise, signed

A = noise(0, 10, 16, 16, 3)


@pytest.fixture
def network(monkeypatch):
    """A feature network that needs no weights."""
    own = stubs.feature_network()
    monkeypatch.setattr(feature_network, "require", lambda options, pretrained: None)
    monkeypatch.setattr(feature_network, "load", lambda options, pretrained: own)
    return own


def small_network_fid(x, y):
    """FID of the stub's features by the matrix formula."""
    x, y = (2.0 * images.reshape(len(images), -1)[:, :6] / 255.0 for images in (x, y))
    return frechet.frechet_distance(x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T))


# pix2pix


def test_a_translation_that_is_the_truth_has_no_error():
    given = config("pix2pix", stubs.pairs(A, 255 - A), "paired")
    row = judge(stubs.translator(lambda image, key: -image), given)
    assert row["l1"] == 0 and row["psnr"] == np.inf and row["ssim"] == 1
    assert row["psnr/num_infinite"] == row["num_samples"] == 10


def test_baselines_of_pairs_are_the_input_and_the_mean_training_image():
    b = noise(1, 10, 16, 16, 3)
    given = config("pix2pix", stubs.pairs(A, b), "paired")
    row = judge(stubs.translator(lambda image, key: image), given)
    copy, mean = signed(A), signed(b).mean(axis=0, keepdims=True)
    assert row["l1/copy_of_input"] == pytest.approx(np.abs(copy - signed(b)).mean())
    mean = np.floor((mean + 1) / 2 * 255 + 0.5)  # metrics see 8 bits
    error = np.abs(mean - b) / 127.5
    # Rounding may go either way at half a level.
    assert row["l1/mean_image"] == pytest.approx(error.mean(), rel=1e-4)
    squares = np.square(A - b.astype(float)).mean(axis=(1, 2, 3))
    psnr = (10 * np.log10(255**2 / squares)).mean()
    assert row["psnr/copy_of_input"] == row["psnr"] == pytest.approx(psnr, rel=1e-6)


def test_figures_do_not_depend_on_the_batch_size():
    def noisy(image, key):
        return image + 0.1 * jax.random.normal(key, image.shape)

    source, system = stubs.pairs(A, 255 - A), stubs.translator(noisy)
    rows = [
        judge(system, config("pix2pix", source, "paired", batch_size=n))
        for n in (3, 10, 64)
    ]
    assert rows[0] == pytest.approx(rows[1], rel=1e-5)
    assert rows[0] == pytest.approx(rows[2], rel=1e-5)
    assert rows[0]["l1"] != rows[0]["l1/copy_of_input"]


def test_what_examples_draw_is_their_own():
    system = stubs.translator(lambda x, key: jax.random.normal(key, x.shape))
    where = setting.Setting(system, {}, {}, {}, lambda split: None)
    run, images = where.run("translate"), jnp.zeros((4, 8, 8, 3))
    noise = run({"image": images}, np.array([0, 1, 2, 1]))["image"]
    np.testing.assert_array_equal(noise[1], noise[3])
    assert np.abs(noise[0] - noise[1]).mean() > 0.5
    again = run({"image": images[:2]}, np.array([2, 0]))["image"]
    np.testing.assert_allclose(again, noise[np.array([2, 0])], rtol=1e-6)


def test_some_examples_are_spread_over_all_of_them():
    bright = np.repeat(np.arange(10, dtype=np.uint8) * 20, 16 * 16 * 3)
    b = bright.reshape(A.shape)
    given = config("pix2pix", stubs.pairs(b, b * 0), "paired", num_examples=5)
    row = judge(stubs.translator(lambda image, key: image), given)
    assert row["num_samples"] == 5
    assert row["l1"] == pytest.approx(np.arange(0, 10, 2).mean() * 20 / 127.5)


def test_fid_and_kid_of_a_translation_stand_beside_those_of_the_input(network):
    b = noise(1, 10, 16, 16, 3)
    given = config("pix2pix", stubs.pairs(A, b), "paired", batch_size=4)
    row = judge(stubs.translator(lambda image, key: -image), given)
    assert row["fid/clean"] == pytest.approx(small_network_fid(255 - A, b), rel=1e-5)
    copy = row["fid/clean/copy_of_input"]
    assert copy == pytest.approx(small_network_fid(A, b), rel=1e-5)
    assert row["fid/clean/num_samples"] == row["fid/clean/num_reference"] == 10
    x, y = (2.0 * i.reshape(10, -1)[:, :6] / np.float32(255) for i in (255 - A, b))
    assert row["kid/clean"] == pytest.approx(kid.kid(x, y)["kid"], rel=1e-4)
    assert {"kid/clean/std", "kid/clean/seed", "kid/clean/copy_of_input"} <= row.keys()


def test_colorization_is_judged_by_fid_as_it_is_seen(network):
    given = config("pix2pix", from_arrays(image=A), "paired")
    given["data"]["colorization"] = True
    system = stubs.translator(lambda image, key: image[..., [0, 0]] * 0)
    row = judge(system, given)
    assert "l1/copy_of_input" not in row and "fid/clean/copy_of_input" not in row
    assert np.isfinite(row["fid/clean"])


def test_colorization_is_scored_in_rgb():
    muted = A // 4 + 96  # so that every sum of lightness and colour can be shown
    given = config("pix2pix", from_arrays(image=muted), "paired")
    given["data"]["colorization"] = True
    row = judge(stubs.translator(lambda image, key: image[..., [0, 0]] * 0), given)
    lab = rgb2lab(muted)
    for name, ab in {"": 0, "/mean_image": lab[..., 1:].mean(axis=0)}.items():
        shown = lab.copy()
        shown[..., 1:] = ab
        error = np.floor(lab2rgb(shown) * 255 + 0.5) - muted
        l1 = np.abs(error).mean() / 127.5
        assert row[f"l1{name}"] == pytest.approx(l1, rel=1e-3)
        squares = np.square(error).mean(axis=(1, 2, 3))
        psnr = (10 * np.log10(255**2 / squares)).mean()
        assert row[f"psnr{name}"] == pytest.approx(psnr, abs=0.02)


# CycleGAN


def test_both_cycles_and_directions_of_exact_translations():
    given = config("cyclegan", stubs.pairs(A, 255 - A), "unpaired", paired=True)
    row = judge(stubs.cycler(lambda image: -image), given)
    for name in ("a_to_b", "b_to_a"):
        assert row[f"l1/{name}"] == 0 and row[f"ssim/{name}"] == 1
        copy = np.abs(2 * signed(A)).mean()
        assert row[f"l1/{name}/copy_of_input"] == pytest.approx(copy, rel=1e-6)
    assert row["l1/cycle_a"] == row["l1/cycle_b"] == 0
    spread = np.abs(np.floor(A.mean(0) + 0.5) - A).mean() / 127.5
    assert row["l1/cycle_a/mean_image"] == pytest.approx(spread, abs=2e-3)


def test_images_of_the_smaller_domain_count_once(network):
    b = noise(2, 4, 16, 16, 3)
    sources = (from_arrays(image=A), from_arrays(image=b))
    given = config("cyclegan", sources, "unpaired", batch_size=3)
    row = judge(stubs.cycler(lambda image: image * 0.5), given)
    assert row["num_samples"] == row["fid/clean/a_to_b/num_samples"] == 10
    assert row["l1/cycle_b/num_samples"] == row["fid/clean/b_to_a/num_samples"] == 4
    quarter = np.floor((signed(b) / 4 + 1) / 2 * 255 + 0.5)
    error = np.abs(quarter - b).mean() / 127.5
    assert row["l1/cycle_b"] == pytest.approx(error, rel=1e-5)
    fid = small_network_fid(A, b)
    for name in ("a_to_b", "b_to_a"):
        assert row[f"fid/clean/{name}/copy_of_input"] == pytest.approx(fid, rel=1e-5)


def test_a_limit_holds_for_each_domain_by_itself():
    sources = (from_arrays(image=A), from_arrays(image=noise(2, 4, 16, 16, 3)))
    given = config("cyclegan", sources, "unpaired", num_examples=5)
    row = judge(stubs.cycler(lambda image: image * 0.5), given)
    assert row["num_samples"] == 5 and row["l1/cycle_b/num_samples"] == 4


# Label maps

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def label_pictures():
    labels = np.random.default_rng(3).choice(3, (10, 16, 16), p=[0.2, 0.5, 0.3])
    return labels, np.array(COLOURS, np.uint8)[labels]


def test_photograph_to_labels_is_scored_by_the_nearest_colour():
    labels, b = label_pictures()
    given = config("pix2pix", stubs.pairs(255 - b, b), "paired", palette=COLOURS)
    row = judge(stubs.translator(lambda image, key: -0.8 * image), given)
    for key in ("pixel_accuracy", "class_accuracy", "iou"):
        assert row[key] == pytest.approx(1)
    assert row["out_of_range"] == 0 and row["num_pixels"] == labels.size
    majority = np.mean(labels == 1)
    assert row["pixel_accuracy/majority"] == pytest.approx(majority)
    assert row["iou/majority"] == pytest.approx(majority / 3)
    assert row["pixel_accuracy/copy_of_input"] < 0.5


def test_both_domains_of_unpaired_translation_with_a_truth():
    _, b = label_pictures()
    given = config(
        "cyclegan", stubs.pairs(255 - b, b), "unpaired", paired=True, palette=COLOURS
    )
    row = judge(stubs.cycler(lambda image: -image), given)
    assert row["pixel_accuracy/a_to_b"] == pytest.approx(1)
    assert row["pixel_accuracy/a_to_b/majority"] == pytest.approx(0.5, abs=0.1)
    assert not any("b_to_a" in k for k in row if k.startswith("pixel_accuracy"))


def test_labels_to_photographs_are_read_by_the_users_segmenter():
    labels, b = label_pictures()
    given = config(
        "pix2pix", stubs.pairs(b, 255 - b), "paired", palette=COLOURS, labels_in="a"
    )
    system = stubs.translator(lambda image, key: -image)
    assert "iou" not in judge(system, given)  # nobody reads the photographs

    def segmenter(images):
        assert images.dtype == np.uint8
        return (255 - images).argmax(axis=-1)

    row = judge(system, given, segmenter=segmenter)
    assert row["iou"] == row["iou/real_images"] == pytest.approx(1)
    wrong = np.mean((255 - b).argmax(-1) == labels)
    assert row["pixel_accuracy/copy_of_input"] == pytest.approx(wrong)
    with pytest.raises(UserError, match="segmenter returned .* class number a pixel"):
        judge(system, given, segmenter=lambda images: images[:, :8, :8, 0])


def test_palettes_by_name():
    options = Options(palette="data", labels_in="b")
    known, ignored = label_maps.colours(options, {"palette_b": 5})
    np.testing.assert_array_equal(known, palette(5))
    np.testing.assert_array_equal(ignored, [[0, 0, 0]])
    back = {"palette_a": 4, "direction": "BtoA"}
    assert len(label_maps.colours(options, back)[0]) == 4
    assert len(label_maps.colours(Options(palette="cityscapes"), {})[0]) == 19
    for wrong in ("camvid", ((1, 2), (3, 4)), ((1, 2, 300),)):
        with pytest.raises(UserError, match="evaluation.palette = .*'cityscapes'"):
            label_maps.colours(Options(palette=wrong), {})
    with pytest.raises(UserError, match="data.palette_b is not set"):
        label_maps.colours(options, {"palette_a": 4})


# Generators of images

GREY = noise(4, 60, 16, 16, 1)


def test_the_parzen_estimate_of_one_image_is_the_gaussian_around_it():
    given = config("gan", from_arrays(image=GREY), "images", 0.2, num_samples=8)
    row = judge(stubs.generator(lambda z: z[:, :1, None, None] * 0 + grey(0.5)), given)
    assert row["parzen/num_samples"] == 8 and row["parzen/num_test"] == 12
    assert row["parzen/training_images/num_samples"] == 8  # as many, for fairness
    held_out = held_out_images(given) / 255.0
    squares = np.square(held_out - 0.75).sum(axis=(1, 2, 3))
    best = -np.inf
    for sigma in np.logspace(-1, 0, 10):
        values = -squares / (2 * sigma**2) - 256 * np.log(sigma * np.sqrt(2 * np.pi))
        best = max(best, values.mean())
    assert row["parzen"] == pytest.approx(best, rel=1e-5)
    training = training_images(given)
    distances = [
        np.sqrt(np.square(training / 127.5 - 1 - c).sum(axis=(1, 2, 3))).min()
        for c in [np.floor(0.75 * 255 + 0.5) / 127.5 - 1]
    ]
    assert row["nearest_training"] == pytest.approx(distances[0], rel=1e-5)


def grey(value):
    return np.full((16, 16, 1), value, np.float32)


def held_out_images(given):
    task = protocols.make_task(given["data"], split="test", seed=0)
    return task.examples(np.arange(task.num_examples))["image"].astype(np.float64)


def training_images(given):
    task = protocols.make_task(given["data"], split="train", seed=0)
    return task.examples(np.arange(task.num_examples))["image"].astype(np.float64)


def test_training_images_as_samples_give_the_parzen_baseline():
    given = config("gan", from_arrays(image=GREY), "images", 0.2, num_samples=48)
    row = judge(stubs.generator(lambda z: z[:, :1, None, None] + grey(0.0)), given)
    x, s = (
        images.reshape(len(images), -1) / 255.0
        for images in (held_out_images(given), training_images(given))
    )
    squares = np.square(x[:, None] - s[None]).sum(axis=-1)
    sigma = row["parzen/training_images/sigma"]
    ll = logsumexp(-squares / (2 * sigma**2), axis=1) - np.log(len(s))
    ll -= 256 * np.log(sigma * np.sqrt(2 * np.pi))
    assert row["parzen/training_images"] == pytest.approx(ll.mean(), rel=1e-5)
    nearest = np.sqrt(np.square(2 * (x[:, None] - s[None])).sum(-1)).min(1).mean()
    assert row["nearest_training/real_images"] == pytest.approx(nearest, rel=1e-5)
    assert row["memorisation/nearest_48/training_images"] == pytest.approx(
        nearest, rel=1e-5
    )


def test_images_in_the_scale_contrast_are_compared_as_they_are_shown():
    given = config("gan", from_arrays(image=GREY), "images", 0.2, num_samples=4)
    one = stubs.generator(lambda z: z[:, :1, None, None] + grey(0.0))
    row = judge(stubs.Stub(one.modes, pixels="contrast"), given)
    shown = []
    for images in (held_out_images(given), training_images(given)):
        images = images - images.mean(axis=(1, 2, 3), keepdims=True)
        images /= np.abs(images).max(axis=(1, 2, 3), keepdims=True)
        shown.append(np.floor((images + 1) / 2 * 255 + 0.5).reshape(len(images), -1))
    x, s = shown
    nearest = np.sqrt(np.square(x[:, None] - s[None]).sum(-1)).min(1).mean() / 127.5
    assert row["nearest_training/real_images"] == pytest.approx(nearest, rel=1e-4)


def test_colours_and_diversity_of_a_generator_that_draws_one_black_image():
    white = np.full((40, 16, 16, 3), 255, np.uint8)
    white[::2] = 200
    given = config("dcgan", from_arrays(image=white), "images", 0.1, num_samples=6)
    row = judge(stubs.generator(lambda z: z[:, :1, None, None] * 0 - ones()), given)
    assert row["colour_l1"] == 2 and row["diversity"] == 0
    assert row["colour_l1/real_images"] < 1 and row["diversity/real_images"] > 0
    assert row["nearest_training"] == pytest.approx(
        np.sqrt(16 * 16 * 3) * 200 / 127.5, rel=1e-5
    )
    assert row["num_samples"] == 6 and row["num_training"] == 36


def ones():
    return np.ones((16, 16, 3), np.float32)


def test_batch_statistics_see_batches_of_the_training_size():
    seen = []

    def centred(z):
        seen.append(len(z))
        return (z - z.mean(axis=0, keepdims=True))[:, :1, None, None] * ones()

    source = from_arrays(image=noise(5, 40, 16, 16, 3))
    system = stubs.generator(centred, per_example=False)
    rows = [
        judge(system, config("dcgan", source, "images", num_samples=7, batch_size=n))
        for n in (3, 16)
    ]
    assert set(seen) == {4}  # training.batch_size
    assert rows[0] == pytest.approx(rows[1], rel=1e-5)


def test_fid_of_samples_stands_between_those_of_noise_and_of_real_images(network):
    source = from_arrays(image=noise(6, 60, 16, 16, 3) // 2)
    given = config("dcgan", source, "images", 0.1, num_samples=20)
    row = judge(stubs.generator(lambda z: z[:, :1, None, None] * ones()), given)
    training, held_out = training_images(given), held_out_images(given)
    found = row["fid/clean/real_images"]
    assert found == pytest.approx(small_network_fid(held_out, training), rel=1e-4)
    assert row["fid/clean/real_images"] < row["fid/clean"]
    assert row["fid/clean/gaussian_pixels"] < row["fid/clean"]
    assert row["fid/clean/num_reference"] == 54 and row["fid/clean/num_samples"] == 20


@pytest.mark.parametrize(("name", "channels"), [("dcgan", 3), ("gan", 1)])
def test_inception_scores_of_samples_stand_beside_those_of_real_images(
    name, channels, monkeypatch
):
    own = dataclasses.replace(
        stubs.feature_network(), classifier=9 * np.eye(6, dtype=np.float32)
    )
    monkeypatch.setattr(feature_network, "require", lambda options, pretrained: None)
    monkeypatch.setattr(feature_network, "load", lambda options, pretrained: own)
    source = from_arrays(image=noise(6, 60, 16, 16, channels))
    given = config(name, source, "images", 0.4, num_samples=20)
    one = np.zeros((16, 16, channels), np.float32)
    row = judge(stubs.generator(lambda z: z[:, :1, None, None] * 0 + one), given)
    assert row["is/clean"] == pytest.approx(1)  # all samples are of one class
    assert row["is/clean/real_images"] > 1.1
    assert row["is/clean/gaussian_pixels"] > 1.1
    counts = ("", 20), ("/real_images", 24), ("/gaussian_pixels", 20)
    for suffix, count in counts:
        assert row[f"is/clean{suffix}/num_samples"] == count
        assert row[f"is/clean{suffix}/splits"] == 10


def labelled(per_class, values):
    """Images whose brightness tells their class, sorted by class."""
    label = np.repeat(np.arange(len(values)), per_class).astype(np.int32)
    grain = noise(7, len(label), 16, 16, 1) // 16
    image = np.array(values, np.uint8)[label][:, None, None, None] + grain
    return from_arrays(image=image, label=label)


def test_a_file_that_cannot_be_read_is_not_judged_by_another(tmp_path):
    for i in range(12):
        path = tmp_path / f"{i % 2}" / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((16, 16), 20 * i, np.uint8)).save(path)
    (tmp_path / "0" / "04.png").write_bytes(b"broken")
    data = {"max_unreadable": 0.1, "reader": "pillow", "channels": 1}
    given = config("dcgan", f"folder:{tmp_path}", "labelled", 0.0)
    given["data"] |= data
    task = protocols.make_task(given["data"], split="train", seed=0)
    judged = setting.Setting(
        stubs.Stub(()), {}, {}, given, lambda _: task, "train", Options(batch_size=5)
    )
    images = setting.images_of(judged, "train", "image")
    levels = np.round((images[:, 0, 0, 0] + 1) * 127.5 / 20).astype(int)
    assert levels.tolist() == [0, 2, 6, 8, 10, 1, 3, 5, 7, 9, 11]
    assert (setting.labels_of(task, 12) == levels % 2).all()


def test_features_that_tell_classes_apart_are_found_where_the_data_has_labels():
    def features(inputs, key):
        return {"features": 9 * inputs["image"].mean(axis=(1, 2))}

    mode = (
        "features",
        features,
        (("image", core.Image(1, (16, 16))),),
        ("features",),
        True,
    )
    source = labelled(30, (10, 220))
    given = config("dcgan", source, "images", 0.1, num_samples=4, num_probe=40)
    system = stubs.generator(lambda z: z[:, :1, None, None] * grey(1.0), mode)
    row = judge(system, given)
    assert row["probe/accuracy"] == row["probe/accuracy/pooled_input"] == 1
    assert row["probe/num_train"] == 32  # a fifth chose C
    task = protocols.make_task(given["data"], split="test", seed=0)
    labels = setting.labels_of(task, task.num_examples)
    share = np.mean(labels == 0)
    assert row["probe/accuracy/largest_class"] in (share, 1 - share)
    assert row["probe/num_test"] == len(labels) == 6
    given["evaluation"]["num_probe"] = 0
    assert "probe/accuracy" not in judge(system, given)


def test_a_probe_is_fitted_to_all_classes_where_they_take_turns():
    """Rows 4, 9, 14, ... of five classes in turn are all of one class."""
    label = np.arange(100) % 5
    source = from_arrays(voxels=cubes(*(3 * label + 2)), label=label.astype(np.int32))

    def features(inputs, key):
        return {"features": inputs["voxels"].mean(axis=(2, 3))[..., 0]}

    mode = ("features", features, (("voxels", core.Voxels(16)),), ("features",), True)
    system = stubs.generator(
        lambda z: z[:, :1, None, None, None] * cubes(2)[0].astype(np.float32),
        mode,
        output="voxels",
    )
    row = judge(system, config("gan3d", source, "voxels"))
    assert row["probe/accuracy"] > 0.6
    few = config("gan3d", source, "voxels", probe_per_class=8, probe_draws=3)
    row = judge(system, few)
    assert row["probe/num_train"] == 40 and row["probe/deviation"] >= 0


def test_dcgans_features_are_normalised_by_statistics_of_the_labelled_images():
    """Running statistics, half of which are of generated images, have no influence."""
    system = cases.build("dcgan", "tiny")
    image = noise(3, 48, 16, 16, 3)
    label = np.arange(48, dtype=np.int32) % 2
    image[label == 1] //= 3
    given = config("dcgan", from_arrays(image=image, label=label), "images")
    batch = {"image": jnp.asarray(signed(image[:16]), jnp.float32)}
    variables = jax.jit(system.init)(jax.random.key(0), batch, {}).variables()
    rows = []
    for value in (0.3, 3.0):
        own = variables["discriminator"]
        stats = jax.tree.map(lambda x, v=value: 0 * x + v, own["batch_stats"])
        found = {"discriminator": {**own, "batch_stats": stats}}
        task = cache(
            lambda split: protocols.make_task(given["data"], split=split, seed=0)
        )
        place = setting.Setting(system, found, {}, given, task, options=Options())
        labelled = probe.examples(place, "image")
        rows.append(probe.probe(place, "features", labelled, estimate_statistics=True))
    assert rows[0] == rows[1] and rows[0]["probe/accuracy"] == 1


def test_samples_of_a_conditional_generator_classify_real_images():
    """A generator that shows class 0 as class 1 names all of those wrongly."""
    source = labelled(30, (10, 120, 230))

    @dataclasses.dataclass(frozen=True)
    class Conditional(stubs.Stub):
        shades: tuple = ()

        @property
        def inference(self):
            def sample(variables, frozen, inputs, key):
                shade = jnp.asarray(self.shades)[inputs["label"]] / 127.5 - 1
                return {"image": shade[:, None, None, None] * grey(1.0)}

            inputs = {"z": core.Latent(2, "normal"), "label": core.Labels(3)}
            output = {"image": core.Image(1, (16, 16))}
            return {"sample": core.Mode(sample, inputs, output, ())}

    given = config("dcgan", source, "labelled", 0.2, num_samples=9)
    row = judge(Conditional(shades=(17.0, 127.0, 237.0)), given)
    assert row["nearest_neighbour/accuracy_9"] == 1
    assert row["nearest_neighbour/accuracy_72/training_images"] == 1
    assert not any(name.startswith("probe") for name in row)
    row = judge(Conditional(shades=(127.0, 17.0, 237.0)), given)
    task = protocols.make_task(given["data"], split="test", seed=0)
    share = np.mean(setting.labels_of(task, task.num_examples) == 2)
    assert row["nearest_neighbour/accuracy_9"] == pytest.approx(share) and share < 1


def test_raw_inputs_of_the_probe_are_averaged_to_16_a_side():
    images = noise(8, 3, 32, 48, 2).astype(np.float32)
    expected = images.reshape(3, 16, 2, 16, 3, 2).mean(axis=(2, 4)).reshape(3, -1)
    np.testing.assert_allclose(probe.pool(images), expected, rtol=1e-5)
    grids = noise(9, 2, 32, 32, 32, 1).astype(np.float32)
    assert probe.pool(grids).shape == (2, 16**3)


# Shapes


def cubes(*sides):
    grids = np.zeros((len(sides), 16, 16, 16, 1), np.uint8)
    for grid, side in zip(grids, sides, strict=True):
        grid[:side, :side, :side] = 1
    return grids


def test_a_generator_of_one_training_shape():
    source = from_arrays(voxels=cubes(*[4, 4, 4, 8] * 5))
    given = config("gan3d", source, "voxels", 0.3)

    def one_cube(z):
        return z[:, :1, None, None, None] * 0 + 0.9 * cubes(4)[0].astype(np.float32)

    row = judge(stubs.generator(one_cube, output="voxels"), given)
    assert row["nearest_training_iou"] == row["nearest_training_iou/real_shapes"] == 1
    assert row["occupancy"] == pytest.approx(0.9 * 64 / 4096, rel=1e-6)
    assert row["volume"] == pytest.approx(64 / 4096)
    task = protocols.make_task(given["data"], split="test", seed=0)
    real = task.examples(np.arange(task.num_examples))["voxels"]
    sides = np.cbrt(real.sum(axis=(1, 2, 3, 4)))
    assert row["occupancy/real_shapes"] == pytest.approx(real.mean())
    assert row["voxels/coverage"] == 1 / len(real)
    assert row["voxels/mmd_iou"] == pytest.approx(np.where(sides == 4, 1, 1 / 8).mean())
    assert row["voxels/num_reference"] == row["voxels/num_samples"] == len(real)
    # About half of the shapes have 4 or 8 voxels a side, so the mean one lies between.
    assert 0.1 < row["nearest_training_iou/mean_shape"] < 1
    assert "probe/accuracy" not in row


def test_the_mean_shape_has_the_mean_volume_and_the_commonest_voxels():
    shapes = protocols.shapes.mean_shape(cubes(2, 4, 4, 4)[..., 0] > 0)
    assert shapes.shape == (1, 16, 16, 16) and shapes.sum() == (8 + 3 * 64) / 4
    assert shapes[0, :2, :2, :2].all() and not shapes[0, 4:].any()


def test_features_of_shapes_where_the_data_has_labels():
    def features(inputs, key):
        return {"features": inputs["voxels"].sum(axis=(1, 2, 3)) / 64}

    mode = ("features", features, (("voxels", core.Voxels(16)),), ("features",), True)
    sides = [2] * 20 + [8] * 20
    source = from_arrays(voxels=cubes(*sides), label=np.array(sides, np.int32))
    system = stubs.generator(
        lambda z: z[:, :1, None, None, None] * cubes(2)[0].astype(np.float32),
        mode,
        output="voxels",
    )
    row = judge(system, config("gan3d", source, "voxels"))
    assert row["probe/accuracy"] == row["probe/accuracy/pooled_input"] == 1
    shallow = dataclasses.replace(system, modes=system.modes[:1])
    row = judge(shallow, config("gan3d", source, "voxels"))
    assert "occupancy" in row and "probe/accuracy" not in row


# Super-resolution


def upscaler():
    def upscale(inputs, key):
        lr = inputs["image"]
        return {"image": lr.repeat(4, axis=1).repeat(4, axis=2)}

    return stubs.Stub(
        (("upscale", upscale, (("image", core.Image()),), ("image",), True),)
    )


def luma(image):
    return 16 + image.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255


def test_whole_images_of_any_size_are_enlarged_and_compared_on_luma(tmp_path, network):
    sizes = [(65, 50), (48, 64)]
    pictures = [
        np.asarray(Image.fromarray(noise(i, 9, 9, 3)).resize((width, height)))
        for i, (height, width) in enumerate(sizes)
    ]
    for i, image in enumerate(pictures):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    given = config("srgan", "synthetic:shapes", "low_high", source=f"folder:{tmp_path}")
    row = judge(upscaler(), given)
    assert row["num_samples"] == 2
    assert row["psnr_y"] == row["psnr_y/nearest"] < row["psnr_y/bicubic"]
    assert row["fid/clean"] == row["fid/clean/nearest"]
    psnr, ssim = [], []
    for image in pictures:
        image = image[: len(image) // 4 * 4, : image.shape[1] // 4 * 4]
        unit = degrade(jnp.asarray(image[None] / np.float32(255)), 4)
        low = np.floor(np.asarray(unit[0]) * 255 + 0.5)
        made = low.repeat(4, axis=0).repeat(4, axis=1)
        x, y = (luma(i)[4:-4, 4:-4] for i in (made, image))
        psnr.append(10 * np.log10(255**2 / np.square(x - y).mean()))
        ssim.append(
            structural_similarity(
                x, y, gaussian_weights=True, use_sample_covariance=False, data_range=255
            )
        )
    assert row["psnr_y"] == pytest.approx(np.mean(psnr), rel=1e-5)
    assert row["ssim_y"] == pytest.approx(np.mean(ssim), abs=1e-4)


def test_fid_of_pictures_of_all_sizes_fills_its_batches(tmp_path, monkeypatch):
    """Four sets of seven pictures: seven calls of four, compiled once."""
    traced, called = [], []

    def small(params, images):
        traced.append(images.shape)
        return params * images.reshape(len(images), -1)[:, :6]

    def apply(network, params, images, original=features._apply):
        called.append(len(images))
        return original(network, params, images)

    monkeypatch.setattr(features, "_apply", apply)
    own = dataclasses.replace(
        stubs.feature_network(), network=fid.Preprocessed(small, size=(4, 4))
    )
    monkeypatch.setattr(feature_network, "require", lambda options, pretrained: None)
    monkeypatch.setattr(feature_network, "load", lambda options, pretrained: own)
    pictures = [noise(i, *((48, 64), (64, 48), (64, 64))[i % 3], 3) for i in range(7)]
    for i, image in enumerate(pictures):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    source = f"folder:{tmp_path}"
    given = config("srgan", "synthetic:shapes", "low_high", source=source, batch_size=4)
    row = judge(upscaler(), given)
    assert called == [4] * 7 and traced == [(4, 4, 4, 3)]
    assert row["fid/clean/num_samples"] == row["fid/clean/num_reference"] == 7
    given["evaluation"]["batch_size"] = 64
    assert judge(upscaler(), given) == pytest.approx(row, rel=1e-5, abs=1e-8)


def test_lpips_and_intervals_of_enlarged_images(tmp_path):
    """Random weights, with leave: what is compared, and against which truth."""
    pictures = [
        np.asarray(Image.fromarray(noise(i, 9, 9, 3)).resize((72, height)))
        for i, height in enumerate((64, 64, 80))
    ]
    for i, image in enumerate(pictures):
        Image.fromarray(image if i else image[..., 0]).save(tmp_path / f"{i}.png")
    source = f"folder:{tmp_path}"
    given = config("srgan", "synthetic:shapes", "low_high", source=source)
    given["pretrained"] = {"squeezenet": "random", "lpips_squeeze": "random"}
    given["evaluation"] |= {"lpips": "squeeze", "bootstrap": 50}
    with pytest.raises(UserError, match="LPIPS of random weights .*--allow_random"):
        judge(upscaler(), given)
    given["evaluation"]["allow_random_features"] = True
    row = judge(upscaler(), given)
    name = "random_lpips/squeeze"
    assert row[name] == row[f"{name}/nearest"] != row[f"{name}/bicubic"]
    lpips = LPIPS("squeeze")
    weights = lpips.load("random", "random")
    expected = []
    for i, image in enumerate(pictures):
        image = image if i else image[..., :1].repeat(3, axis=-1)
        low = degrade(jnp.asarray(image[None] / np.float32(255)), 4)
        made = np.floor(np.asarray(low) * 255 + 0.5).astype(np.uint8)
        made = made.repeat(4, axis=1).repeat(4, axis=2)
        expected.append(jax.jit(lpips)(weights, made, image[None])[0])
    assert row[name] == pytest.approx(np.mean(expected), rel=1e-4)
    interval = bootstrap_interval(np.array(expected), num_resamples=50)
    assert (row[f"{name}/low"], row[f"{name}/high"]) == pytest.approx(interval, 1e-4)
    assert row["psnr_y/low"] < row["psnr_y"] < row["psnr_y/high"]
    assert row["bootstrap/num_resamples"] == 50 and row["bootstrap/seed"] == 0
    about = protocols.provenance(given)
    assert about["lpips/trunk"] == "squeeze" and about["lpips/heads_sha256"] == "random"


def judge_folder(folder):
    given = config("srgan", "synthetic:shapes", "low_high", source=f"folder:{folder}")
    return judge(upscaler(), given)


def test_a_grey_file_is_y_as_it_stands(tmp_path):
    image = np.asarray(Image.fromarray(noise(3, 9, 9)).resize((64, 48)))
    for name, values in (("grey", image), ("rgb", image[..., None].repeat(3, axis=2))):
        (tmp_path / name).mkdir()
        Image.fromarray(values).save(tmp_path / name / "x.png")
    row = judge_folder(tmp_path / "grey")
    unit = degrade(jnp.asarray(image[None, ..., None] / np.float32(255)), 4)
    low = np.floor(np.asarray(unit[0, ..., 0]) * 255 + 0.5)
    made = low.repeat(4, axis=0).repeat(4, axis=1)[4:-4, 4:-4]
    truth = image[4:-4, 4:-4].astype(np.float64)
    psnr = 10 * np.log10(255**2 / np.square(made - truth).mean())
    assert row["psnr_y"] == row["psnr_y/nearest"] == pytest.approx(psnr, rel=1e-5)
    ssim = structural_similarity(
        made, truth, gaussian_weights=True, use_sample_covariance=False, data_range=255
    )
    assert row["ssim_y"] == pytest.approx(ssim, abs=1e-4)
    # Of equal channels Y has 220 levels, which is where 1.32 dB come from.
    colour = judge_folder(tmp_path / "rgb")
    gap = 20 * np.log10(255 / 219)
    assert colour["psnr_y"] == pytest.approx(row["psnr_y"] + gap, abs=1e-4)


def test_given_low_resolution_must_be_of_the_scale(tmp_path):
    """A partner may have been made of the whole image or of whole pixels of it."""
    low = noise(4, 14, 11, 3)
    high = low.repeat(4, axis=0).repeat(4, axis=1)[:54, :41]
    for name in ("HR", "LR"):
        (tmp_path / name).mkdir()
    Image.fromarray(high).save(tmp_path / "HR" / "1.png")
    for size in ((13, 10), (14, 11)):
        Image.fromarray(low[: size[0], : size[1]]).save(tmp_path / "LR" / "1.png")
        row = judge_folder(tmp_path)
        assert row["psnr_y/num_infinite"] == row["num_samples"] == 1
    for wrong in (high[::2, ::2], low[:12]):
        Image.fromarray(wrong).save(tmp_path / "LR" / "1.png")
        with pytest.raises(
            UserError,
            match=r"HR/1.png and LR/1.png: an image of low resolution is "
            rf"{wrong.shape[1]}x{wrong.shape[0]}, but 41x54 at .*=4 makes 10x13",
        ):
            judge_folder(tmp_path)


def test_crops_are_those_of_the_task():
    images = noise(10, 3, 64, 64, 3)
    source = from_arrays(image=images)
    given = config("srgan", source, "low_high", crops=True)
    given["data"]["image_size"] = 32
    crops = judge(upscaler(), given)
    inner = from_arrays(image=images[:, 16:48, 16:48])
    alone = judge(upscaler(), config("srgan", inner, "low_high"))
    assert crops == pytest.approx(alone, rel=1e-5)


@pytest.mark.slow
@pytest.mark.picked
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "count", "bicubic", "nearest"),
    [("Set5", 5, 28.43, 26.26), ("Set14", 14, 25.99, 24.64)],
    ids=["Set5", "Set14"],
)
def test_the_baselines_are_the_published_ones(real_data, name, count, bicubic, nearest):
    """Set14 holds a grey file."""
    given = config("srgan", f"zip:{real_data}/sr/{name}.zip", "low_high")
    given["evaluation"]["source"] = given["data"]["source"]
    row = judge(upscaler(), given)
    assert row["num_samples"] == count
    assert row["psnr_y/bicubic"] == pytest.approx(bicubic, abs=0.05)
    assert row["psnr_y/nearest"] == pytest.approx(nearest, abs=0.05)


# Mistakes


def test_a_system_without_a_protocol_is_refused():
    with pytest.raises(UserError, match="no evaluation protocol for 'toy'; .*pix2pix"):
        judge(stubs.Stub(), config("toy", None, "paired"))


def test_an_empty_split_is_refused():
    task = protocols.make_task(config("", stubs.pairs(A, A), "paired")["data"])
    empty = dataclasses.replace(task, num_examples=0, split="test")
    where = setting.Setting(stubs.Stub(()), {}, {}, {}, lambda split: empty)
    with pytest.raises(UserError, match="the test split is empty"):
        list(where.batches(empty))


@pytest.mark.parametrize(
    ("evaluation", "pretrained", "message"),
    [
        ({"features": "inception"}, {}, "FID and KID: Inception-v3 .* weights not"),
        (
            {"features": "inception"},
            {"inception_fid": "random"},
            "=random: .*--allow_random_features",
        ),
        ({"lpips": "alex"}, {}, "LPIPS: AlexNet weights not found"),
        ({"lpips": "alexnet"}, {}, "evaluation.lpips 'alexnet'"),
        ({"bootstrap": -1}, {}, "evaluation.bootstrap is -1"),
        ({"feature": "inception"}, {}, "'evaluation.feature' .*'features'"),
        ({"features": "vgg"}, {}, "evaluation.features 'vgg'"),
        ({"fid_variant": "cleen"}, {}, "evaluation.fid_variant 'cleen' .*'clean'"),
        ({"fid_size": 64}, {}, "fid_size = 64 is for evaluation.fid_variant=jax_fid"),
        ({"num_samples": -1}, {}, "evaluation.num_samples is -1"),
        ({"batch_size": 0}, {}, "evaluation.batch_size is 0"),
        ({"reference": "x.npz"}, {}, "set evaluation.features=inception"),
        (
            {
                "features": "inception",
                "write_reference": "/nowhere/x.npz",
                "allow_random_features": True,
            },
            {"inception_fid": "random"},
            "write_reference=/nowhere/x.npz: there is no such folder",
        ),
    ],
    ids=lambda x: next(iter(x), "") if isinstance(x, dict) else "",
)
def test_mistakes_are_refused_before_anything_runs(
    evaluation, pretrained, message, monkeypatch
):
    monkeypatch.delenv("JAXGAN_WEIGHTS", raising=False)
    given = config("pix2pix", "folder:/nowhere", "paired", **evaluation)
    given["pretrained"] = pretrained
    with pytest.raises(UserError, match=message):
        judge(stubs.Stub(), given)


def test_another_source_for_pairs_is_named_in_the_data_section():
    given = config("pix2pix", stubs.pairs(A, A), "paired", source="folder:/x")
    with pytest.raises(UserError, match="--config.data.source"):
        judge(stubs.translator(lambda image, key: image), given)


def test_a_generator_that_has_diverged_is_named():
    given = config("dcgan", from_arrays(image=A), "images")
    with pytest.raises(UserError, match="samples hold NaN .*--step"):
        judge(stubs.generator(lambda z: z[:, :1, None, None] * np.nan * ones()), given)


def test_a_probe_needs_scikit_learn_and_says_so_first(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.svm", None)
    given = config("dcgan", labelled(10, (0, 200)), "images")
    images = (("image", core.Image(1, (16, 16))),)
    mode = ("features", lambda inputs, key: {}, images, ("features",), True)
    with pytest.raises(UserError, match=r"linear probe needs .*jaxgan\[evaluation\]"):
        judge(stubs.generator(lambda z: 1 / 0, mode), given)


# Inpainting


@dataclasses.dataclass(frozen=True)
class Inpainter(stubs.Stub):
    """Fills holes with black; its generator draws white."""

    z_dim: int = 2
    prior: str = "uniform"
    num_iters: int = 7
    restarts: int = 2

    def generate(self, variables, z):
        return z[:, :1, None, None] * 0 + ones()


def inpainter():
    def inpaint(inputs, key):
        hole, image = inputs["hole_mask"], inputs["image"]
        return {"image": jnp.where(hole > 0.5, -1.0, image)}

    inputs = (("image", core.Image()), ("hole_mask", core.Mask()))
    return Inpainter((("inpaint", inpaint, inputs, ("image",), True),))


def psnr_of(filling, hole):
    """Mean dB over whole images, and over their holes, by NumPy."""
    filled = np.floor(np.broadcast_to((filling + 1) * 127.5 + 0.5, A.shape))
    squares = np.square(filled - A.astype(float)) * hole
    full = squares.mean(axis=(1, 2, 3))
    inside = squares.sum(axis=(1, 2, 3)) / (3 * hole.sum(axis=(1, 2, 3)))
    return [(10 * np.log10(255**2 / x)).mean() for x in (full, inside)]


def test_holes_are_scored_alone_and_in_their_images_beside_three_fillings():
    hole = np.zeros((10, 16, 16, 1))
    hole[:, 4:12, 4:12] = 1
    given = config(
        "semantic_inpainting", from_arrays(image=A), "masked", masks="center,half"
    )
    row = judge(inpainter(), given)
    known = (signed(A) * (1 - hole)).sum((1, 2), keepdims=True) / (256 - 64)
    for name, filling in {
        "center": -1.0,
        "center/mean_fill": known,
        "center/mean_image": signed(A).mean(axis=0, keepdims=True),
        "center/random_sample": 1.0,
    }.items():
        full, inside = psnr_of(filling, hole)
        assert row[f"psnr_full/{name}"] == pytest.approx(full, rel=1e-4)
        assert row[f"psnr_hole/{name}"] == pytest.approx(inside, rel=1e-4)
    assert row["psnr_full/half"] < row["psnr_full/center"]
    assert row["seconds_per_image"] > 0 and row["num_samples"] == 10
    assert (row["num_iters"], row["restarts"]) == (7, 2)


def test_holes_and_samples_belong_to_the_example_whatever_its_batch(network):
    rows = []
    for size in (3, 10):
        given = config(
            "semantic_inpainting",
            from_arrays(image=A),
            "images",
            masks=("pattern",),
            batch_size=size,
        )
        row = judge(inpainter(), given)
        assert row.pop("seconds_per_image") > 0
        rows.append(row)
    assert rows[0] == pytest.approx(rows[1], rel=1e-4)
    assert rows[0]["fid/clean/pattern/num_reference"] == 10
    assert "kid/clean/pattern/random_sample" in rows[0]


def test_what_completes_never_sees_what_a_hole_held():
    seen = []

    def inpaint(inputs, key):
        jax.debug.callback(
            lambda image, hole: seen.append((image, hole)),
            inputs["image"],
            inputs["hole_mask"],
        )
        return {"image": inputs["image"]}

    inputs = (("image", core.Image()), ("hole_mask", core.Mask()))
    system = Inpainter((("inpaint", inpaint, inputs, ("image",), True),))
    source = from_arrays(image=np.full_like(A, 200))
    judge(system, config("semantic_inpainting", source, "images", masks="random"))
    jax.effects_barrier()
    assert len(seen) >= 10
    for image, hole in seen:
        assert 0.5 < hole.mean() < 1 and not np.any(image * hole)


def test_kinds_of_holes_without_a_hole_are_refused():
    for kind in ("full", "centre"):
        with pytest.raises(UserError, match=f"evaluation.masks '{kind}'.*center"):
            Options(masks=("half", kind))
