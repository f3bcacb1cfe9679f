"""Search of a latent space: the point whose image fits best, for many at once.

References: Yeh et al., "Semantic Image Inpainting with Deep Generative Models", CVPR
2017, section 4; the Hamiltonian sampler is that of bamos/dcgan-completion.tensorflow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxgan.core.errors import one_of
from jaxgan.core.latent import project_latent
from jaxgan.core.types import Key, Latent

OPTIMIZERS = ("adam", "nesterov", "hmc")
SELECT = ("best", "last")
LossOfLatent = Callable[[Any], Any]  # z [b, z] -> one loss an example [b]

LEAPFROG_STEPS = 100
LEAPFROG_SIZE = 1e-3
INVERSE_TEMPERATURE = 0.2


class LatentSearch(NamedTuple):
    """What a search found; of `ranked`, an axis of restarts follows the first.

    Attributes:
      z: `[b, z]` or `[b, restarts, z]`, the latents.
      loss: `[b]` or `[b, restarts]`, their losses.
      curve: `[b, k]` or `[b, restarts, k]`, the losses of the first latents, then of
        every `every`-th.
    """

    z: Float[Array, "*b z"]
    loss: Float[Array, "*b"]
    curve: Float[Array, "*b k"]

    def best_of(self, restarts: int) -> LatentSearch:
        """The best of each example's `restarts` neighbouring searches."""
        return jax.tree.map(lambda x: x[:, 0], self.ranked(restarts))

    def ranked(self, restarts: int) -> LatentSearch:
        """Each example's searches on an axis after the first, the best first."""
        loss = self.loss.reshape(-1, restarts)
        order = jnp.argsort(loss, axis=1)

        def rank(x: Array) -> Array:
            x = x.reshape(-1, restarts, *x.shape[1:])
            return jnp.take_along_axis(
                x, order.reshape(*order.shape, *[1] * (x.ndim - 2)), axis=1
            )

        return LatentSearch(rank(self.z), rank(self.loss), rank(self.curve))


