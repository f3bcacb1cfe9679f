"""Explicit state, players, updates and declarations: what every system is made of."""

from jaxgan.core.checks import check_fields, check_size
from jaxgan.core.dtypes import CHOICES as DTYPES
from jaxgan.core.dtypes import compute_dtype
from jaxgan.core.ema import ema_update
from jaxgan.core.errors import UserError, did_you_mean, one_of, out_of_memory
from jaxgan.core.latent import (
    PATHS,
    PRIORS,
    draw_latent,
    interpolate_latent,
    project_latent,
)
from jaxgan.core.latent_search import LatentSearch, optimize_latent
from jaxgan.core.mode import (
    Choice,
    Float,
    Image,
    Int,
    Labels,
    Latent,
    Mask,
    Mode,
    Set,
    Values,
    Voxels,
    check_modes,
)
from jaxgan.core.network import forward, named, predict
from jaxgan.core.player import Player, adam, linear_decay, player, scaled
from jaxgan.core.pool import ImagePool
from jaxgan.core.remat import REMAT, rematerialized
from jaxgan.core.state import TrainState, fold_name, initialize
from jaxgan.core.system import (
    ArraySpec,
    Frozen,
    Pretrained,
    Stage,
    System,
    check_batch,
)
from jaxgan.core.update import (
    Fixed,
    Out,
    apply_gradients,
    at_least_float32,
    global_norm,
    update,
)
from jaxgan.core.weights import interpolate_weights

__all__ = [
    "DTYPES",
    "PATHS",
    "PRIORS",
    "REMAT",
    "ArraySpec",
    "Choice",
    "Fixed",
    "Float",
    "Frozen",
    "Image",
    "ImagePool",
    "Int",
    "Labels",
    "Latent",
    "LatentSearch",
    "Mask",
    "Mode",
    "Out",
    "Player",
    "Pretrained",
    "Set",
    "Stage",
    "System",
    "TrainState",
    "UserError",
    "Values",
    "Voxels",
    "adam",
    "apply_gradients",
    "at_least_float32",
    "check_batch",
    "check_fields",
    "check_modes",
    "check_size",
    "compute_dtype",
    "did_you_mean",
    "draw_latent",
    "ema_update",
    "fold_name",
    "forward",
    "global_norm",
    "initialize",
    "interpolate_latent",
    "interpolate_weights",
    "linear_decay",
    "named",
    "one_of",
    "out_of_memory",
    "optimize_latent",
    "player",
    "predict",
    "project_latent",
    "rematerialized",
    "scaled",
    "update",
]
