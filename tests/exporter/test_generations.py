"""Every generation and format through the same commands: what README's table says, row by row and column by column.

The rows are known answers, written by each generation's official code, so that the last word on an exported graph's
images has that code. Some rows are at hand only where the folder of known answers stands beside the project.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exporter import export, load_checkpoint
from exporter.checkpoints import Checkpoint, SourceFormat, write_safetensors
from exporter.verify import verify_reference
from runtime import Bundle, Generator
from runtime.errors import InputError
from runtime.graphs import OpenGraphs
from runtime.spec import Generation
from runtime.transforms import make_transform
from tests.known_answers import FLOAT32_FACTOR, FLOAT32_LIMIT, Case, available_cases
from tests.tiny import tiny_checkpoint, tiny_stylegan3_spec

EQUIVARIANCE = 0.01
"""Of the image's largest value: how well a StyleGAN3's filters keep to it, after 15 layers."""
BORDER = 4
"""Pixels beside the border, which moved pictures differ in."""


@dataclass(frozen=True)
class Row:
    """A generation and format, the known answer that stands for it, and what of the table's columns applies."""

    case: str
    generation: Generation
    source: SourceFormat
    resolution: int | None = None
    stops_early: bool = False
    grows: bool = False


ROWS = {
    "StyleGAN, TensorFlow": Row(
        "D3_sg1tf_cond32", Generation.STYLEGAN1, SourceFormat.NVIDIA_TENSORFLOW, stops_early=True, grows=True
    ),
    "StyleGAN, rosinality": Row(
        "E2_ros_sg1_train64", Generation.STYLEGAN1, SourceFormat.ROSINALITY_STYLEGAN1, 64, stops_early=True, grows=True
    ),
    "StyleGAN2, TensorFlow, resnet": Row("C3_sg2tf_resnet32", Generation.STYLEGAN2, SourceFormat.NVIDIA_TENSORFLOW),
    "StyleGAN2, TensorFlow, labels": Row(
        "C2_sg2tf_cond32", Generation.STYLEGAN2, SourceFormat.NVIDIA_TENSORFLOW, stops_early=True
    ),
    "StyleGAN2-ADA, PyTorch": Row(
        "A5_ada_clamp_active32", Generation.STYLEGAN2, SourceFormat.NVIDIA_TORCH, stops_early=True
    ),
    "StyleGAN2 of StyleGAN3's code": Row(
        "B4_sg3repo_sg2_32", Generation.STYLEGAN2, SourceFormat.NVIDIA_TORCH, stops_early=True
    ),
    "StyleGAN2, rosinality": Row(
        "E3_ros_sg2_converted64", Generation.STYLEGAN2, SourceFormat.ROSINALITY_STYLEGAN2, stops_early=True
    ),
    "StyleGAN3-t": Row("B3_sg3t_cond32", Generation.STYLEGAN3, SourceFormat.NVIDIA_TORCH),
    "StyleGAN3-r": Row("B2_sg3r_64", Generation.STYLEGAN3, SourceFormat.NVIDIA_TORCH),
}


@pytest.fixture(scope="module", params=ROWS)
def row(request: pytest.FixtureRequest) -> Row:
    return ROWS[request.param]


@pytest.fixture(scope="module")
def case(row: Row) -> Case:
    found = {item.name: item for item in available_cases()}
    if row.case not in found:
        pytest.skip(f"the known answer {row.case} is not beside the project")
    return found[row.case]


@pytest.fixture(scope="module")
def checkpoint(case: Case, row: Row) -> Checkpoint:
    return case.checkpoint if row.resolution is None else case.checkpoint.at_resolution(row.resolution)


