"""Pretrained weights that figures rest on: found before anything is judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxgan.core.errors import UserError
from jaxgan.evaluation.options import Options
from jaxgan.pretrained import loading


@dataclasses.dataclass(frozen=True)
class Needed:
    """What some figures need of the section `pretrained`.

    Attributes:
      figures: their name, for messages.
      networks: `{name in the registry: module, or None for the registry's own}`.
      random: what is said of random weights, and how their figures are called.
    """

    figures: str
    networks: Mapping[str, Any]
    random: str

    def sources(self, options: Options, pretrained: Mapping[str, Any]) -> list[Any]:
        """Where each network's weights lie: a file, "random", or None.

        Raises:
          UserError: if weights are random without leave.
        """
        for name in self.networks:
            random = pretrained.get(name) == loading.RANDOM
            if random and not options.allow_random_features:
                raise UserError(f"pretrained.{name}=random: {self.random}")
        return [pretrained.get(name) for name in self.networks]

    def require(self, options: Options, pretrained: Mapping[str, Any]) -> None:
        """Makes sure that all can be loaded, without loading them.

        Raises:
          UserError: as `sources`, and if weights are missing or damaged.
        """
        sources = self.sources(options, pretrained)
        try:
            for (name, network), source in zip(
                self.networks.items(), sources, strict=True
            ):
                loading.require(name, source, network=network)
        except UserError as error:
            raise UserError(f"{self.figures}: {error}") from error
