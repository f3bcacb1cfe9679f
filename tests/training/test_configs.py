"""Configs: defaults, overrides, what is refused, what may change between starts."""

import json

import pytest

from jaxgan import config_files
from jaxgan.core.errors import UserError
from jaxgan.systems import registry
from jaxgan.training import configs
from tests.training import toy
from tests.training.children import CONFIG


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(registry.SYSTEMS, "toy", toy.Toy)


def load(*overrides, spec=CONFIG):
    return config_files.load(spec, overrides)


def test_defaults_fill_what_a_config_leaves_out():
    config = load()
    assert config["seed"] == 0 and config["training"]["keep_last"] == 2
    assert config["training"]["sample_every"] == 8
    assert config["system"]["layers"] == (1, 2)  # a tuple, whatever the file says


def test_overrides_have_the_types_of_the_config():
    config = load(
        "--config.training.batch_size=32",
        "--config.training.num_steps=7",
        "--config.system.layers=(3, 4, 5)",
        "--config.system.learning_rate=1",
        "--config.system.pool_groups=2",  # a field that the file leaves out
        "--config.data.holdout=0.25"
        if "holdout" in load()["data"]
        else "--config.seed=3",
        "--config.dtype",
        "bfloat16",
    )
    assert config["training"]["batch_size"] == 32
    assert config["training"]["num_steps"] == 7
    assert config["system"]["layers"] == (3, 4, 5)
    assert config["system"]["learning_rate"] == 1.0
    assert (
        config["system"]["pool_groups"] == 2
        and "microbatches" not in (config["system"])
    )
    assert config["dtype"] == "bfloat16"
    system = configs.build_system(config)
    assert system == toy.Toy(
        warmup_steps=7,
        adversarial_steps=9,
        learning_rate=1.0,
        layers=(3, 4, 5),
        pool_groups=2,
        dtype="bfloat16",
    )


@pytest.mark.parametrize("key", ["holdout", "in_memory", "draws"])
def test_data_keys_that_a_config_leaves_out_can_be_set(key):
    value = {"holdout": 0.5, "in_memory": True, "draws": 2}[key]
    config = load(f"--config.data.{key}={value}", spec="pix2pix:tiny")
    assert config["data"][key] == value
    assert key not in load(spec="pix2pix:tiny")["data"]


def test_none_is_a_value_where_a_key_may_be_none():
    config = load(
        "--config.data.fields=None", "--config.data.box=None", spec="dcgan:tiny"
    )
    assert load(spec="dcgan:tiny")["data"]["fields"] and not config["data"]["fields"]
    assert load("--config.training.num_steps=None")["training"]["num_steps"] is None
    with pytest.raises(UserError, match="batch_size=None"):
        load("--config.training.batch_size=None")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.training.batchsize=2", "'training.batchsize' .*'training.batch_si"),
        ("--config.batch_size=2", "did you mean 'training.batch_size'"),
        ("--config.system.widht=2", "did you mean 'system.width'"),
        ("--config.trainnig.batch_size=2", "did you mean 'training.batch_size'"),
        ("--config.seed=4294967296", "seed = 4294967296 is impossible"),
        ("--config.training.batch_size=0", "batch_size = 0 is impossible"),
        ("--config.training.num_steps=-5", "num_steps = -5 is impossible"),
        ("--config.training.checkpoint_every=-1", "checkpoint_every = -1 is impos"),
        ("--config.training.keep_last=0", "keep_last = 0 is impossible"),
        ("--config.training.steps_per_call=0", "steps_per_call = 0 is impossible"),
        ("--config.devices.model=0", "devices.model = 0 is impossible"),
        ("--config.data.image_size=-4", "data.image_size = -4 is impossible"),
        (
            "--config.system.microbatches=3",
            "batch_size 8 cannot be split .*microbatches 3",
        ),
        (
            "--config.system.pool_groups=3",
            "pool_groups = 3 does not divide a batch of 8",
        ),
        ("--config.training.best_mode=most", "choose 'max' or 'min'"),
        ("--config.dtype=float16", "choose one of auto, float32"),
        ("--config.training.batch_size=many", "training.batch_size=many"),
        ("--config.system.learning_rate=fast", "learning_rate=fast"),
    ],
)
def test_a_wrong_override_is_one_line_that_names_it(override, message):
    with pytest.raises(UserError, match=message) as raised:
        load(override)
    assert "\n" not in str(raised.value)


