"""Many examples of any size through a mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxgan import core, ops
from jaxgan.inference import arguments, running
from jaxgan.inference.examples import plan
from tests.inference import toys
from tests.inference.conftest import gradient


def results(mode, given, *, num=None, seed=0, say=None, **options):
    found = arguments.read("toy", mode, given, arguments.Reader())
    examples = plan("toy", mode, found, num)
    runner = running.Runner(mode, {}, {}, found)
    told = [] if say is None else say
    made = running.run(runner, examples, jax.random.key(seed), told.append, **options)
    return {r.example.name: r for r in made}


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("multiple_of", [1, 32, 256])
def test_pictures_of_any_size_come_back_unpadded(photos, scale, multiple_of):
    made = results(toys.enlarge(scale, multiple_of), {"input": str(photos)})
    assert set(made) == {"a", "b", "below/grey"}
    for name, suffix in (("a", "png"), ("b", "jpg"), ("below/grey", "png")):
        picture = Image.open(photos / f"{name}.{suffix}").convert("RGB")
        wanted = np.asarray(picture).repeat(scale, axis=0).repeat(scale, axis=1)
        np.testing.assert_array_equal(made[name].outputs["image"], wanted)
        assert made[name].inputs["image"].shape == (picture.height, picture.width, 3)


def test_what_cannot_be_read_is_named_and_left_out(photos):
    told = []
    results(toys.enlarge(), {"input": str(photos)}, say=told)
    assert len(told) == 2
    assert told[0] == "empty.png: not an image file; skipped"
    assert told[1].startswith("torn.png: ") and told[1].endswith("; skipped")


@pytest.fixture
def sizes(tmp_path):
    """Ten pictures, all of different sizes."""
    for i in range(10):
        Image.fromarray(gradient(20 + i, 30 + 2 * i)).save(tmp_path / f"{i}.png")
    return tmp_path


def counting(mode):
    """The mode, and the shapes that it was traced with."""
    traced = []

    def fn(variables, frozen, given, key):
        traced.append(next(iter(given.values())).shape)
        return mode.fn(variables, frozen, given, key)

    return core.Mode(fn, mode.inputs, mode.output, ()), traced


def test_few_programs_serve_many_sizes(sizes):
    mode, traced = counting(toys.enlarge(multiple_of=4))
    told = []
    made = results(mode, {"input": str(sizes)}, max_shapes=3, say=told)
    assert len(made) == 10 and len(traced) <= 4
    assert len(told) == 1
    assert f"10 sizes are padded to {len(traced)}, by at most 30%" in told[0]
    for i in range(10):
        np.testing.assert_array_equal(
            made[str(i)].outputs["image"], gradient(20 + i, 30 + 2 * i)
        )


@pytest.mark.parametrize(("scale", "size"), [(1, 8), (2, 2)])
def test_a_batch_is_as_large_as_its_results_allow(photos, monkeypatch, scale, size):
    monkeypatch.setattr(running, "PIXELS", 8 * 40 * 50)
    call, taken = running.Runner.__call__, []

    def counted(runner, arrays, keys):
        taken.append(len(keys))
        return call(runner, arrays, keys)

    monkeypatch.setattr(running.Runner, "__call__", counted)
    for i in range(8):
        (photos / f"a{i}.png").write_bytes((photos / "a.png").read_bytes())
    assert len(results(toys.enlarge(scale), {"input": str(photos)}, num=9)) == 9
    assert max(taken) == size


def test_the_last_batch_is_of_the_compiled_size():
    mode, traced = counting(toys.noise())
    made = results(mode, {}, num=11, batch_size=4)
    assert len(made) == 11 and len(traced) == 1


def test_examples_that_share_statistics_are_not_padded_with_copies():
    def fn(given, key):
        return {"count": jnp.full(given["z"].shape[:1], given["z"].shape[0], float)}

    mode = toys.mode(
        fn, {"z": core.Latent(4)}, {"count": core.Values()}, per_example=False
    )
    made = results(mode, {}, num=6, batch_size=4)
    counts = [float(r.outputs["count"]) for r in made.values()]
    assert counts == [4, 4, 4, 4, 2, 2]


def test_what_is_drawn_depends_on_seed_and_example_alone():
    few = results(toys.noise(), {}, num=3, batch_size=2)
    many = results(toys.noise(), {}, num=8, batch_size=8)
    other = results(toys.noise(), {}, num=3, seed=1)
    for name, result in few.items():
        for output in ("drawn", "z"):
            np.testing.assert_array_equal(
                result.outputs[output], many[name].outputs[output]
            )
            assert np.all(result.outputs[output] != other[name].outputs[output])
    assert len({float(r.outputs["drawn"]) for r in many.values()}) == 8


def test_masks_are_padded_with_their_pictures(photos):
    mode = toys.masked()
    made = results(mode, {"input": str(photos), "hole": "left"}, batch_size=2)
    for result in made.values():
        image, half = result.outputs["image"], result.outputs["image"].shape[1] // 2
        np.testing.assert_array_equal(image[:, :half], 0)
        np.testing.assert_array_equal(image[:, half:], result.inputs["image"][:, half:])


def test_a_result_that_is_not_finite_is_named_and_left_out(photos):
    mode = toys.mode(
        lambda given, key: {"x": jnp.log(jnp.mean(given["image"], axis=(1, 2, 3)))},
        {"image": core.Image(3)},
        {"x": core.Values()},
    )
    Image.new("RGB", (8, 8)).save(photos / "black.png")
    Image.new("RGB", (8, 8), "white").save(photos / "white.png")
    told = []
    made = results(mode, {"input": str(photos)}, say=told)
    assert "white" in made and "black" not in made
    assert "black: the result is not finite; skipped" in told


def test_colour_planes_come_back_with_their_lightness(photos):
    """A network that knew the true ab would give the picture back."""

    def fn(given, key):
        assert given["lightness"].shape[-1] == 1
        return {"ab": given["truth"]}

    mode = toys.mode(
        fn,
        {"lightness": core.Image(1), "truth": core.Image(2)},
        {"ab": core.Image(2)},
    )
    path = str(photos / "a.png")
    made = results(mode, {"lightness": path, "truth": path})
    found = made["a"].outputs["ab"].astype(int)
    assert np.max(np.abs(found - gradient(40, 50))) <= 1


def test_the_condition_of_a_colouring_is_lightness_not_luma(photos):
    mode = toys.mode(
        lambda given, key: {"mean": jnp.mean(given["image"], axis=(1, 2, 3))},
        {"image": core.Image(1)},
        {"mean": core.Values(), "ab": core.Image(2)},
    )
    mode = toys.mode(
        lambda given, key: {
            "mean": jnp.mean(given["image"], axis=(1, 2, 3)),
            "ab": jnp.zeros((*given["image"].shape[:3], 2)),
        },
        mode.inputs,
        mode.output,
    )
    made = results(mode, {"input": str(photos / "a.png")})
    rgb = jnp.asarray(gradient(40, 50), jnp.float32) / 255
    wanted = jnp.mean(ops.rgb_to_lab(rgb)[..., 0]) / 50 - 1
    assert float(made["a"].outputs["mean"]) == pytest.approx(float(wanted), abs=1e-5)


def test_sets_of_pictures(photos, tmp_path):
    mode = toys.mode(
        lambda given, key: {"count": jnp.mean(given["views"], axis=(1, 2, 3, 4))},
        {"views": core.Set(core.Image(3))},
        {"count": core.Values()},
    )
    (photos / "empty.png").unlink()
    (photos / "torn.png").unlink()
    made = results(mode, {"input": str(photos)})
    assert set(made) == {"toy", "below"}  # a folder each
    assert made["toy"].inputs["views"].shape == (2, 40, 50, 3)


def test_outputs_keep_their_declared_order(photos):
    def fn(given, key):
        return {"a": given["image"], "b": -given["image"]}

    image = core.Image(3)
    mode = toys.mode(fn, {"image": image}, {"b": image, "a": image})
    made = results(mode, {"input": str(photos / "a.png")})
    assert list(made["a"].outputs) == ["b", "a"]


def test_lack_of_memory_names_what_helps(photos, monkeypatch):
    def refuse(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 GB\nmore")

    monkeypatch.setattr(running.Runner, "__call__", refuse)
    with pytest.raises(core.UserError, match="lower --batch_size") as raised:
        results(toys.enlarge(), {"input": str(photos)})
    assert "\n" not in str(raised.value)
