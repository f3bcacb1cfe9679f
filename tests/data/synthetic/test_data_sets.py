"""What all embedded data sets promise."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from jaxgan.core.errors import UserError
from jaxgan.data import synthetic

SMALL = {
    "faces": {"size": 32},
    "shapes": {"size": 32},
    "digits": {"size": 28},
    "voxels": {"size": 16, "view_size": 24},
    "boxes": {"size": 16},
}
NAMES = tuple(synthetic.DATA_SETS)


def small(name, **options):
    return synthetic.make(name, **SMALL[name], **options)


def pictures(examples):
    """The bytes of the pictures or grids of each example."""
    fields = [v for v in examples.values() if v.ndim > 2 and v.dtype == np.uint8]
    return [b"".join(f[i].tobytes() for f in fields) for i in range(len(fields[0]))]


@pytest.mark.parametrize("name", NAMES)
def test_examples_have_the_declared_shapes_and_dtypes(name):
    data = small(name)
    examples = data.examples(np.array([3, 0, 7]))
    assert set(examples) == set(data.fields)
    for field, (shape, dtype) in data.fields.items():
        assert examples[field].shape == (3, *shape), field
        assert examples[field].dtype == dtype, field
        assert np.isfinite(examples[field]).all(), field


@pytest.mark.parametrize("name", NAMES)
def test_an_example_does_not_depend_on_its_batch(name):
    indices = np.array([5, 901, 2, 64, 33, 8, 77])
    together = small(name).examples(indices)
    again = small(name).examples(indices[::-1])
    for place, index in enumerate(indices):
        alone = small(name).examples(np.array([index]))
        for field, value in alone.items():
            np.testing.assert_array_equal(value[0], together[field][place], field)
            np.testing.assert_array_equal(value[0], again[field][6 - place], field)


@pytest.mark.parametrize(
    ("name", "field", "count"),
    [
        ("faces", "image", 70),
        ("shapes", "edges", 70),
        ("digits", "grey", 50),
        ("voxels", "voxels", 135),
    ],
)
def test_a_chunk_boundary_changes_nothing(name, field, count):
    """More examples than are drawn at a time, cut at another place."""
    whole = small(name).examples(np.arange(count), [field])[field]
    tail = small(name).examples(np.arange(count - 3, count), [field])[field]
    np.testing.assert_array_equal(whole[-3:], tail)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "boxes"])
def test_splits_and_seeds_share_no_example(name):
    indices = np.arange(24)
    seen = [
        set(pictures(small(name, split=split, seed=seed).examples(indices)))
        for split in ("train", "validation", "test")
        for seed in (0, 1)
    ]
    assert all(len(part) == 24 for part in seen)
    assert len(set().union(*seen)) == 24 * 6


@pytest.mark.parametrize("name", NAMES)
def test_fields_can_be_chosen(name):
    data = small(name)
    whole = data.examples(np.arange(3))
    for field in data.fields:
        part = data.examples(np.arange(3), [field])
        assert list(part) == [field]
        np.testing.assert_array_equal(part[field], whole[field])
    with pytest.raises(UserError, match="field 'picture'"):
        data.examples(np.arange(3), ["picture"])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "boxes"])
def test_factors_are_those_of_the_examples(name):
    data = small(name)
    examples = data.examples(np.arange(5))
    for field, value in data.factors(np.arange(5)).items():
        np.testing.assert_array_equal(value, examples[field], field)


@pytest.mark.parametrize("name", NAMES)
def test_length_bounds_the_indices(name):
    data = small(name, count=12)
    assert len(data) == 12
    data.examples(np.array([11]))
    for outside in (12, -1):
        with pytest.raises(IndexError, match=r"0\.\.11"):
            data.examples(np.array([outside]))
    assert all(len(v) == 0 for v in data.examples(np.arange(0)).values())


@pytest.mark.parametrize("name", NAMES)
def test_data_sets_are_values(name):
    data = small(name)
    assert hash(data) == hash(small(name)) and data == small(name)
    assert dataclasses.replace(data, seed=1) != data


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "trian"}, "did you mean 'train'"),
        ({"count": 0}, "at least 1"),
        ({"size": 4}, "size is 4"),
        ({"size": 32.5}, "whole number"),
        ({"count": True}, "whole number"),
        ({"cuont": 3}, "did you mean 'count'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_bad_options_are_refused_in_one_line(name, options, message):
    with pytest.raises(UserError, match=message) as error:
        synthetic.make(name, **options)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match="'shape'.*did you mean 'shapes'"):
        synthetic.make("shape")


def test_options_of_a_config_become_hashable():
    data = synthetic.make("faces", yaws=[-30, 30], fixed={"glasses": 0})
    assert data == synthetic.Faces(yaws=(-30, 30), fixed=(("glasses", 0),))
    hash(data)


def test_tensorflow_is_not_imported():
    code = (
        "import sys, numpy; from jaxgan.data import synthetic;"
        "synthetic.make('boxes').examples(numpy.arange(2));"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
