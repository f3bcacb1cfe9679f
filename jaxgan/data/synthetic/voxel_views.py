"""Pictures of voxel grids from one fixed camera, fast enough to be training data.

The camera never moves, so which cells each ray meets is a table, made once a size; a
picture is one look-up. `jaxgan.ops.voxel_rendering` draws finer ones from anywhere.
"""

import dataclasses
from functools import lru_cache

import numpy as np
from jaxtyping import Float, UInt8

from jaxgan.data.synthetic.raster import hex_colours

AZIMUTH, ELEVATION = 35.0, 28.0  # degrees; 0 azimuth looks from the positive x axis
_FINE = 2  # rays a pixel along each side
_HALF = 1.22  # half the picture's side, the grid being -1..1
_SKY, _FLOOR = hex_colours("eef2f6", "d5dce4")
_FACES = np.array([0.80, 0.58, 1.04], np.float32)  # light on a face towards x, y, z


def _axes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors to the viewer, to the picture's right, and up in the picture."""
    azimuth, elevation = np.deg2rad(AZIMUTH), np.deg2rad(ELEVATION)
    flat = np.array([np.cos(azimuth), np.sin(azimuth), 0])
    towards = flat * np.cos(elevation) + np.array([0, 0, np.sin(elevation)])
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0])
    return towards, right, np.cross(towards, right)


@dataclasses.dataclass(frozen=True)
class _Rays:
    """What the rays of the camera meet in a grid; rows and columns of fine pixels.

    Attributes:
      cells: `[fine, fine, steps]`, flat cell numbers from near to far, padded with one
        past the grid.
      entered: `[fine, fine, steps]`, the axis of the face through which a ray enters.
      origin: `[fine, fine, 3]`; ray t is origin - t * towards.
    """

    cells: np.ndarray
    entered: np.ndarray
    origin: np.ndarray


@lru_cache(maxsize=4)
def _rays(grid: int, size: int) -> _Rays:
    towards, right, up = _axes()
    fine = size * _FINE
    across = ((np.arange(fine) + 0.5) / fine * 2 - 1) * _HALF
    plane = across[None, :, None] * right - across[:, None, None] * up
    origin = plane.reshape(-1, 3) + 4 * towards
    # Where a ray crosses the planes between cells, over all three axes, in order.
    walls = np.linspace(-1, 1, grid + 1)
    when = (origin[:, :, None] - walls) / towards[:, None]  # [rays, 3, grid + 1]
    axes = np.broadcast_to(np.arange(3)[:, None], when.shape).reshape(len(origin), -1)
    when = when.reshape(len(origin), -1)
    order = np.argsort(when, axis=1, kind="stable")
    when = np.take_along_axis(when, order, 1)
    axes = np.take_along_axis(axes, order, 1)
    middle = (when[:, :-1] + when[:, 1:]) / 2
    point = origin[:, None] - middle[..., None] * towards
    cell = np.floor((point + 1) * grid / 2).astype(np.int32)
    inside = ((cell >= 0) & (cell < grid)).all(-1)
    inside &= np.diff(when, axis=1) > 1e-9
    flat = (cell[..., 0] * grid + cell[..., 1]) * grid + cell[..., 2]
    flat = np.where(inside, flat, grid**3)
    # The cells inside the grid to the front of each row.
    steps = int(inside.sum(1).max())
    front = np.argsort(~inside, axis=1, kind="stable")[:, :steps]
    return _Rays(
        np.take_along_axis(flat, front, 1).reshape(fine, fine, -1).astype(np.intp),
        np.take_along_axis(axes, front, 1).reshape(fine, fine, -1).astype(np.int8),
        origin.reshape(fine, fine, 3),
    )


