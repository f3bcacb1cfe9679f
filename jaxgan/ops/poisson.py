"""Poisson blending: gradients from the generated image, boundary values from the known.

Minimise `sum ((x_i - x_j) - (g_i - g_j))^2` over the edges between 4-neighbours of the
image grid, with `x = y` on known pixels. The difference `u = x - g` is then harmonic
inside the hole `H`: for each of its pixels

    |N_i| u_i - sum_{j in N_i and H} u_j = sum_{j in N_i, known} (y_j - g_j)

with the 2 to 4 neighbours `N_i` inside the image. A hole that touches the image border
has a natural condition there, since the missing edge does not exist; solvers that take
zero outside the image are wrong by tens of grey levels.

References: Perez, Gangnet and Blake, "Poisson Image Editing", SIGGRAPH 2003, equation
7; Yeh et al., "Semantic Image Inpainting with Deep Generative Models", CVPR 2017,
equation 6.
"""

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array

from jaxgan.core.errors import UserError
from jaxgan.core.types import HoleMask, Image
from jaxgan.ops.masks import composite


class Rectangle(NamedTuple):
    """The hole's rows `top .. top + height - 1`, columns `left .. left + width - 1`."""

    top: int
    left: int
    height: int
    width: int

    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)


def poisson_blend(
    target: Image,
    source: Image,
    hole_mask: HoleMask,
    method: Literal["cg", "dst"] = "cg",
    tol: float | int = 1e-6,
    max_iters: int | None = None,
    rectangle: tuple[int, int, int, int] | None = None,
) -> Image:
    """Fills holes with the gradients of `source`, seamlessly.

    Not differentiable in reverse mode: the default solver is a `while_loop`.

    Args:
        target: Images in [-1, 1]; what lies inside the hole has no influence.
        source: Generated images in [-1, 1].
        hole_mask: 1 = missing; each image may have its own.
        method: `cg`, conjugate gradients for any hole, all images and channels at once;
            `dst`, a direct solution by four small matrix products, for one rectangular
            hole, the same in all images, that does not touch the image border.
        tol: `cg` stops when every channel of every image has this relative residual.
        max_iters: `cg` stops at the latest after so many iterations; by default ten
            times the image's circumference, and a few times its side are needed.
        rectangle: For `dst` inside `jit`, where the mask's values are unknown: the hole
            as static `(top, left, height, width)`. Otherwise it is found on the host.

    Returns:
        The blended images. Known pixels are bit-identical to `target`; the hole is
        clipped to [-1, 1]. Where nothing is known, `source`, clipped.

    Raises:
        UserError: If `dst` is asked for a hole that it cannot solve.
        ValueError: If the method is unknown.
    """
    dtype = jnp.promote_types(target.dtype, jnp.float32)
    hole = (hole_mask > 0.5).astype(dtype)
    source_wide = source.astype(dtype)
    # Zero inside the hole first: whatever the target holds there must not enter a sum.
    difference = target.astype(dtype) - source_wide
    offset = composite(difference, jnp.zeros_like(difference), hole)
    seam = hole * _neighbour_sum(offset)
    if method == "cg":
        if max_iters is None:
            max_iters = 20 * (target.shape[1] + target.shape[2])
        harmonic = _conjugate_gradients(hole, seam, tol, max_iters)
    elif method == "dst":
        harmonic = _sine_transform(seam, _find_rectangle(hole_mask, rectangle))
    else:
        raise ValueError(f"method {method!r} must be 'cg' or 'dst'")
    blended = jnp.clip(source_wide + harmonic, -1, 1).astype(target.dtype)
    return composite(target, blended, hole_mask)


