"""One picture of all results: inputs beside outputs, with captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from jaxgan import core, ops
from jaxgan.inference import results

LIMIT = 64  # examples on a sheet
SIDE = (64, 256)  # least and greatest side of a cell in pixels
WIDTH = 1600  # of a sheet, unless one example is wider
STRIP = 8  # pictures of a set that are shown
GAP, MARGIN, LINE = 4, 12, 14

Picture = UInt8[np.ndarray, "h w c"]


class Card(NamedTuple):
    """What the sheet shows of one example.

    Attributes:
      number: its place.
      caption: its name, and its numbers if they are few.
      cells: `(title, picture)`, inputs first.
    """

    number: int
    caption: str
    cells: list[tuple[str, Any]]


def card(
    number: int,
    name: str,
    mode: core.Mode,
    inputs: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
) -> Card:
    """Chooses what is shown of an example.

    Args:
      number: its place.
      name: its name.
      mode: the mode's declaration.
      inputs: as read, pictures uint8.
      outputs: pictures uint8.
    """
    has_picture = any(_is(core.Image, d) for d in mode.output.values())
    cells = []
    for field, x in inputs.items():
        shown = _picture(x, mode.inputs[field])
        if shown is not None:
            cells.append((field, shown))
    for field, x in outputs.items():
        declared = mode.output[field]
        if _is(core.Voxels, declared) and has_picture:
            continue  # the mode shows its shapes itself
        shown = _picture(x, declared)
        if shown is not None:
            cells.append((field, shown))
    numbers = [
        f"{field} {float(outputs[field]):.4g}"
        for field, declared in mode.output.items()
        if isinstance(declared, core.Values) and outputs[field].ndim == 0
    ]
    return Card(number, "  ".join([name, *numbers]), cells)


def _is(kind: type, declared: Any) -> bool:
    item = declared.item if isinstance(declared, core.Set) else declared
    return isinstance(item, kind)


def _picture(x: np.ndarray, declared: Any) -> np.ndarray | None:
    """RGB `[h, w, 3]` of a value that can be seen, or None."""
    if isinstance(declared, core.Set):
        if not _is(core.Image, declared) and not _is(core.Voxels, declared):
            return None
        some = np.linspace(0, len(x) - 1, min(len(x), STRIP)).round().astype(int)
        shown = [_picture(x[i], declared.item) for i in some]
        return results.strip(np.stack([s for s in shown if s is not None]))
    if isinstance(declared, core.Voxels):
        return np.asarray(ops.to_uint8(_render(x[None])))[0]
    if isinstance(declared, core.Mask):
        x = (255 * x).astype(np.uint8)
    elif not isinstance(declared, core.Image):
        return None
    return np.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x


@jax.jit
def _render(voxels: Any) -> Any:
    return ops.render_voxels(voxels)


def draw(cards: Sequence[Card]) -> Image.Image | None:
    """The sheet of all cards, or None if there is nothing to see on them.

    Every picture is fitted into a cell of one size; cards stand in as many columns as
    are wide enough, under the titles of their cells.
    """
    cards = [c for c in sorted(cards) if c.cells][:LIMIT]
    if not cards:
        return None
    font = ImageFont.load_default(size=10)
    tallest = max(p.shape[0] for c in cards for _, p in c.cells)
    height = min(max(tallest, SIDE[0]), SIDE[1])
    rows = [[_fit(p, height) for _, p in c.cells] for c in cards]
    widths = [max(row[i].width for row in rows) for i in range(len(rows[0]))]
    card_width = sum(widths) + GAP * (len(widths) - 1)
    card_height = height + LINE + GAP
    columns = min(max(1, WIDTH // (card_width + MARGIN)), len(cards))
    columns = _balanced(len(cards), columns)
    lines = -(-len(cards) // columns)
    titles = [title for title, _ in cards[0].cells]
    head = LINE + GAP if len(titles) > 1 else 0
    sheet = Image.new(
        "RGB",
        (
            columns * (card_width + MARGIN) + MARGIN,
            2 * MARGIN + head + lines * card_height,
        ),
        "white",
    )
    pen = ImageDraw.Draw(sheet)
    lefts = np.cumsum([0, *(w + GAP for w in widths)])[:-1]
    for column in range(columns if head else 0):
        x = MARGIN + column * (card_width + MARGIN)
        for left, width, title in zip(lefts, widths, titles, strict=True):
            text = _shorten(title.replace("_", " "), width, font)
            pen.text((x + int(left), MARGIN), text, fill="black", font=font)
    for i, (one, row) in enumerate(zip(cards, rows, strict=True)):
        x = MARGIN + i % columns * (card_width + MARGIN)
        y = MARGIN + head + i // columns * card_height
        for left, picture in zip(lefts, row, strict=True):
            sheet.paste(picture, (x + int(left), y))
        text = _shorten(one.caption, card_width, font)
        pen.text((x, y + height + 1), text, fill="dimgray", font=font)
    return sheet


def _balanced(count: int, columns: int) -> int:
    """Few results in a square rather than in one long line."""
    return min(columns, max(1, int(np.ceil(np.sqrt(count)))))


def _fit(picture: Picture, height: int) -> Image.Image:
    """At most `height` high; small pictures are enlarged without smoothing."""
    image = Image.fromarray(picture)
    scale = height / image.height
    size = (max(1, round(image.width * scale)), height)
    smooth = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    return image if scale == 1 else image.resize(size, smooth)


def _shorten(text: str, width: int, font: Any) -> str:
    """The end of a caption, where its column is narrower."""
    if font.getlength(text) <= width:
        return text
    while len(text) > 1 and font.getlength("…" + text) > width:
        text = text[1:]
    return "…" + text
