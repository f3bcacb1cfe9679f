"""`jaxgan train` on `Toy` in processes of its own, forked from one that has imported
everything, so that each costs little."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import multiprocessing
import os
import pathlib
import resource
import signal
import socket
import sys
import threading
import time

import jax
import numpy as np
from jax.experimental import multihost_utils

import jaxgan.data
from jaxgan import command, peers
from jaxgan import train as command_train
from jaxgan.core.errors import UserError
from jaxgan.systems import registry
from jaxgan.training import checkpoint, programs, sharding
from tests.training import toy

CONFIG = str(pathlib.Path(__file__).with_name("toy_config.py"))


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status (-9 if killed) and what it printed."""

    code: int | None
    out: str
    err: str


@dataclasses.dataclass(frozen=True)
class Fault:
    """What happens to a child.

    Attributes:
      kind: `batch`, `writing`, `committed`, `hand_over` or `end`: the moment of
        `signum`; `mistake`: no signal, but an error that a user can put right;
        `alone`: no signal, but a short wait for the other processes.
      step: of the batch or checkpoint.
      signum: the signal it sends itself.
    """

    kind: str
    step: int = 0
    signum: int = signal.SIGKILL


def jaxgan_train(
    workdir: pathlib.Path,
    *flags: str,
    fault: Fault | None = None,
    devices: int = 1,
    file_size: int | None = None,
    timeout: float = 120,
) -> Ended:
    """Runs `jaxgan train --config=<toy> --workdir=... <flags>` to its end.

    Args:
      workdir: the run's directory; output goes to files beside it.
      *flags: further arguments.
      fault: what goes wrong.
      devices: simulated ones.
      file_size: bytes that the child may write to one file.
      timeout: seconds.
    """
    process = start(workdir, *flags, fault=fault, devices=devices, file_size=file_size)
    return wait(process, workdir, timeout)


@contextlib.contextmanager
def together(workdir, *flags, count=2, devices=2, special=None, **each):
    """Several children that train as one; none outlives it.

    Args:
      workdir: the run's directory; output goes to `<workdir>.<index>.out` and `.err`.
      *flags: of all.
      count: how many.
      devices: simulated ones of each.
      special: `{index: {...}}`, further arguments of `start` for one of them.
      **each: further arguments of `start` for all.

    Yields:
      The children, as `wait` takes them.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    started = []
    try:
        for i in range(count):
            joins = (
                "--distributed",
                f"--coordinator_address={address}",
                f"--num_processes={count}",
                f"--process_id={i}",
            )
            own = {"devices": devices, **each, **(special or {}).get(i, {})}
            log = f"{workdir}.{i}"
            started.append(start(workdir, *joins, *flags, log=log, **own))
        yield started
    finally:
        for process in started:
            process.kill()
            process.join()


def start(
    workdir,
    *flags,
    fault=None,
    devices=1,
    file_size=None,
    split=False,
    dump=None,
    log=None,
):
    """Begins what `jaxgan_train` does; output goes to `<log>.out` and `<log>.err`.

    `split` splits over `model` whatever can be, however small. `dump` is a file for
    the arrays that a resumed run begins with.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    log = str(log or workdir)
    process = context.Process(
        target=_main,
        args=(str(workdir), flags, fault, devices, file_size, split, dump, log),
    )
    process.start()
    return process


def wait(process, log: pathlib.Path, timeout: float = 120) -> Ended:
    """Waits for a child of `start`; one that takes longer is killed."""
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
    out, err = (pathlib.Path(f"{log}.{name}") for name in ("out", "err"))
    return Ended(
        process.exitcode,
        out.read_text() if out.exists() else "",
        err.read_text() if err.exists() else "",
    )


def _main(workdir, flags, fault, devices, file_size, split, dump, log) -> None:
    for name, number in (("out", 1), ("err", 2)):
        descriptor = os.open(f"{log}.{name}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(descriptor, number)
    jax.config.update("jax_num_cpu_devices", devices)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    registry.SYSTEMS["toy"] = toy.Toy
    registry.SYSTEMS["borrower"] = toy.Borrower
    if not any(flag.startswith("--config=") for flag in flags):
        jaxgan.data.make_task = toy.make_task
    if split:
        sharding.shardings.__defaults__ = (1, ())
    if file_size is not None:
        jax.config.update("jax_enable_compilation_cache", False)  # large files
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    if dump is not None:
        _dump_what_is_restored(dump)
    if fault is not None:
        _arm(pathlib.Path(workdir) / "checkpoints", fault)
    # A flag that is given twice has its second value.
    arguments = [f"--config={CONFIG}", f"--workdir={workdir}", *flags]
    try:
        command.run(command_train.main, ["jaxgan train", *arguments])
    finally:
        # A forked child skips what a program does at its end; jax.distributed's
        # processes wait for one another there.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()


def _dump_what_is_restored(path) -> None:
    restore = checkpoint.Checkpoints.restore

    def restored(self, *given):
        found = restore(self, *given)
        leaves = jax.tree_util.tree_leaves_with_path(found[0])
        whole = {
            jax.tree_util.keystr(p): multihost_utils.process_allgather(x, tiled=True)
            for p, x in leaves
        }
        if jax.process_index() == 0:
            np.savez(path, **whole)
        return found

    checkpoint.Checkpoints.restore = restored


def _arm(checkpoints: pathlib.Path, fault: Fault) -> None:
    def strike() -> None:
        os.kill(os.getpid(), fault.signum)

    def mistake() -> None:
        raise UserError("no picture 17: restore it")

    def when(condition) -> None:
        while not condition():
            time.sleep(0.0005)
        strike()

    def any_temporary() -> bool:
        return any(
            p.name.startswith(f"{fault.step}.") for p in checkpoints.glob("*tmp*")
        )

    if fault.kind == "batch":
        toy.on_batch = lambda step: step == fault.step and strike()
    elif fault.kind == "mistake":
        toy.on_batch = lambda step: step == fault.step and mistake()
    elif fault.kind == "alone":
        initialize = jax.distributed.initialize
        jax.distributed.initialize = functools.partial(
            initialize, initialization_timeout=5
        )
    elif fault.kind == "end":
        peers.finish = lambda status: strike()
    elif fault.kind == "hand_over":
        enter = programs.Programs.enter

        def entered(self, leg, task, state, raw):
            state = enter(self, leg, task, state, raw)
            if leg.begin:
                strike()
            return state

        programs.Programs.enter = entered
    else:
        seen = {
            "writing": any_temporary,
            "committed": (checkpoints / str(fault.step)).exists,
        }[fault.kind]
        save = checkpoint.Checkpoints.save

        def saving(self, state, *rest):
            if int(state.step) == fault.step:
                threading.Thread(target=when, args=(seen,), daemon=True).start()
            save(self, state, *rest)
            if int(state.step) == fault.step:
                time.sleep(20)  # the signal ends this

        checkpoint.Checkpoints.save = saving
