"""`stylegan-edge deploy`: a group, whose commands live in modules named `deploy_NAME`."""

from __future__ import annotations

import click

from stylegan_edge.lazy_group import LazyGroup

COMMANDS = {
    "ray": "Serve bundles by many replicas, on one machine or a cluster, with Ray Serve.",
    "triton": "Write a bundle as models of a Triton model repository.",
}
"""Each lives in the module `stylegan_edge.commands.deploy_NAME`, as `command`."""


@click.group("deploy", cls=LazyGroup, table=COMMANDS, home="stylegan_edge.commands.deploy_")
def command() -> None:
    """Serve bundles on a cluster, or prepare them for servers other than this project's own."""
