"""Every figure that a row must have, and the page of them."""

import json
import sys

import jax
import pytest

from benchmarks import step_page, step_throughput, steps
from jaxgan import config_files
from jaxgan.core import UserError
from jaxgan.training import configs

ONE = "--config.devices.data=1"


def load(spec, *overrides):
    return config_files.load(spec, [ONE, *overrides])


@pytest.fixture(scope="module")
def row():
    return step_throughput.measure(load("gan:tiny"), "gan", 5, 1, fed_too=True)


def test_a_row_says_what_was_measured_on_what(row):
    assert (row["system"], row["part"], row["dtype"]) == ("gan", "gan", "float32")
    assert row["device"] == "cpu" and row["devices"] == 1
    assert set(row["versions"]) == {"jax", "jaxlib", "flax", "optax"}
    config = load("gan:tiny")
    assert row["batch_size"] == config["training"]["batch_size"]
    assert len(row["config_sha256"]) == 64
    assert row["matmul_precision"] and row["processor"]


def test_a_row_holds_time_work_and_memory(row):
    assert (row["repetitions"], row["steps"]) == (5, 1)
    assert 0 < row["ms_min"] <= row["ms_median"] <= row["ms_max"]
    rate = 1e3 * row["batch_size"] / row["ms_median"]
    assert row["examples_per_second"] == pytest.approx(rate)
    assert row["images_per_second"] == pytest.approx(rate)
    for name in ("trace_s", "lower_s", "compile_s", "cached_compile_s"):
        assert row[name] > 0
    assert 0.99 <= row["flops_ratio"] <= 1.05
    assert row["flops_executed"] > 0 and row["bytes_accessed"] > 0
    assert row["memory"]["aliased"] > 0  # the state is donated
    assert row["finite"] and row["skipped"] == {}
    assert row["peak"] is None and row["mfu"] is None  # a CPU is not in the table


def test_a_row_compares_the_step_with_its_input(row):
    assert row["input_examples_per_second"] > 0
    assert row["input_examples_per_cpu_second"] > 0
    assert row["fed_ms"] > 0 and row["fed_examples_per_second"] > 0


def test_without_data_and_tensorflow_the_step_is_measured_all_the_same(monkeypatch):
    for module in ("tensorflow", "tensorflow_datasets"):
        monkeypatch.setitem(sys.modules, module, None)
    config = load("gan:tiny", "--config.data.source=tfds:mnist")
    row = step_throughput.measure(config, "gan", 1, 1, fed_too=True)
    assert row["ms_median"] > 0 and "fed_ms" not in row
    assert "pip install 'jaxgan[train]'" in row["input_note"]
    page = step_page.page([row], "command")
    assert f"Without its own data: `gan`, gan: {row['input_note']}" in page


def test_mfu_is_the_minimum_over_a_named_peak(monkeypatch, row):
    peak = step_throughput.peaks.Peak({"float32": 1e-6}, 1e-6, {"float32": "toy"})
    monkeypatch.setattr(step_throughput.peaks, "find", lambda kind: peak)
    system = configs.build_system(load("gan:tiny"))
    mesh = step_throughput.sharding.make_mesh({"data": 1, "model": 1})
    program = steps.program(system, "gan", 8, mesh, abstract=True)
    compiled = program.call.lower(*program.arguments).compile()
    work = step_throughput._work(compiled, 1, 2e6, 4.0, "float32")
    assert work["mfu"] == pytest.approx(0.5)
    assert work["peak"] == "1e-06 TFLOP/s (toy, nominal)"
    bound = max(2e6 / 1e6, work["bytes_accessed"] / 1e6)
    assert work["bound_ms"] == pytest.approx(1e3 * bound)


def test_stages_are_rows_and_a_system_without_any_has_a_mode():
    assert step_throughput.parts(load("srgan:tiny")) == ["srresnet", "srgan"]
    assert step_throughput.parts(load("srgan:tiny"), "srgan") == ["srgan"]
    inpainting = load("semantic_inpainting:tiny")
    assert step_throughput.parts(inpainting) == ["inpaint"]
    assert step_throughput.parts(inpainting, mode="colorize") == ["colorize"]
    with pytest.raises(UserError, match="no stage 'warm_up'; it has srresnet, srgan"):
        step_throughput.parts(load("srgan:tiny"), "warm_up")
    with pytest.raises(UserError, match="it has none, but modes: --mode=inpaint"):
        step_throughput.parts(inpainting, "train")
    with pytest.raises(UserError, match="no mode 'fly'; there are inpaint, candidates"):
        step_throughput.parts(inpainting, mode="fly")


