"""Rows, grids and TensorBoard events."""

import json

import numpy as np
import pytest
from etils import epath
from PIL import Image

from jaxgan.core.errors import UserError
from jaxgan.training import writer
from jaxgan.training.writer import Rows, Writer, read_rows


def rows_file(tmp_path, text):
    path = epath.Path(tmp_path) / "metrics.jsonl"
    path.write_text(text)
    return path


def test_rows_beyond_the_last_step_and_torn_lines_are_cut(tmp_path):
    path = rows_file(tmp_path, '{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step":')
    rows = Rows(path, last_step=2)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
    rows.add({"step": 3, "loss": 0.1})
    rows.sync()
    assert read_rows(path)[-1] == {"step": 3, "loss": 0.1}
    rows.close()


def test_an_untouched_file_is_not_rewritten(tmp_path):
    path = rows_file(tmp_path, '{"step": 1}\n')
    before = path.stat().mtime
    Rows(path, last_step=1).close()
    assert path.stat().mtime == before and not list(tmp_path.glob("*.new"))


def test_rows_in_a_bucket_are_written_whole_at_each_sync(tmp_path, monkeypatch):
    """Nothing can be appended there."""
    monkeypatch.setattr(writer, "is_remote", lambda path: True)
    path = rows_file(tmp_path, '{"step": 1}\n{"step": 9}\n')
    rows = Rows(path, last_step=1)
    rows.add({"step": 2})
    rows.sync()
    assert [r["step"] for r in read_rows(path)] == [1, 2]
    rows.close()


@pytest.mark.parametrize(
    ("path", "remote"), [("gs://bucket/run", True), ("/tmp/run", False)]
)
def test_buckets_are_told_from_folders(path, remote):
    assert writer.is_remote(epath.Path(path)) is remote


def test_numbers_are_written_as_short_as_float32_allows():
    assert json.dumps(writer.as_number(np.float32(0.1))) == "0.1"
    value = np.float32(1 / 3)
    assert np.float32(writer.as_number(value)) == value


def test_a_grid_has_a_row_an_example_and_a_column_a_name():
    black, white = -np.ones((2, 64, 64, 3)), np.ones((2, 64, 64, 1))
    picture = writer.draw_grid({"input": black, "a_long_caption_here": white})
    assert picture.size == (
        2 * 64 + writer.GAP,
        writer.CAPTION_HEIGHT + 2 * (64 + writer.GAP),
    )
    pixels = np.asarray(picture)[writer.CAPTION_HEIGHT :]
    assert (pixels[:64, :64] == 0).all() and (pixels[:64, 66:] == 255).all()
    assert (pixels[66:130, :64] == 0).all()
    captions = np.asarray(picture)[: writer.CAPTION_HEIGHT]
    assert (captions[:, :64] < 128).any() and (captions[:, 66:] < 128).any()


def test_small_pictures_are_enlarged_to_the_largest_without_smoothing():
    low = np.linspace(-1, 1, 16).reshape(1, 4, 4, 1)
    high = np.zeros((1, 16, 16, 1))
    pixels = np.asarray(writer.draw_grid({"low": low, "high": high}))
    assert pixels.shape[1] == 2 * 64 + writer.GAP  # at least 64 pixels each
    enlarged = pixels[writer.CAPTION_HEIGHT :][:64, :64, 0]
    expected = np.kron(writer.to_bytes(low)[0, ..., 0], np.ones((16, 16)))
    np.testing.assert_array_equal(enlarged, expected)


def test_values_outside_the_range_are_clipped():
    images = np.array([-3.0, -1.0, 0.0, 1.0, 3.0]).reshape(1, 1, 5, 1)
    np.testing.assert_array_equal(
        writer.to_bytes(images)[0, 0, :, 0], [0, 0, 128, 255, 255]
    )


@pytest.mark.parametrize(("channels", "seen"), [(2, (0, 255, 0)), (5, (0, 255, 128))])
def test_a_grid_shows_the_first_three_channels_of_any_number(channels, seen):
    image = np.array([-1.0, 1.0, 0.0, 1.0, 1.0], np.float32)[:channels]
    picture = writer.draw_grid({"input": np.tile(image, (1, 64, 64, 1))})
    assert picture.getpixel((5, picture.height // 2)) == seen


def test_tensorboard_reads_what_is_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with_picture = {"image": np.zeros((1, 64, 64, 3))}
    for start, steps in ((0, (1, 2, 3)), (2, (3, 4))):  # killed after 2, resumed
        run = Writer(tmp_path, start)
        for step in steps:
            run.metrics(step, "a", {"loss/net": float(10 * start + step)})
        run.grid(steps[-1], with_picture)
        run.sync()
        run.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    found = {e.step: e.value for e in events.Scalars("loss/net")}
    assert found == {1: 1.0, 2: 2.0, 3: 23.0, 4: 24.0}
    picture = events.Images("samples")[-1]
    assert (picture.width, picture.step) == (64, 4)
    assert Image.open(tmp_path / "samples/step_00000004.png").size[0] == 64
    assert [r["step"] for r in read_rows(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4]


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    rows = Rows(epath.Path(tmp_path) / "metrics.jsonl", 0)

    class Full:
        def write(self, text):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    rows._file.close()
    rows._file = Full()
    with pytest.raises(UserError, match="cannot write .*metrics.jsonl: No space left"):
        rows.add({"step": 1})
