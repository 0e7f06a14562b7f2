"""Exported graphs, parsed and built into plans by TensorRT itself, on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import onnx
import pytest

from benchmarks.official_sizes import stylegan3_spec
from exporter import export
from exporter.bundle_writer import PRECISIONS
from exporter.checkpoints import Checkpoint
from exporter.graphs import build_synthesis
from exporter.networks.deploy import Form
from runtime import Bundle
from runtime.bundle import graph_key
from runtime.engine_record import Profile
from runtime.manifest import TensorInfo
from runtime.mixing import identity_mask
from runtime.spec import Architecture
from tests.engines.tensorrt_cpu.plans import PlanReport, build_plans
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

BATCHES = Profile(least=1, typical=2, most=4)
OFFICIAL_1024 = (64, 64, 64, 64, 64, 32, 16, 8, 4)
"""Channels from 4 to 1024 px: the depth of the largest official networks at an eighth of their width, to be quick."""
OFFICIAL_DEPTH = {
    "stylegan1-1024": tiny_stylegan1_spec(channels=OFFICIAL_1024),
    "stylegan2-1024": tiny_spec(channels=OFFICIAL_1024),
    "stylegan3-t-512": stylegan3_spec(512, width=64, channels=(4096, 64)),
}


@dataclass(frozen=True)
class Case:
    """A network and how it is exported (arguments of `export`)."""

    checkpoint: Callable[[], Checkpoint]
    options: Mapping[str, str] = field(default_factory=dict)
    precisions: tuple[str, ...] = ("fp32",)
    pipeline: bool = True

    @property
    def graphs(self) -> set[str]:
        """The graphs that the bundle has."""
        names = ["synthesis"] + ["pipeline"] * self.pipeline
        keys = {graph_key(name, precision) for name in names for precision in self.precisions}
        return {"mapping"} | keys


@dataclass(frozen=True)
class Built:
    """A bundle, and what became of each of its graphs."""

    case: Case
    bundle: Bundle
    reports: Mapping[str, PlanReport]


CASES = {
    "stylegan2-skip": Case(tiny_checkpoint, precisions=PRECISIONS),
    "stylegan2-orig": Case(partial(tiny_checkpoint, architecture=Architecture.ORIG)),
    "stylegan2-resnet": Case(
        partial(tiny_checkpoint, architecture=Architecture.RESNET), precisions=PRECISIONS, pipeline=False
    ),
    "stylegan2-conditional-noise-const": Case(partial(tiny_checkpoint, c_dim=3, img_channels=1), {"noise": "const"}),
    "stylegan2-mix-noise-none": Case(tiny_checkpoint, {"mask": "A:0-2,B:3-5", "noise": "none"}),
    "stylegan1": Case(partial(tiny_checkpoint, tiny_stylegan1_spec(c_dim=3))),
    "stylegan1-fading": Case(partial(tiny_checkpoint, tiny_stylegan1_spec(lod=1.4)), {"noise": "const"}),
    "stylegan1-rosinality": Case(
        partial(tiny_checkpoint, tiny_stylegan1_spec(bias_before_blur=True, noise_per_block=True, noise_rate=2**0.5)),
        precisions=PRECISIONS,
        pipeline=False,
    ),
    "stylegan3-t": Case(partial(tiny_checkpoint, tiny_stylegan3_spec(c_dim=3)), precisions=PRECISIONS, pipeline=False),
    "stylegan3-r-mix": Case(partial(tiny_checkpoint, tiny_stylegan3_spec(radial=True)), {"mask": "A:0-2,B:3-5"}),
}
"""Every kind of graph that export writes: a new kind of network or option is a row."""


@pytest.fixture(scope="module", params=CASES)
def built(request: pytest.FixtureRequest, tensorrt_libraries: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """One row of the table: exported, all its graphs built."""
    case = CASES[request.param]
    target = tmp_path_factory.mktemp(request.param) / "bundle"
    bundle = export(case.checkpoint(), target, case.precisions, pipeline=case.pipeline, **case.options)  # type: ignore[arg-type]
    graphs = [bundle.graph_path(name) for name in bundle.manifest.graphs]
    return Built(case, bundle, build_plans(graphs, BATCHES, tensorrt_libraries))


def test_every_graph_builds_without_a_warning(built: Built) -> None:
    assert set(built.reports) == built.case.graphs
    for report in built.reports.values():
        assert_built(report)


def test_the_plans_outputs_are_the_documented_ones(built: Built) -> None:
    channels, side = built.bundle.spec.img_channels, built.bundle.spec.resolution
    assert built.reports["mapping"].outputs == (TensorInfo("w", "float32", (-1, built.bundle.spec.w_dim)),)
    for name in built.reports.keys() - {"mapping"}:
        assert built.reports[name].outputs == (
            TensorInfo("image", "float32", (-1, channels, side, side)),
            TensorInfo("pixels", "uint8", (-1, side, side, channels)),
        )


def test_the_plans_inputs_are_the_manifests(built: Built) -> None:
    for name, report in built.reports.items():
        assert report.inputs == tuple(free_sizes(built.bundle.graph(name).inputs))


@pytest.mark.parametrize("network", OFFICIAL_DEPTH)
def test_a_network_of_official_depth_builds(network: str, tensorrt_libraries: Path, tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(OFFICIAL_DEPTH[network])
    side = checkpoint.spec.resolution
    build_synthesis(checkpoint, Form(identity_mask(checkpoint.spec.num_ws).matrix)).save(tmp_path)
    report = build_plans([tmp_path / "synthesis.onnx"], BATCHES, tensorrt_libraries)["synthesis"]
    assert_built(report)
    assert [item.shape for item in report.outputs] == [(-1, 3, side, side), (-1, side, side, 3)]


REFUSED = {
    "AffineGrid": """
        <ir_version: 9, opset_import: ["": 20]>
        refused (float[batch, 2, 3] theta, int64[4] size) => (float[batch, h, w, 2] grid) {
            grid = AffineGrid (theta, size)
        }""",
    "NonZero": """
        <ir_version: 8, opset_import: ["": 17]>
        refused (float[batch, 8] x) => (int64[2, found] places) {
            places = NonZero (x)
        }""",
}
"""Graphs that are valid ONNX and that TensorRT doesn't take, by the operator that is why."""
FIXED_BATCH = """
    <ir_version: 8, opset_import: ["": 17]>
    fixed (float[batch, 3, 8] x) => (float[2, 24] flat) {
        shape = Constant <value: tensor = int64[2] {2, 24}> ()
        flat = Reshape (x, shape)
    }"""
