"""`jaxgan prepare`: shapes become one file of packed grids."""

import numpy as np
import pytest

from jaxgan import prepare
from jaxgan.core import UserError
from jaxgan.data import make_task


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
