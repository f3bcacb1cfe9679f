"""Runs to try commands on, made once a session; tests must not write into them."""

from __future__ import annotations

import pathlib

import jax
import pytest

from jaxgan import config_files, train
from jaxgan.training import checkpoint, configs
from tests import cases


def run(name: str, factory: pytest.TempPathFactory) -> pathlib.Path:
    """The directory of a whole run of `<name>:tiny`."""
    workdir = factory.getbasetemp() / "trained" / name
    if not (workdir / "config.json").exists():
        config = f"--config={name}:tiny"
        flags = ["--config.devices.data=1", "--config.training.sample_every=0"]
        train.main(["jaxgan train", config, f"--workdir={workdir}", *flags])
    return workdir


def start(name: str, factory: pytest.TempPathFactory, seed: int = 0) -> pathlib.Path:
    """The directory of a run of `<name>:tiny` that has saved its step 0 only."""
    workdir = factory.getbasetemp() / "started" / f"{name}_{seed}"
    if not (workdir / "config.json").exists():
        config = config_files.load(f"{name}:tiny")
        system = configs.build_system(config)
        stage = system.stages[0]
        batch = cases.random_batch(stage, config["training"]["batch_size"])
        state = jax.jit(system.init)(jax.random.key(seed), batch, {})
        saver = checkpoint.Checkpoints(workdir / "checkpoints")
        saver.save(state, stage.name)
        saver.wait()
        saver.close()
        (workdir / "config.json").write_text(configs.to_json(config))
    return workdir
