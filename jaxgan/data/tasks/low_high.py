"""Low and high resolution: super-resolution's pairs, most often made of one image."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxgan.core.errors import UserError, one_of
from jaxgan.core.types import Batch, Key
from jaxgan.data import augment
from jaxgan.data.opening import open_high
from jaxgan.data.options import Options
from jaxgan.data.streams import walk
from jaxgan.data.task import Task
from jaxgan.data.tasks.pictures_in import picture_column
from jaxgan.ops.bicubic import Boundary, bicubic_downsample, gaussian_downsample


def low_high(
    options: Options,
    split: str,
    seed: int,
    *,
    scale: int = 4,
    degradation: str = "bicubic",
    boundary: Boundary = "symmetric",
    quantize_lr: bool = True,
    flip_rot: bool = False,
) -> Task:
    """`lr` in [0, 1] and `hr` in [-1, 1], aligned crops.

    The host cuts one window of `image_size` out of each image as it is; smaller images
    are skipped and counted. The low resolution is made of the window, or cut at the
    same place from the source's own low-resolution images, whose pixel (i, j) stands
    for those from (scale i, scale j) on.

    Args:
      options: see `Options`; `image_size` is that of `hr`.
      split: which examples; outside training the window lies in the centre.
      seed: the run's.
      scale: side of `hr` over side of `lr`.
      degradation: `bicubic` (Ledig et al., section 3.2) or `gaussian`.
      boundary: of the bicubic, `symmetric` as MATLAB or `renormalise`.
      quantize_lr: round `lr` to the 8-bit grid, as files are.
      flip_rot: one of the eight symmetries at random in training.

    Raises:
      UserError: if `image_size` is not a multiple of `scale`; while reading, if the
        source's own low resolution is of another scale.

    References: Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a
    Generative Adversarial Network", CVPR 2017.
    """
    one_of(degradation, ("bicubic", "gaussian"), "data.degradation")
    one_of(boundary, ("symmetric", "renormalise"), "data.boundary")
    height, width = options.size
    if scale < 1 or height % scale or width % scale:
        raise UserError(
            f"data.image_size {options.size} is not a multiple of data.scale={scale}"
        )
    if flip_rot and height != width:
        raise UserError("data.flip_rot turns images: data.image_size must be square")
    options = dataclasses.replace(options, resize="crop", load_size=None)
    source = open_high(options, split, scale)
    field = "hr" if "hr" in source.fields else "image"
    field = options.fields[0] if options.fields else field
    columns = {"hr": picture_column(options, source, split, field=field, align=scale)}
    if "lr" in source.fields:
        if options.box is not None:
            raise UserError(
                f"{source.name}: data.box cannot cut the high resolution and the "
                "source's own low one alike; leave it at None"
            )
        columns["lr"] = picture_column(
            options, source, split, field="lr", low_of=(field, scale)
        )

    def transform(raw: Mapping[str, Array], key: Key) -> Batch:
        images = dict(raw)
        if split == "train":
            flip_key, turn_key = jax.random.split(key)
            for name in images:
                if flip_rot:
                    images[name] = augment.random_flip_rotate(images[name], turn_key)
                elif options.flip:
                    images[name] = augment.random_flip(images[name], flip_key)
        hr = augment.normalize(images["hr"], 0.0, 1.0)
        if "lr" in images:
            lr = augment.normalize(images["lr"], 0.0, 1.0)
        else:
            lr = degrade(hr, scale, degradation, boundary, quantize_lr)
        return {"lr": lr, "hr": hr * 2.0 - 1.0}

    return Task(
        name="low_high",
        split=split,
        num_examples=len(source),
        streams={"examples": walk(source, split, seed)},
        columns=columns,
        transform=transform,
        options=options,
    )


def degrade(
    hr: Float[Array, "b h w c"],
    scale: int,
    degradation: str = "bicubic",
    boundary: Boundary = "symmetric",
    quantize_lr: bool = True,
) -> Float[Array, "b h//{scale} w//{scale} c"]:
    """Makes the low resolution of images.

    Args:
      hr: in [0, 1], sides multiples of `scale`.
      scale: the factor.
      degradation: `bicubic` or `gaussian`.
      boundary: of the bicubic.
      quantize_lr: round to the 8-bit grid.

    Returns:
      In [0, 1].
    """
    if degradation == "bicubic":
        lr = bicubic_downsample(hr, scale, boundary)
    else:
        lr = gaussian_downsample(hr, scale)
    lr = jnp.clip(lr, 0.0, 1.0)
    return jnp.round(lr * 255.0) / 255.0 if quantize_lr else lr
