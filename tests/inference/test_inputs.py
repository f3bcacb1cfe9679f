"""Users' files as arrays."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxgan import core, ops
from jaxgan.data import pictures
from jaxgan.data.files import Files
from jaxgan.data.pictures import Unusable
from jaxgan.inference import grids, inputs, sizes
from jaxgan.inference.inputs import Example
from tests.inference.conftest import gradient

RGB = core.Image(3)


def in_memory(**named: bytes) -> Files:
    """Files with `_` for the dot of their suffix."""
    contents = {name[::-1].replace("_", ".", 1)[::-1]: d for name, d in named.items()}
    return Files("memory", tuple(contents), contents.__getitem__)


def encoded(image: Image.Image, suffix: str, **options) -> bytes:
    data = io.BytesIO()
    image.save(data, format=suffix, **options)
    return data.getvalue()


def one(data: bytes, spec=RGB, channels=3, resize="stretch", suffix="png", **options):
    files = in_memory(**{f"x_{suffix}": data})
    return inputs.Pictures("image", spec, files, channels, resize, **options)


PICTURE = Image.fromarray(gradient(20, 30))
GREY = PICTURE.convert("L")
SIXTEEN = Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)
CLEAR = Image.merge("RGBA", [*PICTURE.split(), Image.new("L", (30, 20), 0)])


@pytest.mark.parametrize(
    ("data", "wanted", "tolerance"),
    [
        (encoded(PICTURE, "png"), PICTURE, 0),
        (encoded(PICTURE, "bmp"), PICTURE, 0),
        (encoded(PICTURE, "tiff"), PICTURE, 0),
        (encoded(PICTURE, "webp", lossless=True), PICTURE, 0),
        (encoded(PICTURE, "jpeg", quality=95), PICTURE, 12),
        (encoded(PICTURE.quantize(256), "gif"), PICTURE.quantize(256), 0),
        (encoded(PICTURE.quantize(256), "png"), PICTURE.quantize(256), 0),
        (encoded(GREY, "png"), GREY, 0),
        (encoded(SIXTEEN, "png"), GREY, 0),
        (encoded(SIXTEEN, "tiff"), GREY, 0),
        (encoded(CLEAR, "png"), Image.new("RGB", (30, 20), "white"), 0),
    ],
    ids=["png", "bmp", "tiff", "webp", "jpeg", "gif", "palette", "grey", "sixteen",
         "sixteen tiff", "transparent"],
)  # fmt: skip
def test_every_format_becomes_rgb(data, wanted, tolerance):
    source = one(data)
    assert source.shape_of(0) == (20, 30, 3)
    found = source.item(0).astype(int)
    assert np.max(np.abs(found - np.asarray(wanted.convert("RGB")))) <= tolerance


def film(suffix: str) -> bytes:
    frames = [PICTURE, PICTURE.rotate(180), CLEAR.convert("RGB")]
    return encoded(frames[0], suffix, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_every_frame_of_an_animation_is_a_picture(suffix):
    still = encoded(PICTURE, suffix)
    files = in_memory(**{f"a_{suffix}": film(suffix), f"b_{suffix}": still})
    source = inputs.Pictures("image", RGB, files, 3)
    numbered = [f"a/000{i}.{suffix}" for i in range(3)]
    assert source.names == (*numbered, f"b.{suffix}") and source.count == 4
    assert [source.film(i) for i in range(4)] == [f"a.{suffix}"] * 3 + [None]
    for pick, wanted in ((1, PICTURE.rotate(180)), (0, PICTURE), (3, PICTURE)):
        assert source.shape_of(pick) == (20, 30, 3)
        gap = np.abs(source.item(pick).astype(int) - np.asarray(wanted))
        assert gap.mean() < 6


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_a_damaged_animation_is_one_picture_that_cannot_be_used(suffix):
    data = film(suffix)
    source = one(data[: len(data) // 2], suffix=suffix)
    assert source.count == 1 and source.film(0) is None
    with pytest.raises(Unusable, match=f"x.{suffix}"):
        source.item(0)


def test_colours_become_grey_where_one_channel_is_declared():
    source = one(encoded(PICTURE, "png"), core.Image(1), channels=1)
    np.testing.assert_array_equal(source.item(0)[..., 0], np.asarray(GREY))


def test_pictures_are_turned_as_the_camera_noted():
    exif = PICTURE.getexif()
    exif[0x0112] = 6  # a quarter turn clockwise to be upright
    source = one(encoded(PICTURE, "png", exif=exif))
    assert source.shape_of(0) == (30, 20, 3)
    upright = np.rot90(np.asarray(PICTURE), -1)
    np.testing.assert_array_equal(source.item(0), upright)


def test_a_fixed_size_stretches_or_covers():
    fixed = core.Image(3, (16, 16))
    whole = one(encoded(PICTURE, "png"), fixed).item(0)
    cut = one(encoded(PICTURE, "png"), fixed, resize="cover").item(0)
    assert whole.shape == cut.shape == (16, 16, 3)
    # Red rises from left to right: all of it, or two thirds of it.
    assert np.ptp(whole[8, :, 0].astype(int)) > 220
    assert 130 < np.ptp(cut[8, :, 0].astype(int)) < 170


@pytest.mark.parametrize(
    ("scale_to", "wanted"),
    [
        ((None, None), (20, 30)),
        ((None, 16), (10, 16)),  # 10.67 rows, rounded down
        ((10, None), (10, 15)),
        ((25, 16), (25, 16)),
        ((None, 1), (1, 1)),
    ],
)
def test_any_size_may_be_chosen(scale_to, wanted):
    source = one(encoded(PICTURE, "png"), scale_to=scale_to)
    assert source.shape_of(0) == (*wanted, 3)
    resized = pictures.resize(np.asarray(PICTURE), *wanted, "bicubic")
    np.testing.assert_array_equal(source.item(0), resized)


def test_masks_follow_the_chosen_size():
    mask = np.zeros((20, 30), np.uint8)
    mask[:10] = 255
    files = in_memory(m_png=encoded(Image.fromarray(mask), "png"))
    picture = one(encoded(PICTURE, "png"), resize="cover", scale_to=(40, 10))
    source = inputs.Masks("hole", picture, files)
    found = source.read(example(image=0, hole=0), jax.random.key(0))
    assert found.shape == (40, 10, 1)
    assert (found[:20] == 1).all() and (found[20:] == 0).all()


def test_shrinking_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    fixed = core.Image(3, (16, 16))
    found = one(encoded(Image.fromarray(stripes), "png"), fixed).item(0)
    assert np.all(np.abs(found[:, 2:-2].astype(int) - 127) < 20)


def test_what_cannot_be_read_is_named():
    whole = encoded(PICTURE, "jpeg")
    source = one(whole[:-100], suffix="jpg")
    assert source.shape_of(0) == (20, 30, 3)  # its head is whole
    with pytest.raises(Unusable, match="^x.jpg: .*truncated"):
        source.item(0)
    with pytest.raises(Unusable, match="^x.png: not an image file"):
        one(b"hello").shape_of(0)


@pytest.mark.parametrize("extent", [(32, 32), (32, 64), (96, 96)])
def test_padding_mirrors_as_the_library_does(extent):
    picture = gradient(20, 30)
    padded = sizes.pad(picture, extent)
    assert padded.shape == (*extent, 3)
    np.testing.assert_array_equal(padded[:20, :30], picture)
    np.testing.assert_array_equal(padded[20, :30], picture[18])
    if extent == (32, 32):
        wanted, _ = ops.pad_to_multiple(jnp.asarray(picture[None], jnp.float32), 32)
        np.testing.assert_array_equal(padded, wanted[0])


def example(**picks):
    return Example("x", picks)


def test_masks_are_fitted_to_their_pictures():
    mask = np.zeros((10, 15), np.uint8)
    mask[:5] = 255
    files = in_memory(m_png=encoded(Image.fromarray(mask), "png"))
    source = inputs.Masks("hole", one(encoded(PICTURE, "png")), files)
    found = source.read(example(image=0, hole=0), jax.random.key(0))
    assert found.shape == (20, 30, 1) and found.dtype == np.float32
    np.testing.assert_array_equal(found[:10], 1.0)
    np.testing.assert_array_equal(found[10:], 0.0)


def test_a_mask_that_leaves_nothing_known_is_refused():
    mask = Image.fromarray(np.full((10, 15), 255, np.uint8))
    files = in_memory(m_png=encoded(mask, "png"))
    source = inputs.Masks("hole", one(encoded(PICTURE, "png")), files)
    with pytest.raises(Unusable, match="m.png: it is bright everywhere"):
        source.read(example(image=0, hole=0), jax.random.key(0))


def test_masks_are_cut_as_their_pictures_are():
    mask = np.zeros((20, 30), np.uint8)
    mask[:, :5] = 255  # left of what a central square shows
    files = in_memory(m_png=encoded(Image.fromarray(mask), "png"))
    picture = one(encoded(PICTURE, "png"), core.Image(3, (16, 16)), resize="cover")
    source = inputs.Masks("hole", picture, files)
    found = source.read(example(image=0, hole=0), jax.random.key(0))
    assert found.shape == (16, 16, 1) and found.sum() == 0


def test_named_masks_are_those_of_the_library():
    source = inputs.NamedMasks("hole", one(encoded(PICTURE, "png")), "center")
    found = source.read(example(image=0), jax.random.key(0))
    np.testing.assert_array_equal(
        found, ops.center_hole(jax.random.key(0), 1, 20, 30)[0]
    )


def test_named_masks_are_compiled_once_a_size(monkeypatch):
    traced = []

    def draw(key, batch, height, width):
        traced.append((height, width))
        return jnp.zeros((batch, height, width, 1))

    monkeypatch.setitem(ops.HOLE_MASKS, "dotted", draw)
    for size in ((30, 20), (30, 20), (16, 20)):
        picture = one(encoded(PICTURE.resize(size), "png"))
        source = inputs.NamedMasks("hole", picture, "dotted")
        for seed in (0, 1):
            source.read(example(image=0), jax.random.key(seed))
    assert traced == [(20, 30), (20, 16)]


def test_drawn_masks_depend_on_the_example_alone():
    source = inputs.NamedMasks("hole", one(encoded(PICTURE, "png")), "random")
    root = jax.random.key(3)
    first, again, other = (
        source.read(example(image=0), Example(name, {}).key(root))
        for name in ("a", "a", "b")
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_latents_come_from_their_prior():
    latent = core.Latent(500, "uniform01")
    draw = inputs.Drawn("z", latent).read(example(), jax.random.key(0))
    assert draw.shape == (500,) and 0 <= draw.min() < 0.1 and 0.9 < draw.max() < 1
    several = inputs.Drawn("z", latent, several=3).read(example(), jax.random.key(0))
    assert several.shape == (3, 500)


def test_sets_are_folders():
    data = encoded(PICTURE, "png")
    small = encoded(PICTURE.resize((15, 10)), "png")
    named = {"ann/1.png": data, "ann/2.png": small, "bob/1.png": data}
    files = Files("memory", tuple(named), named.__getitem__)
    source = inputs.Pictures("views", RGB, files, 3)
    sets = inputs.grouped(source, 1, "fuse")
    assert sets.names == ("ann", "bob")
    assert sets.shape(example(views=0)) == (2, 20, 30, 3)  # all like the first
    read = sets.read(example(views=0), jax.random.key(0))
    assert read.shape == (2, 20, 30, 3)
    assert np.mean(np.abs(read[0].astype(int) - read[1])) < 12
    with pytest.raises(core.UserError, match="memory/bob has 1.*sets of 2 or more"):
        inputs.grouped(source, 2, "fuse")


def test_files_beside_each_other_are_one_set():
    data = encoded(PICTURE, "png")
    source = inputs.Pictures("views", RGB, in_memory(a_png=data, b_png=data), 3)
    assert inputs.grouped(source, 2, "fuse").names == ("fuse",)


def chair() -> np.ndarray:
    grid = np.zeros((8, 8, 8), np.uint8)
    grid[1:7, 1:7, 3] = 1  # the seat; z is up
    grid[1, 1:7, 3:] = 1
    return grid


def npz(**arrays) -> bytes:
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()


def binvox(grid: np.ndarray) -> bytes:
    """In binvox's own order: x, then z, then y, which points up: our z."""
    values = grid[:, ::-1].reshape(-1)  # its z comes forward, our y goes back
    runs = b"".join(bytes([v, 1]) for v in values)
    size = " ".join(map(str, grid.shape))
    head = f"#binvox 1\ndim {size}\ntranslate 0 0 0\nscale 1\ndata\n"
    return head.encode() + runs


