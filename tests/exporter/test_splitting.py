"""Synthesis cut in two: what export writes of it, refuses and proves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from engines.store import find_sources
from exporter import export
from exporter.networks.deploy import DeployTail
from exporter.splitting import check_split
from exporter.tensorrt_lint import lint_graph
from exporter.verify import verify_reference
from runtime import Bundle
from runtime.errors import BundleError, InputError, ParityError
from runtime.graphs import OpenGraphs
from runtime.parity import all_passed
from runtime.spec import Architecture, GeneratorSpec, noise_name
from runtime.verify import verify_golden
from stylegan_edge.cli import run
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec

NETWORKS = {
    "skip": (tiny_spec(), 3, ["x", "rgb"]),
    "resnet, inside a block": (tiny_spec(Architecture.RESNET), 4, ["x", "shortcut"]),
    "toRGB alone": (tiny_spec(), 5, ["x", "rgb"]),
    "StyleGAN fading": (tiny_stylegan1_spec(lod=0.4), 4, ["x", "rgb"]),
    "StyleGAN, maps shared across the cut": (tiny_stylegan1_spec(noise_per_block=True), 3, ["x"]),
    "StyleGAN3-t": (tiny_stylegan3_spec(), 3, ["x"]),
    "StyleGAN3-r, its input alone": (tiny_stylegan3_spec(radial=True), 1, ["x"]),
}
NARROW = {name: {"fp16": "float16"} for name in ("skip", "resnet, inside a block", "StyleGAN3-t")}
"""Those that are cut in float16 too."""


@pytest.fixture(scope="module")
def skip_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The first of `NETWORKS`, float16 included."""
    return export(tiny_checkpoint(), tmp_path_factory.mktemp("skip") / "bundle", ("fp32", "fp16"), split=3)


@pytest.mark.parametrize("name", NETWORKS)
def test_head_and_tail_hold_a_part_each_and_are_proven(name: str, skip_bundle: Bundle, tmp_path: Path) -> None:
    spec, split, crossing = NETWORKS[name]
    checkpoint, precisions = tiny_checkpoint(spec), {"fp32": "float32", **NARROW.get(name, {})}
    bundle = skip_bundle
    if name != "skip":
        bundle = export(checkpoint, tmp_path / "bundle", tuple(precisions), split=split)
    assert bundle.manifest.options.split == split
    for precision, dtype in precisions.items():
        head, tail, whole = (bundle.graph(item, precision) for item in ("head", "tail", "synthesis"))
        assert [item.name for item in head.outputs] == crossing
        assert [item.dtype for item in head.outputs] == [dtype] + ["float32"] * (len(crossing) - 1)
        assert [item.name for item in tail.inputs if not item.name.startswith(("styles", "noise"))] == crossing
        assert tail.outputs == whole.outputs
        assert tail.inputs[0].shape == ("x_batch", *head.outputs[0].shape[1:])
        both = {item.name for item in (*head.inputs, *tail.inputs)} - set(crossing)
        assert both == {item.name for item in whole.inputs}
        assert "transform" not in [item.name for item in tail.inputs]
        sizes = [bundle.manifest.files[graph.file].size for graph in (head, tail, whole)]
        assert max(sizes[:2]) < sizes[2]
        assert {"head", "tail"} < {item.name for item in find_sources(bundle, precision, ())}
        for item in ("head", "tail"):
            assert lint_graph(bundle.graph_path(item, precision), (8, 6)).findings == ()
    measured = [(item.graph, item.precision) for item in bundle.manifest.parity]
    assert {("tail", precision) for precision in precisions} <= set(measured)
    figures = verify_reference(bundle, checkpoint, OpenGraphs.open(bundle), (1, 3), samples=4, seed=1)
    for precision in precisions:
        figures += verify_golden(bundle, OpenGraphs.open(bundle, precision=precision), (2,))
    assert [item.graph for item in figures].count("tail") == 2 + len(precisions)
    assert all_passed(figures)


@pytest.mark.parametrize("noise", ["const", "none"])
def test_noise_may_be_baked_or_left_out(noise: str, tmp_path: Path) -> None:
    bundle = export(tiny_checkpoint(), tmp_path / "bundle", noise=noise, split=3, mask="A:0-3,B:4-5", bake=["1@4"])
    assert [item.name for item in bundle.graph("head").inputs] == ["styles"]
    assert [item.name for item in bundle.graph("tail").inputs] == ["x", "rgb", "styles"]


