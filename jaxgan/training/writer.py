"""What a run leaves to look at: rows of numbers, grids of pictures, TensorBoard events.

`metrics.jsonl` and `timing.jsonl` hold one JSON object a line.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath
from PIL import Image, ImageDraw, ImageFont

from jaxgan.core.errors import UserError
from jaxgan.core.json_lines import json_line

CAPTION_HEIGHT = 14  # pixels
GAP = 2


def is_remote(path: epath.PathLike) -> bool:
    """Whether the path lies in a bucket (no locks, no appending)."""
    return "://" in os.fspath(path)


class Rows:
    """A file of JSON lines that grows.

    A restart cuts what lies beyond its checkpoint, and a last line that a killed
    process left half-written.
    """

    def __init__(self, path: epath.Path, last_step: int):
        """Opens the file and cuts it after `last_step`."""
        self._path, self._file = path, None
        kept = [line for line, row in read_lines(path) if row["step"] <= last_step]
        self._text = "".join(f"{line}\n" for line in kept)
        with _writing(path):
            if is_remote(path):
                return
            if not path.exists() or path.read_text() != self._text:
                replace_text(path, self._text)
            self._file = open(path, "a", encoding="utf-8")

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends one row."""
        line = json_line(row)
        if self._file is None:
            self._text += line
        else:
            with _writing(self._path):
                self._file.write(line)
                self._file.flush()

    def sync(self) -> None:
        """Returns when all rows are on disk (or in the bucket)."""
        with _writing(self._path):
            if self._file is None:
                self._path.write_text(self._text)
            else:
                os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file is None:
            self.sync()
        else:
            self._file.close()


