"""The arrays that an exported mode takes: shapes with named sizes, ranges."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.export

from jaxgan import core
from jaxgan.core.errors import UserError
from jaxgan.inference.declared import item_of

Size = int | str  # a number, or an expression such as `4*h`


@dataclasses.dataclass(frozen=True)
class Argument:
    """An array that the program takes.

    Attributes:
      shape: numbers, names, and products such as `4*h`.
      dtype: of the array.
      low: least value; None is unbounded.
      high: greatest value; None is unbounded.
      help: what it is.
    """

    shape: tuple[Size, ...]
    dtype: str = "float32"
    low: float | int | None = None
    high: float | int | None = None
    help: str = ""

    def names(self) -> set[str]:
        """The named sizes."""
        return {_parts(size)[1] for size in self.shape if isinstance(size, str)}

    def fixed(self, sizes: Mapping[str, int]) -> jax.ShapeDtypeStruct:
        """The array's form where the named sizes have these values."""
        shape = tuple(
            size if isinstance(size, int) else _parts(size)[0] * sizes[_parts(size)[1]]
            for size in self.shape
        )
        return jax.ShapeDtypeStruct(shape, self.dtype)

    def open(self, scope: jax.export.SymbolicScope) -> jax.ShapeDtypeStruct:
        """The array's form, named sizes as symbols."""
        text = ", ".join(map(str, self.shape))
        shape = jax.export.symbolic_shape(text, scope=scope) if self.shape else ()
        return jax.ShapeDtypeStruct(tuple(shape), self.dtype)


def _parts(expression: str) -> tuple[int, str]:
    """`4*h` as (4, "h")."""
    *factors, name = expression.split("*")
    return math.prod(map(int, factors)), name


def least(arguments: Iterable[Argument], side: int) -> dict[str, int]:
    """The least value of each named size; `side` is that of pictures in pixels."""
    found: dict[str, int] = {}
    for argument in arguments:
        for size in argument.shape:
            if isinstance(size, str):
                factor, name = _parts(size)
                spatial = name[0] in "hw"
                found[name] = max(1, -(-side // factor)) if spatial else 1
    return found


def of_mode(
    mode: core.Mode,
    static: Mapping[str, Any],
    *,
    size: tuple[int, int] | None = None,
    batch_size: int | None = None,
    separate: bool = True,
) -> dict[str, Argument]:
    """The arrays that an exported mode takes, `key` among them.

    Args:
      mode: its declaration.
      static: values of `Int` and `Choice`, and the number of members of each `Set`.
      size: height and width of pictures of any size; None leaves them open.
      batch_size: None leaves it open.
      separate: whether every example has a random key of its own.

    Raises:
      UserError: if the network cannot take `size`.
    """
    batch = batch_size or "b"
    found: dict[str, Argument] = {}
    picture: tuple[Size, Size] = ("h", "w")  # of the first, and so of masks
    first = True
    for name, declared in mode.inputs.items():
        item = item_of(declared)
        match item:
            case core.Image():
                own = item.size or _open_size(name, item, size, first)
                picture, first = (own if first else picture), False
                made = Argument((*own, item.channels), low=-1, high=1)
            case core.Mask():
                own = item.size or picture
                made = Argument((*own, 1), low=0, high=1, help="1 is missing")
            case core.Voxels():
                made = Argument((item.resolution,) * 3 + (1,), low=0, high=1)
            case core.Latent():
                made = Argument((item.size,), help=f"from the prior {item.prior!r}")
            case core.Labels():
                made = Argument((), "int32", 0, item.count - 1)
            case core.Values():
                sizes = enumerate(item.shape)
                made = Argument(tuple(n if n > 0 else f"n{i}_{name}" for i, n in sizes))
            case core.Float():
                low, high = (
                    bound if math.isfinite(bound) else None
                    for bound in (item.low, item.high)
                )
                found[name] = Argument((), "float32", low, high, item.help)
                continue
            case _:
                continue
        several = (static[name],) if isinstance(declared, core.Set) else ()
        found[name] = dataclasses.replace(
            made,
            shape=(batch, *several, *made.shape),
            help=declared.help or item.help or made.help,
        )
    if separate:
        about, lead = "raw random keys, one an example", (batch,)
    else:
        about, lead = "a raw random key", ()
    found["key"] = Argument((*lead, 2), "uint32", 0, 2**32 - 1, about)
    return found


def _open_size(
    name: str, declared: core.Image, size: tuple[int, int] | None, first: bool
) -> tuple[Size, Size]:
    multiple = declared.multiple_of
    if size is None:
        names = ("h", "w") if first else (f"h_{name}", f"w_{name}")
        height, width = (n if multiple == 1 else f"{multiple}*{n}" for n in names)
        return height, width
    if any(n % multiple for n in size):
        raise UserError(
            f"--size={size[0]}x{size[1]}: {name} takes sides that are multiples of "
            f"{multiple}"
        )
    return size


def to_json(arguments: Mapping[str, Argument]) -> dict[str, Any]:
    """As `signature.json` states them."""
    return {
        name: {k: v for k, v in dataclasses.asdict(a).items() if v not in (None, "")}
        for name, a in arguments.items()
    }
