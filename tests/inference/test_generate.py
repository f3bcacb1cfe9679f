"""`jaxgan generate` on trained runs."""

import copy
import subprocess
import sys
import threading

import numpy as np
import pytest
from absl import flags
from PIL import Image

from jaxgan import command, core, export, generate, mode_flags, systems
from jaxgan.core.errors import UserError
from jaxgan.inference import generate as inference
from jaxgan.inference.results import Results
from tests.inference import toys, trained
from tests.inference.conftest import gradient


def run(workdir, *arguments):
    generate.main(["jaxgan generate", f"--workdir={workdir}", *arguments])


def picture(path):
    return np.asarray(Image.open(path))


@pytest.fixture(scope="module")
def translated(pix2pix_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("translated")
    Image.fromarray(gradient(40, 50)).save(folder / "a.png")
    run(pix2pix_run, "--mode=translate", f"--input={folder}", f"--output={folder}/out")
    return folder


def test_pictures_of_any_size(pix2pix_run, photos, tmp_path, capsys):
    out = tmp_path / "out"
    run(pix2pix_run, "--mode=transl", f"--input={photos}", f"--output={out}")
    found = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png"))
    assert found == ["a.png", "b.png", "below/grey.png", "contact_sheet.png"]
    assert picture(out / "a.png").shape == (40, 50, 3)
    assert picture(out / "below" / "grey.png").shape == (33, 70, 3)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"3 results, 2 skipped: {out}", str(out / "contact_sheet.png")]


def test_pictures_are_brought_to_a_width_first(pix2pix_run, photos, tmp_path):
    out = tmp_path / "out"
    run(pix2pix_run, f"--input={photos}", f"--output={out}", "--width=20")
    assert picture(out / "a.png").shape == (16, 20, 3)  # of 40x50
    assert picture(out / "below" / "grey.png").shape == (9, 20, 3)  # of 33x70
    run(pix2pix_run, f"--input={photos}", f"--output={out}", "--width=8", "--height=9")
    assert picture(out / "a.png").shape == picture(out / "b.png").shape == (9, 8, 3)


@pytest.mark.parametrize(
    ("mode", "flag", "message"),
    [
        ("discriminate", "--width=8", "--width: mode 'discriminate' .* 16x16 alone"),
        ("sample", "--height=8", "--height: mode 'sample' takes no pictures"),
    ],
)
def test_a_size_is_for_modes_of_any_size(dcgan_run, photos, mode, flag, message):
    given = [f"--input={photos}"] if mode == "discriminate" else []
    with pytest.raises(UserError, match=message):
        run(dcgan_run, f"--mode={mode}", flag, f"--output={photos}/out", *given)


def test_the_result_is_the_modes_own(pix2pix_run, translated):
    import jax

    import jaxgan
    from jaxgan.inference import sizes

    system, variables, frozen = jaxgan.load(pix2pix_run)
    padded = sizes.pad(gradient(40, 50), (64, 64)).astype(np.float32) / 127.5 - 1

    @jax.jit
    def translate(image):
        inputs = {"image": image[None], "sampling": "paper"}
        return system.translate(variables, frozen, inputs, jax.random.key(0))["image"]

    wanted = (np.asarray(translate(padded))[0, :40, :50] + 1) * 127.5
    found = picture(translated / "out" / "a.png")
    assert np.max(np.abs(found - wanted)) <= 0.5 + 1e-2


def test_an_earlier_result_inside_the_input_is_not_taken_for_input(
    pix2pix_run, translated, capsys
):
    arguments = (f"--input={translated}", f"--output={translated}/out")
    run(pix2pix_run, *arguments)  # its only mode
    assert capsys.readouterr().out.startswith("1 result: ")


def told_of_pairs(caplog):
    lines = [r.getMessage() for r in caplog.records]
    return [line for line in lines if "side by side" in line and "--split=test" in line]


@pytest.mark.parametrize(
    ("sizes", "told"),
    [([(20, 40), (30, 60)], 1), ([(20, 40), (20, 41)], 0), ([(20, 40), None], 1)],
    ids=["all", "not all", "one is no picture"],
)
def test_pairs_side_by_side_are_told_of(pix2pix_run, tmp_path, caplog, sizes, told):
    for i, size in enumerate(sizes):
        if size:
            Image.fromarray(gradient(*size)).save(tmp_path / f"{i}.png")
        else:
            (tmp_path / f"{i}.png").write_text("no picture")
    run(pix2pix_run, f"--input={tmp_path}", f"--output={tmp_path}/out")
    assert len(told_of_pairs(caplog)) == told


