"""Segmentation scores from one confusion matrix over a whole split.

H[t, p] counts pixels of true class t predicted as p; pixels whose label is outside
0..n-1 (255 by custom) count nowhere. A last column takes predictions outside 0..n-1:
they are wrong, and belong to no class.

    pixel accuracy = tr H / sum H
    class accuracy = mean_t H_tt / row_t
    IoU            = mean_t H_tt / (row_t + column_t - H_tt)

References:
    Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation",
    2015, section 5; Isola et al., "Image-to-Image Translation with Conditional
    Adversarial Networks", 2017, section 4.1 (FCN score).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, Shaped, UInt8

from jaxgan.core.errors import one_of
from jaxgan.evaluation.images import AnyArray, AnyImage, levels

IGNORED = 255

# Colours of the 19 evaluated Cityscapes classes in the order of their train ids.
CITYSCAPES_PALETTE = np.array(
    [
        (128, 64, 128),  # road
        (244, 35, 232),  # sidewalk
        (70, 70, 70),  # building
        (102, 102, 156),  # wall
        (190, 153, 153),  # fence
        (153, 153, 153),  # pole
        (250, 170, 30),  # traffic light
        (220, 220, 0),  # traffic sign
        (107, 142, 35),  # vegetation
        (152, 251, 152),  # terrain
        (70, 130, 180),  # sky
        (220, 20, 60),  # person
        (255, 0, 0),  # rider
        (0, 0, 142),  # car
        (0, 0, 70),  # truck
        (0, 60, 100),  # bus
        (0, 80, 100),  # train
        (0, 0, 230),  # motorcycle
        (119, 11, 32),  # bicycle
    ],
    np.uint8,
)

# The same classes as the numbers that Cityscapes' `labelIds` files store.
CITYSCAPES_LABEL_IDS = (
    *(7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33),
)

# Those of the regions that are not evaluated; poles in groups and license plates, not
# evaluated either, cannot be told from poles and cars by their colour.
CITYSCAPES_IGNORED = np.array(
    [
        (0, 0, 0),  # unlabelled, static, the car with the camera
        (111, 74, 0),  # dynamic
        (81, 0, 81),  # ground
        (250, 170, 160),  # parking
        (230, 150, 140),  # rail track
        (180, 165, 180),  # guard rail
        (150, 100, 100),  # bridge
        (150, 120, 90),  # tunnel
        (0, 0, 90),  # caravan
        (0, 0, 110),  # trailer
    ],
    np.uint8,
)


def cityscapes_train_ids(
    label_ids: UInt8[np.ndarray, "*n"],
) -> UInt8[np.ndarray, "*n"]:
    """Train ids 0..18 of Cityscapes' label ids; `IGNORED` for all other numbers."""
    table = np.full(256, IGNORED, np.uint8)
    table[list(CITYSCAPES_LABEL_IDS)] = np.arange(len(CITYSCAPES_LABEL_IDS))
    return table[label_ids]


def empty(num_classes: int) -> Int[np.ndarray, "k k+1"]:
    """The confusion matrix before the first batch."""
    return np.zeros((num_classes, num_classes + 1), np.int64)


@partial(jax.jit, static_argnames="num_classes")
def confusion(
    labels: Integer[AnyArray, "b ..."],
    predictions: Integer[AnyArray, "b ..."],
    weight: Shaped[AnyArray, " b"] | None = None,
    *,
    num_classes: int,
) -> Int[Array, "k k+1"]:
    """Confusion counts of one batch.

    Args:
        labels: true classes; outside 0..num_classes-1 = ignored.
        predictions: predicted classes; outside = wrong, in the last column.
        weight: 1 for images that count, 0 for padding; None counts all.
        num_classes: number of classes.
    """
    labels = jnp.asarray(labels, jnp.int32)
    predictions = jnp.asarray(predictions, jnp.int32)
    known = (predictions >= 0) & (predictions < num_classes)
    predictions = jnp.where(known, predictions, num_classes)
    counted = (labels >= 0) & (labels < num_classes)
    if weight is not None:
        shape = (-1,) + (1,) * (labels.ndim - 1)
        counted &= (jnp.asarray(weight) > 0).reshape(shape)
    cells = num_classes * (num_classes + 1)
    cell = jnp.where(counted, labels * (num_classes + 1) + predictions, cells)
    counts = jax.ops.segment_sum(
        jnp.ones(cell.size, jnp.int32), cell.reshape(-1), cells + 1
    )
    return counts[:-1].reshape(num_classes, num_classes + 1)