class Writer:
    """Everything that a run writes but its checkpoints; one process of a run has it."""

    def __init__(self, workdir: epath.PathLike, last_step: int):
        """Opens the files of a run that goes on after `last_step`."""
        self._workdir = epath.Path(workdir)
        self._remove_grids(last_step)
        self._metrics = Rows(self._workdir / "metrics.jsonl", last_step)
        self._timing = Rows(self._workdir / "timing.jsonl", last_step)
        self._events = open_events(self._workdir, last_step)

    def metrics(self, step: int, stage: str, values: Mapping[str, Any]) -> None:
        """One row of the values of `step`; TensorBoard takes the numbers alone."""
        self._metrics.add({"step": step, "stage": stage, **values})
        if self._events is not None:
            numbers = {n: v for n, v in values.items() if isinstance(v, float)}
            self._events.scalars(step, numbers)

    def timing(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        """One row of how fast the steps up to `step` went."""
        self._timing.add({"step": step, "stage": stage, **values})

    def grid(self, step: int, columns: Mapping[str, np.ndarray]) -> None:
        """`samples/step_<step>.png`: a row an example, a column a name."""
        path = self._workdir / "samples" / f"step_{step:08d}.png"
        buffer = io.BytesIO()
        picture = draw_grid(columns)
        picture.save(buffer, format="png")
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(buffer.getvalue())
        if self._events is not None:
            self._events.picture(step, buffer.getvalue(), picture.size)

    def _remove_grids(self, last_step: int) -> None:
        """Those of an earlier start beyond the step from which this one goes on."""
        for path in (self._workdir / "samples").glob("step_*.png"):
            number = path.stem.removeprefix("step_")
            if number.isdigit() and int(number) > last_step:
                with _writing(path):
                    path.unlink()

    def sync(self) -> None:
        """Returns when all rows are on disk."""
        self._metrics.sync()
        self._timing.sync()
        if self._events is not None:
            self._events.sync()

    def close(self) -> None:
        self._metrics.close()
        self._timing.close()
        if self._events is not None:
            self._events.close()


class _writing:
    """Turns a file system's refusal into one line."""

    def __init__(self, path: epath.PathLike):
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        if isinstance(error, OSError):
            raise UserError(
                f"cannot write {self._path}: {error.strerror or error}; make room "
                "there, or choose another --workdir"
            ) from error


def read_lines(path: epath.PathLike) -> list[tuple[str, dict[str, Any]]]:
    """The whole lines of a file of JSON lines, as text and as objects."""
    path = epath.Path(path)
    lines = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append((line, json.loads(line)))
        except json.JSONDecodeError:
            break  # torn by a kill; what follows it cannot be trusted either
    return lines


def read_rows(path: epath.PathLike) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines, such as a run's `metrics.jsonl`."""
    return [row for _, row in read_lines(path)]


def replace_text(path: epath.PathLike, text: str) -> None:
    """Writes a file so that it is the old one or the new one at any moment.

    Raises:
      UserError: if it cannot be written.
    """
    path = epath.Path(path)
    with _writing(path):
        if is_remote(path):
            path.write_text(text)
            return
        new = path.with_name(path.name + ".new")
        with open(new, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)


def as_number(value: Any) -> float:
    """A float32 as the shortest decimal that names it."""
    return float(str(np.float32(value)))


def draw_grid(columns: Mapping[str, np.ndarray]) -> Image.Image:
    """A picture with a caption above every column.

    Args:
      columns: `{caption: [n, h, w, c] in [-1, 1]}`, see `to_bytes`; smaller pictures
        are enlarged to the size of the largest without smoothing.
    """
    images = {name: np.asarray(x, np.float32) for name, x in columns.items()}
    side_h = max(x.shape[1] for x in images.values())
    side_w = max(x.shape[2] for x in images.values())
    # Pictures of a few pixels are hard to judge and narrower than their captions.
    zoom = max(1, -(-64 // max(side_h, side_w)))
    height, width = side_h * zoom, side_w * zoom
    rows = max(len(x) for x in images.values())
    canvas = Image.new(
        "RGB",
        (len(images) * (width + GAP) - GAP, CAPTION_HEIGHT + rows * (height + GAP)),
        "white",
    )
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=10)
    for column, (name, x) in enumerate(images.items()):
        left = column * (width + GAP)
        draw.text((left + 1, 1), _fit(name, width, font), fill="black", font=font)
        for row, one in enumerate(to_bytes(x)):
            picture = Image.fromarray(one).resize((width, height), Image.NEAREST)
            canvas.paste(picture, (left, CAPTION_HEIGHT + row * (height + GAP)))
    return canvas


def _fit(text: str, width: int, font: Any) -> str:
    """As much of a caption as its column is wide."""
    text = text.replace("_", " ")
    while len(text) > 1 and font.getlength(text) > width:
        text = text[:-1]
    return text


def to_bytes(images: np.ndarray) -> np.ndarray:
    """`[n, h, w, c]` in [-1, 1] as uint8 RGB; of 2, 4 and more channels the first 3."""
    if images.shape[-1] == 1:
        images = np.repeat(images, 3, axis=-1)
    images = images[..., :3]
    missing = 3 - images.shape[-1]
    images = np.pad(images, [(0, 0)] * 3 + [(0, missing)], constant_values=-1.0)
    scaled = np.clip((images + 1.0) * 127.5, 0.0, 255.0)
    return np.nan_to_num(np.rint(scaled)).astype(np.uint8)


def open_events(workdir: epath.Path, last_step: int) -> Events | None:
    """A TensorBoard event file, where TensorBoard is installed."""
    if is_remote(workdir) or importlib.util.find_spec("tensorboard") is None:
        return None
    return Events(workdir, last_step)


class Events:
    """TensorBoard's file format, written with TensorBoard alone (no TensorFlow)."""

    def __init__(self, workdir: epath.Path, last_step: int):
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = event_pb2, summary_pb2
        name = f"events.out.tfevents.{time.time():.6f}.{os.getpid()}"
        with _writing(workdir / name):
            self._file = open(workdir / name, "wb")
        self._records = RecordWriter(self._file)
        self._add(file_version="brain.Event:2")
        # TensorBoard drops what earlier files say of later steps.
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._add(step=last_step + 1, session_log=start)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        Value = self._summary.Summary.Value
        found = [Value(tag=k, simple_value=v) for k, v in values.items()]
        self._add(step=step, summary=self._summary.Summary(value=found))

    def picture(self, step: int, png: bytes, size: tuple[int, int]) -> None:
        image = self._summary.Summary.Image(
            width=size[0], height=size[1], colorspace=3, encoded_image_string=png
        )
        value = self._summary.Summary.Value(tag="samples", image=image)
        self._add(step=step, summary=self._summary.Summary(value=[value]))

    def sync(self) -> None:
        with _writing(self._file.name):
            self._file.flush()

    def close(self) -> None:
        with _writing(self._file.name):
            self._file.close()

    def _add(self, **fields: Any) -> None:
        event = self._event.Event(wall_time=time.time(), **fields)
        with _writing(self._file.name):
            self._records.write(event.SerializeToString())
