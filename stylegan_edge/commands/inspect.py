"""`stylegan-edge inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime.errors import InputError
from stylegan_edge.options import JSON

if TYPE_CHECKING:
    from exporter.checkpoints import Checkpoint
    from runtime.bundle import Bundle
    from runtime.engine_record import EngineRecord
    from runtime.errors import BundleError
    from runtime.manifest import BakedStyle
    from runtime.spec import GeneratorSpec


class TensorRTVersion(click.ParamType):
    """`10.3` -> (10, 3)."""

    name = "VERSION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Parse, with one line for what is no version or one that nothing is known of."""
        from runtime.tensorrt.versions import parse_supported

        if isinstance(value, tuple):
            return value
        try:
            return parse_supported(str(value))
        except InputError as error:
            self.fail(str(error), param, ctx)


@click.command("inspect")
@click.argument("path", type=click.Path(path_type=Path), metavar="CHECKPOINT | BUNDLE")
@click.option(
    "--tensorrt",
    "version",
    type=TensorRTVersion(),
    metavar="VERSION",
    help="Name each node of the bundle's graphs that this TensorRT would refuse, such as 8.6 or 10.3; "
    "needs no TensorRT. Exits with 1 where there is one.",
)
@JSON
def command(path: Path, version: tuple[int, ...] | None, as_json: bool) -> int:
    """Show what a checkpoint or a bundle holds. Nothing in it is run, and a checkpoint needs no PyTorch for it."""
    if version is not None:
        return _lint(path, version, as_json)
    _show(path, as_json)
    return 0


def _lint(path: Path, version: tuple[int, ...], as_json: bool) -> int:
    from runtime import Bundle
    from runtime.extras import require
    from stylegan_edge.cli import EXIT_CHECK_FAILED
    from stylegan_edge.display import print_json
    from stylegan_edge.lint_report import document, lines

    bundle = Bundle(path)
    require("onnx")
    from exporter.tensorrt_lint import lint_graph

    reports = [lint_graph(bundle.path / graph.file, version) for graph in bundle.manifest.graphs.values()]
    if as_json:
        print_json({"bundle": str(path), **document(reports, version)})
    else:
        for line in lines(reports, version):
            click.echo(line)
    return EXIT_CHECK_FAILED if any(report.refused for report in reports) else 0


def _show(path: Path, as_json: bool) -> None:
    from stylegan_edge.display import print_json

    if path.is_dir():
        from runtime import Bundle

        bundle = Bundle(path)
        if as_json:
            print_json({**_bundle_facts(bundle), "engines": _engines(bundle), **_network_document(bundle.spec)})
        else:
            _print(str(path), {**_bundle_facts(bundle), **_engine_facts(bundle)}, bundle.spec)
        return
    from exporter.checkpoints import load_checkpoint

    checkpoint = load_checkpoint(path)
    if as_json:
        print_json({**_checkpoint_facts(checkpoint), **_network_document(checkpoint.spec)})
    else:
        _print(str(path), _checkpoint_facts(checkpoint), checkpoint.spec)


def _checkpoint_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "format": checkpoint.source.value,
        **checkpoint.details,
        "sha256": checkpoint.sha256,
        "parameters": checkpoint.parameter_count,
        "mean of w": "stored" if checkpoint.has_mean_w else "absent: export computes it from 65,536 seeded samples",
        "noise": _noise_of(checkpoint),
    }


def _noise_of(checkpoint: Checkpoint) -> str:
    from runtime.noise import NO_NOISE

    if not checkpoint.spec.noise_inputs:
        return NO_NOISE
    return "stored" if checkpoint.has_noise else "absent: export draws it from a seed"


def _bundle_facts(bundle: Bundle) -> dict[str, Any]:
    from runtime.noise import NO_NOISE

    manifest = bundle.manifest
    return {
        "format": f"stylegan-edge bundle, version {manifest.format_version}",
        "checkpoint": manifest.provenance.checkpoint,
        "checkpoint sha256": manifest.provenance.checkpoint_sha256,
        "noise": manifest.options.noise.value if manifest.specification.noise_inputs else NO_NOISE,
        "mixing": "identity" if manifest.options.identity_mask else ", ".join(manifest.options.sources),
        "baked styles": "; ".join(_baked_of(style) for style in manifest.options.baked) or "none",
        "split": _split_of(manifest.options.split),
        "made for": f"a {manifest.options.tuned_for.upper()}",
        "rewrites left out": ", ".join(manifest.options.skipped_passes) or "none",
        "mean of w": manifest.provenance.mean_w,
        "stored noise": manifest.provenance.noise,
        **{
            f"{name}.onnx": f"{graph.precision}, opset {graph.opset}, {graph.nodes} nodes, "
            f"{manifest.files[graph.file].size:,} bytes"
            for name, graph in manifest.graphs.items()
        },
        **{f"exported with {name}": version for name, version in manifest.provenance.versions.items()},
    }


