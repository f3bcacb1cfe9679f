"""Hair, beard, ears, glasses and what surrounds the head."""

import math

import numpy as np
from jaxtyping import Float, Integer, Shaped

from jaxgan.data.synthetic.face_parts import DEPTH, SHADE, WIDEST, Head, ellipse
from jaxgan.data.synthetic.face_person import Person
from jaxgan.data.synthetic.raster import (
    Canvas,
    Level,
    column,
    fill_level,
    hex_colours,
    paint,
    smoothstep,
    stroke,
    stroke_level,
    tint,
)

BACKGROUND_INNER = hex_colours(
    "cfe8e6", "fbe3cd", "e3dcf3", "dcefd2", "cfe2f5", "f7dbe0", "f5edcf", "dfe3e8"
)
BACKGROUND_OUTER = hex_colours(
    "6fa9a8", "e79f73", "9a86c6", "86b570", "6d9ccf", "d98a9c", "d6b65a", "8f98a5"
)
HAIR = hex_colours("241d1f", "5c3a24", "d9ad62", "b0522a", "a9a8aa")
SILVER = hex_colours("c4c3c6")[0]


def hair_colour(hair_class: np.ndarray, age: np.ndarray, who: Person) -> np.ndarray:
    """RGB `[n, 3]` of the class, silvered by age (never wholly: 0.75 at most)."""
    grey = 0.75 * smoothstep(who.greying_age, who.greying_age + 28, age)[:, None]
    return (HAIR[hair_class] * (1 - grey) + SILVER * grey).astype(np.float32)


def background(
    canvas: Canvas,
    x: Float[np.ndarray, "1 1 w"],
    y: Float[np.ndarray, "1 h 1"],
    kind: Integer[np.ndarray, " n"],
) -> None:
    """A studio wall, lit from behind the head."""
    away = np.sqrt(x * x * 0.9 + (y + 0.15) ** 2)
    outer = smoothstep(0.25, 1.55, away + 0.18 * (x + y))
    canvas[:] = BACKGROUND_INNER[kind][:, :, None, None]
    paint(canvas, np.broadcast_to(outer, canvas[:, 0].shape), BACKGROUND_OUTER[kind])


def body(
    canvas: Canvas,
    x: Float[np.ndarray, "1 1 w"],
    y: Float[np.ndarray, "1 h 1"],
    pixel: float,
    who: Person,
    yaw: Float[np.ndarray, " n"],
) -> None:
    """Neck and shoulders; they face the camera whatever the head does."""
    lean = 0.05 * np.sin(column(yaw))
    neck_width = (
        0.40 * column(who.head_width) + 0.05 * np.clip((y - 0.6) / 0.3, 0, 1) ** 2
    )
    neck = np.minimum(neck_width - np.abs(x - lean), np.minimum(y - 0.2, 0.98 - y))
    alpha = fill_level(neck)
    paint(canvas, alpha, who.skin)
    shade = 0.35 + 0.55 * (1 - smoothstep(0.60, 0.86, y + 0.10 * x))
    tint(canvas, alpha * shade, SHADE)

    shoulder = 0.72 + 0.62 * (1 - np.sqrt(np.clip(1 - (x / 1.02) ** 2, 0, 1)))
    dip = 0.09 + 0.03 * column(who.collar)
    neckline = shoulder + dip * np.clip(1 - (x / 0.27) ** 2, 0, 1) - 0.02
    rows = slice(int(0.78 * y.shape[1]), None)
    canvas, y = canvas[:, :, rows], y[:, rows]
    cloth = fill_level(y - neckline)
    paint(canvas, cloth, who.shirt)
    fold = smoothstep(0.0, 1.0, x + 0.4) * 0.40
    tint(canvas, cloth * fold, [0.62, 0.62, 0.70])
    hem = stroke_level(y - neckline - 0.025, 0.012, pixel) * (np.abs(x) < 0.30)
    tint(canvas, hem * 0.5, [0.6, 0.6, 0.66])