def test_the_graphs_are_onnx_for_anybody(skip_bundle: Bundle) -> None:
    """One head's activations serve several images, without a word to the graph."""
    bundle = skip_bundle
    whole, head, tail = (
        onnxruntime.InferenceSession(str(bundle.graph_path(name)), providers=["CPUExecutionProvider"])
        for name in ("synthesis", "head", "tail")
    )
    ws = np.random.RandomState(0).randn(4, 6, bundle.spec.w_dim).astype(np.float32)
    ws[:, :3] = ws[0, :3]
    x, rgb = head.run(["x", "rgb"], {"styles": ws[:1], **_noise(bundle, "head")})
    (measured,) = tail.run(["image"], {"x": x, "rgb": rgb, "styles": ws, **_noise(bundle, "tail")})
    (expected,) = whole.run(["image"], {"styles": ws, **_noise(bundle, "synthesis")})
    assert np.abs(measured - expected).max() <= 1e-5 * np.abs(expected).max()


def _noise(bundle: Bundle, graph: str) -> dict[str, np.ndarray]:
    """The checkpoint's own, for the inputs that a graph has."""
    names = {item.name for item in bundle.graph(graph).inputs}
    maps = {noise_name(index): array[None, None] for index, array in enumerate(bundle.stored_noise)}
    return {name: array for name, array in maps.items() if name in names}


def test_a_wrong_tail_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = DeployTail.forward

    def wrong(self: DeployTail, activations: Any, styles: Any, noise: Any) -> Any:
        return forward(self, (activations[0] * 1.1, *activations[1:]), styles, noise)

    monkeypatch.setattr(DeployTail, "forward", wrong)
    with pytest.raises(ParityError, match="the tail graph in fp32 does not draw the reference's images"):
        export(tiny_checkpoint(), tmp_path / "bundle", split=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spec", "split", "baked", "message"),
    [
        (tiny_spec(), 0, [], "split is 0, expected 1 to 5, so that layers are left on both sides"),
        (tiny_spec(), 6, [], "split is 6, expected 1 to 5"),
        (tiny_spec(), 2.5, [], "split is 2.5, expected a whole number"),
        (tiny_spec(channels=(5,)), 2, [], "split is 2, expected 1 to 1"),
        (tiny_stylegan1_spec(lod=1.0), 4, [], "split is 4, expected 1 to 3"),
        (tiny_stylegan3_spec(), 6, [], "split is 6, expected 1 to 5"),
        (tiny_spec(), 3, [2, 4], "row 2 is baked and before the split at 3: bake later rows"),
        (tiny_spec(), 4, [4, 5], "all rows from the split at 4 on are baked"),
    ],
)
def test_where_there_is_no_split(spec: GeneratorSpec, split: Any, baked: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_split(spec, split, baked)


def test_nothing_is_left_of_a_refused_split(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="split is 6"):
        export(tiny_checkpoint(), tmp_path / "bundle", split=6)
    assert list(tmp_path.iterdir()) == []


def test_from_the_command_line(tmp_path: Path, tiny_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = str(tmp_path / "bundle")
    assert run(["export", str(tiny_file), "-o", target, "--split", "3"]) == 0
    assert "head.onnx, mapping.onnx, synthesis.onnx, tail.onnx" in capsys.readouterr().out
    assert run(["inspect", target]) == 0
    shown = capsys.readouterr().out
    assert "at style row 3: a session may hold the rows before it still" in shown
    assert "tail.onnx" in shown
    assert run(["verify", target, "--batch", "2"]) == 0
    assert "tail" in capsys.readouterr().out
    assert run(["export", str(tiny_file), "-o", str(tmp_path / "no"), "--split", "6"]) == 2
    assert capsys.readouterr().err == ("Error: split is 6, expected 1 to 5, so that layers are left on both sides\n")


def test_a_manifest_that_promises_a_split_must_have_it(tiny_bundle: Bundle, tmp_path: Path) -> None:
    import dataclasses
    import shutil

    folder = Path(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))
    manifest = tiny_bundle.manifest
    promised = dataclasses.replace(manifest, options=dataclasses.replace(manifest.options, split=2))
    (folder / "manifest.json").write_text(promised.to_text())
    with pytest.raises(BundleError, match="has no graph 'head'"):
        Bundle(folder)
