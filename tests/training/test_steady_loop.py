"""Between logs the loop only dispatches: nothing is read, sent or compiled."""

import contextlib

import jax
import pytest

from jaxgan.training import feeds, loop, programs
from jaxgan.training.writer import read_rows
from tests.training import toy

LAST = 30  # of the guarded steps; at the end a run draws and saves


class Sealed:
    """A result that may be handed on, and waited for, but not looked into."""

    def __init__(self, value):
        self.value = value

    def block_until_ready(self):
        jax.block_until_ready(self.value)

    def __array__(self, *_, **__):
        raise AssertionError("a result was read between logs")

    __bool__ = __int__ = __float__ = __index__ = __iter__ = __len__ = __array__
    __getitem__ = __array__


def opened(value):
    return value.value if isinstance(value, Sealed) else value


@pytest.fixture
def compilations():
    """The names of all events of tracing, lowering and compiling."""
    seen = []

    def listen(event, seconds, **_):
        if event.startswith("/jax/core/compile"):
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


def allowing(function):
    """Where transfers are meant."""

    def call(*args, **kwargs):
        with jax.transfer_guard("allow"):
            return function(*args, **kwargs)

    return call


@pytest.mark.parametrize("steps", [1, 5])
def test_a_steady_loop_transfers_and_compiles_nothing(
    steps, tmp_path, monkeypatch, compilations
):
    """A CPU's arrays are read without a transfer, so there they are sealed too."""
    guard, counts = contextlib.ExitStack(), {}
    real = programs.Programs.update

    def update(self, leg, task, state, raw, count=1):
        compiled, health = real(self, leg, task, state, raw, count)
        done = 0

        def call(state, health, frozen, raw):
            nonlocal done
            state, health = jax.tree.map(opened, (state, health))
            out = compiled(state, health, frozen, raw)
            done += count
            counts[done] = len(compilations)
            if done == LAST:
                guard.close()
            elif done == count:
                guard.enter_context(jax.transfer_guard("disallow_explicit"))
            looked_at = done == count or done % 10 == 0
            return out if looked_at else jax.tree.map(Sealed, out)

        return call, health

    def fed(*args):
        stream = real_stream(*args)
        while True:
            yield allowing(next)(stream)

    real_stream = feeds.Feeds.stream
    monkeypatch.setattr(programs.Programs, "update", update)
    monkeypatch.setattr(feeds.Feeds, "stream", fed)
    monkeypatch.setattr(loop._Trainer, "_log", allowing(loop._Trainer._log))
    with guard:
        toy.train(
            tmp_path,
            system__warmup_steps=LAST,
            training__num_steps=LAST,
            training__steps_per_call=steps,
            training__log_every=10,
            training__checkpoint_every=0,
            training__sample_every=0,
        )
    logged = [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")]
    assert logged == [steps, 10, 20, LAST]
    assert list(counts) == list(range(steps, LAST + 1, steps))
    assert counts[steps] > 0
    assert set(counts.values()) == {counts[steps]}
