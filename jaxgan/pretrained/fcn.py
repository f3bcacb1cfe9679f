"""FCN-8s (Long et al., CVPR 2015) on VGG-16: the segmenter of the FCN score."""

from typing import Any

import jax
from flax import linen as nn
from jaxtyping import Array, Float

from jaxgan.core.update import at_least_float32
from jaxgan.pretrained.layers import ceil_max_pool

_BLOCKS = {64: 2, 128: 2, 256: 3, 512: 3}  # channels: convolutions; then 512 again
_PADDING = 100  # of the first convolution: any picture is large enough for fc6
# What Caffe's crops leave out at the top and the left, for the padding above.
_CROP_POOL4, _CROP_POOL3, _CROP_PICTURE = 5, 9, 31


class FCN8s(nn.Module):
    """VGG-16 as convolutions all through, its scores added up at three resolutions.

    `VGG-16 to pool5 (first conv pad 100, pools rounded up), 4096 k7, 4096, score;
    u2 + score of pool4, u2 + score of pool3, u8` with learned transposed convolutions
    that mix the classes. 134,473,084 parameters.

    Layers carry Caffe's names in the model of pix2pix' authors. Dropout behind fc6 and
    fc7 is for training and left out.

    Attributes:
        num_outputs: classes; the published model has 20, the last of which no label
            has.
        dtype: compute dtype; None follows the input.
        precision: of all convolutions.

    References:
        Fully Convolutional Networks for Semantic Segmentation, section 4.2; Isola et
        al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR
        2017, section 4.1, and their `deploy.prototxt`.
    """

    num_outputs: int = 20
    dtype: Any = None
    precision: jax.lax.Precision | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w 3"]
    ) -> dict[str, Float[Array, "b h w k"]]:
        """Maps pictures in the convention of the weights to `{"scores": [b, h, w, k]}`.

        Scores are logits of every pixel, float32.
        """
        options = {"dtype": self.dtype, "precision": self.precision}
        size, pools = x.shape[1:3], []

        def conv(x: Array, name: str, channels: int, k: int, padding: int) -> Array:
            return nn.Conv(channels, (k, k), padding=padding, name=name, **options)(x)

        def score(x: Array, name: str) -> Array:
            return conv(x, name, self.num_outputs, 1, 0)

        def larger(x: Array, name: str, stride: int) -> Array:
            return nn.ConvTranspose(
                self.num_outputs,
                (2 * stride, 2 * stride),
                (stride, stride),
                "VALID",
                use_bias=False,
                transpose_kernel=True,
                name=name,
                **options,
            )(x)

        def crop(x: Array, offset: int, size: tuple[int, ...]) -> Array:
            return x[:, offset : offset + size[0], offset : offset + size[1]]

        blocks = (*_BLOCKS.items(), (512, 3))
        for block, (channels, convs) in enumerate(blocks, start=1):
            for i in range(1, convs + 1):
                padding = _PADDING if (block, i) == (1, 1) else 1
                x = nn.relu(conv(x, f"conv{block}_{i}", channels, 3, padding))
            x = ceil_max_pool(x, 2, 2)
            pools.append(x)
        x = nn.relu(conv(x, "fc6_cs", 4096, 7, 0))
        x = nn.relu(conv(x, "fc7_cs", 4096, 1, 0))
        x = larger(score(x, "score_fr"), "upscore2", 2)
        for name, pool, offset, up, stride in (
            ("score_pool4", pools[3], _CROP_POOL4, "upscore_pool4", 2),
            ("score_pool3", pools[2], _CROP_POOL3, "upscore8", 8),
        ):
            x = x + crop(score(pool, name), offset, x.shape[1:3])
            x = larger(x, up, stride)
        return {"scores": at_least_float32(crop(x, _CROP_PICTURE, size))}
