"""`stylegan-edge demo`."""

from __future__ import annotations

from pathlib import Path

import click

NAME = "avatars-64"
GRID_SEEDS = range(24)
GRID_COLUMNS = 8
PSI = 0.8


@click.command("demo")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, metavar="DIR")
def command(output: Path) -> None:
    """Export the bundled checkpoint, verify it against PyTorch, and draw a grid of faces."""
    from runtime.extras import require

    for module in ("torch", "onnx", "onnxscript"):
        require(module)
    from exporter import export, load_checkpoint
    from exporter.verify import verify_reference
    from runtime import Generator
    from runtime.errors import ParityError
    from runtime.graphs import OpenGraphs
    from runtime.images import contact_sheet, write_png
    from runtime.parity import all_passed
    from runtime.verify import default_batches, verify_golden
    from stylegan_edge.display import print_figures, status

    checkpoint = load_checkpoint(demo_checkpoint())
    bundle_path, grid = output / NAME, output / "grid.png"
    click.echo(f"1. Export {checkpoint.name} to {bundle_path}")
    with status("Exporting"):
        bundle = export(checkpoint, bundle_path, pipeline=True, force=True)
    click.echo("2. Verify: stored samples, then 16 fresh ones against PyTorch")
    with status("Verifying"):
        graphs, batches = OpenGraphs.open(bundle), default_batches(bundle.spec)
        click.get_current_context().call_on_close(graphs.close)
        figures = verify_golden(bundle, graphs, batches)
        figures += verify_reference(bundle, checkpoint, graphs, batches, samples=16, seed=0)
    print_figures(figures)
    if not all_passed(figures):
        raise ParityError("the images differ from the reference's; the table says by how much")
    click.echo("3. Draw, without PyTorch")
    with Generator.load(bundle) as generator:
        pixels = generator.generate(list(GRID_SEEDS), psi=PSI)
    write_png(grid, contact_sheet(list(pixels), columns=GRID_COLUMNS), overwrite=True)
    click.echo(f"Grid of {len(GRID_SEEDS)} faces: {grid.absolute()}")


def demo_checkpoint() -> Path:
    """The bundled checkpoint: inside the installed package, or in a source tree's `examples/`."""
    from runtime.errors import InputError

    package = Path(__file__).parents[1]
    for path in (package / "data" / f"{NAME}.pkl", package.parent / "examples" / f"{NAME}.pkl"):
        if path.is_file():
            return path
    raise InputError(f"the bundled checkpoint {NAME}.pkl is missing: install stylegan-edge again")
