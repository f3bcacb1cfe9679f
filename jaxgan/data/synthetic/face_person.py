"""Who an identity number is: the looks of a drawn person, drawn once per number."""

import dataclasses

import numpy as np

from jaxgan.data.synthetic.raster import hex_colours, smoothstep
from jaxgan.data.synthetic.sampling import Draws

SKIN = hex_colours(
    "fbe0cf", "f6d0b1", "efbf96", "e3a878", "cd8f60", "ac7148", "8a5636", "6a402a"
)
IRIS = hex_colours("5b3a24", "6f4a2a", "3f6f8f", "5f8aa8", "5d7d4a", "7a8a52", "6b6f78")
SHIRT = hex_colours(
    "2f4b7c", "b5483f", "3d7a6b", "e0b04c", "5b4b8a", "f1ede4", "31343d", "d9829b",
    "7fa650", "4f8fc0",
)  # fmt: skip
FRAME = hex_colours("1d1b22", "4a2b1a", "7c1f2d", "20395c", "8a6a3a")

# One row a hair style: volume over the crown and at the sides, height of the front
# hairline, how far it arches up to the parting, where the parting may lie (radians),
# the ends of the side hair and of the nape, how far the hair hangs below
# the jaw, size of a bun, unevenness of the outline.
_STYLE_FIELDS = (
    "top", "side", "front", "arch", "part", "burn", "nape", "long", "bun", "curl",
)  # fmt: skip
_STYLES = np.array(
    [
        [0.035, 0.015, -0.38, 0.03, 0.0, 0.06, 0.22, 0.00, 0.00, 0.000],  # cropped
        [0.110, 0.040, -0.26, 0.22, 0.5, 0.10, 0.28, 0.00, 0.00, 0.000],  # parted
        [0.170, 0.020, -0.40, 0.02, 0.3, 0.04, 0.24, 0.00, 0.00, 0.012],  # quiff
        [0.150, 0.120, -0.36, 0.04, 0.0, 0.16, 0.34, 0.00, 0.00, 0.022],  # curls
        [0.090, 0.080, -0.22, 0.02, 0.0, 0.46, 0.50, 0.12, 0.00, 0.000],  # bob
        [0.095, 0.070, -0.14, 0.40, 0.1, 0.92, 1.10, 0.50, 0.00, 0.000],  # long
        [0.050, 0.020, -0.42, 0.06, 0.2, 0.00, 0.26, 0.00, 0.17, 0.000],  # bun
        [0.110, 0.080, -0.12, 0.36, 0.6, 0.72, 0.84, 0.32, 0.00, 0.016],  # waves
    ],
    np.float32,
)  # fmt: skip
_LONG_STYLES = np.array([4, 5, 6, 7, 3, 1])
_SHORT_STYLES = np.array([0, 1, 2, 3, 0, 5])


@dataclasses.dataclass(frozen=True)
class Person:
    """Looks of n people at one age each; arrays `[n]` or `[n, 3]`, picture units."""

    skin: np.ndarray
    iris: np.ndarray
    lip: np.ndarray
    shirt: np.ndarray
    frame: np.ndarray
    collar: np.ndarray
    head_width: np.ndarray
    crown: np.ndarray
    chin: np.ndarray
    jaw: np.ndarray
    taper: np.ndarray
    eye_x: np.ndarray
    eye_y: np.ndarray
    eye_width: np.ndarray
    eye_open: np.ndarray
    eye_tilt: np.ndarray
    brow_y: np.ndarray
    brow_weight: np.ndarray
    brow_arch: np.ndarray
    lashes: np.ndarray
    nose_y: np.ndarray
    nose_width: np.ndarray
    nose_lift: np.ndarray
    mouth_y: np.ndarray
    mouth_width: np.ndarray
    lip_weight: np.ndarray
    ear: np.ndarray
    freckles: np.ndarray
    beard: np.ndarray
    beard_kind: np.ndarray
    rim_width: np.ndarray
    rim_height: np.ndarray
    rim_square: np.ndarray
    receding: np.ndarray
    greying_age: np.ndarray
    hair: dict[str, np.ndarray]

    def take(self, part: slice) -> "Person":
        """The people of a slice."""
        values = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self)
        }
        hair = {name: value[part] for name, value in values.pop("hair").items()}
        return Person(hair=hair, **{name: v[part] for name, v in values.items()})