def ears(
    canvas: Canvas, head: Head, who: Person, shown: Shaped[np.ndarray, " n"]
) -> None:
    """Both ears, each only outwards of where it grows from the head.

    Args:
      shown: `[n]` in [0, 1], 0 leaves a person's ears out.
    """
    rows = head.rows(-0.16, 0.34)
    canvas, x, y = canvas[:, :, rows], head.x, head.y[:, rows]
    height = column(who.ear)
    centre_y = column(who.eye_y) + 0.09
    depth = head.middle(centre_y) - 0.03
    turn = head.turn[:, rows]
    root = np.sqrt(np.maximum(head.half_width_squared(y), 0) * head.spread[:, rows])
    for sign in (-1, 1):
        out = sign * (column(who.head_width) + 0.012)
        centre_x = out * head.cos + depth * head.sin
        wide = height * (0.40 + 0.26 * np.abs(head.sin))
        tilt = (y - centre_y) * (-sign * 0.16)
        shape = ellipse(x + tilt, y, centre_x, centre_y, wide, height)
        angle = np.clip(1.42 + sign * turn, 0, np.pi / 2)
        edge = head.middle(y) * head.sin + sign * root * np.sin(angle)
        beyond = np.clip(sign * (x - edge) / head.pixel + 0.5, 0, 1)
        cover = fill_level(shape) * column(shown) * beyond
        paint(canvas, cover, who.skin * np.array([0.97, 0.90, 0.88], np.float32))
        if sign > 0:
            tint(canvas, 0.5 * cover, SHADE)
        shadow = np.clip(ellipse(x + tilt, y, centre_x, centre_y - 0.004, wide * 0.62,
                                 height * 0.70) * 1.4, 0, 1)  # fmt: skip
        tint(canvas, 0.7 * cover * shadow, SHADE)
        lobe = np.abs(shape - 0.30) / 0.30
        tint(canvas, 0.25 * cover * np.clip(1 - lobe, 0, 1), SHADE)


