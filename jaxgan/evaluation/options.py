"""The keys of a config's `evaluation` section."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from jaxgan.core.errors import UserError, did_you_mean, one_of
from jaxgan.evaluation.fid import OWN_SIZE, VARIANTS

FEATURES = {"inception": "inception_fid"}  # a choice: the pretrained network's name
LPIPS_TRUNKS = ("alex", "vgg", "squeeze")

SEGMENTERS = {"fcn8s": (1024, 2048)}  # pretrained networks: the size they read

MASKS = ("center", "pattern", "random", "half", "left", "grid")  # something is missing


@dataclasses.dataclass(frozen=True)
class Options:
    """What is judged, and how. A config states what departs from these defaults.

    Attributes:
      num_examples: examples of the split at most, spread evenly over it; 0 is all.
      batch_size: images that are processed together; never changes a figure.
      source: judge on this `data.source` instead of the run's data: on its test split,
        or on all of it if it has none (single images and voxels only).
      features: `inception` adds FID and KID, and Inception scores of generators that
        draw images; its weights are `pretrained.inception_fid`.
      fid_variant: the preprocessing in front of the feature network, a key of
        `jaxgan.evaluation.fid.VARIANTS`; None is `clean`, and refuses a `reference`
        that states no variant. `jax_fid` is for repeating figures made by jax-fid.
      fid_size: of `jax_fid`: so many pixels a side that images are resized to, 75 or
        more; 0 leaves them as large as they are. It ends the figures' names.
      reference: FID against the statistics in this .npz instead of the data's images.
      write_reference: keep the statistics of the reference images in this .npz.
      allow_random_features: accept `pretrained.inception_fid=random`; its figures are
        called `random_...`. So with the weights of LPIPS.
      lpips: of super-resolution: `alex`, `vgg` or `squeeze` adds LPIPS; its weights are
        `pretrained.alexnet`, `vgg16` or `squeezenet`, and `pretrained.lpips_<name>`.
      bootstrap: 95 % intervals of means over images or shapes, from so many resamples
        of these (1000 in published tables); 0 leaves them out.
      num_samples: images or shapes that a generator draws; 0 is as many as there are
        examples to judge on.
      num_training: training examples at most, for references and neighbours.
      num_probe: labelled training examples for the linear probe; 0 leaves it out.
      probe_per_class: fit the probe to so many of them a class, drawn at random; 0 is
        to all of them.
      probe_draws: such draws; figures are means over them.
      sampling: of pix2pix: `paper`, `eval` or `deterministic`.
      paired: in unpaired translation, example i shows one scene in both domains.
      palette: the classes' colours `((r, g, b), ...)` in pictures of label maps, or
        `cityscapes`, or `data` for maps that `data.palette_a` or `palette_b` colours.
      ignored_colours: colours of unlabelled regions.
      labels_in: the domain that shows label maps: `a` or `b` of the batch, or
        `stored_a` or `stored_b`, which follow `data.direction`.
      segmenter: `fcn8s` reads photographs made of label maps, for the FCN score of
        Cityscapes; its weights are `pretrained.fcn8s`.
      label_maps: what the segmenter's classes are held against: `folder:` or `zip:` of
        PNGs of class numbers at full size, named as the examples (of Cityscapes the
        `labelIds` or `labelTrainIds`). None takes the field `segmentation_label` of the
        data where it has one, and else reads the label pictures by their colours.
      crops: super-resolution of crops of `data.image_size` instead of whole images.
      masks: kinds of holes, a tuple or words with commas between; see `MASKS`.
    """

    num_examples: int = 0
    batch_size: int = 16
    source: str | None = None
    features: str = "none"
    fid_variant: str | None = None
    fid_size: int = 0
    reference: str | None = None
    write_reference: str | None = None
    allow_random_features: bool = False
    lpips: str = "none"
    bootstrap: int = 0
    num_samples: int = 0
    num_training: int = 10_000
    num_probe: int = 1000
    probe_per_class: int = 0
    probe_draws: int = 10
    sampling: str = "paper"
    paired: bool = False
    palette: str | Sequence[Sequence[int]] | None = None
    ignored_colours: Sequence[Sequence[int]] = ()
    labels_in: str = "b"
    segmenter: str = "none"
    label_maps: str | None = None
    crops: bool = False
    masks: Sequence[str] | str = ("center", "pattern", "random", "half")

    def __post_init__(self):
        one_of(self.features, ("none", *FEATURES), "evaluation.features")
        one_of(self.lpips, ("none", *LPIPS_TRUNKS), "evaluation.lpips")
        if self.fid_variant is not None:
            one_of(self.fid_variant, VARIANTS, "evaluation.fid_variant")
        domains = ("a", "b", "stored_a", "stored_b")
        one_of(self.labels_in, domains, "evaluation.labels_in")
        one_of(self.segmenter, ("none", *SEGMENTERS), "evaluation.segmenter")
        if self.segmenter != "none" and self.palette != "cityscapes":
            raise UserError(
                f"evaluation.segmenter={self.segmenter} knows the classes of "
                "Cityscapes: set evaluation.palette=cityscapes"
            )
        if isinstance(self.masks, str):  # from the command line
            object.__setattr__(self, "masks", tuple(self.masks.split(",")))
        for kind in self.masks:
            one_of(kind, MASKS, "evaluation.masks")
        if self.batch_size < 1:
            raise UserError(f"evaluation.batch_size is {self.batch_size}: at least 1")
        least = dict.fromkeys(
            ("num_examples", "num_samples", "num_probe", "probe_per_class", "fid_size"),
            0,
        )
        least |= {"num_training": 2, "probe_draws": 1, "bootstrap": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise UserError(
                    f"evaluation.{name} is {getattr(self, name)}: at least {low}"
                )
        if self.fid_size and self.fid_variant != OWN_SIZE:
            raise UserError(
                f"evaluation.fid_size = {self.fid_size} is for evaluation.fid_variant="
                f"{OWN_SIZE}: the other variants resize to 299x299"
            )
        if self.features == "none" and (self.reference or self.write_reference):
            raise UserError(
                "reference statistics are those of a feature network: set "
                "evaluation.features=inception"
            )

    def label_domain(self, data: Mapping[str, Any], *, stored: bool = False) -> str:
        """The domain that shows label maps.

        Args:
          data: the section `data`, whose `direction` may exchange the two.
          stored: as the source has it, before that exchange.

        Returns:
          `a` or `b`.
        """
        domain = self.labels_in[-1]
        is_swapped = data.get("direction") == "BtoA"
        if is_swapped and self.labels_in.startswith("stored_") != stored:
            return "ab".replace(domain, "")
        return domain

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Options:
        """The options of a config's section; None is the default.

        Raises:
          UserError: for an unknown key, with the nearest one, or an impossible value.
        """
        known = [f.name for f in dataclasses.fields(cls)]
        for key in section:
            if key not in known:
                raise UserError(
                    f"unknown config key 'evaluation.{key}'{did_you_mean(key, known)}; "
                    f"known: {', '.join(known)}"
                )
        return cls(**{k: v for k, v in section.items() if v is not None})