def person(identity: np.ndarray, age: np.ndarray) -> Person:
    """Returns the looks of each `identity` at `age` years, both `[n]`.

    Only proportions that change with growing up, receding hair and beards depend on
    the age; everything else is the person's for life.
    """
    draws = Draws(("person",), identity)
    uniform = draws.uniform
    child = 1 - smoothstep(11.0, 19.0, age)
    old = smoothstep(45.0, 80.0, age)
    feminine = draws.chance("feminine", 0.5)
    soft = feminine.astype(np.float32)

    tone = uniform("tone", 0.0, len(SKIN) - 1.001)
    low = tone.astype(np.int32)
    share = (tone - low)[:, None]
    skin = SKIN[low] * (1 - share) + SKIN[low + 1] * share
    lip = skin * np.array([0.80, 0.52, 0.50], np.float32)
    rouge = (soft * uniform("rouge", 0.0, 0.8))[:, None]
    lip = lip * (1 - rouge) + hex_colours("b3263c")[0] * rouge

    n = len(identity)
    pick = uniform("style", 0.0, len(_LONG_STYLES) - 1e-3).astype(np.int32)
    style = np.where(feminine, _LONG_STYLES[pick], _SHORT_STYLES[pick])
    hair = {name: _STYLES[style, k] for k, name in enumerate(_STYLE_FIELDS)}
    hair["part"] = hair["part"] * np.where(draws.chance("part_side", 0.5), 1, -1)
    for name in ("top", "side", "long", "bun"):
        hair[name] = hair[name] * uniform(f"hair_{name}", 0.85, 1.15)
    hair["front"] = hair["front"] + uniform("hair_front", -0.03, 0.03)
    hair["phase"] = uniform("hair_phase", 0.0, 6.28)

    bearded = ~feminine & draws.chance("bearded", 0.45)
    return Person(
        skin=skin,
        iris=IRIS[draws.integers("iris", 0, len(IRIS))],
        lip=lip,
        shirt=SHIRT[draws.integers("shirt", 0, len(SHIRT))],
        frame=FRAME[draws.integers("frame", 0, len(FRAME))],
        collar=draws.integers("collar", 0, 3),
        head_width=uniform("head_width", 0.455, 0.53) - 0.02 * soft,
        crown=uniform("crown", 0.60, 0.66),
        chin=uniform("chin", 0.64, 0.74) - 0.03 * soft - 0.07 * child,
        jaw=uniform("jaw", 2.2, 3.6) - 0.5 * soft + 0.3 * old,
        taper=uniform("taper", 0.08, 0.36) + 0.08 * soft - 0.10 * old,
        eye_x=uniform("eye_x", 0.175, 0.225),
        eye_y=uniform("eye_y", -0.055, 0.0) + 0.06 * child,
        eye_width=uniform("eye_width", 0.088, 0.108) * (1 + 0.15 * child),
        eye_open=uniform("eye_open", 0.038, 0.056)
        * (1 + 0.30 * child - 0.20 * old + 0.1 * soft),
        eye_tilt=uniform("eye_tilt", -0.12, 0.10) - 0.03 * soft + 0.10 * old,
        brow_y=uniform("brow_y", -0.185, -0.150) + 0.05 * child - 0.015 * soft,
        brow_weight=(uniform("brow_weight", 0.014, 0.026) - 0.006 * soft)
        * (1 - 0.3 * child),
        brow_arch=uniform("brow_arch", 0.012, 0.045),
        lashes=soft,
        nose_y=uniform("nose_y", 0.165, 0.225) - 0.02 * child,
        nose_width=uniform("nose_width", 0.055, 0.095)
        * (1 - 0.1 * soft - 0.12 * child + 0.1 * old),
        nose_lift=uniform("nose_lift", 0.09, 0.145)
        * (1 - 0.15 * soft - 0.35 * child + 0.1 * old),
        mouth_y=uniform("mouth_y", 0.365, 0.405) - 0.035 * child,
        mouth_width=uniform("mouth_width", 0.145, 0.205) * (1 - 0.12 * child),
        lip_weight=uniform("lip_weight", 0.018, 0.036) + 0.006 * soft - 0.007 * old,
        ear=uniform("ear", 0.105, 0.14) * (1 + 0.12 * old),
        freckles=draws.chance("freckles", 0.2) * (1 - smoothstep(2.0, 4.5, tone)),
        beard=bearded * smoothstep(17.0, 24.0, age),
        beard_kind=draws.integers("beard_kind", 0, 4),
        rim_width=uniform("rim_width", 0.138, 0.160),
        rim_height=uniform("rim_height", 0.100, 0.140),
        rim_square=draws.integers("rim_shape", 0, 3).astype(np.float32),
        receding=~feminine
        * uniform("receding", 0.0, 1.0)
        * smoothstep(28.0, 70.0, age),
        greying_age=uniform("greying_age", 42.0, 58.0),
        hair={name: np.broadcast_to(value, (n,)) for name, value in hair.items()},
    )
