"""What a system asks of its own fields, said in one line that names the field."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection
from typing import Any

from jaxgan.core.errors import UserError

FARTHEST = 4096  # how far from a size that does not fit one that does is looked for


def check_fields(
    system: Any,
    *,
    positive: Collection[str] = (),
    shares: Collection[str] = (),
    below_one: Collection[str] = (),
) -> None:
    """Refuses impossible numbers among the fields of a system; for `__post_init__`.

    All numbers, also those in tuples, must be finite and at least 0.

    Args:
      system: a dataclass.
      positive: fields that must be above 0, such as sizes and widths.
      shares: fields that may not be above 1, such as thresholds of an accuracy.
      below_one: fields that must be below 1, such as Adam's decay rates.

    Raises:
      UserError: naming the field, its value and what it must be.
    """
    for field in dataclasses.fields(system):
        value = getattr(system, field.name)
        for number in value if isinstance(value, tuple) else (value,):
            if not isinstance(number, int | float):
                continue
            low = field.name in positive and number == 0
            high = field.name in shares and number > 1
            high |= field.name in below_one and number >= 1
            if low or high or number < 0 or not math.isfinite(number):
                wanted = "above 0" if field.name in positive else "at least 0"
                wanted += " and at most 1" if field.name in shares else ""
                wanted += " and below 1" if field.name in below_one else ""
                wanted += "" if math.isfinite(number) else ", and finite"
                raise UserError(
                    f"system.{field.name} = {value!r} is impossible: it must be "
                    f"{wanted}"
                )


def check_size(
    size: int, takes: Callable[[int], bool], why: str, field: str = "image_size"
) -> None:
    """Refuses a size that the networks cannot take, and names the nearest they can.

    Args:
      size: the side of the pictures.
      takes: whether the networks can take a size.
      why: what they need, for the message.
      field: of the system, whose value `size` is.

    Raises:
      UserError: with the nearest sizes below and above.
    """
    if takes(size):
        return
    below = range(size - 1, max(0, size - FARTHEST), -1)
    above = range(size + 1, size + FARTHEST)
    near = [next((n for n in side if takes(n)), None) for side in (below, above)]
    choices = " or ".join(str(n) for n in near if n) or "another size"
    raise UserError(
        f"system.{field} = {size} does not fit the networks ({why}): choose "
        f"{choices}, and the same for data.image_size"
    )
