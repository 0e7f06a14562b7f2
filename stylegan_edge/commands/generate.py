"""`stylegan-edge generate`."""

from __future__ import annotations

from pathlib import Path

import click

from stylegan_edge.options import BUNDLE, Drawing, Pair, SeedList, drawing_options


@click.command("generate")
@BUNDLE
@click.option("--seeds", type=SeedList(), required=True, help="Seeds like 0-7,42.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder to write to."
)
@click.option("--grid", is_flag=True, help="One contact sheet, grid.png, instead of a file a seed.")
@click.option("--rotate", type=float, metavar="DEG", help="Turn a StyleGAN3's images counter-clockwise.")
@click.option(
    "--translate", type=Pair(), metavar="X,Y", help="Move a StyleGAN3's images right and down, in image widths."
)
@drawing_options
def command(
    bundle: Path,
    seeds: list[int],
    output: Path,
    grid: bool,
    rotate: float | None,
    translate: tuple[float, float] | None,
    drawing: Drawing,
) -> None:
    """Draw the images of seeds from BUNDLE: seed0000.png, seed0001.png, ...

    A seed means the latent that NVIDIA's scripts draw for it. A bundle exported with --mix takes one seed a source, in
    turn.
    """
    from runtime.images import contact_sheet, open_image_folder
    from runtime.transforms import make_transform
    from stylegan_edge.display import progress

    moved = rotate is not None or translate is not None
    transform = make_transform(rotate or 0.0, translate or (0.0, 0.0)) if moved else None
    generator = drawing.load(bundle)
    per_image = generator.seeds_per_image
    groups = [seeds[start : start + per_image] for start in range(0, len(seeds), per_image)]
    names = ["grid.png"] if grid else _file_names(groups)
    images = generator.generate_batches(
        seeds, drawing.psi, drawing.rows, drawing.class_, drawing.noise, drawing.batch, transform
    )
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


def _file_names(groups: list[list[int]]) -> list[str]:
    """One name an image, after its seeds."""
    from runtime.errors import InputError

    names = ["seed" + "-".join(f"{seed:04d}" for seed in group) + ".png" for group in groups]
    if len(set(names)) < len(names):
        raise InputError("a seed is given twice, so two pictures would have one name; give each once, or --grid")
    return names
