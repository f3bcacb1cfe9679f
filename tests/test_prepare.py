"""`jaxgan prepare`: shapes become one file of packed grids."""

import zipfile

import numpy as np
import pytest

from jaxgan import prepare
from jaxgan.core import UserError
from jaxgan.data import make_task
from jaxgan.inference import marks


@pytest.fixture
def shapes(tmp_path):
    """Three chairs and a desk as files of three kinds, and a broken one."""
    rng = np.random.default_rng(0)
    grids = rng.integers(0, 2, (4, 6, 6, 6), np.uint8)
    root = tmp_path / "shapes"
    for folder in ("chair", "desk"):
        (root / folder).mkdir(parents=True)
    np.save(root / "chair" / "a.npy", grids[0])
    np.savez(root / "chair" / "b.npz", voxels=grids[1:3])
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(root / "desk" / "c.mat", {"instance": grids[3]})
    (root / "desk" / "d.npy").write_bytes(b"broken")
    return root, grids


def run(*flags: str) -> None:
    prepare.main(["jaxgan prepare", *flags])


def test_folder_of_shapes_becomes_a_source_of_voxels(shapes, tmp_path, capsys):
    root, grids = shapes
    output = str(tmp_path / "out.npz")
    run(f"--source=folder:{root}", f"--output={output}")
    said = capsys.readouterr()
    assert "out.npz: 4 shapes in 2 classes, 1 skipped" in said.out
    assert "skipped desk/d.npy" in said.err
    data = {"task": "voxels", "source": f"npz:{output}", "image_size": 6, "holdout": 0}
    task = make_task(data)
    raw = task.examples(range(4))
    unpacked = np.unpackbits(raw["voxels"], axis=1)[:, : 6**3].reshape(4, 6, 6, 6)
    assert (unpacked == grids).all()
    desks = make_task({**data, "where": {"label": "desk"}})
    assert desks.num_examples == 1


def test_probabilities_are_solid_above_a_half(tmp_path):
    (tmp_path / "in").mkdir()
    grid = np.linspace(0, 1, 6**3, dtype=np.float32).reshape(6, 6, 6)
    np.savez(tmp_path / "in" / "a.npz", voxels=grid)
    run(f"--source=folder:{tmp_path}/in", f"--output={tmp_path}/out.npz")
    with np.load(tmp_path / "out.npz") as stored:
        cells = np.unpackbits(stored["packed"][0])[: 6**3].reshape(6, 6, 6)
    np.testing.assert_array_equal(cells, grid > 0.5)


def test_its_own_output_is_no_source(shapes, capsys, monkeypatch):
    root, _ = shapes
    monkeypatch.chdir(root)
    for output in (f"{root}/all.npz", "all.npz", "desk/../all.npz"):
        run(f"--source=folder:{root}", f"--output={output}")
        assert "all.npz: 4 shapes in 2 classes" in capsys.readouterr().out
    (root / "alone").mkdir()
    np.save(root / "alone" / "a.npy", np.ones((6, 6, 6), np.uint8))
    run("--source=folder:alone", "--output=alone/out.npz")
    (root / "alone" / "a.npy").unlink()
    with pytest.raises(UserError, match="nothing in it but --output=alone/out.npz"):
        run("--source=folder:alone", "--output=alone/out.npz")


def test_a_file_of_the_user_s_is_not_replaced(shapes, tmp_path):
    root, grids = shapes
    results = tmp_path / "results.npz"  # of `generate`
    np.savez(results, voxels=grids[0])
    marks.add(results)
    for mine in (root / "chair" / "b.npz", results):
        before = mine.read_bytes()
        for source in (f"folder:{root}", f"folder:{root}/chair"):
            with pytest.raises(UserError, match=f"{mine.name} would replace your file"):
                run(f"--source={source}", f"--output={mine}")
        assert mine.read_bytes() == before


def test_a_damaged_member_of_an_archive_is_skipped(shapes, tmp_path, capsys):
    root, _ = shapes
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(root / "chair" / "a.npy", "a.npy")
        archive.write(root / "chair" / "b.npz", "b.npz")
        start = archive.getinfo("a.npy").header_offset
    with (tmp_path / "all.zip").open("r+b") as file:
        file.seek(start + 100)  # within the array
        file.write(b"\xff" * 8)
    run(f"--source=zip:{tmp_path}/all.zip", f"--output={tmp_path}/out.npz")
    said = capsys.readouterr()
    assert "2 shapes in 1 classes, 1 skipped" in said.out
    assert "skipped a.npy: Bad CRC" in said.err


@pytest.fixture
def turned(tmp_path):
    """3DShapeNets' folders: two training objects and a test object, in three turns."""
    scipy_io = pytest.importorskip("scipy.io")
    for i, split in enumerate(("train", "train", "test")):
        folder = tmp_path / "volumetric" / "chair" / "30" / split
        folder.mkdir(parents=True, exist_ok=True)
        for turn in (1, 2, 3):
            grid = np.zeros((6, 6, 6), np.uint8)
            grid[i, turn] = 1  # tells which it is
            name = folder / f"chair_00000000{i}_{turn}.mat"
            scipy_io.savemat(name, {"instance": grid})
    return tmp_path / "volumetric"


