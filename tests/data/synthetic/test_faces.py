"""Faces: each factor changes what it should and leaves the rest alone."""

import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.data.synthetic import Faces, faces
from jaxgan.data.synthetic.face_hair import GLASSES_BOTTOM, GLASSES_TOP

PEOPLE = np.arange(12)


def rows(top, bottom, size=64):
    """Rows of the picture between two heights in the units of a face."""
    edges = [((y * faces._ZOOM + faces._DROP) + 1) / 2 * size for y in (top, bottom)]
    return slice(int(edges[0]), int(np.ceil(edges[1])))


def change(first, second):
    """Largest change of each pixel's channels, `[n, h, w]`."""
    return np.abs(first.astype(int) - second.astype(int)).max(-1)


def test_an_image_is_the_rendering_of_its_factors():
    examples = Faces(size=48).examples(np.arange(8))
    image = examples.pop("image")
    np.testing.assert_array_equal(faces.render(**examples, size=48), image)


@pytest.mark.parametrize(
    ("factor", "values", "share"),
    [
        ("identity", (0, 100), 0.05),
        ("yaw", (-10.0, 25.0), 0.05),
        ("age", (20.0, 75.0), 0.01),
        ("glasses", (0, 1), 0.01),
        ("smile", (0.0, 1.0), 0.008),
        ("hair_colour", ("black", "blond"), 0.05),
        ("background", ("teal", "rose"), 0.15),
    ],
)
def test_every_factor_changes_every_person_visibly(factor, values, share):
    given = {"identity": PEOPLE}
    first, second = (
        faces.render(**{**given, factor: PEOPLE + v if factor == "identity" else v})
        for v in values
    )
    changed = (change(first, second) > 24).mean((1, 2))
    assert changed.min() > share


@pytest.mark.parametrize("yaw", [-60, -20, 0, 45])
def test_glasses_change_only_rows_around_the_eyes(yaw):
    bare, worn = (faces.render(PEOPLE, yaw=yaw, glasses=k) for k in (0, 1))
    changed = change(bare, worn)
    band = rows(GLASSES_TOP, GLASSES_BOTTOM)
    inside = changed[:, band].copy()
    changed[:, band] = 0
    assert changed.max() == 0
    assert (inside > 24).any((1, 2)).all()


def test_a_smile_leaves_hair_shirt_and_ground_alone():
    grave, laughing = (faces.render(PEOPLE, smile=k) for k in (0.0, 1.0))
    changed = change(grave, laughing)
    assert changed[:, : rows(-1, -0.40).stop].max() == 0
    assert changed[:, rows(0.75, 0.9)].max() == 0
    assert changed[:, :, :8].max() == 0 and changed[:, :, -8:].max() == 0


def test_a_laugh_shows_teeth_and_narrows_the_eyes():
    grave, laughing = (faces.render(PEOPLE, smile=k, age=25) for k in (0.0, 1.0))
    mouth = rows(0.28, 0.50)
    assert (
        (change(grave, laughing)[:, rows(-0.08, 0.10)] > 24).any((1, 2)).all()
    )  # lids

    def white(image):
        return (image[:, mouth, 26:38].min(-1) > 205).sum((1, 2))

    assert (white(laughing) > white(grave)).mean() > 0.9


def test_the_background_does_not_show_through_the_person():
    first, second = (faces.render(PEOPLE, background=k) for k in ("teal", "sand"))
    changed = change(first, second)
    assert changed[:, rows(-0.2, 0.40), 24:40].max() == 0  # face
    assert changed[:, -1, 24:40].max() == 0  # shirt
    assert changed[:, 0, 0].min() > 24  # a corner


def test_hair_colour_leaves_eyes_ground_and_shirt_alone():
    given = dict(identity=PEOPLE, age=20.0, glasses=0)
    first, second = (faces.render(**given, hair_colour=k) for k in ("black", "red"))
    changed = change(first, second)
    assert changed[:, rows(0.0, 0.12), 31:33].max() == 0  # the bridge of the nose
    assert changed[:, 0, :4].max() == 0 and changed[:, 0, -4:].max() == 0
    assert changed[:, -1, 30:34].max() == 0


