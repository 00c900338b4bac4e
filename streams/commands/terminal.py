"""What the commands share: where they print, and how they end."""

from __future__ import annotations

import getpass
import logging
from typing import Annotated, NoReturn, get_args

import typer
from rich.console import Console

from streams.logs import Level, secrets_of, start_logging
from streams.settings import Settings

# Results go to stdout, so that they can be piped; what is said on the way goes to stderr.
out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)

WaitSeconds = Annotated[float, typer.Option(min=0, help="How long to wait for Kafka.")]
WAIT_SECONDS = 60.0
LogLevel = Annotated[
    str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR. Default: RINGONCE_LOG_LEVEL, else WARNING.")
]


def log_as(settings: Settings, level: str | None) -> logging.Handler:
    """Write the log as the settings and the option of the command want it; what the settings call secret is hidden."""
    wanted = settings.log_level if level is None else level.upper()
    if wanted not in get_args(Level):
        fail(f"--log-level: must be DEBUG, INFO, WARNING or ERROR, is {level}", 2)
    return start_logging(settings.log_format, wanted, secrets_of(settings))


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
