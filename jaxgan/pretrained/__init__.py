"""Frozen networks behind losses and metrics, and the import of their weights.

Weights are files that users bring; see `registry` for what is accepted and
`jaxgan.import_weights` for the conversion.
"""

from jaxgan.pretrained.conventions import CONVENTIONS, normalize
from jaxgan.pretrained.fcn import FCN8s
from jaxgan.pretrained.features import Tap, extract
from jaxgan.pretrained.inception import InceptionV3
from jaxgan.pretrained.loading import (
    LoadedWeights,
    import_file,
    load_weights,
    require,
)
from jaxgan.pretrained.lpips import LPIPS, LPIPSWeights
from jaxgan.pretrained.probe import probe_image, probe_state_dict, probe_tensor
from jaxgan.pretrained.registry import NETWORKS, NetworkSpec
from jaxgan.pretrained.vgg import VGG

__all__ = [
    "CONVENTIONS",
    "FCN8s",
    "InceptionV3",
    "LPIPS",
    "LPIPSWeights",
    "LoadedWeights",
    "NETWORKS",
    "NetworkSpec",
    "Tap",
    "VGG",
    "extract",
    "import_file",
    "load_weights",
    "normalize",
    "probe_image",
    "probe_state_dict",
    "probe_tensor",
    "require",
]
