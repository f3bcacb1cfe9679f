"""Our training step against the official PyTorch code's, taking turns on one device.

    python -m benchmarks.versus_pytorch --official=FOLDER --form=published,tuned \\
        --config=cyclegan:horse2zebra --config=pix2pix:facades --output=versus.md
    python -m benchmarks.versus_pytorch --official=FOLDER --device=cpu --threads=2 \\
        --steps=5 --config=cyclegan:horse2zebra --config.system.image_size=64

FOLDER holds `models` and `util` of junyanz/pytorch-CycleGAN-and-pix2pix. Several
--config may follow one another; overrides --config.<key>=<value> belong to the config
before them, those before the first to all. Every config and form is a row.

Two processes take turns, a window of steps each: ours, compiled as the trainer compiles
it, and the official model's `set_input` and `optimize_parameters`, with options that
equal the config. Batches are random and resident on the device, metrics are not read,
every window begins after untimed steps and ends when the device has finished. A row is
refused if a network has another number of parameters on the two sides. The forms:

    published  the official step as it is: float32, eager, NCHW, cudnn.benchmark, TF32
               as torch has it by default (convolutions yes, matrix products no); ours
               in float32, with JAX's default precision (on NVIDIA TF32 for both)
    tuned      channels_last, autocast to bfloat16, torch.compile of every network,
               TF32; ours in bfloat16
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import flags

from benchmarks import (
    official_pytorch,
    report,
    step_throughput,
    steps,
    versus_page,
)
from jaxgan import command, config_files, huge_pages
from jaxgan.core import UserError
from jaxgan.networks.unet import depth_of
from jaxgan.training import configs, sharding

FLAGS = flags.FlagValues()
flags.DEFINE_string("official", None, "folder of the official code", flag_values=FLAGS)
flags.DEFINE_string("config", None, config_files.HELP, flag_values=FLAGS)
flags.DEFINE_list(
    "form", ["published"], "rows of a config: published, tuned", flag_values=FLAGS
)
flags.DEFINE_integer("rounds", 6, "pairs of timed windows", 1, flag_values=FLAGS)
flags.DEFINE_integer("steps", 20, "steps a window", 1, flag_values=FLAGS)
flags.DEFINE_enum(
    "device", "auto", ("auto", "cpu", "gpu"), "where both compute", flag_values=FLAGS
)
flags.DEFINE_integer(
    "threads", 0, "cores and threads of either; 0: all", 0, flag_values=FLAGS
)
flags.DEFINE_string(
    "torch_python", sys.executable, "a Python that has torch", flag_values=FLAGS
)
flags.DEFINE_string("output", None, report.OUTPUT_HELP, flag_values=FLAGS)
flags.DEFINE_bool(
    "serve", False, "be our side; the command starts it itself", flag_values=FLAGS
)

DTYPES = {"published": "float32", "tuned": "bfloat16"}
GAN_MODES = {"lsgan": "lsgan", "bce": "vanilla", "wasserstein": "wgangp"}
ONLY = {  # what the official code has no other choice of
    "generator": ("resnet", "unet"),
    "upsample": ("conv_transpose",),
    "norm": ("instance", "batch"),
    "dropout_layers": (None, ()),
    "conditional": (True,),
    "lambda_gan": (1.0,),
    "microbatches": (1,),
}
PAUSE = 0.3  # seconds, in which the threads of the other side stop spinning
UNTIMED = 2  # steps, in which memory that the system took back meanwhile comes again


def main(argv: Sequence[str]) -> int:
    """Measures row by row; prints the page at the end. 1 if a row failed."""
    chosen, _, others = step_throughput.split_configs(argv[1:])
    command.parse(FLAGS, [argv[0], *others], __doc__, required=("official",))
    if not chosen:
        raise UserError(f"--config is missing: {config_files.HELP}")
    if FLAGS.serve:
        (spec, overrides), *_ = chosen
        official_pytorch.serve(lambda: Ours(config_files.load(spec, overrides)))
        return 0
    _check_flags()
    pin(FLAGS.threads)
    name = report.command("versus_pytorch", argv)
    rows = report.Report(FLAGS.output, lambda rows: versus_page.page(rows, name))
    for spec, overrides in chosen:
        for form in FLAGS.form:
            label = {"config": " ".join([spec, *overrides]), "form": form}
            try:
                row = measure(spec, overrides, form)
            except UserError as error:
                row = {"error": str(error)}
                print(f"error: {label['config']}, {form}: {error}", file=sys.stderr)
            rows.add(label | row)
    rows.close()
    return int(any("error" in row for row in rows.rows))


def _check_flags() -> None:
    unknown = [form for form in FLAGS.form if form not in DTYPES]
    if unknown or not FLAGS.form:
        raise UserError(f"--form={','.join(FLAGS.form)}: of {', '.join(DTYPES)}")
    folder = pathlib.Path(FLAGS.official)
    if not (folder / "models" / "networks.py").is_file():
        raise UserError(f"--official={folder}: there is no models/networks.py")


def pin(threads: int) -> None:
    """This process, and so its children, on that many cores; 0: all there are.

    Raises:
      UserError: if there are not so many.
    """
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        raise UserError(f"--threads={threads}: there are {len(cores)} cores")
    if threads:
        os.sched_setaffinity(0, cores[:threads])  # XLA has a thread a core


class Ours:
    """Our side: a system's first step, compiled, its state donated, its batch resident.

    Attributes:
      about: see `official_pytorch.Side`.
    """

    def __init__(self, config: Mapping[str, Any]):
        machine = report.machine()
        system = configs.build_system(config)
        mesh = sharding.make_mesh(config["devices"])
        if mesh.size != 1:
            raise UserError(
                f"{mesh.size} devices, the official code has one: pass "
                "--config.devices.data=1"
            )
        began = time.perf_counter()
        program = steps.program(
            system, system.stages[0].name, config["training"]["batch_size"], mesh
        )
        self._state, *self._others = program.arguments
        self._compiled = program.call.lower(*program.arguments).compile()
        self._metrics: Any = {}
        counts = {
            name: sum(x.size for x in jax.tree.leaves(parameters))
            for name, parameters in self._state.params.items()
        }
        self.run(official_pytorch.WARM_UP)
        digest = hashlib.sha256(configs.to_json(config).encode()).hexdigest()
        self.about = machine | {
            "config_sha256": digest,
            "dtype": system.dtype,
            "parameters": counts,
            "warm_up_s": time.perf_counter() - began,
        }

    def run(self, steps: int) -> float:
        """Seconds a step."""
        state, metrics = self._state, self._metrics
        began = time.perf_counter()
        for _ in range(steps):
            state, metrics = self._compiled(state, *self._others)
        jax.block_until_ready((state, metrics))
        seconds = (time.perf_counter() - began) / steps
        self._state, self._metrics = state, metrics
        return seconds

    def end(self) -> dict[str, Any]:
        """Whether all metrics are finite, and the allocator's peak."""
        memory = jax.local_devices()[0].memory_stats() or {}
        finite = all(np.isfinite(x).all() for x in jax.tree.leaves(self._metrics))
        return {"finite": bool(finite), "memory_peak": memory.get("peak_bytes_in_use")}


