"""Runs of a few steps, made once a session; tests must not write into them."""

from __future__ import annotations

import pathlib

import pytest

from jaxgan import train


def run(name: str, factory: pytest.TempPathFactory) -> pathlib.Path:
    """The directory of a run of `<name>:tiny`."""
    workdir = factory.getbasetemp() / "trained" / name
    if not (workdir / "config.json").exists():
        config = f"--config={name}:tiny"
        flags = ["--config.devices.data=1", "--config.training.sample_every=0"]
        train.main(["jaxgan train", config, f"--workdir={workdir}", *flags])
    return workdir
