"""`stylegan-edge build`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime.errors import InputError
from stylegan_edge.options import BUNDLE, FORCE, GPU, JSON

if TYPE_CHECKING:
    from engines.proof import Proof
    from runtime.engines import Engine

MAX_TIMING_CACHE = 256 << 20
"""Bytes. A cache of many networks on one GPU has a few megabytes."""
PROGRESS_STEPS = 1000
"""Of a graph's progress bar."""


class BatchRange(click.ParamType):
    """`MIN,OPT,MAX` -> a profile."""

    name = "MIN,OPT,MAX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, with one line for a range that makes no sense."""
        from engines.options import parse_profile

        if not isinstance(value, str):
            return value
        try:
            return parse_profile(value)
        except InputError as error:
            self.fail(str(error), param, ctx)


@click.command("build")
@BUNDLE
@click.option(
    "--backend",
    type=click.Choice(["tensorrt", "tensorrt-rtx"]),
    default="tensorrt",
    show_default=True,
    help="Which TensorRT to build for.",
)
@click.option("--precision", default="fp32", show_default=True, metavar="P", help="Precision of the graphs to build.")
@click.option("--graph", "graphs", multiple=True, metavar="NAME", help="Build this graph alone [default: all].")
@click.option(
    "--batch",
    "profiles",
    type=BatchRange(),
    multiple=True,
    metavar="MIN,OPT,MAX",
    help="Batch sizes, and the one to be fastest at; may be repeated [default: 1,1,8].",
)
@click.option("--workspace", type=click.IntRange(1, 1 << 20), metavar="MIB", help="Memory TensorRT may use to build.")
@click.option("--optimization-level", type=click.IntRange(0, 5), help="5 builds slowest and runs fastest.")
@click.option("--tf32/--no-tf32", default=False, show_default=True, help="Round float32 products to 10 bits.")
@click.option("--version-compatible", is_flag=True, help="Let newer TensorRT versions run the engine.")
@click.option(
    "--hardware-compatible",
    "hardware",
    type=click.Choice(["none", "ampere+", "same-capability"]),
    default="none",
    show_default=True,
    help="Which other GPUs may run the engine.",
)
@click.option(
    "--refit",
    "donor",
    type=click.Path(path_type=Path),
    metavar="OTHER",
    help="Build nothing: take the --refittable engine of this bundle of the same kind, with BUNDLE's weights.",
)
@click.option(
    "--tune",
    is_flag=True,
    help="Time StyleGAN2's up-convolutions in every form on the GPU first, and build the fastest of each.",
)
@click.option("--strip-weights", is_flag=True, help="Leave the weights out of the plans.")
@click.option("--refittable", is_flag=True, help="Let the plans' weights be replaced later.")
@click.option(
    "--timing-cache",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Read and write what TensorRT measured, so that the next build is quicker.",
)
@GPU
@FORCE
@JSON
def command(
    bundle: Path,
    backend: str,
    precision: str,
    graphs: tuple[str, ...],
    profiles: tuple[Any, ...],
    timing_cache: Path | None,
    hardware: str,
    donor: Path | None,
    gpu: int,
    force: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Build BUNDLE's graphs into TensorRT engines for this machine's GPU, inside the bundle."""
    if donor is not None:
        _check_refit_options()
        _refit(bundle, donor, backend, precision, gpu, force, as_json)
        return
    from engines.options import DEFAULT_PROFILES, BuildOptions
    from engines.proof import Proof, prove_if_possible
    from engines.store import build_engine, find_sources
    from runtime import Bundle
    from runtime.device import read_device
    from runtime.engine_record import EngineFlags, Flavour, Hardware
    from runtime.tensorrt.versions import load_library
    from stylegan_edge.display import progress

    opened = Bundle(bundle)
    count = len(find_sources(opened, precision, graphs))
    options = BuildOptions(
        profiles=profiles or DEFAULT_PROFILES,
        flags=EngineFlags(hardware=Hardware(hardware), **flags),
        timing_cache=_read_cache(timing_cache),
        gpu=gpu,
    )
    library = load_library(Flavour(backend))
    options.check(library)
    device = read_device(gpu)
    proof = Proof()

    def check(engine: Engine) -> None:
        nonlocal proof
        proof = prove_if_possible(opened, library, engine, gpu)

    what = "Tuning and building" if options.flags.tune else "Building"
    with progress(f"{what} {bundle}", (count + options.flags.tune) * PROGRESS_STEPS) as advance:
        engine, cache = build_engine(
            opened, library, device, options, precision, graphs, force, lambda _: _advancing(advance), check
        )
    if timing_cache is not None and cache is not None:
        from runtime.output import write_atomically

        write_atomically(timing_cache, cache, overwrite=True)
    _tell(engine, proof, as_json)


REFIT_OPTIONS = {"bundle", "donor", "backend", "precision", "gpu", "force", "as_json"}
"""What goes with --refit: all else is the engine's own."""


def _check_refit_options() -> None:
    context = click.get_current_context()
    for param in context.command.params:
        given = context.get_parameter_source(str(param.name)) is click.core.ParameterSource.COMMANDLINE
        if given and param.name not in REFIT_OPTIONS:
            raise click.UsageError(f"{param.opts[0]} does not go with --refit, which builds nothing; leave it out")


def _refit(bundle: Path, donor: Path, backend: str, precision: str, gpu: int, force: bool, as_json: bool) -> None:
    from engines.proof import Proof
    from engines.refit import refit_engine
    from runtime import Bundle
    from runtime.backends import RunOptions
    from runtime.backends.tensorrt import find_host
    from runtime.engine_record import Flavour
    from stylegan_edge.display import status

    opened, given = Bundle(bundle), Bundle(donor)
    library, host = find_host(Flavour(backend), RunOptions(gpu=gpu))
    with status(f"Refitting {bundle}"):
        engine, figures = refit_engine(opened, given, library, host, precision, gpu, force)
    _tell(engine, Proof(tuple(figures)), as_json)


def _read_cache(path: Path | None) -> bytes | None:
    """A timing cache; empty where the file is yet to be made."""
    if path is None:
        return None
    if not path.exists():
        return b""
    size = path.stat().st_size
    if size > MAX_TIMING_CACHE:
        raise InputError(f"{path}: has {size:,} bytes, over the limit of {MAX_TIMING_CACHE:,} for a timing cache")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}); give another --timing-cache FILE") from None


