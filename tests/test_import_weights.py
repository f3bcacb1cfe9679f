"""The command that converts published files."""

import subprocess
import sys

import pytest

from jaxgan import import_weights
from jaxgan.pretrained import load_weights
from tests.pretrained.support import FILES, probe_file


def _run(*arguments):
    return import_weights.main(["import_weights", *arguments])


def test_a_published_file_becomes_one_that_runs_read(tmp_path, capsys):
    source = probe_file("squeezenet", tmp_path)
    output = tmp_path / "squeezenet.safetensors"
    assert _run("--network=squeezenet", f"--source={source}", f"--output={output}") == 0
    printed = capsys.readouterr().out
    assert "SqueezeNet 1.1, 722,496 parameters, input convention torchvision" in printed
    weights = load_weights("squeezenet", output)
    assert weights.sha256 in printed


def test_a_checkpoint_of_pytorch_goes_through_the_command(tmp_path, capsys):
    # The tiny file is of no registered network: the reader works, the names do not fit.
    arguments = (f"--source={FILES / 'zip.pth'}", f"--output={tmp_path}/x.safetensors")
    assert _run("--network=squeezenet", *arguments) == 1
    error = capsys.readouterr().err
    assert "zip.pth: missing conv1/bias, conv1/kernel" in error
    assert "unexpected 0.bias, 0.weight" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((), "--network is missing"),
        (("--network=vgg19",), "--source is missing"),
        (("--netwrk=vgg19",), "Unknown command line flag 'netwrk'"),
        (("vgg19",), "unexpected argument 'vgg19'"),
        (("--network=vgg18", "--source=a", "--output=b"), "did you mean 'vgg19'"),
    ],
)
def test_mistakes_are_one_line_and_exit_1(arguments, message, capsys):
    assert _run(*arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error
    assert error.count("\n") == 1


def test_the_module_runs_as_a_command_and_explains_itself():
    command = [sys.executable, "-m", "jaxgan.import_weights"]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for word in ("--network", "--convention", "vgg19", ".pth", "$JAXGAN_WEIGHTS"):
        assert word in done.stdout
    done = subprocess.run(
        [*command, "--network=vgg19", "--source=nowhere.pth", "--output=x.safetensors"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: nowhere.pth: no such file; accepted for vgg19"
    )
    assert "Traceback" not in done.stderr
