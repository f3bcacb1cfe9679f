"""What every registered system keeps, in every structural variant, stage and mode."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks import steps
from jaxgan import core, systems
from jaxgan.training import sharding
from jaxgan.training.checkpoint import Checkpoints
from tests import cases

# Parameters at the papers' defaults, from the specifications.
PARAMETERS = {
    "semantic_inpainting": {"generator": 5_135_363, "discriminator": 4_316_545},
    "gan": {"generator": 2_503_984, "discriminator": 1_231_441},
    "dcgan": {"generator": 18_885_760, "discriminator": 17_232_768},
    "gan3d": {"generator": 17_569_664, "discriminator": 11_048_832},
    "pix2pix": {"generator": 54_413_955, "discriminator": 2_768_705},
    "cyclegan": {
        "generator_ab": 11_378_179,
        "generator_ba": 11_378_179,
        "discriminator_a": 2_764_737,
        "discriminator_b": 2_764_737,
    },
    "srgan": {"generator": 1_547_350, "discriminator": 23_563_649},
}


@dataclasses.dataclass
class Ran:
    """A system after two steps of each stage."""

    system: core.System
    frozen: dict
    batches: list
    states: list  # of each stage: before, after one step, after two; host copies
    metrics: list  # of each stage: two dicts
    names: list  # of each stage: those of its step's operations
    resumed: list  # of each stage: the state after one step, saved and restored, then
    # the state and the metrics of another step


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Runs each case once a session."""
    known: dict[tuple[str, str], Ran] = {}

    def run(name: str, variant: str) -> Ran:
        if (name, variant) not in known:
            folder = tmp_path_factory.mktemp("checkpoints")
            known[name, variant] = _run(name, variant, folder)
        return known[name, variant]

    return run


def _run(name: str, variant: str, folder: pathlib.Path) -> Ran:
    system = cases.build(name, variant)
    size = cases.batch_size(name, variant)
    frozen = cases.random_frozen(system)
    key = jax.random.key(0)
    one, two = jax.random.fold_in(key, 1), jax.random.fold_in(key, 2)
    state, batches, states, metrics, names, resumed = None, [], [], [], [], []
    for stage in system.stages:
        batch = cases.random_batch(stage, size)
        batches.append(batch)
        if state is None:
            state = jax.jit(system.init)(key, batch, frozen)
        if stage.enter:
            state = jax.jit(stage.enter)(state, frozen, batch, key)
        before = state
        lowered = jax.jit(stage.step).lower(before, frozen, batch, one)
        names.append(_operation_names(lowered))
        step = lowered.compile()
        after, first = step(before, frozen, batch, one)
        state, second = step(after, frozen, batch, two)
        restored = _restored(after, before, folder / stage.name)
        again = step(restored, frozen, batch, two)
        states.append(jax.device_get((before, after, state)))
        metrics.append(jax.device_get((first, second)))
        resumed.append(jax.device_get((restored, *again)))
    if state is None:
        batch = {"image": jnp.zeros((size, system.image_size, system.image_size, 3))}
        state = jax.jit(system.init)(key, batch, frozen)
        batches.append(batch)
        states.append((jax.device_get(state),) * 3)
        metrics.append(({}, {}))
        resumed.append((_restored(state, state, folder / "only"), state, {}))
    return Ran(system, frozen, batches, states, metrics, names, resumed)


def _restored(state, like, folder: pathlib.Path):
    """The state from a checkpoint of it, read as the trainer reads."""
    writer = Checkpoints(folder)
    writer.save(state, "a")
    writer.wait()
    writer.close()
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), like
    )
    reader = Checkpoints(folder)
    restored, _ = reader.restore(lambda about: abstract, pytest.fail)
    reader.close()
    return restored


TRAINED = [case for case in cases.TINY if cases.build(*case).stages]


CONTRACT = (pytest.mark.slow, pytest.mark.contract)


def _each(found):
    """All of these cases, structural variants under the marker `contract`."""
    marked = [
        case if case in cases.ARCHETYPES else pytest.param(*case, marks=CONTRACT)
        for case in found
    ]
    return pytest.mark.parametrize(("name", "variant"), marked, ids=cases.ids(found))


each_tiny, each_trained = _each(cases.TINY), _each(TRAINED)
each_system, each_config = (
    pytest.mark.parametrize(("name", "variant"), found, ids=cases.ids(found))
    for found in (cases.ARCHETYPES, cases.ALL)
)