class Hair:
    """The hair of n heads: a shell around the head, cut off along the hairline."""

    def __init__(
        self,
        head: Head,
        who: Person,
        yaw: Float[np.ndarray, " n"],
        colour: Float[np.ndarray, "n 3"],
    ):
        self.head, self.who, self.colour = head, who, colour
        style = {name: column(value) for name, value in who.hair.items()}
        self.style = style
        self.shell = Head(
            head.x, head.y, head.pixel, who, yaw,
            who.hair["side"], who.hair["top"], who.hair["long"],
        )  # fmt: skip
        angle = np.arctan2(head.y - WIDEST, head.x)
        bumps = np.sin(9 * angle + style["phase"]) + 0.6 * np.sin(
            16 * angle + 2 * style["phase"]
        )
        self.level = self.shell.level + style["curl"] * bumps
        self.cover = fill_level(self.level)

    def hairline(self, theta: Level) -> Level:
        """Lowest row that hair reaches at a longitude."""
        style, who = self.style, self.who
        receding = column(who.receding)
        side = np.abs(theta)
        front = style["front"] - 0.19 * receding
        temple = -0.16 * receding * np.exp(-(((side - 0.62) / 0.22) ** 2))
        sweep = style["arch"] * np.exp(-(((theta - style["part"]) / 0.55) ** 2))
        fringe = front + temple - sweep
        burn = smoothstep(0.80, 1.22, side)
        nape = smoothstep(1.62, 1.95, side)
        line = fringe + (style["burn"] - fringe) * burn
        line = line + (style["nape"] - style["burn"]) * nape
        ragged = 0.3 * style["curl"] + 0.003
        return line + ragged * (
            np.sin(theta * 23 + style["phase"]) + np.sin(theta * 37 - style["phase"])
        )

    def behind(self, canvas: Canvas) -> None:
        """What is seen past the head's contour, and long hair behind the neck."""
        head, style = self.head, self.style
        x, y = head.x, head.y
        dark = self.colour * 0.72
        if style["bun"].any():
            radius = np.maximum(style["bun"], 1e-3)
            back = -0.34
            bun = ellipse(x, y, back * head.sin, -0.74, radius, radius * 0.85)
            alpha = fill_level(bun) * (style["bun"] > 0)
            paint(canvas, alpha, self.colour * 0.9)
            self._strands(canvas, alpha, 90 * (x - back * head.sin), 1.0)
            tint(canvas, alpha * (1 - np.clip(bun * 1.6, 0, 1)), [0.72, 0.70, 0.72])
        shell = self.shell
        rear = np.pi - np.arcsin(shell.across) - shell.turn
        rear = np.where(rear > np.pi, rear - 2 * np.pi, rear)
        alpha = self.cover * fill_level(self.hairline(rear) - y)
        paint(canvas, alpha, dark)
        self._strands(canvas, alpha, 21 * rear, 0.8)

    def before(self, canvas: Canvas) -> None:
        """The visible side of the shell, over forehead and temples."""
        shell, y = self.shell, self.head.y
        line = self.hairline(shell.theta) - y
        alpha = self.cover * fill_level(line)
        # A soft shadow on the skin below the edge.
        shadow = self.cover * np.clip(1 + line / 0.07, 0, 1) * (1 - alpha)
        inside = np.clip(self.head.level * 40, 0, 1)
        tint(canvas, 0.55 * shadow * inside, SHADE)
        paint(canvas, alpha, self.colour)
        self._strands(canvas, alpha, 21 * shell.theta, 1.0)
        height = (y - WIDEST) / shell.crown
        shade = smoothstep(-0.55, 1.15, 0.8 * shell.across + 0.5 * height)
        shade = 0.6 * shade + 0.5 * smoothstep(0.75, 1.0, np.abs(shell.across))
        tint(canvas, alpha * np.clip(shade, 0, 1), [0.58, 0.54, 0.58])
        ring = (height + 0.62 + 0.22 * (shell.across + 0.25) ** 2) / 0.17
        shine = np.exp(-ring * ring) * np.exp(-(((shell.across + 0.35) / 0.5) ** 2))
        comb = 0.75 + 0.25 * np.sin(31 * shell.theta + self.style["phase"])
        paint(canvas, 0.34 * shine * comb * alpha, self.colour * 0.35 + 0.65)

    def _strands(
        self, canvas: Canvas, alpha: Level, along: Level, strength: float
    ) -> None:
        curl = self.style["curl"] * 40
        wave = along + 1.3 * np.sin(4 * self.head.y + self.style["phase"])
        rings = np.sin(1.5 * wave) * np.sin(29 * self.head.y + 0.5 * wave)
        dark = np.sin(wave) * np.sin(0.37 * wave + 1)
        dark = 0.5 + 0.5 * (dark + np.clip(curl, 0, 1) * (rings - dark))
        tint(canvas, 0.40 * strength * alpha * dark, [0.66, 0.62, 0.64])


def beard(
    canvas: Canvas,
    head: Head,
    who: Person,
    colour: Float[np.ndarray, "n 3"],
    cover: Level,
) -> None:
    """Stubble, moustache, goatee or full beard, by the person's kind."""
    if not who.beard.any():
        return
    rows = head.rows(0.02, 0.80)
    part, canvas, cover = head.band(0.02, 0.80), canvas[:, :, rows], cover[:, rows]
    side, y = np.abs(part.theta), part.y
    kind = column(who.beard_kind)
    under_nose = column(who.nose_y + 0.075)
    cheek = under_nose + 0.13 * smoothstep(0.22, 0.52, side)
    cheek = cheek - 0.36 * smoothstep(0.70, 1.30, side)
    full = np.minimum(y - cheek, (1.42 - side) * 0.4)
    mouth_y = column(who.mouth_y)
    run = part.front / (column(who.mouth_width) * 1.25)
    # A moustache: two drops that meet under the nose.
    droop = under_nose + 0.012 + 0.10 * run**2
    thick = (0.040 + 0.012 * np.abs(run)) * np.sqrt(np.clip(1 - run * run, 0, 1))
    notch = 0.02 * np.exp(-((part.front / 0.02) ** 2))
    lip = np.where(np.abs(run) < 1, thick - notch, -0.05) - np.abs(
        y - 0.5 * (droop + mouth_y)
    )
    chin = 0.06 * ellipse(part.front, y, 0, mouth_y + 0.20, 0.16, 0.14)
    chin = np.minimum(chin, y - mouth_y - 0.07)
    level = np.where(kind <= 1, full, np.where(kind == 2, lip, np.maximum(lip, chin)))
    density = column(who.beard * np.where(who.beard_kind == 0, 0.30, 0.92))
    alpha = np.clip(level / 0.030 + 0.5, 0, 1) * density * cover
    paint(canvas, alpha, colour * 0.82)
    grain = 0.5 + 0.5 * np.sin(part.front * 120) * np.sin(y * 104 + part.front * 60)
    tint(canvas, 0.16 * alpha * grain, [0.6, 0.6, 0.6])