def _split_of(split: int | None) -> str:
    return "none" if split is None else f"at style row {split}: a session may hold the rows before it still"


def _read_engines(bundle: Bundle) -> dict[str, EngineRecord | BundleError]:
    """Every engine's record by the name of its folder, or what is wrong with it."""
    from runtime.engines import engine_folders, read_engine
    from runtime.errors import BundleError

    found: dict[str, EngineRecord | BundleError] = {}
    for folder in engine_folders(bundle):
        try:
            found[folder.name] = read_engine(folder).record
        except BundleError as error:
            found[folder.name] = error
    return found


def _engines(bundle: Bundle) -> list[dict[str, Any]]:
    """The same for JSON."""
    from runtime.records import to_plain

    return [
        {"engine": name, **({"error": str(record)} if isinstance(record, Exception) else to_plain(record))}
        for name, record in _read_engines(bundle).items()
    ]


def _engine_facts(bundle: Bundle) -> dict[str, str]:
    """The same for people, with a line for each up-convolution that the device decided on."""
    return {
        f"engine {name}": str(record)
        if isinstance(record, Exception)
        else "\n".join(
            [
                f"{', '.join(sorted(record.plans))} for {record.device.name}",
                *(f"tuned: {layer.graph} {layer.summary()}" for layer in record.tuning),
            ]
        )
        for name, record in _read_engines(bundle).items()
    }


def _baked_of(style: BakedStyle) -> str:
    label = "" if style.label is None else f", class {style.label}"
    return f"rows {', '.join(map(str, style.rows))} of seed {style.seed}, psi {style.psi:g}{label}"


def _network_document(spec: GeneratorSpec) -> dict[str, Any]:
    from runtime.cost import count_cost

    cost = count_cost(spec)
    return {
        "specification": spec.to_json(),
        "num_ws": spec.num_ws,
        "noise_inputs": [list(shape) for shape in spec.noise_shapes],
        "takes_transform": spec.takes_transform,
        "gmac": {
            "convolutions": cost.convolutions / 1e9,
            "fir": cost.fir / 1e9,
            "styles": cost.styles / 1e9,
            "mapping": cost.mapping / 1e9,
            "total": cost.total / 1e9,
        },
        "layers": _layers(spec),
    }


def _truncation(spec: GeneratorSpec) -> str:
    psi, rows = spec.truncation.psi, spec.default_cutoff
    return "none" if psi == 1 else f"psi {psi:g}, {'all rows' if rows is None else f'the first {rows} rows'}"


def _layers(spec: GeneratorSpec) -> list[dict[str, Any]]:
    from runtime.cost import count_cost

    costs = {item.name: item for item in count_cost(spec).layers}
    return [
        {
            "name": layer.name,
            "input": [layer.in_channels, layer.in_size, layer.in_size],
            "output": [layer.out_channels, layer.out_size, layer.out_size],
            "style_row": layer.style,
            "noise": layer.noise,
            "gmac": (costs[layer.name].convolution + costs[layer.name].fir) / 1e9,
        }
        for layer in spec.layers
    ]


def _print(title: str, facts: dict[str, Any], spec: GeneratorSpec) -> None:
    from runtime.cost import count_cost
    from stylegan_edge.display import print_facts, print_table

    cost, mapping = count_cost(spec), spec.mapping
    rows = {
        **facts,
        "generation": spec.generation.value,
        **spec.synthesis.summary(),
        "image": f"{spec.resolution} x {spec.resolution}, {spec.img_channels} channels",
        "latents": f"z {spec.z_dim}, w {spec.w_dim}, labels {spec.c_dim or 'none'}, {spec.num_ws} style rows",
        "mapping": f"{len(mapping.features)} layers of {', '.join(sorted({str(w) for w in mapping.features}))}, "
        f"lr multiplier {mapping.lr_multiplier:g}",
        "default truncation": _truncation(spec),
        "noise inputs": len(spec.noise_shapes),
        "GMAC an image": f"{cost.convolutions / 1e9:.4g} convolutions + {cost.fir / 1e9:.3g} FIR "
        f"+ {(cost.styles + cost.mapping) / 1e9:.2g} styles and mapping",
    }
    print_facts(title, rows)
    print_table(
        "Layers",
        ["layer", "input", "output", "style row", "noise", "GMAC"],
        [
            [
                layer["name"],
                " x ".join(map(str, layer["input"])),
                " x ".join(map(str, layer["output"])),
                "-" if layer["style_row"] is None else str(layer["style_row"]),
                "-" if layer["noise"] is None else f"noise_{layer['noise']:02d}",
                f"{layer['gmac']:.4f}",
            ]
            for layer in _layers(spec)
        ],
    )
