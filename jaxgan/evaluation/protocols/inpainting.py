"""Protocol of inpainting: PSNR of completed images, by kind of hole.

The paper does not say whether its PSNR is of whole images or of the hole, so both are
given. It understates quality: what is missing has more than one good completion.

References:
    Yeh et al., "Semantic Image Inpainting with Deep Generative Models", 2017, section 5
    and table 1.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxgan.core import draw_latent
from jaxgan.core.types import HoleMask, Image
from jaxgan.evaluation import bootstrap, image_sets, parallel, per_image, psnr
from jaxgan.evaluation.protocols.setting import Setting, mean_image
from jaxgan.evaluation.protocols.translation import figures
from jaxgan.ops import masks

_HOLES, _LATENTS = 2, 3  # branches of the key
_BASELINES = ("/mean_fill", "/mean_image", "/random_sample")


def inpainting(setting: Setting) -> dict[str, float]:
    """Semantic inpainting: every image completed under every kind of hole.

    Beside each figure stand three fillings of the hole: with the mean colour of the
    image's known pixels, with the mean training image, and with a random sample of the
    same generator.

    Returns:
      `psnr_full/<mask>` and `psnr_hole/<mask>` (dB), each with baselines; with
      `evaluation.bootstrap` `/low` and `/high` of all of them; with a feature network
      FID and KID of the completed images; `seconds_per_image`, by the
      clock, on all devices together and without compilation, and `num_iters` and
      `restarts`, which it is for.
    """
    task, system = setting.data(setting.split), _system(setting)
    complete = setting.run("inpaint", ("image",))
    sample = _sampler(setting)
    mean = mean_image(setting, "image")
    acc, sets = per_image.PerImage(), setting.image_sets()
    judged: list[str] = []
    seconds: list[float] = []
    inputs, index = {}, np.zeros(0)

    def clocked() -> tuple[jax.Array, float]:
        start = time.perf_counter()
        image = jax.block_until_ready(complete(inputs, index)["image"])
        return image, (time.perf_counter() - start) / len(image)

    for kind in setting.options.masks:
        holes = _holes(setting, kind)
        names = [f"/{kind}{baseline}" for baseline in ("", *_BASELINES)]
        judged += names
        for batch, weight, index in setting.batches(task):
            image = batch["image"]
            hole = parallel.over_batch(holes(index, image), setting.mesh)
            # The truth stays here: nothing that completes may see what a hole held.
            given = masks.composite(image, jnp.zeros_like(image), hole)
            inputs = {"image": given, "hole_mask": hole}
            completed, took = clocked()
            seconds.append(took)
            fillings = (known_mean(given, hole), mean, sample(index))
            shown = [completed]
            for filling in fillings:
                filling = jnp.broadcast_to(filling, image.shape)
                shown.append(masks.composite(given, filling, hole))
            values: dict[str, Any] = {}
            for name, one in zip(names, shown, strict=True):
                values[f"psnr_full{name}"] = psnr.psnr(one, image)
                values[f"psnr_hole{name}"] = psnr.psnr_hole(one, image, hole)
            acc = per_image.update(acc, values, weight)
            gathered = dict(zip(names, shown, strict=True))
            if kind == setting.options.masks[0]:
                gathered["reference"] = image
            sets = image_sets.update(sets, gathered, weight)
    timed = seconds[1:] or [clocked()[1]]  # the first call compiled
    return {
        **figures(acc),
        **bootstrap.intervals(acc, setting.options.bootstrap),
        **setting.distances(sets, {"reference": judged}),
        "seconds_per_image": float(np.median(timed)),
        "num_iters": int(system.num_iters),
        "restarts": int(system.restarts),
    }


def known_mean(
    image: Float[Array, "b h w c"], hole_mask: Float[Array, "b h w 1"]
) -> Float[Array, "b 1 1 c"]:
    """The mean colour of each image's known pixels; grey where none is known."""
    known = 1.0 - hole_mask
    total = jnp.sum(image * known, axis=(1, 2), keepdims=True)
    count = jnp.sum(known, axis=(1, 2), keepdims=True)
    return total / jnp.maximum(count, 1.0)


def _system(setting: Setting) -> Any:
    return setting.system


def _holes(setting: Setting, kind: str) -> Callable[[Any, Any], HoleMask]:
    """`holes(index, images) -> [b, h, w, 1]`; an example's hole is its own."""
    key = jax.random.fold_in(setting.key, _HOLES)

    def draw(index: Int[Array, ""], height: int, width: int) -> Float[Array, "h w 1"]:
        own = jax.random.fold_in(key, index)
        return masks.draw_hole_mask(kind, own, 1, height, width)[0]

    many = jax.jit(jax.vmap(draw, (0, None, None)), static_argnums=(1, 2))
    return lambda index, images: many(index, *images.shape[1:3])


def _sampler(setting: Setting) -> Callable[[Any], Image]:
    """`sample(index) -> [b, h, w, c]`: what the generator draws by itself."""
    system = _system(setting)
    key = jax.random.fold_in(setting.key, _LATENTS)

    def latent(index: Int[Array, ""]) -> Float[Array, " z"]:
        own = jax.random.fold_in(key, index)
        return draw_latent(system.prior, own, (system.z_dim,))

    def sample(
        variables: Mapping[str, Any], index: Int[Array, " b"]
    ) -> Float[Array, "b h w c"]:
        return system.generate(variables, jax.vmap(latent)(index))

    variables = parallel.whole(setting.variables, setting.mesh)
    return functools.partial(parallel.by_rows(sample, setting.mesh), variables)
