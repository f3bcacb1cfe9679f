"""The command that converts published files."""

import subprocess
import sys

import pytest

from jaxgan import import_weights
from jaxgan.core.errors import UserError
from jaxgan.pretrained import load_weights
from tests.pretrained.support import FILES, probe_file


def _run(*arguments):
    return import_weights.main(["import_weights", *arguments])


def test_a_published_file_becomes_one_that_runs_read(tmp_path, capsys):
    source = probe_file("squeezenet", tmp_path)
    output = tmp_path / "squeezenet.safetensors"
    _run("--network=squeezenet", f"--source={source}", f"--output={output}")
    printed = capsys.readouterr().out
    assert "SqueezeNet 1.1, 722,496 parameters, input convention torchvision" in printed
    weights = load_weights("squeezenet", output)
    assert weights.sha256 in printed


def test_a_checkpoint_of_pytorch_goes_through_the_command(tmp_path):
    # The tiny file is of no registered network: the reader works, the names do not fit.
    arguments = (f"--source={FILES / 'zip.pth'}", f"--output={tmp_path}/x.safetensors")
    with pytest.raises(UserError) as caught:
        _run("--network=squeezenet", *arguments)
    assert "zip.pth: missing conv1/bias, conv1/kernel" in str(caught.value)
    assert "unexpected 0.bias, 0.weight" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((), "--network is missing"),
        (("--network=vgg19",), "--source is missing"),
        (("--netwrk=vgg19",), "unknown flag --netwrk .did you mean 'network'"),
        (("vgg19",), "unexpected argument 'vgg19'"),
        (("--network=vgg18", "--source=a", "--output=b"), "did you mean 'vgg19'"),
    ],
)
def test_mistakes_are_said_in_one_line(arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        _run(*arguments)
    assert "\n" not in str(caught.value)


def test_the_module_runs_as_a_command_and_explains_itself():
    command = [sys.executable, "-m", "jaxgan.import_weights"]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for word in ("--network", "--convention", "vgg19", ".pth", "$JAXGAN_WEIGHTS"):
        assert word in done.stdout
    arguments = ["--network=vgg19", "--source=nowhere.pth", "--output=x.safetensors"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 1
    error = "error: nowhere.pth: no such file; accepted for vgg19: vgg19-dcbb9e9d.pth"
    assert done.stderr.startswith(error)
    assert done.stderr.count("\n") == 1