@each_tiny
def test_steps_are_finite_and_keep_the_shape_of_state_and_metrics(ran, name, variant):
    r = ran(name, variant)
    for stage, (before, after, _), metrics in zip(
        r.system.stages, r.states, r.metrics, strict=bool(r.system.stages)
    ):
        for key, value in [item for told in metrics for item in told.items()]:
            assert np.ndim(value) == 0 and np.isfinite(value), (stage.name, key)
        for player in stage.players:
            assert f"loss/{player}" in _joined(metrics[0])
            for of in ("learning_rate", "gradient_norm"):
                assert f"{of}/{player}" in metrics[0]
        assert jax.tree.map(_form, before) == jax.tree.map(_form, after)
        assert after.step == before.step + 1
        assert after.stage_step == before.stage_step + 1


def _joined(metrics) -> set[str]:
    """`loss/a+b` stands for the losses of a and of b."""
    names = set()
    for key in metrics:
        if key.startswith("loss/"):
            names |= {f"loss/{p}" for p in key.split("/")[1].split("+")}
    return names


def _form(x) -> tuple:
    return np.shape(x), np.asarray(x).dtype


@each_tiny
def test_a_step_moves_its_players_networks_and_no_other(ran, name, variant):
    r = ran(name, variant)
    for stage, (before, after, _) in zip(r.system.stages, r.states, strict=False):
        players = r.system.optimizers()
        trained = {n for p in stage.players for n in players[p].networks}
        for network in before.params:
            leaves = jax.tree.leaves(before.params[network])
            moved = jax.tree.leaves(after.params[network])
            same = [np.array_equal(x, y) for x, y in zip(leaves, moved, strict=True)]
            if network in trained:  # a bias before a norm may stay
                kernels = [np.ndim(x) > 1 for x in leaves]
                assert not any(np.logical_and(same, kernels)), (stage.name, network)
                assert np.mean(same) < 0.34, (stage.name, network)
            else:
                assert all(same), (stage.name, network)


@each_tiny
def test_a_step_names_its_players_and_networks(ran, name, variant):
    """For profiles: `jit(step)/update_generators/transpose(jvp(generator_ab))/...`."""
    r = ran(name, variant)
    players, unseen = r.system.optimizers(), set(r.system.networks())
    for stage, names in zip(r.system.stages, r.names, strict=True):
        scopes = _scopes(names)
        for player in stage.players:
            updates = {s for s in scopes if s.startswith("update_")}
            (update,) = (s for s in updates if player in s[7:].split("+"))
            inside = _scopes(n for n in names if update in n.split("/"))
            assert set(players[player].networks) <= inside, (stage.name, player)
        frozen = r.system.pretrained().items()
        assert {n for n, need in frozen if stage.name in need.stages} <= scopes
        unseen -= scopes
    if variant == "tiny":  # others have losses without a discriminator
        assert not unseen or not r.system.stages


@each_system
def test_a_mode_names_its_networks(name, variant):
    system = cases.build(name, variant)
    mode_name, mode = next(iter(system.inference.items()))
    mesh = sharding.make_mesh({"data": 1, "model": 1})
    program = steps.program(system, mode_name, 2, mesh, abstract=True)
    lowered = program.call.lower(*program.arguments)
    assert set(mode.networks) <= _scopes(_operation_names(lowered))


def _operation_names(lowered) -> list[str]:
    # Not of the compiled program, which may come from a cache that ignores names.
    return re.findall(r'loc\("([^"]*)"', lowered.as_text(debug_info=True))


def _scopes(names) -> set[str]:
    return {scope for name in names for scope in re.split(r"[/()]", name)}


@each_system
def test_init_is_deterministic_and_depends_on_the_key(ran, name, variant):
    r = ran(name, variant)
    init = jax.jit(r.system.init)
    batch = r.batches[0]
    again = jax.device_get(init(jax.random.key(0), batch, r.frozen))
    other = jax.device_get(init(jax.random.key(1), batch, r.frozen))
    first = r.states[0][0]
    same = jax.tree.map(np.array_equal, first.params, again.params)
    assert all(jax.tree.leaves(same))
    kernels = [
        not np.array_equal(x, y)
        for x, y in zip(
            jax.tree.leaves(first.params), jax.tree.leaves(other.params), strict=True
        )
        if np.ndim(x) > 1 and np.std(x) > 0  # a bias may start from the data
    ]
    assert kernels and all(kernels)


