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

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array

from jaxgan.core.errors import UserError
from jaxgan.core.types import HoleMask, Image
from jaxgan.ops.masks import Rectangle, composite, hole_rectangles


def poisson_blend(
    target: Image,
    source: Image,
    hole_mask: HoleMask,
    method: Literal["cg", "dst", "auto"] = "cg",
    tol: float | int = 1e-6,
    max_iters: int | None = None,
    rectangle: tuple[int, int, int, int] | None = None,
) -> Image:
    """Fills holes with the gradients of `source`, seamlessly.

    Not differentiable in reverse mode: but for `dst` a solver is a `while_loop`.

    Args:
        target: Images in [-1, 1]; what lies inside the hole has no influence.
        source: Generated images in [-1, 1].
        hole_mask: 1 = missing; each image may have its own.
        method: `cg`, conjugate gradients for any hole, all images and channels at once;
            `dst`, a direct solution by four small matrix products (sine transforms,
            cosine ones where the hole touches the image border), for one rectangular
            hole, the same in all images; `auto`, for any hole, the direct solution for
            every image whose hole is one of `hole_rectangles` and `cg` for the others.
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
    if max_iters is None:
        max_iters = 20 * (target.shape[1] + target.shape[2])
    if method == "cg":
        harmonic = _conjugate_gradients(hole, seam, tol, max_iters)
    elif method == "dst":
        harmonic = _sine_transform(seam, _find_rectangle(hole_mask, rectangle))
    elif method == "auto":
        harmonic, rest = _rectangles_solved(hole, seam)
        harmonic = harmonic + _conjugate_gradients(hole, rest, tol, max_iters)
    else:
        raise ValueError(f"method {method!r} must be 'cg', 'dst' or 'auto'")
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
    inside = 0 <= hole.top < bottom <= shape[0] and 0 <= hole.left < right <= shape[1]
    if not inside or tuple(hole[2:]) == shape:
        raise UserError(
            f"method='dst' needs a hole that leaves something known, rectangle "
            f"{tuple(hole)} of {shape[0]} x {shape[1]} pixels does not: use "
            "method='cg'"
        )
    return hole


def _bounding_box(missing: np.ndarray) -> Rectangle:
    rows = np.flatnonzero(missing.any(axis=1))
    columns = np.flatnonzero(missing.any(axis=0))
    if not rows.size:
        return Rectangle(0, 0, 0, 0)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    return Rectangle(int(rows[0]), int(columns[0]), int(height), int(width))


def _rectangles_solved(hole: Array, seam: Array) -> tuple[Array, Array]:
    """The solutions of images with a rectangular hole, and the seams of the others.

    All rectangles are solved for all images, some matrix products each: so an image's
    solution does not depend on its batch mates.
    """
    harmonic = jnp.zeros_like(seam)
    for rectangle in hole_rectangles(*hole.shape[1:3]):
        rows, columns = rectangle.slices()
        mask = jnp.zeros_like(hole[:1]).at[:, rows, columns].set(1)
        same = jnp.all(hole == mask, axis=(1, 2, 3), keepdims=True)
        harmonic = jnp.where(same, _sine_transform(seam, rectangle), harmonic)
        seam = jnp.where(same, 0, seam)
    return harmonic, seam


def _sine_transform(seam: Array, hole: Rectangle) -> Array:
    """Solves the Laplace equation on a rectangle: separation of variables."""
    rows, columns = hole.slices()
    height, width = seam.shape[1:3]
    left, left_values = _basis(hole.height, hole.top == 0, rows.stop == height)
    right, right_values = _basis(hole.width, hole.left == 0, columns.stop == width)
    values = jnp.asarray(left_values[:, None] + right_values, seam.dtype)[
        None, ..., None
    ]

    def transform(x: Array, left: np.ndarray, right: np.ndarray) -> Array:
        return jnp.einsum(
            "ph,bhwc,qw->bpqc",
            jnp.asarray(left, seam.dtype),
            x,
            jnp.asarray(right, seam.dtype),
            precision=lax.Precision.HIGHEST,
        )

    coefficients = transform(seam[:, rows, columns], left.T, right.T) / values
    solution = transform(coefficients, left, right)
    return jnp.zeros_like(seam).at[:, rows, columns].set(solution)


def _basis(
    size: int, natural_start: bool, natural_end: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors, as columns, and eigenvalues of the second difference.

    Beyond an end lies zero (sines), or the image's border, with no edge across it
    (cosines).
    """
    matrix = 2 * np.eye(size) - np.eye(size, k=1) - np.eye(size, k=-1)
    matrix[0, 0] -= natural_start
    matrix[-1, -1] -= natural_end
    values, vectors = np.linalg.eigh(matrix)
    return vectors, values
