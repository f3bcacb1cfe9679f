"""From the bytes of an image file to a uint8 array of the common size.

Both readers, with and without TensorFlow, end in `Prepare`, so that their batches
agree: Pillow resizes for both.
"""

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, ImageSequence

from jaxgan.core.errors import one_of, warn_once

SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"),
    *(".ppm", ".pgm", ".avif"),
)
# Pictures that Pillow does not read; a folder of them is not to look empty.
FOREIGN = (".heic", ".heif", ".jxl", ".svg", ".psd", ".raw", ".cr2", ".nef", ".dng")
FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}
RESIZES = ("stretch", "cover", "width", "crop")
_ANIMATED = ("PNG", "AVIF", "GIF", "WEBP")  # not the previews of JPEG, TIFF's pages
BACKGROUND = 255  # what shows through transparent pixels
_ORIENTATION = 0x0112  # the EXIF tag
_WAY_BACK = {6: 8, 8: 6}  # the quarter turns; other orientations undo themselves

Picture: TypeAlias = UInt8[np.ndarray, "h w c"]
OtherPicture: TypeAlias = UInt8[np.ndarray, "_ _ _"]  # a result of another size


class Unusable(Exception):
    """A file that cannot be an example; the message says why.

    Attributes:
      small: it is whole, only smaller than the crop.
      fatal: a setting is wrong rather than the file, so that no other may stand in.
    """

    def __init__(self, reason: str, small: bool = False, fatal: bool = False):
        super().__init__(reason)
        self.small, self.fatal = small, fatal


def decode(data: bytes, classes: bool = False, upright: bool = False) -> Picture:
    """Decodes an image file.

    Grey stays one channel; palettes, CMYK and the like become RGB; 16 bits become 8;
    transparency is laid over white. The first frame of an animation counts.

    Args:
      data: the file.
      classes: it is a map of class numbers: they are returned as they are stored,
        palette or not.
      upright: turn the picture as the camera noted in the file; data sets are read as
        they are stored, as TensorFlow does.

    Returns:
      `[h, w, 1]` or `[h, w, 3]`.

    Raises:
      Unusable: if it is not a whole image file.
    """
    with _opened(data) as image:
        if image.format in _ANIMATED and getattr(image, "is_animated", False):
            warn_once(
                "some pictures are animations, of which the first frame alone is read; "
                "`generate` treats every frame of a GIF or WebP"
            )
        if upright:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
        else:
            _load_as_stored(image)
        return _to_array(image, classes)


def _load_as_stored(image: Image.Image) -> None:
    """Loads the pixels as they lie in the file; Pillow turns those of a TIFF."""
    if image.format != "TIFF":
        image.load()
        return
    noted = image.getexif().get(_ORIENTATION)
    image.load()
    if noted is not None and _ORIENTATION not in image.getexif():
        image.getexif()[_ORIENTATION] = _WAY_BACK.get(noted, noted)
        ImageOps.exif_transpose(image, in_place=True)


