"""What the reference's layers put out for the golden samples: the truth that layers are held against."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch

from exporter.baking import fixed_rows, with_fixed
from exporter.networks import ReferenceNetwork
from exporter.networks.marks import collecting
from exporter.suspects import Drawn, suspects_by_network
from runtime.golden import GoldenInputs
from runtime.layers.difference import Difference
from runtime.layers.marked import WS
from runtime.layers.reference import Expected, whole_border, whole_layer
from runtime.layers.reports import Suspect
from runtime.noise import Noise, batched_noise, noise_arrays
from runtime.spec import GeneratorSpec, LayerOutput


@torch.no_grad()
def mapping_outputs(network: ReferenceNetwork, z: np.ndarray, c: np.ndarray) -> dict[str, np.ndarray]:
    """`z` [N, z_dim], `c` [N, c_dim] -> what each layer of the mapping network puts out, float32 [N, features]."""
    with collecting() as marked:
        network.mapping(torch.from_numpy(z), torch.from_numpy(c) if c.shape[1] else None)
    return {name: values.numpy() for name, values in marked.items()}


@torch.no_grad()
def synthesis_outputs(
    network: ReferenceNetwork,
    ws: np.ndarray,
    noise: Sequence[np.ndarray],
    transform: np.ndarray | None,
    wanted: Collection[str] | None = None,
) -> dict[str, np.ndarray]:
    """What each layer of synthesis, or of those `wanted`, puts out: float32 [N, C, size, size].

    `ws` [N, num_ws, w_dim], noise [N, 1, H, W] a noise input, `transform` [N, 3, 3] where the generator takes one.
    Drawn one image at a time, so that memory holds one image's layers beside what is kept.
    """
    found: dict[str, list[np.ndarray]] = {}
    for index in range(len(ws)):
        one = slice(index, index + 1)
        motion = None if transform is None else torch.from_numpy(transform[one])
        with collecting(wanted) as marked:
            network.synthesis(torch.from_numpy(ws[one]), [torch.from_numpy(item[one]) for item in noise], motion)
        for name, values in marked.items():
            found.setdefault(name, []).append(values.numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def golden_noise(spec: GeneratorSpec, noise: Sequence[Noise], stored: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each image's noise as arrays [N, 1, H, W], one a noise input."""
    return batched_noise([noise_arrays(spec, item, stored) for item in noise])


class NetworkReference:
    """The reference, run when it is asked: all values of every layer."""

    name = "the reference in PyTorch"
    knows_all = True

    def __init__(self, network: ReferenceNetwork, golden: GoldenInputs) -> None:
        self.network, self._golden = network, golden
        self._fixed = fixed_rows(network, golden.bundle.manifest.options.baked)

    def ws(self, images: np.ndarray) -> np.ndarray:
        """The rows of `ws` that make golden images, before any are fixed: float32 [N, num_ws, w_dim]."""
        return self._golden.ws(images)

    def synthesis_inputs(self, images: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], np.ndarray | None]:
        """`ws` with fixed rows, noise [N, 1, H, W] a noise input, and transform, where there is one."""
        bundle, samples = self._golden.bundle, self._golden.samples
        noise = golden_noise(bundle.spec, [samples.noise_of(int(image)) for image in images], bundle.stored_noise)
        transform = samples.transform[images] if bundle.spec.takes_transform else None
        return with_fixed(self.ws(images), self._fixed), noise, transform

    def expected(self, outputs: Sequence[LayerOutput], images: np.ndarray) -> dict[str, Expected]:
        """The layers' values, by name."""
        wanted = {item.name for item in outputs}
        values: dict[str, np.ndarray] = {WS: self.ws(images)} if WS in wanted else {}
        if any(name.startswith("mapping.") for name in wanted):
            rows = self._golden.samples.sources[images, 0]
            values |= mapping_outputs(self.network, self._golden.z[rows], self._golden.samples.c[rows])
        if any(item.size for item in outputs):
            values |= synthesis_outputs(self.network, *self.synthesis_inputs(images), wanted)
        return {item.name: Expected(whole_layer(item, values.pop(item.name)), whole_border(item)) for item in outputs}

    def cut(self, output: LayerOutput, measured: np.ndarray) -> np.ndarray:
        """All values, without the channels that a graph may have added."""
        return whole_layer(output, measured[:, : output.channels])

    def suspects(self, difference: Difference, images: np.ndarray) -> Sequence[Suspect]:
        """What the values speak for, and which mistakes make the reference put them out."""
        ws, noise, transform = self.synthesis_inputs(images)
        motion = None if transform is None else torch.from_numpy(transform)
        drawn = Drawn(torch.from_numpy(ws), [torch.from_numpy(item) for item in noise], motion)
        return suspects_by_network(self.network, drawn, difference)
