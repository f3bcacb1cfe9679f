"""Every system through its commands: train, evaluate, generate, export."""

import contextlib
import dataclasses
import io
import json
import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jaxgan import cli, systems
from jaxgan.training.checkpoint import committed
from jaxgan.training.writer import read_rows

EXPORTED = {
    "README.txt",
    "parameters.safetensors",
    "program.stablehlo",
    "signature.json",
}


@dataclasses.dataclass(frozen=True)
class Case:
    """How a system is taken through the commands.

    Attributes:
      figure: a figure of its evaluation that has `baseline` beside it.
      baseline: its name.
      generate: flags; a picture of 24 x 16 pixels is PHOTO.
      results: what `generate` writes beside contact_sheet.png; the sizes of pictures.
      export: the mode that is exported, and more flags.
      train: more flags.
    """

    figure: str
    baseline: str
    generate: tuple[str, ...]
    results: dict[str, tuple[int, int] | None]
    export: tuple[str, ...]
    train: tuple[str, ...] = ()


NO_GRID = "--config.training.sample_every=0"  # where it takes long to compile
NUMBERS = {"values.csv": None, "values.npz": None}
CASES = {
    "dcgan": Case(
        "nearest_training",
        "gaussian_pixels",
        ("--mode=sample", "--num=2"),
        {"sample_0000.png": (16, 16), "sample_0001.png": (16, 16), **NUMBERS},
        ("sample",),
        ("--config.system.lineage=tf",),  # that semantic_inpainting starts from
    ),
    "pix2pix": Case(
        "psnr",
        "mean_image",
        ("--mode=translate", "--input=PHOTO"),
        {"photo.png": (24, 16)},
        ("translate",),
    ),
    "cyclegan": Case(
        "l1/cycle_a",
        "mean_image",
        ("--mode=translate_ab", "--input=PHOTO"),
        {"photo.png": (24, 16)},
        ("translate_ab",),
    ),
    "srgan": Case(
        "psnr_y",
        "bicubic",
        ("--mode=upscale", "--input=PHOTO"),
        {"photo.png": (96, 64)},
        ("upscale",),
        (
            "--config.system.content=vgg22",
            "--config.pretrained.vgg19=random",
            "--config.system.pretrain_steps=1",
            "--config.training.batch_size=2",
        ),
    ),
    "gan3d": Case(
        "nearest_training_iou",
        "mean_shape",
        ("--mode=sample", "--num=1", "--mesh=obj"),
        {
            "sample_0000.obj": None,
            "sample_0000_picture.png": (128, 128),
            "sample_0000_voxels.npz": None,
            **NUMBERS,
        },
        ("discriminate",),
        (NO_GRID,),
    ),
    "semantic_inpainting": Case(
        "psnr_hole/center",
        "mean_image",
        ("--mode=inpaint", "--input=PHOTO", "--hole_mask=center"),
        {"photo_generated.png": (16, 16), "photo_image.png": (16, 16), **NUMBERS},
        ("inpaint", "--batch_size=2", "--num_iters=1", "--blend=none"),
        ("--init_from=DCGAN", "--config.evaluation.masks=('center',)", NO_GRID),
    ),
}
QUICK = ("pix2pix",)
LONG = (pytest.mark.slow, pytest.mark.picked)  # the others, by the console script


