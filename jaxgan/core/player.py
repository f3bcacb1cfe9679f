"""A player: a named optimiser over named networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxgan.core.types import Params, Scalar

Schedule = Callable[[Any], Any]  # count of the player's own updates -> value


class Player(NamedTuple):
    """An optax transformation that also knows its networks and its learning rate.

    It is used wherever optax takes a `GradientTransformation`: it has `init` and
    `update`. The parameters it sees are `{network: parameters}` of its networks.
    """

    init: Callable[[Params], Any]
    update: Callable[..., tuple[Params, Any]]
    networks: tuple[str, ...]
    learning_rate: Schedule

    def current_learning_rate(self, opt_state: Any) -> Scalar:
        """The rate of the next update; `opt_state` is this player's."""
        return jnp.asarray(self.learning_rate(updates_done(opt_state)), jnp.float32)


def player(
    networks: tuple[str, ...],
    transform: optax.GradientTransformation,
    learning_rate: float | Schedule,
) -> Player:
    """Joins `transform` (without a rate, such as `optax.scale_by_adam()`) to a rate.

    Args:
      networks: names of the networks this player trains.
      transform: turns gradients into a descent direction of unit rate.
      learning_rate: a number, or a schedule over this player's own updates.
    """
    rate = learning_rate if callable(learning_rate) else lambda count: learning_rate
    chain = optax.chain(
        transform, optax.scale_by_schedule(lambda count: -jnp.asarray(rate(count)))
    )
    return Player(chain.init, chain.update, tuple(networks), rate)


def updates_done(opt_state: Any) -> Any:
    """How many updates the player of this state has made."""
    return opt_state[-1].count


def scaled(player: Player, factor: Any) -> Player:
    """A player with a rate `factor` times as high; the factor may be traced: for a
    schedule over steps where the player's own updates are fewer."""

    def update(gradients: Params, state: Any, params: Any = None) -> tuple[Params, Any]:
        updates, state = player.update(gradients, state, params)
        return jax.tree.map(lambda x: factor * x, updates), state

    return player._replace(
        update=update, learning_rate=lambda count: factor * player.learning_rate(count)
    )


def adam(
    networks: tuple[str, ...],
    learning_rate: float | Schedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    l2: float = 0.0,
) -> Player:
    """Adam (Kingma and Ba, 2015), with `l2 * parameter` added to the gradients before
    the moments if `l2` is set (coupled weight decay, as torch's and Theano's)."""
    transform = optax.scale_by_adam(b1=b1, b2=b2, eps=eps)
    if l2:
        transform = optax.chain(optax.add_decayed_weights(l2), transform)
    return player(networks, transform, learning_rate)


def linear_decay(
    rate: float,
    constant_steps: int,
    decay_steps: int,
    steps_per_epoch: int = 1,
    floor_fix: bool = False,
) -> Schedule:
    """Constant, then linear to zero, changed once an epoch: CycleGAN's `linear` policy.

    In epoch e, counted from 1, the factor is
    `1 - max(0, e + 1 - n_constant) / (n_decay + 1)`: the reference's last epoch has
    rate 0 and trains nothing. Without epochs of decay the rate is constant.

    Args:
      rate: the constant rate.
      constant_steps: steps at the constant rate.
      decay_steps: steps of decay.
      steps_per_epoch: how many steps share one rate; 1 decays every step, and so does
        a number that does not divide both lengths, as in a published run cut short.
      floor_fix: count epochs from 0, so that the last epoch still trains.

    References: junyanz/pytorch-CycleGAN-and-pix2pix, `models/networks.py`.
    """
    if constant_steps % steps_per_epoch or decay_steps % steps_per_epoch:
        steps_per_epoch = 1
    constant, decay = constant_steps // steps_per_epoch, decay_steps // steps_per_epoch
    if not decay:  # the formula would take the last constant epoch to 0
        return lambda count: rate

    def schedule(count: Any) -> Array:
        epoch = count // steps_per_epoch + (0 if floor_fix else 1)
        factor = 1.0 - jnp.maximum(0, epoch + 1 - constant) / (decay + 1)
        return rate * jnp.maximum(factor, 0.0)

    return schedule
