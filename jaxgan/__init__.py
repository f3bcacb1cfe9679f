"""Generative adversarial networks in JAX."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """`jaxgan.load`, imported when it is first used: `import jaxgan` stays light."""
    if name == "load":
        from jaxgan.training.runs import load

        return load
    raise AttributeError(f"module 'jaxgan' has no attribute {name!r}")
