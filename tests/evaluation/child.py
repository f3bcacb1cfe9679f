"""One of two processes that judge the same translations, each on its own devices."""

import json
import sys

import jax
import numpy as np


def main(address: str, rank: str) -> None:
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_num_cpu_devices", 2)
    jax.distributed.initialize(address, 2, int(rank), initialization_timeout=60)
    from jaxgan.evaluation import feature_network, parallel, protocols
    from jaxgan.training import sharding
    from tests.evaluation import stubs

    mesh = sharding.make_mesh({"data": -1, "model": 1})
    own = sharding.own_part(mesh)
    assert mesh.size == 4 and list(own.devices.flat) == jax.local_devices()
    everywhere = jax.jit(
        lambda: 2.0 * np.ones(3), out_shardings=sharding.replicated(mesh)
    )
    assert parallel.whole(everywhere(), own).sharding.device_set == set(
        own.devices.flat
    )

    feature_network.load = lambda options, pretrained: stubs.feature_network()
    feature_network.require = lambda options, pretrained: None
    images = stubs.noise(0, 5, 16, 16, 3)
    given = stubs.config("pix2pix", stubs.pairs(images, 255 - images), "paired")
    system = stubs.translator(lambda image, key: 0.5 * image)
    row = protocols.evaluate(system, {}, {}, given, own if rank == "0" else None)
    print(json.dumps(row))
    jax.distributed.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
