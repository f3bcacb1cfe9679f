"""One picture of all results: inputs beside outputs, with captions."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from jaxgan import core, ops
from jaxgan.inference import results
from jaxgan.inference.declared import item_of

LIMIT = 64  # examples on a sheet
SIDE = (64, 256)  # least and greatest side of a cell in pixels
WIDTH = 1600  # of a sheet, unless one example is wider
STRIP = 8  # pictures of a set that are shown
GAP, MARGIN, LINE = 4, 12, 14

Picture: TypeAlias = UInt8[np.ndarray, "h w c"]


class Cell(NamedTuple):
    """A picture under its title; `frames` of them in a row if it is a set."""

    title: str
    picture: Any
    frames: int = 1


class Card(NamedTuple):
    """What the sheet shows of one example.

    Attributes:
      number: its place.
      caption: its name, and its numbers if they are few.
      cells: inputs first.
    """

    number: int
    caption: str
    cells: list[Cell]


def card(
    number: int,
    name: str,
    mode_name: str,
    mode: core.Mode,
    inputs: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
) -> Card:
    """Chooses what is shown of an example.

    Args:
      number: its place.
      name: its name.
      mode_name: the title of its only output, or of one that is called as an input.
      mode: the mode's declaration.
      inputs: as read, pictures uint8.
      outputs: pictures uint8.

    Returns:
      The card, with pictures no larger than they are shown.
    """
    has_picture = any(_is(core.Image, d) for d in mode.output.values())
    cells = [_cell(field, x, mode.inputs[field]) for field, x in inputs.items()]
    for field, x in outputs.items():
        declared = mode.output[field]
        if not (_is(core.Voxels, declared) and has_picture):  # shown by itself
            alone = len(mode.output) == 1 or field in mode.inputs
            title = mode_name if alone else field
            cells.append(_cell(title, x, declared))
    numbers = [
        f"{field} {float(outputs[field]):.4g}"
        for field, declared in mode.output.items()
        if isinstance(declared, core.Values) and outputs[field].ndim == 0
    ]
    caption = "  ".join([name, *numbers])
    return Card(number, caption, [_shrunk(cell) for cell in cells if cell is not None])


def _is(kind: type, declared: Any) -> bool:
    return isinstance(item_of(declared), kind)


def _cell(title: str, x: np.ndarray, declared: Any) -> Cell | None:
    """A value that can be seen, as RGB; else None."""
    if not isinstance(declared, core.Set):
        shown = _picture(x, declared)
        return None if shown is None else Cell(title, shown)
    some = np.linspace(0, len(x) - 1, min(len(x), STRIP)).round().astype(int)
    shown = [_picture(x[i], declared.item) for i in some]
    pictures = [one for one in shown if one is not None]
    if not pictures:
        return None
    return Cell(title, results.strip(np.stack(pictures)), len(pictures))


def _picture(x: np.ndarray, declared: Any) -> np.ndarray | None:
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


def _shrunk(cell: Cell) -> Cell:
    """As `draw` would show it; a sheet of full pictures would take gigabytes."""
    if _side(cell) <= SIDE[1]:
        return cell
    return cell._replace(picture=np.asarray(_fit(cell, SIDE[1])))


def draw(cards: Sequence[Card]) -> Image.Image | None:
    """The sheet of all cards, or None if there is nothing to see on them.

    Every picture is fitted into a square of one size; cards stand in as many columns as
    are wide enough, under the titles of their cells.
    """
    cards = [c for c in sorted(cards) if c.cells][:LIMIT]
    if not cards:
        return None
    font = ImageFont.load_default(size=10)
    side = min(
        max(max(_side(cell) for c in cards for cell in c.cells), SIDE[0]), SIDE[1]
    )
    rows = [[_fit(cell, side) for cell in c.cells] for c in cards]
    widths = [max(row[i].width for row in rows) for i in range(len(rows[0]))]
    lefts = list(itertools.accumulate((w + GAP for w in widths), initial=0))
    card_width = lefts.pop() - GAP
    columns = _balanced(len(cards), max(1, WIDTH // (card_width + MARGIN)))
    lines = [
        range(i, min(i + columns, len(cards))) for i in range(0, len(cards), columns)
    ]
    heights = [max(p.height for i in line for p in rows[i]) for line in lines]
    titles = [cell.title for cell in cards[0].cells]
    head = LINE + GAP if len(titles) > 1 else 0
    size = (
        MARGIN + columns * (card_width + MARGIN),
        2 * MARGIN + head + sum(heights) + len(lines) * (LINE + GAP),
    )
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)

    def write(x: int, y: int, width: int, text: str, fill: str) -> None:
        pen.text(
            (x, y), _shorten(_drawable(text, font), width, font), fill=fill, font=font
        )

    starts = [MARGIN + column * (card_width + MARGIN) for column in range(columns)]
    for x in starts if head else ():
        for left, width, title in zip(lefts, widths, titles, strict=True):
            write(x + left, MARGIN, width, title.replace("_", " "), "black")
    y = MARGIN + head
    for line, height in zip(lines, heights, strict=True):
        for x, i in zip(starts, line, strict=False):
            for left, picture in zip(lefts, rows[i], strict=True):
                sheet.paste(picture, (x + left, y))
            write(x, y + height + 1, card_width, cards[i].caption, "dimgray")
        y += height + LINE + GAP
    return sheet


def _side(cell: Cell) -> int:
    height, width = cell.picture.shape[:2]
    return max(height, width // cell.frames)


def _balanced(count: int, columns: int) -> int:
    """Few results in a square rather than in one long line."""
    return min(columns, math.ceil(math.sqrt(count)))


def _fit(cell: Cell, side: int) -> Image.Image:
    """Within a square (as many as it has frames); enlarged without smoothing."""
    image = Image.fromarray(cell.picture)
    scale = min(side / image.height, cell.frames * side / image.width)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    smooth = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    return image if scale == 1 else image.resize(size, smooth)


def _drawable(text: str, font: Any) -> str:
    """Letters without their accents, and `?` for what the font lacks besides."""

    def glyph(character: str) -> tuple[tuple[int, int], bytes]:
        mask = font.getmask(character)
        return mask.size, bytes(mask)

    box = glyph("\uffff")  # no character, so no font has it
    shown = ""
    for character in unicodedata.normalize("NFC", text):
        base = unicodedata.normalize("NFD", character)[0]
        shown += next((c for c in (character, base) if glyph(c) != box), "?")
    return shown


def _shorten(text: str, width: int, font: Any) -> str:
    """The end of a caption, where its column is narrower."""
    if font.getlength(text) <= width:
        return text
    while len(text) > 1 and font.getlength("…" + text) > width:
        text = text[1:]
    return "…" + text
