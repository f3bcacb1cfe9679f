"""Exported files, and the proof that they do what the mode does, without us."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np
import safetensors.numpy

from jaxgan.core.errors import UserError
from jaxgan.inference import signature
from jaxgan.inference.export import Exported
from jaxgan.inference.saving import disk, require_folder

PROGRAM, PARAMETERS = "program.stablehlo", "parameters.safetensors"
FILES = (PARAMETERS, PROGRAM, "signature.json", "README.txt")
EXAMPLES = 3  # a size that nothing was traced at
TOLERANCE = {"float32": 1e-5, "float64": 1e-5, "bfloat16": 2e-2}
BLOCKED = ("jaxgan", "flax", "optax", "orbax", "tensorflow", "beartype")

LOAD = f"""\
import jax.export
import numpy as np
from safetensors.numpy import load_file

with open("{PROGRAM}", "rb") as file:
    program = jax.jit(jax.export.deserialize(bytearray(file.read())).call)
parameters = load_file("{PARAMETERS}")
"""
_CHILD = """\
import sys
sys.modules.update(dict.fromkeys({blocked}))
{load}
given, results = sys.argv[1:]
outputs = program(parameters, dict(np.load(given)))
np.savez(results, **outputs)
"""


def require(folder: str) -> None:
    """Makes sure that `write` can write there and replaces no file but its own.

    Raises:
      UserError: if it cannot, or would.
    """
    target = Path(folder).expanduser()
    require_folder(target)
    theirs = [name for name in FILES if (target / name).exists()]
    if theirs and "signature.json" not in theirs:
        raise UserError(
            f"--output={folder} holds {', '.join(theirs)} of no earlier export, which "
            "would be replaced: choose another folder"
        )


def write(
    exported: Exported, folder: str, about: Mapping[str, Any], dtype: str, prove: bool
) -> tuple[float, dict[str, list[int]]]:
    """Writes a program's folder, once a fresh process has shown that it works.

    Args:
      exported: what to write.
      folder: where to; an earlier export there is replaced.
      about: what `signature.json` says besides.
      dtype: that the networks compute in; decides how equal results must be.
      prove: whether to prove it.

    Returns:
      The largest difference to the mode itself (0 unproved), and the shapes that it was
      tried with.

    Raises:
      UserError: if it fails there, differs, or cannot be written.
    """
    target = Path(folder).expanduser()
    require(folder)
    if prove:
        _place(exported.platforms)
    with disk(target), _folder(target) as fresh:
        (fresh / PROGRAM).write_bytes(exported.program)
        safetensors.numpy.save_file(exported.parameters, fresh / PARAMETERS)
        facts = {
            **about,
            "inputs": signature.to_json(exported.inputs),
            "outputs": exported.outputs,
            "least": exported.least,
        }
        text = json.dumps(facts, indent=2) + "\n"
        (fresh / "signature.json").write_text(text, encoding="utf-8")
        (fresh / "README.txt").write_text(readme(exported, about), encoding="utf-8")
        inputs = examples(exported)
        difference = _prove(exported, fresh, inputs, dtype) if prove else 0.0
        for name in FILES:
            shutil.move(fresh / name, target / name)
    return difference, {name: list(x.shape) for name, x in inputs.items()}


@contextlib.contextmanager
def _folder(target: Path) -> Iterator[Path]:
    """A folder in `target`, which is made, and removed if nothing comes of it."""
    new = not target.exists()
    target.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".part.", dir=target) as part:
            yield Path(part)
    except BaseException:
        if new:
            target.rmdir()
        raise


def readme(exported: Exported, about: Mapping[str, Any]) -> str:
    """What `README.txt` says."""
    sizes = {n: max(2, v) for n, v in exported.least.items()}
    lines = []
    for name, argument in exported.inputs.items():
        form = argument.fixed(sizes)
        shape = ", ".join(map(str, form.shape))
        comma = "," if len(form.shape) == 1 else ""
        lines.append(f'    "{name}": np.zeros(({shape}{comma}), np.{form.dtype}),')
    return "\n".join(
        [
            f"{about['mode']} of {about['system']}: {about['help']}",
            "",
            "signature.json describes the inputs and outputs. Needed: jax, numpy,",
            "safetensors. In this folder:",
            "",
            LOAD + "inputs = {",
            *lines,
            "}",
            "outputs = program(parameters, inputs)",
            "print({name: x.shape for name, x in outputs.items()})",
            "",
        ]
    )


def examples(exported: Exported, seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs within their ranges; open sizes all differ from the least ones."""
    random = np.random.default_rng(seed)
    sizes = {name: n + i for i, (name, n) in enumerate(exported.least.items())}
    sizes = {**sizes, **({"b": EXAMPLES} if "b" in sizes else {})}
    found = {}
    for name, argument in exported.inputs.items():
        form = argument.fixed(sizes)
        low = -1.0 if argument.low is None else argument.low
        high = 1.0 if argument.high is None else argument.high
        if np.issubdtype(form.dtype, np.integer):
            values = random.integers(int(low), int(high), form.shape, endpoint=True)
        else:
            values = random.uniform(low, high, form.shape)
        found[name] = np.asarray(values, form.dtype)
    return found


def _place(platforms: Sequence[str]) -> Any:
    """Where a fresh process can try a program: None is here, else it is a CPU.

    Raises:
      UserError: if nowhere.
    """
    here = jax.export.default_export_platform()
    if here in platforms and here != "tpu":  # a TPU serves one process, which is us
        return None
    with contextlib.suppress(RuntimeError):  # JAX_PLATFORMS may leave out the CPU
        if "cpu" in platforms:
            return jax.local_devices(backend="cpu")[0]
    raise UserError(
        f"--platforms={','.join(platforms)}: this cannot be proved on {here}: add cpu "
        "to them, or pass --noprove"
    )


def _prove(
    exported: Exported, folder: Path, inputs: Mapping[str, np.ndarray], dtype: str
) -> float:
    """The largest difference between the files in a fresh process and the mode."""
    with tempfile.TemporaryDirectory() as place:
        given, results = Path(place) / "inputs.npz", Path(place) / "outputs.npz"
        arrays: dict[str, Any] = dict(inputs)
        np.savez(given, **arrays)
        code = _CHILD.format(blocked=BLOCKED, load=LOAD)
        device = _place(exported.platforms)
        environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        # Else the last line of an error would be a remark on its traceback.
        environment["JAX_TRACEBACK_FILTERING"] = "off"
        if device is not None or jax.default_backend() == "cpu":
            environment["JAX_PLATFORMS"] = "cpu"
        ended = subprocess.run(
            [sys.executable, "-c", code, given, results],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        if ended.returncode:
            reason = (ended.stderr.strip().splitlines() or ["no message"])[-1]
            raise UserError(f"the exported program failed in a fresh process: {reason}")
        with np.load(results) as loaded:
            found = {name: loaded[name] for name in loaded.files}
    live = jax.device_get(exported.live(inputs, device))
    worst = 0.0
    for name, x in live.items():
        scale = max(1.0, float(np.max(np.abs(x), initial=0.0)))
        difference = float(np.max(np.abs(x - found[name]), initial=0.0)) / scale
        if not difference <= TOLERANCE[dtype]:
            raise UserError(
                f"the exported program differs from the mode by {difference:.2g} in "
                f"{name!r}, more than {TOLERANCE[dtype]:g}: nothing was written"
            )
        worst = max(worst, difference)
    return worst
