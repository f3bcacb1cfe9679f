"""Batches: exact resume, hosts, both readers, the way to the devices."""

import itertools
import os
import threading

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxgan.core.errors import UserError
from jaxgan.data import from_arrays, make_task, prefetch_to_device
from jaxgan.data.pictures import Prepare
from jaxgan.data.plain_reader import default_threads
from tests.data.conftest import picture

READERS = ["pillow", "tensorflow"]


def take(task, start, count, batch_size=4, *hosts):
    iterator = task.batches(start, batch_size, *hosts)
    batches = list(itertools.islice(iterator, count))
    iterator.close()
    return batches


def same(first, second):
    assert first.keys() == second.keys()
    return all((first[k] == second[k]).all() for k in first)


@pytest.fixture(params=["pillow", "tensorflow", "in memory", "arrays"])
def task(request, pairs):
    """Image pairs from files, read in every way, and from arrays."""
    data = {"task": "paired", "image_size": 12, "load_size": 14, "holdout": 0.0}
    data["source"] = f"folder:{pairs}"
    if request.param == "arrays":
        stacks = {
            name: np.stack([picture(k + i, 16, 16) for i in range(7)])
            for name, k in (("a", 0), ("b", 100))
        }
        data["source"] = from_arrays(**stacks)
    elif request.param == "in memory":
        data["in_memory"] = True
    else:
        data["reader"] = request.param
    return make_task(data, split="train", seed=3)


def test_batches_from_n_are_the_tail_of_batches_from_zero(task):
    whole = take(task, 0, 9)
    for start in (1, 5):
        for a, b in zip(whole[start:], take(task, start, 9 - start), strict=True):
            assert same(a, b)
    assert not same(whole[0], whole[1])


def test_hosts_concatenate_to_the_global_batch(task):
    whole = take(task, 2, 2)
    halves = [take(task, 2, 2, 4, rank, 2) for rank in (0, 1)]
    for step in (0, 1):
        joined = {k: np.concatenate([h[step][k] for h in halves]) for k in whole[step]}
        assert same(joined, whole[step])


@pytest.mark.parametrize("places", [1, 6, 64])
def test_how_far_ahead_the_walk_is_worked_out_changes_no_batch(
    places, pairs, monkeypatch
):
    data = {"task": "paired", "source": f"folder:{pairs}", "image_size": 8, "draws": 2}
    task = make_task({**data, "in_memory": True, "holdout": 0.0}, seed=3)
    monkeypatch.setattr("jaxgan.data.task._PLACES", places)
    found = take(task, 3, 9, 4, 1, 2)
    for step, raw in enumerate(found, 3):
        wanted = task.reader.read(task.rows(step, 4, 1, 2))
        wanted = {k: v.reshape(2, 2, *v.shape[1:]) for k, v in wanted.items()}
        assert same(raw, wanted)


def test_an_epoch_shows_every_example_once_and_pairs_stay_together(task):
    batches = take(task, 0, 7, batch_size=3)  # three epochs of seven
    a, b = (np.concatenate([x[k] for x in batches]) for k in "ab")
    files = task.examples(range(7))
    for epoch in range(3):
        order = [
            int(np.abs(files["a"].astype(int) - x).sum((1, 2, 3)).argmin())
            for x in a[7 * epoch : 7 * epoch + 7].astype(int)
        ]
        assert sorted(order) == list(range(7))
        assert (b[7 * epoch : 7 * epoch + 7] == files["b"][order]).all()


def test_seed_decides_the_order(pairs):
    data = {"task": "paired", "source": f"folder:{pairs}", "image_size": 8}
    one, other = (take(make_task(data, seed=s), 0, 2) for s in (1, 2))
    assert not same(one[0], other[0]) or not same(one[1], other[1])


def test_other_splits_are_serial(pairs):
    data = {"task": "paired", "source": f"folder:{pairs}", "image_size": 8}
    task = make_task({**data, "holdout": 0.5}, split="validation", seed=1)
    first = take(task, 0, 1, batch_size=4)[0]
    assert same(first, task.examples(np.arange(4) % task.num_examples))


def windows(folder, reader, **more):
    data = {"task": "low_high", "source": f"folder:{folder}", "image_size": 12}
    return make_task({**data, "reader": reader, "holdout": 0.0, **more}, seed=4)


def test_readers_agree_on_lossless_files(folder):
    plain, tensor = (take(windows(folder, r), 5, 4) for r in READERS)
    assert all(same(a, b) for a, b in zip(plain, tensor, strict=True))


@pytest.mark.parametrize("subsampling", [0, 2], ids=["4:4:4", "4:2:0"])
def test_readers_agree_within_two_levels_on_jpeg(write, subsampling):
    for i in range(5):
        channels = 1 if i == 4 else 3
        root = write(
            f"{i}.jpg",
            picture(i, 64, 48, channels),
            quality=90,
            subsampling=subsampling,
        )
    data = {"task": "images", "source": f"folder:{root}", "image_size": 20}
    plain, tensor = (
        take(make_task({**data, "reader": r, "holdout": 0.0}), 0, 3) for r in READERS
    )
    for a, b in zip(plain, tensor, strict=True):
        assert np.abs(a["image"].astype(int) - b["image"].astype(int)).max() <= 2


