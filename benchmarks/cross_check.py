"""Hold our figures of a synthesis graph against those of Polygraphy and of ONNX Runtime's debugger.

python -m benchmarks.cross_check files avatars examples/avatars-64.pkl -o cross
python -m benchmarks.cross_check table avatars examples/avatars-64.pkl
python -m benchmarks.cross_check debugger avatars --precision int8

docs/cross-check.md has the recipe, the formulas and what was found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import onnx
import torch

from benchmarks.other_comparers import (
    PolygraphyFigures,
    onnxruntime_activations,
    onnxruntime_ratio,
    polygraphy_figures,
    polygraphy_outputs,
    write_for_polygraphy,
)
from exporter import load_checkpoint
from exporter.layers import NetworkReference
from exporter.networks import ReferenceNetwork
from exporter.verify import matching
from runtime import Bundle
from runtime.backends import BackendName
from runtime.golden import GoldenInputs
from runtime.graphs import OpenGraphs
from runtime.layers.compare import LayerFigures, allowed, compare_layer
from runtime.layers.examine import free_memory
from runtime.layers.marked import IMAGE, layers_of, read_model
from runtime.layers.probes import PROBED_IMAGES
from runtime.layers.reference import whole_border, whole_layer
from runtime.layers.reports import LayerReport
from runtime.layers.verify import verify_layers
from runtime.parity import FP32, Comparison, to_pixels
from runtime.spec import LayerOutput

SYNTHESIS, PIXELS = "synthesis", "pixels"


@dataclass(frozen=True)
class Case:
    """The synthesis graph's inputs for the golden images that `verify --per-layer` looks at, and the right answers.

    `layers` has every layer and the name of the graph's value that it makes, in synthesis order. `reference` has
    arrays by that name, shaped as the graph's, float32 [N, C, size, size]; then `image`, where no layer makes it, and
    `pixels`, uint8 [N, H, W, C].
    """

    bundle: Bundle
    inputs: dict[str, np.ndarray]
    layers: dict[LayerOutput, str]
    reference: dict[str, np.ndarray]


@dataclass(frozen=True)
class Row:
    """One figure of one output of the graph, of the same arrays, as each tool has it.

    ONNX Runtime's debugger knows one figure only. `verify` is what `stylegan-edge verify --per-layer` says, which runs
    the graph itself.
    """

    output: str
    figure: str
    ours: float
    polygraphy: float
    onnxruntime: float | None = None
    verify: float | None = None

    def off(self, other: float | None) -> float:
        """How far another value of this figure is from ours, relative to ours; 0 for none."""
        return 0.0 if other is None else abs(other - self.ours) / (abs(self.ours) or 1.0)

    @property
    def disagreement(self) -> float:
        """The largest relative difference from ours, of what others say of the same arrays."""
        return max(self.off(self.polygraphy), self.off(self.onnxruntime))


def make_case(bundle: Bundle, network: ReferenceNetwork) -> Case:
    """Draw the golden images by the reference, and keep what each of its layers puts out."""
    golden = GoldenInputs.of(bundle)
    images = golden.synthesis_images[:PROBED_IMAGES]
    truth = NetworkReference(network, golden)
    layers = layers_of(bundle.spec, SYNTHESIS, read_model(bundle, SYNTHESIS, FP32))
    expected = truth.expected(list(layers), images)
    widths = _channels(bundle.graph_path(SYNTHESIS))
    reference = {}
    for item, value in layers.items():
        assert item.size is not None
        values = expected[item.name].values
        shaped = values.reshape(*values.shape[:2], item.size, item.size)
        added = widths.get(value, item.channels) - item.channels
        reference[value] = np.pad(shaped, [(0, 0), (0, added), (0, 0), (0, 0)])  # a StyleGAN3's graph adds zeros
    if IMAGE not in reference:  # a StyleGAN that fades: the last two layers' sum
        reference[IMAGE] = _image(network, *truth.synthesis_inputs(images))
    reference[PIXELS] = np.ascontiguousarray(to_pixels(reference[IMAGE]))  # Polygraphy takes no other
    return Case(bundle, golden.synthesis(images), layers, reference)


@torch.no_grad()
def _image(
    network: ReferenceNetwork, ws: np.ndarray, noise: Iterable[np.ndarray], transform: np.ndarray | None
) -> np.ndarray:
    motion = None if transform is None else torch.from_numpy(transform)
    image: np.ndarray = network.synthesis(
        torch.from_numpy(ws), [torch.from_numpy(item) for item in noise], motion
    ).numpy()
    return image


def _channels(path: Path) -> dict[str, int]:
    """Channels of a graph's values [N, C, H, W], by name."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    shapes = {item.name: item.type.tensor_type.shape.dim for item in graph.value_info}
    return {name: shape[1].dim_value for name, shape in shapes.items() if len(shape) == 4 and shape[1].dim_value}


