"""Images that a server draws, for commands that draw images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from runtime.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from stylegan_edge.options import Drawing

TOKEN_VARIABLE = "STYLEGAN_EDGE_TOKEN"  # noqa: S105
"""The bearer token that the server is asked with: an option would stand in the list of processes."""
LOCAL = ("backend", "precision", "min_psnr", "gpu", "threads", "batch")
"""Options of what executes the graphs here, which a server settles for itself."""


def refuse_local_options() -> None:
    """Raise InputError where the running command was given an option that a server does not listen to."""
    context = click.get_current_context()
    for name in LOCAL:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise InputError(
                f"--{name.replace('_', '-')} is the server's to choose; leave it out, or draw from a BUNDLE without "
                "--server"
            )


def server_images(
    address: str,
    model: str | None,
    seeds: list[int],
    drawing: Drawing,
    moved: tuple[float | None, tuple[float, float] | None],
) -> tuple[int, Iterator[np.ndarray]]:
    """How many seeds an image takes, and the images a part at a time, uint8 [N, H, W, C].

    `moved` is the rotation and translation. Raises InputError and, where the server fails, ServerError.
    """
    from runtime.client import Client

    refuse_local_options()
    token = os.environ.get(TOKEN_VARIABLE) or None
    client = Client(address, token, model=model)
    click.get_current_context().call_on_close(client.close)
    served = {item.name: item for item in client.models()}
    if model is None and len(served) != 1:
        raise InputError(f"the server has several models, {', '.join(served)}: choose one with --model")
    if model is not None and model not in served:
        raise InputError(f"the server has no model {model[:40]!r}, expected one of {', '.join(served)}")
    rotate, translate = moved
    images = client.generate_batches(
        seeds,
        drawing.psi,
        cutoff=drawing.rows,
        classes=drawing.class_,
        noise=drawing.noise,
        rotate=rotate,
        translate=translate,
    )
    return (served[model] if model else next(iter(served.values()))).seeds_per_image, images