class Child:
    """A side in a process of its own; leaves with the `with` that it was opened by."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: dict[str, str]
    ):
        self._name = name
        try:
            self._process: Any = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
        except OSError as error:
            raise UserError(f"{arguments[0]}: {error.strerror}") from error

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.kill()
        self._process.wait()

    def hear(self) -> dict[str, Any]:
        """The next answer.

        Raises:
          UserError: if it is an error, or the process has ended.
        """
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "its process has ended"}
        if "error" in answer:
            raise UserError(f"{self._name}: {answer['error']}")
        return answer

    def ask(self, words: str) -> dict[str, Any]:
        """The answer to a line of `official_pytorch.serve`."""
        self._process.stdin.write(words + "\n")
        self._process.stdin.flush()
        return self.hear()

    def window(self, count: int) -> float:
        """Seconds a step, over `count` steps."""
        time.sleep(PAUSE)
        self.ask(f"run {UNTIMED}")
        return self.ask(f"run {count}")["seconds"]


def measure(spec: str, overrides: Sequence[str], form: str) -> dict[str, Any]:
    """A row: both sides built one after the other, then window by window in turn.

    Raises:
      UserError: for what the official code does not have, for networks or devices
        that differ, and with the words of a side that failed.
    """
    if not any(o.startswith("--config.dtype") for o in overrides):
        overrides = [*overrides, f"--config.dtype={DTYPES[form]}"]
    config = config_files.load(spec, overrides)
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if FLAGS.threads:
        environment["OMP_NUM_THREADS"] = str(FLAGS.threads)
    setup = torch_setup(config, form)
    platforms = {"auto": {}, "cpu": {"JAX_PLATFORMS": "cpu"}}
    own = environment | platforms.get(FLAGS.device, {"JAX_PLATFORMS": "cuda"})
    ours = [sys.executable, "-m", "benchmarks.versus_pytorch", "--serve"]
    ours += [f"--official={FLAGS.official}", f"--config={spec}", *overrides]
    theirs = [FLAGS.torch_python, "-m", "benchmarks.official_pytorch"]
    theirs.append(json.dumps(setup))
    with Child("jaxgan", ours, own) as a:
        about = a.hear()
        with Child("PyTorch", theirs, environment) as b:
            other = b.hear()
            check_same(about, other)
            times = take_turns(a, b, FLAGS.rounds, FLAGS.steps)
            ends = a.ask("end"), b.ask("end")
    row = about | {
        "system": config["name"],
        "batch_size": config["training"]["batch_size"],
        "image_size": config["system"]["image_size"],
        "official": _commit(),
        "rounds": FLAGS.rounds,
        "steps": FLAGS.steps,
        "threads": FLAGS.threads or None,
        "versions": about["versions"] | other.pop("versions"),
    }
    row |= times | ends[0]
    return row | {f"torch_{name}": x for name, x in (other | ends[1]).items()}


def take_turns(a: Child, b: Child, rounds: int, count: int) -> dict[str, float]:
    """Milliseconds a step of both, and of each pair b over a; the first is dropped."""
    pairs = [(a.window(count), b.window(count)) for _ in range(rounds + 1)][1:]
    columns = {
        "ms": [1e3 * x for x, _ in pairs],
        "torch_ms": [1e3 * y for _, y in pairs],
        "ratio": [y / x for x, y in pairs],
    }
    reduce = {"median": statistics.median, "min": min, "max": max}
    return {
        f"{name}_{how}": f(values)
        for name, values in columns.items()
        for how, f in reduce.items()
    }


def check_same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Refuses two sides that do not do the same work on the same device."""
    if ours["platform"] != theirs["platform"]:
        raise UserError(
            f"JAX computes on {ours['platform']}, PyTorch on {theirs['platform']}: "
            "pass --device=cpu, or install what is missing"
        )
    counts = ours["parameters"], theirs["parameters"]
    for name in sorted({*counts[0], *counts[1]}):
        own, other = (c.get(name, 0) for c in counts)
        if own != other:
            raise UserError(
                f"{name} has {own} parameters, PyTorch's "
                f"{official_pytorch.name_of(name)} has {other}: not the same network"
            )


