"""The least flops that one step of each system's algorithm can cost.

A row of `MINIMUM` adds up the passes that the algorithm makes: forwards, backwards to
parameters, backwards to inputs. Each pass is compiled alone and counted by
`jaxgan.planning.hlo`, so that nothing but repeated work can set a step above the sum.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from jaxgan import pretrained
from jaxgan.planning import hlo


class Pieces:
    """Flops of single passes of a system's networks, each compiled alone.

    They are compiled on the CPU, where the count is exact. There wide layers in float32
    take fewer products (`ops.winograd`), so that steps elsewhere are held to more.

    Attributes:
      system: whose networks, trained and pretrained, are meant.
      state: the state (or its shapes) that holds their parameters.
      frozen: the pretrained networks (or their shapes).
      plain: whether layers have the forms that they have on accelerators.
    """

    def __init__(
        self, system: Any, state: Any, frozen: Any = None, plain: bool = False
    ):
        self.system, self.state, self.frozen = system, state, frozen or {}
        self.plain = plain
        self._known: dict[tuple, float] = {}

    def forward(self, name: str, *inputs: Any, output: str | None = None) -> float:
        """One forward pass.

        Args:
          name: of the network.
          *inputs: arrays or shape structs.
          output: only what this entry of the network's outputs needs.
        """
        return self._count(name, inputs, output, None)

    def to_params(self, name: str, *inputs: Any, output: str | None = None) -> float:
        """Forward, and backward to the parameters."""
        return self._count(name, inputs, output, 0)

    def to_inputs(self, name: str, *inputs: Any, output: str | None = None) -> float:
        """Forward, and backward to the first input."""
        return self._count(name, inputs, output, 1)

    def to_both(self, name: str, *inputs: Any, output: str | None = None) -> float:
        """Forward, and backward to the parameters and the first input."""
        return self._count(name, inputs, output, (0, 1))

    def _count(self, name: str, inputs: tuple, output: str | None, wrt: Any) -> float:
        shapes = tuple((tuple(x.shape), str(x.dtype)) for x in inputs)
        known = name, shapes, output, wrt
        if known not in self._known:
            apply, params = self._network(name)

            def scalar(params: Any, first: Any, rest: Any, key: Any) -> Any:
                out = apply(params, first, *rest, key=key)
                leaves = jax.tree.leaves(out if output is None else out[output])
                return sum(jnp.sum(jnp.square(leaf)) for leaf in leaves)

            fn = scalar if wrt is None else jax.grad(scalar, wrt)
            first, *rest = (jax.ShapeDtypeStruct(x.shape, x.dtype) for x in inputs)
            params = jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params
            )
            key = jax.eval_shape(lambda: jax.random.key(0))
            with _on_cpu():
                arguments = params, first, tuple(rest), key
                run = jax.jit(fn)
                if self.plain:
                    run = jax.jit(_as_elsewhere(run, arguments))
                compiled = run.lower(*arguments).compile(hlo.QUICK)
            self._known[known] = hlo.flops(compiled)
        return self._known[known]

    def _network(self, name: str) -> tuple[Callable[..., Any], Any]:
        """`apply(params, *inputs, key=)` and what it takes as params."""
        if name in self.frozen:
            module = self.system.pretrained()[name].module
            return (
                lambda weights, image, key: pretrained.extract(module, weights, image),
                self.frozen[name],
            )
        module, stats = self.system.networks()[name], self.state.stats[name]

        def apply(params: Any, *inputs: Any, key: Any) -> Any:
            zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), stats)
            out = module.apply(
                {"params": params, **zeros},
                *inputs,
                train=True,
                mutable=list(stats) or False,
                rngs={"dropout": key},
            )
            return out[0] if stats else out

        return apply, self.state.params[name]


def _as_elsewhere(fn: Any, arguments: Any) -> Callable[..., Any]:
    """The function as accelerators are given it, of operations that CPUs know."""
    unchecked = [jax.export.DisabledSafetyCheck.platform()]
    export = jax.export.export(fn, platforms=("tpu",), disabled_checks=unchecked)
    return export(*arguments).call


@contextlib.contextmanager
def _on_cpu() -> Iterator[None]:
    try:
        cpu = jax.devices("cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS names another platform alone
        yield
        return
    with jax.default_device(cpu):
        yield


def _like(x: Any, *shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, x.dtype)


def cyclegan(system: Any, piece: Pieces, batch: Any) -> float:
    image = batch["a"]
    generator = piece.to_params("generator_ab", image) + piece.to_both(
        "generator_ab", image
    )
    if system.lambda_identity:
        generator += piece.to_params("generator_ab", image)
    discriminator = piece.to_inputs("discriminator_a", image) + 2 * piece.to_params(
        "discriminator_a", image
    )
    if not system.pool_size:  # both updates judge the same fakes by the same weights
        discriminator -= piece.forward("discriminator_a", image)
    return 2 * (generator + discriminator)


def dcgan(system: Any, piece: Pieces, batch: Any) -> float:
    image, *labels = (
        _like(x, x.shape[0], *x.shape[2 if system.n_critic > 1 else 1 :])
        for x in (batch[name] for name in ("image", "label") if name in batch)
    )
    z = _like(image, image.shape[0], system.z_dim)
    critic = piece.forward("generator", z, *labels) + 2 * piece.to_params(
        "discriminator", image, *labels
    )
    generator = piece.to_params("generator", z, *labels) + piece.to_inputs(
        "discriminator", image, *labels
    )
    total = system.n_critic * critic + system.g_steps * generator
    if system.reuse_noise:  # the first update of G sees the fakes of D's last one
        total -= piece.forward("generator", z, *labels)
    return total


def gan(system: Any, piece: Pieces, batch: Any) -> float:
    image = batch["image"]
    z = _like(image, image.shape[0], system.z_dim)
    return (
        piece.to_params("generator", z)
        + 2 * piece.to_params("discriminator", image)
        # Both move from one forward pass.
        + piece.to_inputs("discriminator", image)
        - piece.forward("discriminator", image)
    )


def gan3d(system: Any, piece: Pieces, batch: Any) -> float:
    voxels = batch["voxels"]
    z = _like(voxels, voxels.shape[0], system.z_dim)
    return (
        piece.forward("generator", z)
        + 2 * piece.to_params("discriminator", voxels)
        + piece.to_params("generator", z)  # on fresh noise
        + piece.to_inputs("discriminator", voxels)
    )


def pix2pix(system: Any, piece: Pieces, batch: Any) -> float:
    a, b = batch["a"], batch["b"]
    total = piece.to_params("generator", a)
    if system.lambda_gan:
        channels = b.shape[-1] + (a.shape[-1] if system.conditional else 0)
        judged = _like(b, *b.shape[:-1], channels)
        total += 2 * piece.to_params("discriminator", judged)
        total += piece.to_inputs("discriminator", judged)
    return total


def _srgan_content(system: Any, piece: Pieces, batch: Any, content: str) -> float:
    if content == "mse":
        return 0.0
    hr, tap = batch["hr"], system._tap(content)
    real = piece.forward("vgg19", hr, output=tap)
    return real + piece.to_inputs("vgg19", hr, output=tap)


def srresnet(system: Any, piece: Pieces, batch: Any) -> float:
    content = _srgan_content(system, piece, batch, system.pretrain_content)
    return content + piece.to_params("generator", batch["lr"])


def srgan(system: Any, piece: Pieces, batch: Any) -> float:
    hr = batch["hr"]
    total = _srgan_content(system, piece, batch, system.content)
    total += piece.to_params("generator", batch["lr"])
    if system.lambda_adversarial:
        total += 2 * piece.to_params("discriminator", hr)
        total += piece.to_inputs("discriminator", hr)
        if system.update_order == "g_first":  # both judge the fake by the same weights
            total -= piece.forward("discriminator", hr)
    return total


# <system>/<stage>: minimum(system, piece, batch), of one step with gates open,
# rematerialisation and accumulation off. `batch` holds arrays or shape structs.
MINIMUM: dict[str, Callable[[Any, Pieces, Any], float]] = {
    "cyclegan/cyclegan": cyclegan,
    "dcgan/dcgan": dcgan,
    "gan/gan": gan,
    "gan3d/gan3d": gan3d,
    "pix2pix/pix2pix": pix2pix,
    "srgan/srgan": srgan,
    "srgan/srresnet": srresnet,
}
