"""What is written, under which names, and that it is whole."""

import csv

import numpy as np
import pytest
from PIL import Image, ImageFont

from jaxgan import core
from jaxgan.core.errors import UserError
from jaxgan.data.files import open_files
from jaxgan.inference import contact_sheet, results
from tests.inference import toys
from tests.inference.conftest import gradient

PICTURE = gradient(20, 30)


def declared(host=None, **output):
    return toys.mode(lambda given, key: {}, {}, output, host=host)


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*"))


def test_one_picture_is_called_after_its_input(tmp_path):
    made = results.Results(tmp_path / "out", declared(image=core.Image(3)))
    made.add(0, "below/a", {"image": PICTURE})
    assert names(tmp_path) == ["out/below/a.png"]
    found = np.asarray(Image.open(tmp_path / "out" / "below" / "a.png"))
    np.testing.assert_array_equal(found, PICTURE)


def test_several_outputs_have_suffixes_and_grey_stays_grey(tmp_path):
    mode = declared(there=core.Image(3), back=core.Image(1))
    made = results.Results(tmp_path, mode)
    made.add(0, "a", {"there": PICTURE, "back": PICTURE[..., :1]})
    assert names(tmp_path) == ["a_back.png", "a_there.png"]
    assert Image.open(tmp_path / "a_back.png").mode == "L"


def test_a_set_is_numbered_with_a_strip_or_an_animation(tmp_path):
    mode = declared(path=core.Set(core.Image(3)))
    frames = np.stack([PICTURE, PICTURE[:, ::-1], PICTURE[::-1]])
    results.Results(tmp_path / "s", mode).add(0, "a", {"path": frames})
    assert names(tmp_path / "s") == ["a_0.png", "a_1.png", "a_2.png", "a_strip.png"]
    strip = np.asarray(Image.open(tmp_path / "s" / "a_strip.png"))
    assert strip.shape == (20, 3 * 30 + 2 * results.STRIP_GAP, 3)
    np.testing.assert_array_equal(strip[:, :30], PICTURE)
    np.testing.assert_array_equal(strip[:, -30:], PICTURE[::-1])
    results.Results(tmp_path / "g", mode, gif=True).add(0, "a", {"path": frames})
    assert names(tmp_path / "g")[0] == "a.gif"
    with Image.open(tmp_path / "g" / "a.gif") as gif:
        assert gif.n_frames == 3


def test_shapes_are_arrays_that_can_be_read_again(tmp_path):
    from jaxgan.inference import grids

    grid = np.zeros((8, 8, 8, 1), np.float32)
    grid[2:5, 1:3] = 1
    results.Results(tmp_path, declared(voxels=core.Voxels(8))).add(
        0, "a", {"voxels": grid}
    )
    again = grids.read((tmp_path / "a.npz").read_bytes(), ".npz", 8)
    np.testing.assert_array_equal(again[0], grid[..., 0])


def test_numbers_are_a_table_in_the_order_of_the_inputs(tmp_path):
    mode = declared(
        score=core.Values(), pair=core.Values((2,)), features=core.Values((100,))
    )
    made = results.Results(tmp_path, mode)
    for number in (1, 0):
        values = {
            "score": np.asarray(0.5 + number),
            "pair": np.array([number, 2.0]),
            "features": np.full(100, number),
        }
        made.add(number, f"file{number}", values)
    assert made.finish() == ["values.npz", "values.csv"]
    with open(tmp_path / "values.csv") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["name", "score", "pair_0", "pair_1"],
        ["file0", "0.5", "0", "2"],
        ["file1", "1.5", "1", "2"],
    ]
    with np.load(tmp_path / "values.npz") as arrays:
        assert arrays["name"].tolist() == ["file0", "file1"]
        assert arrays["features"].shape == (2, 100) and arrays["features"][1, 0] == 1


def test_the_modes_own_writer_makes_meshes(tmp_path):
    def write(path, outputs):
        assert outputs["picture"].min() >= -1 and outputs["picture"].max() <= 1
        path.write_text(f"{outputs['voxels'].sum():.0f}")

    mode = declared(
        {".obj": write}, voxels=core.Voxels(4), picture=core.Image(3, (20, 30))
    )
    made = results.Results(tmp_path, mode, mesh="obj")
    made.add(0, "a", {"voxels": np.ones((4, 4, 4, 1), np.float32), "picture": PICTURE})
    assert (tmp_path / "a.obj").read_text() == "# jaxgan\n64"
    with pytest.raises(UserError, match="--mesh 'ply'.*choose one of obj"):
        results.Results(tmp_path, mode, mesh="ply")
    with pytest.raises(UserError, match="--mesh=obj: this mode makes no shapes"):
        results.Results(tmp_path, declared(image=core.Image(3)), mesh="obj")


