"""`verify_reference`: what its samples bring to light, and the worst of them drawn again."""

from __future__ import annotations

import gc
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest

import exporter.verify
from exporter import export
from exporter.checkpoints import Checkpoint
from exporter.checkpoints.layout import STORED_TRANSFORM
from exporter.networks import ReferenceNetwork
from exporter.samples import ReferenceSamples
from exporter.verify import Reference, verify_reference
from runtime import Bundle
from runtime.backends import GraphRunner
from runtime.graphs import OpenGraphs
from runtime.parity import all_passed, to_pixels
from runtime.parity.picture import PictureComparison
from runtime.parity.samples import Sample, plan_samples, samples_for_all_cuts
from runtime.spec import GeneratorSpec
from runtime.transforms import make_transform
from stylegan_edge.cli import run
from stylegan_edge.draw_again import draw_again
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

Change = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
OutputChange = Callable[[np.ndarray], np.ndarray]


class Changed:
    """A graph whose inputs or outputs are changed on their way: a defect, made on purpose."""

    def __init__(self, graph: Any, inputs: Change | None = None, outputs: OutputChange | None = None) -> None:
        self._graph, self._inputs, self._outputs = graph, inputs, outputs

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        given = dict(inputs) if self._inputs is None else self._inputs(dict(inputs))
        made = self._graph.run(given, outputs)
        return made if self._outputs is None else [self._outputs(array) for array in made]


def _with_synthesis(bundle: Bundle, **changes: Any) -> OpenGraphs:
    graphs = OpenGraphs.open(bundle, pipeline=False)
    changed: GraphRunner = Changed(graphs.synthesis, **changes)  # type: ignore[assignment]
    return replace(graphs, synthesis=changed)


