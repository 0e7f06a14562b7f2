"""`stylegan-edge mix`."""

from __future__ import annotations

from pathlib import Path

import click

from stylegan_edge.options import BUNDLE, Drawing, SeedList, drawing_options


@click.command("mix")
@BUNDLE
@click.option("--rows", type=SeedList(), required=True, help="Seeds of the rows: they give the layers not named.")
@click.option("--cols", type=SeedList(), required=True, help="Seeds of the columns: they give the layers named.")
@click.option("--layers", type=SeedList(), required=True, metavar="ROWS", help="Style rows from the columns, like 0-6.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE", help="PNG to write.")
@drawing_options
def command(
    bundle: Path,
    rows: list[int],
    cols: list[int],
    layers: list[int],
    output: Path,
    drawing: Drawing,
) -> None:
    """Draw a grid: sources in the first row and column; each mix takes the style rows --layers from its column."""
    import numpy as np

    from runtime.errors import InputError
    from runtime.images import contact_sheet, write_png
    from runtime.output import check_new_file

    check_new_file(output, drawing.force)
    generator = drawing.load(bundle)
    if generator.seeds_per_image > 1:
        raise InputError(
            "this bundle was exported with --mix, so its mask is fixed; export it again without for a grid"
        )

    mask = generator.layer_mask(layers)
    tops, sides = drawing.styles(generator, cols), drawing.styles(generator, rows)
    cells = [tops[:1] * 0, tops]
    for side in sides:
        left = np.repeat(side[None], len(cols), axis=0)
        cells += [side[None], generator.mix([left, tops], mask)]
    pixels = generator.synthesize(np.concatenate(cells), drawing.noise, "pixels", drawing.batch)
    pixels[0] = 255  # the corner shows nothing
    write_png(output, contact_sheet(list(pixels), columns=len(cols) + 1), overwrite=drawing.force)
    click.echo(f"{output} ({len(rows)} x {len(cols)} mixes)")