def test_a_file_is_whole_or_absent(tmp_path):
    def write(path, outputs):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    mode = declared({".obj": write}, image=core.Image(3))
    made = results.Results(tmp_path, mode, mesh="obj")
    with pytest.raises(UserError, match="cannot write .*a.obj: No space left on dev"):
        made.add(0, "a", {"image": PICTURE})
    assert names(tmp_path) == ["a.png"]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    mode = declared(image=core.Image(3))
    with pytest.raises(UserError, match="cannot write .*file/out.*choose another"):
        results.Results(tmp_path / "file" / "out", mode)
    with pytest.raises(UserError, match="--output=.*out.png: give a folder"):
        results.Results(tmp_path / "out.png", mode)


def test_only_pictures_of_an_earlier_command_are_replaced(tmp_path):
    mode = declared(image=core.Image(3))
    results.Results(tmp_path, mode).add(0, "a", {"image": PICTURE})
    again = results.Results(tmp_path, mode)
    again.require_free(["a", "b"])
    for theirs in ("b.png", "contact_sheet.png"):
        results.to_image(PICTURE).save(tmp_path / theirs)
        with pytest.raises(UserError, match=f"result {theirs} would replace your file"):
            again.require_free(["a", "b"])
        (tmp_path / theirs).unlink()


def write_grid(path, outputs):
    from jaxgan import ops

    ops.save_mesh(path, *ops.voxels_to_mesh(outputs["voxels"][..., 0]))


MODE = declared(
    dict.fromkeys((".obj", ".ply", ".stl"), write_grid),
    voxels=core.Voxels(4),
    path=core.Set(core.Image(3)),
    score=core.Values(),
)
GRID = np.zeros((4, 4, 4, 1), np.float32)
GRID[1:3, 1:3, 1:3] = 1


@pytest.mark.parametrize("mesh", ["obj", "ply", "stl"])
@pytest.mark.parametrize("gif", [False, True])
def test_no_file_of_the_users_is_replaced(tmp_path, mesh, gif):
    trimesh = pytest.importorskip("trimesh")

    def start():
        made = results.Results(tmp_path, MODE, gif=gif, mesh=mesh)
        made.require_free(["below/a"])
        return made

    made = start()
    outputs = {"voxels": GRID, "path": np.stack([PICTURE] * 2), "score": np.ones(())}
    made.add(0, "below/a", outputs)
    made.sheet(results.to_image(PICTURE))
    assert made.finish() == ["values.npz", "values.csv"]
    start()  # all that it would replace is its own
    written = names(tmp_path)
    assert len(written) == 8
    assert trimesh.load(tmp_path / "below" / f"a.{mesh}").is_watertight
    for name in written:
        if name == "values.csv":  # ours as long as values.npz is
            continue
        ours = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(b"theirs")
        with pytest.raises(UserError, match=f"result {name} would replace your file"):
            start()
        (tmp_path / name).write_bytes(ours)
    (tmp_path / "values.npz").unlink()
    with pytest.raises(UserError, match="result values.csv would replace your file"):
        start()


def test_a_name_too_long_for_a_file_is_one_line(tmp_path):
    made = results.Results(tmp_path, declared(image=core.Image(3)))
    longest = "日" * 82  # 250 bytes with .png, of 255
    made.require_free([longest])
    made.add(0, longest, {"image": PICTURE})
    assert names(tmp_path) == [f"{longest}.png"]
    with pytest.raises(UserError, match="File name too long; choose a shorter name"):
        made.require_free([f"{longest}_there"])


def test_tables_beside_a_result_of_their_name(tmp_path):
    mode = declared(voxels=core.Voxels(4), score=core.Values())
    made = results.Results(tmp_path, mode)
    made.require_free(["values"])
    made.add(0, "values", {"voxels": GRID, "score": np.ones(())})
    assert made.finish() == ["values_of_all.npz", "values_of_all.csv"]
    with np.load(tmp_path / "values.npz") as arrays:
        assert arrays.files == ["voxels"]


def test_a_result_of_the_sheet_s_name_is_not_replaced_by_it(tmp_path):
    made = results.Results(tmp_path, declared(image=core.Image(3)))
    made.require_free(["contact_sheet"])
    made.add(0, "contact_sheet", {"image": PICTURE})
    made.sheet(results.to_image(PICTURE))
    assert names(tmp_path) == ["contact_sheet.png", "contact_sheet_of_all.png"]
    assert open_files("folder", str(tmp_path)).names == ("contact_sheet.png",)