"""A graph that says that its batch is free, but holds the one that it was traced with."""


@pytest.mark.parametrize("operator", REFUSED)
def test_an_operator_that_tensorrt_refuses_is_named(tensorrt_libraries: Path, tmp_path: Path, operator: str) -> None:
    report = build_text(REFUSED[operator], tmp_path, tensorrt_libraries)
    assert not report.parsed
    assert report.plan_bytes == 0
    assert f"operator {operator}:" in report.errors[0]


def test_a_batch_that_is_not_free_is_told(tensorrt_libraries: Path, tmp_path: Path) -> None:
    report = build_text(FIXED_BATCH, tmp_path, tensorrt_libraries)
    assert report.plan_bytes > 0  # TensorRT only warns, so a warning must fail a test
    assert any("not self-consistent" in warning for warning in report.warnings)
    with pytest.raises(AssertionError, match="not self-consistent"):
        assert_built(report)


def assert_built(report: PlanReport) -> None:
    assert report.parsed, report.errors
    assert (report.errors, report.warnings) == ((), ())
    assert report.plan_bytes > 0


def free_sizes(tensors: Iterable[TensorInfo]) -> Iterable[TensorInfo]:
    """The manifest's tensors as TensorRT writes them: -1 for a named size."""
    for item in tensors:
        yield TensorInfo(item.name, item.dtype, tuple(-1 if isinstance(dim, str) else dim for dim in item.shape))


def build_text(model: str, folder: Path, libraries: Path) -> PlanReport:
    """Build a graph written in ONNX's text form, once ONNX itself took it."""
    parsed = onnx.parser.parse_model(model)
    onnx.checker.check_model(parsed, full_check=True)
    onnx.save(parsed, folder / "graph.onnx")
    return build_plans([folder / "graph.onnx"], BATCHES, libraries)["graph"]
