"""`stylegan-edge interpolate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_edge.options import BUNDLE, Drawing, SeedList, drawing_options

if TYPE_CHECKING:
    import numpy as np


@click.command("interpolate")
@BUNDLE
@click.option("--seeds", type=SeedList(), required=True, help="Seeds to pass through, like 0-5; the film loops.")
@click.option("--frames", type=click.IntRange(1, 100_000), default=240, show_default=True, help="Frames in all.")
@click.option("--fps", type=float, default=30, show_default=True, help="Frames a second.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE", help=".mp4, .webm or .gif"
)
@drawing_options
def command(
    bundle: Path,
    seeds: list[int],
    frames: int,
    fps: float,
    output: Path,
    drawing: Drawing,
) -> None:
    """Draw a film that moves from seed to seed in W and returns to the first."""
    from runtime.errors import InputError
    from runtime.video import check_video, style_path, write_video
    from stylegan_edge.display import progress

    check_video(output, fps, drawing.force)
    generator = drawing.load(bundle)
    per_image = generator.seeds_per_image
    if len(seeds) % per_image:
        raise InputError(f"{len(seeds)} seeds given, expected a multiple of {per_image}: one a mixing source")
    keys = drawing.styles(generator, seeds)
    path = style_path(keys, frames)
    size = generator.batch_size(drawing.batch)
    with progress("Drawing", frames) as advance:

        def pictures() -> Iterator[np.ndarray]:
            for start in range(0, frames, size):
                for frame in generator.synthesize(path[start : start + size], drawing.noise, "pixels", size):
                    yield frame
                    advance()

        write_video(output, pictures(), fps, overwrite=drawing.force)
    click.echo(f"{output} ({frames} frames, {frames / fps:.1f} s)")
