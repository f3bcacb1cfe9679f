"""Conversion rules, each against numbers or against the operation it must preserve."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxgan.core.errors import UserError
from jaxgan.networks.layers import ConvTranspose
from jaxgan.pretrained import convert
from jaxgan.pretrained.convert import Naming


def test_conv_kernel_goes_from_output_first_to_output_last():
    weight = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    kernel = convert.conv_kernel(weight)
    assert kernel.shape == (4, 5, 3, 2)
    assert kernel[1, 2, 0, 1] == weight[1, 0, 1, 2]


def test_flattened_dense_rows_stand_in_the_stated_order():
    weight = np.arange(12).reshape(1, 12)
    kernel = convert.flattened_dense_kernel(weight, (3, 2, 2))
    assert kernel[:, 0].tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]


def test_flattened_dense_kernel_gives_the_same_outputs():
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(5, 3 * 2 * 4))
    x = generator.normal(size=(7, 2, 4, 3))  # NHWC
    channels_first = x.transpose(0, 3, 1, 2).reshape(7, -1)
    kernel = convert.flattened_dense_kernel(weight, (3, 2, 4))
    np.testing.assert_allclose(x.reshape(7, -1) @ kernel, channels_first @ weight.T)


def test_folded_batch_norm_has_the_stated_numbers():
    one = np.ones(1)
    kernel, bias = convert.fold_batch_norm(
        one[:, None], 0 * one, 1.2 * one, -0.3 * one, 0.4 * one, 0.9 * one, 1e-3
    )
    np.testing.assert_allclose(kernel[0, 0], 1.264208921, atol=5e-10)
    np.testing.assert_allclose(bias[0], -0.805683568, atol=5e-10)


@pytest.mark.parametrize("k, s, p", [(4, 2, 0), (16, 8, 0), (4, 2, 1)])
def test_transposed_conv_kernels_take_the_same_transposition(k, s, p):
    # Torch's definition: every input pixel adds its weighted (in, out, k, k) window.
    generator = np.random.default_rng(1)
    weight = generator.normal(size=(2, 3, k, k)).astype(np.float32)
    x = generator.normal(size=(1, 4, 5, 2)).astype(np.float32)
    full = np.zeros((1, 3 * s + k, 4 * s + k, 3))
    for i in range(4):
        for j in range(5):
            window = np.einsum("bi,iohw->bhwo", x[:, i, j], weight)
            full[:, i * s : i * s + k, j * s : j * s + k] += window
    expected = full[:, p : full.shape[1] - p, p : full.shape[2] - p]
    params = {"params": {"kernel": jnp.asarray(convert.conv_kernel(weight))}}
    x = jnp.asarray(x)
    ours = ConvTranspose(3, k, s, p, use_bias=False).apply(params, x)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    padding = [(k - 1 - p, k - 1 - p)] * 2
    flax = nn.ConvTranspose(
        3, (k, k), (s, s), padding, use_bias=False, transpose_kernel=True
    ).apply(params, x)
    np.testing.assert_allclose(flax, expected, atol=1e-5)


class _Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Conv(3, (3, 3), name="conv_0")(x)
        x = nn.BatchNorm(use_running_average=True, name="conv_1")(x)
        return nn.Dense(2, name="fc1_2")(x.reshape(x.shape[0], -1))


class _Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return _Block(name="body")(x)


def _expected():
    x = np.zeros((1, 4, 4, 2), np.float32)
    return jax.eval_shape(lambda: _Net().init(jax.random.key(0), x))


NAMING = Naming(torch={"body.conv.0": "body/conv_0", "body.conv.1": "body/conv_1"})


def _state_dict():
    shapes = convert.torch_shapes(_expected(), NAMING)
    return {
        key: np.full(shape, i, np.float32)
        for i, (key, shape) in enumerate(sorted(shapes.items()))
    }


def test_torch_names_follow_the_general_rule():
    assert convert.torch_shapes(_expected(), NAMING) == {
        "body.conv.0.weight": (3, 2, 3, 3),
        "body.conv.0.bias": (3,),
        "body.conv.1.weight": (3,),
        "body.conv.1.bias": (3,),
        "body.conv.1.running_mean": (3,),
        "body.conv.1.running_var": (3,),
        "body.fc1_2.weight": (2, 48),
        "body.fc1_2.bias": (2,),
    }


@pytest.mark.parametrize("prefix", ["", "module."], ids=["plain", "parallel"])
def test_generic_rule_imports_numbered_modules_and_statistics(prefix):
    state = _state_dict()
    arrays = {prefix + key: value for key, value in state.items()}
    arrays[f"{prefix}body.conv.1.num_batches_tracked"] = np.array(7)
    variables = convert.to_variables(arrays, _expected())
    body = variables["params"]["body"]
    assert body["conv_0"]["kernel"].shape == (3, 3, 2, 3)
    assert body["conv_1"]["scale"][0] == state["body.conv.1.weight"][0]
    assert body["fc1_2"]["kernel"].shape == (48, 2)
    statistics = variables["batch_stats"]["body"]["conv_1"]
    assert statistics["mean"][0] == state["body.conv.1.running_mean"][0]
    assert statistics["var"][0] == state["body.conv.1.running_var"][0]


def test_tables_rename_by_the_longest_prefix():
    naming = Naming(torch={"trunk": "body", "trunk.head": "body/fc1_2"})
    state = _state_dict()
    arrays = {
        key.replace("body.fc1_2", "trunk.head").replace("body", "trunk"): value
        for key, value in state.items()
    }
    variables = convert.to_variables(arrays, _expected(), naming)
    np.testing.assert_array_equal(
        variables["params"]["body"]["fc1_2"]["kernel"],
        state["body.fc1_2.weight"].T,
    )


def test_missing_and_unexpected_names_are_listed_ten_at_most():
    arrays = _state_dict()
    del arrays["body.conv.0.weight"]
    arrays |= {f"extra.{i:02}.weight": np.zeros(1) for i in range(12)}
    with pytest.raises(UserError) as caught:
        convert.to_variables(arrays, _expected(), where="file")
    message = str(caught.value)
    assert "file: missing body/conv_0/kernel; unexpected extra.00.weight" in message
    assert "extra.09.weight and 2 more" in message
    assert "extra.10" not in message
    assert "\n" not in message


def test_wrong_shape_names_the_tensor_and_both_shapes():
    arrays = _state_dict()
    arrays["body.conv.0.weight"] = np.zeros((3, 5, 3, 3))
    with pytest.raises(UserError, match="body/conv_0/kernel: expected") as caught:
        convert.to_variables(arrays, _expected())
    assert "expected (3, 3, 2, 3), file has (3, 3, 5, 3)" in str(caught.value)


def test_ignored_patterns_must_match_the_whole_key():
    arrays = _state_dict() | {"aux.weight": np.zeros(1), "not_aux.weight": np.zeros(1)}
    with pytest.raises(UserError, match="unexpected not_aux.weight;"):
        convert.to_variables(arrays, _expected(), Naming(ignored=(r"aux\..*",)))
