"""The trainer's windows and those it is compared with."""

import json

import pytest

from benchmarks import loop_overhead
from jaxgan import config_files
from jaxgan.core import UserError
from jaxgan.training import configs

ONE = "--config.devices.data=1"


@pytest.fixture(scope="module")
def row():
    config = config_files.load("gan:tiny", [ONE, "--config.training.log_every=7"])
    return loop_overhead.measure(config, steps_per_call=2, rounds=3, window=5)


def test_a_row_compares_the_trainer_with_its_programs(row):
    assert (row["window"], row["rounds"], row["steps_per_call"]) == (6, 3, 2)
    for kind in loop_overhead.KINDS:
        low, middle, high = (row[f"{kind}_ms_{of}"] for of in ("min", "median", "max"))
        assert 0 < low <= middle <= high and row[f"{kind}_processor_ms"] > 0
    for kind in ("update", "step"):
        low, middle, high = (
            row[f"over_{kind}_{of}"] for of in ("min", "median", "max")
        )
        assert 0 < low <= middle <= high


def test_every_window_that_counts_has_its_companions():
    ran = []
    others = {k: lambda k=k: ran.append(k) for k in ("update", "step")}
    windows = loop_overhead.Windows(others, first=10)
    for step in (1, 10, 20, 30):  # the first call, a first window, two that count
        assert not windows.watch(step, {})
    assert ran == ["update", "step"] * 3
    assert {k: len(v) for k, v in windows.seconds.items()} == dict.fromkeys(
        loop_overhead.KINDS, 2
    )


def test_the_trained_system_is_the_config_s():
    config = config_files.load("srgan:tiny", [ONE])
    system = configs.build_system(config)
    watched = loop_overhead.watched(system, lambda *_: "", 12)
    (stage,) = watched.stages
    assert (stage.name, stage.num_steps) == (system.stages[0].name, 12)
    assert watched.image_size == system.image_size
    assert watched.networks() == system.networks()


def test_a_page_has_a_line_a_row(row, tmp_path, own_cache, capsys):
    page = loop_overhead.page([{"config": "gan:tiny"} | row], "the command")
    assert page.count("| `gan:tiny`, gan |") == 1
    rows = tmp_path / "rows.md"
    arguments = [
        "--config=gan:tiny",
        ONE,
        "--steps_per_call=1,2",
        "--rounds=1",
        "--window=2",
        f"--output={rows}",
        own_cache,
    ]
    assert loop_overhead.main(["loop_overhead", *arguments]) == 0
    found = [json.loads(x) for x in rows.with_suffix(".jsonl").read_text().splitlines()]
    assert [r["steps_per_call"] for r in found] == [1, 2]
    assert "loop_overhead --config=gan:tiny" in rows.read_text()
    assert "trainer over update" in capsys.readouterr().out


@pytest.mark.parametrize("calls", ["0", "many", "1,-2"])
def test_steps_a_call_are_numbers_of_at_least_one(calls):
    arguments = ["--config=gan:tiny", f"--steps_per_call={calls}"]
    with pytest.raises(UserError, match="--steps_per_call=.*numbers of at least 1"):
        loop_overhead.main(["loop_overhead", *arguments])


def test_a_system_that_trains_nothing_is_refused():
    config = config_files.load("semantic_inpainting:tiny", [ONE])
    with pytest.raises(UserError, match="semantic_inpainting trains nothing"):
        loop_overhead.measure(config, steps_per_call=1, rounds=1)
