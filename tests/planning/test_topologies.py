"""Machines by name."""

import pytest

from jaxgan.core.errors import UserError
from jaxgan.planning import peaks, topologies


@pytest.mark.parametrize(
    ("name", "platform", "size", "host_size"),
    [
        ("v5e:2x4", "tpu", 8, 8),
        ("v5e:16x16", "tpu", 256, 256),
        ("V6E:4x4", "tpu", 16, 16),
        ("v5p:2x2x2", "tpu", 8, 8),
        ("h200:1", "gpu", 1, 1),
        ("h100:16", "gpu", 16, 8),
        ("cpu:2", "cpu", 2, 2),
    ],
)
def test_a_name_says_platform_and_size(name, platform, size, host_size):
    found = topologies.parse(name)
    assert (found.platform, found.size, found.host_size) == (platform, size, host_size)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("h20:1", "did you mean 'h200'"),
        ("tpu", "it is the machine to plan for"),
        ("h200", "a size is missing"),
        ("h200:0", "a size is missing"),
        ("v5e:2x", "a size is missing"),
        ("v5e:8", "v5e:NxN"),
        ("v5p:2x4", "v5p:NxNxN"),
        ("h200:2x4", "h200:N"),
        ("h100:12", "whole hosts of 8"),
    ],
)
def test_a_name_that_is_none_is_refused(name, said):
    with pytest.raises(UserError, match=f"--topology={name}: .*{said}"):
        topologies.parse(name)


@pytest.mark.parametrize("name", ["h200:1", "v5e:2x4"])
def test_what_is_not_installed_is_named_with_its_extra(name, monkeypatch):
    monkeypatch.setattr(topologies.importlib.util, "find_spec", lambda module: None)
    with pytest.raises(UserError, match=r"not installed: pip install 'jaxgan\[plan\]'"):
        topologies.require(topologies.parse(name))


@pytest.mark.parametrize("kind", topologies.GPUS)
def test_every_gpu_has_a_description_and_a_data_sheet(kind):
    gpu = topologies.GPUS[kind]
    text = topologies.target_config(gpu)
    assert f"device_memory_size: {gpu.memory}" in text and text.count("{") == 3
    peak = peaks.find(gpu.name)
    assert peak is not None and peak.network and peak.outside
    assert 1e9 * peak.memory == pytest.approx(gpu.memory, rel=0.01)
    assert 1e12 * peak.bandwidth == pytest.approx(gpu.bandwidth, rel=0.01)


@pytest.mark.parametrize("kind", ["TPU v5 lite", "TPU v5", "TPU v6 lite"])
def test_every_tpu_has_a_data_sheet(kind):
    peak = peaks.find(kind)
    assert peak is not None and peak.memory and peak.network
