"""The comparison with PyTorch, as far as it goes without PyTorch."""

import sys
from pathlib import Path

import pytest

from benchmarks import official_pytorch, report, versus_page, versus_pytorch
from jaxgan import config_files
from jaxgan.core import UserError

ROOT = Path(__file__).parents[2]


def load(spec, *overrides):
    return config_files.load(spec, [f"--config.{o}" for o in overrides])


def test_options_are_those_of_the_published_runs():
    found = versus_pytorch.options(load("cyclegan:horse2zebra"))
    wanted = {"netG": "resnet_9blocks", "norm": "instance", "gan_mode": "lsgan"}
    wanted |= {"lambda_A": 10.0, "lambda_identity": 0.0, "pool_size": 50}
    assert {k: found[k] for k in wanted} == wanted and found["no_dropout"]
    found = versus_pytorch.options(load("pix2pix:facades"))
    wanted = {"netG": "unet_256", "norm": "batch", "gan_mode": "vanilla"}
    wanted |= {"direction": "BtoA", "lambda_L1": 100.0, "ngf": 64, "n_layers_D": 3}
    assert {k: found[k] for k in wanted} == wanted and not found["no_dropout"]


@pytest.mark.parametrize(
    ("spec", "overrides", "words"),
    [
        ("dcgan:faces", (), "the official code is that of cyclegan, pix2pix"),
        ("cyclegan", ("system.upsample=resize_conv",), "has conv_transpose"),
        ("pix2pix", ("training.batch_size=4",), "system.norm_groups=1"),
    ],
)
def test_what_the_official_code_lacks_is_refused(spec, overrides, words):
    with pytest.raises(UserError, match=words):
        versus_pytorch.options(load(spec, *overrides))


def about(**changes):
    same = {"platform": "cpu", "parameters": {"generator": 7, "discriminator": 3}}
    return {**same, **changes}


def test_sides_that_differ_are_refused():
    versus_pytorch.check_same(about(), about())
    with pytest.raises(UserError, match="pass --device=cpu"):
        versus_pytorch.check_same(about(platform="gpu"), about())
    other = about(parameters={"generator": 7, "discriminator": 4})
    with pytest.raises(UserError, match="discriminator has 3 .*PyTorch's D has 4"):
        versus_pytorch.check_same(about(), other)


SIDE = """
from benchmarks import official_pytorch

class Side:
    about = {"platform": "cpu"}
    def run(self, steps):
        print("what a library prints")
        return SECONDS / steps
    def end(self):
        return {"finite": True}

def start():
    if not SECONDS:
        raise RuntimeError("no such device")
    return Side()

official_pytorch.serve(start)
"""


def child(seconds):
    code = SIDE.replace("SECONDS", str(seconds))
    environment = {"PYTHONPATH": str(ROOT)}
    return versus_pytorch.Child("one", [sys.executable, "-c", code], environment)


def test_two_processes_take_turns(monkeypatch):
    monkeypatch.setattr(versus_pytorch, "PAUSE", 0.0)
    with child(1.0) as a, child(3.0) as b:
        assert a.hear() == b.hear() == {"platform": "cpu"}
        times = versus_pytorch.take_turns(a, b, rounds=2, count=10)
        assert a.ask("end") == {"finite": True}
    assert times["ms_median"] == pytest.approx(100)
    assert times["torch_ms_max"] == pytest.approx(300)
    assert times["ratio_min"] == pytest.approx(3)


def test_a_side_that_fails_says_why():
    with (
        child(0) as a,
        pytest.raises(UserError, match="one: RuntimeError: no such"),
    ):
        a.hear()


def test_the_page_shows_both_sides_and_what_failed():
    row = report.machine() | {
        "config": "pix2pix",
        "form": "published",
        "official": "c0",
    }
    for name in ("ms", "torch_ms", "ratio"):
        row |= {f"{name}_median": 2.0, f"{name}_min": 1.0, f"{name}_max": 3.0}
    row |= {"batch_size": 1, "image_size": 32, "rounds": 2, "steps": 3}
    row |= {"dtype": "float32", "finite": True, "memory_peak": None}
    row |= {"config_sha256": "0" * 64, "parameters": {"generator": 7}}
    theirs = {"device": "cpu", "dtype": "float32", "finite": True, "recompiled": True}
    theirs |= {"memory_peak": None, "backends": {}, "threads": 2}
    theirs |= {"parameters": {"generator": 7}}
    row |= {f"torch_{key}": value for key, value in theirs.items()}
    failed = {"config": "cyclegan", "form": "tuned", "error": "no compiler"}
    page = versus_page.page([row, failed], "python -m benchmarks.versus_pytorch")
    assert "| 2 [1, 3] |" in page and "PYTORCH RECOMPILED" in page
    assert "Failed: `cyclegan`: no compiler" in page
    assert official_pytorch.name_of("discriminator_a") == "D_B"
