"""A head that turns: its surface, and the features painted on it.

The head is a stack of ellipses, one a row of pixels, turned together about the neck.
For each pixel the longitude `theta` of the visible surface point follows in closed
form, so that features drawn once in frontal coordinates foreshorten, wrap and vanish
behind the contour as they should.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from jaxgan.data.synthetic.face_person import Person
from jaxgan.data.synthetic.raster import (
    Canvas,
    Level,
    column,
    fill_between,
    fill_level,
    paint,
    smoothstep,
    stroke_level,
    tint,
)

WIDEST = -0.06  # the row where the head is widest
DEPTH = 1.12  # depth of the head over its width
SHADE = np.array([0.72, 0.58, 0.58], np.float32)  # skin in shadow stays warm


class Head:
    """The geometry of n heads at one yaw each.

    Attributes:
      x, y: pixel centres, `[1, 1, w]` and `[1, h, 1]`.
      level: positive inside the head's outline, `[n, h, w]`.
      theta: longitude of the visible surface, 0 = the face's middle, radians.
      front: frontal coordinate: where the surface point lies in the frontal picture.
    """

    def __init__(
        self,
        x: Float[np.ndarray, "1 1 w"],
        y: Float[np.ndarray, "1 h 1"],
        pixel: float,
        who: Person,
        yaw: Float[np.ndarray, " n"],
        side: Any = 0.0,
        top: Any = 0.0,
        hang: Any = 0.0,
    ):
        self.x, self.y, self.pixel = x, y, pixel
        self.width = column(who.head_width + side)
        self.crown = column(who.crown + top)
        self.chin = column(who.chin + side + hang)
        loose = np.clip(
            4 * np.asarray(hang, np.float32), 0, 1
        )  # hanging hair does not follow the jaw
        self.jaw = column(who.jaw + 2.5 * loose)
        self.taper = column(who.taper * (1 - loose))
        self.loose = column(loose)
        self.sin, self.cos = np.sin(column(yaw)), np.cos(column(yaw))
        depth = self.depth(y) * self.sin
        self.turn = np.arctan2(depth, self.cos)  # [n, h, 1]
        self.spread = self.cos**2 + depth**2

        square = self.half_width_squared(y)  # [n, h, 1], negative above and below
        across = x - self.middle(y) * self.sin  # from the row's centre
        outline = square * self.spread
        self.level = outline - across * across
        self.across = np.clip(across / np.sqrt(np.maximum(outline, 1e-4)), -1, 1)
        self.theta = np.arcsin(self.across) - self.turn
        near = np.clip(self.theta, -np.pi / 2, np.pi / 2)
        # Past the ears the coordinate runs on, lest the face appear again behind.
        self.front = np.sqrt(np.maximum(square, 1e-4)) * (
            np.sin(near) + (self.theta - near)
        )

    def half_width_squared(self, y: Level) -> Level:
        above = np.clip((WIDEST - y) / self.crown, 0, None)
        below = np.clip((y - WIDEST) / self.chin, 0, None)
        shape = (1 - above**2.3) * (1 - below**self.jaw) * (1 - self.taper * below)
        return self.width**2 * np.where(below > 1.3, -1, shape)

    def depth(self, y: Level) -> Level:
        """Depth of a row over its width: the jaw is shallow, the skull is not."""
        return DEPTH - 0.42 * (1 - self.loose) * smoothstep(-0.10, 0.55, y)

    def middle(self, y: Level) -> Level:
        """Depth of a row's centre: the shallow jaw sits at the front of the head."""
        below = np.clip(y - WIDEST, 0, 1)
        jaw = 0.8 * self.width * (DEPTH - self.depth(y))
        jaw = jaw + 0.18 * (1 - self.loose) * below**2
        return 0.06 * np.minimum(y - WIDEST, 0) - 0.03 + jaw

    def project(
        self, front: Level, y: Level, lift: float | Level
    ) -> tuple[Level, Level]:
        """Screen x and depth of a surface point given in frontal coordinates."""
        half = np.sqrt(np.maximum(self.half_width_squared(y), 1e-4))
        theta = np.arcsin(np.clip(front / half, -1, 1))
        depth = self.middle(y) + self.depth(y) * half * np.cos(theta) + lift
        return (
            front * self.cos + depth * self.sin,
            depth * self.cos - front * self.sin,
        )

    def band(self, top: float, bottom: float) -> "Head":
        """The same heads, only the rows between two heights."""
        rows = self.rows(top, bottom)
        part = object.__new__(Head)
        part.__dict__.update(self.__dict__)
        part.y = self.y[:, rows]
        for name in ("level", "theta", "front", "across", "turn", "spread"):
            setattr(part, name, getattr(self, name)[:, rows])
        return part

    def rows(self, top: float, bottom: float) -> slice:
        return slice(*np.searchsorted(self.y[0, :, 0], (top, bottom)))


