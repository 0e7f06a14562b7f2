"""`stylegan-edge convert`."""

from __future__ import annotations

from pathlib import Path

import click

from stylegan_edge.options import CHECKPOINT, FORCE


@click.command("convert")
@CHECKPOINT
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE", help="File to write.")
@FORCE
def command(checkpoint: Path, output: Path, force: bool) -> None:
    """Write CHECKPOINT as .safetensors, which holds data only and opens without any trust in its author."""
    from exporter.checkpoints import load_checkpoint, write_safetensors

    write_safetensors(load_checkpoint(checkpoint), output, overwrite=force)
    click.echo(f"{output} ({output.stat().st_size:,} bytes)")
