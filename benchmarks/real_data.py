"""Trains the systems on small real data sets, at sizes that a CPU can bear.

    python -m benchmarks.real_data --data=/data --runs=runs/real pix2pix_facades
    python -m benchmarks.real_data --data=/data --runs=runs/full --full gan3d_chairs
    python -m benchmarks.real_data --data=/data --runs=runs/l1 pix2pix_facades \
        --config.system.lambda_gan=0.0

Each run is an ordinary `jaxgan train` with the flags below, then `jaxgan evaluate` on
examples that training never saw; both commands are printed. Further flags of training
may follow, for an experiment. Without a name, all runs, in an order in which those that
start from another come after it. What they gave is in `results/real_data.md`.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence

Flags = dict[str, object]
_CYCLEGAN_64: Flags = {
    "data.image_size": 64,
    "data.load_size": 72,
    "system.image_size": 64,
    "system.num_blocks": 6,
    "system.generator_channels": 24,
    "system.discriminator_channels": 32,
    "system.constant_steps": 4000,
    "system.decay_steps": 3500,
    "system.epoch_steps": 1,
    "training.evaluate_every": 2500,
    "training.sample_every": 1500,
}
# name: (config, run to start from, flags of training, [flags of an evaluation, ...])
RUNS: dict[str, tuple[str, str | None, Flags, list[Flags]]] = {
    "gan_mnist": (
        "gan:mnist",
        None,
        {
            "data.source": "npz:{data}/mnist/mnist_train8k.npz",
            "data.holdout": 0.125,
            "system.epoch_steps": 70,
            "seed": 1,
            "system.num_steps": 10_000,
            "training.evaluate_every": 5000,
            "training.sample_every": 2500,
        },
        [{}],
    ),
    "pix2pix_facades": (
        "pix2pix:facades",
        None,
        {
            "data.source": "zip:{data}/facade_windows/facade_windows.zip",
            "data.image_size": 64,
            "data.load_size": 72,
            "system.image_size": 64,
            "system.generator_channels": 32,
            "system.discriminator_channels": 32,
            "system.num_layers": 2,
            "training.batch_size": 4,
            "system.constant_steps": 37 * 107,
            "system.decay_steps": 18 * 107,
            "system.epoch_steps": 107,
            "training.evaluate_every": 1500,
            "training.sample_every": 1500,
        },
        [{}, {"evaluation.sampling": "eval"}],
    ),
    "cyclegan_monet2photo": (
        "cyclegan:monet2photo",
        None,
        {
            "data.source": "zip:{data}/monet2photo/monet2photo.zip",
            **_CYCLEGAN_64,
        },
        [{}],
    ),
    "cyclegan_camvid": (
        "cyclegan:cityscapes",
        None,
        {
            "data.source": "zip:{data}/camvid/camvid.zip",
            "data.folders": ("image", "label"),
            "data.palette_b": 12,
            "data.disjoint": True,
            **_CYCLEGAN_64,
            "system.constant_steps": 1500,
            "system.decay_steps": 1000,
            "training.evaluate_every": 1250,
            "evaluation.paired": True,
            "evaluation.palette": "data",
            "evaluation.labels_in": "b",
        },
        [{}],
    ),
    "srresnet_urban": (
        "srgan:srresnet_mse",
        None,
        {
            "data.source": "zip:{data}/sr/urban_crops320.zip",
            "data.label_pattern": r"img_(?P<photo>\d+)_",
            "data.holdout_by": "photo",  # two crops of each
            "data.flip_rot": True,
            "data.image_size": 64,
            "system.image_size": 64,
            "training.batch_size": 8,
            "system.num_blocks": 4,
            "system.generator_channels": 32,
            "system.generator_init": "torch_default",
            "system.pretrain_learning_rate": 1e-3,
            "system.pretrain_schedule": "cosine",
            "system.pretrain_steps": 6000,
            "training.evaluate_every": 2000,
            "training.sample_every": 2000,
        },
        [
            {},
            {"evaluation.source": "zip:{data}/sr/Set5.zip"},
            {"evaluation.source": "zip:{data}/sr/Set14.zip"},
        ],
    ),
    "dcgan_utkface": (
        "dcgan:celeba",
        None,
        {
            "data.source": "zip:{data}/utkface/utkface.zip",
            "data.box": None,
            "system.generator_channels": 24,
            "system.discriminator_channels": 24,
            "system.constant_steps": 3000,
            "training.batch_size": 32,
            "training.evaluate_every": 1000,
            "training.sample_every": 500,
        },
        [{}],
    ),
    "inpainting_utkface": (
        "semantic_inpainting:celeba",
        "dcgan_utkface",
        {
            "data.source": "zip:{data}/utkface/utkface.zip",
            "data.box": None,
            "system.generator_channels": 24,
            "system.discriminator_channels": 24,
            "system.restarts": 2,
            "system.num_iters": 250,
            "evaluation.num_examples": 64,
        },
        [{}],
    ),
    "gan3d_chairs": (
        "gan3d:chairs32",
        None,
        {
            "data.source": "npz:{data}/modelnet_chair30/modelnet_chair30_train.npz",
            "data.where": "{{'rotation': 0}}",
            "data.holdout_by": "object_id",
            "system.channels": (128, 64, 32, 16),
            "system.num_steps": 3200,
            "training.batch_size": 16,
            "training.log_every": 50,
            "training.checkpoint_every": 400,
            "training.evaluate_every": 800,
            "training.sample_every": 200,
            "evaluation.num_training": 666,
        },
        [
            {},
            {
                "data.source": "npz:{data}/modelnet10_vox32/modelnet10_vox32_train.npz",
                "data.where": None,
                "data.holdout_by": None,
                "evaluation.num_examples": 0,
            },
        ],
    ),
}


_ONCE: Flags = {  # where a step takes milliseconds, figures on the way cost more
    "data.in_memory": True,
    "training.evaluate_every": 0,
    "training.sample_every": 1_000_000,
    "training.checkpoint_every": 1_000_000,
}
# What `--full` changes: the published networks, for an accelerator.
FULL: dict[str, Flags] = {
    "pix2pix_facades": {
        **_ONCE,
        "data.image_size": 256,
        "data.load_size": 286,
        "system.image_size": 256,
        "system.generator_channels": 64,
        "system.discriminator_channels": 64,
        "system.num_layers": 3,
        "system.constant_steps": 40 * 107,
        "system.decay_steps": 40 * 107,
        "training.num_steps": None,
    },
    "cyclegan_monet2photo": {
        **_ONCE,
        "data.image_size": 256,
        "data.load_size": 286,
        "system.image_size": 256,
        "system.num_blocks": 9,
        "system.generator_channels": 64,
        "system.discriminator_channels": 64,
        "system.constant_steps": 2000,
        "system.decay_steps": 1000,
        "training.batch_size": 4,
    },
    "srresnet_urban": {
        **_ONCE,
        "data.image_size": 96,
        "system.image_size": 96,
        "training.batch_size": 16,
        "system.num_blocks": 16,
        "system.generator_channels": 64,
        "system.pretrain_steps": 10_000,
    },
    "dcgan_utkface": {
        **_ONCE,
        "system.generator_channels": 128,
        "system.discriminator_channels": 128,
        "system.constant_steps": 4000,
        "training.batch_size": 128,
    },
    "inpainting_utkface": {
        "data.in_memory": True,
        "system.generator_channels": 128,
        "system.discriminator_channels": 128,
        "system.restarts": 4,
        "system.num_iters": 1000,
        "evaluation.num_examples": 64,
    },
    "gan3d_chairs": {
        **_ONCE,
        "system.channels": (256, 128, 64, 32),
        "system.num_steps": 4000,
        "training.batch_size": 100,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RUNS))
    parser.add_argument("--data", default="data", help="the folder of the data sets")
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/real"))
    parser.add_argument("--full", action="store_true", help="the published networks")
    arguments, more = parser.parse_known_args()
    if others := [flag for flag in more if not flag.startswith("--config.")]:
        parser.error(f"unknown flag {others[0]}")
    if unknown := set(arguments.names) - set(RUNS):
        parser.error(f"unknown run {unknown.pop()!r}; there are: {', '.join(RUNS)}")
    changes = FULL if arguments.full else dict.fromkeys(RUNS, {})
    for name in arguments.names or changes:
        if name not in changes:
            parser.error(f"{name} has no full size; there are: {', '.join(FULL)}")
        train(name, arguments.data, arguments.runs, changes[name], more)


def train(
    name: str,
    data: str,
    runs: pathlib.Path,
    changes: Flags,
    more: Sequence[str] = (),
) -> None:
    """One run and its evaluations, each a process of its own.

    Args:
      name: of `RUNS`.
      data: the folder of the data sets.
      runs: the folder of the runs.
      changes: flags of training that replace those of `RUNS`.
      more: further ones, as on the command line.

    Raises:
      CalledProcessError: if one of them fails.
    """
    config, start, flags, evaluations = RUNS[name]
    given = [*_flags({**flags, **changes}, data), *more]
    if start:
        given.append(f"--init_from={runs / start}")
    workdir = f"--workdir={runs / name}"
    _call("train", f"--config={config}", workdir, *given)
    for evaluation in evaluations:
        _call("evaluate", workdir, *_flags(evaluation, data))


def _flags(flags: Flags, data: str) -> list[str]:
    return [
        f"--config.{key}={value.format(data=data) if isinstance(value, str) else value}"
        for key, value in flags.items()
    ]


def _call(command: str, *flags: str) -> None:
    print("jaxgan", command, *flags, flush=True)
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", f"jaxgan.{command}", *flags], check=True)
    print(f"{(time.monotonic() - started) / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
