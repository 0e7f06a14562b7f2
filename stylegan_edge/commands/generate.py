"""`stylegan-edge generate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_edge.options import Drawing, Pair, SeedList, drawing_options

if TYPE_CHECKING:
    import numpy as np


@click.command("generate")
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--seeds", type=SeedList(), required=True, help="Seeds like 0-7,42.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder to write to."
)
@click.option("--grid", is_flag=True, help="One contact sheet, grid.png, instead of a file a seed.")
@click.option("--rotate", type=float, metavar="DEG", help="Turn a StyleGAN3's images counter-clockwise.")
@click.option(
    "--translate", type=Pair(), metavar="X,Y", help="Move a StyleGAN3's images right and down, in image widths."
)
@click.option(
    "--server",
    metavar="URL",
    help="Let a server draw, as 'stylegan-edge serve' starts one, instead of a BUNDLE; STYLEGAN_EDGE_TOKEN holds its "
    "token.",
)
@click.option("--model", metavar="NAME", help="With --server: which of its bundles [default: the only one].")
@drawing_options
def command(
    bundle: Path | None,
    seeds: list[int],
    output: Path,
    grid: bool,
    rotate: float | None,
    translate: tuple[float, float] | None,
    server: str | None,
    model: str | None,
    drawing: Drawing,
) -> None:
    """Draw the images of seeds from BUNDLE, or let a server draw them: seed0000.png, seed0001.png, ...

    A seed means the latent that NVIDIA's scripts draw for it. A bundle exported with --mix takes one seed a source, in
    turn.
    """
    from runtime.images import contact_sheet, open_image_folder
    from stylegan_edge.display import progress

    per_image, images = _images(bundle, server, model, seeds, drawing, (rotate, translate))
    groups = [seeds[start : start + per_image] for start in range(0, len(seeds), per_image)]
    names = ["grid.png"] if grid else _file_names(groups)
    with (
        open_image_folder(output, names, overwrite=drawing.force) as folder,
        progress("Drawing", len(groups)) as advance,
    ):
        if grid:
            pictures = []
            for pixels in images:
                pictures += list(pixels)
                advance(len(pixels))
            folder.add("grid.png", contact_sheet(pictures))
        else:
            remaining = iter(names)
            for pixels in images:
                for picture in pixels:
                    folder.add(next(remaining), picture)
                    advance()
    click.echo(f"{output / names[0]}" + (f" ... {names[-1]} ({len(names)} images)" if len(names) > 1 else ""))


def _images(
    bundle: Path | None,
    server: str | None,
    model: str | None,
    seeds: list[int],
    drawing: Drawing,
    moved: tuple[float | None, tuple[float, float] | None],
) -> tuple[int, Iterator[np.ndarray]]:
    """How many seeds an image takes, and the images, some at a time."""
    from runtime.errors import InputError
    from runtime.transforms import make_transform
    from stylegan_edge.remote import server_images

    if (bundle is None) == (server is None):
        found = "neither is given" if bundle is None else "both are given"
        raise InputError(f"images come from a BUNDLE or from --server URL, and {found}; give one of them")
    if server is not None:
        return server_images(server, model, seeds, drawing, moved)
    if model is not None:
        raise InputError("--model chooses among a server's bundles; leave it out, or give --server URL")
    assert bundle is not None
    rotate, translate = moved
    transform = make_transform(rotate or 0.0, translate or (0.0, 0.0)) if moved != (None, None) else None
    generator = drawing.load(bundle)
    images = generator.generate_batches(
        seeds, drawing.psi, drawing.rows, drawing.class_, drawing.noise, drawing.batch, transform
    )
    return generator.seeds_per_image, images


def _file_names(groups: list[list[int]]) -> list[str]:
    """One name an image, after its seeds."""
    from runtime.errors import InputError

    names = ["seed" + "-".join(f"{seed:04d}" for seed in group) + ".png" for group in groups]
    if len(set(names)) < len(names):
        raise InputError("a seed is given twice, so two pictures would have one name; give each once, or --grid")
    return names
