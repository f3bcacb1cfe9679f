"""Animated pictures: how long their frames are shown, and films made of results."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageSequence

from jaxgan.inference import marks

SUFFIXES = (".gif", ".webp")
QUALITY = 95  # of WebP, whose default is 80


@dataclasses.dataclass(frozen=True)
class Timing:
    """How an animation is shown.

    Attributes:
      durations: of each frame, milliseconds; none if it cannot be read.
      loop: how often; 0 is for ever, None is not said.
    """

    durations: tuple[int, ...]
    loop: int | None = None


@dataclasses.dataclass(frozen=True)
class Film:
    """Results that are the frames of an animation.

    Attributes:
      file: relative; what it is called and, by its suffix, its format.
      frames: names of the examples, in order.
      timing: theirs.
    """

    file: str
    frames: tuple[str, ...]
    timing: Timing


def timing(data: bytes) -> Timing:
    """Of an image file; a still picture has one frame."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            durations = []
            for frame in ImageSequence.Iterator(image):
                frame.load()  # WebP knows it by then
                durations.append(int(frame.info.get("duration", 0)))
            return Timing(tuple(durations), image.info.get("loop"))
    except Exception:  # Pillow's decoders raise a dozen types on broken files
        return Timing(())


def write(
    path: Path, pictures: Sequence[Path], timing: Timing, file_format: str
) -> None:
    """Writes an animation.

    Args:
      path: where to.
      pictures: image files, the frames; at least one.
      timing: theirs.
      file_format: `gif` (256 colours a frame) or `webp`.
    """

    def frames() -> Iterator[Image.Image]:
        for one in pictures:
            with Image.open(one) as image:
                yield image.copy()

    others = frames()
    options = {} if timing.loop is None else {"loop": timing.loop}
    if file_format == "webp":
        options |= {"quality": QUALITY}
    next(others).save(
        path,
        format=file_format,
        save_all=True,
        append_images=others,
        duration=list(timing.durations),
        **options,
        **marks.animation(file_format),
    )
