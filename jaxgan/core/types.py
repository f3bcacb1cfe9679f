"""Shape aliases.

Axes: `b` batch, `h w` image, `d h w` voxels, `c` channels, `z` latent, `k` classes or
attributes, `n` samples, `p` pool; `*b` stands for any leading axes.
"""

from typing import Any, TypeAlias

from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped, UInt8, UInt32

Image: TypeAlias = Float[Array, "b h w c"]  # [-1, 1] unless a docstring says otherwise
Rgb: TypeAlias = Float[Array, "b h w 3"]
RawImage: TypeAlias = UInt8[Array, "b h w c"]  # 0..255
HoleMask: TypeAlias = Float[Array, "b h w 1"]  # 1 = missing, 0 = known
Voxels: TypeAlias = Float[Array, "b d h w 1"]  # occupancy in [0, 1]
Latent: TypeAlias = Float[Array, "b z"]
Logits: TypeAlias = Float[Array, "*b"]  # before the sigmoid
Labels: TypeAlias = Int[Array, " b"]
Scalar: TypeAlias = Float[Array, ""]
Key: TypeAlias = PRNGKeyArray | UInt32[Array, " 2"]  # one JAX random key
Batch: TypeAlias = dict[str, Shaped[Array, "b ..."]]
Params: TypeAlias = Any  # a pytree of parameters
Metrics: TypeAlias = dict[str, Scalar]
