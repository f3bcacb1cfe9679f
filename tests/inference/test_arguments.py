"""What a mode's arguments may be, and one line for what they may not."""

import numpy as np
import pytest
from PIL import Image

from jaxgan import core
from jaxgan.inference import arguments, inputs
from jaxgan.inference.examples import films, plan
from tests.inference import toys
from tests.inference.conftest import gradient

EVERYTHING = toys.mode(
    lambda given, key: {},
    {
        "image": core.Image(3, help="a photograph"),
        "reference": core.Image(3),
        "hole": core.Mask(),
        "label": core.Labels(5),
        "z": core.Latent(4),
        "chain": core.Set(core.Latent(4), minimum=2),
        "maps": core.Values((3,)),
        "strength": core.Float(0.5, 0.0, 1.0),
        "steps": core.Int(8, 2),
        "path": core.Choice(("linear", "slerp"), "linear"),
    },
    {},
)
READER = arguments.Reader()


@pytest.fixture
def given(photos):
    return {
        "input": str(photos / "a.png"),
        "reference": str(photos / "b.jpg"),
        "hole": "center",
        "label": ["3"],
        "maps": "1,0,0.5",
    }


def read(given, **changes):
    return arguments.read("paint", EVERYTHING, {**given, **changes}, READER)


def test_defaults(given):
    found = read(given)
    assert found.static == {"steps": 8, "path": "linear"}
    assert found.scalars == {"strength": 0.5}
    assert isinstance(found.sources["z"], inputs.Drawn)
    assert found.sources["chain"].several == 2
    assert list(found.sources) == [
        "image", "reference", "hole", "label", "z", "chain", "maps",
    ]  # fmt: skip


def test_input_is_the_first_that_takes_files(given):
    found = read(given)
    assert found.sources["image"].names == ("a.png",)
    assert found.lead is found.sources["image"]
    alone = {k: v for k, v in given.items() if k != "input"}
    assert read(alone, image=given["input"]).sources["image"].names == ("a.png",)


def test_arrays_from_files(given, tmp_path):
    np.save(tmp_path / "z.npy", np.arange(8.0).reshape(2, 4))
    np.savez(tmp_path / "all.npz", name=np.array(["a"]), chain=np.ones((3, 4)))
    found = read(
        given,
        z=str(tmp_path / "z.npy"),
        chain=str(tmp_path / "all.npz"),
        maps="0,1,2",
    )
    assert found.sources["z"].rows.shape == (2, 4)
    assert found.sources["z"].rows.dtype == np.float32
    assert found.sources["chain"].rows.shape == (1, 3, 4)
    np.testing.assert_array_equal(found.sources["maps"].rows, [[0, 1, 2]])
    assert read(given, chain="5").sources["chain"].several == 5