def ellipse(
    x: Level, y: Level, centre_x: Any, centre_y: Any, radius_x: Any, radius_y: Any
) -> Level:
    """Level of an ellipse; any slope."""
    across, down = (x - centre_x) / radius_x, (y - centre_y) / radius_y
    return 1 - across * across - down * down


def skin_and_shade(canvas: Canvas, head: Head, who: Person) -> Level:
    """Paints the bare head; returns its coverage `[n, h, w]`."""
    alpha = fill_level(head.level)
    paint(canvas, alpha, who.skin)
    height = (head.y - WIDEST) / head.chin
    shade = smoothstep(-0.15, 1.25, 0.75 * head.across + 0.45 * height)
    shade = 0.55 * shade + 0.45 * smoothstep(0.80, 1.0, np.abs(head.across))
    tint(canvas, shade * alpha, SHADE)
    # Behind the jaw the surface turns under, towards the neck.
    under = smoothstep(1.20, 1.65, np.abs(head.theta) + 0.25 * (head.y - 0.35))
    tint(canvas, 0.75 * under * smoothstep(0.10, 0.34, head.y) * alpha, SHADE)
    glow = np.clip(ellipse(head.across, height, -0.32, -0.38, 0.55, 0.40), 0, 1)
    paint(canvas, 0.16 * glow * glow * alpha, who.skin * 0.4 + 0.6)
    return alpha


def cheeks(
    canvas: Canvas,
    head: Head,
    who: Person,
    smile: Float[np.ndarray, " n"],
    age: Float[np.ndarray, " n"],
    cover: Level,
) -> None:
    """Blush, freckles and the marks that years leave beside the nose."""
    rows = head.rows(-0.02, 0.50)
    part, canvas, cover = head.band(-0.02, 0.50), canvas[:, :, rows], cover[:, rows]
    side = np.abs(part.front)
    blush = np.clip(ellipse(side, part.y, 0.27, 0.21, 0.19, 0.14), 0, 1)
    young = 1 - 0.6 * smoothstep(25.0, 60.0, age)
    strength = column((0.18 + 0.14 * smile) * young)
    tint(canvas, blush * strength * 1.8 * cover, np.array([0.98, 0.72, 0.72]))

    if who.freckles.any():
        dots = np.sin(part.front * 88 + 5 * np.sin(part.y * 43)) * np.sin(
            part.y * 97 + 5 * np.sin(part.front * 31)
        )
        dots = smoothstep(0.60, 0.95, dots) * blush * column(0.55 * who.freckles)
        tint(canvas, dots * cover, np.array([0.75, 0.58, 0.48]))

    # The fold from the nose's wing to the mouth's corner, deeper in a smile.
    top, low = column(who.nose_y - 0.02), column(who.mouth_y + 0.02)
    run = np.clip((part.y - top) / (low - top), 0, 1)
    reach = column(who.nose_width + 0.025), column(who.mouth_width * (1 + 0.2 * smile))
    line = side - (reach[0] + (reach[1] + 0.025 - reach[0]) * run**1.4)
    inside = smoothstep(0, 0.35, run) * (1 - smoothstep(0.55, 1, run))
    depth = column(0.60 * smoothstep(34.0, 72.0, age) + 0.20 * smile)
    fold = stroke_level(line, 0.011, head.pixel) * inside
    tint(canvas, fold * depth * cover, SHADE)