def verify_report(case: Case, network: ReferenceNetwork, precision: str) -> LayerReport:
    """What `stylegan-edge verify --reference CHECKPOINT --per-layer` finds in the synthesis graph."""
    golden = GoldenInputs.of(case.bundle)
    graphs = OpenGraphs.open(case.bundle, BackendName.ONNXRUNTIME, precision=precision, split=False)
    try:
        reports = verify_layers(golden, graphs, NetworkReference(network, golden), free_memory())
    finally:
        graphs.close()
    return next(report for report in reports if report.graph == SYNTHESIS)


def compare_all(case: Case, precision: str, measured: Mapping[str, np.ndarray], report: LayerReport) -> Iterator[Row]:
    """Every figure of `measured` that others have too, theirs turned into our units.

    `measured` has arrays by the names of `case.reference`, as Polygraphy ran the graph.
    """
    theirs = polygraphy_figures(case.reference, measured)
    yield from _picture_rows(case, precision, measured, theirs)
    verified = {item.layer: item for item in report.layers}
    for item, value in case.layers.items():
        truth, found = case.reference[value], measured[value]
        ours = _our_figures(case.bundle, item, precision, truth, found)
        ratio = onnxruntime_ratio(truth, found)
        own = verified[item.name]
        yield Row(value, "error (rms)", ours.rms, _error(theirs[value].snr), _error(ratio), own.rms)
        scale = math.sqrt(np.mean(np.square(truth[:, : item.channels], dtype=np.float64)))
        yield Row(value, "largest", ours.largest, theirs[value].max_abs / scale, verify=own.largest)


def _our_figures(
    bundle: Bundle, item: LayerOutput, precision: str, truth: np.ndarray, found: np.ndarray
) -> LayerFigures:
    """Of arrays [N, C, size, size], which may have channels that the graph added."""
    tolerance = allowed(precision, bundle.spec.synthesis.float32_rounding)
    right, measured = (whole_layer(item, array[:, : item.channels]) for array in (truth, found))
    return compare_layer(item, right, measured, whole_border(item), tolerance)


def _error(ratio: float) -> float:
    """A signal to noise ratio in dB -> the root mean square of the difference, relative to the signal's."""
    return float(10 ** (-ratio / 20))


def _picture_rows(
    case: Case, precision: str, measured: Mapping[str, np.ndarray], theirs: Mapping[str, PolygraphyFigures]
) -> Iterator[Row]:
    """The figures that `verify` has of images."""
    truth = case.reference[IMAGE]
    comparison = Comparison(SYNTHESIS, "reference", len(truth), precision, case.bundle.spec.synthesis.float32_rounding)
    comparison.add_images(truth, [measured[IMAGE], measured[PIXELS]])
    ours, image, pixels = comparison.figures(), theirs[IMAGE], theirs[PIXELS]
    assert ours.levels_max is not None
    assert ours.levels_mean is not None
    yield Row(IMAGE, "max d", ours.max_abs, image.max_abs)
    yield Row(IMAGE, "cosine", ours.cosine, image.cosine)
    if ours.psnr is not None:  # Polygraphy's peak is the largest value, ours the whole range
        yield Row(IMAGE, "PSNR", ours.psnr, image.psnr + 20 * math.log10(float(np.ptp(truth)) / float(truth.max())))
    yield Row(PIXELS, "levels max", ours.levels_max, pixels.max_abs)
    yield Row(PIXELS, "levels mean", ours.levels_mean, pixels.mean_abs)