@each_tiny
def test_every_mode_returns_what_it_declares(ran, name, variant):
    r = ran(name, variant)
    state = r.states[-1][-1]
    for mode_name, mode in r.system.inference.items():
        arrays, static = {}, {}
        for i, (field, spec) in enumerate(sorted(mode.inputs.items())):
            value = _example(spec, jax.random.key(i))
            (static if isinstance(spec, core.Int | core.Choice) else arrays)[field] = (
                value
            )
        variables = {n: state.variables()[n] for n in mode.networks}
        call = jax.jit(
            lambda v, f, a, k, mode=mode, static=static: mode.fn(v, f, a | static, k)
        )
        out = call(variables, r.frozen, arrays, jax.random.key(0))
        assert list(out) and set(out) == set(mode.output), (mode_name, set(out))
        for field, spec in mode.output.items():
            _check_output(out[field], spec, f"{mode_name}/{field}")


def _example(spec, key):
    if isinstance(spec, core.Int):
        return min(max(spec.low, 2), spec.high)  # not the published number of steps
    return steps.random_input(spec, key)


def _check_output(value, spec, where: str) -> None:
    item = spec.item if isinstance(spec, core.Set) else spec
    lead = 2 if isinstance(spec, core.Set) else 1
    shape = value.shape[lead:]
    assert np.all(np.isfinite(value)), where
    assert value.dtype == jnp.float32 or isinstance(item, core.Values), where
    match item:
        case core.Image():
            assert len(shape) == 3 and shape[-1] == item.channels, where
            assert item.size is None or shape[:2] == item.size, where
            assert np.min(value) >= -1 and np.max(value) <= 1, where
        case core.Voxels():
            assert shape == (item.resolution,) * 3 + (1,), where
            assert np.min(value) >= 0 and np.max(value) <= 1, where
        case core.Latent():
            assert shape == (item.size,), where
        case core.Values():
            assert len(shape) == len(item.shape), where
            assert all(n in (-1, m) for n, m in zip(item.shape, shape)), where


@each_system
def test_the_sample_grid_holds_images_of_equal_count(ran, name, variant):
    r = ran(name, variant)
    variables = r.states[-1][-1].variables()
    grid = jax.jit(r.system.sample_grid)(
        variables, r.frozen, r.batches[-1], jax.random.key(0)
    )
    counts = {images.shape[0] for images in grid.values()}
    assert len(counts) == 1
    for column, images in grid.items():
        assert images.ndim == 4 and images.shape[-1] in (1, 3), column
        assert np.min(images) >= -1.001 and np.max(images) <= 1.001, column


@each_tiny
def test_a_restored_state_goes_on_bit_for_bit(ran, name, variant):
    r = ran(name, variant)
    for (_, after, last), (_, told), resumed in zip(
        r.states, r.metrics, r.resumed, strict=True
    ):
        _assert_same_bytes(resumed, (after, last, told))


