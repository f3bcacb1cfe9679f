"""Pure array functions that know nothing of networks."""

from jaxgan.ops.conv_transpose import conv_transpose

__all__ = ["conv_transpose"]
