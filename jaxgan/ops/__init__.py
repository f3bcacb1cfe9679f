"""Pure array functions that know nothing of networks."""

from jaxgan.ops.bicubic import (
    bicubic_downsample,
    bicubic_resize,
    gaussian_downsample,
    keys_kernel,
)
from jaxgan.ops.color import (
    denormalize_lab,
    from_uint8,
    lab_to_rgb,
    luma_bt601,
    normalize_lab,
    rgb_to_bgr,
    rgb_to_lab,
    to_uint8,
)
from jaxgan.ops.conv_transpose import conv_transpose
from jaxgan.ops.masks import (
    HOLE_MASKS,
    average_pool,
    center_hole,
    composite,
    draw_hole_mask,
    grid_hole,
    half_hole,
    importance_weights,
    left_hole,
    lowres_hole,
    no_hole,
    pattern_hole,
    random_hole,
)
from jaxgan.ops.padding import CropBox, crop, pad2d, pad_to_multiple
from jaxgan.ops.pixel_shuffle import pixel_shuffle, pixel_shuffle_permutation
from jaxgan.ops.poisson import poisson_blend
from jaxgan.ops.pooling import max_pool_features
from jaxgan.ops.tiling import map_tiles
from jaxgan.ops.upsample_conv import upsample_conv
from jaxgan.ops.voxel_rendering import DISPLAY_LEVEL, render_voxels
from jaxgan.ops.voxels import (
    downsample_voxels,
    largest_component,
    save_mesh,
    unpack_bits,
    voxelize,
    voxels_to_mesh,
)

__all__ = [
    "DISPLAY_LEVEL",
    "HOLE_MASKS",
    "CropBox",
    "average_pool",
    "bicubic_downsample",
    "bicubic_resize",
    "center_hole",
    "composite",
    "conv_transpose",
    "crop",
    "denormalize_lab",
    "downsample_voxels",
    "draw_hole_mask",
    "from_uint8",
    "gaussian_downsample",
    "grid_hole",
    "half_hole",
    "importance_weights",
    "keys_kernel",
    "lab_to_rgb",
    "largest_component",
    "left_hole",
    "lowres_hole",
    "luma_bt601",
    "map_tiles",
    "max_pool_features",
    "no_hole",
    "normalize_lab",
    "pad2d",
    "pad_to_multiple",
    "pattern_hole",
    "pixel_shuffle",
    "pixel_shuffle_permutation",
    "poisson_blend",
    "random_hole",
    "render_voxels",
    "rgb_to_bgr",
    "rgb_to_lab",
    "save_mesh",
    "to_uint8",
    "unpack_bits",
    "upsample_conv",
    "voxelize",
    "voxels_to_mesh",
]
