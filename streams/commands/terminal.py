"""What the commands share: where they print, and how they end."""

from __future__ import annotations

import getpass
import logging
from typing import Annotated, NoReturn

import typer
from rich.console import Console

# Results go to stdout, so that they can be piped; what is said on the way goes to stderr.
out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)

WaitSeconds = Annotated[float, typer.Option(min=0, help="How long to wait for Kafka.")]
WAIT_SECONDS = 60.0


def say(text: str) -> None:
    """Tell the person at the terminal what goes on; markup in `text` is shown as it is."""
    err.print(text, markup=False)


def fail(text: str, code: int = 1) -> NoReturn:
    """Say what is wrong and end with this exit code: 1, it did not work; 2, it was asked for wrongly."""
    err.print("[bold red]error:[/]", end=" ")
    err.print(text, markup=False)
    raise typer.Exit(code)


def named_values(option: str, pairs: list[str]) -> dict[str, str]:
    """Return the values of an option that is given as NAME=VALUE, again and again."""
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            fail(f"{option}: must be NAME=VALUE, is {pair!r}", 2)
        values[name] = value
    return values


def login() -> str:
    """Return the name of who is at the terminal."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "an unnamed caller"


def quiet_clients() -> None:
    """A short command reports errors itself; the Kafka client's log would say them again, and again at each try."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
