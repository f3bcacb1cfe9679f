"""`jaxgan export`: files that need nothing of ours, and the proof of it."""

import dataclasses
import json
import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxgan import core
from jaxgan import export as command
from jaxgan.core.errors import UserError
from jaxgan.inference import arguments, export, proof, running, signature
from jaxgan.inference.examples import plan
from tests import cases
from tests.inference import toys

ABOUT = {"system": "toy", "mode": "toy", "help": "a toy"}


def run(workdir, *flags):
    command.main(["jaxgan export", f"--workdir={workdir}", *flags])


@pytest.fixture(scope="module")
def exported(pix2pix_run, tmp_path_factory):
    """pix2pix's translation, exported through the command."""
    folder = tmp_path_factory.mktemp("exported") / "translate"
    flags = ("--mode=translate", "--sampling=deterministic", "--platforms=cpu,tpu")
    run(pix2pix_run, f"--output={folder}", *flags)
    return folder


def load(folder):
    data = bytearray((folder / proof.PROGRAM).read_bytes())
    parameters = safetensors.numpy.load_file(folder / proof.PARAMETERS)
    return jax.export.deserialize(data), parameters


def test_any_number_of_pictures_of_any_size(exported, pix2pix_run):
    import jaxgan

    program, parameters = load(exported)
    assert program.platforms == ("cpu", "tpu")
    system, variables, frozen = jaxgan.load(pix2pix_run)

    @jax.jit
    def translate(image):
        inputs = {"image": image, "sampling": "deterministic"}
        return system.translate(variables, frozen, inputs, jax.random.key(0))["image"]

    for shape in ((1, 32, 32, 3), (5, 64, 96, 3)):
        image = jax.random.uniform(jax.random.key(0), shape, minval=-1, maxval=1)
        found = program.call(parameters, {"image": image})["image"]
        np.testing.assert_allclose(found, translate(image), atol=1e-5)
    with pytest.raises(ValueError, match="divisible|multiple|32"):
        program.call(parameters, {"image": jnp.zeros((1, 33, 32, 3))})


def test_only_parameters_that_the_mode_reads(exported):
    _, parameters = load(exported)
    assert all(name.startswith("generator/") for name in parameters)
    kinds = {name.split("/")[1] for name in parameters}
    assert kinds == {"params"}  # the image's own statistics: no running ones


def test_the_signature_says_what_goes_in_and_out(exported):
    facts = json.loads((exported / "signature.json").read_text())
    assert facts["system"] == "pix2pix" and facts["mode"] == "translate"
    assert facts["static"] == {"sampling": "deterministic"}
    assert facts["inputs"]["image"]["shape"] == ["b", "32*h", "32*w", 3]
    assert facts["inputs"]["image"]["low"] == -1
    assert facts["outputs"] == {"image": ["b", "32*h", "32*w", 3]}


