"""Pictures of voxels: solid blocks under a sun and an overcast sky, on a light floor.

    light    which share of the sun and of the sky reaches every cell: one sweep through
             the slices, from top to bottom, a direction; soft shadows come for free
    rays     the first solid cell on each ray, by walking from border to border
    picture  albedo * (sun * cosine + sky), four rays a pixel

References: Amanatides and Woo, "A Fast Voxel Traversal Algorithm for Ray Tracing",
Eurographics 1987.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxgan.core.types import Voxels

DISPLAY_LEVEL = 0.1  # cells above it are seen, as in the viewer of 3D-GAN's authors
Angle = float | int | Float[Array, ""] | Float[Array, "b"]

# Colours of light and paint, linear (the screen's curve comes last).
_SUN = np.array([1.05, 0.977, 0.861])
_SKY = np.array([0.42, 0.49, 0.602])
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_BACKGROUND = np.array([0.90, 0.915, 0.94])
# The sun stands behind the viewer's left shoulder; it turns with the camera, so that
# all views of an object are lit alike.
_SUN_AZIMUTH, _SUN_ELEVATION = math.radians(-58), math.radians(50)
_CHUNK = 8  # images rendered at once: bounds memory


def render_voxels(
    occupancy: Voxels,
    azimuth: Angle = 35.0,
    elevation: Angle = 25.0,
    size: int = 128,
    *,
    level: float | int = DISPLAY_LEVEL,
    zoom: float | int = 1.0,
    color: tuple[float, float, float] = (0.95, 0.64, 0.40),
) -> Float[Array, "b {size} {size} 3"]:
    """Renders voxels as solid, shaded blocks.

    Args:
        occupancy: Occupancy in [0, 1]; axes x, y, z, and z points up.
        azimuth: Degrees about z, one for all images or one each: 0 looks from the
            positive x axis towards the centre, 90 from the positive y axis.
        elevation: Degrees above the floor; from below there is no floor.
        size: Side of the square pictures in pixels.
        level: Cells above it are solid. The nearer to it their occupancy is, the greyer
            they are.
        zoom: At 1 a full grid just fits, whatever its azimuth. The scale depends on the
            grid's shape, not on its content: pictures of one grid size compare.
        color: RGB in [0, 1], as on the screen, of cells whose occupancy is 1.

    Returns:
        Pictures `[b, size, size, 3]` in [-1, 1]. Jittable, with `size` static.
    """
    batch = occupancy.shape[0]
    solid = occupancy[..., 0] > level
    sure = jnp.clip((occupancy[..., 0] - level) / max(1 - level, 1e-6), 0, 1)
    angles = [
        jnp.broadcast_to(jnp.deg2rad(jnp.asarray(angle, jnp.float32)), (batch,))
        for angle in (azimuth, elevation)
    ]
    paint = jnp.asarray(color) ** 2.2
    render = partial(_render, size=2 * size, zoom=zoom, paint=paint)
    # Whole chunks only: a remainder would be compiled as a second program.
    chunk = min(batch, _CHUNK)
    images = jax.tree.map(
        lambda x: jnp.pad(x, ((0, -batch % chunk), *((0, 0),) * (x.ndim - 1))),
        (solid, sure, *angles),
    )
    fine = lax.map(lambda image: render(*image), images, batch_size=chunk)[:batch]
    linear = jnp.mean(fine.reshape(batch, size, 2, size, 2, 3), axis=(2, 4))
    return 2 * jnp.clip(linear, 0, 1) ** (1 / 2.2) - 1


def _render(
    solid: Bool[Array, "x y z"],
    sure: Float[Array, "x y z"],
    azimuth: Float[Array, ""],
    elevation: Float[Array, ""],
    *,
    size: int,
    zoom: float | int,
    paint: Float[Array, "3"],
) -> Float[Array, "{size} {size} 3"]:
    """One picture in linear colours, one ray a pixel."""
    dims = np.array(solid.shape, np.float32)
    view = _direction(azimuth, elevation)  # towards the viewer
    right = jnp.stack([-jnp.sin(azimuth), jnp.cos(azimuth), jnp.zeros_like(azimuth)])
    up = jnp.cross(view, right)
    sun_direction = _direction(azimuth + _SUN_AZIMUTH, jnp.asarray(_SUN_ELEVATION))
    light, slope = _light(solid, sun_direction), _slope(solid)
    margin = np.array(_light_margin(solid), np.float32)
    occupied = jnp.any(solid, axis=(0, 1))
    floor = jnp.where(jnp.any(occupied), jnp.argmax(occupied), 0)
    grey = jnp.vdot(paint, _LUMINANCE)

    def pixel(x: Array, y: Array) -> Array:
        start = dims / 2 + x * right + y * up + 2 * dims.sum() * view
        hit, distance, face = _first_solid(solid, start, -view)
        # What a ray sees: a face of a solid cell, or the floor below the lowest one.
        floor_distance = (start[2] - floor) / jnp.maximum(view[2], 1e-3)
        point = start - jnp.where(hit, distance, floor_distance) * view
        face = jnp.where(hit, face, jnp.array([0.0, 0.0, 1.0]))
        # Light is read just beyond the centre of the free cell before the face: at the
        # very centre rounding would decide which cells are interpolated.
        sun, sky = _trilinear(light, point + 0.51 * face + margin)
        # The true face and the smoothed surface: steps read as the slope they mean.
        normal = _normalised(
            0.6 * face - 0.4 * _normalised(_trilinear(slope, point + 2))
        )
        sunlight = jnp.maximum(jnp.vdot(normal, sun_direction), 0) * sun
        skylight = sky**1.25 * (0.65 + 0.35 * normal[2])
        # A weak lamp at the camera separates faces that sun and sky do not tell apart.
        lamp = 0.1 * jnp.maximum(jnp.vdot(normal, view), 0)
        cell = jnp.clip(jnp.floor(point - 0.5 * face), 0, dims - 1).astype(jnp.int32)
        albedo = grey + sure[tuple(cell)] * (paint - grey)
        lit = albedo * (sunlight * _SUN + skylight * _SKY + lamp)
        radius = jnp.linalg.norm(point[:2] - dims[:2] / 2) / (dims[:2].min() / 2)
        fade = jnp.clip(2.2 - radius, 0, 1) * (view[2] > 0.02)
        shade = 1 - fade * (0.30 * (1 - sun) + 0.55 * (1 - sky))
        return jnp.where(hit, lit, shade * _BACKGROUND)

    radius = math.hypot(dims[0], dims[1]) / 2  # of the cylinder around the grid
    height = dims[2] / 2 * jnp.cos(elevation) + radius * jnp.abs(jnp.sin(elevation))
    half = 1.04 * jnp.maximum(radius, height) / zoom
    across = ((jnp.arange(size) + 0.5) / size * 2 - 1) * half
    row = jax.vmap(pixel, in_axes=(0, None))
    return jax.vmap(row, in_axes=(None, 0))(across, -across)


def _first_solid(
    solid: Bool[Array, "x y z"],
    start: Float[Array, "3"],
    direction: Float[Array, "3"],
) -> tuple[Bool[Array, ""], Float[Array, ""], Float[Array, "3"]]:
    """Walks one ray from cell to cell: hit or not, distance, normal of the face."""
    dims = np.array(solid.shape)
    direction = jnp.where(jnp.abs(direction) < 1e-6, 1e-6, direction)
    walls = jnp.stack([-start / direction, (dims - start) / direction])
    entry, leave = jnp.min(walls, axis=0), jnp.min(jnp.max(walls, axis=0))
    distance = jnp.maximum(jnp.max(entry), 0)
    inside_point = start + (distance + 1e-4) * direction
    cell = jnp.clip(jnp.floor(inside_point), 0, dims - 1).astype(jnp.int32)
    step = jnp.sign(direction).astype(jnp.int32)
    border = (cell + (step > 0) - start) / direction
    flat = solid.reshape(-1)

    def is_inside(cell: Array) -> Array:
        return jnp.all((cell >= 0) & (cell < dims))

    def is_solid(cell: Array) -> Array:
        return is_inside(cell) & flat[_flat_index(cell, dims)]

    def walking(carry: tuple) -> Array:
        active, hit = carry[:2]
        return active & ~hit

    def walk(carry: tuple) -> tuple:
        _, _, cell, border, _, _ = carry
        axis = jnp.argmin(border)
        move = jax.nn.one_hot(axis, 3, dtype=jnp.int32)
        cell = cell + step * move
        next_border = border + move / jnp.abs(direction)
        return is_inside(cell), is_solid(cell), cell, next_border, border[axis], axis

    meets = distance < leave
    axis = jnp.argmax(entry)
    carry = (meets, meets & is_solid(cell), cell, border, distance, axis)
    _, hit, _, _, distance, axis = lax.while_loop(walking, walk, carry)
    return hit, distance, -jax.nn.one_hot(axis, 3) * step


def _light(
    solid: Bool[Array, "x y z"], sun_direction: Float[Array, "3"]
) -> Float[Array, "_ _ _ 2"]:
    """The visible share of the sun and of the sky in every cell, both in [0, 1].

    The grid is extended by `_light_margin` cells, empty and lit from everywhere.
    """
    margin = _light_margin(solid)
    blocks = jnp.pad(solid.astype(jnp.float32), [(m, m) for m in margin])
    rings = [(0.0, 1, 1.0), (0.45, 6, 0.8), (0.95, 8, 0.8)]  # tangent, number, weight
    slopes = np.array(
        [
            (tangent * math.cos(angle), tangent * math.sin(angle), weight)
            for tangent, number, weight in rings
            for angle in 2 * math.pi * (np.arange(number) + 0.5) / number
        ],
        np.float32,
    )
    total = slopes[:, 2].sum()

    def add(sky: Array, slope: Array) -> tuple[Array, None]:
        return sky + slope[2] / total * _sweep(blocks, slope[:2]), None

    sky, _ = lax.scan(add, jnp.zeros_like(blocks), jnp.asarray(slopes))
    sun = _sweep(blocks, sun_direction[:2] / sun_direction[2])
    return jnp.stack([sun, sky], axis=-1)


def _light_margin(solid: Array) -> tuple[int, int, int]:
    """Room for the longest shadow on the floor around the grid."""
    reach = int(0.8 * solid.shape[2])
    return reach, reach, 1


def _sweep(blocks: Array, slope: Array) -> Array:
    """Light that arrives in every cell from above, along `(slope_x, slope_y, 1)`.

    Slice by slice, what leaves the slice above is moved by the slope, between cells by
    linear interpolation, which blurs a shadow the more the farther it falls. Slopes
    stay within a cell a slice, else light would leak through thin walls.
    """

    def moved(light: Array, shift: Array, axis: int) -> Array:
        size = light.shape[axis]
        sides = [(1, 1) if a == axis else (0, 0) for a in range(2)]
        padded = jnp.pad(light, sides, constant_values=1.0)
        before = lax.slice_in_dim(padded, 0, size, axis=axis)
        after = lax.slice_in_dim(padded, 2, size + 2, axis=axis)
        mixed = jnp.maximum(-shift, 0) * before + jnp.maximum(shift, 0) * after
        return mixed + (1 - jnp.abs(shift)) * light

    def descend(light: Array, layer: Array) -> tuple[Array, Array]:
        below = moved(moved(light * (1 - layer), slope[0], 0), slope[1], 1)
        return below, light

    layers = jnp.moveaxis(blocks, 2, 0)
    _, light = lax.scan(descend, jnp.ones_like(layers[0]), layers, reverse=True)
    return jnp.moveaxis(light, 0, 2)


def _slope(solid: Bool[Array, "x y z"]) -> Float[Array, "_ _ _ 3"]:
    """Gradient of the blurred occupancy on the grid, extended by 2 cells."""
    blurred = jnp.pad(solid.astype(jnp.float32), 2)
    for axis, size in enumerate(blurred.shape):
        gap = np.arange(size)[:, None] - np.arange(size)
        blur = np.exp(-0.5 * (gap / 0.9) ** 2) / (0.9 * math.sqrt(2 * math.pi))
        weights = jnp.asarray(blur, jnp.float32)
        blurred = jnp.moveaxis(jnp.tensordot(weights, blurred, (1, axis)), 0, axis)
    return jnp.stack(jnp.gradient(blurred), axis=-1)


def _direction(azimuth: Array, elevation: Array) -> Array:
    across = jnp.cos(elevation)
    return jnp.stack(
        [across * jnp.cos(azimuth), across * jnp.sin(azimuth), jnp.sin(elevation)]
    )


def _normalised(x: Float[Array, "3"]) -> Float[Array, "3"]:
    return x / (jnp.linalg.norm(x) + 1e-3)


def _flat_index(cell: Array, dims: np.ndarray) -> Array:
    return (cell[0] * dims[1] + cell[1]) * dims[2] + cell[2]


def _trilinear(
    volume: Float[Array, "x y z c"], position: Float[Array, "3"]
) -> Float[Array, " c"]:
    """Interpolates between cells; the centre of cell `i` lies at `i + 1/2`."""
    dims = np.array(volume.shape[:3])
    position = jnp.clip(position - 0.5, 0, dims - 1.001)
    low = jnp.floor(position)
    high_weight = position - low
    flat = volume.reshape(-1, volume.shape[-1])
    index = _flat_index(low.astype(jnp.int32), dims)
    total = jnp.zeros(volume.shape[-1])
    for corner in np.ndindex(2, 2, 2):
        weight = jnp.prod(jnp.where(np.array(corner), high_weight, 1 - high_weight))
        offset = (corner[0] * dims[1] + corner[1]) * dims[2] + corner[2]
        total += weight * flat[index + offset]
    return total
