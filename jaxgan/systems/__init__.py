"""The systems: one published method a file, read from top to bottom."""

from jaxgan.systems.registry import SYSTEMS, get

__all__ = ["SYSTEMS", "get"]
