"""`ringonce version`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import typer

from streams.commands.terminal import out


def register(app: typer.Typer) -> None:
    app.command()(version)


def version() -> None:
    """Print the version."""
    try:
        out.print(installed("ringonce"))
    except PackageNotFoundError:
        out.print("not installed, run from its source")
