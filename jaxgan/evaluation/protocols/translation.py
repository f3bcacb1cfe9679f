"""Protocols of image-to-image translation, with and without a known true image."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxgan.evaluation import bootstrap, image_sets, per_image, pixel, psnr, ssim
from jaxgan.evaluation.protocols import label_maps
from jaxgan.evaluation.protocols.setting import Setting, mean_image
from jaxgan.ops import color


def paired(setting: Setting) -> dict[str, float]:
    """pix2pix: the translation of every test pair against its truth.

    Sampling is the paper's (`evaluation.sampling`): dropout on, each image's own
    statistics. Beside it, what needs no training: the mean training image, and the
    input itself where it has as many channels. Colour without lightness is judged as it
    is seen: in RGB, with the lightness of the input.

    Returns:
      `l1` (in [-1, 1]), `psnr` (dB, 8-bit), `ssim`, and `l1/<baseline>`,
      `psnr/<baseline>`, `ssim/<baseline>`; with `evaluation.bootstrap` `/low` and
      `/high` of all of them; with a feature network FID and KID against the true
      images; with `evaluation.palette` segmentation scores.
    """
    task = setting.data(setting.split)
    translate = setting.run("translate", ("image",), sampling=setting.options.sampling)
    mean = mean_image(setting, "b")
    acc, sets = per_image.PerImage(), setting.image_sets()
    maps = label_maps.start(setting, "a", "b")
    judged: list[str] = []
    for batch, weight, index in setting.batches(task):
        condition, truth = batch["a"], batch["b"]
        shown = {
            "": translate({"image": condition}, index)["image"],
            "/mean_image": jnp.broadcast_to(mean, truth.shape),
        }
        if condition.shape == truth.shape:
            shown["/copy_of_input"] = condition
        seen = {n: picture(image, condition) for n, image in shown.items()}
        reference = picture(truth, condition)
        for name, image in seen.items():
            acc = per_image.update(acc, compare(image, reference, name), weight)
        judged = [n for n in shown if n != "/mean_image"]  # it has no covariance
        gathered = {n: seen[n] for n in judged} | {"reference": reference}
        sets = image_sets.update(sets, gathered, weight)
        maps = label_maps.update(maps, shown, condition, truth, weight, index)
    return {
        **figures(acc),
        **bootstrap.intervals(acc, setting.options.bootstrap),
        **setting.distances(sets, {"reference": judged}),
        **label_maps.result(maps),
    }


def unpaired(setting: Setting) -> dict[str, float]:
    """CycleGAN: both directions and both cycles on the test images.

    Where example i shows the same scene in both domains (`evaluation.paired`), the
    truth is known and each translation is held against it, beside a copy of the input.
    The mean training image stands beside the cycles. `evaluation.num_examples` limits
    each domain by itself.

    Returns:
      `l1/cycle_a`, `l1/cycle_b`; with a truth `l1/a_to_b`, `l1/a_to_b/copy_of_input`
      and the same for `psnr`, `ssim` and `b_to_a`; with `evaluation.bootstrap` `/low`
      and `/high` of all of them; with a feature network FID and KID of each direction
      against real images; with `evaluation.palette` and a truth segmentation scores.
    """
    task = setting.data(setting.split)
    runs = {d: setting.run(f"reconstruct_{d}") for d in ("a", "b")}
    means = {d: mean_image(setting, d) for d in ("a", "b")}
    lengths = {d: len(task.streams[d].source) for d in ("a", "b")}
    is_paired = setting.options.paired
    acc, sets = per_image.PerImage(), setting.image_sets(("a", "b"))
    maps = {
        f"/{start}_to_{end}": label_maps.start(setting, start, end, is_paired)
        for start, end in (("a", "b"), ("b", "a"))
    }
    for start, end in (("a", "b"), ("b", "a")):
        name, length = f"/{start}_to_{end}", lengths[start]
        count = min(setting.count(task), length)
        for batch, weight, index in setting.batches(task, count, length):
            real = batch[start]
            out = runs[start]({"image": real}, index)
            mean = jnp.broadcast_to(means[start], real.shape)
            values = {
                f"l1/cycle_{start}": pixel.l1(out["reconstruction"], real),
                f"l1/cycle_{start}/mean_image": pixel.l1(mean, real),
            }
            fake = out["translation"]
            gathered = {name: fake, f"{name}/copy_of_input": real}
            sets = image_sets.update(sets, gathered, weight)
            if is_paired:
                truth = batch[end]
                values |= compare(fake, truth, name)
                values |= compare(real, truth, f"{name}/copy_of_input")
                shown = {"": fake, "/copy_of_input": real}
                maps[name] = label_maps.update(
                    maps[name], shown, real, truth, weight, index
                )
            acc = per_image.update(acc, values, weight)
    # The inputs of one direction are the real images that the other is held against.
    real = {"a": "/a_to_b/copy_of_input", "b": "/b_to_a/copy_of_input"}
    sets = image_sets.alias(sets, real)
    found = setting.distances(
        sets,
        {
            "b": ["/a_to_b", "/a_to_b/copy_of_input"],
            "a": ["/b_to_a", "/b_to_a/copy_of_input"],
        },
    )
    scores = {
        f"{key}{name}{rest}": value
        for name, one in maps.items()
        for key, rest, value in label_maps.parts(label_maps.result(one))
    }
    intervals = bootstrap.intervals(acc, setting.options.bootstrap)
    return {**figures(acc), **intervals, **found, **scores}


def compare(
    images: Float[Array, "_ h w c"], truth: Float[Array, "b h w c"], name: str
) -> dict[str, Float[Array | np.ndarray, " b"]]:
    """L1, PSNR and SSIM of each image, `name` behind the metric's."""
    return {
        f"l1{name}": pixel.l1(images, truth),
        f"psnr{name}": psnr.psnr(images, truth),
        f"ssim{name}": ssim.ssim(images, truth),
    }


def picture(
    image: Float[Array, "b h w _"], condition: Float[Array, "_ h w _"]
) -> Float[Array, "_ h w _"]:
    """What is seen: colour without lightness is joined to the condition's."""
    if image.shape[-1] != 2:
        return image
    return color.picture_of_lab(condition, image)


def figures(acc: per_image.PerImage) -> dict[str, float]:
    """Means over images, with one count of samples for all that agree."""
    row: Mapping[str, float] = per_image.result(acc)
    counts = {k: v for k, v in row.items() if k.endswith("/num_samples")}
    largest = max(counts.values())
    same = {k for k, v in counts.items() if v == largest}
    kept = {k: v for k, v in row.items() if k not in same}
    return {**kept, "num_samples": largest}
