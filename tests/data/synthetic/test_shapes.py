"""Shapes: the pictures of one scene determine one another."""

import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.data.synthetic import Shapes, shapes
from jaxgan.data.synthetic.outlines import OUTLINES
from jaxgan.data.synthetic.sampling import Draws


def test_swapping_red_and_green_is_the_truth_between_the_styles():
    examples = Shapes(size=32).examples(np.arange(40), ["style_a", "style_b"])
    a, b = examples["style_a"], examples["style_b"]
    np.testing.assert_array_equal(shapes.swap_style(a), b)
    np.testing.assert_array_equal(shapes.swap_style(b), a)
    one = np.array([[[10, 20, 30]]], np.uint8)
    assert shapes.swap_style(one).tolist() == [[[20, 10, 30]]]
    red, green, blue = np.moveaxis(a.astype(int), -1, 0)
    ground = (red == green) & (green == blue)
    assert 0.3 < ground.mean() < 0.95
    np.testing.assert_array_equal(a[ground], b[ground])
    assert (red >= green).all() and (red - green)[~ground].mean() > 80


FACTORS = ("shape_class", "position", "shape_size", "angle")


def one_shape(kind=1, size=0.5, angle=0.0):
    return {
        "shape_class": np.array([[kind, -1, -1]], np.int32),
        "shape_size": np.array([[size, 0, 0]], np.float32),
        "position": np.zeros((1, 3, 2), np.float32),
        "angle": np.array([[angle, 0, 0]], np.float32),
    }


@pytest.mark.parametrize("picture", ["edges", "labels", "filled"])
def test_sketch_and_painting_hold_nothing_but_the_factors(picture):
    """They are drawn without any draws, so one determines the other."""
    examples = Shapes(size=32).examples(np.arange(6))
    factors = {name: examples[name] for name in FACTORS}
    drawn = shapes.render(picture, **factors, size=32)
    np.testing.assert_array_equal(drawn, examples[picture])


@pytest.mark.parametrize(("name", "area"), [("disc", 2.659), ("square", 2.56)])
def test_area_and_place_follow_the_factors(name, area):
    data = Shapes(size=64, max_shapes=1, classes=(name,))
    examples = data.examples(np.arange(12))
    ground = shapes._LABEL_GROUND * 255
    kind = shapes.CLASSES.index(name)
    span = shapes._LABEL[kind] * 255 - ground
    inside = ((examples["labels"] - ground) @ span) / (span @ span)  # [n, h, w]
    centres = (np.arange(64) + 0.5) / 32 - 1
    total = inside.sum((1, 2))
    for n in range(12):
        radius = examples["shape_size"][n, 0]
        assert total[n] / 32**2 == pytest.approx(area * radius**2, rel=0.02)
        x = (inside[n].sum(0) * centres).sum() / total[n]
        y = (inside[n].sum(1) * centres).sum() / total[n]
        np.testing.assert_allclose((x, y), examples["position"][n, 0], atol=0.01)


def test_later_shapes_lie_on_top_in_every_picture():
    factors = one_shape(kind=0, size=0.6)
    factors["shape_class"][0, 1], factors["shape_size"][0, 1] = 1, 0.4
    label = shapes.render("labels", **factors)[0, 32, 32]
    np.testing.assert_allclose(label, shapes._LABEL[1] * 255, atol=1)
    # No ink of the hidden disc inside the square.
    factors["shape_size"] = np.array([[0.3, 0.5, 0]], np.float32)
    edges = shapes.render("edges", **factors)[0]
    assert edges[24:40, 24:40].min() > 220


def test_the_angle_turns_the_shape_clockwise():
    upright, turned = (
        shapes.render("labels", **one_shape(kind=2, angle=a))[0].astype(int)
        for a in (0, 90)
    )
    assert np.abs(np.rot90(upright, -1) - turned).max() <= 2
    assert np.abs(np.rot90(upright, 1) - turned).max() > 100


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("picture", ["edges", "labels", "filled"])
def test_every_factor_changes_sketch_and_painting(factor, picture):
    factors, other = one_shape(), one_shape()
    other[factor][0, 0] += {"shape_class": 2, "angle": 30}.get(factor, 0.15)
    one, two = (
        shapes.render(picture, **f, size=32).astype(int) for f in (factors, other)
    )
    assert (np.abs(one - two).max(-1) > 40).mean() > 0.01