def _assert_same_bytes(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for (path, x), y in zip(
        jax.tree.leaves_with_path(jax.device_get(found)),
        jax.tree.leaves(wanted),
        strict=True,
    ):
        assert _form(x) == _form(y), path
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes(), path


@each_trained
def test_one_and_eight_devices_step_alike(name, variant):
    """Losses, gradients and statistics within 1e-4."""
    _compare_devices(name, variant, {"data": 8, "model": 1})


@pytest.mark.slow
@pytest.mark.contract
@pytest.mark.parametrize("name", [n for n, v in TRAINED if v == "tiny"])
def test_parameters_split_over_devices_step_alike(name):
    _compare_devices(name, "tiny", {"data": 4, "model": 2})


def _compare_devices(name, variant, devices):
    system = _with_gradients_kept(cases.build(name, variant))
    frozen = cases.random_frozen(system)
    mesh = sharding.make_mesh(devices)
    place = partial(sharding.shardings, mesh, large=64)
    for stage in system.stages:
        batch = cases.random_batch(stage, cases.batch_size(name, variant))
        init, enter = jax.jit(system.init), jax.jit(stage.enter or (lambda s, *_: s))

        def begin(seed, batch=batch, init=init, enter=enter):
            key = jax.random.key(seed)
            return enter(init(key, batch, frozen), frozen, batch, key)

        where = place(begin(0))
        out = (where, sharding.replicated(mesh))
        one = jax.jit(stage.step)
        eight = jax.jit(sharding.gathered(stage.step, mesh), out_shardings=out)
        spread = (
            jax.device_put(frozen, place(frozen)),
            jax.device_put(batch, sharding.over_batch(mesh)),
        )
        for seed in (0, 1):
            state, key = begin(seed), jax.random.key(3)
            whole = one(state, frozen, batch, key)
            parts = eight(jax.device_put(state, where), *spread, key)
            try:
                _assert_alike(*jax.device_get((whole, parts)), stage)
                break
            except AssertionError:
                # Within rounding of a kink of |x| or of a ReLU there are two gradients;
                # that does not happen twice.
                if seed:
                    raise


def _assert_alike(one, eight, stage):
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    assert one[1].keys() == eight[1].keys()
    for name, value in one[1].items():
        close(eight[1][name], value, err_msg=name)
    for player in stage.players:
        for network, wanted in one[0].opt_state[player][0].trace.items():
            found = eight[0].opt_state[player][0].trace[network]
            whole = max(np.max(np.abs(x)) for x in jax.tree.leaves(wanted))
            assert whole > 0, (player, network)
            for (path, x), y in zip(
                jax.tree.leaves_with_path(wanted), jax.tree.leaves(found), strict=True
            ):
                # The gradient of a bias before a norm is rounding noise.
                scale = np.max(np.abs(x)) + 0.1 * whole
                what = f"{network} {jax.tree_util.keystr(path)}"
                close(y, x, rtol=0, atol=1e-4 * scale, err_msg=what)
    for part in ("params", "stats", "ema", "memory"):
        for (path, x), y in zip(
            jax.tree.leaves_with_path(getattr(one[0], part)),
            jax.tree.leaves(getattr(eight[0], part)),
            strict=True,
        ):
            close(y, x, err_msg=f"{part} {jax.tree_util.keystr(path)}")


@pytest.mark.parametrize("remat", core.REMAT[1:])
@each_trained
def test_a_step_does_not_depend_on_what_is_computed_again(ran, name, variant, remat):
    """Losses, gradients (in the optimisers' first moments) and statistics."""
    r = ran(name, variant)
    system = dataclasses.replace(r.system, remat=remat)
    key = jax.random.fold_in(jax.random.key(0), 1)
    for i, stage in enumerate(system.stages):
        before, after, _ = r.states[i]
        lowered = jax.jit(stage.step).lower(before, r.frozen, r.batches[i], key)
        names = _operation_names(lowered)
        again = _scopes(n for n in names if "rematted_computation" in n)
        players = (r.system.optimizers()[p] for p in stage.players)
        assert {n for player in players for n in player.networks} <= again
        step = lowered.compile()
        found, told = jax.device_get(step(before, r.frozen, r.batches[i], key))
        for name_, wanted in r.metrics[i][0].items():
            np.testing.assert_allclose(told[name_], wanted, 1e-4, 1e-5, err_msg=name_)
        for part in ("opt_state", "stats", "memory"):
            for (path, x), y in zip(
                jax.tree.leaves_with_path(getattr(after, part)),
                jax.tree.leaves(getattr(found, part)),
                strict=True,
            ):
                atol = 1e-4 * np.max(np.abs(x), initial=1e-4)
                what = f"{part} {jax.tree_util.keystr(path)}"
                np.testing.assert_allclose(y, x, rtol=1e-4, atol=atol, err_msg=what)


def _with_gradients_kept(system):
    """The system with plain descent whose optimisers' states are the gradients."""
    players = {
        name: core.player(p.networks, optax.trace(0.0), 1e-2)
        for name, p in system.optimizers().items()
    }
    cls = type(system)
    twin = type(cls.__name__, (cls,), {"optimizers": lambda self: players})
    return twin(**{f.name: getattr(system, f.name) for f in dataclasses.fields(cls)})


@each_trained
def test_bfloat16_is_for_convolutions_and_products_alone(name, variant):
    """State and metrics are float32 all the same; frozen networks say their own."""
    system = cases.build(name, variant, dtype="bfloat16")
    needs = system.pretrained().values()
    size = cases.batch_size(name, variant)
    for stage in system.stages:
        given = steps.shapes(system, stage.name, size)
        traced = jax.jit(stage.step).trace(*given)
        assert _floats((given.state, traced.out_info)) == {"float32"}, stage.name
        frozen = {str(need.module.dtype) for need in needs if stage.name in need.stages}
        found = _product_dtypes(traced.jaxpr.jaxpr)
        assert found == {"bfloat16"} | frozen, stage.name


@each_tiny
def test_in_bfloat16_modes_return_float32(name, variant):
    system = cases.build(name, variant, dtype="bfloat16")
    size = cases.batch_size(name, variant)
    if system.stages:
        state, frozen, *_ = steps.shapes(system, system.stages[0].name, size)
    else:
        image = jnp.zeros((size, system.image_size, system.image_size, 3))
        frozen = {}
        state = jax.eval_shape(system.init, jax.random.key(0), {"image": image}, frozen)
    for mode_name, mode in system.inference.items():
        arrays, static = {}, {}
        for field, spec in mode.inputs.items():
            fixed = isinstance(spec, core.Int | core.Choice)
            kind = static if fixed else arrays
            kind[field] = _example(spec, jax.random.key(0))
        out = jax.eval_shape(
            lambda v, f, a, k, mode=mode, static=static: mode.fn(v, f, a | static, k),
            {name: state.variables()[name] for name in mode.networks},
            frozen,
            arrays,
            jax.random.key(0),
        )
        assert _floats((state, out)) == {"float32"}, mode_name


def _floats(tree) -> set[str]:
    leaves = jax.tree.leaves(tree)
    return {str(x.dtype) for x in leaves if jnp.issubdtype(x.dtype, jnp.floating)}


def _product_dtypes(jaxpr) -> set[str]:
    """Of what convolutions and matrix products take, however deep they are."""
    found = set()
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("conv_general_dilated", "dot_general"):
            found |= {str(x.aval.dtype) for x in equation.invars}
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "jaxpr")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                found |= _product_dtypes(inner)
    return found