def decode_frames(data: bytes) -> list[Picture]:
    """Decodes every frame of an animation, upright; a still picture has one.

    Raises:
      Unusable: if it is not a whole image file.
    """
    with _opened(data) as image:
        return [
            _to_array(ImageOps.exif_transpose(frame), classes=False)
            for frame in ImageSequence.Iterator(image)
        ]


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """An image file, whatever is wrong with it as `Unusable`."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            yield image
    except Unusable:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen types on broken files
        what = "not an image file" if "cannot identify" in str(error) else str(error)
        raise Unusable(what) from error


def _to_array(image: Image.Image, classes: bool) -> Picture:
    mode = image.mode
    if mode.startswith("I;16") or mode in ("I", "F"):
        values = np.asarray(image)
        greatest = values.max()
        if mode == "F" or values.min() < 0 or greatest > 65535:
            raise Unusable(f"pixels of type {mode} are not 8 or 16 bits")
        if classes and greatest > 255:
            raise Unusable(f"its class number {greatest} is above 255")
        if not classes and 0 < greatest < 4096:
            warn_once(
                "16-bit files hold 8 or 12 bits and come out almost black; stretch "
                "their values to 0..65535, or store 8-bit files"
            )
        return (values if classes else values // 257).astype(np.uint8)[..., None]
    if classes:
        if mode not in ("L", "P", "1"):
            raise Unusable(f"a map of class numbers has one channel, this is {mode}")
        return np.asarray(image).astype(np.uint8)[..., None]
    if "A" in mode or "a" in mode or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (BACKGROUND,) * 3 + (255,))
        grey = mode == "LA"
        image = Image.alpha_composite(white, image).convert("L" if grey else "RGB")
    elif mode in ("1", "L"):
        image = image.convert("L")
    elif mode != "RGB":
        image = image.convert("RGB")
    values = np.asarray(image)
    return values[..., None] if values.ndim == 2 else values


def convert(picture: Picture, channels: int) -> OtherPicture:
    """Grey to RGB by repetition, RGB to grey by luma (ITU-R 601)."""
    if picture.shape[-1] == channels:
        return picture
    if picture.shape[-1] == 1 and channels == 3:
        return np.repeat(picture, 3, axis=-1)
    if picture.shape[-1] == 3 and channels == 1:
        return np.asarray(Image.fromarray(picture).convert("L"))[..., None]
    raise Unusable(f"has {picture.shape[-1]} channels, not {channels}")


def resize(picture: Picture, height: int, width: int, filter: str) -> OtherPicture:
    """Resizes with antialiasing, every channel by itself; a picture of that size is
    returned as it is."""
    if picture.shape[:2] == (height, width):
        return picture
    if picture.shape[-1] not in (1, 3):  # no image of Pillow's
        planes = np.split(picture, picture.shape[-1], axis=-1)
        resized = [resize(plane, height, width, filter) for plane in planes]
        return np.concatenate(resized, axis=-1)
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    values = np.asarray(image.resize((width, height), FILTERS[filter]))
    return values[..., None] if values.ndim == 2 else values


def trim_low(
    low: UInt8[np.ndarray, "*n _ _ c"], high_size: tuple[int, ...], scale: int
) -> UInt8[np.ndarray, "*n _ _ c"]:
    """The part of a low resolution whose pixels stand for whole squares of the high.

    Pixel (i, j) stands for the square that begins at (scale i, scale j). Where a side
    is no multiple, MATLAB's `imresize` makes one more, for a part of a square.

    Args:
      low: pictures of one size.
      high_size: height and width of the high resolution.
      scale: side of a square.

    Returns:
      `[*n, height // scale, width // scale, c]`.

    Raises:
      Unusable: if `low` is of another size than the high resolution divided by `scale`,
        rounded down or up.
    """
    (rows, columns), (height, width) = low.shape[-3:-1], high_size
    pairs = (rows, height), (columns, width)
    if not all(have in (n // scale, -(-n // scale)) for have, n in pairs):
        raise Unusable(
            f"of low resolution is {columns}x{rows}, but {width}x{height} at "
            f"data.scale={scale} makes {width // scale}x{height // scale}; take the "
            "files of that scale, or set data.scale and system.scale",
            fatal=True,
        )
    return low[..., : height // scale, : width // scale, :]


def cut_own(picture: Picture, box: Float[np.ndarray, "4"]) -> OtherPicture:
    """The part of a picture that lies in its own box.

    Args:
      picture: as decoded.
      box: top, left, bottom and right as shares of the height and the width, as the
        `bbox` of TFDS.

    Raises:
      Unusable: if that part is empty.
    """
    rows, columns = picture.shape[:2]
    shares = np.clip(np.nan_to_num(box), 0, 1)
    edges = np.round(shares * (rows, columns, rows, columns)).astype(int)
    top, left, bottom, right = edges.tolist()
    if top >= bottom or left >= right:
        raise Unusable(
            f"has nothing in its box {box.tolist()}; top, left, bottom and right are "
            "shares of the height and the width, 0 to 1"
        )
    return picture[top:bottom, left:right]


@dataclasses.dataclass(frozen=True)
class Prepare:
    """How decoded pictures of any size are brought to one size, on the host.

    Attributes:
      height, width: of the result.
      channels: of the result: 1, 3, or as many as the picture has.
      resize: `stretch` to the result's size; `cover`: until it covers `scale_to`, then
        a window; `width`: until it is as wide as `scale_to`, then a window, for which a
        flat picture is made as high as the result; `crop`: a window of the picture as
        it is.
      scale_to: `(height, width)`, see `resize`.
      filter: a key of `FILTERS`.
      part: the half of a side-by-side picture that is meant.
      box: cut before anything else: the side of a central square, or `(top, left,
        height, width)`.
      random: the window lies anywhere, else in the centre.
      align: the window's offsets are multiples of this.
      classes: a map of class numbers, never interpolated.
    """

    height: int
    width: int
    channels: int = 3
    resize: str = "stretch"
    scale_to: tuple[int, int] = (0, 0)
    filter: str = "bicubic"
    part: Literal["left", "right"] | None = None
    box: int | tuple[int, int, int, int] | None = None
    random: bool = False
    align: int = 1
    classes: bool = False

    def __post_init__(self):
        one_of(self.resize, RESIZES, "data.resize")
        one_of(self.filter, FILTERS, "data.filter")

    @property
    def draws_window(self) -> bool:
        """Whether the result depends on `place`."""
        return self.random and self.resize != "stretch"

    def __call__(self, picture: Picture, place: tuple[float, float]) -> OtherPicture:
        """Prepares one picture.

        Args:
          picture: as decoded.
          place: where the window lies, down and across, in [0, 1).

        Raises:
          Unusable: if the picture is too small or has the wrong channels.
        """
        if self.part:
            half = picture.shape[1] // 2
            picture = picture[:, :half] if self.part == "left" else picture[:, half:]
        if self.box is not None:
            picture = _cut(picture, self.box)
        picture = convert(picture, self.channels)
        rows, columns = picture.shape[:2]
        kind = "nearest" if self.classes else self.filter
        if self.resize == "stretch":
            return np.ascontiguousarray(resize(picture, self.height, self.width, kind))
        if self.resize != "crop":
            height, width = self.scale_to
            scale = width / columns
            if self.resize == "cover":
                scale = max(scale, height / rows)
                new = (
                    max(height, round(rows * scale)),
                    max(width, round(columns * scale)),
                )
            else:  # as the official `scale_width`, rounded down
                new = max(int(width * rows / columns), self.height), width
            picture = resize(picture, *new, kind)
        return self._window(picture, place)

    def _window(self, picture: Picture, place: tuple[float, float]) -> OtherPicture:
        rows, columns = picture.shape[:2]
        down, across = rows - self.height, columns - self.width
        if down < 0 or across < 0:
            raise Unusable(
                f"is {columns}x{rows}, smaller than {self.width}x{self.height}",
                small=True,
            )
        if self.random:
            top = int(place[0] * (down // self.align + 1)) * self.align
            left = int(place[1] * (across // self.align + 1)) * self.align
        else:
            top = down // 2 // self.align * self.align
            left = across // 2 // self.align * self.align
        window = picture[top : top + self.height, left : left + self.width]
        return np.ascontiguousarray(window)


def _cut(picture: Picture, box: int | tuple[int, int, int, int]) -> OtherPicture:
    rows, columns = picture.shape[:2]
    if isinstance(box, int):
        top, left, height, width = (rows - box) // 2, (columns - box) // 2, box, box
    else:
        top, left, height, width = box
    if min(top, left) < 0 or top + height > rows or left + width > columns:
        raise Unusable(f"is {columns}x{rows}, smaller than data.box", small=True)
    return picture[top : top + height, left : left + width]
