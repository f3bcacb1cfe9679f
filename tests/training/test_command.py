"""The command line from end to end: one line for every mistake, and the exit status."""

import re
import runpy
import subprocess
import sys

import pytest

import jaxgan
from jaxgan import cli, command, systems_cli
from jaxgan.systems import SYSTEMS
from jaxgan.training import checkpoint, starts
from jaxgan.training.writer import read_rows
from tests.training import children, toy
from tests.training.children import jaxgan_train
from tests.training.test_resume import uninterrupted  # noqa: F401


def assert_one_line(ended, pattern):
    """Exit 1, one line of error, nothing like a traceback."""
    assert ended.code == 1, (ended.out, ended.err)
    lines = ended.err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), ended.err
    assert re.search(pattern, lines[0]), lines[0]


def test_the_end_names_run_and_pictures(uninterrupted):  # noqa: F811
    out = (uninterrupted.parent / "reference.out").read_text().splitlines()
    assert out[-2] == f"run: {uninterrupted}"
    assert out[-1] == f"samples: {uninterrupted}/samples/step_00000016.png"
    plain = [line for line in out if line.startswith("step 16/16")]
    assert "images/s" in plain[0] and "remaining" in plain[0]


@pytest.mark.parametrize(
    ("flags", "pattern"),
    [
        (["--confgi=x"], "unknown flag --confgi .*'config'"),
        (["--config=pix2pxi:demo"], "unknown config 'pix2pxi' .*'pix2pix'"),
        (["--config.training.batch_size=0"], "batch_size = 0 is impossible"),
        (["--config.system.wdth=3"], "unknown config key 'system.wdth' .*width"),
        (["--config.devices.data=3"], "3 x 1 = 3, but there are 1 devices"),
        (["--config.data.source=missing"], "no folder /missing"),
        (["--device=gpu"], "--device=gpu: no such device here .*--device=auto"),
        (["--config.system.pretrained_network=vgg19"], "weights not found.*published"),
        (["--config.pretrained.vgg=random"], "unknown config key 'pretrained.vgg'"),
        (["--init_from=/nowhere"], "/nowhere is not a run directory"),
        (["stray"], "unexpected argument 'stray'"),
        (["--num_processes=2", "--distributed"], "belong together"),
    ],
    ids=lambda x: x[0].split("=")[0] if isinstance(x, list) else "",
)
def test_a_mistake_is_one_line_before_anything_is_trained(flags, pattern, tmp_path):
    workdir = tmp_path / "run"
    assert_one_line(jaxgan_train(workdir, *flags), pattern)
    assert not (workdir / "metrics.jsonl").exists()


def test_a_batch_that_devices_cannot_share(tmp_path):
    ended = jaxgan_train(
        tmp_path / "run", "--config.devices.data=3", devices=3, timeout=60
    )
    assert_one_line(ended, "batch_size 8 cannot be divided over 3 devices: choose 6 or")


def test_a_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    log = tmp_path / "log"
    ended = children.wait(children.start(tmp_path / "file" / "run", log=log), log)
    assert_one_line(ended, "cannot write to --workdir=.*/file/run: Not a directory")


def test_two_trainers_in_one_directory(tmp_path):
    with starts.opened(tmp_path / "run", toy.config()):
        ended = jaxgan_train(tmp_path / "run")
    assert_one_line(ended, "run is in use by process .*choose another --workdir")


def test_another_config_in_the_directory(uninterrupted):  # noqa: F811
    ended = jaxgan_train(uninterrupted.parent / "reference", "--config.seed=5")
    assert_one_line(ended, r"another config: seed \(was 0, now 5\)")


def test_a_loss_that_is_not_finite(tmp_path):
    workdir = tmp_path / "run"
    ended = jaxgan_train(workdir, "--config.system.explode_at=3")
    assert_one_line(ended, "loss/generator is not finite at step 10 .*checkpoint 8")
    assert checkpoint.read_networks(workdir / "checkpoints")[1].step == 8
    # Starting again meets the same end from the same checkpoint.
    assert_one_line(
        jaxgan_train(workdir, "--config.system.explode_at=3"), "not finite at step 10"
    )


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path):
    workdir, wide = tmp_path / "run", "--config.system.width=2000"
    first = jaxgan_train(workdir, wide, "--config.training.num_steps=4")
    assert first.code == 0, first.err
    ended = jaxgan_train(workdir, wide, file_size=60_000)
    assert_one_line(
        ended, r"write checkpoint 7 .*\(File too large\).*last checkpoint is step 4"
    )
    assert checkpoint.read_networks(workdir / "checkpoints")[1].step == 4
    last = jaxgan_train(workdir, wide, "--config.training.num_steps=8")
    assert last.code == 0 and f"resuming {workdir} at step 4 of 8" in last.out