def test_several_steps_a_call_divide_whatever_is_due_every_so_many():
    every = ("log=10", "checkpoint=15", "sample=0", "keep=20", "evaluate=40")
    given = [f"--config.training.{e.replace('=', '_every=')}" for e in every]
    steps = "--config.training.steps_per_call="
    assert load(*given, f"{steps}5")["training"]["steps_per_call"] == 5
    with pytest.raises(UserError) as raised:
        load(*given, f"{steps}20")
    assert str(raised.value) == (
        "training.log_every = 10, training.checkpoint_every = 15: no multiple of "
        "training.steps_per_call = 20; set training.log_every=20 "
        "training.checkpoint_every=20, or training.steps_per_call=5"
    )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("widht", 3, "unknown config key 'system.widht' .*'system.width'"),
        ("width", 2.5, "system.width = 2.5 is not of type int"),
        ("width", True, "is not of type int"),
        ("layers", (1, "a"), "is not of type tuple"),
        ("dtype", "float32", "set the compute dtype as config.dtype"),
        ("warmup_steps", -1, "stage 'warmup' would last -1 steps"),
    ],
)
def test_a_wrong_field_is_refused(field, value, message):
    config = load()
    config["system"][field] = value
    with pytest.raises(UserError, match=message):
        configs.build_system(config)


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (None, tuple[int, ...] | None, True),
        ((1, 2.5), tuple[float, ...] | None, True),
        (("a",), tuple[float, ...] | None, False),
        ((), tuple[int, ...], True),
        ((1, 2), tuple[int, int], True),
        ((1, 2, 3), tuple[int, int], False),
        ((1, "a"), tuple[int, str], True),
        (1, tuple[int, ...], False),
        (1, float, True),
        (True, float, False),
        (True, int, False),
        (1, bool, False),
        (1.0, int, False),
        ("x", str, True),
        (None, str, False),
    ],
)
def test_values_are_held_against_the_fields_annotation(value, hint, expected):
    assert configs.fits(value, hint) is expected


def test_unknown_sections_and_stages_of_a_config_are_refused():
    with pytest.raises(UserError, match="unknown config key 'trainig' .*'training'"):
        configs.with_defaults({"name": "toy", "trainig": {}})
    config = load()
    config["data"]["stages"] = {"warmap": {"image_size": 8}}
    with pytest.raises(UserError, match="'data.stages.warmap' .*'data.stages.warmup'"):
        configs.build_system(config)


def test_unknown_systems_configs_and_variants_get_the_nearest():
    with pytest.raises(UserError, match="unknown config 'pix2pxi' .*'pix2pix'"):
        load(spec="pix2pxi:demo")
    with pytest.raises(UserError, match="unknown variant 'demmo' .*'demo'"):
        load(spec="pix2pix:demmo")
    with pytest.raises(UserError, match="no such file"):
        load(spec="nowhere/config.py")
    config = load() | {"name": "ty"}
    with pytest.raises(UserError, match="unknown system 'ty'"):
        configs.build_system(config)


def test_a_config_without_variant_is_its_first_setting():
    assert load(spec="pix2pix") == load(spec="pix2pix:facades")


def test_every_shipped_variant_loads_and_builds():
    for name in config_files.names():
        for variant in config_files.variants(name):
            config = config_files.load(f"{name}:{variant}")
            assert config["name"] in registry.SYSTEMS
            configs.build_system(config)


def test_only_some_keys_may_change_between_starts():
    old = toy.config()
    assert configs.differences(old, toy.config()) == []
    may = toy.config(
        training__num_steps=9,
        training__steps_per_call=7,
        training__log_every=7,
        training__keep_every=7,
        training__keep_last=9,
        devices__data=8,
        dtype="bfloat16",
    )
    assert configs.differences(old, may) == []
    for key, value in {
        "training__batch_size": 16,
        "training__sample_count": 9,
        "seed": 1,
        "data__image_size": 8,
        "system__width": 3,
    }.items():
        (line,) = configs.differences(old, toy.config(**{key: value}))
        assert line.startswith(key.replace("__", ".") + " (was ")


def test_a_run_older_than_a_key_has_its_default():
    new = load(spec="cyclegan:tiny")
    old = json.loads(configs.to_json(new))
    old["system"].pop("upsample", None)
    old["data"].pop("box", None)
    del old["devices"], old["training"]["sample_count"]
    assert configs.differences(old, new) == []
    changed = load("--config.system.upsample=resize_conv", spec="cyclegan:tiny")
    (line,) = configs.differences(old, changed)
    assert line == "system.upsample (was 'conv_transpose', now 'resize_conv')"


def test_json_and_tuples_are_no_difference():
    config = load()
    assert configs.differences(json.loads(configs.to_json(config)), config) == []


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan", "dcgan", "srgan", "gan"])
def test_own_data_does_not_inherit_the_fields_of_an_embedded_set(name):
    demo = f"{name}:demo"
    fields = load(spec=demo)["data"].get("fields")
    own = "--config.data.source=folder:/pictures"
    assert load(own, spec=demo)["data"].get("fields") is None
    given = load(own, "--config.data.fields=('hr',)", spec=demo)
    assert given["data"]["fields"] == ("hr",)
    other = load("--config.data.source=synthetic:shapes", spec=demo)
    assert other["data"].get("fields") == fields


def test_own_unpaired_data_have_no_truth():
    assert load(spec="cyclegan:demo")["evaluation"]["paired"]
    own = "--config.data.source=folder:/apples_and_pears"
    assert load(own, spec="cyclegan:demo")["evaluation"]["paired"] is False
    known = "--config.evaluation.paired=True"
    assert load(own, known, spec="cyclegan:demo")["evaluation"]["paired"] is True


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], {"rotation": 0}),
        (["--config.data.image_size=16"], {"rotation": 0}),
        (["--config.data.where.rotation=3"], {"rotation": 3}),
        (["--config.data.where={'label': 1}"], {"label": 1}),
        (["--config.data.where=None"], None),
    ],
)
def test_a_mapping_of_a_run_stays_unless_it_is_named(given, expected):
    where = "--config.data.where={'rotation': 0}"
    config = config_files.load("gan3d:tiny", [where])
    assert config["data"]["where"] == {"rotation": 0}
    assert config_files.override(config, given)["data"].get("where") == expected