def test_wide_pictures_of_other_tasks_are_not_told_of(cyclegan_run, tmp_path, caplog):
    Image.fromarray(gradient(16, 32)).save(tmp_path / "a.png")
    flags = (f"--input={tmp_path}/a.png", f"--output={tmp_path}/out")
    run(cyclegan_run, "--mode=translate_ab", *flags)
    assert not told_of_pairs(caplog)


@pytest.mark.parametrize(
    "data",
    [{"colorization": True}, {"hole": True}, {"image_size": (16, 32)}],
    ids=["colour", "hole", "wide"],
)
def test_wide_pictures_that_are_meant_are_not_told_of(tmp_path, data):
    Image.fromarray(gradient(16, 32)).save(tmp_path / "a.png")
    given = {"input": str(tmp_path / "a.png")}
    task = inference.prepare(
        "toy", toys.enlarge(), given, output=str(tmp_path / "out"), say=print
    )
    assert inference.are_side_by_side(task, {"task": "paired"})
    assert not inference.are_side_by_side(task, {"task": "paired"} | data)


def test_several_outputs_and_one_file(cyclegan_run, photos, tmp_path):
    out = tmp_path / "out"
    run(
        cyclegan_run,
        "--mode=reconstruct_a",
        f"--input={photos}/below/grey.png",
        f"--output={out}",
    )
    names = {p.name for p in out.iterdir()}
    assert names == {
        "grey_translation.png", "grey_reconstruction.png", "contact_sheet.png",
    }  # fmt: skip


def test_weights_between_two_runs(tmp_path_factory, tmp_path):
    import jax

    import jaxgan

    one, other = (trained.start("srgan", tmp_path_factory, seed) for seed in (0, 1))
    Image.fromarray(gradient(9, 12)).save(tmp_path / "a.png")

    def upscale(workdir, name, *flags):
        arguments = [f"--input={tmp_path}/a.png", f"--output={tmp_path}/{name}"]
        run(workdir, "--mode=upscale", *arguments, *flags)
        return picture(tmp_path / name / "a.png").astype(int)

    ends = upscale(one, "one"), upscale(other, "other")
    blend = f"--blend_with={other}"
    for alpha, end in enumerate(ends):
        found = upscale(one, f"at_{alpha}", blend, f"--alpha={alpha}")
        np.testing.assert_array_equal(found, end)
    system, variables, frozen = jaxgan.load(one)
    _, theirs, _ = jaxgan.load(other)
    between = core.interpolate_weights(variables, theirs, 0.25)
    image = jax.numpy.asarray(gradient(9, 12), np.float32)[None] / 127.5 - 1
    key = jax.random.key(0)
    wanted = system.upscale(between, frozen, {"image": image}, key)["image"][0]
    found = upscale(one, "between", blend, "--alpha=0.25")
    np.testing.assert_allclose(found, 127.5 * (wanted + 1), atol=1)
    assert min(np.abs(found - end).max() for end in ends) > 10
    half = upscale(one, "half", blend, "--alpha=0.5")
    np.testing.assert_array_equal(upscale(one, "default", blend), half)


def test_runs_of_other_networks_cannot_be_blended(
    cyclegan_run, dcgan_run, tmp_path_factory, tmp_path
):
    run_ = trained.start("srgan", tmp_path_factory)
    Image.fromarray(gradient(9, 12)).save(tmp_path / "a.png")
    arguments = [
        "--mode=upscale",
        f"--input={tmp_path}/a.png",
        f"--output={tmp_path}/o",
    ]
    for flags_, message in (
        (
            [f"--blend_with={dcgan_run}"],
            "its generator is not this run's .* is only in",
        ),
        ([f"--blend_with={cyclegan_run}"], "there is none of that name"),
        ([f"--blend_with={tmp_path}"], "not a run directory"),
        (["--alpha=0.5"], "--alpha goes with --blend_with"),
        ([f"--blend_with={run_}", "--alpha=1.5"], "alpha.*1.5"),
    ):
        with pytest.raises(UserError, match=message):
            run(run_, *arguments, *flags_)
        assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_every_frame_of_an_animation_and_its_timing(
    suffix, tmp_path_factory, tmp_path, capsys
):
    frames = [Image.fromarray(np.roll(gradient(9, 12), i, axis=1)) for i in (0, 3, 7)]
    data = {"save_all": True, "append_images": frames[1:], "duration": [70, 200, 130]}
    source, out = tmp_path / f"film.{suffix}", tmp_path / "out"
    frames[0].save(source, loop=3, **data)
    run_ = trained.start("srgan", tmp_path_factory)
    arguments = ["--mode=upscale", f"--input={source}", f"--output={out}"]
    for _ in range(2):  # its own results may be replaced
        run(run_, *arguments)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:-1] == [f"3 results: {out}", f"{out}/film.{suffix}"]
    stills = [picture(out / "film" / f"000{i}.png").astype(int) for i in range(3)]
    with Image.open(out / f"film.{suffix}") as film:
        assert (film.format, film.n_frames) == (suffix.upper(), 3)
        assert film.info["loop"] == 3
        for i, duration in enumerate((70, 200, 130)):
            film.seek(i)
            found = np.asarray(film.convert("RGB")).astype(int)
            assert film.info["duration"] == duration
            gaps = [np.abs(found - still).mean() for still in stills]
            assert found.shape == (36, 48, 3) and np.argmin(gaps) == i
    # The frames are those of the file, each by itself.
    with Image.open(source) as film:
        film.seek(2)
        film.convert("RGB").save(tmp_path / "last.png")
    still = tmp_path / "still"
    run(run_, "--mode=upscale", f"--input={tmp_path}/last.png", f"--output={still}")
    np.testing.assert_array_equal(picture(still / "last.png"), stills[2])