def _advancing(advance: Callable[[int], Any]) -> Callable[[float], None]:
    """Turn shares of one graph's build into steps of the bar."""
    done = 0

    def report(share: float) -> None:
        nonlocal done
        steps = int(share * PROGRESS_STEPS)
        advance(steps - done)
        done = steps

    return report


def _tell(engine: Engine, proof: Proof, as_json: bool) -> None:
    from runtime.records import to_plain
    from stylegan_edge.display import figures_document, print_figures, print_json

    record = engine.record
    if as_json:
        print_json(
            {
                "engine": str(engine.folder),
                **to_plain(record),
                "parity": figures_document(proof.figures),
                "unproven": proof.missing,
            }
        )
        return
    for name, plan in sorted(record.plans.items()):
        click.echo(f"{name}.plan: {plan.size:,} bytes, batches {' and '.join(map(str, record.profiles))}")
        for warning in plan.warnings:
            click.echo(f"  TensorRT warns: {warning}")
        for layer in record.tuning:
            if layer.graph == name:
                click.echo(f"  {layer.summary()}")
    if proof.missing is None:
        print_figures(proof.figures)
    else:
        click.echo(f"Its images were not compared here: {proof.missing}")
    click.echo(f"Engine: {engine.folder} ({record.flavour.value} {record.tensorrt}, {record.device.name})")
