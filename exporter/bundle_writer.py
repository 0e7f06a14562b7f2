"""Export: a checkpoint to a bundle, which is renamed into place only after its images proved to be the reference's."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from exporter.allocator import keep_freed_memory
from exporter.baking import fixed_rows, noise_mode, parse_baked, with_noise_of
from exporter.blame import layers_to_blame
from exporter.checkpoints import MEAN_W, Checkpoint
from exporter.checkpoints.checkpoint import NOISE_SEED
from exporter.checkpoints.layout import STORED_TRANSFORM
from exporter.directions import directions_bytes, read_directions
from exporter.golden import Reference, draw_reference
from exporter.graphs import Graph, build_mapping, build_pipeline, build_split, build_synthesis
from exporter.in_torch import in_torch
from exporter.mean_w import SAMPLES, SEED
from exporter.networks.deploy import DTYPES, Form
from exporter.networks.deploy.passes import ALL, names_of, without
from exporter.quantize import SCHEMES, Quantizer, check_float_layers
from exporter.splitting import check_split
from exporter.tuning import resolve_target
from runtime.backends import BackendName
from runtime.bundle import CONSTANTS, DIRECTIONS, GOLDEN, Bundle, graph_key
from runtime.errors import InputError, OutputError, ParityError
from runtime.files import sha256_of_path
from runtime.generator import default_batch
from runtime.golden import GoldenInputs
from runtime.graphs import OpenGraphs
from runtime.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    BakedStyle,
    ExportOptions,
    FileInfo,
    Manifest,
    NoiseMode,
    Provenance,
)
from runtime.mixing import Mask, check_mask, identity_mask, parse_mask
from runtime.noise import NO_NOISE
from runtime.output import move_into_place, staging_folder
from runtime.parity import BF16, FP32, Comparison, Figures
from runtime.spec import TRANSFORM, noise_name
from runtime.verify import OUTPUTS, in_batches

PRECISIONS = (*DTYPES, *SCHEMES)
"""Precisions that export writes. float32 is in every bundle: what others are judged by, and what runs everywhere."""
RECORDED_VERSIONS = ("stylegan-edge", "torch", "onnx", "onnxscript", "onnxruntime", "numpy")


def export(
    checkpoint: Checkpoint,
    path: str | Path,
    precisions: Sequence[str] = (FP32,),
    mask: Mask | np.ndarray | str | None = None,
    noise: str | NoiseMode | None = None,
    resolution: int | None = None,
    lod: float | None = None,
    pipeline: bool = False,
    force: bool = False,
    bake: Sequence[str] = (),
    bake_class: int | None = None,
    split: int | None = None,
    bake_noise: int | None = None,
    tune: str = "cpu",
    skip_passes: Sequence[str] = (),
    float_layers: Sequence[str] = (),
    directions: str | Path | None = None,
) -> Bundle:
    """Write a bundle at `path` and return it opened.

    `precisions` are those of synthesis and pipeline, "fp32" among them; mapping is float32.
    `mask` is a mixing mask, its matrix [num_ws, K] or its text (`A:0-6,B:7-13`; None: identity). `noise` is "explicit"
    (None: this), "const" or "none"; `bake_noise` is "const" with what `runtime.noise` draws from this seed for the
    checkpoint's own. `resolution` stops the network early, `lod` sets a StyleGAN's level of detail (None: the
    checkpoint's own), counted from the resolution that is exported; `pipeline` adds the one-graph form, `force`
    replaces an existing bundle. `bake` fixes styles, folded into weights: texts like `7@0-3` or `7*0.7@0-3`, seed,
    psi and rows of `ws`, of the class `bake_class` where the generator is conditional; what is given for these rows
    later is ignored. `split` adds synthesis cut in two, for sessions that hold the first `split` rows of `ws` still.
    `tune` is what the graphs are made fast for: "cpu", "gpu", or "auto", a GPU where this machine has one.
    `skip_passes` names rewrites to do without (`exporter.networks.deploy.passes`); the images are the same.
    `float_layers` names layers, as "b64.conv0", that int8 and fp8 leave in float32. `directions` is an `.npz` file of
    named directions in W, [w_dim] or [num_ws, w_dim], that the bundle carries for edits.

    Raises InputError for a wrong argument, OutputError where the bundle can't be written, ParityError where a graph's
    images are not the reference's; then nothing is left behind and an existing bundle is untouched.
    """
    path = Path(path)
    _check_target(path, force)
    _check_precisions(precisions, split)
    mode = noise_mode(noise, bake_noise)
    passes, target = without(skip_passes), resolve_target(tune)
    if resolution is not None:
        checkpoint = checkpoint.at_resolution(resolution)
    if lod is not None:
        checkpoint = checkpoint.at_lod(lod)
    provenance = _provenance(checkpoint, bake_noise)
    checkpoint = checkpoint.completed()
    if bake_noise is not None:
        checkpoint = with_noise_of(checkpoint, bake_noise)
    kept = check_float_layers(checkpoint, float_layers, precisions)
    chosen = _resolve_mask(mask, checkpoint.spec.num_ws)
    baked = parse_baked(bake, checkpoint.spec, bake_class)
    if split is not None:
        check_split(checkpoint.spec, split, [row for style in baked for row in style.rows])
    named = read_directions(directions, checkpoint.spec) if directions is not None else {}
    keep_freed_memory()
    with staging_folder(path) as folder:
        network = checkpoint.build()
        fixed = fixed_rows(network, baked)
        reference = draw_reference(network, checkpoint.spec, chosen, mode, fixed, pipeline)
        del network
        form = Form(chosen.matrix, mode.value, fixed=fixed, passes=passes, target=target)
        graphs = _graphs(checkpoint, form, [item for item in precisions if item in DTYPES], pipeline, split)
        described = {graph.key: graph.save(folder) for graph in graphs}
        quantizer = Quantizer(folder, checkpoint, chosen, kept)
        described |= {graph.key: graph.save(folder) for graph in quantizer.graphs(precisions)}
        _write_arrays(folder, checkpoint, reference)
        if named:
            (folder / DIRECTIONS).write_bytes(directions_bytes(named))
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            specification=checkpoint.spec,
            options=_options(chosen, baked, form, split, kept),
            graphs=described,
            parity=(),
            provenance=provenance,
            files={entry.name: _describe(entry) for entry in sorted(folder.iterdir())},
        )
        _write_manifest(folder, manifest)
        figures = list(_measure(Bundle(folder), checkpoint, form, reference))
        _require_parity(figures, lambda item: layers_to_blame(Bundle(folder), checkpoint, reference, item.precision))
        _write_manifest(folder, dataclasses.replace(manifest, parity=tuple(figures)))
        move_into_place(folder, path)
    return Bundle(path)


def _check_target(path: Path, force: bool) -> None:
    """Refuse, before any work, a target that may not be replaced."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise OutputError(f"{path}: is a file, expected the name of a new folder")
    if not path.exists():
        return
    if not force:
        raise OutputError(f"{path}: exists already; choose another name, or pass --force to replace that bundle")
    if any(path.iterdir()) and not (path / MANIFEST).is_file():
        raise OutputError(
            f"{path}: is not a bundle (no {MANIFEST}), so --force will not replace it; choose another name"
        )


def _check_precisions(precisions: Sequence[str], split: int | None) -> None:
    unknown = [item for item in precisions if item not in PRECISIONS]
    if unknown or not precisions:
        raise InputError(f"precision {(unknown or ['none'])[0]!r} is unknown, expected {', '.join(PRECISIONS)}")
    if FP32 not in precisions or len(set(precisions)) < len(precisions):
        raise InputError(f"precisions are {', '.join(precisions)}, expected {FP32} among them and none twice")
    if BF16 in precisions and split is not None:
        raise InputError(f"a split was asked for, which {BF16} can't have: NumPy has no such numbers; leave one out")


def _resolve_mask(mask: Mask | np.ndarray | str | None, num_ws: int) -> Mask:
    if mask is None:
        return identity_mask(num_ws)
    if isinstance(mask, str):
        return parse_mask(mask, num_ws)
    matrix = check_mask(mask.matrix if isinstance(mask, Mask) else mask, num_ws)
    return mask if isinstance(mask, Mask) else Mask(matrix, tuple(f"source_{k}" for k in range(matrix.shape[1])))


def _options(
    mask: Mask, baked: tuple[BakedStyle, ...], form: Form, split: int | None, float_layers: tuple[str, ...]
) -> ExportOptions:
    return ExportOptions(
        noise=NoiseMode(form.noise),
        mask=tuple(tuple(float(value) for value in row) for row in mask.matrix),
        sources=mask.sources,
        identity_mask=mask.is_identity,
        baked=baked,
        split=split,
        tuned_for=form.target.value,
        skipped_passes=tuple(names_of(ALL - form.passes)),
        float_layers=float_layers,
    )


def _graphs(
    checkpoint: Checkpoint, form: Form, precisions: Sequence[str], pipeline: bool, split: int | None
) -> Iterator[Graph]:
    """One graph at a time, so that only one is in memory."""
    yield build_mapping(checkpoint)
    for precision in precisions:
        form = dataclasses.replace(form, precision=precision)
        yield build_synthesis(checkpoint, form)
        if pipeline:
            yield build_pipeline(checkpoint, form)
        if split is not None:
            yield from build_split(checkpoint, form, split)


def _write_arrays(folder: Path, checkpoint: Checkpoint, reference: Reference) -> None:
    arrays = {"w_avg": checkpoint.weights[MEAN_W]}
    for index, item in enumerate(checkpoint.spec.noise_inputs):
        arrays[noise_name(index)] = checkpoint.weights[item.buffer]
    if checkpoint.spec.takes_transform:
        arrays[TRANSFORM] = checkpoint.weights[STORED_TRANSFORM]
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    (folder / CONSTANTS).write_bytes(file.getvalue())
    (folder / GOLDEN).write_bytes(reference.samples.head(reference.stored).to_bytes())


def _describe(path: Path) -> FileInfo:
    return FileInfo(sha256_of_path(path), path.stat().st_size)


def _provenance(checkpoint: Checkpoint, bake_noise: int | None) -> Provenance:
    """Of the checkpoint as it was read, before what it lacks was made."""
    stored = "stored in the checkpoint"
    return Provenance(
        checkpoint=checkpoint.name,
        checkpoint_sha256=checkpoint.sha256,
        checkpoint_format=checkpoint.source.value,
        mean_w=stored if checkpoint.has_mean_w else f"computed from {SAMPLES} samples, seed {SEED}",
        noise=_noise_origin(checkpoint, bake_noise),
        versions={name: _version(name) for name in RECORDED_VERSIONS},
    )


def _noise_origin(checkpoint: Checkpoint, bake_noise: int | None) -> str:
    if bake_noise is not None:
        return f"drawn from seed {bake_noise}, as asked for"
    if not checkpoint.spec.noise_inputs:
        return NO_NOISE
    return "stored in the checkpoint" if checkpoint.has_noise else f"drawn from seed {NOISE_SEED}"


def _version(name: str) -> str:
    if name == "torch":
        return torch.__version__
    try:
        return version(name)
    except ModuleNotFoundError:  # onnxruntime under its other name
        return version(f"{name}-gpu") if name == "onnxruntime" else "unknown"


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_text(manifest.to_text(), encoding="utf-8")


def _measure(bundle: Bundle, checkpoint: Checkpoint, form: Form, reference: Reference) -> Iterator[Figures]:
    """Run every graph over the golden samples, whole images, one precision at a time.

    On ONNX Runtime, and in PyTorch where that has no operators for it.
    """
    golden = GoldenInputs(bundle, reference.samples)
    for precision in bundle.precisions:
        if precision == BF16:
            has_pipeline = graph_key("pipeline", precision) in bundle.manifest.graphs
            graphs = in_torch(checkpoint, dataclasses.replace(form, precision=precision), has_pipeline)
        else:
            graphs = OpenGraphs.open(bundle, BackendName.ONNXRUNTIME, precision=precision)
        if precision == FP32:
            yield _measure_mapping(golden, graphs)
        yield from _measure_images(golden, graphs, reference.images)
        graphs.close()


def _measure_mapping(golden: GoldenInputs, graphs: OpenGraphs) -> Figures:
    samples = golden.samples
    mapping = Comparison("mapping", "reference", len(samples.w))
    mapping.add(samples.w, graphs.mapping.run(golden.mapping(golden.z, samples.c), ["w"])[0])
    if len(samples.classes):
        (w,) = graphs.mapping.run(golden.mapping(*golden.class_inputs), ["w"])
        mapping.add(samples.class_w, w[:, : samples.class_w.shape[1]])
    return mapping.figures()


def _measure_images(golden: GoldenInputs, graphs: OpenGraphs, images: np.ndarray) -> Iterator[Figures]:
    spec, drawn = golden.bundle.spec, golden.synthesis_images
    batch, rounding = min(default_batch(spec), len(drawn)), spec.synthesis.float32_rounding
    for name, graph in (("synthesis", graphs.synthesis), ("tail", graphs.split)):
        if graph is None:
            continue
        comparison = Comparison(name, "reference", batch, graphs.precision, rounding)
        for rows, distinct in in_batches(len(drawn), batch):
            outputs = graph.run(golden.synthesis(drawn[rows]), OUTPUTS)
            comparison.add_images(images[drawn[rows]], outputs, distinct)
        yield comparison.figures()
    if graphs.pipeline is not None:
        comparison = Comparison("pipeline", "reference", 1, graphs.precision, rounding)
        for image in golden.pipeline_images.tolist():
            outputs = graphs.pipeline.run(golden.pipeline(image), OUTPUTS)
            comparison.add_images(images[image][None], outputs, 1)
        yield comparison.figures()


def _require_parity(figures: Sequence[Figures], reason: Callable[[Figures], str]) -> None:
    for item in figures:
        if not item.passed:
            raise ParityError(
                f"the {item.graph} graph in {item.precision} does not draw the reference's images "
                f"({'; '.join(item.failures())}){reason(item)}; the bundle was not written"
            )
