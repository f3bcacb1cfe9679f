"""Semantic inpainting against the released code: same networks, masks and latents."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import core, losses
from jaxgan.pretrained.probe import probe_image
from tests import cases
from tests.parity import compare
from tests.parity.test_dcgan import names_of, of

RECORD = compare.load("semantic_inpainting")
SETTINGS, BATCH = RECORD["settings"], RECORD["settings"]["batch"]
SYSTEM = cases.build(
    "semantic_inpainting",
    "released",
    generator_channels=SETTINGS["ngf"],
    discriminator_channels=SETTINGS["ndf"],
    z_dim=SETTINGS["nz"],
    curve_every=1,
    dtype="float64",
)
RUNS = {  # name: hole, rate, numbers of updates
    "center": ("center", SYSTEM.z_lr, (1, 2, 3)),
    "random, rate 0.2": ("random", 0.2, (3,)),
}
KEY = jax.random.key(0)


def hole_mask(kind: str) -> np.ndarray:
    hole = np.zeros((1, 64, 64, 1))
    if kind == "center":
        hole[:, 16:48, 16:48] = 1.0
    elif kind == "left":
        hole[:, :, :32] = 1.0
    else:
        noise = np.random.RandomState(0).random_sample(hole.shape)
        hole[:] = noise < {"random": 0.2, "random, 80 %": 0.8}[kind]
    return hole


def inputs(kind: str) -> dict[str, np.ndarray]:
    return {
        "image": probe_image(BATCH, 64, 64, 3).astype(np.float64),
        "hole_mask": np.repeat(hole_mask(kind), BATCH, axis=0),
    }


def start() -> np.ndarray:
    return compare.probe_latent(BATCH, SETTINGS["nz"], -1.5, 1.5).astype(np.float64)


@functools.cache
def variables():
    example = {"image": jax.ShapeDtypeStruct((BATCH, 64, 64, 3), jnp.float32)}
    shapes = jax.eval_shape(SYSTEM.init, KEY, example, {})
    found = {}
    for name, names in names_of("tf").items():
        params, stats = shapes.params[name], shapes.stats[name]["batch_stats"]
        found[name] = {
            "params": compare.official_tree(RECORD, of(names, False), params),
            "batch_stats": compare.official_tree(RECORD, of(names, True), stats),
        }
    return found


def terms(variables, image, hole_mask, z):
    """Context, prior, total, its gradient, G(z) and logits, at latents."""
    weights = SYSTEM.weights(hole_mask)

    def context(generated):
        return losses.context_loss(generated, image, weights, SYSTEM.context_norm)

    total, pull = jax.vjp(lambda z: SYSTEM.objective(variables, context, z), z)
    generated = SYSTEM.generate(variables, z)
    judge, judged = SYSTEM.networks()["discriminator"], variables["discriminator"]
    logits = core.predict(judge, judged, generated, train=False)
    return {
        "context": context(generated),
        "prior": losses.non_saturating_prior(logits),
        "total": total,
        "gradient": pull(jnp.ones_like(total))[0],
        "generated": generated,
        "logits": logits,
    }


def check_terms(name, suffix, ours):
    recorded, prior = RECORD["losses"][f"{name}, z 0"], np.mean(ours["prior"])
    compare.check_scalars(recorded, {"prior": prior})
    for j, context in enumerate(ours["context"]):
        # The release adds the batch's mean prior to every image's context.
        total = context + SETTINGS["lambda_p"] * prior
        compare.check_scalars(recorded, {f"context {j}": context, f"total {j}": total})
    check_mean_total(recorded, ours["total"])
    compare.check(RECORD["gradients"][name]["z"], ours["gradient"])
    for output in ("generated", "logits"):
        compare.check(RECORD["outputs"][output + suffix], ours[output])


def check_mean_total(recorded, totals):
    theirs = [recorded[f"total {j}"] for j in range(BATCH)]
    np.testing.assert_allclose(np.mean(totals), np.mean(theirs), rtol=compare.RTOL)


@pytest.mark.parametrize("name", RECORD["weights"])
def test_weights_are_the_released_ones(name):
    kind, window = name.split(", window ")
    system = dataclasses.replace(SYSTEM, window_size=int(window))
    with jax.enable_x64(True):
        weights = system.weights(jnp.asarray(hole_mask(kind)))
        compare.check(RECORD["weights"][name], weights)


def test_the_settings_are_the_released_ones():
    ours = (SYSTEM.lambda_prior, SYSTEM.z_lr, SYSTEM.window_size)
    assert ours == (SETTINGS["lambda_p"], SETTINGS["lr"], SETTINGS["window"])


@pytest.fixture(scope="module")
def at_start():
    with jax.enable_x64(True):
        run = jax.jit(terms)
        return {
            name: jax.device_get(run(variables(), **inputs(kind), z=start()))
            for name, (kind, *_) in RUNS.items()
        }


@pytest.mark.parametrize("name", RUNS)
def test_losses_and_the_gradient_are_the_released_ones(name, at_start):
    check_terms(name, "", at_start[name])


def test_only_batch_statistics_separate_us_from_the_released_graph(monkeypatch):
    def in_train_mode(module, variables, *inputs, **_):
        stats = {"batch_stats": variables["batch_stats"]}
        return core.forward(module, variables["params"], stats, *inputs, train=True)[0]

    monkeypatch.setattr(core, "predict", in_train_mode)
    with jax.enable_x64(True):
        run = jax.jit(lambda v, arrays: terms(v, **arrays))  # not the cached one
        ours = run(variables(), {**inputs("center"), "z": start()})
        check_terms("center, batch statistics", ", batch statistics", ours)


@pytest.mark.parametrize("name", RUNS)
def test_the_search_is_the_released_one(name, monkeypatch):
    kind, rate, numbers = RUNS[name]
    system = dataclasses.replace(SYSTEM, z_lr=rate)
    monkeypatch.setattr(core, "draw_latent", lambda *_: jnp.asarray(start()))

    @jax.jit
    def run(variables, image, hole_mask):
        weights = system.weights(hole_mask)
        lengths = [{"num_iters": n, "restarts": 1} for n in numbers]
        return [system.search(variables, image, weights, n, KEY) for n in lengths]

    with jax.enable_x64(True):
        found = jax.device_get(run(variables(), **inputs(kind)))
    compare.check(RECORD["latents"][name]["z 0"], start())
    for n, search in zip(numbers, found, strict=True):
        compare.check(RECORD["latents"][name][f"z {n}"], search.z[:, 0])
        for i in range(n + 1):
            recorded = RECORD["losses"][f"{name}, z {i}"]
            check_mean_total(recorded, search.curve[:, 0, i])


def test_the_completed_image_is_the_released_one(monkeypatch):
    monkeypatch.setattr(core, "draw_latent", lambda *_: jnp.asarray(start()))
    # The released code returns the image of the latent before its last update.
    length = {"num_iters": 2, "restarts": 1, "blend": SYSTEM.blend}

    @jax.jit
    def run(variables, **arrays):
        return SYSTEM.inpaint(variables, {}, {**arrays, **length}, KEY)["image"]

    with jax.enable_x64(True):
        completed = run(variables(), **inputs("center"))
        # Both solvers iterate; they agree to 4e-8.
        compare.check(RECORD["outputs"]["completed"], (completed + 1) / 2)
