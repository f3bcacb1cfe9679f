"""Tasks: what a batch holds."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core import ArraySpec, UserError
from jaxgan.data import from_arrays, make_task
from jaxgan.ops.bicubic import bicubic_downsample
from jaxgan.ops.color import denormalize_lab, lab_to_rgb
from tests.data.conftest import picture

N = 9


@pytest.fixture
def pictures():
    return np.stack([picture(i, 16, 16) for i in range(N)])


def batch_of(task, key, step=0, size=4):
    raw = next(task.batches(step, size))
    for name, spec in task.raw_spec.items():
        assert raw[name].shape == (size, *spec.shape) and raw[name].dtype == spec.dtype
    return jax.jit(task.preprocess)(raw, key), raw


def test_images_are_float32_from_minus_one_to_one(pictures, key):
    data = {"task": "images", "source": from_arrays(image=pictures), "image_size": 16}
    task = make_task(data)
    batch, raw = batch_of(task, key)
    assert task.num_examples == N and set(batch) == {"image"}
    assert task.raw_spec == {"image": ArraySpec((16, 16, 3), "uint8", 0.0, 255.0)}
    np.testing.assert_allclose(batch["image"], raw["image"] / 127.5 - 1, atol=1e-6)


def test_value_range_is_an_option(pictures, key):
    data = {"task": "images", "source": from_arrays(image=pictures), "image_size": 16}
    batch, raw = batch_of(make_task({**data, "value_range": (0.0, 1.0)}), key)
    np.testing.assert_allclose(batch["image"], raw["image"] / 255, atol=1e-6)


def test_grey_arrays_keep_their_channel_unless_asked(pictures, key):
    source = from_arrays(image=pictures[..., 0])
    data = {"task": "images", "source": source, "image_size": 16}
    assert batch_of(make_task(data), key)[0]["image"].shape == (4, 16, 16, 1)
    batch, _ = batch_of(make_task({**data, "channels": 3}), key)
    assert batch["image"].shape == (4, 16, 16, 3)


def test_training_crops_and_flips_evaluation_does_neither(pictures):
    source = from_arrays(image=pictures)
    data = {"task": "images", "source": source, "image_size": 16, "load_size": 18}
    train = make_task({**data, "flip": True}, split="train")
    raw = next(train.batches(0, 4))
    one, two = (train.preprocess(raw, jax.random.key(k))["image"] for k in (0, 1))
    assert raw["image"].shape[1] == 18 and one.shape == (4, 16, 16, 3)
    assert not np.allclose(one, two)
    held = make_task({**data, "flip": True}, split="validation")
    raw = next(held.batches(0, 4))
    one, two = (held.preprocess(raw, jax.random.key(k))["image"] for k in (0, 1))
    np.testing.assert_allclose(one, pictures[:4] / 127.5 - 1, atol=1e-6)
    assert (one == two).all()


def test_pix2pix_check_07_a_pair_shares_its_crop_and_flip_bit_for_bit(pictures):
    source = from_arrays(a=pictures, b=pictures)
    data = {"task": "paired", "source": source, "image_size": 12, "load_size": 16}
    task = make_task({**data, "flip": True})
    raw = next(task.batches(0, 4))
    seen = []
    for k in range(6):
        batch = task.preprocess(raw, jax.random.key(k))
        np.testing.assert_array_equal(batch["a"], batch["b"])
        seen.append(np.asarray(batch["a"]))
    assert len({s.tobytes() for s in seen}) > 1


def test_pair_shares_the_host_window(pictures):
    source = from_arrays(a=pictures, b=255 - pictures)
    data = {"task": "paired", "source": source, "image_size": 9, "resize": "crop"}
    task = make_task(data)
    windows = [next(task.batches(s, 4)) for s in range(3)]
    for raw in windows:
        assert (raw["a"] == 255 - raw["b"]).all() and raw["a"].shape == (4, 9, 9, 3)


def test_direction_swaps_after_loading(pairs, key):
    data = {"task": "paired", "source": f"folder:{pairs}", "image_size": 16}
    there, raw = batch_of(make_task(data, seed=1), key)
    back, _ = batch_of(make_task({**data, "direction": "BtoA"}, seed=1), key)
    assert (there["a"] == back["b"]).all() and (there["b"] == back["a"]).all()
    left = make_task({**data, "holdout": 0.0}).examples([2])["a"][0]
    assert (left == picture(2, 16, 16)).all()


def test_colorization_splits_lab(pictures, key):
    source = from_arrays(image=pictures)
    data = {"task": "paired", "source": source, "image_size": 16, "colorization": True}
    batch, raw = batch_of(make_task(data), key)
    assert batch["a"].shape == (4, 16, 16, 1) and batch["b"].shape == (4, 16, 16, 2)
    rgb = lab_to_rgb(denormalize_lab(batch["a"], batch["b"]))
    np.testing.assert_allclose(rgb, raw["image"] / 255, atol=2e-3)


def test_hole_is_the_central_square_of_half_the_side(pictures, key):
    source = from_arrays(image=pictures)
    data = {"task": "paired", "source": source, "image_size": 16, "hole": True}
    batch, _ = batch_of(make_task(data), key)
    a, b = np.array(batch["a"]), np.array(batch["b"])
    assert (a[:, 4:12, 4:12] == 1.0).all()
    a[:, 4:12, 4:12] = b[:, 4:12, 4:12]
    assert (a == b).all()


def test_class_maps_are_coloured(pictures, key):
    numbers = np.random.default_rng(0).integers(0, 5, (N, 16, 16), np.uint8)
    source = from_arrays(a=pictures, b=numbers)
    data = {"task": "paired", "source": source, "image_size": 8, "palette_b": 5}
    batch, raw = batch_of(make_task(data), key)
    assert raw["b"].shape == (4, 8, 8, 1) and batch["b"].shape == (4, 8, 8, 3)
    assert len(np.unique(np.asarray(batch["b"]).reshape(-1, 3), axis=0)) <= 5


def unpaired(first, second, **more):
    source = (from_arrays(image=first), from_arrays(image=second))
    return make_task({"task": "unpaired", "source": source, "image_size": 16, **more})


def test_epoch_is_the_larger_domain_and_a_starts_again(pictures):
    task = unpaired(pictures[:4], pictures)
    assert task.num_examples == 9
    rows = [task.rows(s, 9).indices["a"] for s in range(50)]
    for row in rows:  # nine draws of four: each two or three times
        assert set(np.bincount(row, minlength=4)) == {2, 3}


def test_b_is_drawn_with_replacement(pictures):
    task = unpaired(pictures, pictures)
    draws = task.rows(0, 3600).indices["b"]
    assert any(len(set(task.rows(s, 9).indices["b"])) < 9 for s in range(3))
    assert np.abs(np.bincount(draws, minlength=9) - 400).max() < 100
    a = task.rows(0, 3600).indices["a"]
    assert abs(np.corrcoef(a, draws)[0, 1]) < 0.06


def test_serial_batches_are_in_order(pictures):
    task = unpaired(pictures[:4], pictures, serial_batches=True)
    rows = task.rows(0, 9).indices
    assert rows["a"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert rows["b"].tolist() == list(range(9))


def test_domains_are_augmented_independently(pictures):
    one = np.stack([pictures[0]] * 4)
    task = unpaired(one, one, image_size=8, load_size=16, flip=True)
    batch = task.preprocess(next(task.batches(0, 4)), jax.random.key(0))
    assert not np.allclose(batch["a"], batch["b"])


def test_disjoint_halves_hold_no_pair(pairs):
    data = {"task": "unpaired", "source": f"folder:{pairs}", "image_size": 16}
    more = {"layout": "side_by_side", "disjoint": True, "holdout": 0.0}
    task = make_task({**data, **more})
    a = {task.streams["a"].source.describe(i) for i in range(4)}
    b = {task.streams["b"].source.describe(i) for i in range(3)}
    assert len(a) == 4 and len(b) == 3 and not a & b


def test_unpaired_halves_of_side_by_side_pictures(pairs):
    data = {"task": "unpaired", "source": f"folder:{pairs}", "image_size": 16}
    task = make_task({**data, "layout": "side_by_side", "holdout": 0.0})
    raw = task.examples([0, 6])
    assert (raw["a"][1] == picture(6, 16, 16)).all()
    assert (raw["b"][1] == picture(106, 16, 16)).all()


def test_unpaired_two_fields_of_one_source(pictures):
    source = from_arrays(sketch=pictures, photo=255 - pictures)
    data = {"task": "unpaired", "source": source, "image_size": 16}
    task = make_task({**data, "fields": ("photo", "sketch")})
    raw = task.examples([1])
    assert (raw["a"] == 255 - pictures[1:2]).all() and (raw["b"] == pictures[1:2]).all()


def test_disjoint_halves_of_two_fields_are_of_two_fields(pictures):
    source = from_arrays(x=pictures, y=255 - pictures)
    data = {"task": "unpaired", "source": source, "image_size": 16}
    task = make_task({**data, "fields": ("x", "y"), "disjoint": True})
    raw = task.examples([0])
    assert any((raw["a"][0] == picture).all() for picture in pictures)
    assert any((raw["b"][0] == 255 - picture).all() for picture in pictures)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colorization": True, "hole": True}, "choose one"),
        ({"colorization": True, "palette_a": 5}, "without palettes"),
        ({"hole": True, "channels_b": 1}, "without palettes and channels"),
        ({"colorization": True, "value_range": (0, 1)}, "leave it at"),
    ],
)
def test_options_of_single_pictures_that_contradict_are_refused(
    pictures, options, message
):
    source = from_arrays(image=pictures)
    data = {"task": "paired", "source": source, "image_size": 16}
    with pytest.raises(UserError, match=message):
        make_task({**data, **options})


def test_labels_are_int32_and_bins_make_groups(pictures, key):
    ages = np.array([1, 5, 6, 10, 11, 30, 70, 71, 115])
    source = from_arrays(image=pictures, age=ages)
    data = {"task": "labelled", "source": source, "image_size": 16, "label": "age"}
    bins = (5, 10, 15, 20, 30, 40, 50, 60, 70)
    task = make_task({**data, "bins": bins})
    assert task.examples(range(N))["label"].tolist() == [0, 0, 1, 1, 2, 4, 8, 9, 9]
    batch, _ = batch_of(task, key)
    assert batch["label"].dtype == jnp.int32 and batch["label"].shape == (4,)


def test_low_resolution_is_the_quantised_bicubic_of_the_window(folder, key):
    data = {"task": "low_high", "source": f"folder:{folder}", "image_size": 16}
    batch, raw = batch_of(make_task({**data, "holdout": 0.0}), key)
    assert batch["lr"].shape == (4, 4, 4, 3) and batch["hr"].shape == (4, 16, 16, 3)
    hr = raw["hr"] / 255.0
    np.testing.assert_allclose(batch["hr"], hr * 2 - 1, atol=1e-6)
    lr = np.clip(bicubic_downsample(jnp.asarray(hr, jnp.float32), 4), 0, 1)
    assert np.abs(batch["lr"] - lr).max() <= 0.5 / 255 + 1e-5
    levels = np.asarray(batch["lr"]) * 255
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
    fine, _ = batch_of(make_task({**data, "holdout": 0.0, "quantize_lr": False}), key)
    np.testing.assert_allclose(fine["lr"], lr, atol=1e-6)


def given_low(write, reader, high, low):
    """A data section of these pictures; `memory` and `arrays` are kinds of reading."""
    data = {"task": "low_high", "image_size": 16, "holdout": 0.0}
    if reader == "arrays":
        return data | {"source": from_arrays(hr=np.stack(high), lr=np.stack(low))}
    for i, (large, small) in enumerate(zip(high, low, strict=True)):
        write(f"HR/{i}.png", large)
        root = write(f"LR/{i}x4.png", small)
    data["source"] = f"folder:{root}"
    return data | ({"in_memory": True} if reader == "memory" else {"reader": reader})


GIVEN_LOW = pytest.mark.parametrize(
    "reader", ["pillow", "tensorflow", "memory", "arrays"]
)


@GIVEN_LOW
@pytest.mark.parametrize(
    "sizes",
    [(32, 40, 8, 10), (30, 41, 7, 10), (30, 41, 8, 11)],
    ids=["multiple", "rounded down", "rounded up"],
)
def test_given_low_resolution_is_cut_at_the_same_place(write, key, reader, sizes):
    height, width, low_height, low_width = sizes
    small = [picture(i, 8, 11) for i in range(3)]
    high = [x.repeat(4, axis=0).repeat(4, axis=1)[:height, :width] for x in small]
    low = [x[:low_height, :low_width] for x in small]
    data = given_low(write, reader, high, low)
    task = make_task({**data, "flip_rot": True})
    raw = next(task.batches(0, 24))
    assert (raw["hr"][:, ::4, ::4] == raw["lr"]).all()
    assert len(np.unique(raw["lr"], axis=0)) > 6  # windows of three pictures
    held = make_task({**data, "holdout": 0.5}, split="test").examples([0, 1])
    assert (held["hr"][:, ::4, ::4] == held["lr"]).all()
    batch = task.preprocess(raw, key)
    small = np.asarray(batch["hr"])[:, 1::4, 1::4] / 2 + 0.5
    np.testing.assert_allclose(small, batch["lr"], atol=1e-6)


@GIVEN_LOW
@pytest.mark.parametrize("low", [(16, 20), (8, 11), (7, 10)], ids=str)
def test_given_low_resolution_of_another_scale_is_refused(write, reader, low):
    data = given_low(write, reader, [picture(0, 32, 40)] * 3, [picture(0, *low)] * 3)
    where = "'lr'" if reader == "arrays" else r"HR/.\.png and LR/.x4.png"
    with pytest.raises(
        UserError,
        match=f"{where}: an image of low resolution is {low[1]}x{low[0]}, but 40x32 "
        "at data.scale=4 makes 10x8; take the files of that scale, or set data.scale",
    ):
        next(make_task({**data, "max_unreadable": 1.0}).batches(0, 2))


def test_flip_rot_is_for_training_only(pictures, key):
    source = from_arrays(hr=pictures)
    data = {"task": "low_high", "source": source, "image_size": 16, "flip_rot": True}
    held = make_task(data, split="test")
    out = held.preprocess(held.examples([0, 1]), key)["hr"]
    np.testing.assert_allclose(out, pictures[:2] / 127.5 - 1, atol=1e-6)
    train = make_task(data)
    out = train.preprocess(train.examples(range(8)), key)["hr"]
    assert not np.allclose(out, pictures[:8] / 127.5 - 1, atol=1e-2)


def test_masked_holes_come_from_the_key(pictures):
    data = {"task": "masked", "source": from_arrays(image=pictures), "image_size": 16}
    center = make_task(data)
    raw = next(center.batches(0, 4))
    batch = center.preprocess(raw, jax.random.key(0))
    hole = np.zeros((4, 16, 16, 1))
    hole[:, 4:12, 4:12] = 1
    assert (batch["hole_mask"] == hole).all() and batch["image"].shape == (4, 16, 16, 3)
    drawn = make_task({**data, "mask": "random"})
    one, two = (drawn.preprocess(raw, jax.random.key(k))["hole_mask"] for k in (0, 1))
    assert not (one == two).all() and 0.6 < float(one.mean()) < 0.95


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_voxels_are_binary_padded_and_enlarged(packed, key):
    grids = np.random.default_rng(0).integers(0, 2, (5, 6, 6, 6), np.uint8)
    fields = {"voxels": grids}
    if packed:
        fields = {"packed": np.packbits(grids.reshape(5, -1), axis=1)}
    data = {"task": "voxels", "source": from_arrays(**fields), "image_size": 16}
    task = make_task(data)
    batch = jax.jit(task.preprocess)(task.examples(range(5)), key)
    assert batch["voxels"].shape == (5, 16, 16, 16, 1)
    inner = np.asarray(batch["voxels"])[:, 2:14:2, 2:14:2, 2:14:2, 0]
    assert (inner == grids).all() and batch["voxels"].dtype == jnp.float32


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "bool"])
def test_voxels_of_any_type_are_occupied_above_a_half(dtype, key):
    values = np.zeros((2, 4, 4, 4), dtype)
    values[0, :2] = np.array([0.7 if dtype == "float32" else 1]).astype(dtype)
    values[1] = np.array(0.3 if dtype == "float32" else 0).astype(dtype)
    if dtype == "int8":
        values[1, 0, 0] = -1
    data = {"task": "voxels", "source": from_arrays(voxels=values), "image_size": 4}
    task = make_task(data)
    grids = task.preprocess(task.examples([0, 1]), key)["voxels"]
    assert (np.asarray(grids[0, :2]) == 1).all() and grids.sum() == 32
    assert make_task({**data, "min_voxels": 1}).num_examples == 1


def test_voxels_turn_in_training_only(key):
    grids = np.random.default_rng(0).integers(0, 2, (8, 6, 6, 6), np.uint8)
    source = from_arrays(voxels=grids)
    data = {"task": "voxels", "source": source, "image_size": 6, "rotate_up_axis": 4}
    held = make_task(data, split="test")
    out = held.preprocess(held.examples(range(8)), key)["voxels"][..., 0]
    assert (out == grids).all()
    train = make_task({**data, "mirror": True})
    out = np.asarray(train.preprocess(train.examples(range(8)), key)["voxels"][..., 0])
    shapes = [np.rot90(m, k) for m in (grids[3], grids[3][:, ::-1]) for k in range(4)]
    assert any((out[3] == s).all() for s in shapes) and not (out == grids).all()


def test_grids_with_few_voxels_are_left_out():
    grids = np.zeros((4, 4, 4, 4), np.uint8)
    grids[1], grids[3, :2] = 1, 1
    for fields in (
        {"voxels": grids},
        {"packed": np.packbits(grids.reshape(4, -1), axis=1)},
    ):
        data = {"task": "voxels", "source": from_arrays(**fields), "image_size": 4}
        assert make_task({**data, "min_voxels": 30}).num_examples == 2


def test_latent_has_an_index_only(key):
    batch, _ = batch_of(make_task({"task": "latent", "num_examples": 10}), key)
    assert set(batch) == {"index"} and batch["index"].dtype == jnp.int32


def test_preprocess_is_pure_and_compiled_once(pictures):
    source = from_arrays(image=pictures)
    data = {"task": "images", "source": source, "image_size": 8, "load_size": 16}
    task = make_task({**data, "flip": True})
    step = jax.jit(task.preprocess)
    batches = list(itertools.islice(task.batches(0, 4), 3))
    for raw in batches:
        a, b = (step(raw, jax.random.key(5))["image"] for _ in range(2))
        assert (a == b).all()
    assert step._cache_size() == 1


@pytest.mark.parametrize(
    ("source", "name", "fields"),
    [
        ("shapes", "paired", {"a", "b"}),
        ("shapes", "unpaired", {"a", "b"}),
        ("shapes", "low_high", {"lr", "hr"}),
        ("digits", "unpaired", {"a", "b"}),
        ("digits", "labelled", {"image", "label"}),
        ("faces", "images", {"image"}),
        ("faces", "masked", {"image", "hole_mask"}),
        ("voxels", "voxels", {"voxels"}),
    ],
)
def test_embedded_sets_serve_their_tasks_without_further_keys(
    source, name, fields, key
):
    data = {"task": name, "source": f"synthetic:{source}", "image_size": 16}
    data |= {"source_options": {"count": 6}}
    if (source, name) == ("digits", "unpaired"):
        data["channels"] = 3
    task = make_task(data)
    batch, raw = batch_of(task, key)
    assert set(batch) == fields and task.num_examples == 6
    kept = make_task({**data, "in_memory": True})
    again = next(kept.batches(0, 4))
    assert all((raw[k] == again[k]).all() for k in raw)


def test_embedded_splits_share_no_example():
    data = {"task": "images", "source": "synthetic:faces", "image_size": 16}
    train, held = (
        make_task(data, split=s).examples(range(8))["image"]
        for s in ("train", "validation")
    )
    assert not (train == held).all((1, 2, 3)).any()