def test_a_mode_is_measured_as_a_step_is():
    config = load("gan:tiny")
    row = step_throughput.measure(config, "sample", 2, 1, fed_too=True)
    assert row["part"] == "sample" and row["finite"]
    assert row["flops_executed"] > 0 and row["flops_minimum"] is None
    assert "fed_ms" not in row
    assert row["examples_per_second"] > 0


def test_a_pair_is_two_images_and_a_small_copy_none():
    def images(**shapes):
        fields = {k: jax.ShapeDtypeStruct(v, "float32") for k, v in shapes.items()}
        return step_throughput._images(fields)

    assert images(a=(4, 8, 8, 3), b=(4, 8, 8, 3)) == 2
    assert images(hr=(4, 32, 32, 3), lr=(4, 8, 8, 3)) == 1
    assert images(image=(4, 8, 8, 3), hole_mask=(4, 8, 8, 1)) == 1
    assert images(image=(4, 2, 8, 8, 3), label=(4, 2)) == 1
    assert images(z=(4, 100)) == 1


def test_overrides_belong_to_the_config_before_them():
    chosen, common, others = step_throughput.split_configs(
        ["--config.seed=1", "--steps=2", "--config=a", "--config.seed=2", "--config=b"]
    )
    assert chosen == [
        ("a", ["--config.seed=1", "--config.seed=2"]),
        ("b", ["--config.seed=1"]),
    ]
    assert common == ["--config.seed=1"] and others == ["--steps=2"]


def test_all_is_every_config_of_a_variant():
    names = config_files.names()
    assert step_throughput.all_configs("default") == names
    assert step_throughput.all_configs("demo") == [f"{name}:demo" for name in names]
    assert step_throughput.all_configs("chairs32") == ["gan3d:chairs32"]
    with pytest.raises(UserError, match="--all=dmeo: no config has this variant"):
        step_throughput.all_configs("dmeo")


def test_a_named_config_is_not_taken_again_by_all(monkeypatch, tmp_path, own_cache):
    def measured(config, part, *_):
        about = step_throughput.report.machine() | {"system": config["name"]}
        return about | {"part": part, "error": str(config["seed"])}

    monkeypatch.setattr(step_throughput, "attempt", measured)
    own = ["--config=gan:demo", "--config.seed=5", f"--output={tmp_path / 'x.md'}"]
    assert step_throughput.main(["x", "--all=demo", *own, own_cache]) == 1
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").open()]
    found = [(row["config"], row["error"]) for row in rows]
    assert "compilation_cache" not in (tmp_path / "x.md").read_text()
    assert found[-1] == ("gan:demo --config.seed=5", "5")
    assert ("gan3d:demo", "0") in found and ("gan:demo", "0") not in found


def test_the_command_writes_a_page_and_its_json_lines(tmp_path, capsys, own_cache):
    output = tmp_path / "rows.md"
    arguments = ["--config=gan:tiny", ONE, "--repetitions=2", "--steps=1", "--noinput"]
    code = step_throughput.main(
        ["step_throughput", *arguments, f"--output={output}", own_cache]
    )
    assert code == 0
    (row,) = [json.loads(line) for line in output.with_suffix(".jsonl").open()]
    page = output.read_text()
    assert capsys.readouterr().out == page
    assert "    python -m benchmarks.step_throughput --config=gan:tiny" in page
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert len(tables) == 6  # head, rule and a row, twice
    widths = (
        {line.count("|") for line in tables[:3]},
        {line.count("|") for line in tables[3:]},
    )
    assert all(len(width) == 1 for width in widths)
    assert f"| {row['ms_median']:.4g} [{row['ms_min']:.4g}, " in page
    assert row["config"] == f"gan:tiny {ONE}" and row["flops_ratio"] == 1.0


def test_what_a_device_refuses_is_a_row_that_says_so(monkeypatch):
    def refuse(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 GB\nand a long tail")

    monkeypatch.setattr(step_throughput, "measure", refuse)
    row = step_throughput.attempt(load("gan:tiny"), "gan", 1, 1, False)
    page = step_page.page([row], "command")
    assert "Failed: `gan`, gan: RESOURCE_EXHAUSTED: 9 GB" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--config or --all is missing"),
        (["--config=gan:tiny", "--output=rows.txt"], "must end in .md"),
        (["--config=gan:tiny", "--output=/nowhere/rows.md"], "No such file"),
        (["--config=gan:tinny"], "did you mean 'tiny'"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, message, own_cache):
    with pytest.raises(UserError, match=message):
        step_throughput.main(["step_throughput", *arguments, own_cache])


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as end:
        step_throughput.main(["step_throughput", "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for flag in ("--all", "--stage", "--mode", "--dtype", "--output", "--device"):
        assert flag in text