def wrinkles(
    canvas: Canvas,
    head: Head,
    who: Person,
    age: Float[np.ndarray, " n"],
    smile: Float[np.ndarray, " n"],
    cover: Level,
) -> None:
    """Lines of the forehead, between the brows, beside and below the eyes."""
    years = column(smoothstep(36.0, 76.0, age))
    if not years.any():
        return
    rows = head.rows(-0.42, 0.16)
    part, canvas, cover = head.band(-0.42, 0.16), canvas[:, :, rows], cover[:, rows]
    side, brow = np.abs(part.front), column(who.brow_y)
    total = np.zeros_like(part.theta)
    for k, height in enumerate((0.075, 0.125, 0.175)):
        wave = 0.010 * np.sin(part.front * (13 + 3 * k) + 2 * k)
        line = part.y - (brow - height) - wave - 0.45 * side * side
        reach = 1 - smoothstep(0.07, 0.20 + 0.02 * k, side)
        total += stroke_level(line, 0.0075, head.pixel) * reach * 0.8
    frown = (part.front - 0.030) * (part.front + 0.030)
    near = np.clip(ellipse(part.front, part.y, 0, brow + 0.035, 0.08, 0.06), 0, 1)
    total += stroke_level(frown, 0.006, head.pixel) * near * 0.7
    # Crow's feet: rays from the eye's outer corner.
    corner = side - column(who.eye_x + 1.12 * who.eye_width)
    drop = part.y - column(who.eye_y)
    for slope in (-0.55, -0.05, 0.45):
        ray = stroke_level(drop - slope * corner - 0.004, 0.006, head.pixel)
        reach = smoothstep(0.0, 0.02, corner) * (1 - smoothstep(0.03, 0.10, corner))
        total += ray * reach * (0.55 + 0.3 * column(smile))
    # Bags: an arc under each lower lid.
    local = (side - column(who.eye_x)) / column(who.eye_width)
    bag = drop - column(who.eye_open) * (2.6 - 1.3 * local * local)
    total += stroke_level(bag, 0.009, head.pixel) * (
        0.9 * (1 - smoothstep(0.75, 1.05, np.abs(local)))
    )
    tint(canvas, 0.8 * np.clip(total, 0, 1) * years * cover, SHADE)


def eyes(
    canvas: Canvas,
    head: Head,
    who: Person,
    smile: Float[np.ndarray, " n"],
    cover: Level,
) -> None:
    """Eyes that look where the head points, lids narrowed by a smile."""
    rows = head.rows(-0.20, 0.20)
    part, canvas, cover = head.band(-0.20, 0.20), canvas[:, :, rows], cover[:, rows]
    pixel = head.pixel
    wide = column(who.eye_width)
    upper = column(who.eye_open) * 1.15
    lower = column(who.eye_open * (1 - 0.45 * smile))
    drop = part.y - column(who.eye_y)
    for sign in (-1, 1):
        across = part.front - sign * column(who.eye_x)
        down = drop + column(who.eye_tilt) * sign * across
        bow = 1 - (across / wide) ** 2
        socket = np.clip(ellipse(across, down, 0, -0.02, wide * 1.5, upper * 2.4), 0, 1)
        tint(canvas, 0.40 * socket * cover, SHADE)
        lid = down + upper * bow
        open_ = fill_between(lid, lower * bow - down) * cover
        paint(canvas, open_, np.array([0.97, 0.96, 0.95]))
        tint(canvas, open_ * (1 - smoothstep(0, 0.03, lid)), [0.72, 0.74, 0.80])
        radius = upper * 0.98
        centre = -sign * 0.006
        ball = (across - centre) ** 2 + (down + 0.1 * radius) ** 2
        iris = fill_level(radius * radius - ball) * open_
        paint(canvas, iris, who.iris)
        rim = smoothstep(0.45, 1.0, ball / (radius * radius))
        tint(canvas, iris * rim, [0.55, 0.55, 0.58])
        pupil = fill_level((0.48 * radius) ** 2 - ball) * open_
        paint(canvas, pupil, np.array([0.06, 0.05, 0.06]))
        spark = ellipse(across, down, centre - 0.35 * radius, -0.5 * radius,
                        0.30 * radius, 0.30 * radius)  # fmt: skip
        paint(canvas, fill_level(spark) * open_, np.ones(3))
        inside = 1 - smoothstep(0.92, 1.12, np.abs(across) / wide)
        heavy = 0.010 + 0.006 * column(who.lashes)
        lash = stroke_level(lid + 0.004, heavy, pixel) * inside
        paint(canvas, lash * cover, np.array([0.13, 0.09, 0.09]))
        under = stroke_level(down - lower * bow, 0.005, pixel) * inside
        tint(canvas, 0.7 * under * cover, SHADE * 0.9)
        crease = stroke_level(down + upper * (0.35 + 1.35 * bow), 0.006, pixel)
        tint(canvas, 0.8 * crease * inside * cover, SHADE)