@pytest.mark.parametrize("name", systems.SYSTEMS)
def test_parameter_counts_at_the_papers_defaults(name):
    system = systems.get(name)()
    frozen = {
        k: jax.eval_shape(
            lambda need=need: need.module.init(
                jax.random.key(0), jnp.zeros((1, 64, 64, 3))
            )
        )
        for k, need in system.pretrained().items()
    }
    stages = system.stages
    if stages:
        spec = stages[-1].batch_spec
        batch = {
            k: jax.ShapeDtypeStruct((2, *(n or 64 for n in s.shape)), s.dtype)
            for k, s in spec.items()
        }
    else:
        size = system.image_size
        batch = {"image": jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)}
    state = jax.eval_shape(system.init, jax.random.key(0), batch, frozen)
    counts = {
        network: sum(math.prod(x.shape) for x in jax.tree.leaves(tree))
        for network, tree in state.params.items()
    }
    assert counts == PARAMETERS[name]


@each_config
def test_every_config_builds_its_system(name, variant):
    system = cases.build(name, variant)
    assert hash(system) == hash(dataclasses.replace(system))
    assert eval(repr(system), {type(system).__name__: type(system)}) == system
    for stage in system.stages:
        assert stage.num_steps > 0 and stage.players


@pytest.mark.parametrize("name", systems.SYSTEMS)
def test_configs_name_every_field_of_the_system_and_share_the_common_keys(name):
    config = cases.config_module(name).get_config()
    fields = {f.name for f in dataclasses.fields(systems.get(name))} - {"dtype"}
    assert set(config.system) == fields
    assert config.name == name
    for key in ("seed", "dtype", "devices", "pretrained", "data", "evaluation"):
        assert key in config
    for key in ("batch_size", "num_steps", "log_every", "checkpoint_every"):
        assert key in config.training
    assert {"sample_every", "evaluate_every"} <= set(config.training)
    with pytest.raises(ValueError, match="unknown variant"):
        cases.config_module(name).get_config("no such variant")


@each_system
def test_a_batch_that_does_not_fit_is_refused_by_the_field_s_name(ran, name, variant):
    r = ran(name, variant)
    for stage, batch in zip(r.system.stages, r.batches, strict=False):
        for field in stage.batch_spec:
            wrong = batch | {field: batch[field][..., None]}
            with pytest.raises(core.UserError, match=repr(field)):
                core.check_batch(wrong, stage.batch_spec, stage.name)
            missing = {k: v for k, v in batch.items() if k != field}
            with pytest.raises(core.UserError, match=repr(field)):
                core.check_batch(missing, stage.batch_spec, stage.name)
        core.check_batch(batch, stage.batch_spec, stage.name)


@pytest.mark.parametrize("name", systems.SYSTEMS)
def test_systems_are_frozen_dataclasses_without_bases(name):
    cls = systems.get(name)
    assert cls.__bases__ == (object,)
    assert cls.__dataclass_params__.frozen


def test_importing_everything_needs_no_tensorflow():
    code = (
        "import sys; sys.modules['tensorflow'] = None; "
        "sys.modules['tensorflow_datasets'] = None; "
        "import jaxgan, jaxgan.systems, jaxgan.data, jaxgan.ops, jaxgan.losses, "
        "jaxgan.training, jaxgan.evaluation, jaxgan.pretrained"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