def update(
    acc: Int[np.ndarray, "k k+1"],
    labels: Integer[AnyArray, "b ..."],
    predictions: Integer[AnyArray, "b ..."],
    weight: Shaped[AnyArray, " b"] | None = None,
) -> Int[np.ndarray, "k k+1"]:
    """Adds one batch: int32 on the device, int64 on the host. See `confusion`."""
    counts = confusion(labels, predictions, weight, num_classes=len(acc))
    return merge(acc, np.asarray(counts, np.int64))


def merge(
    a: Int[np.ndarray, "k k+1"], b: Int[np.ndarray, "k k+1"]
) -> Int[np.ndarray, "k k+1"]:
    """The union of two confusion matrices."""
    return a + b


def class_scores(
    acc: Int[np.ndarray, "k k+1"],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Accuracy and IoU of every class, 0 for a class that never occurs."""
    correct = np.diagonal(acc).astype(np.float64)
    row = acc.sum(axis=1)
    column = acc[:, :-1].sum(axis=0)
    return correct / (row + 1e-12), correct / (row + column - correct + 1e-12)


def result(acc: Int[np.ndarray, "k k+1"], *, absent: str = "zero") -> dict[str, float]:
    """Pixel accuracy, class accuracy and mean IoU, in [0, 1].

    Args:
        acc: confusion counts.
        absent: what a class without a labelled pixel does to the two means: `zero`
            counts it as 0, as the official script does; `skip` leaves it out.

    Returns:
        `{pixel_accuracy, class_accuracy, iou, out_of_range (share of counted pixels
        whose prediction is no class), num_pixels}`.
    """
    one_of(absent, ("zero", "skip"), "absent")
    total = int(acc.sum())
    accuracy, iou = class_scores(acc)
    present = acc.sum(axis=1) > 0
    if absent == "skip" and present.any():
        accuracy, iou = accuracy[present], iou[present]
    return {
        "pixel_accuracy": float(np.trace(acc) / (total + 1e-12)),
        "class_accuracy": float(accuracy.mean()),
        "iou": float(iou.mean()),
        "out_of_range": float(acc[:, -1].sum() / (total + 1e-12)),
        "num_pixels": total,
    }


@jax.jit
def nearest_palette(
    images: AnyImage,
    palette: UInt8[AnyArray, "k 3"],
    ignored: UInt8[AnyArray, "j 3"] | None = None,
) -> Int[Array, "b h w"]:
    """Labels of a colour-coded picture: the nearest palette colour, L2 in RGB.

    Args:
        images: RGB, uint8 or float in [-1, 1].
        palette: the colour of every class; ties go to the lower class.
        ignored: colours (of unlabelled regions) whose pixels become 255.

    Returns:
        Class ids; `IGNORED` for pixels nearest to an ignored colour.
    """
    colours = palette if ignored is None else jnp.concatenate([palette, ignored])
    pixels = levels(images)
    # One colour at a time: [b, h, w, k, 3] would not fit for large pictures.
    distances = jax.lax.map(
        lambda colour: jnp.sum(jnp.square(pixels - colour), axis=-1),
        jnp.asarray(colours, jnp.float32)[:, None, None, None, :],
    )
    nearest = jnp.argmin(distances, axis=0)
    return jnp.where(nearest < len(palette), nearest, IGNORED)
