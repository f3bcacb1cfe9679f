"""Every system by its id."""

from jaxgan.core.errors import UserError, did_you_mean
from jaxgan.systems.cyclegan import CycleGAN
from jaxgan.systems.dcgan import DCGAN
from jaxgan.systems.gan import GAN
from jaxgan.systems.gan3d import GAN3D
from jaxgan.systems.pix2pix import Pix2Pix
from jaxgan.systems.semantic_inpainting import SemanticInpainting
from jaxgan.systems.srgan import SRGAN

SYSTEMS = {
    "cyclegan": CycleGAN,
    "dcgan": DCGAN,
    "gan": GAN,
    "gan3d": GAN3D,
    "pix2pix": Pix2Pix,
    "semantic_inpainting": SemanticInpainting,
    "srgan": SRGAN,
}


def get(name: str) -> type:
    """The class of a system.

    Raises:
      UserError: for an unknown name, with the nearest one.
    """
    if name not in SYSTEMS:
        known = ", ".join(SYSTEMS)
        raise UserError(
            f"unknown system {name!r}{did_you_mean(name, SYSTEMS)}; known: {known}"
        )
    return SYSTEMS[name]
