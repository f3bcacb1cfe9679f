"""Trained runs, and users' files of every kind."""

import numpy as np
import pytest
from PIL import Image

from tests.inference import trained


@pytest.fixture(scope="session")
def pix2pix_run(tmp_path_factory):
    return trained.run("pix2pix", tmp_path_factory)


@pytest.fixture(scope="session")
def cyclegan_run(tmp_path_factory):
    return trained.start("cyclegan", tmp_path_factory)


@pytest.fixture(scope="session")
def dcgan_run(tmp_path_factory):
    return trained.start("dcgan", tmp_path_factory)


def gradient(height: int, width: int) -> np.ndarray:
    """A smooth picture without symmetries, uint8 `[h, w, 3]`."""
    y, x = np.mgrid[:height, :width]
    ramps = (255 * x / width, 255 * y / height, 127 * (x + y) / (height + width))
    return np.stack(ramps, axis=-1).astype(np.uint8)


@pytest.fixture
def photos(tmp_path):
    """A folder of three pictures, one in a folder below, and two that are none."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    Image.fromarray(gradient(40, 50)).save(folder / "a.png")
    Image.fromarray(gradient(33, 70)).save(folder / "b.jpg")
    Image.fromarray(gradient(33, 70)[..., 0]).save(folder / "below" / "grey.png")
    (folder / "empty.png").write_bytes(b"")
    whole = (folder / "a.png").read_bytes()
    (folder / "torn.png").write_bytes(whole[: len(whole) // 2])
    return folder
