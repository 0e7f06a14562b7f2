"""Golden images drawn by the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from exporter.baking import with_fixed
from exporter.golden.budget import tile_side, values_of_class
from exporter.golden.cases import Case, Plan, plan_images, psi_of_rows
from exporter.golden.labels import blended_label, chosen_classes, class_label
from exporter.layers import golden_noise, mapping_outputs
from exporter.networks import ReferenceNetwork
from exporter.networks.marks import collecting
from runtime.generator import default_batch
from runtime.golden import GoldenSamples, block_means, cut_tiles
from runtime.latents import latents, one_hot
from runtime.layers.probes import PROBED_IMAGES, cut_probes, join_probes
from runtime.manifest import NoiseMode
from runtime.mixing import Mask
from runtime.noise import Noise
from runtime.spec import GeneratorSpec
from runtime.transforms import make_transform
from runtime.truncation import towards_mean


@dataclass(frozen=True)
class Reference:
    """What the reference drew: samples, whole images to compare the graphs with now, and how many of them to store."""

    samples: GoldenSamples
    images: np.ndarray
    stored: int


@dataclass(frozen=True)
class Latents:
    """Latents with their `w`, each of a seed and a label: int64 [L], float32 [L, c_dim], float32 [L, w_dim]."""

    seeds: np.ndarray
    c: np.ndarray
    w: np.ndarray


def draw_reference(
    network: ReferenceNetwork,
    spec: GeneratorSpec,
    mask: Mask,
    noise: NoiseMode,
    fixed: Mapping[int, np.ndarray],
    pipeline: bool,
) -> Reference:
    """Run the reference over the golden cases, `fixed` rows in their places: float32, on the CPU, seeds 0, 1, 2, ..."""
    plan = plan_images(spec, mask, noise, pipeline)
    sources, labels = _sources(spec, mask, plan)
    made = _mapped(network, np.arange(len(labels)), labels)
    classes = chosen_classes(spec.c_dim)
    of_class = _mapped(network, len(labels) + np.arange(len(classes)), one_hot(classes, spec.c_dim))
    psi = np.stack([psi_of_rows(case, spec, fixed) for case in plan.cases])
    ws = _ws(made.w[sources], psi, network.mapping.w_avg.numpy(), mask)
    transform = _transforms(network, plan.cases)
    images, probes = _draw(network, with_fixed(ws, fixed), [case.noise for case in plan.cases], transform)
    probes |= _mapping_probes(network, made, sources[:PROBED_IMAGES, 0])
    samples = GoldenSamples(
        seeds=made.seeds,
        c=made.c,
        w=made.w,
        classes=classes,
        class_seeds=of_class.seeds,
        class_w=of_class.w[:, : values_of_class(spec.w_dim, len(classes))],
        sources=sources,
        psi=psi,
        noise=np.array([str(case.noise) for case in plan.cases]),
        transform=transform,
        pipeline_only=np.array([case.ramp for case in plan.cases]),
        tiles=cut_tiles(images, tile_side(spec, mask, plan.stored)),
        blocks=block_means(images),
        probes=join_probes(spec, probes),
    )
    return Reference(samples, images, plan.stored)


def _sources(spec: GeneratorSpec, mask: Mask, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Which latent each style of each image is, int64 [T, K], and the latents' labels [L, c_dim].

    Images cycle through the classes. All sources of a mask share their image's label, as in the pipeline graph.
    """
    sources: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for index, case in enumerate(plan.cases):
        styles = mask.matrix.shape[1]
        count = styles if case.mixed or not mask.is_identity else 1
        sources.append(len(labels) + np.arange(styles) % count)
        for number in range(count):
            of = index + number * case.mixed
            labels.append(blended_label(of, spec.c_dim) if case.blended else class_label(of, spec.c_dim))
    return np.stack(sources), np.stack(labels)


@torch.no_grad()
def _mapped(network: ReferenceNetwork, seeds: np.ndarray, c: np.ndarray) -> Latents:
    spec: GeneratorSpec = network.spec
    if not len(seeds):
        return Latents(seeds, c, np.zeros((0, spec.w_dim), np.float32))
    z = torch.from_numpy(latents(seeds.tolist(), spec.z_dim))
    return Latents(seeds, c, network.mapping(z, torch.from_numpy(c) if spec.c_dim else None).numpy())


def _ws(w: np.ndarray, psi: np.ndarray, mean: np.ndarray, mask: Mask) -> np.ndarray:
    """float32 [T, num_ws, w_dim] of the sources' `w` [T, K, w_dim] and `psi` [T, num_ws].

    Truncated and then mixed, as the synthesis graph is fed, or the other way round where the rows' psi differ, as the
    pipeline graph does it: the same but for rounding, since the rows of a mask sum to 1.
    """
    if mask.is_identity:
        return towards_mean(w, mean, psi[..., None])
    images = []
    for sources, rows in zip(w, psi):
        if (rows == rows[0]).all():
            images.append(mask.rows(towards_mean(sources, mean, rows[0])))
        else:
            images.append(towards_mean(mask.rows(sources), mean, rows[:, None]))
    return np.stack(images)


@torch.no_grad()
def _draw(
    network: ReferenceNetwork, ws: np.ndarray, noise: Sequence[Noise], transform: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Images [T, C, H, W] of `ws` [T, num_ws, w_dim], a few at a time, every one with its own noise and motion.

    Also what is kept of the layers of the first ones, [Q, C, P] by name.
    """
    spec: GeneratorSpec = network.spec
    stored = [buffer.numpy() for buffer in network.synthesis.stored_noise()]
    size, images = default_batch(spec), []
    outputs = {item.name: item for item in spec.outputs}
    probes: dict[str, list[np.ndarray]] = {name: [] for name in outputs}
    for start in range(0, len(ws), size):
        part = slice(start, start + size)
        motion = torch.from_numpy(transform[part]) if spec.takes_transform else None
        maps = [torch.from_numpy(array) for array in golden_noise(spec, noise[part], stored)]
        left = max(0, PROBED_IMAGES - start)  # a few values are cut out at once: all layers together are large

        def keep(name: str, x: torch.Tensor, left: int = left) -> None:
            probes[name].append(cut_probes(outputs[name], x[:left].numpy()))

        with collecting(take=keep):
            images.append(network.synthesis(torch.from_numpy(ws[part]), maps, motion).numpy())
    return np.concatenate(images), {name: np.concatenate(parts) for name, parts in probes.items() if parts}


def _mapping_probes(network: ReferenceNetwork, made: Latents, latent: np.ndarray) -> dict[str, np.ndarray]:
    """What is kept of the mapping network's layers for the first images, of the latent that each begins with."""
    spec: GeneratorSpec = network.spec
    values = mapping_outputs(network, latents(made.seeds[latent].tolist(), spec.z_dim), made.c[latent])
    outputs = {item.name: item for item in spec.outputs}
    return {name: cut_probes(outputs[name], array) for name, array in values.items()}


def _transforms(network: ReferenceNetwork, cases: Sequence[Case]) -> np.ndarray:
    """The transform of each case [T, 3, 3]; the identity where the generator takes none."""
    stored = network.synthesis.stored_transform()
    own = np.eye(3, dtype=np.float32) if stored is None else stored.numpy()
    return np.stack([own if stored is None or case.motion is None else make_transform(*case.motion) for case in cases])
