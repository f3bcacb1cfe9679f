"""Flags that choose the machine, set before JAX first looks for devices."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import jax
from absl import flags

from jaxgan import peers
from jaxgan.core.errors import UserError

PLATFORMS = ("auto", "cpu", "gpu", "tpu")


def define_flags(values: flags.FlagValues) -> None:
    """Adds `--device`, `--deterministic`, `--compilation_cache` and the flags of
    several processes to a command."""
    flags.DEFINE_enum(
        "device", "auto", PLATFORMS, "where to compute", flag_values=values
    )
    flags.DEFINE_bool(
        "deterministic",
        False,
        "on GPUs too, equal runs give equal bytes (slower)",
        flag_values=values,
    )
    flags.DEFINE_string(
        "compilation_cache",
        None,
        "a directory that keeps compiled programs between starts",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "distributed",
        False,
        "one of several processes; SLURM and TPU pods need no more",
        flag_values=values,
    )
    flags.DEFINE_string(
        "coordinator_address", None, "host:port of process 0", flag_values=values
    )
    flags.DEFINE_integer(
        "num_processes", None, "how many processes there are", flag_values=values
    )
    flags.DEFINE_integer(
        "process_id", None, "which of them this is, from 0", flag_values=values
    )
    flags.DEFINE_integer(
        "peer_timeout",
        100,
        "seconds within which all processes end when one of them is lost",
        lower_bound=10,
        flag_values=values,
    )


def prepare(
    values: flags.FlagValues, after_loss: Callable[[], str] | None = None
) -> None:
    """Does what the flags of `define_flags` say.

    Args:
      values: the flags.
      after_loss: what to do when another process was lost, see `peers.watch`.

    Raises:
      UserError: if the device is not there, or the processes do not find one another.
    """
    if values.deterministic:
        own = "--xla_gpu_deterministic_ops=true"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {own}".strip()
    if values.compilation_cache:
        jax.config.update("jax_compilation_cache_dir", values.compilation_cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    if values.device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    given = (values.coordinator_address, values.num_processes, values.process_id)
    if values.distributed:
        _join(*given, timeout=values.peer_timeout)
        peers.watch(values.peer_timeout, after_loss)
    elif given != (None, None, None):
        raise UserError(
            "--coordinator_address, --num_processes and --process_id are for several "
            "processes: pass --distributed too"
        )
    if values.device not in ("auto", "cpu"):
        _require(values.device)


def _join(*given: Any, timeout: int) -> None:
    if any(v is not None for v in given) and None in given:
        raise UserError(
            "--coordinator_address, --num_processes and --process_id belong together: "
            "give all three, or none where SLURM or a TPU pod knows them"
        )
    problem = (
        "--distributed: the processes did not find one another ({reason}): check "
        "--coordinator_address, --num_processes and --process_id"
    )
    try:
        with peers.joining(problem.format(reason="one waited for the rest in vain")):
            jax.distributed.initialize(*given, heartbeat_timeout_seconds=timeout)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(problem.format(reason=reason)) from error


def _require(platform: str) -> None:
    try:
        found = jax.devices(platform)
    except RuntimeError:
        found = []
    if not found or jax.default_backend() != platform:
        raise UserError(
            f"--device={platform}: no such device here (JAX sees "
            f"{jax.default_backend()}): install jaxgan[{_extra(platform)}] on a "
            "machine that has one, or pass --device=auto"
        )


def _extra(platform: str) -> str:
    return "cuda" if platform == "gpu" else platform