def test_latents_may_be_typed(given):
    found = read(given, z="0.5,-1,2,0", chain="0,0,0,0,1,1,1,1")
    np.testing.assert_array_equal(found.sources["z"].rows, [[0.5, -1, 2, 0]])
    assert found.sources["chain"].rows.shape == (1, 2, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": None}, r"--input is missing: mode 'paint' needs image \(a photo"),
        ({"reference": None}, "--reference is missing: mode 'paint' needs reference"),
        ({"image": "x"}, "--input and --image are the same"),
        ({"hole": None}, "--hole is missing.*white where.*center, pattern"),
        ({"hole": "centre"}, "--hole.*'centre' .*'center'.*pattern"),
        ({"label": None}, "--label is missing: mode 'paint' needs class .* 0 to 4"),
        ({"label": ["5"]}, "--label=5 is out of range: .* 5 classes, 0 to 4"),
        ({"label": ["cat"]}, "--label=cat: class numbers are whole, from 0 to 4"),
        ({"z": "nofile.npy"}, "--z=nofile.npy: there is no such file"),
        ({"z": "three.npy"}, r"--z=three.npy: it is \[1, 3\], not \[n, 4\]"),
        ({"z": "text.npy"}, "--z=text.npy: it holds <U1, no numbers"),
        ({"z": "torn.npy"}, "--z=torn.npy: not a whole .npy or .npz file"),
        ({"z": "two.npz"}, "--z=two.npz: it has no array 'z', but a, b"),
        ({"chain": "1"}, "--chain=1 is too few: this mode needs 2 or more"),
        ({"z": "1,2"}, r"--z=1,2: it is \[1, 2\], not \[n, 4\]"),
        ({"z": "1,nan,0,0"}, "--z=1,nan,0,0: give finite numbers"),
        ({"chain": "1,2,3"}, r"--chain=1,2,3: it is \[3\], not \[n, any, 4\]"),
        ({"z": "1;" * 200}, "--z=1;1;.*: there is no such file or folder"),
        ({"input": "x" * 300}, "--input=xxx.*: there is no such file or folder"),
        ({"hole": "x" * 300}, "--hole: no file, and hole mask 'xxx.*: choose one of"),
        ({"maps": "1,2"}, r"--maps=1,2: it is \[1, 2\], not \[n, 3\]"),
        ({"maps": None}, r"--maps is missing: mode 'paint' needs numbers \[3\]"),
    ],
)
def test_a_mistake_is_one_line(given, changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("three.npy", np.zeros(3))
    np.save("text.npy", np.array(["a"]))
    np.savez("two.npz", a=np.zeros(4), b=np.zeros(4))
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(core.UserError, match=message) as raised:
        read(given, **changes)
    assert "\n" not in str(raised.value)


def test_a_mode_without_files_takes_no_input():
    with pytest.raises(core.UserError, match="'toy' takes no files; .* are --z"):
        arguments.read("toy", toys.noise(), {"input": "x"}, READER)


# Which values go together.


def planned(mode, given, **options):
    found = arguments.read("toy", mode, given, READER)
    return plan("toy", mode, found, **options)


def test_noise_alone_is_drawn_sixteen_times():
    examples = planned(toys.noise(), {})
    assert [e.name for e in examples] == [f"toy_{i:04d}" for i in range(16)]
    assert len(planned(toys.noise(), {}, num=3)) == 3


def test_given_latents_are_all_used(tmp_path):
    np.save(tmp_path / "z.npy", np.zeros((5, 4)))
    examples = planned(toys.noise(), {"z": str(tmp_path / "z.npy")})
    assert [e.picks["z"] for e in examples] == [0, 1, 2, 3, 4]


def test_one_given_latent_is_used_once(tmp_path):
    np.save(tmp_path / "z.npy", np.zeros((1, 4)))
    given = {"z": str(tmp_path / "z.npy")}
    assert len(planned(toys.noise(), given)) == 1
    assert len(planned(toys.noise(), given, num=3)) == 3
    inputs = {"z": core.Latent(4), "label": core.Labels(5)}
    mode = toys.mode(lambda given, key: {}, inputs, {})
    by_label = planned(mode, given)
    assert [e.picks for e in by_label] == [{"z": 0, "label": i} for i in range(5)]
    # What is drawn besides differs from result to result.
    inputs = {"z": core.Latent(4), "noise": core.Latent(4)}
    mode = toys.mode(lambda given, key: {}, inputs, {})
    assert len(planned(mode, given)) == 16


def test_no_two_results_have_one_name(photos):
    for name in ("a.jpg", "a_png.png"):
        (photos / name).write_bytes(b"")
    examples = planned(toys.enlarge(), {"input": str(photos)})
    names = [e.name for e in examples]
    assert names[:3] == ["a_jpg", "a_png", "a_png_2"]
    assert len(set(names)) == len(names) == 7
    (photos / "a_png_2.png").write_bytes(b"")
    names = [e.name for e in planned(toys.enlarge(), {"input": str(photos)})]
    assert names[:4] == ["a_jpg", "a_png", "a_png_3", "a_png_2"]
    given = {"input": str(photos / "below"), "label": ["3", "3"]}
    examples = planned(toys.labelled(), given)
    assert [e.name for e in examples] == ["grey_label3", "grey_label3_2"]


def test_results_are_called_after_files(photos):
    (photos / "a.jpg").write_bytes((photos / "b.jpg").read_bytes())
    examples = planned(toys.enlarge(), {"input": str(photos)})
    names = [e.name for e in examples]
    assert names == ["a_jpg", "a_png", "b", "below/grey", "empty", "torn"]
    assert [e.picks["image"] for e in examples] == list(range(6))
    first = planned(toys.enlarge(), {"input": str(photos)}, num=2)
    assert [e.name for e in first] == names[:2]


def test_several_class_numbers_go_with_every_file(photos):
    given = {"input": str(photos / "below"), "label": ["0", "4"]}
    examples = planned(toys.labelled(), given)
    assert [e.name for e in examples] == ["grey_label0", "grey_label4"]
    one = planned(toys.labelled(), {**given, "label": ["4"]})
    assert [e.name for e in one] == ["grey"]


def test_draws_of_one_file_have_keys_of_their_own(photos):
    examples = planned(toys.enlarge(), {"input": str(photos / "a.png")}, draws=3)
    assert [e.name for e in examples] == ["a_draw0", "a_draw1", "a_draw2"]


def test_draws_of_an_animation_are_films_of_their_own(tmp_path):
    first, second = (Image.fromarray(gradient(8, n)).resize((8, 8)) for n in (8, 16))
    for name in ("a.gif", "a.webp"):
        times = {"duration": [70, 200], "loop": 2}
        first.save(tmp_path / name, save_all=True, append_images=[second], **times)
    mode, given = toys.enlarge(), {"input": str(tmp_path)}
    found = arguments.read("mode", mode, given, READER)
    examples = plan("mode", mode, found, draws=2)
    made = films(found, examples)
    assert [film.file for film in made] == [
        "a_draw0.gif", "a_draw1.gif", "a_draw0.webp", "a_draw1.webp"
    ]  # fmt: skip
    assert made[1].frames == ("a/0000_gif_draw1", "a/0001_gif_draw1")
    assert {name for film in made for name in film.frames} == {e.name for e in examples}
    assert {film.timing.durations for film in made} == {(70, 200)}
    assert {film.timing.loop for film in made} == {2}
    (short,) = films(found, plan("mode", mode, found, num=1))
    assert short.frames == ("a/0000_gif",) and short.timing.durations == (70,)


def test_files_are_paired_by_name_then_by_order_then_refused(photos, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in ("torn", "b", "a", "empty"):
        (masks / f"{name}.png").write_bytes(b"")
    (masks / "below").mkdir()
    (masks / "below" / "grey.bmp").write_bytes(b"")
    given = {"input": str(photos), "hole": str(masks)}
    picks = [e.picks["hole"] for e in planned(toys.masked(), given)]
    assert picks == [0, 1, 2, 3, 4]
    (masks / "torn.png").rename(masks / "0.png")  # the first now, of another name
    with pytest.raises(core.UserError, match="--hole has no 'torn', but others are"):
        planned(toys.masked(), given)
    for name in ("a", "b", "empty"):
        (masks / f"{name}.png").rename(masks / f"mask_{name}.png")
    (masks / "below").rename(masks / "masks_below")
    by_order = [e.picks for e in planned(toys.masked(), given)]
    assert all(p["hole"] == p["image"] for p in by_order)
    (masks / "0.png").unlink()
    with pytest.raises(core.UserError, match="--hole has 4 and the input 5: give one"):
        planned(toys.masked(), given)
    (masks / "mask_a.png").rename(masks / "a.png")
    one = planned(toys.masked(), {**given, "hole": str(masks / "a.png")})
    assert [e.picks["hole"] for e in one] == [0] * 5
