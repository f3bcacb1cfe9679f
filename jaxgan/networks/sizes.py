"""Which sizes a generator and a discriminator of image translation can take."""

from __future__ import annotations

from jaxgan.core.checks import check_size
from jaxgan.networks.patchgan import least_size
from jaxgan.networks.unet import depth_of


def sides(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of a system's `image_size`; a number is both."""
    return (size, size) if isinstance(size, int) else size


def check_translation_size(
    size: int | tuple[int, int],
    *,
    unet: bool,
    num_downs: int = 0,
    patch_layers: int = 0,
) -> None:
    """Refuses a size that the networks of a system cannot take.

    Args:
      size: the system's `image_size`: a side, or height and width.
      unet: the generator is a U-Net; else a ResNet, which halves twice.
      num_downs: of the U-Net; 0 goes down until the shorter side is 1.
      patch_layers: `num_layers` of a patch discriminator; 0 is another one.

    Raises:
      UserError: naming what the networks need and the nearest sizes that fit.
    """
    smallest = least_size(patch_layers) if patch_layers else 1
    shorter, longer = sorted(sides(size))

    def multiple(side: int) -> int:
        return 2 ** depth_of(side, num_downs) if unet else 4

    if not unet:
        why = "the ResNet takes multiples of 4"
    elif num_downs:
        why = f"with num_downs={num_downs} the U-Net takes multiples of {2**num_downs}"
    else:
        why = "the U-Net takes powers of 2 unless system.num_downs is set"
    if patch_layers:
        why += f"; {patch_layers} patch layers need {smallest} px or more"

    def takes(side: int) -> bool:
        return side % multiple(side) == 0 and side >= smallest

    check_size(shorter, takes, why)
    step = multiple(shorter)
    check_size(
        longer, lambda side: side % step == 0, f"beside {shorter} multiples of {step}"
    )