def npy(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (npz(voxels=chair()), ".npz"),
        (npz(voxels=chair()[None, ..., None].astype(np.float32)), ".npz"),
        (npz(packed=np.packbits(chair().reshape(1, -1), axis=1)), ".npz"),
        (npy(chair()), ".npy"),
        (binvox(chair()), ".binvox"),
    ],
    ids=["npz", "npz of floats", "packed", "npy", "binvox"],
)
def test_every_kind_of_grid(data, suffix):
    found = grids.read(data, suffix, 8)
    assert found.shape == (1, 8, 8, 8)
    np.testing.assert_array_equal(found[0], chair())


def test_a_mesh_becomes_voxels():
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.creation.box((4, 2, 1))
    grid = grids.read(mesh.export(file_type="stl"), ".stl", 16)[0]
    length, width, height = (np.ptp(np.nonzero(grid)[i]) + 1 for i in range(3))
    assert length >= 12 and width <= 8 and height <= 5  # z stays up


def test_grids_of_other_resolutions_fit():
    grid = chair()
    np.testing.assert_array_equal(grids.fit(grid, 8)[..., 0], grid)
    twice = grids.fit(grid, 16)[..., 0]
    np.testing.assert_array_equal(twice[::2, ::2, ::2], grid)
    half = grids.fit(grid, 4)[..., 0]
    assert half.shape == (4, 4, 4) and half.max() == 1
    np.testing.assert_array_equal(half, grid.reshape(4, 2, 4, 2, 4, 2).max((1, 3, 5)))