def test_a_truncated_checkpoint_falls_back_and_says_so(
    tmp_path,
    uninterrupted,  # noqa: F811
):
    workdir = tmp_path / "run"
    assert jaxgan_train(workdir, "--config.training.num_steps=12").code == 0
    folder = workdir / "checkpoints" / "12" / "procedure"
    for path in folder.rglob("d/*"):
        path.write_bytes(path.read_bytes()[:20])
    ended = jaxgan_train(workdir)
    assert ended.code == 0, ended.err
    assert "checkpoint 12 is damaged" in ended.out
    assert "going back to checkpoint 8" in ended.out and "Traceback" not in ended.err
    for name in ("metrics.jsonl", "samples/step_00000016.png"):
        assert (workdir / name).read_bytes() == (uninterrupted / name).read_bytes()


def test_help_and_wrong_commands(capsys):
    for arguments, expected, code in [
        (["--help"], "train a system, or resume a run", 0),
        (["train", "--help"], "--config.<section>.<key>=<value>", 0),
        (
            ["train", "--config=gan:tiny", "--help"],
            "--config.system.learning_rate=",
            0,
        ),
        (["systems", "--help"], "jaxgan systems --system=pix2pix", 0),
        (["--version"], jaxgan.__version__, 0),
        (["trian"], "unknown command 'trian' (did you mean 'train'?)", 1),
        (["train"], "--config is missing: <system>[:<variant>]", 1),
        (["train", "--config=pix2pix:tiny"], "--workdir is missing", 1),
    ]:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        found = capsys.readouterr()
        assert ended.value.code == code
        assert expected in (found.err if code else found.out), arguments
    assert all(f"  {name}" in cli.usage() for name in cli.COMMANDS)


def test_overrides_are_told_from_flags():
    overrides, others = command.split(
        ["--config=a", "--config.b=1", "--config.c", "2", "--noconfig.d", "--x=3"]
    )
    assert overrides == ["--config.b=1", "--config.c", "2", "--noconfig.d"]
    assert others == ["--config=a", "--x=3"]


def test_every_system_is_listed_with_its_modes_and_sizes():
    for name in SYSTEMS:
        text = "\n".join(systems_cli.describe(name))
        system = SYSTEMS[name]()
        assert text.startswith(f"{name}: ") and re.search(r"\b(19|20)\d\d\b", text)
        for stage in system.stages:
            assert f"stage {stage.name}: {stage.num_steps:,} steps" in text
        for mode_name, mode in system.inference.items():
            assert f"mode {mode_name}: " in text
            assert all(f"--{argument}: " in text for argument in mode.inputs)
        assert "configs: " in text and "demo" in text
    assert "generator 54,413,955" in "\n".join(systems_cli.describe("pix2pix"))


def test_the_package_of_systems_is_a_command_too(monkeypatch, capsys):
    """`python -m jaxgan.systems` is `jaxgan systems`."""
    monkeypatch.setattr(sys, "argv", ["jaxgan.systems", "--system=gan"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("jaxgan.systems", run_name="__main__")
    assert not ended.value.code
    assert capsys.readouterr().out == "\n".join(systems_cli.describe("gan")) + "\n"


def test_the_module_is_a_command_of_its_own(tmp_path):
    """`python -m jaxgan.train` is `jaxgan train`; TensorFlow is not imported for it."""
    code = (
        "import sys, runpy; sys.argv = ['jaxgan.train', '--config=pix2pix:tiny', "
        f"'--workdir={tmp_path}/run', '--config.training.num_steps=2']\n"
        "try: runpy.run_module('jaxgan.train', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert f"run: {tmp_path}/run" in done.stdout
    assert [r["step"] for r in read_rows(tmp_path / "run" / "metrics.jsonl")] == [1, 2]