def torch_setup(config: Mapping[str, Any], form: str) -> dict[str, Any]:
    """What `official_pytorch.Official` takes, equal to the config.

    Raises:
      UserError: for what the official code does not have.
    """
    given = options(config)
    shape = [config["training"]["batch_size"], 0, *[config["system"]["image_size"]] * 2]
    real = {"A": [*shape], "B": [*shape]}
    real["A"][1], real["B"][1] = given["input_nc"], given["output_nc"]
    if given["direction"] == "BtoA":  # the model swaps what the loader gives it
        real = {"A": real["B"], "B": real["A"]}
    return {
        "official": str(pathlib.Path(FLAGS.official).resolve()),
        "system": config["name"],
        "options": given,
        "shapes": real,
        "form": form,
        "device": FLAGS.device,
        "threads": FLAGS.threads,
    }


def options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The official code's options that equal a config.

    Raises:
      UserError: for what the official code does not have.
    """
    system = config["system"]
    _check_known(config["name"], system, config["training"]["batch_size"])
    depth = depth_of(system["image_size"], system["num_downs"])
    unet, cycle = system["generator"] == "unet", config["name"] == "cyclegan"
    pixel = system["discriminator"] == "pixel"
    chosen = {
        "isTrain": True,
        "checkpoints_dir": "",  # nothing is saved
        "name": "versus",
        "preprocess": "resize_and_crop",
        "direction": config["data"].get("direction", "AtoB"),
        "input_nc": system["channels" if cycle else "in_channels"],
        "output_nc": system["channels" if cycle else "out_channels"],
        "ngf": system["generator_channels"],
        "ndf": system["discriminator_channels"],
        "netG": f"unet_{2**depth}" if unet else f"resnet_{system['num_blocks']}blocks",
        "netD": "pixel" if pixel else "n_layers",
        "n_layers_D": system["num_layers"],
        "norm": system["norm"],
        "no_dropout": cycle or system["dropout_layers"] == (),
        "init_type": "normal",
        "init_gain": 0.02,
        "gan_mode": GAN_MODES[system["adversarial"]],
        "lr": system["learning_rate"],
        "beta1": system["beta1"],
    }
    if not cycle:
        return chosen | {"lambda_L1": system["lambda_l1"]}
    return chosen | {
        "lambda_A": system["lambda_a"],
        "lambda_B": system["lambda_b"],
        "lambda_identity": system["lambda_identity"],
        "pool_size": system["pool_size"],
    }


def _check_known(name: str, system: Mapping[str, Any], batch_size: int) -> None:
    if name not in official_pytorch.MODELS:
        raise UserError(
            f"{name}: the official code is that of {', '.join(official_pytorch.MODELS)}"
        )
    for key, known in ONLY.items():
        if key in system and system[key] not in known:
            raise UserError(
                f"--config.system.{key}={system[key]}: the official code has "
                f"{' or '.join(str(v) for v in known)}"
            )
    depth = depth_of(system["image_size"], system["num_downs"])
    if system["generator"] == "unet" and depth < 5:
        raise UserError("the official U-Net halves an image at least 5 times")
    if system["norm"] == "batch" and batch_size > 1 and system["norm_groups"] != 1:
        raise UserError(
            f"the official batch norm pools the {batch_size} images of a batch: pass "
            "--config.system.norm_groups=1"
        )


def _commit() -> str | None:
    """What the folder says of itself in a file COMMIT."""
    path = pathlib.Path(FLAGS.official) / "COMMIT"
    return path.read_text().split()[0] if path.is_file() else None


if __name__ == "__main__":
    huge_pages.ask(sys.argv[1:])  # as the commands do
    command.run(main, sys.argv)