@lru_cache(maxsize=128)
def _floor_points(
    grid: int, size: int, bottom: int
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Where each ray meets the floor: place between columns, and the floor's colour."""
    rays, (towards, _, _) = _rays(grid, size), _axes()
    far = (rays.origin[..., 2] - (2 * bottom / grid - 1)) / towards[2]
    x, y = (rays.origin[..., k] - far * towards[k] for k in (0, 1))
    most = grid + 2 * (grid // 4) - 1.001
    place = [np.clip((k + 1) * grid / 2 + grid // 4 - 0.5, 0, most) for k in (x, y)]
    fade = np.clip(np.hypot(x, y) / 2.6, 0, 1)[..., None].astype(np.float32)
    whole = [k.astype(np.intp) for k in place]
    return whole, [(k % 1).astype(np.float32) for k in place], (
        _FLOOR * (1 - fade) + _SKY * fade
    )  # fmt: skip


def _soft(volume: np.ndarray, axes: tuple[int, ...], reach: int) -> np.ndarray:
    """A mean over `2 reach + 1` cells along some axes; beyond the edge lies nothing."""
    for axis in axes:
        pads = [(reach + 1, reach) if k == axis else (0, 0) for k in range(volume.ndim)]
        total = np.cumsum(np.pad(volume, pads), axis=axis, dtype=np.float32)
        window, length = 2 * reach + 1, volume.shape[axis]
        total = np.moveaxis(total, axis, 0)
        mean = (total[window:] - total[:length]) / np.float32(window)
        volume = np.moveaxis(mean, 0, axis)
    return volume


def _floor(solid: np.ndarray, size: int, bottom: int) -> np.ndarray:
    """The floor under the lowest cell, with a soft shadow, `[fine, fine, 3]`."""
    grid, reach = len(solid), max(len(solid) // 16, 1)
    # Overhead light: what is nearer to the floor casts the darker shadow.
    weight = np.exp(-np.arange(grid - bottom) / (0.35 * grid), dtype=np.float32)
    above = np.pad((solid[:, :, bottom:] * weight).max(2), grid // 4)
    above = _soft(_soft(above, (0, 1), 2 * reach), (0, 1), reach)
    (i, j), (u, v), colour = _floor_points(grid, size, bottom)
    shade = (1 - u) * ((1 - v) * above[i, j] + v * above[i, j + 1])
    shade += u * ((1 - v) * above[i + 1, j] + v * above[i + 1, j + 1])
    return colour * (1 - np.float32(0.42) * shade)[..., None]


def _window(solid: np.ndarray, fine: int) -> tuple[slice, slice]:
    """Rows and columns of fine pixels that the solid cells can lie in."""
    _, right, up = _axes()
    where = [
        np.flatnonzero(solid.any(axis=tuple(a for a in range(3) if a != axis)))
        for axis in range(3)
    ]
    spans = [np.array([w[0], w[-1] + 1]) * 2 / len(solid) - 1 for w in where]
    corners = np.stack(np.meshgrid(*spans), axis=-1).reshape(-1, 3)
    bounds = []
    for place in (-corners @ up, corners @ right):
        place = (place / _HALF + 1) * fine / 2
        low, high = int(place.min()) - 1, int(place.max()) + 2
        bounds.append(slice(max(low, 0), min(high, fine)))
    return bounds[0], bounds[1]


def view(
    voxels: UInt8[np.ndarray, "n r r r"], paint: Float[np.ndarray, "n 3"], size: int
) -> UInt8[np.ndarray, "n size size 3"]:
    """Draws solid grids, each in one colour, on a pale floor with a soft shadow.

    Args:
      voxels: occupancy, axes x, y, z, z up.
      paint: RGB in [0, 1].
      size: side of the pictures, pixels.
    """
    grid = voxels.shape[1]
    rays = _rays(grid, size)
    images = np.empty((len(voxels), size, size, 3), np.uint8)
    for index, solid in enumerate(voxels):
        levels = np.flatnonzero(solid.any((0, 1)))
        picture = _floor(solid, size, int(levels[0]) if len(levels) else 0)
        if len(levels):
            window = _window(solid, len(rays.cells))
            seen, light = _lit(solid, rays, window)
            painted = paint[index] * light[..., None]
            picture[window] = np.where(seen[..., None], painted, picture[window])
        picture = picture.reshape(size, _FINE, size, _FINE, 3).mean((1, 3))
        images[index] = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    return images


def _lit(
    solid: np.ndarray, rays: _Rays, window: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray]:
    """Which rays of a window meet a solid cell, and the light on it, `[rows, cols]`."""
    grid = len(solid)
    flat = np.append(solid.reshape(-1), np.uint8(0))  # past the grid there is nothing
    cells = rays.cells[window]
    met = np.take(flat, cells)
    first = met.argmax(-1)[..., None]
    cell = np.take_along_axis(cells, first, -1)[..., 0]
    axis = np.take_along_axis(rays.entered[window], first, -1)[..., 0]
    seen = flat[cell] > 0
    # Corners are darker: how solid the surroundings of the free cell before are.
    near = _soft(solid.astype(np.float32), (0, 1, 2), max(grid // 16, 1))
    place = np.stack(np.unravel_index(np.minimum(cell, grid**3 - 1), solid.shape))
    # All faces seen look towards positive axes.
    place += np.arange(3)[:, None, None] == axis
    near = near[tuple(np.minimum(place, grid - 1))]
    return seen, _FACES[axis] * (np.float32(1.10) - np.float32(0.75) * near)
