"""The comparison itself: conversions, tolerances, and records that hang together."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxgan.pretrained.probe import probe_image, probe_tensor
from tests.parity import compare

FOLDER = compare.Path(compare.__file__).parent
SYSTEMS = sorted(path.stem for path in FOLDER.glob("*.json"))


def _entry(array, name="x"):
    seed = compare.zlib.crc32(name.encode())
    vector = np.random.RandomState(seed).standard_normal(array.size)
    flat = array.ravel()
    return {
        "name": name,
        "shape": list(array.shape),
        "norm": float(np.linalg.norm(flat)),
        "probe": float(flat @ vector),
        "first": flat[:3].tolist(),
        "last": float(flat[-1]),
    }


def test_check_sees_shape_dtype_value_and_order():
    array = np.linspace(-1.0, 2.0, 24).reshape(2, 3, 4)
    entry = _entry(array)
    compare.check(entry, array * (1 + 1e-7))
    for wrong in (
        array * (1 + 3e-6),
        array[:, :, ::-1].copy(),
        array.reshape(3, 2, 4),
        array.astype(np.float32),
    ):
        with pytest.raises(AssertionError, match="x: "):
            compare.check(entry, wrong)
    middle = array.copy()
    middle[1, 1, [1, 2]] = middle[1, 1, [2, 1]]  # same norm, same ends
    with pytest.raises(AssertionError, match="probe"):
        compare.check(entry, middle, rtol=1e-6)


def test_check_bounds_the_norm_of_a_negligible_tensor():
    entry = {"name": "bias", "shape": [3], "negligible_below": 1e-9}
    compare.check(entry, np.full(3, 1e-12))
    with pytest.raises(AssertionError, match="negligible"):
        compare.check(entry, np.full(3, 1e-9))
    with pytest.raises(AssertionError, match="negligible"):
        compare.check(entry, np.full(3, np.nan))


@pytest.mark.parametrize(
    "info, rank",
    [
        ({"kind": "conv", "shape": [4, 3, 5, 2]}, 4),
        ({"kind": "conv", "shape": [4, 3, 5, 2], "flip": True}, 4),
        ({"kind": "conv", "shape": [8, 3, 2, 2], "pixel_shuffle": 2}, 4),
        ({"kind": "conv", "shape": [1, 3, 4, 4]}, 2),
        ({"kind": "conv_transpose", "shape": [3, 4, 2, 3, 5]}, 5),
        ({"kind": "conv_transpose", "shape": [3, 4, 2, 5]}, 2),
        ({"kind": "dense", "shape": [4, 24], "flatten": [2, 3, 4]}, 2),
        ({"kind": "dense", "shape": [24, 4], "unflatten": [2, 3, 4]}, 2),
        ({"kind": "scale", "shape": [24], "unflatten": [2, 3, 4]}, 1),
        ({"kind": "bias", "shape": [8], "pixel_shuffle": 2}, 1),
        ({"kind": "prelu", "shape": [1]}, 0),
    ],
    ids=lambda value: str(value),
)
def test_conversion_there_and_back_is_exact(info, rank):
    array = np.arange(np.prod(info["shape"]), dtype=np.float64).reshape(info["shape"])
    ours = compare.torch_to_flax(info, array, rank)
    assert ours.ndim == rank
    np.testing.assert_array_equal(compare.flax_to_torch(info, ours), array)


def test_dense_after_flatten_takes_rows_in_channels_last_order():
    info = {"kind": "dense", "shape": [1, 12], "flatten": [3, 2, 2]}
    rows = compare.torch_to_flax(info, np.arange(12.0)[None])[:, 0]
    assert rows.tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]


def test_dense_stands_for_a_convolution_as_large_as_its_input():
    info = {"kind": "conv", "shape": [2, 3, 4, 4]}
    kernel = probe_tensor("k.weight", (2, 3, 4, 4))
    x = probe_image(2, 4, 4, 3)
    dense = x.reshape(2, -1) @ compare.torch_to_flax(info, kernel, 2)
    # torch: sum over channel, row and column of x[b, c, h, w] * kernel[o, c, h, w].
    expected = np.einsum("bhwc,ochw->bo", x, kernel)
    np.testing.assert_allclose(dense, expected, rtol=1e-5)


def test_dense_stands_for_a_transposed_convolution_of_one_pixel():
    info = {"kind": "conv_transpose", "shape": [5, 3, 4, 4]}
    kernel = probe_tensor("k.weight", (5, 3, 4, 4))
    z = compare.probe_latent(2, 5)
    dense = (z @ compare.torch_to_flax(info, kernel, 2)).reshape(2, 4, 4, 3)
    expected = np.einsum("bi,iohw->bhwo", z, kernel)
    np.testing.assert_allclose(dense, expected, rtol=1e-5)


def test_probe_latent_and_voxels_are_the_formulas_of_the_readme():
    b, i = 1, 7
    z = compare.probe_latent(2, 9)
    assert z[b, i] == pytest.approx(np.sin(0.11 * i + 1.3 * b) * np.cos(0.23 * i))
    half = compare.probe_latent(2, 9, 0.0, 1.0)
    np.testing.assert_allclose(half, (z + 1) / 2, rtol=1e-6)
    voxels = compare.probe_voxels(2, 4)
    d, h, w = 2, 3, 1
    wave = np.sin(0.37 * d + 0.11 * h * (w + 1) + 1.3 * b)
    wave *= np.cos(0.05 * d * (b + 1) - 0.23 * h + 0.7 * w)
    assert voxels[b, d, h, w, 0] == float(wave > 0)


def test_official_tree_names_what_is_missing_or_misshapen():
    record = {"tensors": {"D.0.weight": {"kind": "conv", "shape": [4, 3, 2, 2]}}}
    like = {"conv": {"kernel": np.zeros((2, 2, 3, 4))}}
    names = {"conv/kernel": "D.0.weight"}
    tree = compare.official_tree(record, names, like)
    probe = probe_tensor("D.0.weight", (4, 3, 2, 2))
    assert tree["conv"]["kernel"][1, 0, 2, 3] == probe[3, 2, 1, 0]
    with pytest.raises(AssertionError, match="not named.*conv/bias"):
        compare.official_tree(
            record, names, {"conv": {**like["conv"], "bias": np.zeros(4)}}
        )
    with pytest.raises(AssertionError, match="D.0.weight"):
        compare.official_tree(record, names, {"conv": {"kernel": np.zeros((2, 2, 4))}})


def _patchgan(tree, x):
    """The PatchGAN of pix2pix with batch norm in train mode, written out."""
    for i, stride in ((0, 2), (1, 2), (2, 2), (3, 1), (4, 1)):
        layer = tree[f"conv_{i}"]
        x = lax.conv_general_dilated(
            x,
            layer["kernel"],
            (stride, stride),
            ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        x = x + layer["bias"] if "bias" in layer else x
        if f"norm_{i}" in tree:
            norm = tree[f"norm_{i}"]
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            x = (x - mean) * norm["scale"] / jnp.sqrt(var + 1e-5) + norm["bias"]
        x = jnp.maximum(x, 0.2 * x) if i < 4 else x
    return x


def test_a_patchgan_written_out_agrees_with_the_official_one_and_its_gradients():
    record = compare.load("pix2pix")
    names = {"conv_0/bias": "D.model.0.bias", "conv_4/bias": "D.model.11.bias"}
    for i, index in enumerate((0, 2, 5, 8, 11)):
        names[f"conv_{i}/kernel"] = f"D.model.{index}.weight"
    for i, index in enumerate((3, 6, 9), 1):
        names[f"norm_{i}/scale"] = f"D.model.{index}.weight"
        names[f"norm_{i}/bias"] = f"D.model.{index}.bias"
    like: dict = {}
    for path, name in names.items():
        info = record["tensors"][name]
        shape = compare.torch_to_flax(info, np.zeros(info["shape"])).shape
        parent, leaf = path.split("/")
        like.setdefault(parent, {})[leaf] = np.zeros(shape)
    with jax.enable_x64(True):
        tree = compare.official_tree(record, names, like)
        pictures = probe_image(4, 128, 128, 3).astype(np.float64)
        compare.check(record["outputs"]["real_B"], pictures[2:])
        pair = np.concatenate([pictures[:2], pictures[2:]], axis=-1)

        def real_term(tree):
            logits = _patchgan(tree, pair)
            return jnp.mean(jnp.logaddexp(0.0, -logits)), logits

        value_and_gradients = jax.jit(jax.value_and_grad(real_term, has_aux=True))
        (loss, logits), gradients = value_and_gradients(tree)
        compare.check(record["outputs"]["logits_real"], logits, rtol=1e-11)
        compare.check_scalars(record["losses"]["old"], {"D_real": loss}, rtol=1e-12)
        # The half of D's loss that comes from the real pair.
        compare.check_tree(
            record["gradients"]["old/D from half D_real alone"],
            record,
            names,
            jax.tree.map(lambda g: 0.5 * g, gradients),
            rtol=1e-10,
        )
        wrong = copy.deepcopy(gradients)
        wrong["conv_2"]["kernel"] = wrong["conv_2"]["kernel"][::-1]
        with pytest.raises(AssertionError, match="D.model.5.weight"):
            compare.check_tree(
                record["gradients"]["old/D from half D_real alone"],
                record,
                names,
                jax.tree.map(lambda g: 0.5 * g, wrong),
            )


@pytest.mark.parametrize("system", SYSTEMS)
def test_record_is_small_and_names_only_tensors_it_describes(system):
    assert (FOLDER / f"{system}.json").stat().st_size < 300_000
    record = compare.load(system)
    known = record["tensors"]
    groups = list(record["gradients"].values())
    after = record.get("after_step", {})  # forward-only records have none
    groups += [after[k] for k in ("updates", "statistics") if k in after]
    for group in groups:
        for name, entry in group.items():
            assert name == entry["name"]
            assert entry["shape"] == known[name]["shape"], name
    assert all(np.isfinite(v) for g in record["losses"].values() for v in g.values())