def test_the_readme_example_runs_without_us(exported):
    lines = (exported / "README.txt").read_text().split("import jax.export", 1)[1]
    block = f"import sys; sys.modules.update(dict.fromkeys({proof.BLOCKED}))\n"
    ended = subprocess.run(
        [sys.executable, "-c", f"{block}import jax.export{lines}"],
        cwd=exported,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "{'image': (2, 64, 64, 3)}"
    assert 8 <= len(lines.splitlines()) <= 15


def scaled() -> core.Mode:
    """Noise times a weight; a second weight is not read."""

    def fn(variables, frozen, given, key):
        noise = jax.random.normal(key, (given["z"].shape[0],))
        weight = variables["net"]["params"]["weight"]
        return {"x": given["factor"] * weight * jnp.sum(given["z"], axis=1) + noise}

    return core.Mode(
        fn,
        {"z": core.Latent(4), "factor": core.Float(1.0, 0.0)},
        {"x": core.Values()},
        ("net",),
    )


VARIABLES = {
    "net": {
        "params": {
            "weight": np.asarray(2.0, np.float32),
            "unread": np.ones(3, np.float32),
        }
    },
    "other": {"params": {"weight": np.float32(9.0)}},
}


def test_random_keys_are_arguments_and_repeat_what_generate_draws():
    mode = scaled()
    made = export.build(mode, VARIABLES, {}, {}, platforms=("cpu",))
    assert set(made.parameters) == {"net/params/weight"}
    program = jax.export.deserialize(bytearray(made.program))
    found = arguments.read("toy", mode, {}, arguments.Reader())
    examples = plan("toy", mode, found, 3)
    root = jax.random.key(7)
    runner = running.Runner(mode, VARIABLES, {}, found)
    results = list(running.run(runner, examples, root, print))
    inputs = {
        "z": np.stack([r.inputs["z"] for r in results]),
        "factor": np.float32(1),
        "key": np.stack([jax.random.key_data(e.key(root)) for e in examples]),
    }
    outputs = program.call(made.parameters, inputs)["x"]
    np.testing.assert_allclose(outputs, [r.outputs["x"] for r in results], rtol=1e-6)


def test_a_program_that_differs_is_not_written(tmp_path):
    made = export.build(scaled(), VARIABLES, {}, {}, platforms=("cpu",))
    made.parameters["net/params/weight"] = np.asarray(2.001, np.float32)
    with pytest.raises(UserError, match="differs from the mode by .* nothing was writ"):
        proof.write(made, str(tmp_path / "out"), ABOUT, "float32", prove=True)
    assert not (tmp_path / "out").exists()


def test_a_program_that_fails_is_not_written(tmp_path):
    made = export.build(scaled(), VARIABLES, {}, {}, platforms=("cpu",))
    made.parameters.clear()
    with pytest.raises(UserError, match="failed in a fresh process: ") as raised:
        proof.write(made, str(tmp_path / "out"), ABOUT, "float32", prove=True)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("here", ["cuda", "tpu"])
def test_a_program_that_the_host_s_chip_cannot_prove(here, tmp_path, monkeypatch):
    """It is proved on the CPU, both the files and the mode, or refused beforehand."""
    monkeypatch.setattr(jax.export, "default_export_platform", lambda: here)
    monkeypatch.setattr(jax, "default_backend", lambda: here)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")  # not there: this alone would fail
    made = export.build(scaled(), VARIABLES, {}, {}, platforms=("cpu",))
    devices = []

    def live(inputs, device):
        devices.append(device)
        return made.live(inputs, device)

    watched = dataclasses.replace(made, live=live)
    proof.write(watched, str(tmp_path / "out"), ABOUT, "float32", prove=True)
    assert devices == [jax.devices("cpu")[0]]
    made = export.build(scaled(), VARIABLES, {}, {}, platforms=("tpu",))
    with pytest.raises(UserError, match=f"=tpu: this cannot be proved on {here}: add"):
        proof.write(made, str(tmp_path / "new"), ABOUT, "float32", prove=True)
    assert not (tmp_path / "new").exists()
    proof.write(made, str(tmp_path / "new"), ABOUT, "float32", prove=False)


def test_frozen_networks_are_parameters_too():
    mode = core.Mode(
        lambda variables, frozen, given, key: {
            "x": given["z"] @ frozen["vgg19"]["params"]["kernel"]
        },
        {"z": core.Latent(2)},
        {"x": core.Values((2,))},
        (),
    )
    frozen = {"vgg19": {"params": {"kernel": np.eye(2, dtype=np.float32)}}}
    made = export.build(mode, {}, frozen, {}, platforms=("cpu",))
    assert set(made.parameters) == {"frozen/vgg19/params/kernel"}
    assert len(made.program) < 10_000


def sized(**options) -> core.Mode:
    """Code that asks how large its picture is."""

    def fn(given, key):
        x = given["image"]
        return {"image": x if x.shape[1] < 77 else -x}

    return toys.mode(fn, {"image": core.Image(3)}, {"image": core.Image(3)}, **options)


def test_code_that_must_know_its_size_says_so():
    with pytest.raises(UserError, match="any size of pic.*--size=HEIGHTxWIDTH") as said:
        export.build(sized(), {}, {}, {}, platforms=("cpu",))
    assert "DimExpr" not in str(said.value)
    made = export.build(sized(), {}, {}, {}, size=(8, 12), platforms=("cpu",))
    assert made.outputs == {"image": ("b", 8, 12, 3)}


@pytest.mark.parametrize("spec", [core.Image(3), core.Image(3, (8, 12))])
def test_code_that_must_know_its_batch_says_so(spec):
    def fn(given, key):
        x = given["image"]
        return {"image": x + sum(range(x.shape[0]))}

    mode = toys.mode(fn, {"image": spec}, {"image": spec}, per_example=False)
    with pytest.raises(UserError, match="any number of exam.*--batch_size=N") as said:
        export.build(mode, {}, {}, {}, platforms=("cpu",))
    assert "DimExpr" not in str(said.value)
    assert "DimExpr" in str(said.value.__cause__)  # for whoever mends the mode
    made = export.build(mode, {}, {}, {}, batch_size=2, platforms=("cpu",))
    assert made.outputs["image"][0] == 2


def test_examples_that_share_statistics_share_a_key():
    mode = toys.mode(
        lambda given, key: {"x": given["z"][:, 0] + jax.random.normal(key)},
        {"z": core.Latent(4)},
        {"x": core.Values()},
        per_example=False,
    )
    made = export.build(mode, {}, {}, {}, batch_size=2, platforms=("cpu",))
    assert made.inputs["key"].shape == (2,)
    assert made.inputs["z"].shape == (2, 4)


def test_shapes_of_every_kind_of_input():
    mode = toys.mode(
        lambda given, key: {},
        {
            "image": core.Image(3, multiple_of=4),
            "style": core.Image(1),
            "hole": core.Mask(),
            "fixed": core.Image(3, (8, 8)),
            "label": core.Labels(5),
            "views": core.Set(core.Image(3, (8, 8)), 2),
            "curve": core.Values((-1, 2)),
            "voxels": core.Voxels(8),
            "strength": core.Float(1.0),
            "steps": core.Int(3),
        },
        {},
    )
    found = signature.of_mode(mode, {"views": 3, "steps": 3})
    assert {name: a.shape for name, a in found.items()} == {
        "image": ("b", "4*h", "4*w", 3),
        "style": ("b", "h_style", "w_style", 1),
        "hole": ("b", "4*h", "4*w", 1),
        "fixed": ("b", 8, 8, 3),
        "label": ("b",),
        "views": ("b", 3, 8, 8, 3),
        "curve": ("b", "n0_curve", 2),
        "voxels": ("b", 8, 8, 8, 1),
        "strength": (),
        "key": ("b", 2),
    }
    assert found["label"].dtype == "int32" and found["label"].high == 4
    least = signature.least(found.values(), 16)
    assert least == {
        "b": 1, "h": 4, "w": 4, "h_style": 16, "w_style": 16, "n0_curve": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--size=33x32"], "--size=33x32: image takes sides that are multiples of 32"),
        (["--size=large"], "--size=large: write HEIGHTxWIDTH"),
        (["--platforms=cpu,toaster"], "platforms.*'toaster'.*cpu, cuda, rocm, tpu"),
        (["--batch_size=0"], "batch_size"),
        (["--sampling=best"], "paper.*deterministic.*eval"),
        (["--mode=upscale"], "no such mode; it has translate"),
        (["--output=file/out"], "cannot write .*file/out"),
    ],
)
def test_a_mistake_is_one_line(pix2pix_run, tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=message) as raised:
        run(pix2pix_run, "--mode=translate", "--output=out", *flags)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out" / proof.PROGRAM).exists()


@pytest.mark.parametrize("variant", ["tiny", "tiny_torch", "tiny_tf"])
def test_dcgan_of_any_padding_takes_any_batch(variant):
    """Also TensorFlow's and Theano's, unequal on the two sides."""
    system = cases.build("dcgan", variant)
    batch = cases.random_batch(system.stages[0], 2)
    variables = jax.jit(system.init)(jax.random.key(0), batch, {}).variables()
    mode = system.inference["sample"]
    static = {"statistics": "running"}
    made = export.build(mode, variables, {}, static, platforms=("cpu",))
    z = jax.random.normal(jax.random.key(1), (3, system.z_dim))
    program = jax.export.deserialize(bytearray(made.program))
    found = program.call(made.parameters, {"z": z})["image"]
    inputs = {"z": z, "statistics": "running"}
    wanted = mode.fn(variables, {}, inputs, jax.random.key(0))["image"]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    search, few = system.inference["invert"], {"num_iters": 1, "restarts": 2}
    made = export.build(search, variables, {}, few, platforms=("cpu",))
    assert made.outputs["z"] == ("b", system.z_dim)