def brows(
    canvas: Canvas,
    head: Head,
    who: Person,
    colour: Float[np.ndarray, "n 3"],
    smile: Float[np.ndarray, " n"],
    cover: Level,
) -> None:
    rows = head.rows(-0.36, -0.04)
    part, canvas, cover = head.band(-0.36, -0.04), canvas[:, :, rows], cover[:, rows]
    weight = column(who.brow_weight)
    reach = column(who.eye_width) * 1.25
    for sign in (-1, 1):
        along = sign * part.front - column(who.eye_x) - 0.01
        run = along / reach
        axis = part.y - column(who.brow_y - 0.012 * smile)
        axis = axis - column(who.brow_arch) * ((run - 0.2) ** 2 - 0.35)
        thick = weight * np.sqrt(np.clip(1 - run * run, 0, 1)) * (1 - 0.35 * run)
        hairs = fill_between(thick - axis, thick + axis) * (np.abs(run) < 1)
        paint(canvas, 0.92 * hairs * cover, colour)


def nose(canvas: Canvas, head: Head, who: Person, cover: Level) -> None:
    """A wedge that leaves the face's plane, with wings, nostrils and a shadow."""
    rows = head.rows(-0.12, 0.40)
    canvas, y, x = canvas[:, :, rows], head.y[:, rows], head.x
    outside = 1 - cover[:, rows]
    tip_y, wide = column(who.nose_y), column(who.nose_width)
    root_y = column(who.eye_y - 0.03)
    lift = column(who.nose_lift)
    root_x, _ = head.project(np.zeros_like(wide), root_y, 0.0)
    tip_x, _ = head.project(np.zeros_like(wide), tip_y, lift)

    run = np.clip((y - root_y) / (tip_y - root_y), 0, 1)
    axis = root_x + (tip_x - root_x) * run
    body = wide * (0.42 + 0.22 * run * run) - np.abs(x - axis)
    body = np.minimum(body, (tip_y - y) * 2 + wide * 0.3)
    bulb = wide * 0.66 - np.hypot(x - tip_x, y - tip_y)
    level = np.maximum(body, bulb)
    wings = []
    for sign in (-1, 1):
        wing_x, _ = head.project(sign * wide * 0.95, tip_y + 0.005, 0.30 * lift)
        wing = wide * 0.40 - np.hypot(x - wing_x, (y - tip_y - 0.008) * 1.15)
        level = np.maximum(level, wing)
        wings.append(wing_x)
    inside = np.clip(level / head.pixel + 0.5, 0, 1)
    inside *= np.maximum(smoothstep(0.30, 0.80, run), outside * smoothstep(0, 0.2, run))

    soft = 0.055
    cast = np.clip((level + 0.015) / soft + 0.5, 0, 1)
    lee = smoothstep(-0.02, 0.07, x - axis + 0.6 * (y - tip_y))
    cast = 0.55 * cast * lee * smoothstep(0.1, 0.8, run) * cover[:, rows]
    tint(canvas, cast, SHADE)
    paint(canvas, np.maximum(0.6, outside) * inside, who.skin * 0.97)
    side = smoothstep(0.05, 1.0, (x - axis) / wide)
    base = smoothstep(0.0, 1.1, (y - tip_y) / wide)
    tint(canvas, inside * np.clip(0.45 * side + 0.55 * base, 0, 1), SHADE)
    gleam = ellipse(
        x, y, tip_x - 0.22 * wide, tip_y - 0.22 * wide, 0.4 * wide, 0.34 * wide
    )
    paint(canvas, 0.40 * np.clip(gleam, 0, 1), who.skin * 0.4 + 0.6)
    bridge = np.exp(-(((x - axis + 0.15 * wide) / (0.26 * wide)) ** 2))
    paint(
        canvas,
        0.22 * bridge * smoothstep(0.1, 0.5, run) * (1 - run),
        who.skin * 0.4 + 0.6,
    )
    for sign, wing_x in zip((-1, 1), wings, strict=True):
        hole_x = 0.48 * wing_x + 0.52 * tip_x
        facing = smoothstep(0.30, 0.75, head.cos - sign * 0.55 * head.sin)
        hole = ellipse(x, y, hole_x, tip_y + 0.46 * wide, 0.25 * wide, 0.15 * wide)
        tint(canvas, 0.8 * fill_level(hole) * facing, [0.42, 0.25, 0.25])


