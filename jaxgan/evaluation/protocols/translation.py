"""Protocols of image-to-image translation, where the true image is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.evaluation import per_image, pixel, psnr, ssim
from jaxgan.evaluation.protocols.setting import Setting, mean_image


def paired(setting: Setting) -> dict[str, float]:
    """pix2pix: the translation of every test pair against its truth.

    Sampling is the paper's (`evaluation.sampling`): dropout on, each image's own
    statistics. Beside it, what needs no training: the mean training image, and the
    input itself where it has as many channels.

    Returns:
      `l1` (in [-1, 1]), `psnr` (dB, 8-bit), `ssim`, and `l1/<baseline>`,
      `psnr/<baseline>`, `ssim/<baseline>`.
    """
    task = setting.data(setting.split)
    translate = setting.run(
        "translate", sampling=setting.options.get("sampling") or "paper"
    )
    mean = mean_image(setting, "b")
    acc = per_image.PerImage()
    for i, (batch, weight) in enumerate(setting.batches(task)):
        truth = batch["b"]
        key = jax.random.fold_in(setting.key, i)
        shown = {
            "": translate({"image": batch["a"]}, key)["image"],
            "/mean_image": jnp.broadcast_to(mean, truth.shape),
        }
        if batch["a"].shape == truth.shape:
            shown["/copy_of_input"] = batch["a"]
        values = {}
        for name, image in shown.items():
            values |= _compare(image, truth, name)
        acc = per_image.update(acc, values, weight)
    return _figures(acc)


def unpaired(setting: Setting) -> dict[str, float]:
    """CycleGAN: both directions and both cycles on the test images.

    Where example i shows the same scene in both domains (`evaluation.paired`), the
    truth is known and each translation is held against it, beside a copy of the input.

    Returns:
      `l1/cycle_a`, `l1/cycle_b`; with a truth `l1/a_to_b`, `l1/a_to_b/copy_of_input`
      and the same for `psnr`, `ssim` and `b_to_a`.
    """
    task = setting.data(setting.split)
    acc = per_image.PerImage()
    runs = {d: setting.run(f"reconstruct_{d}") for d in ("a", "b")}
    for batch, weight in setting.batches(task):
        values = {}
        for start, end in (("a", "b"), ("b", "a")):
            out = runs[start]({"image": batch[start]}, setting.key)
            cycle = pixel.l1(out["reconstruction"], batch[start])
            values[f"l1/cycle_{start}"] = cycle
            if setting.options.get("paired"):
                name = f"/{start}_to_{end}"
                values |= _compare(out["translation"], batch[end], name)
                values |= _compare(batch[start], batch[end], f"{name}/copy_of_input")
        acc = per_image.update(acc, values, weight)
    return _figures(acc)


def _compare(images: jax.Array, truth: jax.Array, name: str) -> dict[str, np.ndarray]:
    return {
        f"l1{name}": np.asarray(pixel.l1(images, truth)),
        f"psnr{name}": np.asarray(psnr.psnr(images, truth)),
        f"ssim{name}": np.asarray(ssim.ssim(images, truth)),
    }


def _figures(acc: per_image.PerImage) -> dict[str, float]:
    """Means, with one count of samples for all."""
    row = per_image.result(acc)
    counts = {v for k, v in row.items() if k.endswith("/num_samples")}
    figures = {k: v for k, v in row.items() if not k.endswith("/num_samples")}
    return {**figures, "num_samples": max(counts)}
