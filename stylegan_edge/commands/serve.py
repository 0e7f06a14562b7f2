"""`stylegan-edge serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runtime.server.tokens import TOKENS_VARIABLE, environment_tokens
from stylegan_edge.options import running_options


@click.command("serve")
@click.argument("bundles", nargs=-1, required=True, metavar="[NAME=]BUNDLE[,backend=B][,precision=P][,gpu=N]...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--precision", default="fp32", show_default=True, metavar="P", help="Of bundles that name none.")
@click.option(
    "--max-batch", type=click.IntRange(1, 256), metavar="N", help="Images drawn together [default: by resolution]."
)
@click.option(
    "--max-wait-ms",
    type=click.FloatRange(0, 1000),
    default=0.0,
    show_default=True,
    help="How long a batch that is not full waits for more.",
)
@click.option("--max-images", type=click.IntRange(min=1), metavar="N", help="Images of one request [default: 64].")
@click.option(
    "--max-pixels", type=click.IntRange(min=1), metavar="N", help="Pixels of one request [default: 67108864]."
)
@click.option("--max-queue", type=click.IntRange(min=1), metavar="N", help="Images that may wait [default: 256].")
@click.option("--max-body", type=click.IntRange(min=1), metavar="BYTES", help="Body of a request [default: 67108864].")
@click.option("--max-document", type=click.IntRange(min=1), metavar="BYTES", help="JSON under /v1 [default: 4194304].")
@click.option("--max-json-depth", type=click.IntRange(min=1), metavar="N", help="Nested brackets [default: 32].")
@click.option("--max-connections", type=click.IntRange(min=1), metavar="N", help="At a time [default: 1024].")
@click.option(
    "--request-seconds", type=click.FloatRange(0, min_open=True), metavar="S", help="Time of a request [default: 60]."
)
@click.option(
    "--drain-seconds", type=click.IntRange(min=0), default=30, show_default=True, help="To finish in after SIGTERM."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Bearer tokens to let in, one a line; {TOKENS_VARIABLE} does the same [default: everybody].",
)
@click.option("--cache-seconds", type=click.IntRange(min=0), metavar="S", help="Of images by address [default: 3600].")
@click.option(
    "--reload-seconds", type=click.FloatRange(0), metavar="S", help="Look for replaced bundles; 0 never [default: 2]."
)
@click.option(
    "--ssl-certfile", type=click.Path(path_type=Path), metavar="PEM", help="Speak TLS, with this certificate."
)
@click.option("--ssl-keyfile", type=click.Path(path_type=Path), metavar="PEM", help="The certificate's key.")
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Speak the Open Inference Protocol by gRPC there too.",
)
@click.option("--trace-share", type=click.FloatRange(0, 1), default=0.0, help="Share of requests to trace.")
@click.option("--trace-endpoint", metavar="URL", help="OpenTelemetry collector (OTLP over HTTP) that traces go to.")
@running_options
def command(bundles: tuple[str, ...], **options: Any) -> None:
    """Serve BUNDLES over HTTP: a page at /, images at /v1, the Open Inference Protocol at /v2, /metrics.

    Listens on this machine alone unless --host says otherwise. Ends gracefully on SIGTERM.
    """
    from runtime.extras import require

    for module in ("starlette", "uvicorn", "pydantic", "prometheus_client", "websockets"):
        require(module)
    from runtime.server.run import serve

    settings, listening = _settings(bundles, options)
    serve(settings, listening, ready=lambda address: click.echo(f"Serving {', '.join(_names(settings))} at {address}"))


def _names(settings: Any) -> list[str]:
    return [source.name for source in settings.sources]


def _settings(bundles: tuple[str, ...], options: dict[str, Any]) -> tuple[Any, Any]:
    """What is to be served and where, of the command's options."""
    from runtime.server.limits import Limits
    from runtime.server.models import ModelSource
    from runtime.server.run import Listening
    from runtime.server.settings import Settings

    def given(*names: str) -> dict[str, Any]:
        return {name: options[name] for name in names if options[name] is not None}

    defaults = ModelSource("default", Path(), **given("backend", "precision", "gpu", "threads", "max_batch"))
    limits = Limits(
        **given(
            "max_body",
            "max_document",
            "max_json_depth",
            "max_images",
            "max_pixels",
            "max_queue",
            "request_seconds",
            "max_connections",
        )
    )
    settings = Settings(
        tuple(ModelSource.parse(bundle, defaults) for bundle in bundles),
        limits,
        max_wait=options["max_wait_ms"] / 1000,
        tokens=_tokens(options["token_file"]),
        **given("cache_seconds", "reload_seconds", "trace_share", "trace_endpoint"),
    )
    listening = Listening(
        options["host"],
        options["port"],
        options["ssl_certfile"],
        options["ssl_keyfile"],
        options["drain_seconds"],
        options["grpc_port"],
    )
    return settings, listening


def _tokens(path: Path | None) -> frozenset[str]:
    """The tokens of a file, or of the environment. A file without any would let everybody in, so it is refused."""
    from runtime.errors import InputError

    if path is None:
        return environment_tokens()
    try:
        tokens = frozenset(path.read_text("utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"{path}: can't be read ({reason}); expected bearer tokens, one a line") from None
    if not tokens:
        raise InputError(f"{path}: holds no token; write one a line, or leave --token-file out to let everybody in")
    return tokens