def mouth(
    canvas: Canvas,
    head: Head,
    who: Person,
    smile: Float[np.ndarray, " n"],
    cover: Level,
) -> None:
    """Lips from a slight frown (smile 0) to an open laugh with teeth (smile 1)."""
    rows = head.rows(0.18, 0.66)
    part, canvas, cover = head.band(0.18, 0.66), canvas[:, :, rows], cover[:, rows]
    smile = column(smile)
    wide = column(who.mouth_width) * (0.94 + 0.34 * smile)
    run = np.clip(part.front / wide, -1.3, 1.3)
    bow = 1 - run * run
    bend = -0.006 + 0.082 * smile
    line = column(who.mouth_y) + bend * (bow - 0.55)
    gap = (
        0.088
        * smoothstep(0.45, 1.0, smile)
        * np.sqrt(np.maximum(bow, 0))
        * (0.4 + 0.6 * bow)
    )
    full = column(who.lip_weight) * (1 - 0.25 * smile)
    cupid = 1 - 0.30 * np.exp(-((part.front / 0.028) ** 2))
    upper = line - full * bow * cupid
    lower = line + gap + 1.35 * full * bow
    ends = bow > 0

    lips = fill_between(part.y - upper, lower - part.y) * ends * cover
    paint(canvas, 0.9 * lips, who.lip)
    tint(canvas, lips * (part.y < line), [0.86, 0.82, 0.82])
    gloss = ellipse(
        part.front, part.y, -0.02, line + gap + 0.6 * full, 0.06, 0.5 * full
    )
    paint(canvas, 0.25 * np.clip(gloss, 0, 1) * lips, np.ones(3))
    open_ = fill_between(part.y - line, line + gap - part.y) * ends * cover
    open_ = open_ * smoothstep(0.45, 0.52, smile)
    paint(canvas, open_, np.array([0.30, 0.07, 0.09]))
    teeth = fill_between(part.y - line, line + 0.60 * gap - part.y) * open_
    paint(canvas, teeth, np.array([0.97, 0.96, 0.93]))
    seam = stroke_level(part.y - line, 0.0075, head.pixel)
    reach = 1 - smoothstep(0.98, 1.10, np.abs(run))
    shut = 1 - smoothstep(0.45, 0.75, smile)
    tint(canvas, (0.35 + 0.55 * shut) * seam * reach * cover, [0.50, 0.30, 0.30])
    # Below the lower lip, where the chin begins.
    hollow = ellipse(part.front, part.y, 0, lower + 0.05, wide * 0.55, 0.032)
    tint(canvas, 0.45 * np.clip(hollow, 0, 1) * cover, SHADE)
