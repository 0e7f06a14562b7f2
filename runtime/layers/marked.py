"""A bundle with a graph that puts out what its layers do, so that every backend that runs a bundle can say it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

from runtime.bundle import Bundle, graph_key
from runtime.errors import BundleError
from runtime.files import sha256_of_path
from runtime.layers.model_file import AddedOutput, ModelFile, with_outputs
from runtime.manifest import MANIFEST, FileInfo, TensorInfo
from runtime.parity import FP32
from runtime.spec import Generation, GeneratorSpec, LayerOutput

IMAGE, PIXELS, WS = "image", "pixels", "ws"
"""A graph's outputs, and the rows of `ws` that the pipeline graph makes for itself."""


def read_model(bundle: Bundle, name: str, precision: str) -> ModelFile:
    """What a graph's file says of itself."""
    path = bundle.graph_path(name, bundle.precision_of(name, precision))
    return ModelFile.read(path.read_bytes(), str(path))


def layers_of(spec: GeneratorSpec, graph: str, model: ModelFile) -> dict[LayerOutput, str]:
    """The outputs of layers that a graph can say, in order, and the value of the graph that each is.

    The last layer of a graph makes the graph's own output, by whose name it goes. Raises BundleError where a graph has
    no layers' names, as those of other exporters.
    """
    outputs: list[LayerOutput] = [item for item in spec.outputs if item.name.startswith("mapping.")]
    if graph == "mapping":
        last = {outputs[-1]: "w"}
    else:
        synthesis = list(spec.synthesis.outputs(spec.img_channels))
        rows = [LayerOutput(WS, spec.num_ws, None)]
        outputs = [*outputs, *rows, *synthesis] if graph == "pipeline" else synthesis
        last = {synthesis[-1]: IMAGE}
    known = set(model.values)
    found = {item: item.name for item in outputs if item.name in known}
    found |= {item: name for item, name in last.items() if item not in found and name in known}
    if len(found) < 2:
        raise BundleError(f"the {graph} graph's values have no layers' names; export the bundle again")
    return found


def mark_bundle(
    bundle: Bundle, graph: str, precision: str, wanted: Mapping[LayerOutput, str], folder: Path
) -> tuple[Bundle, dict[LayerOutput, str]]:
    """A copy of a bundle, without its engines, one of whose graphs has further outputs, all float32.

    `wanted` has what the graph is to say, as `layers_of` found it. Also returns the output that each is in the copy.
    """
    for name in bundle.manifest.files:
        _link(bundle.path / name, folder / name)
    own = bundle.precision_of(graph, precision)
    info = bundle.graph(graph, own)
    known = {item.name for item in info.outputs}
    padded = bundle.spec.generation is Generation.STYLEGAN3
    added = {
        item: AddedOutput(value, _rank(item), own != FP32, item.channels if padded and item.size else None)
        for item, value in wanted.items()
        if value not in known
    }
    path = folder / info.file
    path.unlink()
    path.write_bytes(with_outputs((bundle.path / info.file).read_bytes(), list(added.values())))
    described = [_described(bundle.spec, item, output.name) for item, output in added.items()]
    marked = dataclasses.replace(info, outputs=(*info.outputs, *described))
    changed = dataclasses.replace(
        bundle.manifest,
        graphs=bundle.manifest.graphs | {graph_key(graph, own): marked},
        files=bundle.manifest.files | {info.file: FileInfo(sha256_of_path(path), path.stat().st_size)},
    )
    (folder / MANIFEST).write_text(changed.to_text(), encoding="utf-8")
    return Bundle(folder), {item: added[item].name if item in added else value for item, value in wanted.items()}


def _rank(item: LayerOutput) -> int:
    """Dimensions of a layer's output; `ws` has one more than other vectors."""
    return 4 if item.size else 3 if item.name == WS else 2


def _described(spec: GeneratorSpec, item: LayerOutput, name: str) -> TensorInfo:
    sizes = (spec.num_ws, spec.w_dim) if item.name == WS else (item.channels, *([item.size] * 2 if item.size else []))
    return TensorInfo(name, "float32", ("batch", *sizes))


def _link(source: Path, target: Path) -> None:
    """The same file under another name, or a copy where the file system has no such links."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
