"""`stylegan-edge export`."""

from __future__ import annotations

from pathlib import Path

import click

from stylegan_edge.options import CHECKPOINT, FORCE, JSON


@click.command("export")
@CHECKPOINT
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="BUNDLE", help="Folder to write."
)
@click.option("--precision", default="fp32", show_default=True, help="Precisions, separated by commas.")
@click.option("--mix", metavar="MASK", help="Mixing mask to bake in, like 'A:0-6,B:7-13' or 'A*0.3+B*0.7:0-13'.")
@click.option(
    "--noise",
    type=click.Choice(["explicit", "const", "none"]),
    help="Noise as inputs, baked in from the checkpoint, or left out [default: explicit].",
)
@click.option(
    "--bake-noise",
    type=click.IntRange(min=0),
    metavar="SEED",
    help="Bake in noise of a seed, not the checkpoint's own.",
)
@click.option("--resolution", type=click.IntRange(min=4), metavar="R", help="Stop at a lower resolution.")
@click.option(
    "--lod",
    type=click.FloatRange(min=0),
    metavar="X",
    help="Level of detail of a StyleGAN: 0 full resolution, 1 half, between them a blend [default: the checkpoint's].",
)
@click.option(
    "--bake-style",
    "baked",
    multiple=True,
    metavar="SEED[*PSI]@LAYERS",
    help="Fix style rows, folded into weights, as 7@0-3 or 7*0.7@0-3; may be repeated.",
)
@click.option("--bake-class", type=click.IntRange(min=0), metavar="K", help="Class of the baked styles.")
@click.option(
    "--split",
    type=click.IntRange(min=1),
    metavar="R",
    help="Add head.onnx and tail.onnx, for sessions that hold the first R style rows still.",
)
@click.option(
    "--tune",
    type=click.Choice(["cpu", "gpu", "auto"]),
    default="cpu",
    show_default=True,
    help="What to make the graphs fast for; auto: this machine's GPU, if it has one.",
)
@click.option(
    "--skip-pass",
    "skipped",
    multiple=True,
    metavar="NAME",
    help="Do without a rewrite (gain, styles, rgb, up, parts, widths, phases); may be repeated.",
)
@click.option(
    "--float-layers",
    metavar="NAME,...",
    help="Layers that int8 and fp8 leave in float32, separated by commas, as b64.conv0.",
)
@click.option(
    "--directions",
    type=click.Path(path_type=Path),
    metavar="NPZ",
    help="Named directions in W, [w_dim] or [num_ws, w_dim], that the bundle carries for edits.",
)
@click.option("--pipeline", is_flag=True, help="Add pipeline.onnx: z to pixels in one graph, psi as an input.")
@FORCE
@JSON
def command(
    checkpoint: Path,
    output: Path,
    precision: str,
    mix: str | None,
    noise: str | None,
    bake_noise: int | None,
    resolution: int | None,
    lod: float | None,
    baked: tuple[str, ...],
    bake_class: int | None,
    split: int | None,
    tune: str,
    skipped: tuple[str, ...],
    float_layers: str | None,
    directions: Path | None,
    pipeline: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Turn CHECKPOINT into a bundle of ONNX graphs, checked against PyTorch before it is written."""
    from runtime.extras import require

    for module in ("torch", "onnx", "onnxscript"):
        require(module)
    from exporter import export, load_checkpoint
    from stylegan_edge.display import figures_document, print_figures, print_json, status

    with status(f"Exporting {checkpoint}"):
        bundle = export(
            load_checkpoint(checkpoint),
            output,
            precisions=[item.strip() for item in precision.split(",")],
            mask=mix,
            noise=noise,
            resolution=resolution,
            lod=lod,
            pipeline=pipeline,
            force=force,
            bake=baked,
            bake_class=bake_class,
            split=split,
            tune=tune,
            skip_passes=skipped,
            bake_noise=bake_noise,
            directions=directions,
            float_layers=[item.strip() for item in float_layers.split(",")] if float_layers is not None else (),
        )
    manifest = bundle.manifest
    if as_json:
        print_json({"bundle": str(output), "parity": figures_document(manifest.parity)})
        return
    print_figures(manifest.parity)
    click.echo(f"Mean of w: {manifest.provenance.mean_w}. Noise: {manifest.provenance.noise}.")
    click.echo(f"Bundle: {output} ({', '.join(graph.file for graph in manifest.graphs.values())})")
