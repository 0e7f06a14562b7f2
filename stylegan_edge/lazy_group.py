"""A group whose commands are imported when they are called: `--help` needs click alone."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """Commands by name, with what `--help` says of each. Each is `command` in the module `home` + its name."""

    def __init__(self, *arguments: Any, table: Mapping[str, str], home: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._table, self._home = table, home

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in order."""
        return sorted(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, from its module."""
        if cmd_name not in self._table:
            return None
        command: click.Command = importlib.import_module(self._home + cmd_name).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list for `--help`, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(self._table.items()))
