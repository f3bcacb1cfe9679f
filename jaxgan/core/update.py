"""One update of an adversarial procedure: backward, apply, commit statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Bool

from jaxgan.core import placement
from jaxgan.core.player import Player
from jaxgan.core.state import TrainState
from jaxgan.core.types import Key, Metrics, Params, Scalar


class Out(NamedTuple):
    """What a loss hands out beside its total.

    Attributes:
      metrics: `{term: scalar}`. `update` files them as `loss/<player>/<term>`; a name
        with a slash, such as `accuracy/discriminator`, is kept as it is.
      stats: `{network: new collections}`; only those named by `commit` are kept.
      values: arrays `[b, ...]` that later updates of the step use, such as fakes.
    """

    metrics: Metrics = {}
    stats: dict[str, Params] = {}
    values: dict[str, Any] = {}


class Fixed(struct.PyTreeNode):
    """What a loss reads and does not train.

    Attributes:
      params: `{network: parameters}` of every network, as they were before the update.
      stats: `{network: other collections}` of every network.
      frozen: pretrained networks from outside the run.
    """

    params: dict[str, Params]
    stats: dict[str, Params]
    frozen: dict[str, Params]


LossFn = Callable[..., tuple[Scalar, Out]]


def global_norm(tree: Any) -> Scalar:
    """Root of the sum of squares of all leaves, in float32 at least."""
    squares = [jnp.sum(jnp.square(at_least_float32(x))) for x in jax.tree.leaves(tree)]
    return jnp.sqrt(sum(squares, start=jnp.zeros((), jnp.float32)))


def at_least_float32(x: Any) -> Any:
    """Half-precision values as float32; wider ones as they are."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def apply_gradients(
    state: TrainState,
    optimizers: Mapping[str, Player],
    players: Sequence[str],
    gradients: Mapping[str, Params],
) -> tuple[TrainState, Metrics]:
    """Applies gradients to the networks of `players`, each by its own optimiser.

    Args:
      state: the state before.
      optimizers: `{player: Player}` of the system.
      players: who moves.
      gradients: `{network: gradients}`; networks of no named player are ignored.

    Returns:
      The new state, and `learning_rate/<player>` and `gradient_norm/<player>`.
    """
    params, opt_state, metrics = {**state.params}, {**state.opt_state}, {}
    for name in players:
        player = optimizers[name]
        mine = {n: params[n] for n in player.networks}
        grads = {n: gradients[n] for n in player.networks}
        metrics[f"learning_rate/{name}"] = player.current_learning_rate(opt_state[name])
        metrics[f"gradient_norm/{name}"] = global_norm(grads).astype(jnp.float32)
        updates, opt_state[name] = player.update(grads, opt_state[name], mine)
        moved: Any = optax.apply_updates(mine, updates)
        params.update(moved)
    return state.replace(params=params, opt_state=opt_state), metrics