def test_a_folder_is_made_with_its_first_result(tmp_path):
    made = results.Results(tmp_path / "new" / "out", declared(image=core.Image(3)))
    assert names(tmp_path) == []
    made.add(0, "a", {"image": PICTURE})
    assert (tmp_path / "new" / "out" / "a.png").exists()


# The contact sheet.


def cards(count, mode, inputs, outputs):
    return [
        contact_sheet.card(i, f"name{i}", "paint", mode, inputs, outputs)
        for i in range(count)
    ]


def test_inputs_stand_beside_outputs():
    mode = toys.enlarge()
    black, white = np.zeros((100, 100, 3), np.uint8), np.full((200, 200, 3), 255)
    white[5:-5, 5:-5] = (255, 0, 0)
    made = cards(1, mode, {"image": black}, {"image": white.astype(np.uint8)})
    assert [cell.title for cell in made[0].cells] == ["image", "paint"]
    sheet = np.asarray(contact_sheet.draw(made))
    is_black = np.all(sheet < 10, axis=-1).sum(axis=0) > 150
    is_red = np.all(sheet == (255, 0, 0), axis=-1).sum(axis=0) > 150
    assert is_black.sum() == 200  # as large as the largest
    assert np.flatnonzero(is_black).max() < np.flatnonzero(is_red).min()


def test_cards_hold_what_is_shown_alone():
    mode = declared(picture=core.Image(3), path=core.Set(core.Image(3)))
    outputs = {
        "picture": gradient(600, 300),
        "path": np.stack([gradient(400, 500)] * 3),
    }
    (made,) = cards(1, mode, {}, outputs)
    picture, path = (cell.picture for cell in made.cells)
    assert picture.shape == (256, 128, 3) and path.shape[1] == 3 * 256
    whole = [
        contact_sheet.Cell("picture", outputs["picture"]),
        contact_sheet.Cell("path", results.strip(outputs["path"]), 3),
    ]
    wanted = contact_sheet.draw([made._replace(cells=whole)])
    np.testing.assert_array_equal(contact_sheet.draw([made]), wanted)


def test_many_results_of_noise_stand_in_a_square():
    mode = declared(image=core.Image(3))
    sheet = contact_sheet.draw(cards(16, mode, {}, {"image": PICTURE}))
    assert 0.5 < sheet.width / sheet.height < 2
    few = contact_sheet.draw(cards(4, mode, {}, {"image": PICTURE}))
    assert few.width < sheet.width
    over = cards(contact_sheet.LIMIT + 20, mode, {}, {"image": PICTURE})
    assert contact_sheet.draw(over).size == contact_sheet.draw(over[:-20]).size


def test_shapes_are_drawn_and_single_numbers_are_in_the_caption():
    mode = toys.mode(
        lambda given, key: {}, {"voxels": core.Voxels(4)}, {"score": core.Values()}
    )
    grid = np.ones((4, 4, 4, 1), np.float32)
    (made,) = cards(1, mode, {"voxels": grid}, {"score": np.asarray(0.25)})
    assert made.caption == "name0  score 0.25"
    assert made.cells[0].picture.shape == (128, 128, 3)
    assert made.cells[0].picture.std() > 10


def test_sets_are_strips_and_masks_are_white_where_something_is_missing():
    mode = toys.mode(
        lambda given, key: {},
        {"hole": core.Mask()},
        {"path": core.Set(core.Image(1))},
    )
    frames = np.zeros((20, 10, 10, 1), np.uint8)
    (made,) = cards(1, mode, {"hole": np.ones((10, 10, 1))}, {"path": frames})
    hole, path = made.cells
    assert [hole.title, path.title] == ["hole", "paint"]
    assert hole.picture.min() == 255
    assert path.frames == contact_sheet.STRIP


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("日本_1", "??_1"),
        ("Jérôme", "Jerome"),
        ("e\u0301\n\udcff", "e??"),
        ("a…", "a…"),
    ],
    ids=["no letters", "accents", "marks, controls and broken bytes", "known"],
)
def test_captions_hold_no_boxes(name, shown):
    def sheet(name):
        cell = contact_sheet.Cell(name, PICTURE)
        return contact_sheet.draw([contact_sheet.Card(0, name, [cell, cell])])

    np.testing.assert_array_equal(sheet(name), sheet(shown))
    font = ImageFont.load_default(size=10)
    assert contact_sheet._drawable(name, font) == shown


def test_without_pictures_there_is_no_sheet():
    mode = toys.noise()
    outputs = {"drawn": np.asarray(1.0), "z": np.zeros(4)}
    made = cards(2, mode, {"z": np.zeros(4)}, outputs)
    assert contact_sheet.draw(made) is None