def test_an_animation_of_another_s_is_not_replaced(tmp_path_factory, tmp_path):
    frames = [Image.fromarray(gradient(9, 12)[:, ::step]) for step in (1, -1)]
    for place in (tmp_path / "in", tmp_path / "out"):
        place.mkdir()
        for name in ("a.gif", "b.webp"):
            frames[0].save(place / name, save_all=True, append_images=frames[1:])
    run_ = trained.start("srgan", tmp_path_factory)
    for name in ("a.gif", "b.webp"):
        arguments = [f"--input={tmp_path}/in/{name}", f"--output={tmp_path}/out"]
        with pytest.raises(UserError, match=f"{name} would replace your file"):
            run(run_, "--mode=upscale", *arguments)


def test_noise_by_seed(dcgan_run, tmp_path):
    def sample(folder, *arguments):
        flags = (
            "--mode=sample",
            "--statistics=running",
            f"--output={tmp_path}/{folder}",
        )
        run(dcgan_run, *flags, *arguments)
        return {p.name: picture(p) for p in (tmp_path / folder).glob("sample_*.png")}

    first = sample("a", "--num=5")
    again = sample("b", "--num=5", "--batch_size=2")
    other = sample("c", "--num=5", "--seed=1")
    assert len(first) == 5
    for name, image in first.items():
        np.testing.assert_allclose(image.astype(int), again[name], atol=1)
        assert np.any(image != other[name])