def in_process(*arguments) -> str:
    """What a command prints that runs in this process."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    assert ended.value.code == 0, arguments
    return told.getvalue()


def script(*arguments) -> str:
    """What the console script prints, in a process of its own."""
    command = [pathlib.Path(sys.executable).with_name("jaxgan"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def train(jaxgan, name: str, workdir: pathlib.Path, *flags) -> None:
    few = ("--config.training.num_steps=2", "--config.devices.data=1")
    jaxgan("train", f"--config={name}:tiny", f"--workdir={workdir}", *few, *flags)


@pytest.fixture(scope="module")
def dcgan(tmp_path_factory):
    """A run that others start from."""
    workdir = tmp_path_factory.mktemp("runs") / "dcgan"
    train(script, "dcgan", workdir, *CASES["dcgan"].train)
    return workdir


@pytest.fixture
def photo(tmp_path):
    y, x = np.mgrid[:16, :24]
    ramps = np.stack([10 * x, 15 * y, 6 * (x + y)], axis=-1)
    path = tmp_path / "photo.png"
    Image.fromarray(ramps.astype(np.uint8)).save(path)
    return path


def assert_figures(rows: list[dict], *expected: str) -> None:
    """The last row has them, and no figure of any row is an infinity or a NaN."""
    assert set(expected) <= set(rows[-1]), rows[-1].keys()
    for row in rows:
        for key, value in row.items():
            assert isinstance(value, str) or math.isfinite(value), (key, value)


def assert_trained(workdir: pathlib.Path, steps: int) -> None:
    assert committed(workdir / "checkpoints")[-1] == steps
    assert json.loads((workdir / "config.json").read_text())
    if steps:
        rows = read_rows(workdir / "metrics.jsonl")
        assert [row["step"] for row in rows] == list(range(1, steps + 1))
        assert_figures(rows)


def assert_exported(folder: pathlib.Path, name: str, mode: str) -> None:
    assert {path.name for path in folder.iterdir()} == EXPORTED
    facts = json.loads((folder / "signature.json").read_text())
    assert (facts["system"], facts["mode"]) == (name, mode)


def test_all_systems_are_here():
    assert {*CASES, "gan"} == set(systems.SYSTEMS)


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(n, marks=LONG) for n in CASES if n not in QUICK)]
)
def test_a_system_from_training_to_export(name, request, photo, tmp_path):
    case, workdir, out = CASES[name], tmp_path / "run", tmp_path / "out"
    jaxgan = in_process if name in QUICK else script
    starts_from_dcgan = "--init_from=DCGAN" in case.train
    source = request.getfixturevalue("dcgan") if starts_from_dcgan else None
    starts = [flag.replace("DCGAN", str(source)) for flag in case.train]
    train(jaxgan, name, workdir, *starts)
    assert_trained(workdir, 0 if source else 2)
    grids = [path.name for path in (workdir / "samples").glob("*")]
    assert grids == ([] if NO_GRID in case.train else ["step_00000002.png"])

    beside = f"{case.figure}/{case.baseline}"
    assert beside in jaxgan("evaluate", f"--workdir={workdir}")
    assert_figures(read_rows(workdir / "evaluation.jsonl"), case.figure, beside)

    flags = [flag.replace("PHOTO", str(photo)) for flag in case.generate]
    jaxgan("generate", f"--workdir={workdir}", f"--output={out}", *flags)
    assert {path.name for path in out.iterdir()} == {*case.results, "contact_sheet.png"}
    for file, size in case.results.items():
        assert size is None or Image.open(out / file).size == size, file
    if "--mesh=obj" in flags:
        assert (out / "sample_0000.obj").read_text().count("\nv ") > 3

    to, (mode, *flags) = tmp_path / "exported", case.export
    flags += [f"--mode={mode}", f"--output={to}", "--platforms=cpu"]
    jaxgan("export", f"--workdir={workdir}", *flags)
    assert_exported(to, name, mode)


def test_the_console_script(tmp_path):
    """`gan`, each command in a process of its own, and what it says."""
    run, out, to = (tmp_path / name for name in ("run", "out", "exported"))
    listed = script("systems", "--system=gan")
    assert listed.startswith("gan: ") and "mode sample: " in listed
    steps = "--config.training.num_steps=2"
    told = script("train", "--config=gan:tiny", f"--workdir={run}", steps)
    assert told.splitlines()[-1] == f"samples: {run}/samples/step_00000002.png"
    assert_trained(run, 2)
    assert "parzen/gaussian_pixels" in script("evaluate", f"--workdir={run}")
    assert_figures(read_rows(run / "evaluation.jsonl"), "parzen")
    sample = (f"--workdir={run}", "--mode=sample")
    told = script("generate", *sample, "--num=3", f"--output={out}")
    assert told.splitlines()[0] == f"3 results: {out}"
    assert len(list(out.glob("sample_*.png"))) == 3
    assert "proved in a fresh process" in script("export", *sample, f"--output={to}")
    assert_exported(to, "gan", "sample")