def test_age_silvers_black_hair_gradually():
    crown = (slice(None), rows(-0.66, -0.50), slice(28, 36))
    light = [
        faces.render(PEOPLE, age=age, hair_colour="black")[crown].mean()
        for age in (25.0, 50.0, 62.0, 80.0)
    ]
    assert light == sorted(light) and light[-1] > light[0] + 40


def test_wrinkles_roughen_an_old_forehead():
    def roughness(age):
        # Bald is nobody, but below this hairline and above the brows skin shows.
        image = faces.render(PEOPLE, age=age, size=128).astype(float)
        patch = image[:, rows(-0.30, -0.24, 128), 56:72]
        return np.abs(np.diff(patch, axis=1)).mean((1, 2, 3))

    assert np.median(roughness(78.0)) > np.median(roughness(25.0))


def test_turning_moves_the_eyes_across_and_narrows_them():
    yaws = np.linspace(-60, 60, 9, dtype=np.float32)
    columns = np.arange(64)
    for identity in (2, 5, 9):
        bare, worn = (faces.render(identity, yaw=yaws, glasses=k) for k in (0, 1))
        weight = change(bare, worn).sum(1).astype(float)
        centre = (weight * columns).sum(1) / weight.sum(1)
        assert (np.diff(centre) > 0.5).all(), centre
        assert centre[-1] - centre[0] > 14
        iris = [np.ptp(np.flatnonzero(w > 40)) for w in weight[[0, 4, 8]]]
        assert iris[1] > max(iris[0], iris[2])


def test_opposite_yaws_are_nearly_mirror_images():
    """Nearly: light and partings have a side."""
    left, right = (faces.render(PEOPLE, yaw=y).astype(float) for y in (-45, 45))
    apart = np.abs(left - right[:, :, ::-1]).mean((1, 2, 3))
    turned = np.abs(left - right).mean((1, 2, 3))
    assert (apart < turned).all()


def test_a_person_keeps_their_looks_in_any_company():
    one = faces.render(7, yaw=20)
    many = faces.render(np.array([3, 7, 250, 7]), yaw=20)
    np.testing.assert_array_equal(one[0], many[1])
    np.testing.assert_array_equal(one[0], many[3])


def test_people_differ_more_than_their_smiles():
    calm, happy = (faces.render(PEOPLE, smile=k).astype(float) for k in (0.2, 0.9))
    own = np.abs(calm - happy).mean((1, 2, 3))
    others = np.abs(calm - np.roll(calm, 1, axis=0)).mean((1, 2, 3))
    assert others.min() > own.max()


def test_options_narrow_the_factors():
    data = Faces(
        yaws=(-30.0, 0.0, 30.0),
        first_identity=900,
        num_identities=4,
        fixed=(("glasses", 1), ("hair_colour", "red")),
    )
    factors = data.factors(np.arange(200))
    assert set(factors["yaw"]) == {-30.0, 0.0, 30.0}
    assert set(factors["identity"]) == {900, 901, 902, 903}
    assert set(factors["glasses"]) == {1} and set(factors["hair_colour"]) == {3}
    assert np.ptp(factors["age"]) > 50


def test_factors_are_spread_and_independent():
    factors = Faces().factors(np.arange(4000))
    for name, (low, high) in {
        "yaw": (-60, 60),
        "age": (10, 80),
        "smile": (0, 1),
    }.items():
        values = (factors[name] - low) / (high - low)
        assert values.min() >= 0 and values.max() <= 1
        counts = np.histogram(values, 10, (0, 1))[0]
        assert counts.min() > 320
    names = ("yaw", "age", "smile", "glasses", "hair_colour", "background", "identity")
    table = np.corrcoef([factors[name].astype(float) for name in names])
    assert np.abs(table - np.eye(len(names))).max() < 0.06


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: faces.render(0, yaw=75), "yaw must lie in -60"),
        (lambda: faces.render(0, age=5), "age must lie in 10"),
        (lambda: faces.render(0, smile=1.5), "smile"),
        (lambda: faces.render(0, hair_colour="blonde"), "did you mean 'blond'"),
        (lambda: faces.render(-1), "identity"),
        (lambda: Faces(fixed=(("hair_color", 1),)), "did you mean 'hair_colour'"),
        (lambda: Faces(yaws=(0.0, 90.0)), "yaw must lie in"),
        (lambda: Faces(num_identities=0), "num_identities"),
    ],
)  # fmt: skip
def test_impossible_factors_are_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()
