"""How fast FID is: features on the device, the Frechet step on the host.

    python -m benchmarks.evaluation_speed --device=cpu --output=rows.md

The feature network has random weights, which cost what published ones do. Images are
uint8 and go through `evaluation.features.collect` whole: host to device, the resize of
the FID variant, the network, back. The Frechet step is two eigenproblems in float64;
metrics of 2,048 dimensions should have it in 5 s. See README.md beside this file.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from absl import flags

from benchmarks import report
from jaxgan import command, devices
from jaxgan.evaluation import feature_network, features, fid, frechet
from jaxgan.evaluation.options import Options

FLAGS = flags.FlagValues()
flags.DEFINE_list("batch_size", ["64", "256"], "a row for each", flag_values=FLAGS)
flags.DEFINE_integer("size", 256, "side of the images", 8, flag_values=FLAGS)
flags.DEFINE_integer("batches", 2, "timed batches a row", 1, flag_values=FLAGS)
flags.DEFINE_integer("dimension", 2048, "of the Frechet step", 2, flag_values=FLAGS)
flags.DEFINE_integer("repetitions", 3, "of the Frechet step", 1, flag_values=FLAGS)
flags.DEFINE_enum(
    "fid_variant", "clean", sorted(fid.VARIANTS), "the resize", flag_values=FLAGS
)
flags.DEFINE_string("output", None, report.OUTPUT_HELP, flag_values=FLAGS)
devices.define_flags(FLAGS)


def main(argv: Sequence[str]) -> int:
    """Measures row by row; prints the page at the end."""
    command.parse(FLAGS, argv, __doc__)
    devices.prepare(FLAGS)
    name = report.command("evaluation_speed", argv)
    rows = report.Report(FLAGS.output, lambda rows: page(rows, name))
    for batch_size in map(int, FLAGS.batch_size):
        rows.add(inception(batch_size, FLAGS.size, FLAGS.batches, FLAGS.fid_variant))
    rows.add(frechet_step(FLAGS.dimension, FLAGS.repetitions))
    rows.close()
    return 0


def inception(
    batch_size: int, size: int, batches: int, fid_variant: str = "clean"
) -> dict[str, Any]:
    """A row: images/s of the 2,048 features that FID compares.

    Args:
      batch_size: images a compiled call.
      size: side of the images.
      batches: how many are timed, after one that compiles.
      fid_variant: the resize in front of the network.
    """
    about = report.machine()
    loaded = feature_network.load(
        Options(
            features="inception", allow_random_features=True, fid_variant=fid_variant
        ),
        {"inception_fid": "random"},
    )
    assert loaded
    images = np.random.default_rng(0).integers(
        0, 256, (batch_size, size, size, 3), np.uint8
    )

    def run(repeats: int) -> None:
        stream: Iterator[np.ndarray] = (images for _ in range(repeats))
        features.collect(loaded.network, loaded.params, stream, batch_size=batch_size)

    run(1)
    seconds = _seconds(lambda: run(batches))
    return about | {
        "what": f"Inception features of {size} px, resize {fid_variant}",
        "batch_size": batch_size,
        "seconds": seconds,
        "images_per_second": batches * batch_size / seconds,
    }


def frechet_step(dimension: int, repetitions: int) -> dict[str, Any]:
    """A row: seconds of one Frechet distance between two covariances of full rank.

    Args:
      dimension: of the features.
      repetitions: the median of so many counts.
    """
    about = report.machine()
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2, 2 * dimension, dimension)) * rng.gamma(
        1.0, size=dimension
    )
    one, other = (frechet.from_features(part) for part in rows)
    return about | {
        "what": f"Frechet distance, {dimension} dimensions, on the host",
        "seconds": statistics.median(
            _seconds(lambda: frechet.distance(one, other)) for _ in range(repetitions)
        ),
    }


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def page(rows: Sequence[report.Row], name: str) -> str:
    """The rows as Markdown."""
    lines = [
        (
            row["what"],
            str(row.get("batch_size", "-")),
            report.number(row["seconds"]),
            report.number(row.get("images_per_second")),
        )
        for row in rows
    ]
    head = ("what", "batch", "seconds", "images/s")
    title = "# Speed of FID"
    return "\n\n".join([title, report.about(rows, name), report.table(head, lines)])


if __name__ == "__main__":
    command.run(main, sys.argv)