def test_readers_agree_on_windows_labels_and_two_streams(write):
    for i in range(6):
        for side in "AB":
            root = write(f"train{side}/{i}.png", picture(i, 16 + i, 20))
    data = {"task": "unpaired", "source": f"folder:{root}", "image_size": 8}
    more = {"resize": "cover", "load_size": 12, "holdout": 0.0}
    plain, tensor = (
        take(make_task({**data, **more, "reader": r}, seed=9), 1, 4) for r in READERS
    )
    assert all(same(a, b) for a, b in zip(plain, tensor, strict=True))
    assert plain[0]["a"].shape == (4, 8, 8, 3)


def test_labels_follow_their_images(write):
    for i in range(6):
        root = write(f"{i}_.png", np.full((8, 8, 3), 40 * i, np.uint8))
    data = {"task": "labelled", "source": f"folder:{root}", "image_size": 8}
    more = {"label_pattern": r"(?P<label>\d)_", "holdout": 0.0}
    for reader in READERS:
        for batch in take(make_task({**data, **more, "reader": reader}), 0, 4):
            assert (batch["image"][:, 0, 0, 0] == 40 * batch["label"]).all()


def test_draws_are_a_second_axis_of_distinct_examples():
    source = from_arrays(
        image=np.arange(24, dtype=np.uint8).repeat(16).reshape(24, 4, 4)
    )
    data = {"task": "images", "source": source, "image_size": 4, "draws": 3}
    task = make_task(data, seed=1)
    assert task.raw_spec["image"].shape == (3, 4, 4, 1)
    raw = take(task, 0, 1, batch_size=8)[0]
    assert raw["image"].shape == (8, 3, 4, 4, 1)
    assert sorted(raw["image"][:, :, 0, 0, 0].reshape(-1)) == list(range(24))
    batch = task.preprocess(raw, jax.random.key(0))
    assert batch["image"].shape == (8, 3, 4, 4, 1)
    alone = task.preprocess(task.examples([5, 6]), jax.random.key(0))
    assert alone["image"].shape == (2, 4, 4, 1)


def test_prefetch_keeps_order_and_shards_the_batch_axis():
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    sharding = NamedSharding(mesh, P(("data", "model")))
    host = [
        {"x": np.full((8, 3), i, np.uint8), "y": np.arange(8) + i} for i in range(5)
    ]
    device = list(prefetch_to_device(iter(host), sharding))
    assert len(device) == 5
    for a, b in zip(host, device, strict=True):
        assert b["x"].sharding == sharding and b["x"].dtype == np.uint8
        assert same(a, {k: np.asarray(v) for k, v in b.items()})


def test_prefetch_reads_ahead_but_not_further_than_its_depth():
    asked = []

    def endless():
        for i in itertools.count():
            asked.append(i)
            yield {"x": np.full((8,), i, np.int32)}

    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    iterator = prefetch_to_device(endless(), sharding, depth=2)
    for i in range(4):
        assert int(next(iterator)["x"][0]) == i
        assert len(asked) == i + 3


def test_closing_the_prefetch_closes_what_it_reads():
    closed = []

    def endless():
        try:
            while True:
                yield {"x": np.zeros((8,), np.int32)}
        finally:
            closed.append(True)

    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    iterator = prefetch_to_device(endless(), sharding)
    next(iterator)
    iterator.close()
    assert closed == [True]


def test_a_run_without_tensorflow_never_imports_it(pairs):
    import subprocess
    import sys

    code = f"""
import sys
sys.modules["tensorflow"] = None  # an import would fail
from jaxgan.data import make_task
data = dict(task="paired", source="folder:{pairs}", image_size=8)
next(make_task(data).batches(0, 2))
assert not any(m.startswith("tensorflow.") for m in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_arrays_of_another_size_are_resized_by_the_threads(monkeypatch):
    names = set()
    whole = Prepare.__call__

    def noting(self, *given):
        names.add(threading.current_thread().name.rsplit("_")[0])
        return whole(self, *given)

    monkeypatch.setattr(Prepare, "__call__", noting)
    image = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
    data = {"task": "images", "source": from_arrays(image=image), "image_size": 8}
    found = [make_task({**data, "threads": n}).examples(range(6)) for n in (1, 3)]
    assert (found[0]["image"] == found[1]["image"]).all()
    assert names == {"MainThread", "jaxgan-read"}


def test_arrays_are_cut_by_their_own_boxes():
    images = np.stack([picture(i, 12, 12) for i in range(3)])
    corners = np.array([[0, 0], [2, 4], [4, 3]])
    boxes = np.concatenate([corners, corners + 8], axis=1) / 12
    source = from_arrays(image=images, bbox=boxes.astype(np.float32))
    data = {"task": "images", "source": source, "image_size": 8, "box": "bbox"}
    raw = make_task(data).examples(range(3))
    for image, found, (top, left) in zip(images, raw["image"], corners, strict=True):
        np.testing.assert_array_equal(found, image[top : top + 8, left : left + 8])
    empty = from_arrays(image=images, bbox=np.zeros((3, 4), np.float32))
    with pytest.raises(UserError, match="'image': an image has nothing in its box"):
        make_task({**data, "source": empty}).examples([0])


@pytest.mark.parametrize(("cores", "devices", "threads"), [(4, 1, 4), (64, 2, 32)])
def test_threads_by_cores_and_devices(monkeypatch, cores, devices, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), False)
    monkeypatch.setattr(jax, "local_device_count", lambda: devices)
    assert default_threads() == threads
