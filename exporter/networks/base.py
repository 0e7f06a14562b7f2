"""What every generation's reference network offers, and what they share."""

from __future__ import annotations

from collections.abc import Mapping as Weights
from typing import Any

import torch
from torch import Tensor, nn

from exporter.networks.mapping import Mapping
from runtime.errors import InputError
from runtime.noise import Noise, resolve_noise
from runtime.spec import GeneratorSpec


class ReferenceSynthesis(nn.Module):
    """`ws` [N, num_ws, w_dim] and noise -> image [N, img_channels, H, W], nominally in [-1, 1]."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, ws: Tensor, noise: Noise = "const", transform: Any = None) -> Tensor:
        """Draw.

        `noise` takes the forms of `Generator.synthesize`; a list may hold tensors of any floating-point type.
        `transform` [3, 3] or [N or 1, 3, 3] moves and turns StyleGAN3's image (None: the checkpoint's own).
        """
        return self.draw(ws, self._noise_tensors(noise, ws), self._transform_tensor(transform, ws))

    def draw(self, ws: Tensor, noise: list[Tensor] | None, transform: Tensor | None) -> Tensor:
        """Draw with noise tensors [N or 1, 1, H, W], or none, and a transform [N or 1, 3, 3] where there is one."""
        raise NotImplementedError

    def stored_noise(self) -> list[Tensor]:
        """The checkpoint's own noise buffers [H, W], in synthesis order."""
        return [self.get_buffer(item.buffer.removeprefix("synthesis.")) for item in self.spec.noise_inputs]

    def stored_transform(self) -> Tensor | None:
        """The checkpoint's own transform [3, 3]; None where the generator takes none."""
        return None

    def _noise_tensors(self, noise: Noise, like: Tensor) -> list[Tensor] | None:
        if isinstance(noise, str) and noise == "const":
            return [buffer[None, None] for buffer in self.stored_noise()]
        if isinstance(noise, (list, tuple)) and all(isinstance(item, Tensor) for item in noise):
            return [item.to(like) for item in noise]
        arrays = resolve_noise(self.spec, noise, None)
        return None if arrays is None else [torch.from_numpy(array).to(like) for array in arrays]

    def _transform_tensor(self, transform: Any, like: Tensor) -> Tensor | None:
        if transform is None:
            stored = self.stored_transform()
            return None if stored is None else stored[None]
        if not self.spec.takes_transform:
            raise InputError(f"a transform was given, but {self.spec.generation.value} takes none: leave it out")
        return torch.as_tensor(transform).to(like).reshape(-1, 3, 3)


class ReferenceNetwork(nn.Module):
    """A generator in PyTorch: `mapping(z, c)` -> w [N, w_dim], `synthesis(ws, noise=..., transform=...)` -> image."""

    def __init__(self, spec: GeneratorSpec, synthesis: ReferenceSynthesis) -> None:
        super().__init__()
        self.spec = spec
        self.mapping = Mapping(spec.mapping)
        self.synthesis = synthesis

    def load(self, weights: Weights[str, Tensor]) -> None:
        """Take a checkpoint's weights, under their canonical names."""
        self.load_state_dict(dict(weights), strict=True)

    def truncate(self, w: Tensor, psi: float = 1.0, cutoff: int | None = None) -> Tensor:
        """`w` [N, w_dim] -> `ws` [N, num_ws, w_dim]: moved towards the mean on the first `cutoff` rows (None: all)."""
        ws = w[:, None].repeat(1, self.spec.num_ws, 1)
        if psi == 1:
            return ws
        rows = self.spec.num_ws if cutoff is None else cutoff
        mean = self.mapping.w_avg
        ws[:, :rows] = mean + psi * (ws[:, :rows] - mean)
        return ws