def compare_debugger(bundle: Bundle, precision: str) -> Iterator[Row]:
    """Each layer of a graph against the float32 graph's, both as ONNX Runtime's debugger runs them: unoptimised."""
    golden = GoldenInputs.of(bundle)
    inputs = golden.synthesis(golden.synthesis_images[:PROBED_IMAGES])
    single, other = (onnxruntime_activations(bundle.graph_path(SYNTHESIS, name), inputs) for name in (FP32, precision))
    layers = layers_of(bundle.spec, SYNTHESIS, read_model(bundle, SYNTHESIS, precision))
    widths = _channels(bundle.graph_path(SYNTHESIS))
    for item, value in layers.items():
        assert item.size is not None
        shape = (-1, widths.get(value, item.channels), item.size, item.size)
        truth, found = single[value].reshape(shape), other[value].reshape(shape)
        theirs = polygraphy_figures({value: truth}, {value: found})[value]
        ours = _our_figures(bundle, item, precision, truth, found)
        yield Row(value, "error (rms)", ours.rms, _error(theirs.snr), _error(onnxruntime_ratio(truth, found)))


@click.group()
def main() -> None:
    """Hold our figures of a bundle's synthesis graph against those of others' tools."""


BUNDLE = click.argument("bundle", type=click.Path(path_type=Path))
CHECKPOINT = click.argument("checkpoint", type=click.Path(path_type=Path))
LAYERS = click.option("--layer", "layers", multiple=True, help="Print this layer; repeat it for more [default: all].")


def _open(bundle: Path, checkpoint: Path) -> tuple[Case, ReferenceNetwork]:
    opened = Bundle(bundle)
    network = matching(opened, load_checkpoint(checkpoint)).completed().build()
    return make_case(opened, network), network


def _print(precision: str, rows: Iterable[Row], layers: tuple[str, ...]) -> None:
    for row in rows:
        if not layers or row.output in (*layers, IMAGE, PIXELS):
            values = (row.ours, row.polygraphy, row.onnxruntime, row.verify)
            cells = ("" if value is None else f"{value:.7g}" for value in values)
            print(f"| {precision} | {row.output} | {row.figure} | {' | '.join(cells)} |")


HEADER = "| precision | output | figure | ours | Polygraphy | ONNX Runtime | `verify` |\n|---|---|---|---|---|---|---|"


@main.command()
@BUNDLE
@CHECKPOINT
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where to write.")
def files(bundle: Path, checkpoint: Path, output: Path) -> None:
    """Write what `polygraphy run` reads: inputs.json, reference.json, and layers.txt, the names of the outputs."""
    case, _ = _open(bundle, checkpoint)
    output.mkdir(parents=True, exist_ok=True)
    write_for_polygraphy(case.inputs, case.reference, output)
    print(f"{output}: inputs.json, reference.json, layers.txt with {len(case.reference)} outputs")


@main.command()
@BUNDLE
@CHECKPOINT
@LAYERS
def table(bundle: Path, checkpoint: Path, layers: tuple[str, ...]) -> None:
    """Run every precision in Polygraphy, and print each figure as each tool has it."""
    case, network = _open(bundle, checkpoint)
    print(HEADER)
    told = []
    for precision in case.bundle.precisions:
        measured = polygraphy_outputs(case.bundle.graph_path(SYNTHESIS, precision), case.inputs, list(case.reference))
        rows = list(compare_all(case, precision, measured, verify_report(case, network, precision)))
        _print(precision, rows, layers)
        worst, own = max(row.disagreement for row in rows), max(row.off(row.verify) for row in rows)
        told.append(f"{precision}: others within {worst:.1e} of ours, relative; `verify`, by its own run, {own:.1e}")
    print("\n" + "\n".join(told))


@main.command()
@BUNDLE
@click.option("--precision", required=True, help="Of the graph that is held against the float32 one.")
@LAYERS
def debugger(bundle: Path, precision: str, layers: tuple[str, ...]) -> None:
    """Print how far each layer of a precision is from float32, as ONNX Runtime's debugger runs both graphs."""
    print(HEADER)
    rows = list(compare_debugger(Bundle(bundle), precision))
    _print(precision, rows, layers)
    print(f"\n{precision}: others within {max(row.disagreement for row in rows):.1e} of ours, relative")


if __name__ == "__main__":
    main()