def objects_of(data, split):
    voxels = make_task(data, split=split)
    raw = voxels.examples(range(voxels.num_examples))["voxels"]
    grids = np.unpackbits(raw, axis=1)[:, : 6**3].reshape(-1, 6, 6, 6)
    return sorted(int(i) for i in np.argwhere(grids.any(axis=(2, 3)))[:, 1])


def test_train_and_test_folders_stay_apart(turned, tmp_path, capsys):
    output = str(tmp_path / "out.npz")
    run(f"--source=folder:{turned}", f"--output={output}")
    said = capsys.readouterr().out
    assert "9 shapes in 1 classes, 0 skipped; test 3, train 6; 3 objects" in said
    data = {"task": "voxels", "source": f"npz:{output}", "image_size": 6}
    assert objects_of(data, "train") == [0, 0, 0, 1, 1, 1]
    assert objects_of(data, "test") == objects_of(data, "validation") == [2, 2, 2]
    with np.load(output) as stored:
        assert stored["classes"].tolist() == ["chair"]
    # An explicit share is taken of the training shapes, whole objects if asked for.
    data |= {"holdout": 0.5, "holdout_by": "object_id"}
    (kept,) = {*objects_of(data, "train")}
    assert objects_of(data, "validation") == [1 - kept] * 3
    assert objects_of(data, "test") == [2, 2, 2]


def test_split_folders_are_no_labels(turned, tmp_path):
    output = tmp_path / "out.npz"
    run(f"--source=folder:{turned}/chair/30", f"--output={output}")
    with np.load(output) as stored:
        assert stored["classes"].tolist() == ["all"] and set(stored["label"]) == {0}
    # One split alone is just a set of shapes.
    run(f"--source=folder:{turned}/chair/30/test", f"--output={output}")
    with np.load(output) as stored:
        assert "split" not in stored and stored["object_id"].tolist() == [0, 0, 0]


def test_shapes_outside_the_splits_are_refused(turned, tmp_path):
    np.save(turned / "chair" / "extra.npy", np.ones((6, 6, 6), np.uint8))
    with pytest.raises(UserError, match="chair/extra.npy lies in no folder train or"):
        run(f"--source=folder:{turned}", f"--output={tmp_path / 'out.npz'}")


@pytest.mark.parametrize(
    ("flags", "side", "filled"),
    [
        ((), 30, True),  # as 3DShapeNets' grids
        (("--pad=4",), 24, True),
        (("--nofilled",), 30, False),
        (("--resolution=64",), 60, True),
        (("--resolution=16",), 14, True),
    ],
)
def test_meshes_are_filled_or_not_and_padded(tmp_path, flags, side, filled):
    trimesh = pytest.importorskip("trimesh")
    (tmp_path / "in").mkdir()
    trimesh.creation.box((1.0, 1.0, 1.0)).export(tmp_path / "in" / "box.stl")
    run(f"--source=folder:{tmp_path}/in", f"--output={tmp_path}/out.npz", *flags)
    with np.load(tmp_path / "out.npz") as stored:
        shape = tuple(stored["shape"])
        cells = np.unpackbits(stored["packed"][0])[: np.prod(shape)].reshape(shape)
    pad = (len(cells) - side) // 2
    for axis in range(3):
        ends = np.nonzero(cells)[axis].min(), np.nonzero(cells)[axis].max()
        assert ends == (pad, pad + side - 1)
    assert cells.sum() == side**3 - (0 if filled else (side - 2) ** 3)


def test_shapes_of_two_sizes_are_refused(shapes, tmp_path):
    root, _ = shapes
    np.save(root / "desk" / "big.npy", np.ones((7, 7, 7), np.uint8))
    with pytest.raises(UserError, match="grids of one size, found 6x6x6, 7x7x7"):
        run(f"--source=folder:{root}", f"--output={tmp_path / 'out.npz'}")
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--source=folder:{}",), "name the file to write, --output=x.npz"),
        (("--source=npz:{}",), "it needs no preparation"),
        (
            ("--source=folder:{}", "--output=x.npz", "--resolution=8", "--pad=4"),
            "--pad=4 leaves no room .*at most 3",
        ),
        (("--source=fodler:{}",), "unknown kind.*did you mean 'folder'"),
        (("--source=folder:{}/chair/none", "--output=x.npz"), "no such folder"),
    ],
)
def test_mistakes_are_one_line(shapes, flags, message):
    with pytest.raises(UserError, match=message):
        run(*(flag.format(shapes[0]) for flag in flags))


def test_voxels_of_a_folder_say_how_to_prepare_them(shapes):
    with pytest.raises(UserError, match="`jaxgan prepare --source=folder:.*--output="):
        make_task({"task": "voxels", "source": f"folder:{shapes[0]}", "image_size": 6})