def optimize_latent(
    loss: LossOfLatent,
    z: Latent,
    *,
    num_iters: int = 1500,
    learning_rate: float | Float[Array, ""] = 0.01,
    optimizer: str = "adam",
    decay: float = 1.0,
    decay_every: int = 100,
    prior: str = "uniform",
    select: str = "best",
    every: int = 1,
    key: Key | None = None,
) -> LatentSearch:
    """Minimises `loss` over z; nothing else moves, and examples do not meet.

    One `scan`, without a round trip to the host. After every update z is put back into
    the prior's support; the optimiser's moments are not. Adam is element-wise, so a
    batch of searches equals as many single ones, if `loss` keeps examples apart.

    Args:
      loss: one number an example; their sum is differentiated.
      z: where to start.
      num_iters: updates; for `hmc` the trajectories of 100 leapfrog steps.
      learning_rate: of `adam` (0.9, 0.999, 1e-8) and `nesterov` (momentum 0.9).
      optimizer: one of `OPTIMIZERS`.
      decay: factor of the learning rate after every `decay_every` updates.
      decay_every: see `decay`.
      prior: whose support z may not leave.
      select: `best`, the lowest loss that was met, or `last`.
      every: which part of the curve is kept; a divisor of `num_iters`.
      key: for `hmc`, which draws momenta and accepts by chance.

    Raises:
      UserError: for an unknown optimizer, selection or prior.
      ValueError: if `every` does not divide `num_iters`, or `hmc` has no key.
    """
    one_of(optimizer, OPTIMIZERS, "optimizer")
    one_of(select, SELECT, "select")
    if num_iters % every:
        raise ValueError(f"every={every} does not divide num_iters={num_iters}")

    def value_and_grad(z: Array) -> tuple[Array, Array]:
        value, pull = jax.vjp(loss, z)
        return value, pull(jnp.ones_like(value))[0]

    if optimizer == "hmc":
        if key is None:
            raise ValueError("optimizer='hmc' needs a key")
        start, move = _hamiltonian(value_and_grad, prior, key)
    else:
        rate = lambda i: -learning_rate * decay ** (i // decay_every)  # noqa: E731
        paced = optax.scale_by_schedule(rate)
        transform = {
            "adam": lambda: optax.chain(
                optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8), paced
            ),
            # The velocity keeps the rates of its time, as in the references.
            "nesterov": lambda: optax.chain(paced, optax.trace(0.9, nesterov=True)),
        }[optimizer]()
        start, move = _descent(value_and_grad, prior, transform)

    # A gradient belongs to the point where its loss was taken, and the last point has
    # a loss too: so an iteration moves first and looks then.
    def iterate(carry: tuple, _: None) -> tuple[tuple, None]:
        i, z, value, grad, memory, best_z, best = carry
        z, value, grad, memory = move(i, z, value, grad, memory)
        better = value < best
        best_z = jnp.where(better[:, None], z, best_z)
        best = jnp.where(better, value, best)
        return (i + 1, z, value, grad, memory, best_z, best), None

    def stretch(carry: tuple, _: None) -> tuple[tuple, Array]:
        carry, _ = jax.lax.scan(iterate, carry, None, length=every)
        return carry, carry[2]

    value, grad = value_and_grad(z)
    carry = (jnp.int32(0), z, value, grad, start(z), z, value)
    carry, later = jax.lax.scan(stretch, carry, None, length=num_iters // every)
    curve = jnp.concatenate([value[None], later]).T
    _, z, value, _, _, best_z, best = carry
    if select == "best":
        return LatentSearch(best_z, best, curve)
    return LatentSearch(z, value, curve)


def _descent(
    value_and_grad: Callable, prior: str, transform: Any
) -> tuple[Callable, Callable]:
    def move(
        i: Int[Array, ""],
        z: Latent,
        value: Float[Array, " b"],
        grad: Latent,
        memory: Any,
    ) -> tuple[Latent, Float[Array, " b"], Latent, Any]:
        updates, memory = transform.update(grad, memory, z)
        z = project_latent(prior, z + updates)
        return z, *value_and_grad(z), memory

    return transform.init, move


def _hamiltonian(
    value_and_grad: Callable, prior: str, key: Key
) -> tuple[Callable, Callable]:
    def move(
        i: Int[Array, ""],
        z: Latent,
        value: Float[Array, " b"],
        grad: Latent,
        memory: Any,
    ) -> tuple[Latent, Float[Array, " b"], Latent, Any]:
        momentum_key, coin_key = jax.random.split(jax.random.fold_in(key, i))
        momentum = jax.random.normal(momentum_key, z.shape, z.dtype)
        kick = 0.5 * LEAPFROG_SIZE * INVERSE_TEMPERATURE

        def leap(_: Any, carry: tuple) -> tuple:
            z, value, grad, velocity = carry
            velocity = velocity - kick * grad
            z = project_latent(prior, z + LEAPFROG_SIZE * velocity)
            value, grad = value_and_grad(z)
            return z, value, grad, velocity - kick * grad

        new = jax.lax.fori_loop(0, LEAPFROG_STEPS, leap, (z, value, grad, momentum))
        energy = lambda value, v: (  # noqa: E731
            INVERSE_TEMPERATURE * value + 0.5 * jnp.sum(jnp.square(v), axis=1)
        )
        log_ratio = energy(value, momentum) - energy(new[1], new[3])
        coin = jax.random.uniform(coin_key, value.shape)
        accept = jnp.log(coin) < log_ratio
        choose = lambda a, b: jnp.where(  # noqa: E731
            accept.reshape(-1, *[1] * (a.ndim - 1)), a, b
        )
        z, value, grad = (
            choose(a, b) for a, b in zip(new[:3], (z, value, grad), strict=True)
        )
        return z, value, grad, memory

    return lambda z: (), move
