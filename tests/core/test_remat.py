"""`core.rematerialized`: what is kept, and what is computed again."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import print_saved_residuals

from jaxgan import core
from jaxgan.networks.layers import Conv, ConvTranspose
from jaxgan.networks.norms import Norm


class Layers(nn.Module):
    """Every kind of product, each followed by a norm and an activation."""

    size: int

    @nn.compact
    def __call__(self, x, *, train):
        def norm_relu(x):
            return jax.nn.relu(Norm("batch")(x, train=train))

        x = norm_relu(Conv(4, 5, 2, 2)(x))  # of 4 px by phases
        x = norm_relu(ConvTranspose(4)(x))
        x = norm_relu(nn.Conv(4, (3, 3))(x))
        x = nn.Dropout(0.5)(nn.Dense(4)(x), deterministic=not train)
        return jnp.sum(jax.nn.relu(x) ** 2)


@pytest.fixture(params=[4, 16])
def network(request, key):
    x = jax.random.normal(key, (2, request.param, request.param, 3))
    module = Layers(request.param)
    variables = module.init(key, x, train=False)
    stats = {"batch_stats": variables["batch_stats"]}
    return (
        lambda remat: (
            lambda params, x: core.forward(
                module, params, stats, x, key=key, remat=remat, train=True
            )
        ),
        variables["params"],
        x,
    )


@pytest.mark.parametrize("remat", core.REMAT)
def test_values_gradients_and_statistics_do_not_depend_on_it(network, remat):
    run, params, x = network
    found, wanted = (
        jax.jit(jax.value_and_grad(run(how), (0, 1), has_aux=True))(params, x)
        for how in (remat, "none")
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-6), found, wanted
    )


@pytest.mark.parametrize(("remat", "kept"), [("full", 0), ("convs", 4)])
def test_only_what_it_names_is_kept(network, remat, kept, capsys):
    run, params, x = network
    print_saved_residuals(lambda *a: run(remat)(*a)[0], params, x)
    lines = capsys.readouterr().out.splitlines()
    inside = [x for x in lines if "argument" not in x and "constant" not in x]
    products = ("named 'convolution'", "conv_general_dilated", "dot_general")
    assert all(any(word in line for word in products) for line in inside), inside
    assert len(inside) == kept