def test_absent_shapes_have_empty_factors():
    factors = Shapes().factors(np.arange(300))
    there = np.arange(3) < factors["num_shapes"][:, None]
    assert set(factors["num_shapes"]) == {1, 2, 3}
    assert (factors["shape_class"][there] >= 0).all()
    assert (factors["shape_class"][~there] == -1).all()
    for name in ("position", "shape_size", "angle"):
        assert (factors[name][~there] == 0).all()
    reach = np.abs(factors["position"]).max(-1) + 0.8 * factors["shape_size"]
    assert reach.max() < 1.05  # hardly any shape leaves the picture


@pytest.mark.parametrize("name", OUTLINES)
def test_outlines_are_distances(name):
    span = np.linspace(-1.6, 1.6, 321, dtype=np.float32)
    x, y = np.meshgrid(span, span)
    distance = OUTLINES[name](x[None], y[None])[0]
    step = span[1] - span[0]
    slope = np.hypot(*np.gradient(distance, step))
    near = np.abs(distance) < 0.1
    assert np.median(slope[near]) == pytest.approx(1, abs=0.01)
    assert (np.abs(slope[near] - 1) < 0.05).mean() > 0.85
    assert distance[160, 160] > 0.2 and distance[0, 0] < -0.3
    # All shapes weigh about the same to the eye.
    assert 0.35 < (distance > 0).mean() * 3.2**2 / np.pi < 1


def test_flat_scenes_are_few_flat_colours_with_sampled_edges():
    """srgan.md, check 11: colours are flat, edges mix in sixteenths."""
    flat = Shapes(size=32).examples(np.arange(30), ["flat"])["flat"]
    for image in flat:
        colours, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
        # Ground and shapes fill most pixels; the rest are edges.
        assert np.sort(counts)[-7:].sum() > 0.6 * 1024
        assert len(colours) > 5
    assert flat.std() > 30


def test_flat_lines_are_two_pixels_wide():
    for size in (32, 64):
        scene = shapes._Scene(size, Shapes().factors(np.arange(1)))
        image = shapes._flat(scene, _OneLine((), np.arange(1)))[0, ..., 0].astype(float)
        # About the border of two pixels, so that both are wholly covered.
        column = np.abs(image[:, size // 2] - image[0, 0])
        assert np.argwhere(column).ravel().tolist() == [size // 2 - 1, size // 2]
        assert column.max() == column[size // 2 - 1] > 40
        ends = np.abs(image[size // 2] - image[0, 0]) > 20
        assert 0.5 < ends.mean() < 0.8  # longer than it is wide, inside the picture


class _OneLine(Draws):
    """Draws of a scene that is a single horizontal line."""

    def uniform(self, name, low=0.0, high=1.0, shape=()):
        values = {"flat_centre": 0.0, "flat_angle": 0.0, "flat_hue": 0.3}
        value = np.full((1, *shape), values.get(name, (low + high) / 2), np.float32)
        if name == "flat_value":
            value[:, 6] = 0.2  # the ground
        return value

    def integers(self, name, low, high, shape=()):
        value = {"flat_number": 1, "flat_kind": 2}[name]
        return np.full((1, *shape), value, np.int32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_shapes": 4}, "max_shapes is 4"),
        ({"classes": ()}, "empty"),
        ({"classes": ("sqare",)}, "did you mean 'square'"),
    ],
    ids=["many", "none", "typo"],
)
def test_impossible_scenes_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Shapes(**options)


def test_only_pictures_of_factors_are_rendered():
    with pytest.raises(UserError, match="picture 'style_a'"):
        shapes.render("style_a", **one_shape())