def test_numbers_of_pictures(dcgan_run, photos, tmp_path, caplog):
    out = tmp_path / "out"
    run(dcgan_run, "--mode=discriminate", f"--input={photos}", f"--output={out}")
    with np.load(out / "values.npz") as values:
        assert values["name"].tolist() == ["a", "b", "below/grey"]
        assert values["probability"].shape == (3,)
    told = [r.getMessage() for r in caplog.records if "pixels" in r.getMessage()]
    assert len(told) == 1
    assert "takes 16x16 pixels, so pictures of other sizes are stretched" in told[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode=translate"], "--mode=translate is ambiguous: .*_ab, translate_ba"),
        (["--mode=tranlsate_ab"], "no such mode .*'translate_ab'.*it has translate_ab"),
        ([], "--mode is missing: this run has translate_ab, reconstruct_a"),
        (["--mode=translate_ab", "--inptu=x"], "unknown flag --inptu .*'input'"),
        (["--mode=translate_ab", "--num=0"], "num.*0"),
        (["--mode=translate_ab", "--resize=x"], "stretch"),
        (["--mode=translate_ab", "--input=x"], "--output is missing"),
        (
            ["--mode=translate_ab", "--output=out", "--config.seed=1"],
            "takes no config values",
        ),
        (["--mode=translate_ab", "--output=out"], "--input is missing: .* needs image"),
        (["--mode=translate_ab", "--output=out", "--input=x"], "--input=x: .*no such"),
        (["--mode=translate_ab", "--output=in", "--input=in"], "choose another folder"),
        (
            ["--mode=translate_ab", "--output=out", "--input=in", "--mesh=obj"],
            "--mesh=obj: this mode makes no shapes",
        ),
        (
            ["--mode=translate_ab", "--output=out", "--input=in", "--step=99"],
            "no checkpoint 99 .*it has: 0",
        ),
        (
            ["--mode=translate_ab", "--output=out", "--input=in"],
            "nothing came of 1 input; the first: broken.png: not an image file",
        ),
    ],
)
def test_a_mistake_is_one_line(cyclegan_run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.png").write_text("no picture")
    with pytest.raises(UserError, match=message) as raised:
        run(cyclegan_run, *arguments)
    assert "\n" not in str(raised.value)


def test_without_a_run(tmp_path):
    with pytest.raises(UserError, match="--workdir is missing"):
        generate.main(["jaxgan generate", "--mode=x"])
    with pytest.raises(UserError, match="not a run directory"):
        run(tmp_path, "--mode=x")


def test_arguments_of_a_mode_are_flags_with_ranges(dcgan_run):
    with pytest.raises(UserError, match="steps.*1.*2"):
        run(dcgan_run, "--mode=interpolate", "--steps=1")
    with pytest.raises(UserError, match="linear.*slerp"):
        run(dcgan_run, "--mode=interpolate", "--path=round")


def test_help_lists_modes_and_their_arguments(dcgan_run, capsys):
    with pytest.raises(SystemExit) as ended:
        run(dcgan_run, "--help")
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "interpolate: images along a path" in text
    assert (
        "--path: slerp suits a normal prior: one of linear|slerp (default: linear)"
        in text
    )
    with pytest.raises(SystemExit):
        run(dcgan_run, "--mode=interpolate", "--help")
    assert "--path=linear|slerp" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        generate.main(["jaxgan generate", "--help"])
    assert "With --workdir=RUN this help lists" in capsys.readouterr().out


@pytest.mark.parametrize("name", systems.SYSTEMS)
@pytest.mark.parametrize("main", [generate, export], ids=["generate", "export"])
def test_no_argument_of_a_mode_is_a_flag_of_the_command(main, name):
    define = {
        generate: mode_flags.define_inputs,
        export: mode_flags.define_fixed,
    }[main]
    for mode in systems.get(name)().inference.values():
        values = copy.deepcopy(main.FLAGS)
        define(values, mode)  # raises a DuplicateFlagError
        assert isinstance(values, flags.FlagValues)
        text = [mode_flags.describe_input(d) for d in mode.inputs.values()]
        assert all(text)


def test_every_kind_of_input_is_described():
    kinds = [
        core.Image(1), core.Image(2), core.Mask(), core.Voxels(8), core.Latent(4),
        core.Labels(3), core.Values((-1,)), core.Float(0.0), core.Int(1),
        core.Choice(("a", "b"), "a"), core.Set(core.Latent(4), 2),
        core.Set(core.Image(3), 2),
    ]  # fmt: skip
    texts = [mode_flags.describe_input(kind) for kind in kinds]
    assert len(set(texts)) == len(texts)


def test_end_to_end_without_tensorflow(pix2pix_run, photos, tmp_path):
    code = (
        "import sys; sys.modules['tensorflow'] = None; "
        "sys.modules['tensorflow_datasets'] = None; "
        "from jaxgan import cli; cli.main(sys.argv[1:])"
    )
    flags = [f"--input={photos}", f"--output={tmp_path}/out", "--mode=translate"]
    ended = subprocess.run(
        [sys.executable, "-c", code, "generate", f"--workdir={pix2pix_run}", *flags],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[0].startswith("3 results, 2 skipped: ")
    warnings = ended.stderr.strip().splitlines()
    assert len(warnings) == 2 and warnings[0].startswith("WARNING: empty.png: not an ")


def test_the_users_own_pictures_may_be_large(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)  # refused above twice as many
    mode, given = toys.masked(), {"input": str(photos), "hole": str(photos / "a.png")}
    Image.fromarray(np.eye(40, dtype=np.uint8) * 255).save(photos / "a.png")
    for _ in range(2):  # the second replaces results as large
        task = inference.prepare(
            "toy", mode, given, output=str(tmp_path / "out"), say=print
        )
        done = inference.run(task, {}, {})
        assert done.count == 3
    assert Image.MAX_IMAGE_PIXELS == 600


def test_results_are_written_side_by_side(photos, tmp_path, monkeypatch):
    given, both = {"input": str(photos / "below")}, threading.Barrier(2, timeout=30)
    (photos / "below" / "more.png").write_bytes((photos / "a.png").read_bytes())
    add = Results.add

    def slow(*arguments):
        both.wait()  # one after the other they would never meet
        add(*arguments)

    def run():
        task = inference.prepare(
            "toy", toys.enlarge(), given, output=str(tmp_path / "out"), say=print
        )
        return inference.run(task, {}, {})

    monkeypatch.setattr(Results, "add", slow)
    assert run().count == 2
    assert picture(tmp_path / "out" / "more.png").shape == (40, 50, 3)

    def full(*_):
        raise UserError("the disk is full")

    monkeypatch.setattr(Results, "add", full)
    with pytest.raises(UserError, match="the disk is full"):
        run()


def test_exit_1_if_nothing_could_be_read(pix2pix_run, photos, tmp_path, capsys):
    flags = [f"--input={photos}/empty.png", f"--output={tmp_path}/out"]
    with pytest.raises(SystemExit) as ended:
        command.run(generate.main, ["generate", f"--workdir={pix2pix_run}", *flags])
    assert ended.value.code == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: nothing came of 1 input; the first: empty.png: ")
