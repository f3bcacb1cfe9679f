"""Protocol of super-resolution: PSNR and SSIM of the Y channel on whole images.

The high-resolution image is cropped to a multiple of the scale, made small as in
training, enlarged again, and loses `scale` pixels on every side (section 3.2 of the
SRGAN paper: 4 at x4). Beside it stand nearest neighbours and MATLAB's bicubic, whose
published figures check the rest: 28.4 dB on Set5, 26.0 on Set14, 25.9 on BSD100 at x4.
LPIPS, where its weights are given, sees whole images in colour, borders too. They come
one by one, on one device; several share the batches of crops, FID and KID.
SSIM is MATLAB's; the paper's tool reports higher values. A grey file is Y as it stands,
0 to 255, as in the published tables; crops are compared as colour.

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
from jaxtyping import Array, Float

from jaxgan.core.errors import UserError
from jaxgan.core.types import Image, Rgb
from jaxgan.data import Task
from jaxgan.data.permutation import spread
from jaxgan.data.pictures import Unusable, convert, decode, trim_low
from jaxgan.data.tasks.low_high import degrade
from jaxgan.evaluation import bootstrap, image_sets, per_image, psnr, ssim
from jaxgan.evaluation.protocols.setting import Setting
from jaxgan.evaluation.protocols.translation import figures
from jaxgan.ops.bicubic import bicubic_resize
from jaxgan.ops.color import luma_bt601


def super_resolution(setting: Setting) -> dict[str, float]:
    """SRGAN and SRResNet: enlarged images against the originals.

    `evaluation.crops` judges on crops of `data.image_size` instead of whole images.

    Returns:
      `psnr_y` (dB), `ssim_y`, and both with `/bicubic` and `/nearest`; with
      `evaluation.lpips` `lpips/<trunk>` likewise; with `evaluation.bootstrap` `/low`
      and `/high` of all of them; with a feature network FID and KID against the
      originals.

    Raises:
      UserError: for a file that cannot be read, that is too small, or whose low
        resolution is of another scale.
    """
    task = setting.data(setting.split)
    system: Any = setting.system
    scale = int(system.scale)
    upscale = setting.run("upscale", ("image",))
    acc, sets = per_image.PerImage(), setting.image_sets()
    distance = setting.perceptual
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
            scored = _grey(image) if hr.shape[-1] == 1 else image
            values[f"psnr_y{name}"] = psnr.psnr_y(scored, hr, **options)
            values[f"ssim_y{name}"] = ssim.ssim_y(scored, hr, **options)
            if distance is not None:
                truth = jnp.broadcast_to(hr, image.shape)
                values[f"{distance.name}{name}"] = distance(image, truth)
        acc = per_image.update(acc, values, weight)
        sets = image_sets.update(sets, {**shown, "reference": hr}, weight)
    return {
        **figures(acc),
        **bootstrap.intervals(acc, setting.options.bootstrap),
        **setting.distances(sets, {"reference": list(shown)}),
    }


def enlarge_bicubic(lr: Image, scale: int) -> Float[Array, "b _ _ c"]:
    """`[b, h, w, c]` in [0, 1] to `[b, scale h, scale w, c]` in [-1, 1]."""
    height, width = lr.shape[1] * scale, lr.shape[2] * scale
    return jnp.clip(2.0 * bicubic_resize(lr, height, width) - 1.0, -1.0, 1.0)


def enlarge_nearest(lr: Image, scale: int) -> Float[Array, "b _ _ c"]:
    """Repeats every pixel; ranges as `enlarge_bicubic`."""
    return 2.0 * jnp.repeat(jnp.repeat(lr, scale, axis=1), scale, axis=2) - 1.0


def _grey(image: Rgb) -> Float[Array, "b h w 1"]:
    """Luma of the full range, `[b, h, w, 1]` in [-1, 1]: black is -1, white 1."""
    return (luma_bt601(0.5 * (image + 1.0)) - 16.0) / 109.5 - 1.0


_Pairs = Iterator[tuple[jax.Array, jax.Array, np.ndarray, np.ndarray]]


def _crops(setting: Setting, task: Task, scale: int) -> _Pairs:
    """`lr` in [0, 1], `hr` in [-1, 1], weight and index, batch by batch."""
    for batch, weight, index in setting.batches(task):
        yield batch["lr"], batch["hr"], weight, index


def _whole_images(setting: Setting, task: Task, scale: int) -> _Pairs:
    """The same, image by image, each of its own size; `hr` of a grey file is grey."""
    source, data = task.streams["examples"].source, setting.config["data"]
    count, field = setting.count(task), task.columns["hr"].field
    settings = {
        key: data[key]
        for key in ("degradation", "boundary", "quantize_lr")
        if data.get(key) is not None
    }
    for row in range(count):
        index = spread(np.arange(row, row + 1), count, task.num_examples)
        where = source.describe(int(index[0]))
        high = _picture(source, field, int(index[0]))
        height, width = (n - n % scale for n in high.shape[:2])
        if not height or not width:
            raise UserError(
                f"{where}: the image is smaller than {scale}x{scale} pixels; remove it"
            )
        unit = jnp.asarray(high[None, :height, :width], jnp.float32) / 255.0
        if "lr" in source.fields:
            low = _picture(source, "lr", int(index[0]))
            try:
                low = trim_low(low, high.shape[:2], scale)
            except Unusable as error:
                raise UserError(f"{where}: an image {error}") from error
            lr = jnp.asarray(low[None], jnp.float32) / 255.0
        else:
            lr = degrade(unit, scale, **settings)
        lr = jnp.broadcast_to(lr, (*lr.shape[:3], 3))
        yield lr, 2.0 * unit - 1.0, np.ones(1, np.float32), index


def _picture(source: Any, field: str, index: int) -> np.ndarray:
    """A picture of a source as it is, uint8 `[h, w, 3]`, or `[h, w, 1]` if grey."""
    try:
        if source.fields[field].encoded:
            values = decode(source.encoded(index)[field])
        else:
            values = source.read(np.array([index]), [field])[field][0]
        values = values[..., None] if values.ndim == 2 else values
        return values if values.shape[-1] == 1 else convert(values, 3)
    except (Unusable, OSError) as error:
        raise UserError(
            f"{source.describe(index)} cannot be evaluated: {error}; remove it"
        ) from error
