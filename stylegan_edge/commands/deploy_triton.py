"""`stylegan-edge deploy triton`."""

from __future__ import annotations

from pathlib import Path

import click

from stylegan_edge.options import BUNDLE, FORCE


@click.command("triton")
@BUNDLE
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="REPO",
    help="Model repository to write, or to add the models to.",
)
@click.option("--name", metavar="NAME", help="Name of the model z -> pixels [default: the bundle's folder].")
@click.option("--precision", default="fp32", show_default=True, metavar="P", help="Precision of synthesis.")
@click.option(
    "--platform",
    type=click.Choice(["onnxruntime", "tensorrt"]),
    default="onnxruntime",
    show_default=True,
    help="What executes synthesis; tensorrt: the bundle's engine, as 'stylegan-edge build' makes it.",
)
@click.option("--engine", metavar="NAME", help="Which of the bundle's engines, by its folder, where several fit.")
@click.option(
    "--max-batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="Images at once [default: what suits the generator, or all that the engine takes].",
)
@FORCE
def command(
    bundle: Path,
    output: Path,
    name: str | None,
    precision: str,
    platform: str,
    engine: str | None,
    max_batch: int | None,
    force: bool,
) -> None:
    """Write BUNDLE as models of a Triton model repository: NAME (z -> pixels) and the three that it is made of.

    Other models in REPO stay as they are; --force replaces those of the same name.
    """
    from runtime.extras import require

    require("onnx", "triton")
    from exporter.triton import Platform, write_repository
    from runtime import Bundle

    repository = write_repository(Bundle(bundle), output, name, precision, Platform(platform), max_batch, engine, force)
    for model in repository.names:
        click.echo(output / model)
    if repository.plan is not None:
        click.echo(f"Synthesis is a TensorRT plan: it needs {repository.plan.what_it_needs}")
    home = output / repository.ensemble.name
    click.echo(f"Run: tritonserver --model-repository={output}; then python {home / 'client.py'} --seeds 0-7")