def _swap_rows(row: int) -> Change:
    def swap(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        order = list(range(inputs["styles"].shape[1]))
        order[row - 1], order[row] = row, row - 1
        return {**inputs, "styles": inputs["styles"][:, order]}

    return swap


@pytest.mark.parametrize("row", range(1, 6))
def test_two_style_rows_in_each_others_place_are_seen(row: int, tiny_bundle: Bundle) -> None:
    """Only a mix or a cutoff at that very row shows it: everywhere else both rows hold the same."""
    enough = samples_for_all_cuts(tiny_bundle.spec, tiny_bundle.manifest.options)
    graphs = _with_synthesis(tiny_bundle, inputs=_swap_rows(row))
    figures = verify_reference(tiny_bundle, tiny_checkpoint(), graphs, (1,), enough, seed=0)
    assert [item.passed for item in figures] == [True, False]


def test_images_in_each_others_place_are_seen_from_two_on(tiny_bundle: Bundle) -> None:
    graphs = _with_synthesis(tiny_bundle, outputs=lambda array: array[::-1].copy())
    figures = verify_reference(tiny_bundle, tiny_checkpoint(), graphs, (1, 2), samples=4, seed=0)
    found = {item.batch: item.passed for item in figures if item.graph == "synthesis"}
    assert found == {1: True, 2: False}


def test_the_pipelines_images_in_each_others_place_are_seen_too(tiny_bundle: Bundle) -> None:
    graphs = OpenGraphs.open(tiny_bundle)
    changed: Any = Changed(graphs.pipeline, outputs=lambda array: np.roll(array, 1, axis=0))
    figures = verify_reference(
        tiny_bundle, tiny_checkpoint(), replace(graphs, pipeline=changed), (1, 2), samples=8, seed=0
    )
    found = {item.batch: item.passed for item in figures if item.graph == "pipeline"}
    assert found == {1: True, 2: False}


def test_psi_on_the_wrong_rows_of_the_pipeline_is_seen(tiny_bundle: Bundle) -> None:
    """A cutoff that is off by one."""
    graphs = OpenGraphs.open(tiny_bundle)
    changed: Any = Changed(
        graphs.pipeline, inputs=lambda inputs: {**inputs, "psi": np.append(inputs["psi"][1:], inputs["psi"][-1:])}
    )
    figures = verify_reference(
        tiny_bundle, tiny_checkpoint(), replace(graphs, pipeline=changed), (1,), samples=5, seed=0
    )
    assert {item.graph: item.passed for item in figures} == {"mapping": True, "synthesis": True, "pipeline": False}


class _OneIsBroken:
    """Adds to the image of one sample alone, known by its styles, at one place of batches of 2."""

    def __init__(self, graph: Any, position: int) -> None:
        self._graph, self._position = graph, position
        self.styles: np.ndarray | None = None

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        image, pixels = self._graph.run(inputs, outputs)
        if len(image) == 2 and self.styles is None:
            self.styles = inputs["styles"][self._position]
            pixels[self._position] ^= 64
        return [image, pixels]


def test_the_worst_sample_says_which_graph_batch_and_position(tiny_bundle: Bundle) -> None:
    graphs = OpenGraphs.open(tiny_bundle, pipeline=False)
    broken: Any = _OneIsBroken(graphs.synthesis, position=1)
    pictures = PictureComparison("fp32")
    verify_reference(tiny_bundle, tiny_checkpoint(), replace(graphs, synthesis=broken), (1, 2, 3), 4, 0, pictures)
    worst = pictures.worst
    assert worst.sample == plan_samples(tiny_bundle.spec, tiny_bundle.manifest.options, 4, 0)[1]
    assert (worst.drawing.graph, worst.drawing.batch, worst.drawing.position) == ("synthesis", 2, 1)
    assert worst.figures.levels.max == 64
    assert pictures.figures().samples == 4


def _stylegan3_checkpoint() -> Checkpoint:
    """What `stylegan3_bundle` was exported from."""
    checkpoint = tiny_checkpoint(tiny_stylegan3_spec(radial=True))
    return replace(checkpoint, weights={**checkpoint.weights, STORED_TRANSFORM: make_transform(90.0)})


BUNDLES: dict[str, Callable[[], Checkpoint]] = {
    "conditional_bundle": lambda: tiny_checkpoint(c_dim=3),
    "stylegan1_bundle": lambda: tiny_checkpoint(tiny_stylegan1_spec()),
    "stylegan3_bundle": _stylegan3_checkpoint,
}
OPTIONS: dict[str, tuple[GeneratorSpec, dict[str, Any]]] = {
    "grey, mask, own cutoff": (tiny_stylegan1_spec(img_channels=1), {"mask": "A:0-1,B*0.5+A*0.5:2-5"}),
    "baked styles and noise": (tiny_spec(), {"bake": ["7@0-1"], "noise": "const"}),
}


@pytest.fixture(params=[*BUNDLES, *OPTIONS])
def exported(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Bundle, Checkpoint]:
    if request.param in BUNDLES:
        return request.getfixturevalue(request.param), BUNDLES[request.param]()
    spec, options = OPTIONS[request.param]
    return export(tiny_checkpoint(spec), tmp_path / "bundle", **options), tiny_checkpoint(spec)


def test_every_sample_can_be_drawn_again(
    exported: tuple[Bundle, Checkpoint],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the command that `verify` prints: the picture is the reference's."""
    bundle, checkpoint = exported
    spec = bundle.spec
    monkeypatch.chdir(tmp_path)
    plan = plan_samples(spec, bundle.manifest.options, 8, seed=3)
    (chunk,) = ReferenceSamples(checkpoint.completed().build(), bundle, plan, size=8).chunks()
    drawn = 0
    for sample, expected in zip(plan, to_pixels(chunk.images)):
        command = draw_again(bundle.path, spec, bundle.manifest.options, sample)
        if command is None:
            assert sample.mixed
            assert spec.takes_transform
            continue
        assert run([*shlex.split(command)[1:], "--force"]) == 0, capsys.readouterr().err
        difference = np.abs(_picture(sample, spec).astype(int) - expected.astype(int))
        assert difference.max() <= 1, command
        drawn += 1
    assert drawn >= 2


def _picture(sample: Sample, spec: GeneratorSpec) -> np.ndarray:
    """What the command wrote: a picture of its own, or the last cell of a grid."""
    if sample.mixed:
        return _channels(imageio.imread("again.png"), spec)[-spec.resolution :, -spec.resolution :]
    (path,) = Path("again").iterdir()
    pixels = _channels(imageio.imread(path), spec)
    path.unlink()
    return pixels


def _channels(pixels: np.ndarray, spec: GeneratorSpec) -> np.ndarray:
    return pixels.reshape(*pixels.shape[:2], spec.img_channels)


def test_what_was_drawn_is_kept_for_the_next_precision(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as memory allows, and before anything is compared; compared again, it gives the same figures."""
    drawn: list[int] = []
    draw = ReferenceSamples._chunk

    def counted(self: ReferenceSamples, part: tuple[Sample, ...]) -> Any:
        drawn.append(len(part))
        return draw(self, part)

    spec, graphs = tiny_bundle.spec, OpenGraphs.open(tiny_bundle)
    image_bytes = spec.img_channels * spec.resolution**2 * 4
    monkeypatch.setattr(ReferenceSamples, "_chunk", counted)
    monkeypatch.setattr(exporter.verify, "default_batch", lambda spec: 2)
    monkeypatch.setattr(exporter.verify, "KEPT_BYTES", 5 * image_bytes)  # two chunks of the three
    reference = Reference(tiny_bundle, tiny_checkpoint(), (1, 2), samples=6, seed=0)
    assert drawn == [2, 2]
    first, second = reference.compare(graphs), reference.compare(graphs)
    assert drawn == [2, 2, 2, 2], "the last chunk twice"
    assert all_passed(first)
    assert first == second == verify_reference(tiny_bundle, tiny_checkpoint(), graphs, (1, 2), 6, 0)


def test_the_network_is_let_go_of_where_all_is_drawn(tiny_bundle: Bundle) -> None:
    """PyTorch's memory and a backend's then need not be there at once."""
    before = _networks()
    reference = Reference(tiny_bundle, tiny_checkpoint(), (1, 3), samples=4, seed=0)
    assert _networks() == before
    assert all_passed(reference.compare(OpenGraphs.open(tiny_bundle)))


def _networks() -> int:
    gc.collect()
    return sum(isinstance(item, ReferenceNetwork) for item in gc.get_objects())
