"""Judges a trained run by its paper's protocol, or one folder of images by another.

    jaxgan evaluate --workdir=runs/pix2pix
    jaxgan evaluate --workdir=runs/pix2pix --split=validation --num_examples=100
    jaxgan evaluate --workdir=runs/dcgan --features=inception --inception=FILE
    jaxgan evaluate --workdir=runs/cityscapes --segmenter=fcn8s --fcn8s=FILE
    jaxgan evaluate --workdir=runs/srgan --source=zip:data/Set5.zip
    jaxgan evaluate --images_a=results --images_b=truth

Prints every figure beside those of trivial baselines (`l1/copy_of_input`) and appends
a row to evaluation.jsonl in the run's directory. Batches are split over this machine's
devices, all of them unless --config.devices.data says how many. FID and KID compare the
features of a network whose weights you bring (`jaxgan import-weights
--network=inception_fid`); generators that draw images get their Inception score
(`is/...`) as well. Of super-resolution --lpips=alex adds LPIPS; its weights are
--config.pretrained.alexnet and --config.pretrained.lpips_alex, or lie in
$JAXGAN_WEIGHTS. Photographs made of label maps are read by a segmenter
(`--network=fcn8s`).

Values of the run's config can be overridden for this evaluation, such as its data:
--config.data.source=folder:/data/horses. Further options are those of its section
`evaluation`: num_samples, num_training, num_probe, sampling, palette, crops, masks,
bootstrap.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from jaxgan import command, config_files, devices
from jaxgan.core.errors import UserError, out_of_memory

FLAGS = flags.FlagValues()
_SPLITS = ["test", "validation", "train"]
# Flags that are short for keys of the config.
_KEYS = {
    "num_examples": "evaluation.num_examples",
    "source": "evaluation.source",
    "features": "evaluation.features",
    "inception": "pretrained.inception_fid",
    "fid_variant": "evaluation.fid_variant",
    "fid_size": "evaluation.fid_size",
    "reference": "evaluation.reference",
    "write_reference": "evaluation.write_reference",
    "lpips": "evaluation.lpips",
    "segmenter": "evaluation.segmenter",
    "fcn8s": "pretrained.fcn8s",
    "label_maps": "evaluation.label_maps",
}
for _name, _help in {
    "workdir": "the run's directory",
    "images_a": "instead of a run: a folder or .zip of images to judge",
    "images_b": "the images to hold them against: PSNR, SSIM and L1 where all names "
    "agree, FID and KID with --features",
    "source": "judge on this data source, such as zip:Set5.zip: its test split, or all",
    "inception": "weights of Inception-v3: a .safetensors or .npz file, or `random`",
    "reference": "FID against the statistics in this .npz, not against images",
    "write_reference": "keep the statistics of the reference images in this .npz",
    "fcn8s": "weights of FCN-8s: a .safetensors or .npz file, or `random`",
    "label_maps": "hold the segmenter against these label-id PNGs, such as "
    "folder:gtFine/val, and not against colours of label pictures",
    "output": "append the row to this file, not to evaluation.jsonl of the run",
}.items():
    flags.DEFINE_string(_name, None, _help, flag_values=FLAGS)
for _name, _choices, _default, _help in (
    ("split", _SPLITS, "test", "what to judge on"),
    ("weights", ["ema", "raw"], "ema", "averaged parameters where there are any"),
    ("features", ["none", "inception"], None, "adds FID and KID of this network"),
    ("segmenter", ["none", "fcn8s"], None, "adds the FCN score by this network"),
    (
        "fid_variant",
        ["clean", "torch", "tensorflow", "jax_fid"],
        None,
        "preprocessing of FID",
    ),
    ("lpips", ["none", "alex", "vgg", "squeeze"], None, "LPIPS of super-resolution"),
):
    flags.DEFINE_enum(_name, _default, _choices, _help, flag_values=FLAGS)
flags.DEFINE_integer(
    "num_examples", None, "how many examples at most", flag_values=FLAGS, lower_bound=1
)
flags.DEFINE_integer(
    "fid_size",
    None,
    "of --fid_variant=jax_fid: resize images to so many pixels a side; else they keep "
    "their size",
    flag_values=FLAGS,
    lower_bound=1,
)
flags.DEFINE_integer("step", None, "of which checkpoint", flag_values=FLAGS)
flags.DEFINE_bool(
    "allow_random_features",
    False,
    "let --inception=random and --fcn8s=random pass; figures are then called "
    "random_fid, random_kid, random_iou",
    flag_values=FLAGS,
)
flags.DEFINE_bool("write", True, "append the row of figures", flag_values=FLAGS)
devices.define_flags(FLAGS)


def main(argv: Sequence[str]) -> None:
    """Evaluates, prints, and notes the figures."""
    overrides = command.parse(FLAGS, argv, __doc__)
    if bool(FLAGS.workdir) == bool(FLAGS.images_a):
        raise UserError(
            "give either --workdir, the run's directory, or --images_a, a folder; see "
            "jaxgan evaluate --help"
        )
    if FLAGS.workdir and FLAGS.images_b:
        raise UserError(
            "--images_b goes with --images_a; a run is held against its own data, or "
            "against --source"
        )
    if FLAGS.images_a and FLAGS.segmenter not in (None, "none"):
        raise UserError(
            "--segmenter goes with --workdir: a folder of photographs alone has no "
            "label maps to be held against"
        )
    given = {key: FLAGS[flag].value for flag, key in _KEYS.items()}
    if FLAGS.allow_random_features:
        given["evaluation.allow_random_features"] = True
    short = [f"--config.{k}={v}" for k, v in given.items() if v is not None]
    devices.prepare(FLAGS)

    from jaxgan.evaluation import rows

    path, workdir = FLAGS.output, os.path.expanduser(FLAGS.workdir or "")
    if not path and workdir:
        path = f"{workdir}/evaluation.jsonl"
    if not FLAGS.write:
        path = None
    if path and (FLAGS.output or os.path.isdir(workdir)):
        rows.require(path)  # refused now, not when all is computed
    with out_of_memory(
        "the device is out of memory: lower --config.evaluation.batch_size, or "
        "evaluate on the host with --device=cpu"
    ):
        about, figures = (_run if FLAGS.workdir else _folders)([*short, *overrides])
    print(rows.table(figures))
    if path:
        rows.append(path, {**about, **figures})


_Row = dict[str, Any]


def _run(overrides: Sequence[str]) -> tuple[_Row, _Row]:
    # After the devices are chosen: these import everything.
    from jaxgan.evaluation import protocols
    from jaxgan.training import runs, sharding

    own = runs.read_config(FLAGS.workdir)
    config = config_files.override(own, overrides)
    for key in ("name", "dtype", "system"):
        if config.get(key) != own.get(key):
            raise UserError(
                f"--config.{key} cannot be changed: a run keeps its own system; what "
                "can are data, evaluation, pretrained and seed"
            )
    protocols.require(config)
    step, system, variables, frozen = runs.load_with_step(
        FLAGS.workdir, FLAGS.weights, FLAGS.step
    )
    mesh = sharding.mesh_to_judge(config["devices"])
    figures = protocols.evaluate(
        system, variables, frozen, config, mesh, split=FLAGS.split
    )
    about = {
        "step": step,
        "split": FLAGS.split,
        "weights": FLAGS.weights,
        **protocols.provenance(config, FLAGS.split),
    }
    return about, figures


def _folders(overrides: Sequence[str]) -> tuple[_Row, _Row]:
    from jaxgan.evaluation import feature_network, folders, options
    from jaxgan.training import configs, sharding

    config = config_files.override(configs.with_defaults({}), overrides)
    chosen = options.Options.of(config["evaluation"])
    feature_network.require(chosen, config["pretrained"])
    network = feature_network.load(chosen, config["pretrained"])
    mesh = sharding.mesh_to_judge(config["devices"])
    figures = folders.compare_folders(
        FLAGS.images_a, FLAGS.images_b, chosen, network, mesh
    )
    about = {"images_a": FLAGS.images_a, "images_b": FLAGS.images_b}
    return about | feature_network.provenance(chosen, network), figures


if __name__ == "__main__":
    command.run(main, sys.argv)
