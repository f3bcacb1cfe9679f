"""Protocols whose batches are split over eight devices: the same figures."""

import dataclasses
import json
import os
import pathlib
import re
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from jaxgan.data import from_arrays
from jaxgan.evaluation import feature_network, features, parallel, protocols
from jaxgan.evaluation.protocols import setting
from tests import cases
from tests.evaluation import stubs
from tests.evaluation.stubs import config, judge, noise

A = noise(0, 13, 16, 16, 3)  # no multiple of eight
DEVICES = np.array(jax.devices())
MESH = Mesh(DEVICES.reshape(4, 2), ("data", "model"))


@pytest.fixture
def shards(monkeypatch):
    """A feature network without weights, and the parts in which it is computed."""
    own, found = stubs.feature_network(), []
    own = dataclasses.replace(own, classifier=np.eye(6, dtype=np.float32))
    monkeypatch.setattr(feature_network, "require", lambda options, pretrained: None)
    monkeypatch.setattr(feature_network, "load", lambda options, pretrained: own)

    def apply(network, params, images, original=features._apply):
        rows = original(network, params, images)
        found.append([shard.data.shape for shard in rows.addressable_shards])
        return rows

    monkeypatch.setattr(features, "_apply", apply)
    return found


def translation():
    def noisy(image, key):
        return 0.5 * image + 0.1 * jax.random.normal(key, image.shape)

    return stubs.translator(noisy), config("pix2pix", stubs.pairs(A, 255 - A), "paired")


def picture(z):
    return jnp.tanh(jnp.tile(z, (1, 384)).reshape(-1, 16, 16, 3) + A[:1] / 255 - 0.5)


def samples():
    given = config("gan", from_arrays(image=A), "images")
    return stubs.generator(picture), given


def samples_of_batches():
    """Each batch normalised as a whole, over as many images as in training."""
    system = stubs.generator(lambda z: picture(z - z.mean(0)), per_example=False)
    given = config("dcgan", from_arrays(image=A), "images")
    given["training"]["batch_size"] = 8
    return system, given


def samples_of_uneven_batches():
    system, given = samples_of_batches()
    given["training"]["batch_size"] = 6
    return system, given


@pytest.mark.parametrize(
    "case", [translation, samples, samples_of_batches, samples_of_uneven_batches]
)
def test_one_and_eight_devices_give_the_same_figures(case, shards):
    system, given = case()
    one = judge(system, given)
    assert {shape for batch in shards for shape in batch} == {(16, 6)}
    shards.clear()
    eight = judge(system, given, mesh=MESH)
    assert shards and all(batch == [(2, 6)] * 8 for batch in shards)
    # Means over pixels and kernels are float32, and added in another order.
    assert one == pytest.approx(eight, rel=1e-5, abs=1e-6)
    assert {"fid/clean", "kid/clean"} <= one.keys()


@pytest.mark.parametrize("name", ["pix2pix", "semantic_inpainting"])
def test_so_do_systems_with_parameters(name, key):
    system = cases.build(name, "tiny")
    own = dict(cases.config_module(name).get_config("tiny").data)
    size = own["image_size"]
    images = from_arrays(image=noise(1, 9, size, size, 3))
    if name == "pix2pix":
        images = stubs.pairs(noise(1, 9, size, size, 3), noise(2, 9, size, size, 3))
    task = {"pix2pix": "paired", "semantic_inpainting": "masked"}[name]
    given = config(name, images, task, masks="center", batch_size=9)
    given["data"]["image_size"] = size
    networks = {n for m in system.inference.values() for n in m.networks}
    batch = dict.fromkeys(("image", "a", "b"), jnp.zeros((1, size, size, 3)))
    state = jax.jit(lambda: system.init(key, batch, {}))()
    variables = {n: state.variables()[n] for n in networks}
    rows = [protocols.evaluate(system, variables, {}, given, m) for m in (None, MESH)]
    one, eight = ({k: v for k, v in row.items() if "seconds" not in k} for row in rows)
    assert one == pytest.approx(eight, rel=1e-5)


def test_rows_and_results_lie_split_over_all_devices():
    system, given = translation()
    options = protocols.Options(batch_size=3)
    task = protocols._task(given, options, "test", True)
    where = setting.Setting(
        system, {}, {}, given, lambda split: task, options=options, mesh=MESH
    )
    batches = list(where.batches(task))
    assert [len(rows.weight) for rows in batches] == [8, 8]
    run = where.run("translate", ("image",))
    for batch, _, index in batches:
        made = run({"image": batch["a"]}, index)["image"]
        for x in (batch["a"], made):
            assert x.sharding.spec == PartitionSpec(("data", "model"))
            assert {s.data.shape for s in x.addressable_shards} == {(1, 16, 16, 3)}
    alone = run({"image": np.zeros((3, 16, 16, 3), np.float32)}, np.arange(3))["image"]
    assert alone.shape == (3, 16, 16, 3) and len(alone.devices()) == 1


def test_nothing_travels_between_devices_while_rows_are_computed():
    def search(shared, x):
        """Each row takes steps of its own number, and a transform."""

        def one(row):
            found = jax.lax.while_loop(lambda r: r.sum() < shared, lambda r: r * 2, row)
            return jnp.abs(jnp.fft.fft(found))

        return jax.vmap(one)(x)

    x = np.random.default_rng(0).uniform(0.1, 1, (16, 5)).astype(np.float32)
    shared = parallel.whole(jnp.float32(100), MESH)
    split = parallel.by_rows(search, MESH)
    text = jax.jit(split).lower(shared, x).compile().as_text()
    assert not re.search("all-gather|all-reduce|all-to-all|collective-permute", text)
    np.testing.assert_allclose(split(shared, x), search(100.0, x), rtol=1e-5)


def test_of_two_processes_each_judges_on_its_own_devices():
    """The first on two devices, the second on one of its own, unaware of the other."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "tests.evaluation.child", address]
    children = [
        subprocess.Popen(
            [*command, str(rank)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=pathlib.Path(__file__).parents[2],
            env={**os.environ, "XLA_FLAGS": ""},
        )
        for rank in range(2)
    ]
    try:
        outputs = [child.communicate(timeout=120) for child in children]
    finally:
        for child in children:
            child.kill()
    assert all(child.returncode == 0 for child in children), outputs
    one, two = (json.loads(out.splitlines()[-1]) for out, _ in outputs)
    assert "fid/clean" in one and one == pytest.approx(two, rel=1e-5, abs=1e-6)


def test_a_mesh_of_one_device_is_no_mesh():
    assert parallel.several(Mesh(DEVICES[:1].reshape(1, 1), ("data", "model"))) is None
    assert parallel.several(MESH) is MESH
    assert [parallel.rounded(n, MESH) for n in (1, 8, 9)] == [8, 8, 16]
    assert parallel.rounded(9, None) == 9
