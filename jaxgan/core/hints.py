"""Whether a value is of the type that an annotation names."""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any


def fits(value: Any, hint: Any) -> bool:
    """Whether `value` is of the type of a field.

    Args:
      value: any.
      hint: a class, literals, a tuple, sequence or mapping of such, or a union of
        those. A whole number is a float too; a bool is no number, a word no sequence of
        words.
    """
    kind, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if kind in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in arguments)
    if kind is typing.Literal:
        return value in arguments
    if kind is tuple:
        return isinstance(value, tuple) and _all_fit(value, arguments)
    if kind is collections.abc.Sequence:
        return isinstance(value, list | tuple) and _all_fit(value, (*arguments, ...))
    if kind is collections.abc.Mapping:
        return isinstance(value, Mapping)
    if hint is None:
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _all_fit(values: Sequence[Any], hints: tuple[Any, ...]) -> bool:
    if hints[-1] is Ellipsis:
        return all(fits(value, hints[0]) for value in values)
    return len(values) == len(hints) and all(map(fits, values, hints))