def glasses(
    canvas: Canvas, head: Head, who: Person, worn: Shaped[np.ndarray, " n"]
) -> None:
    """Two rims, a bridge and the arms to the ears; changes a band of rows only."""
    if not worn.any():
        return
    rows = head.rows(GLASSES_TOP, GLASSES_BOTTOM)
    canvas, x, y = canvas[:, :, rows], head.x, head.y[:, rows]
    pixel, worn = head.pixel, column(worn)
    half_width, half_height = column(who.rim_width), column(who.rim_height)
    centre_y = column(who.eye_y) + 0.012
    apart = np.maximum(column(who.eye_x) + 0.004, half_width + 0.024)
    plane = head.middle(centre_y) + DEPTH * column(who.head_width) + 0.035
    power = 2.0 + 1.4 * column(who.rim_square)
    weight = 0.015

    for sign in (-1, 1):  # arms first: the rims cover their ends
        hinge = sign * (apart + half_width)
        hinge_x = hinge * head.cos + (plane - 0.05) * head.sin
        out = sign * (column(who.head_width) + 0.03)
        ear_x = out * head.cos + (head.middle(centre_y) - 0.05) * head.sin
        seen = smoothstep(-0.05, 0.10, -sign * head.sin)
        seen = np.clip(seen + smoothstep(0.85, 1.0, head.cos), 0, 1)
        length = ear_x - hinge_x
        length = np.where(np.abs(length) > 0.01, length, 0.01)
        along = np.clip((x - hinge_x) / length, 0, 1)
        above = y - (centre_y - 0.03 + 0.02 * along)
        arm = np.hypot(x - hinge_x - length * along, above)
        paint(canvas, stroke(arm, 0.013, pixel) * worn * seen, who.frame)

    bridge = head.sin * (plane + 0.02)
    arch = y - (centre_y - 0.035) - 0.35 * np.abs(x - bridge) ** 1.5
    span = np.clip((apart - half_width) * head.cos - np.abs(x - bridge) + 0.01, -1, 1)
    span = np.clip(span / pixel + 0.5, 0, 1)
    paint(canvas, stroke(arch, weight, pixel) * span * worn, who.frame)

    for sign in (-1, 1):
        wrap = 0.14 * sign  # the outer edges lie further back
        scale = np.maximum(head.cos * math.cos(wrap) - head.sin * math.sin(wrap), 0.12)
        centre_x = sign * apart * head.cos + (plane - 0.02) * head.sin
        across = np.abs(x - centre_x) / (half_width * scale)
        down = np.abs(y - centre_y) / half_height
        bulge = across**power + down**power
        radius = np.maximum(bulge, 1e-6) ** (1 / power)
        level = 1 - radius
        lens = fill_level(level) * worn
        paint(canvas, 0.14 * lens, np.array([0.86, 0.94, 1.0]))
        glint = np.abs((x - centre_x) / scale + 0.7 * (y - centre_y) + 0.05) - 0.022
        glint = np.clip(-glint / 0.03 + 0.5, 0, 1)
        paint(canvas, 0.28 * glint * lens, np.ones(3))
        paint(canvas, stroke_level(level, weight, pixel) * worn, who.frame)


GLASSES_TOP, GLASSES_BOTTOM = -0.25, 0.26  # no pixel outside these rows changes
