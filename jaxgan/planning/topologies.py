"""Machines to compile for that need not be here, by names such as `v5e:2x4`.

TPUs are compiled for by libtpu, NVIDIA's GPUs by JAX's CUDA plugin from a description
of the chip, both without the hardware; a CPU is this machine's, its devices simulated.
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

from jaxgan.core.errors import UserError, did_you_mean

HELP = (
    "the machine to plan for: v5e:2x4, v6e:4x4, v5p:2x2x2 (TPU slices), "
    "h200:8, h100:16, a100:1, b200:8 (GPUs, 8 a host), cpu:2 (this machine's)"
)
GPUS_PER_HOST = 8
_COMPILERS = {  # platform: module, name
    "gpu": ("jax_cuda13_plugin", "JAX's CUDA plugin"),
    "tpu": ("libtpu", "libtpu"),
}
TPU_AXES = {"v5e": 2, "v5p": 3, "v6e": 2}


class Gpu(NamedTuple):
    """What XLA must know of a GPU to compile for it (openxla/xla, target_config/specs).

    Attributes:
      name: JAX's `device_kind`.
      capability: CUDA compute capability, major and minor.
      cores: multiprocessors.
      lanes: float32 units of each.
      shared_memory: bytes of each multiprocessor; a block can use 1024 fewer.
      cache: bytes of the second-level cache.
      clock: GHz.
      bandwidth: bytes/s of the memory.
      memory: bytes.
    """

    name: str
    capability: tuple[int, int]
    cores: int
    lanes: int
    shared_memory: int
    cache: int
    clock: float
    bandwidth: int
    memory: int


GPUS = {
    "a100": Gpu(
        *("NVIDIA A100-SXM4-80GB", (8, 0), 108, 64, 167936, 41943040, 1.41),
        *(2039040000000, 85100068864),
    ),
    "h100": Gpu(
        *("NVIDIA H100 80GB HBM3", (9, 0), 132, 128, 233472, 52428800, 1.98),
        *(3352320000000, 84942979072),
    ),
    "h200": Gpu(
        *("NVIDIA H200", (9, 0), 132, 128, 233472, 52428800, 1.98),
        *(4800000000000, 151397597184),
    ),
    "b200": Gpu(
        *("NVIDIA B200", (10, 0), 148, 128, 233472, 132644864, 1.965),
        *(7672320000000, 191514411008),
    ),
}


class Topology(NamedTuple):
    """A machine's shape.

    Attributes:
      name: as it was asked for.
      platform: `tpu`, `gpu` or `cpu`.
      kind: `v5e`, `h200`, `cpu`, ...
      shape: of a TPU slice; `(count,)` of the others.
    """

    name: str
    platform: str
    kind: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many devices it has."""
        return math.prod(self.shape)

    @property
    def host_size(self) -> int:
        """How many devices the fast network joins: a TPU slice, the GPUs of a host."""
        return min(self.size, GPUS_PER_HOST) if self.platform == "gpu" else self.size


def parse(name: str) -> Topology:
    """Reads a topology's name.

    Raises:
      UserError: if it is none, with what there is.
    """
    kind, _, shape = name.lower().partition(":")
    kinds = (*TPU_AXES, *GPUS, "cpu")
    if kind not in kinds:
        near = did_you_mean(kind, kinds)
        raise UserError(f"--topology={name}: unknown{near}; it is {HELP}")
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", shape):
        raise UserError(f"--topology={name}: a size is missing; it is {HELP}")
    sides = tuple(map(int, shape.split("x")))
    axes = TPU_AXES.get(kind, 1)
    if len(sides) != axes:
        wanted = "x".join("N" * axes)
        raise UserError(f"--topology={name}: {kind} has {axes} axes, {kind}:{wanted}")
    platform = "tpu" if kind in TPU_AXES else "cpu" if kind == "cpu" else "gpu"
    found = Topology(name, platform, kind, sides)
    if platform == "gpu" and found.size > GPUS_PER_HOST and found.size % GPUS_PER_HOST:
        raise UserError(
            f"--topology={name}: more than {GPUS_PER_HOST} GPUs are whole hosts of "
            f"{GPUS_PER_HOST}; choose a multiple"
        )
    return found


def prepare(topology: Topology) -> None:
    """Sets JAX up to compile for a topology; before JAX first looks for devices.

    Raises:
      UserError: if what compiles for it is not installed.
    """
    require(topology)
    jax.config.update("jax_platforms", "cpu")  # else a plugin looks for its hardware
    if topology.platform == "cpu":
        jax.config.update("jax_num_cpu_devices", topology.size)
    elif topology.platform == "tpu":
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # no metadata server here
        os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-8")  # less to say
        os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
        # Compiling alone shares the library with other processes.
        os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")


def require(topology: Topology) -> None:
    """Makes sure that what compiles for a topology is installed.

    Raises:
      UserError: if it is not, with the extra to install.
    """
    if topology.platform not in _COMPILERS:
        return
    module, what = _COMPILERS[topology.platform]
    if importlib.util.find_spec(module) is None:
        raise UserError(
            f"--topology={topology.name} is compiled for by {what}, which is not "
            "installed: pip install 'jaxgan[plan]'"
        )


def devices(topology: Topology) -> list[Any]:
    """The devices of a `prepare`d topology; only programs can be compiled for them.

    Raises:
      UserError: if the compiler does not know the topology.
    """
    if topology.platform == "cpu":
        return jax.devices("cpu")[: topology.size]
    try:
        if topology.platform == "tpu":
            shape = "x".join(map(str, topology.shape))
            return topologies.get_topology_desc(
                platform="tpu", topology_name=f"{topology.kind}:{shape}"
            ).devices
        hosts = topology.size // topology.host_size
        return topologies.get_topology_desc(
            topology.name,
            platform="cuda",
            target_config=target_config(GPUS[topology.kind]),
            topology=f"1x{hosts}x{topology.host_size}",  # slices, hosts, GPUs
        ).devices
    except (RuntimeError, ValueError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"--topology={topology.name}: the compiler refuses it ({reason})"
        ) from error


def target_config(gpu: Gpu) -> str:
    """The text of the `stream_executor.GpuTargetConfigProto` that describes a GPU."""
    major, minor = gpu.capability
    own = "ACCELERATED_FEATURES" if major >= 9 else "NONE"
    return f"""
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: {gpu.shared_memory}
  shared_memory_per_block_optin: {gpu.shared_memory - 1024}
  threads_per_core_limit: 2048
  core_count: {gpu.cores}
  fpus_per_core: {gpu.lanes}
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  thread_dim_limit_x: 1024
  thread_dim_limit_y: 1024
  thread_dim_limit_z: 64
  memory_bandwidth: {gpu.bandwidth}
  l2_cache_size: {gpu.cache}
  clock_rate_ghz: {gpu.clock}
  device_memory_size: {gpu.memory}
  cuda_compute_capability {{ major: {major} minor: {minor} feature_extension: {own} }}
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  driver_version: "13.0.0"
  runtime_version: "13.0.0"
  compile_time_toolkit_version: "13.0.0"
  dnn_version: "9.10.0"
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 0 }}
device_description_str: "{gpu.name}"
"""
