"""`stylegan-edge deploy ray`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stylegan_edge.options import BACKENDS, FORCE


class Range(click.ParamType):
    """`MIN,MAX`, or one number for both."""

    name = "MIN,MAX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Parse, with one line for anything else."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if len(parts) > 2 or not all(part.strip().isdecimal() and len(part) < 10 for part in parts):
            self.fail(f"{str(value)[:40]!r} is not a number of replicas, or two like 1,8", param, ctx)
        return int(parts[0]), int(parts[-1])


@click.command("ray")
@click.argument("bundles", nargs=-1, required=True, metavar="[NAME=]BUNDLE[,backend=B][,precision=P]...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write app.py, serve.yaml and kuberay.yaml."
)
@click.option("--run", "runs", is_flag=True, help="Serve here until told to end, or in the cluster of RAY_ADDRESS.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --run: address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--replicas", type=Range(), default="1", show_default=True, help="As many as the queue needs of these.")
@click.option(
    "--gpus-per-replica",
    "gpus",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="1, or a fraction for several on one GPU.",
)
@click.option(
    "--cpus-per-replica",
    "cpus",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Cores, on which a replica without GPU draws.",
)
@click.option(
    "--target-ongoing",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Requests of a replica at which another is started.",
)
@click.option("--ingress-replicas", type=click.IntRange(min=1), default=2, show_default=True, help="Before the others.")
@click.option("--backend", type=click.Choice(BACKENDS), default=BACKENDS[0], show_default=True)
@click.option("--precision", default="fp32", show_default=True, metavar="P", help="Of bundles that name none.")
@click.option("--max-batch", type=click.IntRange(1, 256), metavar="N", help="Images drawn together.")
@click.option(
    "--max-wait-ms", type=click.FloatRange(0, 1000), default=0.0, help="How long a batch waits for more.", metavar="MS"
)
@click.option("--image", metavar="IMAGE", help="Container image of kuberay.yaml [default: stylegan-edge-ray:latest].")
@FORCE
def command(bundles: tuple[str, ...], output: Path | None, runs: bool, **options: Any) -> None:
    """Serve BUNDLES by many replicas with Ray Serve: write what deploys it, or run it here.

    Each replica is the server that 'stylegan-edge serve' runs. Where one dies, another draws what it had to.
    """
    from runtime.cluster.configuration import IMAGE, Deployed, write_configuration
    from runtime.errors import InputError
    from runtime.extras import require

    if output is None and not runs:
        raise InputError("nothing to do: give -o DIR to write the configuration, --run to serve here, or both")
    for module in ("starlette", "pydantic", "prometheus_client"):
        require(module)
    settings = _settings(bundles, options).versioned()
    deployed = Deployed(options["host"], options["port"], options["image"] or IMAGE)
    if output is not None:
        for path in write_configuration(settings, output, deployed, options["force"]):
            click.echo(path)
    if runs:
        from runtime.cluster.running import run

        names = ", ".join(source.name for source in settings.sources)
        run(settings, deployed.host, deployed.port, lambda address: click.echo(f"Serving {names} at {address}"))


def _settings(bundles: tuple[str, ...], options: dict[str, Any]) -> Any:
    from runtime.cluster.settings import ClusterSettings
    from runtime.server.models import ModelSource

    base = ModelSource("default", Path(), options["backend"], options["precision"], max_batch=options["max_batch"])
    smallest, largest = options["replicas"]
    return ClusterSettings(
        tuple(ModelSource.parse(bundle, base) for bundle in bundles),
        max_wait=options["max_wait_ms"] / 1000,
        min_replicas=smallest,
        max_replicas=largest,
        **{name: options[name] for name in ("gpus", "cpus", "target_ongoing", "ingress_replicas")},
    )