@pytest.fixture(scope="module")
def bundle(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Exporting checks every graph against the reference, the one-graph form included."""
    return export(checkpoint, tmp_path_factory.mktemp("generation") / "bundle", pipeline=True)


def test_the_file_is_recognised(row: Row, case: Case) -> None:
    found = load_checkpoint(case.path)
    assert (found.spec.generation, found.source) == (row.generation, row.source)


def test_converting_keeps_everything(checkpoint: Checkpoint, tmp_path: Path) -> None:
    write_safetensors(checkpoint, tmp_path / "converted.safetensors")
    found = load_checkpoint(tmp_path / "converted.safetensors")
    assert found.spec == checkpoint.spec
    assert found.weights.keys() == checkpoint.weights.keys()
    assert all(np.array_equal(found.weights[name], array) for name, array in checkpoint.weights.items())


def test_fresh_inputs_give_the_references_images(bundle: Bundle, checkpoint: Checkpoint) -> None:
    """Latents, labels, truncation, noise and transforms that export has not seen, one image a time and several."""
    figures = verify_reference(bundle, checkpoint, OpenGraphs.open(bundle), (1, 3), samples=5, seed=1)
    assert {item.graph for item in figures} == {"mapping", "synthesis", "pipeline"}
    assert [item.failures() for item in figures] == [[]] * 6


def test_the_graphs_draw_the_official_codes_images(bundle: Bundle, case: Case, row: Row) -> None:
    """Each known image, by ONNX Runtime: truncation, its default, mixes, labels, noise and transforms."""
    generator = Generator.load(bundle)
    w = generator.map(case.arrays["z"], case.arrays.get("c"))
    drawn = 0
    for name, ws, noise, transform in _known_images(generator, w, case):
        expected = case.arrays[name]
        measured = generator.synthesize(ws[: len(expected)], noise, transform=transform)
        official = case.facts["f32_vs_f64"].get(name, {}).get("max_rel_to_absmax", 0.0)
        error = float(np.abs(measured - expected).max() / np.abs(expected).max())
        assert error <= max(FLOAT32_LIMIT, FLOAT32_FACTOR * official), name
        drawn += 1
    assert drawn >= 3


def _known_images(generator: Generator, w: np.ndarray, case: Case) -> Iterator[tuple[str, np.ndarray, Any, Any]]:
    arrays, ws = case.arrays, generator.truncate(w)
    own = _maps(case, "noise", generator) if "mean_style" in arrays else "const"
    for name in arrays:
        match = re.fullmatch(r"image_psi([\d.]+)(?:_cut(\d+))?", name)
        if match:
            cutoff = int(match[2]) if match[2] else None
            yield name, generator.truncate(w, float(match[1]), cutoff), own, None
        elif name == "image_default":
            yield name, generator.styles(w, generator.spec.truncation.psi), own, None
        elif name == "image_noise_none":
            yield name, ws, "none", None
        elif name == "image_noise2":
            yield name, ws, _maps(case, "noise2", generator), None
        elif re.fullmatch(r"image_mix\d+", name):
            mask = generator.layer_mask(range(int(name.removeprefix("image_mix")), generator.spec.num_ws))
            yield name, generator.mix([ws[:1], ws[1:2]], mask), own, None
        elif re.fullmatch(r"image_transform_[a-z]", name):
            yield name, ws, own, arrays[name.removeprefix("image_")]


def _maps(case: Case, prefix: str, generator: Generator) -> list[np.ndarray]:
    shapes = generator.spec.noise_shapes
    return [case.arrays[f"{prefix}_{index}"].reshape(1, 1, *shape) for index, shape in enumerate(shapes)]


def test_an_image_does_not_depend_on_its_companions(bundle: Bundle, case: Case) -> None:
    generator = Generator.load(bundle)
    ws = generator.truncate(generator.map(case.arrays["z"], case.arrays.get("c")))
    together = generator.synthesize(np.concatenate([ws, 30 * ws[:1]]))
    alone = np.concatenate([generator.synthesize(ws[index : index + 1]) for index in range(len(ws))])
    assert np.abs(together[: len(ws)] - alone).max() <= 2e-6 * np.abs(alone).max()


def test_labels_are_one_hot_or_refused(bundle: Bundle) -> None:
    generator = Generator.load(bundle)
    if generator.spec.c_dim:
        first, second = (generator.generate([3], classes=number) for number in (0, 1))
        assert (first != second).any()
        with pytest.raises(InputError, match="out of range"):
            generator.generate([3], classes=generator.spec.c_dim)
        with pytest.raises(InputError, match="conditional: give a class"):
            generator.generate([3])
    else:
        with pytest.raises(InputError, match="unconditional: leave it out"):
            generator.generate([3], classes=0)


def test_noise_has_four_forms_where_there_is_any(bundle: Bundle) -> None:
    generator = Generator.load(bundle)
    classes = 0 if generator.spec.c_dim else None
    forms: list[Any] = [
        "const",
        "none",
        5,
        [np.ones((1, 1, *shape), np.float32) for shape in generator.spec.noise_shapes],
    ]
    images = {index: generator.generate([1], classes=classes, noise=form) for index, form in enumerate(forms)}
    differ = len({image.tobytes() for image in images.values()})
    assert differ == (4 if generator.spec.noise_inputs else 1)


def test_a_mask_is_baked_in(checkpoint: Checkpoint, row: Row, tmp_path: Path) -> None:
    if row.generation is Generation.STYLEGAN3:  # it mixes for 4 layers as for 14, which trace for 10 s
        checkpoint = tiny_checkpoint(tiny_stylegan3_spec(radial=row.case == "B2_sg3r_64", c_dim=checkpoint.spec.c_dim))
    half, last = checkpoint.spec.num_ws // 2, checkpoint.spec.num_ws - 1
    mask = f"A:0-{half - 1},B:{half}-{last}"
    mixed = Generator.load(export(checkpoint, tmp_path / "mixed", mask=mask, noise="const"))
    w = mixed.map(mixed.latents([4, 5]), mixed.labels(0, 2) if mixed.spec.c_dim else None)
    ws = np.concatenate([w[:1]] * half + [w[1:]] * (last + 1 - half))
    with torch.no_grad():
        expected = checkpoint.completed().build().synthesis(torch.from_numpy(ws[None]), noise="const").numpy()
    assert np.abs(mixed.synthesize(w[None]) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_lower_resolution_is_drawn_or_refused(checkpoint: Checkpoint, row: Row, tmp_path: Path) -> None:
    lower = checkpoint.spec.resolution // 2
    if not row.stops_early:
        with pytest.raises(InputError, match=f"resolution {lower}"):
            export(checkpoint, tmp_path / "bundle", resolution=lower)
        return
    found = export(checkpoint, tmp_path / "bundle", resolution=lower)
    classes = 0 if found.spec.c_dim else None
    assert Generator.load(found).generate([1], classes=classes).shape == (1, lower, lower, 3)


def test_a_level_of_detail_is_drawn_or_refused(case: Case, checkpoint: Checkpoint, row: Row, tmp_path: Path) -> None:
    if not row.grows:
        with pytest.raises(InputError, match="only StyleGAN \\(1\\) networks grow progressively"):
            export(checkpoint, tmp_path / "bundle", lod=0.5)
        return
    found = export(checkpoint, tmp_path / "bundle", lod=0.4, pipeline=True)
    image = Generator.load(found).generate([1], classes=0 if found.spec.c_dim else None)
    assert image.shape[1] == checkpoint.spec.resolution
    with pytest.raises(InputError, match="level of detail is 9, expected 0 to"):
        export(checkpoint, tmp_path / "other", lod=9)


@lru_cache(maxsize=1)
def _stylegan1_case() -> Case:
    return next(item for item in available_cases() if item.name == "D3_sg1tf_cond32")


@pytest.mark.parametrize("lod", ["0.4", "1", "2.7"])
def test_the_graph_of_a_level_of_detail_draws_the_official_codes_image(lod: str, tmp_path: Path) -> None:
    case = _stylegan1_case()
    generator = Generator.load(export(case.checkpoint, tmp_path / "bundle", lod=float(lod)))
    expected = case.arrays[f"image_lod{lod}"]
    measured = generator.synthesize(generator.truncate(generator.map(case.arrays["z"], case.arrays["c"]))[:1])
    official = case.facts["f32_vs_f64"][f"image_lod{lod}"]["max_rel_to_absmax"]
    assert np.abs(measured - expected).max() <= max(FLOAT32_LIMIT, FLOAT32_FACTOR * official) * np.abs(expected).max()


def test_a_transform_moves_the_image_or_is_refused(bundle: Bundle) -> None:
    """To the right and down: a StyleGAN3 is equivariant to it, so that the moved picture is the picture, moved."""
    generator = Generator.load(bundle)
    classes = 0 if generator.spec.c_dim else None
    if not generator.spec.takes_transform:
        with pytest.raises(InputError, match="takes none: leave it out"):
            generator.generate([1], classes=classes, transform=make_transform(90.0, (0.25, 0.0)))
        return
    c = None if classes is None else generator.labels(classes, 3)
    ws = generator.truncate(generator.map(generator.latents([0, 1, 2]), c))
    still = generator.synthesize(ws, transform=make_transform())
    right = generator.synthesize(ws, transform=make_transform(translate=(0.25, 0.0)))
    down = generator.synthesize(ws, transform=make_transform(translate=(0.0, 0.25)))
    quarter = generator.spec.resolution // 4
    inner, before = slice(quarter + BORDER, -BORDER), slice(BORDER, -quarter - BORDER)
    allowed = EQUIVARIANCE * np.abs(still).max()
    assert np.abs(right[..., inner] - still[..., before]).max() <= allowed
    assert np.abs(down[..., inner, :] - still[..., before, :]).max() <= allowed
    assert np.abs(right[..., before] - still[..., inner]).max() > 10 * allowed
