"""Synthesis cut in two, for callers that hold the first rows of `ws` still: what the head makes is kept."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from exporter.networks.deploy.common import Activations, DeploySynthesis, to_pixels


class DeployHead(nn.Module):
    """The layers before the cut: styles [N, K, w_dim], noise, transform -> activations."""

    def __init__(self, part: DeploySynthesis) -> None:
        super().__init__()
        self.part = part

    def activations(
        self, styles: Tensor, noise: Sequence[Tensor] = (), transform: Tensor | None = None
    ) -> dict[str, Tensor]:
        """What crosses the cut, by name: `x`, and `rgb` and `shortcut` where there are."""
        return self.part.through(None, styles, noise, transform).named()

    def forward(self, styles: Tensor, noise: tuple[Tensor, ...], transform: Tensor | None = None) -> tuple[Tensor, ...]:
        """The graph's outputs."""
        return tuple(self.activations(styles, noise, transform).values())


class DeployTail(nn.Module):
    """The layers after the cut: activations, `names` of which there are, styles [N, K, w_dim], noise -> image, pixels.

    Activations are one for all images, or one for each.
    """

    def __init__(self, part: DeploySynthesis, names: Sequence[str]) -> None:
        super().__init__()
        self.part = part
        self.names = tuple(names)

    def forward(
        self, activations: tuple[Tensor, ...], styles: Tensor, noise: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        """The graph's outputs: `image` and `pixels`."""
        at = Activations(**dict(zip(self.names, activations)))
        image = self.part.finish(self.part.through(at, styles, noise))
        return image, to_pixels(image)