def update(
    state: TrainState,
    loss: LossFn,
    players: Sequence[str],
    *args: Any,
    optimizers: Mapping[str, Player],
    frozen: Mapping[str, Params] | None = None,
    gate: Bool[Array, ""] | Callable[[Metrics], Bool[Array, ""]] | None = None,
    commit: Sequence[str] = (),
    key: Key | None = None,
    microbatches: int = 1,
) -> tuple[TrainState, Out]:
    """Differentiates `loss`, moves `players`, commits the named statistics.

    `loss(trained, fixed, *args)` returns `(total, Out)`; `trained` is
    `{network: parameters}` of the players' networks and is what is differentiated.

    Args:
      state: the state before.
      loss: the loss of this update, minimised by all of `players` together.
      players: names in `optimizers`.
      *args: arrays (or trees of arrays) whose first axis is the batch; split over the
        devices of the mesh, if the step sees one, so that what it drew itself is too.
      optimizers: `{player: Player}` of the system.
      frozen: pretrained networks; reach the loss as `fixed.frozen`.
      gate: a replicated scalar; where it is false the loss is evaluated but nothing is
        differentiated, moved or committed (one `lax.cond` around all of it). Or a
        function of the loss's own metrics: then the loss is evaluated once, before the
        gate, and what follows is under it.
      commit: networks whose new statistics are kept.
      key: handed to the loss as `key=...`, folded with the microbatch's number.
      microbatches: accumulate the gradients over this many parts of the batch, so that
        memory holds the activations of one part. Equal to the whole batch for losses
        that are means over it and networks without batch statistics.

    A profile and the operations of the compiled program name all of it
    `update_<player>`.

    Returns:
      The new state and the loss's `Out`, metrics under their full names:
      `loss/<player>`, `loss/<player>/<term>`, `learning_rate/<player>`,
      `gradient_norm/<player>` (zero where the gate is closed). Several players that
      share a loss share the name `a+b`.
    """
    networks = [n for name in players for n in optimizers[name].networks]
    trained = {n: state.params[n] for n in networks}
    fixed = Fixed(params=state.params, stats=state.stats, frozen=dict(frozen or {}))
    label = "+".join(players)
    args = placement.over_batch(args)

    def part(i: int) -> tuple[tuple, dict]:
        options = {} if key is None else {"key": jax.random.fold_in(key, i)}
        return jax.tree.map(lambda x: _slice(x, i, microbatches), args), options

    def over_parts(evaluate: Callable) -> tuple[Any, Scalar, Out]:
        """Unrolled: a scan would hide flops and runs slowly on a CPU."""
        grads, total, outs, stats = None, jnp.zeros(()), [], fixed.stats
        for i in range(microbatches):
            arguments, options = part(i)
            value, out, g = evaluate(fixed.replace(stats=stats), arguments, options)
            stats = {**stats, **{n: out.stats[n] for n in commit}}
            grads = g if grads is None else jax.tree.map(jnp.add, grads, g)
            total, outs = total + value, [*outs, out]
        mean = lambda x: x / microbatches if microbatches > 1 else x  # noqa: E731
        metrics = {k: mean(sum(o.metrics[k] for o in outs)) for k in outs[0].metrics}
        values = jax.tree.map(lambda *x: _join(x), *[o.values for o in outs])
        grads = jax.tree.map(mean, grads)
        return grads, mean(total), Out(metrics, {n: stats[n] for n in commit}, values)

    def applied(
        state: TrainState, grads: Mapping[str, Params], total: Scalar, out: Out
    ) -> tuple[TrainState, Out]:
        state, told = apply_gradients(state, optimizers, players, grads)
        state = state.replace(stats={**state.stats, **out.stats})
        return state, out._replace(metrics=_named(label, total, out.metrics) | told)

    def skipped(state: TrainState, total: Scalar, out: Out) -> tuple[TrainState, Out]:
        out = out._replace(stats={n: state.stats[n] for n in commit})
        rates = {
            f"learning_rate/{n}": optimizers[n].current_learning_rate(
                state.opt_state[n]
            )
            for n in players
        }
        norms = {f"gradient_norm/{n}": jnp.zeros((), jnp.float32) for n in players}
        return state, out._replace(
            metrics=_named(label, total, out.metrics) | rates | norms
        )

    def open_(state: TrainState) -> tuple[TrainState, Out]:
        def evaluate(
            fixed: Fixed, arguments: tuple, options: dict
        ) -> tuple[Scalar, Out, Params]:
            (value, out), grads = jax.value_and_grad(loss, has_aux=True)(
                trained, fixed, *arguments, **options
            )
            return value, out, grads

        return applied(state, *over_parts(evaluate))

    def closed(state: TrainState) -> tuple[TrainState, Out]:
        def evaluate(
            fixed: Fixed, arguments: tuple, options: dict
        ) -> tuple[Scalar, Out, Params]:
            value, out = loss(trained, fixed, *arguments, **options)
            return value, out, ()

        return skipped(state, *over_parts(evaluate)[1:])

    with jax.named_scope(f"update_{label}"):
        if gate is None:
            return open_(state)
        if not callable(gate):
            return jax.lax.cond(gate, open_, closed, state)

        pulls = []

        def forward_only(
            fixed: Fixed, arguments: tuple, options: dict
        ) -> tuple[Scalar, Out, Params]:
            value, pull, out = jax.vjp(
                lambda own: loss(own, fixed, *arguments, **options),
                trained,
                has_aux=True,
            )
            pulls.append(lambda: pull(jnp.ones_like(value) / microbatches)[0])
            return value, out, ()

        _, total, out = over_parts(forward_only)

        def backward(state: TrainState) -> tuple[TrainState, Out]:
            grads = jax.tree.map(lambda *g: sum(g), *[pull() for pull in pulls])
            return applied(state, grads, total, out)

        return jax.lax.cond(
            gate(out.metrics), backward, lambda state: skipped(state, total, out), state
        )


def _named(label: str, total: Scalar, metrics: Metrics) -> Metrics:
    terms = {k if "/" in k else f"loss/{label}/{k}": v for k, v in metrics.items()}
    return {f"loss/{label}": total, **terms}


def _slice(x: Array, i: int, parts: int) -> Array:
    """Every parts-th example, from i: a sharded batch axis stays where it is."""
    if parts == 1:
        return x
    return x.reshape(x.shape[0] // parts, parts, *x.shape[1:])[:, i]


def _join(parts: Sequence[Array]) -> Array:
    """Undoes `_slice`."""
    if len(parts) == 1:
        return parts[0]
    return jnp.stack(parts, axis=1).reshape(-1, *parts[0].shape[1:])
