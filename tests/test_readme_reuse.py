"""The examples of README's section "Reuse" run as they stand there."""

import pathlib
import re

import jax.numpy as jnp
import numpy as np
import pytest

from tests.inference import trained

README = pathlib.Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def examples():
    """The `python` blocks of the section."""
    section = re.search(
        r"^## Reuse\n(.*?)(?=^## |\Z)", README.read_text(), re.DOTALL | re.MULTILINE
    )
    assert section, "README.md has no section 'Reuse'"
    return re.findall(r"^```python\n(.*?)^```", section[1], re.DOTALL | re.MULTILINE)


def run(code):
    """Runs an example as a script; returns its names."""
    names = {"__name__": "example"}
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_there_are_a_loss_a_generator_and_a_step(examples):
    assert len(examples) == 3


def test_the_loss_alone(examples):
    names = run(examples[0])
    real, fake = np.asarray(names["real_logits"]), np.asarray(names["fake_logits"])
    by_hand = np.mean(np.log1p(np.exp(-real))) + np.mean(np.log1p(np.exp(fake)))
    assert names["loss"] == pytest.approx(by_hand, rel=1e-5)
    assert names["gradient"].shape == real.shape
    assert np.all(names["gradient"] < 0)  # real logits want to grow


def test_the_generator_with_restored_parameters(
    examples, tmp_path_factory, tmp_path, monkeypatch
):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(trained.run("pix2pix", tmp_path_factory))
    monkeypatch.chdir(tmp_path)
    names = run(examples[1])
    assert names["translation"].shape == names["image"].shape
    np.testing.assert_allclose(names["translation"], names["same"], atol=1e-6)
    assert float(jnp.std(names["same"])) > 1e-3  # of weights that were restored


def test_the_whole_step_in_ones_own_loop(examples, capsys):
    names = run(examples[2])
    assert int(names["state"].step) == 3
    assert all(np.isfinite(float(v)) for v in names["metrics"].values())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
