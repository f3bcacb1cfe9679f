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

Angle = float | int | Float[Array, ""] | Float[Array, "b"]

# Colours of light and paint, linear (the screen's curve comes last).
_SUN = np.array([1.05, 0.977, 0.861])
_SKY = np.array([0.42, 0.49, 0.602])
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
    level: float | int = 0.5,
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
        level: Cells above it are solid.
        zoom: At 1 a full grid just fits, whatever its azimuth. The scale depends on the
            grid's shape, not on its content: pictures of one grid size compare.
        color: The object's RGB in [0, 1], as on the screen.

    Returns:
        Pictures `[b, size, size, 3]` in [-1, 1]. Jittable, with `size` static.
    """
    batch = occupancy.shape[0]
    solid = occupancy[..., 0] > level
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
        (solid, *angles),
    )
    fine = lax.map(lambda image: render(*image), images, batch_size=chunk)[:batch]
    linear = jnp.mean(fine.reshape(batch, size, 2, size, 2, 3), axis=(2, 4))
    return 2 * jnp.clip(linear, 0, 1) ** (1 / 2.2) - 1


def _render(
    solid: Bool[Array, "x y z"],
    azimuth: Array,
    elevation: Array,
    *,
    size: int,
    zoom: float | int,
    paint: Array,
) -> Array:
    """One picture in linear colours, one ray a pixel."""
    dims = np.array(solid.shape)
    view, origin = _camera(azimuth, elevation, dims, size, zoom)
    hit, distance, face = _first_solid(solid, origin, -view)

    # What a ray sees: a face of a solid cell, or the floor below the lowest one.
    occupied = jnp.any(solid, axis=(0, 1))
    floor = jnp.where(jnp.any(occupied), jnp.argmax(occupied), 0)
    floor_distance = (origin[:, 2] - floor) / jnp.maximum(view[2], 1e-3)
    point = origin - jnp.where(hit, distance, floor_distance)[:, None] * view
    face = jnp.where(hit[:, None], face, jnp.array([0.0, 0.0, 1.0]))

    sun_direction = _direction(azimuth + _SUN_AZIMUTH, jnp.asarray(_SUN_ELEVATION))
    # Light is read just beyond the centre of the free cell before the face: at the very
    # centre rounding would decide which cells are interpolated.
    sun, sky = _light(solid, sun_direction, point + 0.51 * face)
    # Half the true face, half the smoothed surface: steps read as the slope they mean.
    normal = _normalised(0.6 * face + 0.4 * _smooth_normal(solid, point))
    sunlight = jnp.maximum(normal @ sun_direction, 0) * sun
    skylight = sky**1.25 * (0.65 + 0.35 * normal[:, 2])
    light = sunlight[:, None] * _SUN + skylight[:, None] * _SKY
    # A weak lamp at the camera separates faces that neither sun nor sky tells apart.
    light += 0.1 * jnp.maximum(normal @ view, 0)[:, None]

    radius = jnp.linalg.norm(point[:, :2] - dims[:2] / 2, axis=-1) / (
        dims[:2].min() / 2
    )
    fade = jnp.clip(2.2 - radius, 0, 1) * (view[2] > 0.02)
    shade = 1 - fade * (0.30 * (1 - sun) + 0.55 * (1 - sky))
    picture = jnp.where(hit[:, None], paint * light, shade[:, None] * _BACKGROUND)
    return picture.reshape(size, size, 3)


def _camera(
    azimuth: Array, elevation: Array, dims: np.ndarray, size: int, zoom: float | int
) -> tuple[Array, Array]:
    """The direction to the viewer and the origins of all rays, row by row."""
    view = _direction(azimuth, elevation)
    right = jnp.stack([-jnp.sin(azimuth), jnp.cos(azimuth), jnp.zeros_like(azimuth)])
    up = jnp.cross(view, right)
    radius = math.hypot(dims[0], dims[1]) / 2  # of the cylinder around the grid
    height = dims[2] / 2 * jnp.cos(elevation) + radius * jnp.abs(jnp.sin(elevation))
    half = 1.04 * jnp.maximum(radius, height) / zoom
    across = ((jnp.arange(size) + 0.5) / size * 2 - 1) * half
    plane = across[None, :, None] * right - across[:, None, None] * up
    origin = plane + dims / 2 + view * float(2 * dims.sum())
    return view, origin.reshape(-1, 3)


def _first_solid(
    solid: Array, origin: Array, direction: Array
) -> tuple[Array, Array, Array]:
    """Walks all rays from cell to cell: hit or not, distance, normal of the face."""
    dims = np.array(solid.shape)
    direction = jnp.where(jnp.abs(direction) < 1e-6, 1e-6, direction)
    walls = jnp.stack([-origin / direction, (dims - origin) / direction])
    entry = jnp.min(walls, axis=0)
    start = jnp.maximum(jnp.max(entry, axis=-1), 0)
    meets = jnp.min(jnp.max(walls, axis=0), axis=-1) > start
    inside_point = origin + (start[:, None] + 1e-4) * direction
    cell = jnp.clip(jnp.floor(inside_point), 0, dims - 1).astype(jnp.int32)
    step = jnp.sign(direction).astype(jnp.int32)
    flat = solid.reshape(-1)

    def is_inside(cell: Array) -> Array:
        return jnp.all((cell >= 0) & (cell < dims), axis=-1)

    def is_solid(cell: Array) -> Array:
        return flat[_flat_index(cell, dims)] & is_inside(cell)

    def unfinished(carry: tuple) -> Array:
        return jnp.any(carry[0])

    def walk(carry: tuple) -> tuple:
        walking, hit, cell, border, distance, axis = carry
        nearest = jnp.argmin(border, axis=-1)
        move = jax.nn.one_hot(nearest, 3, dtype=jnp.int32) * walking[:, None]
        distance = jnp.where(walking, jnp.min(border, axis=-1), distance)
        axis = jnp.where(walking, nearest, axis)
        cell = cell + step * move
        border = border + move / jnp.abs(direction)
        found = walking & is_solid(cell)
        walking &= is_inside(cell) & ~found
        return walking, hit | found, cell, border, distance, axis

    hit = meets & is_solid(cell)
    border = (cell + (step > 0) - origin) / direction
    carry = (meets & ~hit, hit, cell, border, start, jnp.argmax(entry, axis=-1))
    _, hit, _, _, distance, axis = lax.while_loop(unfinished, walk, carry)
    return hit, distance, -jax.nn.one_hot(axis, 3) * step


def _light(solid: Array, sun_direction: Array, point: Array) -> tuple[Array, Array]:
    """The visible share of the sun and of the sky at each point, both in [0, 1]."""
    margin = int(0.8 * solid.shape[2])  # the longest shadow, on floor around the grid
    sides = ((margin, margin), (margin, margin), (1, 1))
    blocks = jnp.pad(solid.astype(jnp.float32), sides)
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
    visible = _trilinear(
        jnp.stack([sun, sky], axis=-1), point - 0.5 + np.array([margin, margin, 1])
    )
    return visible[:, 0], visible[:, 1]


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


def _smooth_normal(solid: Array, point: Array) -> Array:
    """Outward normal of the blurred occupancy."""
    blurred = jnp.pad(solid.astype(jnp.float32), 2)
    for axis, size in enumerate(blurred.shape):
        gap = np.arange(size)[:, None] - np.arange(size)
        blur = np.exp(-0.5 * (gap / 0.9) ** 2) / (0.9 * math.sqrt(2 * math.pi))
        weights = jnp.asarray(blur, jnp.float32)
        blurred = jnp.moveaxis(jnp.tensordot(weights, blurred, (1, axis)), 0, axis)
    gradient = jnp.stack(jnp.gradient(blurred), axis=-1)
    return -_normalised(_trilinear(gradient, point + 1.5))


def _direction(azimuth: Array, elevation: Array) -> Array:
    across = jnp.cos(elevation)
    return jnp.stack(
        [across * jnp.cos(azimuth), across * jnp.sin(azimuth), jnp.sin(elevation)]
    )


def _normalised(x: Array) -> Array:
    return x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + 1e-3)


def _flat_index(cell: Array, dims: np.ndarray) -> Array:
    return (cell[:, 0] * dims[1] + cell[:, 1]) * dims[2] + cell[:, 2]


def _trilinear(
    volume: Float[Array, "x y z c"], position: Float[Array, "n 3"]
) -> Float[Array, "n c"]:
    """Interpolates between cells, whose centres have integer coordinates."""
    dims = np.array(volume.shape[:3])
    position = jnp.clip(position, 0, dims - 1.001)
    low = jnp.floor(position)
    high_weight = position - low
    flat = volume.reshape(-1, volume.shape[-1])
    index = _flat_index(low.astype(jnp.int32), dims)
    total = jnp.zeros((len(position), volume.shape[-1]))
    for corner in np.ndindex(2, 2, 2):
        weight = jnp.prod(jnp.where(np.array(corner), high_weight, 1 - high_weight), -1)
        offset = (corner[0] * dims[1] + corner[1]) * dims[2] + corner[2]
        total += weight[:, None] * flat[index + offset]
    return total
