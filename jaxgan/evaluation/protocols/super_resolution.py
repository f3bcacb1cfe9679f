"""Protocol of super-resolution: PSNR and SSIM of the Y channel on whole images.

The high-resolution image is cropped to a multiple of the scale, made small as in
training, enlarged again, and loses `scale` pixels on every side (section 3.2 of the
SRGAN paper: 4 at x4). Beside it stand nearest neighbours and MATLAB's bicubic, whose
published figures check the rest: 28.4 dB on Set5, 26.0 on Set14, 25.9 on BSD100 at x4.
SSIM is MATLAB's; the paper's tool reports higher values.

References:
    Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative
    Adversarial Network", 2017, section 3.2 and table 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.core.errors import UserError
from jaxgan.data import Task
from jaxgan.data.permutation import spread
from jaxgan.data.pictures import Unusable, convert, decode
from jaxgan.data.tasks.low_high import degrade
from jaxgan.evaluation import image_sets, per_image, psnr, ssim
from jaxgan.evaluation.protocols.setting import Setting
from jaxgan.evaluation.protocols.translation import figures
from jaxgan.ops.bicubic import bicubic_resize


def super_resolution(setting: Setting) -> dict[str, float]:
    """SRGAN and SRResNet: enlarged images against the originals.

    `evaluation.crops` judges on crops of `data.image_size` instead of whole images.

    Returns:
      `psnr_y` (dB), `ssim_y`, and both with `/bicubic` and `/nearest`; with a feature
      network FID and KID against the originals.
    """
    task = setting.data(setting.split)
    system: Any = setting.system
    scale = int(system.scale)
    upscale = setting.run("upscale", ("image",))
    acc, sets = per_image.PerImage(), setting.image_sets()
    pairs = _crops if setting.options.crops else _whole_images
    shown: dict[str, jax.Array] = {}
    for lr, hr, weight, index in pairs(setting, task, scale):
        shown = {
            "": upscale({"image": 2.0 * lr - 1.0}, index)["image"],
            "/bicubic": enlarge_bicubic(lr, scale),
            "/nearest": enlarge_nearest(lr, scale),
        }
        values: dict[str, Any] = {}
        for name, image in shown.items():
            options = {"scale": scale, "border": scale}
            values[f"psnr_y{name}"] = psnr.psnr_y(image, hr, **options)
            values[f"ssim_y{name}"] = ssim.ssim_y(image, hr, **options)
        acc = per_image.update(acc, values, weight)
        sets = image_sets.update(sets, {**shown, "reference": hr}, weight)
    return {**figures(acc), **setting.distances(sets, {"reference": list(shown)})}


def enlarge_bicubic(lr: jax.Array, scale: int) -> jax.Array:
    """`[b, h, w, c]` in [0, 1] to `[b, scale h, scale w, c]` in [-1, 1]."""
    height, width = lr.shape[1] * scale, lr.shape[2] * scale
    return jnp.clip(2.0 * bicubic_resize(lr, height, width) - 1.0, -1.0, 1.0)


def enlarge_nearest(lr: jax.Array, scale: int) -> jax.Array:
    """Repeats every pixel; ranges as `enlarge_bicubic`."""
    return 2.0 * jnp.repeat(jnp.repeat(lr, scale, axis=1), scale, axis=2) - 1.0


_Pairs = Iterator[tuple[jax.Array, jax.Array, np.ndarray, np.ndarray]]


def _crops(setting: Setting, task: Task, scale: int) -> _Pairs:
    """`lr` in [0, 1], `hr` in [-1, 1], weight and index, batch by batch."""
    for batch, weight, index in setting.batches(task):
        yield batch["lr"], batch["hr"], weight, index


def _whole_images(setting: Setting, task: Task, scale: int) -> _Pairs:
    """The same, image by image, each of its own size."""
    source, data = task.streams["examples"].source, setting.config["data"]
    count, field = setting.count(task), task.columns["hr"].field
    settings = {
        key: data[key]
        for key in ("degradation", "boundary", "quantize_lr")
        if data.get(key) is not None
    }
    for row in range(count):
        index = spread(np.arange(row, row + 1), count, task.num_examples)
        high = _picture(source, field, int(index[0]))
        height, width = (n - n % scale for n in high.shape[:2])
        if not height or not width:
            raise UserError(
                f"{source.describe(int(index[0]))}: the image is smaller than "
                f"{scale}x{scale} pixels; remove it"
            )
        unit = jnp.asarray(high[None, :height, :width], jnp.float32) / 255.0
        if "lr" in source.fields:
            low = _picture(source, "lr", int(index[0]))
            lr = jnp.asarray(low[None], jnp.float32) / 255.0
            lr = lr[:, : height // scale, : width // scale]
        else:
            lr = degrade(unit, scale, **settings)
        yield lr, 2.0 * unit - 1.0, np.ones(1, np.float32), index


def _picture(source: Any, field: str, index: int) -> np.ndarray:
    """A picture of a source as it is, uint8 `[h, w, 3]`."""
    try:
        if source.fields[field].encoded:
            values = decode(source.encoded(index)[field])
        else:
            values = source.read(np.array([index]), [field])[field][0]
        values = values[..., None] if values.ndim == 2 else values
        return convert(values, 3)
    except (Unusable, OSError) as error:
        raise UserError(
            f"{source.describe(index)} cannot be evaluated: {error}; remove it"
        ) from error
