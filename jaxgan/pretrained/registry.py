"""Every frozen network: how it is built, which files hold it, what they expect.

No weights come with this library. Licences are those of the code that published the
files; what the data that the weights were trained on permits is another question.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from flax import linen as nn

from jaxgan.core.errors import one_of
from jaxgan.pretrained import alexnet, fcn, inception, lpips_heads, squeezenet, vgg
from jaxgan.pretrained.convert import Naming


@dataclass(frozen=True)
class KnownFile:
    """A published file, recognised by the beginning of a hash.

    Attributes:
        name: as published.
        convention: what its network expects as input.
        sha256: beginning of the hash, as far as it is published.
        md5: the same, for files that are published with an MD5.
        refused: why it must not be used, or empty.
    """

    name: str
    convention: str = ""
    sha256: str = ""
    md5: str = ""
    refused: str = ""


@dataclass(frozen=True)
class NetworkSpec:
    """One frozen network.

    Attributes:
        title: its name in messages.
        network: the part that is imported unless something else is asked for.
        full: the network with every head that files may hold.
        inputs: shapes of arguments that every part accepts.
        conventions: the input conventions that its files follow.
        files: the published files.
        accepted: the same in a few words.
        origin: who publishes them.
        licence: of the code and the weights.
        naming: how its files depart from the general rule of names.
        nonnegative: whether every published weight is at least 0.
    """

    title: str
    network: nn.Module
    full: nn.Module
    inputs: tuple[tuple[int, ...], ...]
    conventions: tuple[str, ...]
    files: tuple[KnownFile, ...]
    accepted: str
    origin: str
    licence: str
    naming: Naming
    nonnegative: bool = False


def _vgg(depth: int, files: tuple[KnownFile, ...], accepted: str) -> NetworkSpec:
    trunk, heads = {}, {}
    for theirs, ours in vgg.source_modules(depth).items():
        (trunk if "." in theirs else heads)[theirs] = ours
    return NetworkSpec(
        title=f"VGG-{depth}",
        network=vgg.VGG(depth=depth, taps=("pool5",)),
        full=vgg.VGG(depth=depth, taps=("logits",)),
        inputs=((1, 32, 32, 3),),
        # The original models were Caffe's; MatConvNet's copies expect RGB.
        conventions=("torchvision", "caffe", "caffe_rgb", "matconvnet"),
        files=files,
        accepted=accepted,
        origin=f"torchvision (vgg{depth}), Keras or the VGG group",
        licence="code BSD-3-Clause (torchvision), Apache-2.0 (Keras); the VGG group "
        "publishes its weights under CC BY 4.0",
        naming=Naming(torch=trunk, other=heads, flattened={"fc6": (512, 7, 7)}),
    )


_OLD_HEADS = "these are LPIPS heads v0.0, which lack the input scaling; take v0.1"


def _lpips(trunk: str, *files: KnownFile) -> NetworkSpec:
    heads = lpips_heads.LPIPSHeads()
    channels = lpips_heads.CHANNELS[trunk]
    return NetworkSpec(
        title=f"LPIPS heads ({trunk})",
        network=heads,
        full=heads,
        inputs=tuple((1, 1, 1, c) for c in channels),
        conventions=("torchvision",),
        files=files,
        accepted=f"{trunk}.pth of LPIPS v0.1",
        origin="the LPIPS authors (PerceptualSimilarity)",
        licence="BSD-2-Clause; StarGAN v2's copy is CC BY-NC 4.0",
        naming=Naming(torch=lpips_heads.torch_modules(len(channels))),
        nonnegative=True,
    )


NETWORKS: Mapping[str, NetworkSpec] = MappingProxyType(
    {
        "vgg16": _vgg(
            16,
            (
                KnownFile("vgg16-397923af.pth", "torchvision", sha256="397923af"),
                KnownFile(
                    "vgg16_features-amdegroot-88682ab5.pth",
                    "caffe_rgb",
                    sha256="88682ab5",
                ),
                KnownFile(
                    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
                    "caffe",
                    md5="6d6bbae143d832006294945121d1f1fc",
                ),
                KnownFile(
                    "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
                    "caffe",
                    md5="64373286793e3c8b2b4e3219cbf3544b",
                ),
            ),
            "vgg16-397923af.pth, vgg16 keras notop .h5",
        ),
        "vgg19": _vgg(
            19,
            (
                KnownFile("vgg19-dcbb9e9d.pth", "torchvision", sha256="dcbb9e9d"),
                KnownFile(
                    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
                    "caffe",
                    md5="253f8cb515780f3b799900260a226db6",
                ),
                KnownFile(
                    "vgg19_weights_tf_dim_ordering_tf_kernels.h5",
                    "caffe",
                    md5="cbe5617147190e668d6c5d5026f83318",
                ),
            ),
            "vgg19-dcbb9e9d.pth, vgg19 keras notop .h5",
        ),
        "inception_fid": NetworkSpec(
            title="Inception-v3 (FID)",
            network=inception.InceptionV3(taps=("logits",)),
            full=inception.InceptionV3(taps=("logits",)),
            inputs=((1, 75, 75, 3),),
            conventions=("inception",),
            files=(
                KnownFile(
                    "pt_inception-2015-12-05-6726825d.pth",
                    "inception",
                    sha256="6726825d",
                ),
            ),
            accepted="pt_inception-2015-12-05-6726825d.pth, "
            "weights-inception-2015-12-05-6726825d.pth, classify_image_graph_def.pb",
            origin="pytorch-fid, torch-fidelity or TensorFlow's inception-2015-12-05",
            licence="Apache-2.0",
            naming=Naming(other=inception.tensorflow_modules()),
        ),
        "inception_torchvision": NetworkSpec(
            title="Inception-v3 (torchvision)",
            network=inception.torchvision(taps=("logits",)),
            full=inception.torchvision(taps=("logits",)),
            inputs=((1, 75, 75, 3),),
            # Trained on [-1, 1]; StarGAN v2's FID feeds it ImageNet's normalisation.
            conventions=("torchvision", "inception"),
            files=(
                KnownFile(
                    "inception_v3_google-0cc3c7bd.pth",
                    "torchvision",
                    sha256="0cc3c7bd",
                ),
            ),
            accepted="inception_v3_google-0cc3c7bd.pth",
            origin="torchvision (inception_v3)",
            licence="code BSD-3-Clause (torchvision), weights Apache-2.0 (TensorFlow)",
            naming=Naming(ignored=(r"AuxLogits\..*",)),
        ),
        "alexnet": NetworkSpec(
            title="AlexNet",
            network=alexnet.AlexNet(taps=("relu5",)),
            full=alexnet.AlexNet(taps=("logits",)),
            inputs=((1, 64, 64, 3),),
            conventions=("torchvision",),
            files=(
                KnownFile("alexnet-owt-7be5be79.pth", "torchvision", sha256="7be5be79"),
            ),
            accepted="alexnet-owt-7be5be79.pth",
            origin="torchvision (alexnet)",
            licence="code BSD-3-Clause (torchvision)",
            naming=Naming(torch=alexnet.TORCH_MODULES, flattened={"fc6": (256, 6, 6)}),
        ),
        "squeezenet": NetworkSpec(
            title="SqueezeNet 1.1",
            network=squeezenet.SqueezeNet(taps=("fire9",)),
            full=squeezenet.SqueezeNet(taps=("fire9",)),
            inputs=((1, 64, 64, 3),),
            conventions=("torchvision",),
            files=(
                KnownFile(
                    "squeezenet1_1-b8a52dc0.pth", "torchvision", sha256="b8a52dc0"
                ),
            ),
            accepted="squeezenet1_1-b8a52dc0.pth",
            origin="torchvision (squeezenet1_1)",
            licence="code BSD-3-Clause (torchvision)",
            naming=Naming(torch=squeezenet.TORCH_MODULES, ignored=(r"classifier\..*",)),
        ),
        "fcn8s": NetworkSpec(
            title="FCN-8s (Cityscapes)",
            network=fcn.FCN8s(),
            full=fcn.FCN8s(),
            inputs=((1, 32, 32, 3),),
            conventions=("cityscapes",),
            files=(),  # published without a hash
            accepted="fcn-8s-cityscapes.caffemodel",
            origin="the pix2pix authors (phillipi/pix2pix, scripts/eval_cityscapes)",
            licence="code BSD (pix2pix); Cityscapes is for non-commercial use",
            naming=Naming(),
        ),
        "lpips_alex": _lpips(
            "alex",
            KnownFile(
                "alex.pth (v0.1)",
                "torchvision",
                sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
            ),
            KnownFile(
                "lpips_weights.ckpt",
                "torchvision",
                sha256="8b641b3c88a60383027f5e3d9b14d0e8687a1b09aeeb4950ec5951813954a36a",
            ),
            KnownFile("alex.pth (v0.0)", sha256="18720f55", refused=_OLD_HEADS),
        ),
        "lpips_vgg": _lpips(
            "vgg",
            KnownFile(
                "vgg.pth (v0.1)",
                "torchvision",
                sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
            ),
            KnownFile("vgg.pth (v0.0)", sha256="b9e42362", refused=_OLD_HEADS),
        ),
        "lpips_squeeze": _lpips(
            "squeeze",
            KnownFile(
                "squeeze.pth (v0.1)",
                "torchvision",
                sha256="4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
            ),
            KnownFile("squeeze.pth (v0.0)", sha256="c27abd3a", refused=_OLD_HEADS),
        ),
    }
)


def find(name: str) -> NetworkSpec:
    """Returns the entry of `name`.

    Raises:
        UserError: unknown name; the nearest known one is suggested.
    """
    return NETWORKS[one_of(name, NETWORKS, "pretrained network")]