def test_probabilities_stay_what_they_are():
    grid = np.zeros((8, 8, 8), np.float64)
    grid[2, 2, 2], grid[3, 3, 3], grid[4, 4, 4] = 0.2, 0.4, 0.9
    source = inputs.shapes(
        "voxels", core.Voxels(8), in_memory(a_npz=npz(voxels=grid)), print
    )
    found = source.item(0)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[..., 0], grid.astype(np.float32))
    half = grids.fit(source._grids("a.npz")[0], 4)[..., 0]
    assert half[1, 1, 1] == np.float32(0.4) and half[2, 2, 2] == np.float32(0.9)
    twice = grids.fit(grid.astype(np.float32), 16)[..., 0]
    np.testing.assert_array_equal(twice[::2, ::2, ::2], grid.astype(np.float32))
    # What lies outside [0, 1] is no probability.
    signed = grids.read(npy(2 * grid - 1), ".npy", 8)[0]
    np.testing.assert_array_equal(signed, 2 * grid - 1 > 0.5)


@pytest.mark.parametrize(
    ("data", "suffix", "message"),
    [
        (npz(a=chair(), b=chair()), ".npz", "no array 'voxels' or 'packed', but a, b"),
        (npy(np.zeros((2, 3))), ".npy", r"shape \(2, 3\), not grids"),
        (npy(np.zeros((4, 4, 5))), ".npy", "4x4x5 voxels, not a cube"),
        (b"rubbish", ".npz", "not a whole .npz file"),
        (binvox(chair())[:-3], ".binvox", "not a whole .binvox file"),
        (b"solid nothing", ".stl", "cannot be read as a mesh|nothing to voxelise"),
    ],
)
def test_grids_that_cannot_be_used(data, suffix, message):
    with pytest.raises(Unusable, match=message):
        grids.read(data, suffix, 8)


def test_a_file_may_hold_many_shapes():
    both = npz(voxels=np.stack([chair(), chair().transpose(1, 0, 2)]))
    files = in_memory(many_npz=both, one_npy=npy(chair()), bad_npz=b"rubbish")
    told = []
    source = inputs.shapes("voxels", core.Voxels(8), files, told.append)
    assert source.names == ("many/0000", "many/0001", "one.npy")
    assert len(told) == 1 and told[0].startswith("bad.npz: not a whole .npz file")
    np.testing.assert_array_equal(source.item(1)[..., 0], chair().transpose(1, 0, 2))
    with pytest.raises(core.UserError, match="bad.npz: not a whole .npz file"):
        inputs.shapes("voxels", core.Voxels(8), in_memory(bad_npz=b"x"), told.append)
