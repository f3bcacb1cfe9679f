"""Every format of the optional real data sets is readable as its README says."""

import jax
import numpy as np
import pytest

from jaxgan.data import example, make_source, make_task

pytestmark = pytest.mark.real_data

UTKFACE = r"(?P<age>\d+)_(?P<gender>\d)_(?P<race>\d)_"
POINTING = r"id(?P<person>\d+)_s(?P<series>\d)_yaw(?P<yaw>[+-]\d+)"
CASES = {
    "mnist": ({"task": "images", "source": "npz:mnist/mnist_train8k.npz"}, 8000),
    "usps": ({"task": "labelled", "source": "npz:usps/usps_train9k.npz"}, 9000),
    "coil20": (
        {"task": "labelled", "source": "npz:coil20/coil20_32.npz",
         "label": "object_id", "num_classes": 17},
        1152,
    ),
    "umist": (
        {"task": "images", "source": "npz:umist/umist_112x92.npz", "resize": "cover"},
        318,
    ),
    "fei28": (
        {"task": "labelled", "source": "npz:fei28/fei28.npz", "label": "pose",
         "where": {"pose": range(1, 11)}, "num_classes": 11},
        1600,
    ),
    "pointing04 with label maps": (
        {"task": "images", "source": "zip:pointing04_faces/pointing04_faces.zip!/image",
         "label_pattern": POINTING, "where": {"yaw": (-45, 0, 45)}},
        72,
    ),
    "cfp": (
        {"task": "labelled", "source": "zip:cfp/cfp.zip",
         "label_pattern": r"(?P<pose>[a-z]+)_", "where": {"pose": "profile"}},
        260 * 4,
    ),
    "utkface": (
        {"task": "labelled", "source": "zip:utkface/utkface.zip",
         "label_pattern": UTKFACE, "label": "age",
         "bins": (5, 10, 15, 20, 30, 40, 50, 60, 70)},
        3200,
    ),
    "lfw_gender": (
        {"task": "labelled", "source": "zip:lfw_gender/lfw_gender.zip"}, 1603
    ),
    "lfw_gender as domains": (
        {"task": "unpaired", "source": "zip:lfw_gender/lfw_gender.zip"}, 802
    ),
    "fasseg_frontal": (
        {"task": "paired", "source": "zip:fasseg_frontal/fasseg_frontal.zip",
         "folders": ("image", "label"), "palette_b": 6},
        58,
    ),
    "camvid": (
        {"task": "paired", "source": "zip:camvid/camvid.zip",
         "folders": ("image", "label"), "palette_b": 12, "direction": "BtoA"},
        367,
    ),
    "camvid as domains": (
        {"task": "unpaired", "source": "zip:camvid/camvid.zip",
         "folders": ("image", "label"), "palette_b": 12},
        367,
    ),
    "facade_windows": (
        {"task": "paired", "source": "zip:facade_windows/facade_windows.zip",
         "direction": "BtoA"},
        476,
    ),
    "facade_windows as domains": (
        {"task": "unpaired", "source": "zip:facade_windows/facade_windows.zip",
         "layout": "side_by_side"},
        476,
    ),
    "monet2photo": (
        {"task": "unpaired", "source": "zip:monet2photo/monet2photo.zip"}, 900
    ),
    "modelnet10": (
        {"task": "voxels",
         "source": "npz:modelnet10_vox32/modelnet10_vox32_train.npz",
         "where": {"label": "chair"}, "min_voxels": 200},
        889 - 118,
    ),
    "modelnet_chair30": (
        {"task": "voxels",
         "source": "npz:modelnet_chair30/modelnet_chair30_train.npz"},
        8880,
    ),
    "urban_crops": ({"task": "low_high", "source": "zip:sr/urban_crops320.zip"}, 170),
    "set14": ({"task": "low_high", "source": "zip:sr/Set14.zip"}, 14),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_set_is_readable(real_data, name, key):
    data, count = CASES[name]
    scheme, _, path = data["source"].partition(":")
    data = {**data, "source": f"{scheme}:{real_data / path}", "reader": "pillow"}
    task = make_task({"image_size": 32, "holdout": 0.0, **data})
    assert task.num_examples == count
    batch = jax.jit(task.preprocess)(task.examples([0, 1, 2, 3]), key)
    for field, value in batch.items():
        assert len(value) == 4 and np.isfinite(value).all()
        if field in ("image", "a", "b", "hr"):
            assert value.min() >= -1 and value.max() <= 1 and value.std() > 0.05


def test_facades_are_photographs_left_and_windows_right(real_data):
    path = real_data / "facade_windows" / "facade_windows.zip"
    data = {"task": "paired", "source": f"zip:{path}", "image_size": 256}
    raw = make_task({**data, "holdout": 0.0}).examples(range(16))
    red, green, blue = np.moveaxis(raw["b"].astype(int), -1, 0)
    assert ((red > 128) | (blue > 128)).mean() > 0.95 and green.mean() < 40
    assert 0.05 < (red > 128).mean() < 0.3  # 14 % windows on average
    assert raw["a"][..., 1].mean() > 40


def test_chair_rotations_turn_about_the_last_axis(real_data, key):
    path = real_data / "modelnet_chair30" / "modelnet_chair30_train.npz"
    source = make_source(f"npz:{path}", holdout=0.0)
    ids, turns = source.column("object_id"), source.column("rotation")
    task = make_task(
        {"task": "voxels", "source": f"npz:{path}", "image_size": 32, "holdout": 0.0}
    )
    first = np.flatnonzero(ids == ids[0])
    rows = [first[turns[first] == r][0] for r in (0, 3)]
    grids = np.asarray(task.preprocess(task.examples(rows), key)["voxels"][..., 0])
    assert grids[0].sum() > 100
    assert (np.rot90(grids[0], 1, (0, 1)) == grids[1]).all()


def test_images_of_different_sizes_are_read_whole(real_data):
    source = make_source(f"zip:{real_data / 'sr' / 'Set5.zip'}", holdout=0.0)
    shapes = [example(source, i)["image"].shape for i in range(len(source))]
    assert len(shapes) == 5 and len(set(shapes)) > 1


def test_readers_agree_on_photographs(real_data):
    path = real_data / "monet2photo" / "monet2photo.zip"
    data = {"task": "images", "source": f"zip:{path}!/trainB", "image_size": 143}
    plain, tensor = (
        next(make_task({**data, "reader": r}).batches(0, 8))["image"].astype(int)
        for r in ("pillow", "tensorflow")
    )
    assert np.abs(plain - tensor).max() <= 2