def _neighbour_sum(x: Array) -> Array:
    """Sum over the 4-neighbours inside the image."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    vertical = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1]
    return vertical + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]


def _conjugate_gradients(
    hole: Array, seam: Array, tol: float | int, max_iters: int
) -> Array:
    """Solves the Laplace equation on the hole, for all images and channels at once.

    Every image and channel has its own step sizes, so that a result does not depend on
    the rest of the batch; those that have converged stand still.
    """
    degree = _neighbour_sum(jnp.ones_like(hole[:1]))

    def laplacian(u: Array) -> Array:
        return hole * (degree * u - _neighbour_sum(u))

    def dot(a: Array, b: Array) -> Array:
        return jnp.sum(a * b, axis=(1, 2), keepdims=True)

    def divide(numerator: Array, denominator: Array, active: Array) -> Array:
        return jnp.where(active, numerator / jnp.where(active, denominator, 1), 0)

    threshold = tol**2 * dot(seam, seam)

    def is_active(residual: Array) -> Array:
        # False for NaN too: a source that is not finite must not loop to the end.
        return dot(residual, residual) > threshold

    def unfinished(carry: tuple) -> Array:
        iteration, active = carry[:2]
        return (iteration < max_iters) & jnp.any(active)

    def iterate(carry: tuple) -> tuple:
        iteration, active, u, residual, direction, rz = carry
        image = laplacian(direction)
        alpha = divide(rz, dot(direction, image), active)
        u = u + alpha * direction
        residual = residual - alpha * image
        preconditioned = residual / degree
        new_rz = dot(residual, preconditioned)
        direction = preconditioned + divide(new_rz, rz, active) * direction
        return iteration + 1, is_active(residual), u, residual, direction, new_rz

    zero, start = jnp.zeros_like(seam), seam / degree
    carry = (jnp.int32(0), is_active(seam), zero, seam, start, dot(seam, start))
    return lax.while_loop(unfinished, iterate, carry)[2]


def _find_rectangle(
    hole_mask: Array, rectangle: tuple[int, int, int, int] | None
) -> Rectangle:
    """The rectangular hole, checked against the mask where its values are known."""
    shape = hole_mask.shape[1:3]
    if isinstance(hole_mask, Tracer):
        if rectangle is None:
            raise UserError(
                "method='dst' inside jit needs rectangle=(top, left, height, width); "
                "or use method='cg'"
            )
        hole = Rectangle(*rectangle)
    else:
        missing = np.asarray(hole_mask[..., 0]) > 0.5
        hole = Rectangle(*(rectangle or _bounding_box(missing[0])))
        rows, columns = hole.slices()
        expected = np.zeros(shape, bool)
        expected[rows, columns] = True
        if (missing != expected).any():
            raise UserError(
                "method='dst' needs the same rectangular hole in every image: "
                "use method='cg'"
            )
    bottom, right = hole.top + hole.height, hole.left + hole.width
    if not (0 < hole.top < bottom < shape[0] and 0 < hole.left < right < shape[1]):
        raise UserError(
            f"method='dst' needs a hole inside the image, rectangle {tuple(hole)} of "
            f"{shape[0]} x {shape[1]} pixels is not: use method='cg'"
        )
    return hole


def _bounding_box(missing: np.ndarray) -> Rectangle:
    rows = np.flatnonzero(missing.any(axis=1))
    columns = np.flatnonzero(missing.any(axis=0))
    if not rows.size:
        return Rectangle(0, 0, 0, 0)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    return Rectangle(int(rows[0]), int(columns[0]), int(height), int(width))


def _sine_transform(seam: Array, hole: Rectangle) -> Array:
    """Solves the Laplace equation on a rectangle with known values all around."""
    rows, columns = hole.slices()
    left, left_values = _sine_basis(hole.height)
    right, right_values = _sine_basis(hole.width)
    values = jnp.asarray(left_values[:, None] + right_values, seam.dtype)[
        None, ..., None
    ]

    def transform(x: Array) -> Array:
        return jnp.einsum(
            "ph,bhwc,qw->bpqc",
            jnp.asarray(left, seam.dtype),
            x,
            jnp.asarray(right, seam.dtype),
            precision=lax.Precision.HIGHEST,
        )

    # The basis is its own inverse.
    solution = transform(transform(seam[:, rows, columns]) / values)
    return jnp.zeros_like(seam).at[:, rows, columns].set(solution)


def _sine_basis(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors and eigenvalues of the second difference with zero ends."""
    angle = np.pi * np.arange(1, size + 1) / (size + 1)
    basis = np.sqrt(2 / (size + 1)) * np.sin(angle[:, None] * np.arange(1, size + 1))
    return basis, 2 - 2 * np.cos(angle)
